//! A segment: one file of the log.
//!
//! ```text
//!  0            8        12       16         24         32                 40           48
//!  ┌────────────┬────────┬────────┬──────────┬──────────┬──────────────────┬────────────┬─ ─ ─
//!  │ "stockdlg" │ format │ zeros  │  epoch   │  number  │  first sequence  │  checksum  │ batches
//!  └────────────┴────────┴────────┴──────────┴──────────┴──────────────────┴────────────┴─ ─ ─
//! ```
//!
//! Integers are little-endian. The checksum is the XXH3 with 64 bits of all before it. What lies behind the
//! last batch is zeros, the rest of a batch that a crash has cut in half, or what the file held when it was
//! an earlier segment.
//!
//! The *key* of a segment is the XXH3 of the epoch of its directory and its number. All checksums of its
//! [batches](crate::batch) are seeded with it. It knows bytes and no files.
//!
//! Invariant: a batch was written when all before it were synced. So the first place without a batch is the
//! end, unless a later batch is found behind it: then something is damaged.

use xxhash_rust::xxh3::xxh3_64;

use crate::batch::{self, ALIGNMENT, Batch, MAGIC};

/// Bytes before the first batch.
pub(crate) const HEADER_BYTES: usize = 48;

const SEGMENT_MAGIC: &[u8; 8] = b"stockdlg";
const FORMAT: u32 = 1;

/// What tells a segment from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentId {
    /// The epoch of its directory.
    pub(crate) epoch: u64,
    /// One more than that of the segment before it.
    pub(crate) number: u64,
}

/// What comes behind the batches of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Where the next batch would lie.
    pub(crate) end: usize,
    /// The sequence of the next batch, here or in the next segment.
    pub(crate) sequence: u64,
    /// Whether the next batch is in the next segment.
    pub(crate) is_ended: bool,
}

impl SegmentId {
    /// What the checksums of its batches are seeded with.
    pub(crate) fn key(self) -> u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[8..].copy_from_slice(&self.number.to_le_bytes());
        xxh3_64(&bytes)
    }

    /// The file of this segment.
    pub(crate) fn name(self) -> String {
        format!("quotes.{:08}.log", self.number)
    }

    /// What its file begins with.
    pub(crate) fn header(self, first_sequence: u64) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(SEGMENT_MAGIC);
        header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        header[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        header[24..32].copy_from_slice(&self.number.to_le_bytes());
        header[32..40].copy_from_slice(&first_sequence.to_le_bytes());
        let checksum = xxh3_64(&header[..40]);
        header[40..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// The sequence of its first batch, by its header; or why that is not the header of this segment.
    pub(crate) fn first_sequence(self, bytes: &[u8]) -> Result<u64, String> {
        let SegmentId { epoch, number } = self;
        let header: &[u8; HEADER_BYTES] =
            bytes.first_chunk().ok_or_else(|| format!("it has {} bytes", bytes.len()))?;
        let word = |at: usize| header[at..].first_chunk().copied().map_or(0, u64::from_le_bytes);
        if !header.starts_with(SEGMENT_MAGIC) {
            return Err("it does not begin like a segment of a log".to_owned());
        }
        if word(40) != xxh3_64(&header[..40]) {
            return Err("the checksum of its header does not match".to_owned());
        }
        if word(8) != u64::from(FORMAT) {
            return Err(format!("it has format {}, not {FORMAT}", word(8)));
        }
        if word(16) != epoch {
            return Err("it is of another data directory".to_owned());
        }
        if word(24) != number {
            return Err(format!("it is segment {}, not {number}", word(24)));
        }
        Ok(word(32))
    }

    /// Goes through the batches of this segment from a place on, of which the first must have this
    /// sequence.
    ///
    /// # Errors
    ///
    /// When batches follow behind something else: where that begins.
    pub(crate) fn walk<'a>(
        self,
        bytes: &'a [u8],
        from: usize,
        sequence: u64,
        mut each: impl FnMut(usize, Batch<'a>),
    ) -> Result<Walked, usize> {
        let key = self.key();
        let (mut at, mut next) = (from, sequence);
        while let Some(batch) = batch::decode(bytes.get(at..).unwrap_or_default(), key) {
            if batch.sequence != next {
                return Err(at);
            }
            next += 1;
            let end = at + batch.len();
            if batch.is_end() {
                return Ok(Walked { end, sequence: next, is_ended: true });
            }
            each(at, batch);
            at = end;
        }
        if self.has_batch(bytes, at) {
            return Err(at);
        }
        Ok(Walked { end: at, sequence: next, is_ended: false })
    }

    /// Whether there is a batch of this segment anywhere behind a place.
    fn has_batch(self, bytes: &[u8], from: usize) -> bool {
        let key = self.key();
        let behind = bytes.get(from..).unwrap_or_default();
        let places = behind.chunks(ALIGNMENT).zip((0..).step_by(ALIGNMENT));
        places
            .filter(|(chunk, _)| chunk.starts_with(&MAGIC))
            .any(|(_, at)| batch::decode(&behind[at..], key).is_some())
    }
}

/// The number of the segment whose file has this name.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("quotes.")?.strip_suffix(".log")?;
    let number =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    // One name a number.
    (SegmentId { epoch: 0, number }.name() == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Frame;

    const ID: SegmentId = SegmentId { epoch: 0x1122_3344_5566_7788, number: 9 };

    /// A segment of three batches, and where each begins.
    fn segment() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut places) = (ID.header(5).to_vec(), Vec::new());
        let mut batch = Vec::new();
        for sequence in 5..8 {
            places.push(bytes.len());
            batch::encode(&mut batch, &[], Frame { key: ID.key(), sequence, version_floor: 0 });
            bytes.extend_from_slice(&batch);
        }
        (bytes, places)
    }

    fn walked(bytes: &[u8]) -> Result<(usize, Walked), usize> {
        let mut batches = 0;
        let walked = ID.walk(bytes, HEADER_BYTES, 5, |_, _| batches += 1)?;
        Ok((batches, walked))
    }

    #[test]
    fn names_and_numbers_belong_together() {
        assert_eq!(ID.name(), "quotes.00000009.log");
        for number in [0, 1, 99_999_999, 100_000_000, u64::MAX] {
            assert_eq!(number_of(&SegmentId { epoch: 1, number }.name()), Some(number));
        }
        for name in ["quotes.redb", "quotes.spare.log", "quotes.1.log", "quotes.+0000001.log", ""] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_header_is_that_of_its_segment_alone() {
        let header = ID.header(5);
        assert_eq!(ID.first_sequence(&header), Ok(5));
        let why = |id: SegmentId, bytes: &[u8]| id.first_sequence(bytes).unwrap_err();
        assert_eq!(why(SegmentId { number: 8, ..ID }, &header), "it is segment 9, not 8");
        assert_eq!(why(SegmentId { epoch: 1, ..ID }, &header), "it is of another data directory");
        assert_eq!(why(ID, &header[..47]), "it has 47 bytes");
        for at in 0..HEADER_BYTES {
            let mut bad = header;
            bad[at] ^= 4;
            why(ID, &bad);
        }
    }

    #[test]
    fn a_torn_end_is_cut_and_damage_before_a_batch_is_told() {
        let (bytes, places) = segment();
        let end = bytes.len();
        let whole = Walked { end, sequence: 8, is_ended: false };
        assert_eq!(walked(&bytes), Ok((3, whole)));
        // What an earlier use of the file has left.
        let mut stale = Vec::new();
        let key = SegmentId { number: 3, ..ID }.key();
        batch::encode(&mut stale, &[], Frame { key, sequence: 8, version_floor: 0 });
        assert_eq!(walked(&[bytes.clone(), stale].concat()), Ok((3, whole)));

        for at in places[0]..end {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let batch = places.iter().rposition(|&place| place <= at).unwrap();
            let expected = match batch {
                2 => Ok((2, Walked { end: places[2], sequence: 7, is_ended: false })),
                _ => Err(places[batch]),
            };
            assert_eq!(walked(&bad), expected, "{at}");
        }
        for cut in places[2]..end {
            let left = Walked { end: places[2], sequence: 7, is_ended: false };
            assert_eq!(walked(&bytes[..cut]), Ok((2, left)), "{cut}");
        }
    }

    #[test]
    fn a_batch_that_is_missing_or_doubled_is_told() {
        let (bytes, places) = segment();
        let mut missing = bytes.clone();
        missing.drain(places[1]..places[2]);
        assert_eq!(walked(&missing), Err(places[1]));
        let mut doubled = bytes.clone();
        doubled.extend_from_slice(&bytes[places[2]..]);
        assert_eq!(walked(&doubled), Err(bytes.len()));
    }

    #[test]
    fn an_end_is_the_last_of_its_segment() {
        let (mut bytes, _) = segment();
        let mut batch = Vec::new();
        batch::encode_end(&mut batch, Frame { key: ID.key(), sequence: 8, version_floor: 0 });
        bytes.extend_from_slice(&batch);
        let end = bytes.len();
        assert_eq!(walked(&bytes), Ok((3, Walked { end, sequence: 9, is_ended: true })));
    }
}
