//! Bytes that have come and were not decoded yet.

/// A buffer that is filled at its end and taken from at its front.
///
/// Invariant: it holds what one fill brought and the message that was cut before it.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    taken: usize,
    /// Bytes taken since the beginning of the feed.
    offset: u64,
}

impl Pending {
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// What is not taken yet.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    pub(crate) fn take(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes.len() - self.taken);
        self.taken += bytes;
        self.offset += bytes as u64;
    }

    /// Where in the feed the next byte stands.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }
}
