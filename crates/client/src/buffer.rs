//! Bytes that have arrived and wait to be read as replies.
//!
//! Invariant: it never holds more bytes than its bound, and gives out room as long as it holds fewer.

use std::fmt;

use crate::error::excerpt;

/// Bytes in at the back, replies out at the front.
pub(crate) struct ReplyBuffer {
    bytes: Vec<u8>,
    /// What has arrived and was not taken is `bytes[taken..arrived]`.
    taken: usize,
    arrived: usize,
    bytes_max: usize,
}

impl ReplyBuffer {
    /// A buffer of this number of bytes, which grows up to `bytes_max` where one reply needs more.
    pub(crate) fn new(bytes: usize, bytes_max: usize) -> ReplyBuffer {
        ReplyBuffer { bytes: vec![0; bytes], taken: 0, arrived: 0, bytes_max }
    }

    /// What has arrived and was not taken.
    #[inline]
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.taken..self.arrived]
    }

    /// Takes bytes off the front, at most all that wait.
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) {
        self.taken += bytes;
        debug_assert!(self.taken <= self.arrived);
    }

    /// Where the next bytes go. Empty only when `bytes_max` bytes wait.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.taken > 0 {
            self.bytes.copy_within(self.taken..self.arrived, 0);
            self.arrived -= self.taken;
            self.taken = 0;
        }
        if self.arrived == self.bytes.len() {
            self.bytes.resize((2 * self.arrived).min(self.bytes_max), 0);
        }
        &mut self.bytes[self.arrived..]
    }

    /// This number of bytes was put at the front of [`room`](ReplyBuffer::room).
    pub(crate) fn received(&mut self, bytes: usize) {
        self.arrived += bytes;
        debug_assert!(self.arrived <= self.bytes.len());
    }
}

/// The beginning of what waits.
impl fmt::Debug for ReplyBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyBuffer").field(&excerpt(self.waiting())).finish()
    }
}
