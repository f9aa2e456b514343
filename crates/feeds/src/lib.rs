//! Market data as exchanges and vendors send it: bytes in, the last values of stocks out.
//!
//! A [`Decode`] takes bytes as they come and applies one message after the other to a [`Market`], which knows
//! what is the last of each stock. The codecs do no I/O and know no clock; who reads the file or socket, and
//! who is told of changes, is not their business.
//!
//! ```text
//!  bytes ──► itch_file ─┐
//!  bytes ──► capture ──►│ mold ──► itch ──► itch_feed ─┐
//!                       └ iex_tp ─► tops ──► tops_feed ─┼──► Market ──► changed stocks
//!  bytes ──► dbn_feed (by the crate dbn) ──────────────┤
//!  bytes ──► alpaca (JSON) ────────────────────────────┘
//! ```
//!
//! `itch.rs` and `tops.rs` know what the bytes of a message say, `itch_feed.rs` and `tops_feed.rs` what it means
//! for a stock.
//!
//! Invariant: the last trade that stands is the price. What cannot be applied is counted by its cause; no
//! input panics, and memory is bounded by the limits of `stockd_model::limits`.

#![forbid(unsafe_code)]

#[cfg(feature = "alpaca")]
mod alpaca;
mod capture;
mod counts;
mod datagram;
#[cfg(feature = "dbn")]
mod dbn_feed;
mod decode;
mod iex_tp;
pub mod itch;
mod itch_feed;
mod itch_file;
mod market;
mod mold;
mod new_york;
mod pending;
mod read;
mod sequence;
mod stock;
pub mod tops;
mod tops_feed;

#[cfg(feature = "alpaca")]
pub use alpaca::AlpacaFeed;
pub use capture::Capture;
pub use counts::{Cause, Counts};
#[cfg(feature = "dbn")]
pub use dbn_feed::DbnFeed;
pub use decode::{Decode, FeedError, Step};
pub use itch_feed::ItchFeed;
pub use itch_file::ItchFile;
pub use market::{Market, Rules, StockId};
pub use new_york::{Date, midnight_ns};
pub use stock::{Stock, Trade};
pub use tops_feed::TopsFeed;
