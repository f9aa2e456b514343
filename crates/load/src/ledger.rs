//! The requests in flight on one connection: when each was sent, or due, and which are answered.
//!
//! Servers answer in the order asked, so this is a queue. Requests that were sent together are one
//! entry of it. Knows no bytes and no clock.
//!
//! Invariant: every request that was sent is here until it is answered or given up, and is then
//! counted once.

use std::collections::VecDeque;

use crate::figures::{Figures, Kind};

/// The requests of a connection that have no reply yet.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sent: VecDeque<Sent>,
    /// Requests of the first entry that are answered and not counted yet.
    answered: u32,
    outstanding: usize,
}

/// Requests of one kind with one beginning.
#[derive(Debug)]
struct Sent {
    at: u64,
    kind: Kind,
    count: u32,
}

impl Ledger {
    /// Enters one more request, sent or due at `at`.
    #[inline]
    pub(crate) fn sent(&mut self, at: u64, kind: Kind) {
        self.outstanding += 1;
        match self.sent.back_mut() {
            Some(last) if last.at == at && last.kind == kind => last.count += 1,
            _ => self.sent.push_back(Sent { at, kind, count: 1 }),
        }
    }

    /// Requests without a reply.
    #[inline]
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// The request that the next reply answers: its kind, and when it was sent or due.
    #[inline]
    pub(crate) fn next(&self) -> Option<(Kind, u64)> {
        self.sent.front().map(|sent| (sent.kind, sent.at))
    }

    /// Records that the first request without a reply is answered. There must be one.
    #[inline]
    pub(crate) fn answer(&mut self, now: u64, figures: &mut Figures) {
        self.outstanding -= 1;
        self.answered += 1;
        if self.sent.front().is_some_and(|first| first.count == self.answered) {
            self.settle(now, figures);
        }
    }

    /// Counts what was answered until now. To be called before `now` moves on.
    #[inline]
    pub(crate) fn settle(&mut self, now: u64, figures: &mut Figures) {
        let Some(first) = self.sent.front_mut().filter(|_| self.answered > 0) else {
            return;
        };
        figures.answered(first.kind, first.at, now, u64::from(self.answered));
        first.count -= self.answered;
        self.answered = 0;
        if first.count == 0 {
            self.sent.pop_front();
        }
    }

    /// Counts all that is left as unanswered.
    pub(crate) fn give_up(&mut self, now: u64, figures: &mut Figures) {
        self.settle(now, figures);
        for sent in self.sent.drain(..) {
            figures.given_up(sent.kind, sent.at, now, u64::from(sent.count));
        }
        self.outstanding = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacer::{Arrivals, Pacer};

    const MS: u64 = 1_000_000;

    #[test]
    fn a_batch_is_answered_piece_by_piece() {
        let (mut ledger, mut figures) = (Ledger::default(), Figures::new(0));
        (0..5).for_each(|_| ledger.sent(10, Kind::Lookup));
        ledger.sent(10, Kind::Update);
        for (now, replies) in [(20, 2), (30, 3), (50, 1)] {
            (0..replies).for_each(|_| ledger.answer(now, &mut figures));
            ledger.settle(now, &mut figures);
        }
        assert_eq!((ledger.outstanding(), ledger.next()), (0, None));
        let (lookups, updates) = (&figures.lookups, &figures.updates);
        assert_eq!((lookups.count(), lookups.mean_ns(), lookups.max_ns()), (5, 16.0, 20));
        assert_eq!((updates.count(), updates.max_ns()), (1, 40));
        assert_eq!(figures.answered_in_window, 6);
    }

    #[test]
    fn what_was_sent_in_the_warm_up_does_not_count() {
        let (mut ledger, mut figures) = (Ledger::default(), Figures::new(100));
        ledger.sent(99, Kind::Lookup);
        ledger.sent(100, Kind::Lookup);
        ledger.answer(250, &mut figures);
        ledger.answer(250, &mut figures);
        assert_eq!((figures.lookups.count(), figures.lookups.max_ns()), (1, 150));
    }

    #[test]
    fn what_is_never_answered_counts_with_the_latency_it_reached() {
        let (mut ledger, mut figures) = (Ledger::default(), Figures::new(0));
        (0..3).for_each(|at| ledger.sent(at, Kind::Lookup));
        ledger.answer(5, &mut figures);
        ledger.give_up(1000, &mut figures);
        assert_eq!((figures.counts.unanswered, figures.lookups.count()), (2, 3));
        assert_eq!((figures.lookups.max_ns(), figures.answered_in_window), (999, 1));
    }

    /// The story of coordinated omission. A server answers in 0.1 ms, but stands still from second
    /// 2 to 2.5. A closed loop of one asks once in that time and sees one slow reply among
    /// twenty-five thousand; 1,000 clients a second would have seen 500.
    #[test]
    fn a_stall_shows_in_the_latencies_of_an_open_loop_and_hides_in_those_of_a_closed_one() {
        let answered_at = |asked: u64| {
            let stalled = (2000 * MS..2500 * MS).contains(&asked);
            (if stalled { 2500 * MS } else { asked }) + MS / 10
        };

        let mut open = Figures::new(0);
        let mut ledger = Ledger::default();
        let mut pacer = Pacer::new(1000.0, Arrivals::Constant, 0, 1, 1);
        while let Some(due) = pacer.take_due(4999 * MS) {
            ledger.sent(due, Kind::Lookup);
            ledger.answer(answered_at(due), &mut open);
        }
        assert_eq!(open.lookups.count(), 5000);
        // 500 of 5,000 waited, the longest 500 ms: a tenth, spread evenly over the stall.
        assert_eq!(open.lookups.max_ns(), 500 * MS + MS / 10);
        assert_eq!(open.lookups.count_up_to(MS), 4500);
        let near = |quantile, ms: u64| {
            let latency = open.lookups.quantile_ns(quantile);
            assert!(latency.abs_diff(ms * MS) < 2 * MS, "{quantile}: {latency}");
        };
        near(0.95, 250);
        near(0.99, 450);
        near(0.999, 495);

        let mut closed = Figures::new(0);
        let mut now = 0;
        while now < 5000 * MS {
            ledger.sent(now, Kind::Lookup);
            now = answered_at(now);
            ledger.answer(now, &mut closed);
        }
        assert_eq!(closed.lookups.count_up_to(MS), closed.lookups.count() - 1);
        assert!(closed.lookups.quantile_ns(0.999) < MS);
    }
}
