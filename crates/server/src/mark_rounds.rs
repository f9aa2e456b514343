//! When a worker passes marks of the feed on to its subscribers, in rounds.
//!
//! A round is a slice of passing on and the turns that follow in the same pass of the worker. For as long as it took, no
//! other one begins: however many subscribers there are, at least half of the worker's time is left to turns, and what
//! changes meanwhile is told once. After a short round for few there is no rest.
//!
//! A write to a socket costs ten times what a message in it does, so subscribers are told at once of what was taken from
//! the writers together, when the last slice has passed it on (or a [bounded](FEED_SLICES_TOGETHER) number of them).
//! Where they are many, the round lasts until all of them have had their turn, and what changes is gathered meanwhile. A
//! stock that changes again by then is one mark in the worker's inbox, and not one for each subscriber. Who has no
//! room for what it is to be told has its turn without, and holds up no other. After a round that was
//! [long](FEED_CROWD_ROUND) readers get time to catch up, too: what is written for them while they have none waits in
//! their sockets and grows old.
//!
//! It knows no marks and no subscribers.
//!
//! Invariant: while marks wait, the next round has a time, or the last one goes on: then turns are queued.

use std::time::{Duration, Instant};

use stockd_model::limits::{
    FEED_CROWD, FEED_CROWD_ROUND, FEED_GATHER, FEED_REST_MIN, FEED_SLICES_TOGETHER,
};

use crate::turn_queue::{HeavyEnd, TurnQueue};

/// The rounds of one worker.
#[derive(Debug, Default)]
pub(crate) struct MarkRounds {
    /// Marks wait to be passed on.
    wait: bool,
    /// Not before this.
    from: Option<Instant>,
    /// When the round that is under way began.
    began: Option<Instant>,
    /// The turns of a crowd, before which the round does not end.
    until: Option<HeavyEnd>,
    /// Subscribers that are told in it.
    crowd: usize,
    /// Slices that are passed on and not told, since others are to follow.
    slices: usize,
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

    /// Begins a round if one is due. Whether it has begun.
    #[inline]
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        let is_due = self.wait && self.began.is_none() && self.from.is_none_or(|from| now >= from);
        if is_due {
            self.began = Some(now);
        }
        is_due
    }

    /// When the next round is, if marks wait and none is under way.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.wait.then(|| self.from.unwrap_or_else(Instant::now))
    }

    /// The round has passed on a slice, and others may wait or not. Some of them may have been taken from the writers
    /// together with it.
    pub(crate) fn passed(&mut self, others_wait: bool, is_partial: bool) {
        self.wait = others_wait;
        self.slices += 1;
        if !is_partial || self.slices == FEED_SLICES_TOGETHER {
            self.slices = 0;
        }
    }

    /// Whether subscribers are told later what is passed on.
    #[inline]
    pub(crate) fn gathers(&self) -> bool {
        self.slices > 0
    }

    /// Those that are told in the round have their turns queued. Where they are many it lasts until all have had them.
    pub(crate) fn queued(&mut self, turns: &TurnQueue) {
        self.until = (self.crowd >= FEED_CROWD).then(|| turns.heavy_end());
    }

    /// Turns were given in the pass that began at `now`. Rests, if it was the first of a round, and ends the round with the
    /// last turn of its crowd.
    #[inline]
    pub(crate) fn turns_given(
        &mut self,
        now: Instant,
        turns: &TurnQueue,
        clock: impl FnOnce() -> Instant,
    ) {
        let Some(began) = self.began else { return };
        let is_told = self.until.is_none_or(|until| turns.has_come_to(until));
        if !is_told && began != now {
            return;
        }
        let ended = clock();
        let took = ended.saturating_duration_since(began);
        let rest = match std::mem::take(&mut self.crowd) {
            _ if began != now => took.saturating_sub(FEED_CROWD_ROUND),
            FEED_CROWD.. => took.max(FEED_GATHER),
            _ if took < FEED_REST_MIN => Duration::ZERO,
            _ => took,
        };
        self.from = self.from.max(Some(ended + rest));
        if is_told {
            (self.began, self.until) = (None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection_id::ConnectionId;
    use crate::turn_queue::Places;

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
            let turns = TurnQueue::default();
            assert_eq!((rounds.begin(began), rounds.at()), (false, None));
            rounds.note(true);
            assert!(rounds.begin(began));
            rounds.passed(false, false);
            rounds.told(told);
            rounds.queued(&turns);
            rounds.turns_given(began, &turns, || ended);
            rounds.note(true);
            let next = ended + rest.unwrap_or_default();
            if rest.is_some() {
                assert_eq!(rounds.at(), Some(next));
                assert!(!rounds.begin(next - Duration::from_nanos(1)), "{told} {took:?}");
            }
            assert!(rounds.begin(next), "{told} {took:?}");
        }
    }

    /// What was taken together is told when the last slice of it is passed on, to a crowd. After that no other round begins
    /// before all that were queued by then had their turn; those that come behind them are not waited for.
    #[test]
    fn no_other_marks_are_taken_before_a_crowd_had_its_turns() {
        let mut now = Instant::now();
        let (mut rounds, mut turns) = (MarkRounds::default(), TurnQueue::default());
        let mut places = [Places::default(); 2 * FEED_CROWD];
        let mut push = |turns: &mut TurnQueue, number: usize| {
            turns.push_heavy(ConnectionId::new(number, 1), &mut places[number]);
        };
        rounds.note(true);
        for _ in 0..2 {
            assert!(rounds.begin(now));
            rounds.passed(true, true);
            assert!(rounds.gathers());
            rounds.queued(&turns);
            let began = now;
            now += FEED_GATHER;
            rounds.turns_given(began, &turns, || now);
            assert!(!rounds.begin(now));
            now += FEED_GATHER;
        }
        assert!(rounds.begin(now));
        rounds.passed(true, false);
        assert!(!rounds.gathers());
        rounds.told(FEED_CROWD);
        (0..FEED_CROWD).for_each(|number| push(&mut turns, number));
        rounds.queued(&turns);
        push(&mut turns, FEED_CROWD);
        for left in (0..FEED_CROWD).rev() {
            let began = now;
            now += FEED_GATHER;
            let mut pass = turns.pass(began);
            assert!(turns.next(&mut pass, || began).is_some());
            rounds.turns_given(began, &turns, || now);
            assert!(!rounds.begin(now), "{left} are left");
        }
        let rest = FEED_GATHER * FEED_CROWD as u32 - FEED_CROWD_ROUND;
        assert_eq!(rounds.at(), Some(now + rest));
        assert!(rounds.begin(now + rest) && !turns.is_empty());
    }

    #[test]
    fn what_takes_long_to_be_passed_on_is_told_in_parts() {
        let mut rounds = MarkRounds::default();
        for slice in 1..=3 * FEED_SLICES_TOGETHER {
            rounds.passed(true, true);
            assert_eq!(rounds.gathers(), !slice.is_multiple_of(FEED_SLICES_TOGETHER));
        }
    }
}
