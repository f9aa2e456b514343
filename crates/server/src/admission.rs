//! Who is let in: how many connections are open, and what a client is told that is one too many.
//!
//! Invariant: every open connection holds a permit, and there are never more permits than the
//! limit. A permit is given back when its connection is dropped, wherever that happens.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::Socket;
use stockd_model::Address;

use crate::Endpoint;

/// A connection that was let in and waits for a worker, or has one.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Does not block.
    pub(crate) socket: Socket,
    pub(crate) peer: Address,
    /// Where it came to.
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) permit: Permit,
}

/// Counts the open connections against their limit.
#[derive(Debug)]
pub(crate) struct Admission {
    open: AtomicUsize,
    connections_max: usize,
}

/// The right of one connection to be open.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Admission>);

impl Admission {
    pub(crate) fn new(connections_max: usize) -> Arc<Admission> {
        Arc::new(Admission { open: AtomicUsize::new(0), connections_max })
    }

    /// A permit for one more connection.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Permit, Refused> {
        let one_more = |open| (open < self.connections_max).then_some(open + 1);
        match self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Permit(Arc::clone(self))),
            Err(_) => Err(Refused::AtLimit(self.connections_max)),
        }
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn connections_max(&self) -> usize {
        self.connections_max
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a client is not let in, in the words that it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The connection limit is reached.
    AtLimit(usize),
    /// The work queue is full.
    QueueFull(usize),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::AtLimit(connections_max) => {
                write!(f, "{connections_max} connections are open, the limit; try again later")
            }
            Refused::QueueFull(waiting) => {
                write!(f, "{waiting} connections wait for a worker, the limit; try again later")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_given_back_can_be_had_again() {
        let admission = Admission::new(2);
        let first = admission.admit().unwrap();
        let _second = admission.admit().unwrap();
        assert_eq!(admission.admit().unwrap_err(), Refused::AtLimit(2));
        assert_eq!(admission.open(), 2);
        drop(first);
        assert_eq!(admission.open(), 1);
        admission.admit().unwrap();
    }
}
