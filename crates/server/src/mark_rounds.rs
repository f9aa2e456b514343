//! When a worker passes marks of the feed on to its subscribers, in rounds.
//!
//! After a round, as long as it took is for others alone: however many subscribers there are, at least half of
//! the worker's time is left to lookups and writes, and what changes meanwhile is told once. Where many were told,
//! what changes is gathered for longer, since a write to a socket costs ten times what a message in it does.
//! After a short round for few there is no rest. It knows no marks and no subscribers.
//!
//! Invariant: while marks wait, the next round has a time.

use std::time::Instant;

use stockd_model::limits::{FEED_CROWD, FEED_GATHER, FEED_REST_MIN};

/// The rounds of one worker.
#[derive(Debug, Default)]
pub(crate) struct MarkRounds {
    /// Marks wait to be passed on.
    wait: bool,
    /// Not before this.
    from: Option<Instant>,
    /// Subscribers that were told since the last rest.
    crowd: usize,
}

impl MarkRounds {
    /// There may be marks, or not.
    #[inline]
    pub(crate) fn note(&mut self, may_be: bool) {
        self.wait |= may_be;
    }

    /// This number of subscribers were told something.
    #[inline]
    pub(crate) fn told(&mut self, subscribers: usize) {
        self.crowd += subscribers;
    }

    /// Whether the next round is due.
    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.wait && self.from.is_none_or(|from| now >= from)
    }

    /// When the next round is, if marks wait.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.wait.then(|| self.from.unwrap_or_else(Instant::now))
    }

    /// A round has passed marks on, and has left some or none.
    pub(crate) fn passed(&mut self, are_left: bool) {
        self.wait = are_left;
    }

    /// The turns of a round are given, which began and ended then.
    pub(crate) fn rest(&mut self, began: Instant, ended: Instant) {
        let took = ended.saturating_duration_since(began);
        self.from = match std::mem::take(&mut self.crowd) {
            FEED_CROWD.. => Some(ended + took.max(FEED_GATHER)),
            _ if took < FEED_REST_MIN => None,
            _ => Some(ended + took),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_round_is_followed_by_a_rest_that_is_as_long_and_longer_for_a_crowd() {
        let began = Instant::now();
        let long = FEED_REST_MIN * 3;
        let short = FEED_REST_MIN / 2;
        for (told, took, rest) in [
            (1, long, Some(long)),
            (1, short, None),
            (FEED_CROWD - 1, short, None),
            (FEED_CROWD, short, Some(FEED_GATHER.max(short))),
            (FEED_CROWD, FEED_GATHER * 2, Some(FEED_GATHER * 2)),
        ] {
            let (mut rounds, ended) = (MarkRounds::default(), began + took);
            assert_eq!((rounds.is_due(began), rounds.at()), (false, None));
            rounds.note(true);
            assert!(rounds.is_due(began));
            rounds.passed(false);
            rounds.told(told);
            rounds.rest(began, ended);
            rounds.note(true);
            let next = ended + rest.unwrap_or_default();
            assert!(rounds.is_due(next), "{told} {took:?}");
            if rest.is_some() {
                assert_eq!(rounds.at(), Some(next));
                assert!(!rounds.is_due(next - Duration::from_nanos(1)), "{told} {took:?}");
            }
        }
    }
}
