//! Reads messages of the log of a cluster, and quotes, from bytes that anybody may have sent.
//!
//! Invariant: bytes that no writer makes are refused, with the place where they go wrong. What is read is bounded by what is
//! there.

use super::codes::{
    CLEAR, CONDITION_SHIFT, HALTED, IF_LISTED, IF_UNLISTED, IF_VERSION, KEEP, OP_CLEAR, OP_DELIST,
    OP_NONE, OP_SET, OP_TOGETHER, OP_TRADE, OP_UPDATE, SET, STATUS_SHIFT, TAKES, TRADING,
};
use super::message::{BatchError, Body, Command, FORMAT, HEAD_BYTES, Head, Kind, Seen};
use crate::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX};
use crate::{
    Condition, Conditional, Edit, Fields, Price, Quote, Request, Shares, Status, Symbol, Volume,
};

/// No format will ever have this number or a higher one: they are those of text.
const FORMATS_END: u8 = b' ';

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
