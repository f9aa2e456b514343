//! Subscribers of one symbol or pattern, in the order of their numbers.
//!
//! Joining and ending cost the logarithm of how many there are. A walk keeps the number that it
//! visited last and goes on behind it, although others come and go meanwhile. Most symbols have one
//! subscriber, which is held in place.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

/// The number by which a feed knows a subscriber. Never used again.
pub(crate) type Number = u64;

/// A set of subscribers.
#[derive(Debug, Default)]
pub(crate) enum Members {
    #[default]
    Nobody,
    One(Number),
    Many(BTreeSet<Number>),
}

impl Members {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Members::Nobody)
    }

    pub(crate) fn insert(&mut self, number: Number) {
        match self {
            Members::Nobody => *self = Members::One(number),
            Members::One(other) if *other == number => {}
            Members::One(other) => *self = Members::Many([*other, number].into()),
            Members::Many(all) => {
                all.insert(number);
            }
        }
    }

    pub(crate) fn remove(&mut self, number: Number) {
        match self {
            Members::One(other) if *other == number => *self = Members::Nobody,
            Members::Many(all) => {
                all.remove(&number);
                match (all.first(), all.len()) {
                    (Some(last), 1) => *self = Members::One(*last),
                    (None, _) => *self = Members::Nobody,
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Copies those with a higher number, in order, as many as there is room for. Returns how many.
    pub(crate) fn copy_after(&self, number: Number, room: &mut [Number]) -> usize {
        let next = room.iter_mut().zip(self.after(number));
        next.map(|(place, member)| *place = member).count()
    }

    /// All with a higher number, in order.
    fn after(&self, number: Number) -> impl Iterator<Item = Number> + '_ {
        let (one, many) = match self {
            Members::Nobody => (None, None),
            Members::One(other) => (Some(*other).filter(|other| *other > number), None),
            Members::Many(all) => (None, Some(all.range((Excluded(number), Unbounded)).copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}
