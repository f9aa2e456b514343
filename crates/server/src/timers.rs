//! Deadlines that all lie the same time ahead, so that a plain queue keeps them in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use stockd_engine::ReplyTo;

/// Names one connection of a worker. A key is used again after its connection is closed, a
/// serial never, so that what is late cannot reach the wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) key: usize,
    pub(crate) serial: u64,
}

impl Ticket {
    /// Bits of a key: there are never as many connections.
    const KEY_BITS: u32 = 24;

    /// As the engine carries it: the serial, and the key in the lowest bits.
    pub(crate) fn reply_to(self) -> ReplyTo {
        debug_assert!(self.key < 1 << Ticket::KEY_BITS);
        ReplyTo(self.serial << Ticket::KEY_BITS | self.key as u64)
    }

    pub(crate) fn of(ReplyTo(packed): ReplyTo) -> Ticket {
        let key = packed & ((1 << Ticket::KEY_BITS) - 1);
        Ticket { key: key as usize, serial: packed >> Ticket::KEY_BITS }
    }
}

/// A queue of deadlines. A connection that closes leaves its deadlines behind; they pass without
/// effect, so the queue is bounded by the connections of one delay.
#[derive(Debug)]
pub(crate) struct Timers {
    delay: Duration,
    waiting: VecDeque<(Instant, Ticket)>,
}

impl Timers {
    pub(crate) fn new(delay: Duration) -> Timers {
        Timers { delay, waiting: VecDeque::new() }
    }

    /// Starts the delay for a connection. Time must not go back between calls.
    pub(crate) fn start(&mut self, now: Instant, ticket: Ticket) {
        self.waiting.push_back((now + self.delay, ticket));
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.front().map(|&(deadline, _)| deadline)
    }

    /// Removes a deadline that has passed.
    pub(crate) fn pop_passed(&mut self, now: Instant) -> Option<Ticket> {
        let (_, ticket) = self.waiting.pop_front_if(|(deadline, _)| *deadline <= now)?;
        Some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_pass_in_the_order_they_were_started() {
        let delay = Duration::from_millis(10);
        let mut timers = Timers::new(delay);
        let ticket = |key| Ticket { key, serial: 7 };
        let start = Instant::now();
        timers.start(start, ticket(1));
        timers.start(start + delay / 2, ticket(2));
        assert_eq!(timers.next(), Some(start + delay));
        assert_eq!(timers.pop_passed(start), None);
        assert_eq!(timers.pop_passed(start + delay), Some(ticket(1)));
        assert_eq!(timers.pop_passed(start + delay), None);
        assert_eq!(timers.pop_passed(start + delay * 2), Some(ticket(2)));
        assert_eq!(timers.next(), None);
    }
}
