//! The bytes of sends that are tried once, until all of them are complete.
//!
//! Invariant: what is in the batch is not moved, so the kernel may read it.

use std::io;

use crate::tag::Tag;

/// Bytes of sends, one after the other.
pub(crate) struct Batch {
    /// Never longer than it was first allocated, so that it never moves.
    bytes: Vec<u8>,
    /// Where the bytes of each send are.
    sends: Vec<(usize, usize)>,
    in_flight: usize,
}

impl Batch {
    /// A batch with room for so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Batch {
        Batch { bytes: Vec::with_capacity(bytes_max), sends: Vec::new(), in_flight: 0 }
    }

    /// How many bytes there is room for.
    pub(crate) fn room(&self) -> usize {
        match self.sends.len() < Tag::INDICES {
            true => self.bytes.capacity() - self.bytes.len(),
            false => 0,
        }
    }

    /// Puts bytes behind those that are there: where they are, and under which index.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> (*const u8, usize) {
        let start = self.bytes.len();
        assert!(bytes.len() <= self.bytes.capacity() - start, "more than there is room for");
        self.bytes.extend_from_slice(bytes);
        self.sends.push((start, bytes.len()));
        self.in_flight += 1;
        (self.bytes[start..].as_ptr(), self.sends.len() - 1)
    }

    /// A send is complete: what of its bytes is left, unless it failed for good.
    #[inline]
    pub(crate) fn sent(&mut self, index: usize, outcome: &io::Result<usize>) -> Vec<u8> {
        let (start, len) = self.sends[index];
        let sent = *outcome.as_ref().unwrap_or(&0);
        let rest = self.bytes[start..start + len][sent..].to_vec();
        self.in_flight -= 1;
        if self.in_flight == 0 {
            self.bytes.clear();
            self.sends.clear();
        }
        rest
    }
}
