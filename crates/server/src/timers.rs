//! Deadlines that all lie the same time ahead, so that a plain queue keeps them in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::connection_id::ConnectionId;

/// A queue of deadlines. A connection that closes leaves its deadlines behind; they pass without
/// effect, so the queue is bounded by the connections of one delay.
#[derive(Debug)]
pub(crate) struct Timers {
    delay: Duration,
    waiting: VecDeque<(Instant, ConnectionId)>,
}

impl Timers {
    pub(crate) fn new(delay: Duration) -> Timers {
        Timers { delay, waiting: VecDeque::new() }
    }

    /// Starts the delay for a connection. Time must not go back between calls.
    pub(crate) fn start(&mut self, now: Instant, id: ConnectionId) {
        self.waiting.push_back((now + self.delay, id));
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.front().map(|&(deadline, _)| deadline)
    }

    /// Removes a deadline that has passed.
    pub(crate) fn pop_passed(&mut self, now: Instant) -> Option<ConnectionId> {
        let (_, id) = self.waiting.pop_front_if(|(deadline, _)| *deadline <= now)?;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_pass_in_the_order_they_were_started() {
        let delay = Duration::from_millis(10);
        let mut timers = Timers::new(delay);
        let id = |slot| ConnectionId::new(slot, 7);
        let start = Instant::now();
        timers.start(start, id(1));
        timers.start(start + delay / 2, id(2));
        assert_eq!(timers.next(), Some(start + delay));
        assert_eq!(timers.pop_passed(start), None);
        assert_eq!(timers.pop_passed(start + delay), Some(id(1)));
        assert_eq!(timers.pop_passed(start + delay), None);
        assert_eq!(timers.pop_passed(start + delay * 2), Some(id(2)));
        assert_eq!(timers.next(), None);
    }
}
