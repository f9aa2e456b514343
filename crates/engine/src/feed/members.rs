//! Subscribers of one symbol or pattern, in the order of their numbers.
//!
//! A walk keeps the number that it visited last and goes on behind it, although others come and go meanwhile. Most
//! symbols have one subscriber, which is held in place. Those that have more have them in a row, since a walk over
//! them is all that a pass does; those that have very many in a tree, since one that comes or goes would move too
//! many others.
//!
//! Invariant: a row has 2 to [`ROW_MAX`] members.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

/// The number by which a feed knows a subscriber. Never used again.
pub(crate) type Number = u64;

/// Members of a row, at most: moving all of them takes a microsecond.
const ROW_MAX: usize = if cfg!(test) { 8 } else { 4096 };

/// A set of subscribers.
#[derive(Debug, Default)]
pub(crate) enum Members {
    #[default]
    Nobody,
    One(Number),
    Row(Vec<Number>),
    Tree(BTreeSet<Number>),
}

impl Members {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Members::Nobody)
    }

    pub(crate) fn insert(&mut self, number: Number) {
        match self {
            Members::Nobody => *self = Members::One(number),
            Members::One(other) if *other == number => {}
            Members::One(other) => {
                *self = Members::Row(vec![number.min(*other), number.max(*other)]);
            }
            Members::Row(row) => {
                if let Err(place) = row.binary_search(&number) {
                    row.insert(place, number);
                }
                if row.len() > ROW_MAX {
                    *self = Members::Tree(row.iter().copied().collect());
                }
            }
            Members::Tree(tree) => {
                tree.insert(number);
            }
        }
    }

    pub(crate) fn remove(&mut self, number: Number) {
        match self {
            Members::One(other) if *other == number => *self = Members::Nobody,
            Members::Row(row) => {
                if let Ok(place) = row.binary_search(&number) {
                    row.remove(place);
                }
                match row[..] {
                    [last] => *self = Members::One(last),
                    _ if row.len() * 4 < row.capacity() => row.shrink_to(row.len() * 2),
                    _ => {}
                }
            }
            Members::Tree(tree) => {
                tree.remove(&number);
                // Not as soon as there is room: where one comes and goes all would be copied each time.
                if tree.len() <= ROW_MAX / 2 {
                    *self = Members::Row(tree.iter().copied().collect());
                }
            }
            _ => {}
        }
    }

    /// Copies those with a higher number, in order, as many as there is room for. Returns how many.
    pub(crate) fn copy_after(&self, number: Number, room: &mut [Number]) -> usize {
        let rest = match self {
            Members::Nobody => &[][..],
            Members::One(other) => std::slice::from_ref(other),
            Members::Row(row) => row,
            Members::Tree(tree) => {
                let next = room.iter_mut().zip(tree.range((Excluded(number), Unbounded)));
                return next.map(|(place, member)| *place = *member).count();
            }
        };
        let rest = &rest[rest.partition_point(|member| *member <= number)..];
        let count = rest.len().min(room.len());
        room[..count].copy_from_slice(&rest[..count]);
        count
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// They do what a set of the standard library does, as few, in a row and in a tree.
        #[test]
        fn they_are_a_set(steps in prop::collection::vec((any::<bool>(), 1..24_u64, 0..24_u64), 0..200)) {
            let (mut members, mut model) = (Members::default(), BTreeSet::new());
            for (joins, number, after) in steps {
                match joins {
                    true => drop((members.insert(number), model.insert(number))),
                    false => drop((members.remove(number), model.remove(&number))),
                }
                prop_assert_eq!(members.is_empty(), model.is_empty());
                let mut room = [0; 5];
                let count = members.copy_after(after, &mut room);
                let expected: Vec<_> = model.range(after + 1..).copied().take(5).collect();
                prop_assert_eq!(&room[..count], &expected[..]);
                if let Members::Row(row) = &members {
                    prop_assert!((2..=ROW_MAX).contains(&row.len()));
                }
            }
        }
    }
}
