//! The messages of the log of a cluster, byte by byte.
//!
//! A message is a *batch* of the commands of one node, or says something of the node itself. Its head:
//!
//! ```text
//!   0        1        2        4        8           16         24          32           40           48
//!   ┌────────┬────────┬────────┬────────┬───────────┬──────────┬───────────┬────────────┬────────────┬─ ─
//!   │ format │  kind  │ count  │   0    │  session  │  number  │   time    │  seen      │ seen chain │ body
//!   └────────┴────────┴────────┴────────┴───────────┴──────────┴───────────┴────────────┴────────────┴─ ─
//! ```
//!
//! Integers are little-endian. `count` is the number of commands in the body of a batch, 0 in all else.
//! docs/cluster.md draws the commands. This module is pure: it knows neither streams nor clocks.
//!
//! Invariant: what is decoded encodes to the same bytes, and no other bytes decode to it. So nodes that
//! hold the same bytes decide the same.

mod codes;
mod message;
mod piece;
mod reader;

pub use self::message::{BatchError, Body, Command, FORMAT, HEAD_BYTES, Head, Kind, Seen};
pub use self::reader::{decode, decode_head, read_quote};

use self::codes::{OP_NONE, OP_TOGETHER};
use self::piece::Piece;
use crate::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX};
use crate::{Condition, Conditional, Quote, Request, Watched};

/// There is no room in a batch for this command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a batch has at most {BATCH_BYTES_MAX} bytes and {BATCH_COMMANDS_MAX} commands")]
pub struct BatchFull;

/// A message that is being made.
#[derive(Clone, Debug)]
pub struct BatchWriter {
    /// Room for the head, and the commands so far.
    bytes: Vec<u8>,
    count: usize,
}

impl Default for BatchWriter {
    fn default() -> BatchWriter {
        BatchWriter::new()
    }
}

impl BatchWriter {
    /// An empty batch.
    pub fn new() -> BatchWriter {
        BatchWriter { bytes: vec![0; HEAD_BYTES], count: 0 }
    }

    /// Whether it has no command.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Commands in it.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds a write. A lookup changes nothing, and nothing is added for it.
    ///
    /// # Errors
    ///
    /// When there is no room. Then nothing has been added.
    pub fn push(&mut self, asked: &Conditional) -> Result<(), BatchFull> {
        if matches!(asked.request, Request::Lookup(_)) {
            return Ok(());
        }
        let mut piece = Piece::new();
        piece.request(asked.condition, &asked.request);
        self.add(|bytes| bytes.extend_from_slice(piece.as_bytes()))
    }

    /// Adds the writes of a transaction with its conditions. Its lookups are left out.
    ///
    /// # Errors
    ///
    /// When there is no room. Then nothing has been added.
    pub fn push_together(
        &mut self,
        watched: &[Watched],
        requests: &[Request],
    ) -> Result<(), BatchFull> {
        let writes = || requests.iter().filter(|it| !matches!(it, Request::Lookup(_)));
        let (Ok(conditions), Ok(count)) =
            (u16::try_from(watched.len()), u16::try_from(writes().count()))
        else {
            return Err(BatchFull);
        };
        self.add(|bytes| {
            bytes.push(OP_TOGETHER);
            bytes.extend_from_slice(&conditions.to_le_bytes());
            bytes.extend_from_slice(&count.to_le_bytes());
            for (symbol, condition) in watched {
                let mut piece = Piece::new();
                piece.symbol(OP_NONE, *condition, symbol);
                bytes.extend_from_slice(piece.as_bytes());
            }
            for request in writes() {
                let mut piece = Piece::new();
                piece.request(Condition::Always, request);
                bytes.extend_from_slice(piece.as_bytes());
            }
        })
    }

    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), BatchFull> {
        let before = self.bytes.len();
        if self.count < BATCH_COMMANDS_MAX {
            write(&mut self.bytes);
            if self.bytes.len() <= BATCH_BYTES_MAX {
                self.count += 1;
                return Ok(());
            }
            self.bytes.truncate(before);
        }
        Err(BatchFull)
    }

    /// The message. Its count is that of the commands, whatever the head says.
    pub fn finish(mut self, head: &Head) -> Vec<u8> {
        let count = self.count as u16;
        write_head(&mut self.bytes, &Head { count, ..*head });
        self.bytes
    }
}

/// A message that has no commands.
pub fn plain(head: &Head, body: &Body) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    write_head(&mut bytes, &Head { count: 0, ..*head });
    match body {
        Body::Nothing | Body::Commands(_) => {}
        Body::Digest { sequence, digest } => {
            bytes.extend_from_slice(&sequence.to_le_bytes());
            bytes.extend_from_slice(&digest.to_le_bytes());
        }
        Body::Snapshot { sequence } => bytes.extend_from_slice(&sequence.to_le_bytes()),
    }
    bytes
}

/// A whole quote, as snapshots of a cluster have it, and as it is hashed: the symbol, the version, the time of the last
/// change, and its fields as a write gives them.
pub struct QuoteBytes(Piece);

impl QuoteBytes {
    /// Encodes a quote.
    #[inline]
    pub fn of(quote: &Quote) -> QuoteBytes {
        let mut piece = Piece::new();
        piece.quote(quote);
        QuoteBytes(piece)
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for QuoteBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("QuoteBytes").field(&self.as_bytes()).finish()
    }
}

/// Appends a whole quote: its [bytes](QuoteBytes).
pub fn write_quote(bytes: &mut Vec<u8>, quote: &Quote) {
    bytes.extend_from_slice(QuoteBytes::of(quote).as_bytes());
}

fn write_head(bytes: &mut [u8], head: &Head) {
    bytes[0] = FORMAT;
    bytes[1] = match head.kind {
        Kind::Hello => 0,
        Kind::Batch => 1,
        Kind::Tick => 2,
        Kind::Digest => 3,
        Kind::SnapshotDone => 4,
        Kind::Compare => 5,
    };
    bytes[2..4].copy_from_slice(&head.count.to_le_bytes());
    let Seen { sequence, chain } = head.seen;
    let numbers = [head.session, head.number, head.time_ns, sequence, chain];
    for (place, number) in bytes[8..HEAD_BYTES].chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
