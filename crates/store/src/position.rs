//! A position in the log: up to where the checkpoint has it.
//!
//! ```text
//!  0       4       8           16          24            32
//!  ┌───────┬───────┬───────────┬───────────┬─────────────┐
//!  │ "log:"│ begun │  segment  │  offset   │  sequence   │
//!  └───────┴───────┴───────────┴───────────┴─────────────┘
//! ```
//!
//! Integers are little-endian. It knows no files and no database.

use crate::segment::HEADER_BYTES;

/// What a position of this log begins with. Those of others begin otherwise.
const MAGIC: [u8; 4] = *b"log:";

/// Where the log goes on behind the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Whether there is a log. If not, the segment and all behind it have yet to be made.
    pub(crate) is_begun: bool,
    /// The number of the segment.
    pub(crate) segment: u64,
    /// Where in it the next batch lies.
    pub(crate) offset: u64,
    /// The sequence of that batch.
    pub(crate) sequence: u64,
}

impl Default for Position {
    /// That of a directory that has no log yet.
    fn default() -> Position {
        Position::before(1, 1)
    }
}

impl Position {
    pub(crate) const BYTES: usize = 32;

    /// Of a checkpoint that has all there is: a segment with this number will begin with this batch.
    pub(crate) fn before(segment: u64, sequence: u64) -> Position {
        Position { is_begun: false, segment, offset: HEADER_BYTES as u64, sequence }
    }

    pub(crate) fn encode(self) -> [u8; Position::BYTES] {
        let mut bytes = [0; Position::BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = u8::from(self.is_begun);
        bytes[8..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        bytes
    }

    /// `None` where these bytes are a position of something else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Position> {
        let bytes: &[u8; Position::BYTES] = bytes.try_into().ok()?;
        let (&[a, b, c, d, begun, 0, 0, 0], numbers) = bytes.split_first_chunk()? else {
            return None;
        };
        let (&[segment, offset, sequence], []) = numbers.as_chunks::<8>() else { return None };
        ([a, b, c, d] == MAGIC && begun < 2).then(|| Position {
            is_begun: begun == 1,
            segment: u64::from_le_bytes(segment),
            offset: u64::from_le_bytes(offset),
            sequence: u64::from_le_bytes(sequence),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_and_others_are_told_apart() {
        let begun = Position { is_begun: true, segment: 2, offset: 0x0102, sequence: u64::MAX };
        for position in [begun, Position::default()] {
            assert_eq!(Position::decode(&position.encode()), Some(position));
        }
        for bad in [&b""[..], b"log:", &[0; 32], &[&begun.encode()[..], &[0]].concat()] {
            assert_eq!(Position::decode(bad), None);
        }
        let mut bad = begun.encode();
        bad[4] = 2;
        assert_eq!(Position::decode(&bad), None);
    }
}
