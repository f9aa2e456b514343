//! Replies that one client has not taken yet.

/// Bytes that wait to be written. Holds no memory while nothing waits.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// Bytes at the front that are written already.
    written: usize,
}

impl Output {
    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it holds.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The bytes that wait, in order.
    pub(crate) fn unwritten(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Puts more behind what waits.
    pub(crate) fn append(&mut self, more: &[u8]) {
        // Moving the rest to the front costs less than what was written since the last move.
        if self.written > self.len() {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        self.bytes.extend_from_slice(more);
        self.check_invariants();
    }

    /// So many bytes at the front are written.
    pub(crate) fn advance(&mut self, written: usize) {
        self.written += written;
        if self.is_empty() {
            *self = Output::default();
        }
        self.check_invariants();
    }

    fn check_invariants(&self) {
        debug_assert!(self.written <= self.bytes.len());
        debug_assert!(!self.is_empty() || self.bytes.capacity() == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_they_came_however_they_are_taken() {
        let mut output = Output::default();
        let mut taken = Vec::new();
        for round in 0..200_u8 {
            output.append(&[round; 7]);
            assert!(output.bytes.len() <= 2 * output.len());
            let part = usize::from(round % 11).min(output.len());
            taken.extend_from_slice(&output.unwritten()[..part]);
            output.advance(part);
        }
        taken.extend_from_slice(output.unwritten());
        output.advance(output.len());
        let all: Vec<u8> = (0..200).flat_map(|round| [round; 7]).collect();
        assert_eq!(taken, all);
        assert_eq!(output.bytes.capacity(), 0);
    }

    #[test]
    fn nothing_to_append_takes_no_memory() {
        let mut output = Output::default();
        output.append(b"");
        assert_eq!(output.bytes.capacity(), 0);
    }
}
