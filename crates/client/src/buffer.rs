//! Bytes that have arrived and wait to be read as replies.
//!
//! Invariant: it never holds more than its capacity, and gives out room as long as it is not full.

/// Bytes in at the back, replies out at the front.
pub(crate) struct ReplyBuffer {
    bytes: Box<[u8]>,
    /// What has arrived and was not taken is `bytes[taken..arrived]`.
    taken: usize,
    arrived: usize,
}

impl ReplyBuffer {
    /// A buffer of this capacity in bytes.
    pub(crate) fn new(capacity: usize) -> ReplyBuffer {
        ReplyBuffer { bytes: vec![0; capacity].into_boxed_slice(), taken: 0, arrived: 0 }
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

    /// Where the next bytes go. Empty only when the buffer is full of bytes that wait.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.taken > 0 {
            self.bytes.copy_within(self.taken..self.arrived, 0);
            self.arrived -= self.taken;
            self.taken = 0;
        }
        &mut self.bytes[self.arrived..]
    }

    /// This number of bytes was put at the front of [`room`](ReplyBuffer::room).
    pub(crate) fn received(&mut self, bytes: usize) {
        self.arrived += bytes;
        debug_assert!(self.arrived <= self.bytes.len());
    }
}
