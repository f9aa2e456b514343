//! Codecs of both sides: requests and replies, to bytes and back.
//!
//! A server decodes requests and encodes replies; a client encodes commands and decodes replies. A
//! codec owns what a protocol's bytes mean and how far it has looked at them. It knows no
//! sockets, no clock and no catalog: its caller reads and keeps the bytes, hands in all that is not
//! consumed yet, and says when a client has fallen silent or has ended its stream.
//!
//! Invariant: what is decoded depends on the bytes alone, not on how they were cut on the way,
//! except where a protocol says otherwise ([unterminated requests](mod@line)). No bytes make a codec
//! panic.
//!
//! One protocol is one module: [`mod@line`], drawn byte by byte in docs/line-protocol.md, and [`resp`],
//! described in docs/resp.md. [`mod@proxy`] is what may come before either. What a client's decoders of either share is in [`reply`]. The JSON of a
//! quote, which more than one of them carries, is [`stockd_model::quote_json`].

#![forbid(unsafe_code)]

pub mod line;
pub mod proxy;
pub mod reply;
pub mod resp;
