//! The words of stockd: symbols, prices, quotes, requests, replies, addresses and limits; and how
//! text that others chose is shown.
//!
//! This crate owns what a value *is* and which values are possible. It knows nothing of tables,
//! bytes on the wire, files or clocks, and every other crate may depend on it.
//!
//! Invariant: a value that exists is valid. A [`Symbol`] is 1 to 48 bytes of printable UTF-8, a
//! [`Price`] is exact, a [`SocketPath`] fits into a socket's address. Text becomes
//! such a value once, at the edge, and is never checked again.

#![forbid(unsafe_code)]

mod address;
mod answer;
pub mod batch;
mod certificate;
mod condition;
mod decimal;
mod escape;
mod feed;
mod field;
mod invisible;
pub mod limits;
mod pattern;
mod price;
mod problem;
mod quote;
pub mod quote_json;
mod reply;
mod request;
pub mod rfc3339;
mod right;
mod shares;
mod status;
mod symbol;
mod volume;

pub use address::{Address, AddressError, SocketPath, ToAddresses};
pub use answer::Answer;
pub use certificate::{CertificateName, NoCertificateName};
pub use condition::{Condition, Conditional, Watched};
pub use decimal::{DECIMAL_ROOM_BYTES, DecimalText};
pub use escape::{Escaped, escaped};
pub use feed::{FeedName, FeedNameError, FeedState, NoFeedState, QuoteFeed};
pub use field::{Field, FieldError, FieldText, parse_time};
pub use pattern::Pattern;
pub use price::{Price, PriceError};
pub use problem::{GrpcCode, Problem};
pub use quote::Quote;
pub use reply::{Refusal, Reply};
pub use request::{Edit, Fields, Request};
pub use right::{Right, Rights};
pub use shares::{Shares, SharesError};
pub use status::{Status, StatusError};
pub use symbol::{SYMBOL_WORDS, Symbol, SymbolError};
pub use volume::{Volume, VolumeError};
