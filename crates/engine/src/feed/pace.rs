//! How a subscriber is told that has an interval of its own: at most one message a symbol in that time.
//!
//! It is told in rounds. The marks that are there when a round begins are told, each once; then its marks rest for
//! the interval, while what changes is noted as ever, and the next round begins. What a subscription tells first is no
//! matter of marks, and comes at once.
//!
//! Invariant: a subscriber that rests is among those that [rest](Resting), once, or among those whose round has ended.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::members::Number;

/// How one subscriber is paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    interval: Duration,
    state: State,
    /// Whether the round that is under way has told anything: a mark may come to nothing.
    has_told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No round is under way.
    Ready,
    /// Marks that are left of the round that is under way.
    Round(usize),
    /// A round has ended, and it is not known when.
    Ended,
    RestsUntil(Instant),
}

/// The subscribers that rest.
#[derive(Debug, Default)]
pub(crate) struct Resting {
    /// Those whose round has ended since somebody last looked.
    ended: Vec<Number>,
    until: BTreeSet<(Instant, Number)>,
}

impl Pace {
    pub(crate) fn new(interval: Duration) -> Pace {
        Pace { interval, state: State::Ready, has_told: false }
    }

    /// Whether no mark may be told.
    pub(crate) fn rests(&self) -> bool {
        matches!(self.state, State::Ended | State::RestsUntil(_))
    }

    /// One of these marks is taken to be told.
    pub(crate) fn take_mark(&mut self, marks: usize) {
        let left = match self.state {
            State::Ready => marks,
            State::Round(left) => left,
            State::Ended | State::RestsUntil(_) => return,
        };
        self.state = State::Round(left.saturating_sub(1));
    }

    /// A mark is forgotten, which may have been one of the round.
    pub(crate) fn forget_mark(&mut self) {
        if let State::Round(left) = &mut self.state {
            *left = left.saturating_sub(1);
        }
    }

    /// A message comes of a mark, if a round is under way.
    pub(crate) fn note_told(&mut self) {
        self.has_told |= matches!(self.state, State::Round(_));
    }

    /// Nothing that was taken is left to be told. Returns whether that has ended a round, after which it rests.
    pub(crate) fn end_round(&mut self) -> bool {
        if self.state != State::Round(0) {
            return false;
        }
        let has_told = std::mem::take(&mut self.has_told);
        self.state = if has_told { State::Ended } else { State::Ready };
        has_told
    }

    /// Its round has ended before now. Returns until when it rests, if it was not paced otherwise meanwhile.
    pub(crate) fn rest(&mut self, now: Instant) -> Option<Instant> {
        let until = (self.state == State::Ended).then(|| now + self.interval)?;
        self.state = State::RestsUntil(until);
        Some(until)
    }

    /// It has rested.
    pub(crate) fn end_rest(&mut self) {
        self.state = State::Ready;
    }
}

impl Resting {
    /// A round of one has ended.
    pub(crate) fn end_round(&mut self, number: Number) {
        self.ended.push(number);
    }

    pub(crate) fn pop_ended(&mut self) -> Option<Number> {
        self.ended.pop()
    }

    pub(crate) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    pub(crate) fn insert(&mut self, until: Instant, number: Number) {
        self.until.insert((until, number));
    }

    /// One has left, or is paced otherwise.
    pub(crate) fn forget(&mut self, number: Number, pace: Option<Pace>) {
        if let Some(Pace { state: State::RestsUntil(until), .. }) = pace {
            self.until.remove(&(until, number));
        }
    }

    /// One that has rested by now.
    pub(crate) fn pop_rested(&mut self, now: Instant) -> Option<Number> {
        let (until, _) = self.until.first()?;
        (*until <= now).then(|| self.until.pop_first())?.map(|(_, number)| number)
    }

    /// Until when the first one rests.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until.first().map(|(until, _)| *until)
    }
}
