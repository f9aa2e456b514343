//! Whose turn is next among the connections of a worker that have something to do.
//!
//! A connection is *quick* as long as each of its turns finishes what it found within [`QUICK_WORK`],
//! and else *heavy* until one of its turns does. A pass gives every quick connection one turn, and
//! then heavy ones as many as fit in a [slice](heavy_until) of time. So a quick connection waits
//! for one turn of each other quick one and for one slice, however many are heavy and whatever they
//! ask; and heavy ones always get on. Messages of a feed are told in their time, too.
//!
//! It knows connections by their id alone.
//!
//! Invariant: a connection is in each queue once at most, as its [`Places`] say.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use stockd_model::limits::{
    HEAVY_SLICE_MAX, HEAVY_SLICE_MIN, QUICK_READ_BYTES, QUICK_WORK, READ_BYTES_MAX, TURN_WORK,
};

use crate::connection_id::ConnectionId;

/// The queues of one worker.
#[derive(Debug, Default)]
pub(crate) struct TurnQueue {
    quick: VecDeque<ConnectionId>,
    heavy: VecDeque<ConnectionId>,
}

/// One of the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Quick,
    Heavy,
}

/// Where one connection is queued, and where it will be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Places {
    in_quick: bool,
    in_heavy: bool,
    is_heavy: bool,
}

impl TurnQueue {
    /// Queues a turn by what the connection's latest turn was like.
    #[inline]
    pub(crate) fn push(&mut self, id: ConnectionId, places: &mut Places) {
        if places.is_heavy {
            self.push_heavy(id, places);
        } else if !mem::replace(&mut places.in_quick, true) {
            self.quick.push_back(id);
        }
    }

    /// Queues a turn among the heavy ones, whatever the connection is.
    pub(crate) fn push_heavy(&mut self, id: ConnectionId, places: &mut Places) {
        if !mem::replace(&mut places.in_heavy, true) {
            self.heavy.push_back(id);
        }
    }

    /// The next of a queue. Its place has to [know](Places::left).
    #[inline]
    pub(crate) fn pop(&mut self, pace: Pace) -> Option<ConnectionId> {
        match pace {
            Pace::Quick => self.quick.pop_front(),
            Pace::Heavy => self.heavy.pop_front(),
        }
    }

    #[inline]
    pub(crate) fn len(&self, pace: Pace) -> usize {
        match pace {
            Pace::Quick => self.quick.len(),
            Pace::Heavy => self.heavy.len(),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.quick.is_empty() && self.heavy.is_empty()
    }
}

impl Pace {
    /// Bytes that a turn reads at most.
    #[inline]
    pub(crate) fn read_bytes(self) -> usize {
        match self {
            Pace::Quick => QUICK_READ_BYTES,
            Pace::Heavy => READ_BYTES_MAX,
        }
    }

    /// The work of a turn.
    #[inline]
    pub(crate) fn work(self) -> usize {
        match self {
            Pace::Quick => QUICK_WORK,
            Pace::Heavy => TURN_WORK,
        }
    }
}

impl Places {
    /// It has left a queue for its turn.
    #[inline]
    pub(crate) fn left(&mut self, pace: Pace) {
        match pace {
            Pace::Quick => self.in_quick = false,
            Pace::Heavy => self.in_heavy = false,
        }
    }

    /// Its turn has done so much work, and has left something to do or not.
    #[inline]
    pub(crate) fn had_turn(&mut self, done: usize, again: bool) {
        // One that is heavy has to do far less to count as quick: else who sends somewhat more than
        // fits in a quick turn would be one and the other by turns.
        let most = if self.is_heavy { QUICK_WORK / 4 } else { QUICK_WORK };
        self.is_heavy = again || done >= most;
    }

    /// Its next turns are heavy ones until one is not.
    pub(crate) fn make_heavy(&mut self) {
        self.is_heavy = true;
    }
}

/// Until when heavy connections get turns in a pass whose quick ones have just had theirs: for as long
/// as the pass has taken by then, within [`HEAVY_SLICE_MIN`] and [`HEAVY_SLICE_MAX`].
pub(crate) fn heavy_until(pass_began: Instant, now: Instant) -> Instant {
    let pass = now.saturating_duration_since(pass_began);
    now + pass.clamp(HEAVY_SLICE_MIN, HEAVY_SLICE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new(number, 7)
    }

    #[test]
    fn who_was_not_finished_or_did_much_is_heavy_until_a_turn_is_quick() {
        let (mut queue, mut places) = (TurnQueue::default(), Places::default());
        for (done, again, pace) in [
            (QUICK_WORK - 1, false, Pace::Quick),
            (0, true, Pace::Heavy),
            (QUICK_WORK / 4, false, Pace::Heavy),
            (QUICK_WORK / 4 - 1, false, Pace::Quick),
            (QUICK_WORK, false, Pace::Heavy),
        ] {
            places.had_turn(done, again);
            queue.push(id(1), &mut places);
            queue.push(id(1), &mut places);
            assert_eq!((queue.len(pace), queue.pop(pace)), (1, Some(id(1))));
            assert!(queue.is_empty());
            places.left(pace);
        }
    }

    /// What it is to be told does not hold up what it asks.
    #[test]
    fn who_waits_among_the_heavy_still_gets_its_quick_turn() {
        let (mut queue, mut places) = (TurnQueue::default(), Places::default());
        queue.push_heavy(id(1), &mut places);
        queue.push(id(1), &mut places);
        queue.push_heavy(id(1), &mut places);
        assert_eq!([Pace::Quick, Pace::Heavy].map(|pace| queue.len(pace)), [1, 1]);
    }

    #[test]
    fn heavy_ones_get_as_long_as_the_pass_took_within_bounds() {
        let began = Instant::now();
        assert_eq!(heavy_until(began, began), began + HEAVY_SLICE_MIN);
        let long = HEAVY_SLICE_MIN + Duration::from_nanos(1);
        assert_eq!(heavy_until(began, began + long), began + 2 * long);
        let longer = HEAVY_SLICE_MAX * 10;
        assert_eq!(heavy_until(began, began + longer), began + longer + HEAVY_SLICE_MAX);
    }
}
