//! A snapshot of a cluster: the quotes at one place in the log, and that place, as bytes.
//!
//! ```text
//!   "snap" 1 0 0 0 │ length of the place, 8 bytes │ place │ quotes, as they are hashed
//! ```
//!
//! Pure: bytes in, quotes out. It knows nothing of where snapshots are kept.
//!
//! Invariant: the quotes of a snapshot that was read are those that its place says, no more and no fewer.

use bytes::{Bytes, BytesMut};
use stockd_model::Quote;
use stockd_model::batch::{self, BatchError};
use stockd_model::limits::SNAPSHOT_CHUNK_BYTES;

use crate::hash;
use crate::place::{Place, PlaceError};

/// The quotes at one place in the log.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) place: Place,
    bytes: Bytes,
    /// Where the quotes begin.
    quotes_at: usize,
}

/// Bytes that are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// A later stockd has written it.
    #[error("it has format {0}, which a later stockd has written")]
    Newer(u8),
    /// It does not begin like one, or ends early.
    #[error("it is no snapshot of a cluster")]
    Foreign,
    /// Its place is none.
    #[error("its place in the log: {0}")]
    Place(#[from] PlaceError),
    /// A quote is none.
    #[error("quote {number}: {error}")]
    Quote { number: u64, error: BatchError },
    /// It has other quotes than it should.
    #[error("it does not have the quotes of its place")]
    Other,
}

const MAGIC: &[u8; 4] = b"snap";
const FORMAT: u8 = 1;
/// What stands before the place.
const FRONT_BYTES: usize = 16;

/// Makes a snapshot, in chunks of [`SNAPSHOT_CHUNK_BYTES`].
#[derive(Debug)]
pub(crate) struct SnapshotWriter {
    chunks: Vec<Bytes>,
    chunk: Vec<u8>,
}

impl SnapshotWriter {
    /// Begins one of what is held at this place, which is encoded.
    pub(crate) fn new(place: &[u8]) -> SnapshotWriter {
        let mut chunk = Vec::with_capacity(SNAPSHOT_CHUNK_BYTES);
        chunk.extend_from_slice(MAGIC);
        chunk.extend_from_slice(&[FORMAT, 0, 0, 0]);
        chunk.extend_from_slice(&(place.len() as u64).to_le_bytes());
        chunk.extend_from_slice(place);
        SnapshotWriter { chunks: Vec::new(), chunk }
    }

    /// Adds a quote.
    pub(crate) fn push(&mut self, quote: &Quote) {
        batch::write_quote(&mut self.chunk, quote);
        while self.chunk.len() >= SNAPSHOT_CHUNK_BYTES {
            let rest = self.chunk.split_off(SNAPSHOT_CHUNK_BYTES);
            self.chunks.push(std::mem::replace(&mut self.chunk, rest).into());
        }
    }

    /// The chunks. None is empty.
    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        if !self.chunk.is_empty() {
            self.chunks.push(self.chunk.into());
        }
        self.chunks
    }
}

impl Snapshot {
    /// Reads one from its chunks, and looks whether it is whole.
    pub(crate) fn read(chunks: &[Bytes]) -> Result<Snapshot, SnapshotError> {
        let mut bytes = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
        chunks.iter().for_each(|chunk| bytes.extend_from_slice(chunk));
        let bytes = bytes.freeze();
        let (front, rest) =
            bytes.split_first_chunk::<FRONT_BYTES>().ok_or(SnapshotError::Foreign)?;
        let (&[a, b, c, d, format, 0, 0, 0], len) =
            front.split_first_chunk::<8>().ok_or(SnapshotError::Foreign)?
        else {
            return Err(SnapshotError::Foreign);
        };
        if [a, b, c, d] != *MAGIC {
            return Err(SnapshotError::Foreign);
        }
        if format != FORMAT {
            return Err(SnapshotError::Newer(format));
        }
        let len = len.first_chunk().map_or(u64::MAX, |len| u64::from_le_bytes(*len));
        let len = usize::try_from(len).map_err(|_| SnapshotError::Foreign)?;
        let mut place = rest.get(..len).ok_or(SnapshotError::Foreign)?;
        let decoded = Place::decode(&mut place)?;
        if !place.is_empty() {
            return Err(SnapshotError::Foreign);
        }
        let snapshot =
            Snapshot { place: decoded, bytes: bytes.clone(), quotes_at: FRONT_BYTES + len };
        snapshot.check()?;
        Ok(snapshot)
    }

    /// Its quotes, in no order.
    pub(crate) fn quotes(&self) -> impl Iterator<Item = Quote> {
        let mut rest = self.bytes.get(self.quotes_at..).unwrap_or_default();
        // All of them were read before.
        std::iter::from_fn(move || batch::read_quote(&mut rest).ok())
    }

    fn check(&self) -> Result<(), SnapshotError> {
        let mut rest = self.bytes.get(self.quotes_at..).unwrap_or_default();
        let (mut number, mut sum) = (0, 0_u64);
        while !rest.is_empty() {
            let before = rest;
            number += 1;
            batch::read_quote(&mut rest).map_err(|error| SnapshotError::Quote { number, error })?;
            let quote = before.get(..before.len() - rest.len()).unwrap_or_default();
            sum = sum.wrapping_add(hash(quote));
        }
        let held = self.place.holdings;
        if (held.stocks, held.quotes) == (number, sum) { Ok(()) } else { Err(SnapshotError::Other) }
    }
}

#[cfg(test)]
mod tests {
    use stockd_engine::Holdings;

    use super::*;
    use crate::log_state::LogState;
    use crate::options::ClusterName;

    fn quotes(count: u64) -> Vec<Quote> {
        let quote = |number: u64| Quote {
            price: "1.5".parse().ok(),
            volume: Some("3".parse().unwrap()),
            version: number + 1,
            updated_ns: number,
            ..Quote::new(format!("S{number}").parse().unwrap())
        };
        (0..count).map(quote).collect()
    }

    fn written(quotes: &[Quote]) -> Vec<Bytes> {
        let mut sum = 0_u64;
        for quote in quotes {
            let mut bytes = Vec::new();
            batch::write_quote(&mut bytes, quote);
            sum = sum.wrapping_add(hash(&bytes));
        }
        let place = Place {
            cluster: ClusterName::new("main").unwrap(),
            epoch: 7,
            holdings: Holdings { quotes: sum, stocks: quotes.len() as u64, version_floor: 4 },
            log: LogState::new(),
        };
        let mut bytes = Vec::new();
        place.encode(&mut bytes);
        let mut writer = SnapshotWriter::new(&bytes);
        quotes.iter().for_each(|quote| writer.push(quote));
        writer.finish()
    }

    #[test]
    fn a_snapshot_comes_back_in_chunks() {
        for count in [0, 1, 10_000] {
            let quotes = quotes(count);
            let chunks = written(&quotes);
            assert!(chunks.iter().rev().skip(1).all(|it| it.len() == SNAPSHOT_CHUNK_BYTES));
            let snapshot = Snapshot::read(&chunks).unwrap();
            assert_eq!(snapshot.quotes().collect::<Vec<_>>(), quotes);
            assert_eq!((snapshot.place.epoch, snapshot.place.holdings.version_floor), (7, 4));
        }
    }

    #[test]
    fn what_is_cut_or_changed_anywhere_is_none() {
        let whole = written(&quotes(3)).concat();
        for len in 0..whole.len() {
            let cut = Bytes::copy_from_slice(&whole[..len]);
            assert!(Snapshot::read(&[cut]).is_err(), "cut at {len}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            let read = Snapshot::read(&[changed.into()]);
            // What is behind the quotes' sum in the place is for the node to judge.
            assert!(read.is_err() || (FRONT_BYTES..whole.len()).contains(&at), "changed at {at}");
            if let Ok(read) = read {
                assert_eq!(read.quotes().collect::<Vec<_>>(), quotes(3));
            }
        }
        let twice = [&whole[..], &whole[whole.len() - 1..]].concat();
        assert!(Snapshot::read(&[twice.into()]).is_err());
        let later =
            Snapshot::read(&[Bytes::from([b"snap\x02\0\0\0".as_slice(), &[0; 8]].concat())]);
        assert_eq!(later.unwrap_err(), SnapshotError::Newer(2));
    }
}
