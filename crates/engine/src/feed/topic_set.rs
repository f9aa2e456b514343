//! A set of topics, by their numbers.
//!
//! Numbers near each other share a block of 64, one bit each. Topics get their numbers in the order in which they
//! are first wanted, so a subscriber's hundred symbols are two or three blocks, which the set holds in place. More
//! blocks are in a search tree.
//!
//! Invariant: no block is empty, and `len` is the number of bits that are set.

use std::collections::BTreeMap;

use super::topics::TopicId;

/// Topics of a block.
const BLOCK: u32 = u64::BITS;

/// Blocks that are held in place.
const FEW: usize = 3;

/// A set of topics in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct TopicSet {
    blocks: Blocks,
    len: usize,
}

/// Blocks by their numbers.
#[derive(Debug)]
enum Blocks {
    Few(Few),
    Many(BTreeMap<u32, u64>),
}

/// A few blocks, in order; behind them are empty ones.
#[derive(Clone, Copy, Debug, Default)]
struct Few {
    numbers: [u32; FEW],
    bits: [u64; FEW],
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
        let block = self.blocks.get_or_insert(topic / BLOCK);
        let is_new = *block & bit(topic) == 0;
        *block |= bit(topic);
        self.len += usize::from(is_new);
        is_new
    }

    /// Takes a topic away. Returns whether it was there.
    pub(crate) fn remove(&mut self, topic: TopicId) -> bool {
        let Some(block) = self.blocks.get_mut(topic / BLOCK) else {
            return false;
        };
        let was_there = *block & bit(topic) != 0;
        *block &= !bit(topic);
        if *block == 0 {
            self.blocks.remove_empty(topic / BLOCK);
        }
        self.len -= usize::from(was_there);
        was_there
    }

    pub(crate) fn contains(&self, topic: TopicId) -> bool {
        self.blocks.get(topic / BLOCK) & bit(topic) != 0
    }

    pub(crate) fn first(&self) -> Option<TopicId> {
        self.blocks.from(0).map(lowest)
    }

    /// The first with a higher number.
    pub(crate) fn after(&self, topic: TopicId) -> Option<TopicId> {
        let number = topic / BLOCK;
        // Two shifts: one by all bits is none.
        let above = u64::MAX << (topic % BLOCK) << 1;
        match self.blocks.get(number) & above {
            0 => self.blocks.from(number + 1).map(lowest),
            rest => Some(lowest((number, rest))),
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

    /// About how many bytes it holds elsewhere: a block in a tree that is two thirds full takes half as much again.
    pub(crate) fn bytes(&self) -> usize {
        const BLOCK_BYTES: usize = (size_of::<u32>() + size_of::<u64>()) * 3 / 2;
        match &self.blocks {
            Blocks::Few(_) => 0,
            Blocks::Many(blocks) => blocks.len() * BLOCK_BYTES,
        }
    }
}

impl Default for Blocks {
    fn default() -> Blocks {
        Blocks::Few(Few::default())
    }
}

impl Blocks {
    /// The block of this number; an empty one if it is not there.
    fn get(&self, number: u32) -> u64 {
        match self {
            Blocks::Few(few) => few.place(number).map_or(0, |at| few.bits[at]),
            Blocks::Many(blocks) => blocks.get(&number).copied().unwrap_or(0),
        }
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut u64> {
        match self {
            Blocks::Few(few) => few.place(number).map(|at| &mut few.bits[at]),
            Blocks::Many(blocks) => blocks.get_mut(&number),
        }
    }

    /// The block of this number, which may be empty: then the caller puts something into it.
    fn get_or_insert(&mut self, number: u32) -> &mut u64 {
        if let Blocks::Few(few) = self
            && few.is_full()
            && few.place(number).is_none()
        {
            *self = Blocks::Many(few.numbers.into_iter().zip(few.bits).collect());
        }
        match self {
            Blocks::Few(few) => {
                let at = few.place(number).unwrap_or_else(|| few.insert(number));
                &mut few.bits[at]
            }
            Blocks::Many(blocks) => blocks.entry(number).or_default(),
        }
    }

    /// Takes a block away that has become empty.
    fn remove_empty(&mut self, number: u32) {
        match self {
            Blocks::Few(few) => few.close_gap(),
            Blocks::Many(blocks) => {
                blocks.remove(&number);
                // Not as soon as there is room: a set that gains and loses a block would be copied each time.
                if let (1, Some((&number, &bits))) = (blocks.len(), blocks.first_key_value()) {
                    let mut few = Few::default();
                    (few.numbers[0], few.bits[0]) = (number, bits);
                    *self = Blocks::Few(few);
                }
            }
        }
    }

    /// The first block of at least this number.
    fn from(&self, number: u32) -> Option<(u32, u64)> {
        match self {
            Blocks::Few(few) => {
                let mut blocks = few.numbers.into_iter().zip(few.bits);
                blocks.find(|(at, bits)| *at >= number && *bits != 0)
            }
            Blocks::Many(blocks) => blocks.range(number..).next().map(|(at, bits)| (*at, *bits)),
        }
    }
}

impl Few {
    fn is_full(&self) -> bool {
        self.bits[FEW - 1] != 0
    }

    fn place(&self, number: u32) -> Option<usize> {
        (0..FEW).find(|&at| self.numbers[at] == number && self.bits[at] != 0)
    }

    /// Makes an empty block in its place, where there is room. The last one is empty.
    fn insert(&mut self, number: u32) -> usize {
        let is_behind = |&at: &usize| self.bits[at] == 0 || self.numbers[at] > number;
        let at = (0..FEW).find(is_behind).unwrap_or(FEW - 1);
        self.numbers[at..].rotate_right(1);
        self.bits[at..].rotate_right(1);
        self.numbers[at] = number;
        at
    }

    /// Puts an empty block, if there is one before others, behind them.
    fn close_gap(&mut self) {
        let gap = (0..FEW).find(|&at| self.bits[at] == 0).unwrap_or(FEW - 1);
        self.numbers[gap..].rotate_left(1);
        self.bits[gap..].rotate_left(1);
    }
}

fn bit(topic: TopicId) -> u64 {
    1 << (topic % BLOCK)
}

fn lowest((number, block): (u32, u64)) -> TopicId {
    number * BLOCK + block.trailing_zeros()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// No block of a tree is empty, and those in place are in order before the empty ones.
    fn is_sound(blocks: &Blocks) -> bool {
        match blocks {
            Blocks::Few(Few { numbers, bits }) => {
                let used = bits.iter().take_while(|bits| **bits != 0).count();
                bits[used..].iter().all(|bits| *bits == 0)
                    && numbers[..used].is_sorted_by(|a, b| a < b)
            }
            Blocks::Many(blocks) => blocks.values().all(|block| *block != 0) && blocks.len() > 1,
        }
    }

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
                prop_assert!(is_sound(&set.blocks));
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
