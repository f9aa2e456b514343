//! IEX TOPS 1.6: what the bytes of a message say.
//!
//! Source: *IEX TOPS Specification*, version 1.6, IEX. Numbers are little endian; a price has four decimal
//! places; times are Unix nanoseconds. Messages of version 1.5 have the same shapes.
//!
//! Invariant: a message is at least as long as its type says; what a later version puts behind is passed over.

use crate::read::{array, byte, le32, le64};

/// A message, with what matters of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the specification")]
pub enum Message {
    /// Q: the best bid and ask.
    Quote { time_ns: u64, symbol: [u8; 8], bid_size: u32, bid: i64, ask: i64, ask_size: u32 },
    /// T: a trade.
    Trade { flags: u8, time_ns: u64, symbol: [u8; 8], size: u32, price: i64, id: u64 },
    /// B: a trade is taken back.
    Break { time_ns: u64, symbol: [u8; 8], id: u64 },
    /// H: halted, paused, order acceptance or trading.
    Status { time_ns: u64, symbol: [u8; 8], status: u8 },
    /// O: whether the market alone has stopped.
    Operational { time_ns: u64, symbol: [u8; 8], status: u8 },
    /// A message that says nothing of prices and halts.
    Other { kind: u8 },
}

/// A trade outside of regular hours.
pub const EXTENDED_HOURS: u8 = 0x40;
/// A trade of less than a round lot.
pub const ODD_LOT: u8 = 0x20;

/// Bytes of a message of this type, at least; `None` for a type that is not used here.
fn message_bytes(kind: u8) -> Option<usize> {
    match kind {
        b'Q' => Some(42),
        b'T' | b'B' => Some(38),
        b'H' => Some(22),
        b'O' => Some(18),
        _ => None,
    }
}

/// Reads one message. `None` when it is shorter than its type says.
pub fn parse(bytes: &[u8]) -> Option<Message> {
    let kind = byte(bytes, 0)?;
    let Some(len) = message_bytes(kind) else {
        return Some(Message::Other { kind });
    };
    if bytes.len() < len {
        return None;
    }
    let flags = byte(bytes, 1)?;
    let (time_ns, symbol) = (le64(bytes, 2)?, array(bytes, 10)?);
    let signed = |at: usize| le64(bytes, at).map(u64::cast_signed);
    Some(match kind {
        b'Q' => Message::Quote {
            time_ns,
            symbol,
            bid_size: le32(bytes, 18)?,
            bid: signed(22)?,
            ask: signed(30)?,
            ask_size: le32(bytes, 38)?,
        },
        b'T' => Message::Trade {
            flags,
            time_ns,
            symbol,
            size: le32(bytes, 18)?,
            price: signed(22)?,
            id: le64(bytes, 30)?,
        },
        b'B' => Message::Break { time_ns, symbol, id: le64(bytes, 30)? },
        b'H' => Message::Status { time_ns, symbol, status: flags },
        _ => Message::Operational { time_ns, symbol, status: flags },
    })
}
