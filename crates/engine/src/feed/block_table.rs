//! A table of values by their numbers, which lie in blocks.
//!
//! So growing moves few of them, and a block that holds none any more is given back.
//!
//! Invariant: a block is among the `open` ones, once, if it has room.

use slab::Slab;

/// Values of a block.
const BLOCK: usize = 4096;

/// Values by their numbers, each below 2³².
#[derive(Debug)]
pub(crate) struct BlockTable<T> {
    blocks: Vec<Slab<T>>,
    open: Vec<usize>,
    len: usize,
    /// Values for which there is memory.
    capacity: usize,
}

impl<T> Default for BlockTable<T> {
    fn default() -> BlockTable<T> {
        BlockTable { blocks: Vec::new(), open: Vec::new(), len: 0, capacity: 0 }
    }
}

impl<T> BlockTable<T> {
    /// Puts a value under a number that is free.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if self.open.is_empty() {
            self.open.push(self.blocks.len());
            self.blocks.push(Slab::new());
        }
        let number = self.open[self.open.len() - 1];
        let block = &mut self.blocks[number];
        let before = block.capacity();
        let at = block.insert(value);
        self.capacity += block.capacity() - before;
        self.len += 1;
        if block.len() == BLOCK {
            self.open.pop();
        }
        u32::try_from(number * BLOCK + at).expect("there are fewer stocks")
    }

    pub(crate) fn remove(&mut self, id: u32) -> T {
        let (number, at) = place(id);
        let block = &mut self.blocks[number];
        if block.len() == BLOCK {
            self.open.push(number);
        }
        let value = block.remove(at);
        self.len -= 1;
        if block.is_empty() {
            self.capacity -= block.capacity();
            *block = Slab::new();
        }
        value
    }

    pub(crate) fn get(&self, id: u32) -> &T {
        let (number, at) = place(id);
        &self.blocks[number][at]
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> &mut T {
        let (number, at) = place(id);
        &mut self.blocks[number][at]
    }

    pub(crate) fn contains(&self, id: u32) -> bool {
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

fn place(id: u32) -> (usize, usize) {
    (id as usize / BLOCK, id as usize % BLOCK)
}
