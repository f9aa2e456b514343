//! How one worker closes connections of another: it leaves them here, and theirs takes them.
//!
//! Invariant: while a connection lies here its worker has been woken and has yet to look. Each is left at most
//! once, so no more lie here than the worker has.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::connection_id::ConnectionId;

/// The connections of one worker that are to be closed.
pub(crate) struct Endings {
    left: Mutex<VecDeque<ConnectionId>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// How one connection is closed by others.
#[derive(Debug)]
pub(crate) struct Ending {
    endings: Arc<Endings>,
    id: ConnectionId,
    asked: AtomicBool,
}

impl Endings {
    /// None, of a worker that `wake` wakes.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Arc<Endings> {
        Arc::new(Endings { left: Mutex::default(), wake: Box::new(wake) })
    }

    /// How a connection of this worker is closed by others.
    pub(crate) fn of(self: &Arc<Self>, id: ConnectionId) -> Ending {
        Ending { endings: Arc::clone(self), id, asked: AtomicBool::new(false) }
    }

    /// Takes the next, in the order they were left, and whether more lie here.
    pub(crate) fn next(&self) -> (Option<ConnectionId>, bool) {
        let mut left = self.lock();
        (left.pop_front(), !left.is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ConnectionId>> {
        // One is there or not, so a poisoned lock holds good ones.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ending {
    /// Has the connection closed by its worker, soon. Returns whether it is the first to ask for that.
    pub(crate) fn ask(&self) -> bool {
        if self.asked.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.endings.lock().push_back(self.id);
        (self.endings.wake)();
        true
    }
}

impl fmt::Debug for Endings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endings").field("left", &self.lock().len()).finish_non_exhaustive()
    }
}
