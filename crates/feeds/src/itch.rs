//! NASDAQ TotalView-ITCH 5.0: what the bytes of a message say.
//!
//! Knows the messages that a last price, a halt or an order needs, and the length of all others. Source: *NASDAQ
//! TotalView-ITCH 5.0*, Nasdaq, sections 4.1 to 4.9. Numbers are big endian; a price has four decimal places;
//! times are nanoseconds since midnight in New York.
//!
//! Invariant: a message is exactly as long as its type says.

use crate::read::{array, be16, be32, be48, be64, byte};

/// A message, with what matters of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The code of its stock today; 0 where it concerns none.
    pub locate: u16,
    /// Nanoseconds since midnight.
    pub time_ns: u64,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the specification")]
pub enum Body {
    /// S: something of the whole day.
    System { event: u8 },
    /// R: a stock of the day.
    Directory { stock: [u8; 8], authenticity: u8 },
    /// H: halted, paused, quotation only or trading.
    Action { stock: [u8; 8], state: u8 },
    /// h: whether a market alone has stopped.
    Operational { stock: [u8; 8], market: u8, action: u8 },
    /// A, F: a new order.
    Add { order: u64, shares: u32, stock: [u8; 8], price: u32 },
    /// E: an order was executed at its price.
    Executed { order: u64, shares: u32, match_number: u64 },
    /// C: at another price.
    ExecutedAt { order: u64, shares: u32, match_number: u64, is_printable: bool, price: u32 },
    /// X: a part of an order is gone.
    Cancel { order: u64, shares: u32 },
    /// D: an order is gone.
    Delete { order: u64 },
    /// U: another order in its place.
    Replace { order: u64, new_order: u64, shares: u32, price: u32 },
    /// P: a trade with an order that was not shown.
    Trade { shares: u32, stock: [u8; 8], price: u32, match_number: u64 },
    /// Q: a cross; of no shares if nothing was traded.
    Cross { shares: u64, stock: [u8; 8], price: u32, match_number: u64 },
    /// B: a trade is taken back.
    Broken { match_number: u64 },
    /// A message that says nothing of prices and halts.
    Other { kind: u8 },
}

/// Bytes of a message of this type; `None` for a type that there is not.
pub fn message_bytes(kind: u8) -> Option<usize> {
    Some(match kind {
        b'S' | b'W' => 12,
        b'R' => 39,
        b'H' => 25,
        b'Y' | b'N' => 20,
        b'L' => 26,
        b'V' | b'J' | b'U' => 35,
        b'K' => 28,
        b'h' => 21,
        b'A' | b'C' => 36,
        b'F' | b'Q' => 40,
        b'E' => 31,
        b'X' => 23,
        b'D' | b'B' => 19,
        b'P' => 44,
        b'I' => 50,
        b'O' => 48,
        _ => return None,
    })
}

/// Reads one message. `None` when its length is not that of its type.
pub fn parse(bytes: &[u8]) -> Option<Message> {
    let kind = byte(bytes, 0)?;
    if message_bytes(kind)? != bytes.len() {
        return None;
    }
    let stock = |at: usize| array::<8>(bytes, at);
    let body = match kind {
        b'S' => Body::System { event: byte(bytes, 11)? },
        b'R' => Body::Directory { stock: stock(11)?, authenticity: byte(bytes, 29)? },
        b'H' => Body::Action { stock: stock(11)?, state: byte(bytes, 19)? },
        b'h' => Body::Operational {
            stock: stock(11)?,
            market: byte(bytes, 19)?,
            action: byte(bytes, 20)?,
        },
        b'A' | b'F' => Body::Add {
            order: be64(bytes, 11)?,
            shares: be32(bytes, 20)?,
            stock: stock(24)?,
            price: be32(bytes, 32)?,
        },
        b'E' => Body::Executed {
            order: be64(bytes, 11)?,
            shares: be32(bytes, 19)?,
            match_number: be64(bytes, 23)?,
        },
        b'C' => Body::ExecutedAt {
            order: be64(bytes, 11)?,
            shares: be32(bytes, 19)?,
            match_number: be64(bytes, 23)?,
            is_printable: byte(bytes, 31)? == b'Y',
            price: be32(bytes, 32)?,
        },
        b'X' => Body::Cancel { order: be64(bytes, 11)?, shares: be32(bytes, 19)? },
        b'D' => Body::Delete { order: be64(bytes, 11)? },
        b'U' => Body::Replace {
            order: be64(bytes, 11)?,
            new_order: be64(bytes, 19)?,
            shares: be32(bytes, 27)?,
            price: be32(bytes, 31)?,
        },
        b'P' => Body::Trade {
            shares: be32(bytes, 20)?,
            stock: stock(24)?,
            price: be32(bytes, 32)?,
            match_number: be64(bytes, 36)?,
        },
        b'Q' => Body::Cross {
            shares: be64(bytes, 11)?,
            stock: stock(19)?,
            price: be32(bytes, 27)?,
            match_number: be64(bytes, 31)?,
        },
        b'B' => Body::Broken { match_number: be64(bytes, 11)? },
        kind => Body::Other { kind },
    };
    Some(Message { locate: be16(bytes, 1)?, time_ns: be48(bytes, 5)?, body })
}
