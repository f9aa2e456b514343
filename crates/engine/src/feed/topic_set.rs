//! A set of topics, by their numbers.
//!
//! Numbers near each other share a block of 64, one bit each. Topics get their numbers in the order in which they
//! are first wanted, so a subscriber's hundred symbols are two or three blocks, which are found with a few comparisons. Where
//! they lie apart a block is the node of a search tree, as a number alone would be.
//!
//! Invariant: no block is empty, and `len` is the number of bits that are set.

use std::collections::BTreeMap;

use super::topics::TopicId;

/// Topics of a block.
const BLOCK: u32 = u64::BITS;

/// A set of topics in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct TopicSet {
    blocks: BTreeMap<u32, u64>,
    len: usize,
}

impl TopicSet {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a topic. Returns whether it was not there before.
    pub(crate) fn insert(&mut self, topic: TopicId) -> bool {
        let block = self.blocks.entry(topic / BLOCK).or_default();
        let is_new = *block & bit(topic) == 0;
        *block |= bit(topic);
        self.len += usize::from(is_new);
        is_new
    }

    /// Takes a topic away. Returns whether it was there.
    pub(crate) fn remove(&mut self, topic: TopicId) -> bool {
        let Some(block) = self.blocks.get_mut(&(topic / BLOCK)) else {
            return false;
        };
        let was_there = *block & bit(topic) != 0;
        *block &= !bit(topic);
        if *block == 0 {
            self.blocks.remove(&(topic / BLOCK));
        }
        self.len -= usize::from(was_there);
        was_there
    }

    pub(crate) fn contains(&self, topic: TopicId) -> bool {
        self.blocks.get(&(topic / BLOCK)).is_some_and(|block| block & bit(topic) != 0)
    }

    pub(crate) fn first(&self) -> Option<TopicId> {
        self.blocks.first_key_value().map(lowest)
    }

    /// The first with a higher number.
    pub(crate) fn after(&self, topic: TopicId) -> Option<TopicId> {
        let number = topic / BLOCK;
        // Two shifts: one by all bits is none.
        let above = u64::MAX << (topic % BLOCK) << 1;
        let rest = self.blocks.get(&number).map_or(0, |block| block & above);
        match rest {
            0 => self.blocks.range(number + 1..).next().map(lowest),
            rest => Some(lowest((&number, &rest))),
        }
    }

    pub(crate) fn pop_first(&mut self) -> Option<TopicId> {
        let first = self.first()?;
        self.remove(first);
        Some(first)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = TopicId> + '_ {
        let mut next = self.first();
        std::iter::from_fn(move || {
            let topic = next?;
            next = self.after(topic);
            Some(topic)
        })
    }

    /// About how many bytes it holds: a block in a tree that is two thirds full takes half as much again.
    pub(crate) fn bytes(&self) -> usize {
        const BLOCK_BYTES: usize = (size_of::<u32>() + size_of::<u64>()) * 3 / 2;
        self.blocks.len() * BLOCK_BYTES
    }
}

fn bit(topic: TopicId) -> u64 {
    1 << (topic % BLOCK)
}

fn lowest((number, block): (&u32, &u64)) -> TopicId {
    number * BLOCK + block.trailing_zeros()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// It does what a set of the standard library does, near the ends of blocks and of the numbers too.
        #[test]
        fn it_is_a_set(
            steps in prop::collection::vec(
                (0..5_u8, prop_oneof![0..200_u32, Just(u32::MAX), Just(u32::MAX - 63), Just(u32::MAX - 64)]),
                0..300,
            ),
        ) {
            let (mut set, mut model) = (TopicSet::default(), BTreeSet::new());
            for (step, topic) in steps {
                match step {
                    0 | 1 => prop_assert_eq!(set.insert(topic), model.insert(topic)),
                    2 => prop_assert_eq!(set.remove(topic), model.remove(&topic)),
                    3 => prop_assert_eq!(set.pop_first(), model.pop_first()),
                    _ => {
                        let after = model.iter().find(|it| **it > topic);
                        prop_assert_eq!(set.after(topic), after.copied());
                    }
                }
                prop_assert_eq!(set.contains(topic), model.contains(&topic));
                prop_assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(set.first(), model.first().copied());
                prop_assert!(set.blocks.values().all(|block| *block != 0));
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
