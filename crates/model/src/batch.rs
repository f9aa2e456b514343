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
mod piece;

use self::codes::{
    CLEAR, CONDITION_SHIFT, HALTED, IF_LISTED, IF_UNLISTED, IF_VERSION, KEEP, OP_CLEAR, OP_DELIST,
    OP_NONE, OP_SET, OP_TOGETHER, OP_TRADE, OP_UPDATE, SET, STATUS_SHIFT, TAKES, TRADING,
};
use self::piece::Piece;
use crate::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX};
use crate::{
    Condition, Conditional, Edit, Fields, Price, Quote, Request, Shares, Status, Symbol, Volume,
    Watched,
};

/// The first byte of every message. A message of a later format stops a node that cannot read it.
pub const FORMAT: u8 = 1;

/// No format will ever have this number or a higher one: they are those of text.
const FORMATS_END: u8 = b' ';

/// Bytes of the head of a message.
pub const HEAD_BYTES: usize = 48;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session begins.
    Hello,
    /// Commands.
    Batch,
    /// Nothing but that its sender lives, and that what it has sent before and no node has seen is dead.
    Tick,
    /// What its sender holds after a message of the log, as a number: 8 bytes its sequence, 8 the digest.
    Digest,
    /// A snapshot has been kept: 8 bytes, the sequence of the last message in it.
    SnapshotDone,
    /// Every node is to say what it holds after this message.
    Compare,
}

/// What every message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub kind: Kind,
    /// Commands in it.
    pub count: u16,
    /// A random number that a node draws when it starts.
    pub session: u64,
    /// Counts the messages of a session, from 0.
    pub number: u64,
    /// When it was made: Unix time in nanoseconds, by the clock of its sender.
    pub time_ns: u64,
    /// What its sender had applied by then.
    pub seen: Seen,
}

/// A place in the log, and the hash of all that lies before and there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The sequence of the message, from 1; 0 before the first.
    pub sequence: u64,
    /// The chain of hashes up to it.
    pub chain: u64,
}

/// What is decided as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A write, if its condition holds.
    One(Conditional),
    /// Writes of a transaction, if all of these conditions hold.
    Together(Vec<Watched>, Vec<Request>),
}

/// A message whose body has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Of a hello, a tick or a question for what nodes hold.
    Nothing,
    /// Of a batch.
    Commands(Vec<Command>),
    /// Of a digest.
    Digest {
        /// After the message of this sequence.
        sequence: u64,
        /// The digest.
        digest: u64,
    },
    /// Of a snapshot that has been kept.
    Snapshot {
        /// The sequence of the last message in it.
        sequence: u64,
    },
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A later stockd has written it.
    #[error("its format is {0}, and this stockd reads formats up to {FORMAT}; update stockd")]
    Format(u8),
    /// It ends early, goes on behind its end, or holds what no message holds.
    #[error("it is not a message of a cluster: {what} at byte {at}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where.
        at: usize,
    },
}

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

/// Reads the head of a message alone.
///
/// # Errors
///
/// [`BatchError`] when it is none, or one of a later format.
pub fn decode_head(message: &[u8]) -> Result<Head, BatchError> {
    if let Some(format) = later_format(message) {
        return Err(BatchError::Format(format));
    }
    Reader { message, at: 0 }.head()
}

/// Reads a message.
///
/// # Errors
///
/// [`BatchError`] when it is none, or one of a later format.
pub fn decode(message: &[u8]) -> Result<(Head, Body), BatchError> {
    let head = decode_head(message)?;
    let mut reader = Reader { message, at: HEAD_BYTES };
    let body = match head.kind {
        Kind::Hello | Kind::Tick | Kind::Compare => Body::Nothing,
        Kind::Digest => Body::Digest { sequence: reader.u64()?, digest: reader.u64()? },
        Kind::SnapshotDone => Body::Snapshot { sequence: reader.u64()? },
        Kind::Batch => Body::Commands(reader.commands(head.count)?),
    };
    if reader.at != message.len() {
        return Err(reader.malformed("something behind its end"));
    }
    Ok((head, body))
}

/// The format of a message that a later stockd has written. All formats have a head as long as this one, with zeros at the same place,
/// and a number that is no letter: so text that somebody has published by mistake is not taken for one.
fn later_format(message: &[u8]) -> Option<u8> {
    let &[format, _, _, _, 0, 0, 0, 0, ..] = message else { return None };
    let is_format = FORMAT < format && format < FORMATS_END && message.len() >= HEAD_BYTES;
    is_format.then_some(format)
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

/// Reads a quote that lies at the front of `bytes`, and moves behind it.
///
/// # Errors
///
/// [`BatchError`] when there is none.
pub fn read_quote(bytes: &mut &[u8]) -> Result<Quote, BatchError> {
    let mut reader = Reader { message: bytes, at: 0 };
    let (OP_SET, symbol, Condition::Version(version)) = reader.symbol()? else {
        return Err(reader.malformed("no quote"));
    };
    let updated_ns = reader.u64()?;
    let fields = reader.fields()?;
    *bytes = bytes.get(reader.at..).unwrap_or_default();
    Ok(Quote { version, updated_ns, ..fields.outcome(&Quote::new(symbol)) })
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

/// Reads a message from its front.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    #[cold]
    fn malformed(&self, what: &'static str) -> BatchError {
        BatchError::Malformed { what, at: self.at }
    }

    #[inline(always)]
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BatchError> {
        let rest = self.message.get(self.at..).unwrap_or_default();
        let bytes = *rest.first_chunk().ok_or_else(|| self.malformed("it ends"))?;
        self.at += N;
        Ok(bytes)
    }

    #[inline(always)]
    fn u8(&mut self) -> Result<u8, BatchError> {
        self.take::<1>().map(|[byte]| byte)
    }

    #[inline(always)]
    fn u16(&mut self) -> Result<u16, BatchError> {
        self.take().map(u16::from_le_bytes)
    }

    #[inline(always)]
    fn u64(&mut self) -> Result<u64, BatchError> {
        self.take().map(u64::from_le_bytes)
    }

    fn head(&mut self) -> Result<Head, BatchError> {
        if self.u8()? != FORMAT {
            return Err(self.malformed("an unknown format"));
        }
        let kind = match self.u8()? {
            0 => Kind::Hello,
            1 => Kind::Batch,
            2 => Kind::Tick,
            3 => Kind::Digest,
            4 => Kind::SnapshotDone,
            5 => Kind::Compare,
            _ => return Err(self.malformed("an unknown kind")),
        };
        let count = self.u16()?;
        if usize::from(count) > BATCH_COMMANDS_MAX || (count > 0) != (kind == Kind::Batch) {
            return Err(self.malformed("a wrong count"));
        }
        if self.take()? != [0; 4] {
            return Err(self.malformed("no zeros"));
        }
        Ok(Head {
            kind,
            count,
            session: self.u64()?,
            number: self.u64()?,
            time_ns: self.u64()?,
            seen: Seen { sequence: self.u64()?, chain: self.u64()? },
        })
    }

    fn commands(&mut self, count: u16) -> Result<Vec<Command>, BatchError> {
        if self.message.len() > BATCH_BYTES_MAX {
            return Err(self.malformed("more bytes than a batch has"));
        }
        // Bounded by what is there: a command has three bytes at least.
        let most = (self.message.len() - self.at.min(self.message.len())) / 3;
        let mut commands = Vec::with_capacity(usize::from(count).min(most));
        for _ in 0..count {
            commands.push(self.command()?);
        }
        Ok(commands)
    }

    #[inline(always)]
    fn command(&mut self) -> Result<Command, BatchError> {
        if self.message.get(self.at) != Some(&OP_TOGETHER) {
            let (op, symbol, condition) = self.symbol()?;
            return Ok(Command::One(Conditional { condition, request: self.request(op, symbol)? }));
        }
        self.at += 1;
        let (conditions, requests) = (self.u16()?, self.u16()?);
        let watched = (0..conditions).map(|_| match self.symbol()? {
            (OP_NONE, symbol, condition) => Ok((symbol, condition)),
            _ => Err(self.malformed("more than a condition")),
        });
        let watched = watched.collect::<Result<_, _>>()?;
        let requests = (0..requests).map(|_| match self.symbol()? {
            (op, symbol, Condition::Always) => self.request(op, symbol),
            _ => Err(self.malformed("a condition within a transaction")),
        });
        Ok(Command::Together(watched, requests.collect::<Result<_, _>>()?))
    }

    #[inline(always)]
    fn symbol(&mut self) -> Result<(u8, Symbol, Condition), BatchError> {
        let op = self.u8()?;
        let len = usize::from(self.u8()?);
        let rest = self.message.get(self.at..).filter(|rest| rest.len() >= len);
        let rest = rest.ok_or_else(|| self.malformed("it ends"))?;
        let symbol = Symbol::parse_front(rest, len).ok();
        // A shorter one was trimmed.
        let symbol = symbol.filter(|symbol| symbol.as_bytes().len() == len);
        let symbol = symbol.ok_or_else(|| self.malformed("no symbol"))?;
        self.at += len;
        let condition = match op >> CONDITION_SHIFT {
            0 => Condition::Always,
            IF_LISTED => Condition::Listed,
            IF_UNLISTED => Condition::Unlisted,
            IF_VERSION => Condition::Version(self.u64()?),
            _ => return Err(self.malformed("an unknown condition")),
        };
        Ok((op & ((1 << CONDITION_SHIFT) - 1), symbol, condition))
    }

    #[inline(always)]
    fn request(&mut self, op: u8, symbol: Symbol) -> Result<Request, BatchError> {
        Ok(match op {
            OP_SET => Request::Set(symbol, self.fields()?),
            OP_UPDATE => Request::Update(symbol, self.fields()?),
            OP_CLEAR => Request::Clear(symbol, self.fields()?),
            OP_TRADE => Request::Trade(symbol, self.shares()?),
            OP_DELIST => Request::Delist(symbol),
            _ => return Err(self.malformed("an unknown command")),
        })
    }

    #[inline(always)]
    fn shares(&mut self) -> Result<Shares, BatchError> {
        let places = self.u8()?;
        let volume = self.volume(places & !TAKES)?;
        Ok(if places & TAKES == 0 { Shares::Add(volume) } else { Shares::Take(volume) })
    }

    #[inline(always)]
    fn fields(&mut self) -> Result<Fields, BatchError> {
        let edits = self.u16()?;
        let price = |reader: &mut Self| {
            let places = reader.u8()?;
            reader.price(places)
        };
        let volume = |reader: &mut Self| {
            let places = reader.u8()?;
            reader.volume(places)
        };
        Ok(Fields {
            price: self.edit(edits, price)?,
            volume: self.edit(edits >> 2, volume)?,
            bid: self.edit(edits >> 4, price)?,
            ask: self.edit(edits >> 6, price)?,
            bid_size: self.edit(edits >> 8, volume)?,
            ask_size: self.edit(edits >> 10, volume)?,
            time_ns: self.edit(edits >> 12, Self::u64)?,
            feed: Edit::Keep,
            status: match edits >> STATUS_SHIFT {
                0 => None,
                TRADING => Some(Status::Trading),
                HALTED => Some(Status::Halted),
                _ => return Err(self.malformed("an unknown status")),
            },
        })
    }

    #[inline(always)]
    fn edit<T>(
        &mut self,
        bits: u16,
        value: impl FnOnce(&mut Self) -> Result<T, BatchError>,
    ) -> Result<Edit<T>, BatchError> {
        match bits & 3 {
            KEEP => Ok(Edit::Keep),
            CLEAR => Ok(Edit::Clear),
            SET => value(self).map(Edit::Set),
            _ => Err(self.malformed("an unknown edit")),
        }
    }

    #[inline(always)]
    fn price(&mut self, places: u8) -> Result<Price, BatchError> {
        let price = Price::new(self.take().map(i64::from_le_bytes)?, places);
        let normal = price.filter(|price| price.places() == places);
        normal.ok_or_else(|| self.malformed("no price in normal form"))
    }

    #[inline(always)]
    fn volume(&mut self, places: u8) -> Result<Volume, BatchError> {
        let volume = Volume::with_places(self.u64()?, places);
        let normal = volume.filter(|volume| volume.places() == places);
        normal.ok_or_else(|| self.malformed("no volume in normal form"))
    }
}

#[cfg(test)]
mod tests;
