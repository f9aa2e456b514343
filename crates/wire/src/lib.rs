//! Codecs: bytes to requests, and replies to bytes.
//!
//! A codec owns what a protocol's bytes mean and how far it has looked at them. It knows no
//! sockets, no clock and no catalog: whoever reads the bytes keeps them, hands in all that is not
//! consumed yet, and says when a client has fallen silent or has ended its stream.
//!
//! Invariant: what is decoded depends on the bytes alone, not on how they were cut on the way,
//! except where a protocol says otherwise ([unterminated requests](mod@line)). No bytes make a codec
//! panic.
//!
//! One protocol is one module: [`mod@line`], drawn byte by byte in docs/line-protocol.md, and [`resp`],
//! described in docs/resp.md. The JSON of a quote, which more than one of them carries, is
//! [`stockd_model::quote_json`].

#![forbid(unsafe_code)]

pub mod line;
pub mod resp;
