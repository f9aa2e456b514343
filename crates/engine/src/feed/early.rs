//! What a subscriber was told of topics ahead of what was passed on.
//!
//! Where many are told all the time most of what they are told is ahead, so a note is as cheap as a bit: topics near
//! each other share a block of 64, as in a [`TopicSet`](super::topic_set::TopicSet), with the stamps of those that are
//! noted, packed.
//!
//! Invariant: a block has a stamp for each of its bits, in their order, and none is empty.

use std::collections::BTreeMap;

use super::stamp::Stamp;
use super::topics::TopicId;

/// Topics of a block.
const BLOCK: u32 = u64::BITS;

/// Stamps by topics.
#[derive(Debug, Default)]
pub(crate) struct Early {
    blocks: BTreeMap<u32, Block>,
    len: usize,
}

#[derive(Debug, Default)]
struct Block {
    bits: u64,
    stamps: Vec<Stamp>,
}

impl Block {
    fn has(&self, topic: TopicId) -> bool {
        self.bits & bit(topic) != 0
    }

    /// Where the stamp of a topic is, or would be.
    fn place(&self, topic: TopicId) -> usize {
        (self.bits & (bit(topic) - 1)).count_ones() as usize
    }
}

impl Early {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, topic: TopicId) -> Option<Stamp> {
        if self.is_empty() {
            return None;
        }
        let block = self.blocks.get(&(topic / BLOCK)).filter(|block| block.has(topic))?;
        block.stamps.get(block.place(topic)).copied()
    }

    /// Notes a stamp. Returns the one that it replaces.
    pub(crate) fn insert(&mut self, topic: TopicId, stamp: Stamp) -> Option<Stamp> {
        let block = self.blocks.entry(topic / BLOCK).or_default();
        let place = block.place(topic);
        if block.has(topic) {
            return Some(std::mem::replace(&mut block.stamps[place], stamp));
        }
        block.bits |= bit(topic);
        block.stamps.insert(place, stamp);
        self.len += 1;
        None
    }

    pub(crate) fn remove(&mut self, topic: TopicId) -> Option<Stamp> {
        if self.is_empty() {
            return None;
        }
        let number = topic / BLOCK;
        let block = self.blocks.get_mut(&number).filter(|block| block.has(topic))?;
        let stamp = block.stamps.remove(block.place(topic));
        block.bits &= !bit(topic);
        if block.bits == 0 {
            self.blocks.remove(&number);
        }
        self.len -= 1;
        Some(stamp)
    }

    /// Takes a topic away, if there is one.
    pub(crate) fn pop(&mut self) -> Option<TopicId> {
        let (number, block) = self.blocks.first_key_value()?;
        let topic = number * BLOCK + block.bits.trailing_zeros();
        self.remove(topic);
        Some(topic)
    }

    /// About how many bytes it holds elsewhere: each block in a tree that is two thirds full, its stamps in room for half
    /// as many more.
    pub(crate) fn bytes(&self) -> usize {
        const BLOCK_BYTES: usize = (size_of::<u32>() + size_of::<Block>()) * 3 / 2;
        self.blocks.len() * BLOCK_BYTES + self.len * size_of::<Stamp>() * 3 / 2
    }
}

fn bit(topic: TopicId) -> u64 {
    1 << (topic % BLOCK)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// It does what a map of the standard library does, near the ends of blocks too, and is as sound as it says.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0..4_u8, 0..200_u32, 1..9_u64), 0..300)) {
            let (mut early, mut model) = (Early::default(), BTreeMap::new());
            for (step, topic, version) in steps {
                let stamp = Stamp::listed(version);
                match step {
                    0 | 1 => prop_assert_eq!(early.insert(topic, stamp), model.insert(topic, stamp)),
                    2 => prop_assert_eq!(early.remove(topic), model.remove(&topic)),
                    _ => prop_assert_eq!(early.pop(), model.pop_first().map(|(topic, _)| topic)),
                }
                prop_assert_eq!(early.get(topic), model.get(&topic).copied());
                prop_assert_eq!((early.len, early.is_empty()), (model.len(), model.is_empty()));
                let is_sound = |block: &Block| {
                    block.bits != 0 && block.bits.count_ones() as usize == block.stamps.len()
                };
                prop_assert!(early.blocks.values().all(is_sound));
            }
        }
    }
}
