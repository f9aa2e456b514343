//! Where the topics of a feed lie, each under its number.
//!
//! They lie in blocks, so that growing moves few of them, and a block that nobody needs any more is
//! given back.
//!
//! Invariant: a block is among the `open` ones, once, if it has room.

use slab::Slab;

use super::topics::{Topic, TopicId};

/// Topics of a block.
const BLOCK: usize = 4096;

/// Topics by their numbers.
#[derive(Debug, Default)]
pub(crate) struct TopicTable {
    blocks: Vec<Slab<Topic>>,
    open: Vec<usize>,
    len: usize,
    /// Topics for which there is memory.
    capacity: usize,
}

impl TopicTable {
    /// Puts a topic under a number that is free.
    pub(crate) fn insert(&mut self, topic: Topic) -> TopicId {
        if self.open.is_empty() {
            self.open.push(self.blocks.len());
            self.blocks.push(Slab::new());
        }
        let number = self.open[self.open.len() - 1];
        let block = &mut self.blocks[number];
        let before = block.capacity();
        let at = block.insert(topic);
        self.capacity += block.capacity() - before;
        self.len += 1;
        if block.len() == BLOCK {
            self.open.pop();
        }
        TopicId::try_from(number * BLOCK + at).expect("there are fewer stocks")
    }

    pub(crate) fn remove(&mut self, id: TopicId) -> Topic {
        let (number, at) = place(id);
        let block = &mut self.blocks[number];
        if block.len() == BLOCK {
            self.open.push(number);
        }
        let topic = block.remove(at);
        self.len -= 1;
        if block.is_empty() {
            self.capacity -= block.capacity();
            *block = Slab::new();
        }
        topic
    }

    pub(crate) fn get(&self, id: TopicId) -> &Topic {
        let (number, at) = place(id);
        &self.blocks[number][at]
    }

    pub(crate) fn get_mut(&mut self, id: TopicId) -> &mut Topic {
        let (number, at) = place(id);
        &mut self.blocks[number][at]
    }

    pub(crate) fn contains(&self, id: TopicId) -> bool {
        let (number, at) = place(id);
        self.blocks.get(number).is_some_and(|block| block.contains(at))
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// All numbers in use are below this one.
    pub(crate) fn ids_end(&self) -> usize {
        let last = self.blocks.last().map_or(0, Slab::capacity);
        self.blocks.len().saturating_sub(1) * BLOCK + last
    }
}

fn place(id: TopicId) -> (usize, usize) {
    (id as usize / BLOCK, id as usize % BLOCK)
}
