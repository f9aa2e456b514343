//! When a worker looks for clients that have let a timeout pass.
//!
//! It looks at a slice of its slots in each pass, so that a worker with very many connections does not
//! stop for it. It knows no connection.

use std::ops::Range;
use std::time::{Duration, Instant};

use stockd_model::limits::{SWEEP_CONNECTIONS, SWEEP_INTERVAL, TLS_HANDSHAKE_TIMEOUT};

use crate::Config;

/// How long clients may do nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Neither send nor take anything.
    pub(crate) idle: Option<Duration>,
    /// Take none of the replies that wait.
    pub(crate) stalled: Duration,
    /// Not send the rest of a request.
    pub(crate) request: Duration,
    /// Not end the handshake of TLS.
    pub(crate) handshake: Duration,
}

/// The looks at all slots, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    pub(crate) timeouts: Timeouts,
    interval: Duration,
    /// When the next one begins; `None` while no client can have let a timeout pass.
    at: Option<Instant>,
    /// Where the one that is under way goes on.
    next: Option<usize>,
    /// Whether it has found clients that may let one pass.
    again: bool,
}

impl Sweep {
    pub(crate) fn new(config: &Config) -> Sweep {
        let Config { idle_timeout: idle, stalled_timeout: stalled, .. } = *config;
        let request = config.request_timeout;
        let handshake = request.min(TLS_HANDSHAKE_TIMEOUT);
        let shortest = stalled.min(idle.unwrap_or(stalled)).min(request);
        Sweep {
            timeouts: Timeouts { idle, stalled, request, handshake },
            interval: shortest.clamp(Duration::from_millis(1), SWEEP_INTERVAL),
            at: None,
            next: None,
            again: false,
        }
    }

    /// A client may let a timeout pass.
    #[inline]
    pub(crate) fn start(&mut self, now: Instant) {
        if self.at.is_none() {
            self.at = Some(now + self.interval);
        }
    }

    /// When there is something to look at.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Whether one is under way.
    #[inline]
    pub(crate) fn is_under_way(&self) -> bool {
        self.next.is_some()
    }

    /// The next few of the slots, if it is time to look at them.
    #[inline]
    pub(crate) fn slice(&mut self, now: Instant, slots: usize) -> Option<Range<usize>> {
        if self.next.is_none() {
            self.at.take_if(|at| *at <= now)?;
            self.again = false;
        }
        let start = self.next.unwrap_or(0);
        Some(start..slots.min(start + SWEEP_CONNECTIONS))
    }

    /// The slots up to this one, of all of them, were looked at. Among them were clients that may let a
    /// timeout pass, or not.
    pub(crate) fn looked(&mut self, end: usize, slots: usize, again: bool, now: Instant) {
        self.again |= again;
        self.next = (end < slots).then_some(end);
        if self.next.is_none() && self.again {
            self.start(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_looked_at_once_in_slices() {
        let config = Config { stalled_timeout: Duration::from_millis(5), ..Config::default() };
        let mut sweep = Sweep::new(&config);
        let slots = 2 * SWEEP_CONNECTIONS + 10;
        let begin = Instant::now();
        assert_eq!(sweep.slice(begin, slots), None);
        sweep.start(begin);
        assert_eq!(sweep.slice(begin, slots), None);
        let now = begin + Duration::from_millis(5);
        let mut looked = 0;
        while let Some(slice) = sweep.slice(now, slots) {
            assert_eq!(slice.start, looked);
            assert!(slice.len() <= SWEEP_CONNECTIONS);
            looked = slice.end;
            sweep.looked(looked, slots, looked < SWEEP_CONNECTIONS + 1, now);
        }
        assert_eq!((looked, sweep.is_under_way()), (slots, false));
        assert!(sweep.at().is_some_and(|at| at > now), "some may be late the next time");
    }
}
