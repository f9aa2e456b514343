//! Whose turn is next among the connections of a worker that have something to do.
//!
//! A connection is *quick* as long as each of its turns finishes what it found within [`QUICK_WORK`],
//! and else *heavy* until one of its turns does. A pass gives every quick connection one turn, and
//! then heavy ones as many as fit in a slice of time. So a quick connection waits
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
    /// Heavy ones that were given a turn so far.
    heavy_served: u64,
}

/// The end of the queue of heavy ones as it was at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeavyEnd(u64);

/// One pass over the queues.
#[derive(Debug)]
pub(crate) struct Pass {
    /// Quick ones that have still to get their turn.
    quick: usize,
    /// Heavy ones, once it is their time.
    heavy: usize,
    began: Instant,
    heavy_until: Option<Instant>,
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

    /// Begins a pass over those that are queued now, each once at most; `now` is when the worker woke.
    #[inline]
    pub(crate) fn pass(&self, now: Instant) -> Pass {
        Pass { quick: self.quick.len(), heavy: 0, began: now, heavy_until: None }
    }

    /// Whose turn is next in the pass. Its place has to [know](Places::left).
    #[inline]
    pub(crate) fn next(
        &mut self,
        pass: &mut Pass,
        clock: impl FnOnce() -> Instant,
    ) -> Option<(Pace, ConnectionId)> {
        if pass.quick > 0 {
            pass.quick -= 1;
            return Some((Pace::Quick, self.quick.pop_front()?));
        }
        match self.heavy.is_empty() {
            true => None,
            false => self.next_heavy(pass, clock()),
        }
    }

    #[inline(never)]
    fn next_heavy(&mut self, pass: &mut Pass, now: Instant) -> Option<(Pace, ConnectionId)> {
        match pass.heavy_until {
            None => {
                // Those that were quick may have become heavy meanwhile, or have woken others.
                pass.heavy = self.heavy.len();
                pass.heavy_until = Some(heavy_until(pass.began, now));
            }
            Some(until) if now >= until => return None,
            Some(_) => {}
        }
        pass.heavy = pass.heavy.checked_sub(1)?;
        let next = self.heavy.pop_front()?;
        self.heavy_served += 1;
        Some((Pace::Heavy, next))
    }

    /// Behind all heavy ones that are queued now.
    pub(crate) fn heavy_end(&self) -> HeavyEnd {
        HeavyEnd(self.heavy_served + self.heavy.len() as u64)
    }

    /// Whether all heavy ones before that have been given their turns.
    #[inline]
    pub(crate) fn has_come_to(&self, end: HeavyEnd) -> bool {
        self.heavy_served >= end.0
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
fn heavy_until(pass_began: Instant, now: Instant) -> Instant {
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
            let now = Instant::now();
            let mut pass = queue.pass(now);
            assert_eq!(queue.next(&mut pass, || now), Some((pace, id(1))));
            assert_eq!(queue.next(&mut pass, || now), None);
            assert!(queue.is_empty());
            places.left(pace);
        }
    }

    /// The clock is made up: each heavy turn takes a quarter of a slice.
    #[test]
    fn a_quick_one_waits_for_one_slice_of_any_number_of_heavy_ones_and_each_of_those_gets_on() {
        const HEAVY: usize = 1000;
        let turn = HEAVY_SLICE_MIN / 4;
        let mut queue = TurnQueue::default();
        let mut places = vec![Places::default(); HEAVY + 1];
        let mut turns = vec![0; HEAVY + 1];
        for (number, places) in places.iter_mut().enumerate().skip(1) {
            places.had_turn(0, true);
            queue.push(id(number), places);
        }
        let mut now = Instant::now();
        for _ in 0..HEAVY / 4 {
            queue.push(id(0), &mut places[0]);
            let mut pass = queue.pass(now);
            let mut order = Vec::new();
            while let Some((pace, next)) = queue.next(&mut pass, || now) {
                let number = next.slot();
                places[number].left(pace);
                turns[number] += 1;
                order.push(pace);
                if pace == Pace::Heavy {
                    now += turn;
                    places[number].had_turn(TURN_WORK, true);
                    queue.push(next, &mut places[number]);
                }
            }
            assert_eq!(order[0], Pace::Quick);
            assert_eq!(order[1..], [Pace::Heavy; 4]);
        }
        assert_eq!(turns[0], HEAVY / 4);
        assert!(turns[1..].iter().all(|turns| *turns == 1), "{turns:?}");
    }

    /// What it is to be told does not hold up what it asks.
    #[test]
    fn who_waits_among_the_heavy_still_gets_its_quick_turn() {
        let (mut queue, mut places) = (TurnQueue::default(), Places::default());
        queue.push_heavy(id(1), &mut places);
        queue.push(id(1), &mut places);
        queue.push_heavy(id(1), &mut places);
        assert_eq!((queue.quick.len(), queue.heavy.len()), (1, 1));
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
