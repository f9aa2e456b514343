//! A batch: what one commit does, as it lies in the log.
//!
//! ```text
//!  0        4        8              16           24               32
//!  ┌────────┬────────┬──────────────┬────────────┬────────────────┬─ ─ ─ ─ ─┬─ ─ ─ ─┐
//!  │ "stkB" │ length │   checksum   │  sequence  │ version floor  │ records │ zeros │
//!  └────────┴────────┴──────────────┴────────────┴────────────────┴─ ─ ─ ─ ─┴─ ─ ─ ─┘
//!                                                               to a multiple of 8 bytes
//!  a record:  0        1        2
//!             ┌────────┬────────┬─ ─ ─ ─ ─┬─ ─ ─ ─ ─┐
//!             │ length of each  │ symbol  │  value  │
//!             └────────┴────────┴─ ─ ─ ─ ─┴─ ─ ─ ─ ─┘
//! ```
//!
//! Integers are little-endian. The length is that of header and records. The checksum is the XXH3 with
//! 64 bits of all that is behind it, up to the length, seeded with the [key](crate::segment) of the
//! segment: so a batch of another segment or directory is none here. A value is a
//! [`record`](crate::record); one of no bytes says that the stock is no longer listed. A batch whose only
//! record is two zeros is the end of a segment: the log goes on in the next one.
//!
//! It knows no files. Invariant: what is decoded is what was encoded with the same key, or the checksum
//! matches by chance, once in 2⁶⁴ tries.

use stockd_model::limits::SYMBOL_BYTES_MAX;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::record::Record;
use crate::write::Write;

/// Bytes before the records.
pub(crate) const HEADER_BYTES: usize = 32;
/// Bytes of the batch that ends a segment.
pub(crate) const END_BYTES: usize = 40;
/// Where batches begin: at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

/// What every batch begins with.
pub(crate) const MAGIC: [u8; 4] = *b"stkB";
const CHECKED_FROM: usize = 16;

/// What a batch says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The key of its segment.
    pub(crate) key: u64,
    /// One more than that of the batch before it.
    pub(crate) sequence: u64,
    /// The highest version that any stock had when it was delisted, by then.
    pub(crate) version_floor: u64,
}

/// A batch that was found in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) sequence: u64,
    pub(crate) version_floor: u64,
    /// Header and records.
    bytes: &'a [u8],
}

/// What a batch does to one stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    pub(crate) symbol: &'a [u8],
    /// Its record; `None` when it is no longer listed.
    pub(crate) value: Option<&'a [u8]>,
}

/// Makes these bytes the batch that does these writes.
pub(crate) fn encode(bytes: &mut Vec<u8>, writes: &[Write], frame: Frame) {
    begin(bytes);
    for write in writes {
        let symbol = write.symbol().as_bytes();
        let record = match write {
            Write::Put(quote) => Some(Record::encode(quote)),
            Write::Remove(_) => None,
        };
        let value = record.as_ref().map_or(&[][..], Record::as_bytes);
        // A symbol has 48 bytes at most, and a value 148.
        bytes.extend_from_slice(&[symbol.len() as u8, value.len() as u8]);
        bytes.extend_from_slice(symbol);
        bytes.extend_from_slice(value);
    }
    finish(bytes, frame);
}

/// Makes these bytes the batch that ends a segment.
pub(crate) fn encode_end(bytes: &mut Vec<u8>, frame: Frame) {
    begin(bytes);
    bytes.extend_from_slice(&[0, 0]);
    finish(bytes, frame);
}

fn begin(bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.resize(HEADER_BYTES, 0);
}

fn finish(bytes: &mut Vec<u8>, Frame { key, sequence, version_floor }: Frame) {
    let len = u32::try_from(bytes.len()).expect("a batch is smaller than 4 GiB");
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..8].copy_from_slice(&len.to_le_bytes());
    bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
    bytes[24..32].copy_from_slice(&version_floor.to_le_bytes());
    let checksum = xxh3_64_with_seed(&bytes[CHECKED_FROM..], key);
    bytes[8..16].copy_from_slice(&checksum.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
}

/// The batch that these bytes begin with, if they do.
pub(crate) fn decode(bytes: &[u8], key: u64) -> Option<Batch<'_>> {
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
    if header[..4] != MAGIC {
        return None;
    }
    let number = |at: usize| Some(u64::from_le_bytes(*header[at..].first_chunk()?));
    let len = u32::from_le_bytes(*header[4..].first_chunk()?) as usize;
    if len < HEADER_BYTES {
        return None;
    }
    let bytes = bytes.get(..len)?;
    if xxh3_64_with_seed(&bytes[CHECKED_FROM..], key) != number(8)? {
        return None;
    }
    Some(Batch { sequence: number(16)?, version_floor: number(24)?, bytes })
}

impl<'a> Batch<'a> {
    /// Bytes that it takes in the log.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len().next_multiple_of(ALIGNMENT)
    }

    /// Whether it ends its segment.
    pub(crate) fn is_end(&self) -> bool {
        self.bytes[HEADER_BYTES..] == [0, 0]
    }

    /// What it does, with the place of each record from the beginning of the batch; `None` where its
    /// records are not as they are written.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Option<(usize, Change<'a>)>> + use<'a> {
        let (bytes, mut at) = (self.bytes, HEADER_BYTES);
        std::iter::from_fn(move || {
            let place = at;
            if place >= bytes.len() {
                return None;
            }
            let change = change_at(bytes, place);
            at = change.map_or(bytes.len(), |change| {
                place + 2 + change.symbol.len() + change.value.map_or(0, <[u8]>::len)
            });
            Some(change.map(|change| (place, change)))
        })
    }
}

/// The record at this place.
pub(crate) fn change_at(bytes: &[u8], place: usize) -> Option<Change<'_>> {
    let (&[symbol_len, value_len], rest) = bytes.get(place..)?.split_first_chunk()?;
    let (symbol_len, value_len) = (usize::from(symbol_len), usize::from(value_len));
    if symbol_len == 0 || symbol_len > SYMBOL_BYTES_MAX {
        return None;
    }
    let (symbol, rest) = rest.split_at_checked(symbol_len)?;
    let value = rest.get(..value_len)?;
    Some(Change { symbol, value: Some(value).filter(|value| !value.is_empty()) })
}

#[cfg(test)]
mod tests {
    use stockd_model::{Quote, Status};

    use super::*;

    const FRAME: Frame = Frame { key: 7, sequence: 0x0102_0304, version_floor: 9 };

    fn writes() -> Vec<Write> {
        let quote = |symbol: &str| Quote {
            price: "1.5".parse().ok(),
            volume: "3".parse().ok(),
            status: Status::Halted,
            version: 5,
            updated_ns: 6,
            ..Quote::new(symbol.parse().unwrap())
        };
        vec![
            Write::Put(quote("AAPL")),
            Write::Remove("MSFT".parse().unwrap()),
            Write::Put(quote("牛来USDT")),
        ]
    }

    fn encoded() -> Vec<u8> {
        let mut bytes = vec![1; 3];
        encode(&mut bytes, &writes(), FRAME);
        bytes
    }

    #[test]
    fn what_is_decoded_is_what_was_encoded() {
        let bytes = encoded();
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        let batch = decode(&bytes, 7).unwrap();
        assert_eq!((batch.sequence, batch.version_floor), (0x0102_0304, 9));
        assert_eq!(batch.len(), bytes.len());
        assert!(!batch.is_end());
        let found: Vec<_> = batch.changes().map(Option::unwrap).collect();
        assert_eq!(found.len(), 3);
        for ((place, change), write) in found.into_iter().zip(writes()) {
            assert_eq!(change_at(&bytes, place), Some(change));
            assert_eq!(change.symbol, write.symbol().as_bytes());
            let record = match write {
                Write::Put(quote) => Some(Record::encode(&quote)),
                Write::Remove(_) => None,
            };
            assert_eq!(change.value, record.as_ref().map(Record::as_bytes));
        }
        // More may follow.
        assert!(decode(&[bytes, vec![9; 5]].concat(), 7).is_some());
    }

    #[test]
    fn an_end_is_told_from_a_batch_without_records() {
        let mut bytes = Vec::new();
        encode_end(&mut bytes, FRAME);
        assert_eq!(bytes.len(), END_BYTES);
        assert!(decode(&bytes, 7).unwrap().is_end());
        encode(&mut bytes, &[], FRAME);
        let empty = decode(&bytes, 7).unwrap();
        assert!(!empty.is_end());
        assert_eq!(empty.changes().count(), 0);
    }

    #[test]
    fn what_is_cut_changed_or_of_another_segment_is_no_batch() {
        let bytes = encoded();
        assert!(decode(&bytes, 8).is_none());
        let len = u32::from_le_bytes(*bytes[4..].first_chunk().unwrap()) as usize;
        for cut in 0..len {
            assert!(decode(&bytes[..cut], 7).is_none(), "{cut}");
        }
        for at in 0..len {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(decode(&bad, 7).is_none(), "{at}");
            }
        }
    }

    #[test]
    fn records_that_are_none_are_told() {
        for bad in [&[0, 0][..], &[49, 0], &[2, 0, b'A'], &[1, 3, b'A', 1, 2], &[1]] {
            assert_eq!(change_at(bad, 0), None, "{bad:?}");
        }
        assert_eq!(change_at(&[], 0), None);
        assert_eq!(change_at(&[], 1), None);
    }
}
