//! The rows of the table of quotes: their layout, and the half that reads them.
//!
//! This crate owns what every bit of a row means, how a row is read while it is written, and where a
//! probe for a symbol begins. It has no locks, no panics, no allocation and no dependencies, so that
//! another process could read the same memory. It knows neither who writes rows nor how long a
//! reader should wait for one.
//!
//! # Layout
//!
//! A stock has a row of 64 bytes, a cache line, which holds what a lookup needs:
//!
//! ```text
//!  0        8        16       24       32                                  62      64
//!  ┌────────┬────────┬────────┬────────┬───────────────────────────────────┬───────┐
//!  │sequence│ price  │ volume │updated │ symbol, padded with zeros         │ state │
//!  └────────┴────────┴────────┴────────┴───────────────────────────────────┴───────┘
//! ```
//!
//! and, in a second block under the same index, a *side row* of 64 bytes for the rest. A side row is
//! touched only by stocks that have something in it, so it costs no memory where none do.
//!
//! ```text
//!  0        8        16         24         32       40                   56          62     64
//!  ┌────────┬────────┬──────────┬──────────┬────────┬────────────────────┬───────────┬──────┐
//!  │  bid   │  ask   │ bid_size │ ask_size │  time  │ symbol, bytes 32–47│   marks   │30, 31│
//!  └────────┴────────┴──────────┴──────────┴────────┴────────────────────┴───────────┴──────┘
//! ```
//!
//! Numbers are in native byte order; the symbol is words whose lowest byte is its first, so that on
//! a little-endian machine it is text. Prices and volumes are their coefficients, without the point.
//!
//! | bits of `state`, the highest 16 of the word at byte 56 | |
//! |---|---|
//! | 0–4 | places of the price, 31 where there is none |
//! | 5–9 | places of the volume, 31 where there is none; the volume's word is then not zero |
//! | 10 | [halted](HALTED) |
//! | 11 | [delisted](DELISTED) |
//! | 12 | [there is no price](UNPRICED) |
//! | 13 | [the side row has fields](EXTRA) |
//! | 14 | [the stock has a feed](FED), whose number stands in the side row |
//! | 15 | [the symbol goes on in the side row](LONG) |
//!
//! | bits of `marks`, the word at byte 56 of the side row | |
//! |---|---|
//! | 0–19 | places of bid, ask, bid size and ask size, five bits each, 31 where there is none |
//! | 20 | there is a time |
//! | 21–31 | the number of the feed, from 1; 0 where there is none |
//! | 48–63 | bytes 30 and 31 of the symbol |
//!
//! Where the symbol has no more than 30 bytes, or no field is there but those of the row, what the
//! side row holds means nothing.
//!
//! # The sequence
//!
//! | sequence | the row |
//! |---|---|
//! | 0 | empty: never held a stock, ends every probe |
//! | 1 | claimed: its first quote is being written; to others it is still empty |
//! | even | stable; the quote's version is half the sequence |
//! | odd | locked: its one writer is at work |
//! | [`MOVED`] set | left behind: the stock lives in the next block. Never changes again |
//!
//! Both rows of a stock are under the one sequence of the first.
//!
//! Invariant: the symbol is written while the row is claimed and never changes after that, so a
//! probe compares symbols without waiting for a writer. Everything else is read between two equal,
//! even sequences, or read again. All loads are relaxed, with fences between them: an acquire load is
//! not sure to work on memory that may only be read.

#![cfg_attr(not(loom), no_std)]
#![forbid(unsafe_code)]

mod hash;
mod row;
mod side;
mod sync;

pub use hash::HashKey;
pub use row::{
    Bare, CHANGE, CLAIMED, DELISTED, EMPTY, EXTRA, FED, Fields, HALTED, LOCKED, LONG, MOVED, Place,
    Row, Seen, Tradable, UNPRICED,
};
pub use side::{Extras, Side};
pub use sync::AtomicU64;

/// Words of a symbol: up to 48 bytes, the first one the lowest of the first word, padded with zeros.
pub const WORDS: usize = 6;

/// A symbol as words. No symbol has a zero in its text.
pub type Words = [u64; WORDS];

/// The bits of a symbol's fourth word that stand in the row itself: bytes 24 to 29.
pub const TEXT: u64 = (1 << STATE_SHIFT) - 1;

/// Where the state stands in the last word of a row.
pub const STATE_SHIFT: u32 = 48;

/// The places of a decimal that is absent.
pub const NO_PLACES: u64 = 31;

/// Whether a symbol has more than the 30 bytes that a row has room for.
#[inline(always)]
pub const fn is_long(words: &Words) -> bool {
    words[3] & !TEXT != 0
}
