//! The protocols that a server can be spoken to in, and how each one's replies are recognised.

use std::fmt;

use serde::{Deserialize, Serialize};
use stockd_model::limits::RESP_REPLY_BYTES_MAX;
use stockd_wire::line::{self, LineReply};
use stockd_wire::reply::NotAReply;
use stockd_wire::resp::{self, Piece};

use super::item::{Decoded, Foreign, Item};
use super::memcached;
#[cfg(feature = "web")]
use super::{http, websocket};

/// What a server is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// stockd's own: a symbol, a line feed.
    Line,
    /// That of Redis, version 2.
    Resp,
    /// The text protocol of memcached: `get`.
    Memcached,
    /// Its meta commands: `mg`.
    MemcachedMeta,
    /// HTTP/1.1: `GET /v1/stocks/…`.
    Http,
    /// The same over HTTP/2, many at once on a connection.
    Http2,
    /// The action `lookup` of WebSocket.
    Websocket,
    /// `stockd.v1.Stocks/Lookup`, many at once on a connection.
    Grpc,
}

impl Protocol {
    /// The first item of `bytes` and how long it is; `None` while it is not whole.
    ///
    /// # Errors
    ///
    /// When the bytes cannot be the beginning of a reply.
    #[inline]
    pub fn decode(self, bytes: &[u8]) -> Result<Option<(Item<'_>, usize)>, Foreign> {
        let decoded = match self {
            Protocol::Line => decode_line(bytes),
            Protocol::Resp => decode_resp(bytes),
            Protocol::Memcached | Protocol::MemcachedMeta => memcached::decode(bytes),
            #[cfg(feature = "web")]
            Protocol::Http => http::decode(bytes),
            #[cfg(feature = "web")]
            Protocol::Websocket => websocket::decode(bytes),
            // Their replies are recognised by the conversation that has them on streams of their own.
            _ => Err(NotAReply),
        };
        decoded.map_err(|_not_a_reply| Foreign::new(bytes))
    }

    /// Whether a run can write prices over it.
    pub fn has_writes(self) -> bool {
        matches!(self, Protocol::Resp | Protocol::Memcached | Protocol::MemcachedMeta)
    }

    /// Whether a connection has streams, which are answered in any order.
    pub fn has_streams(self) -> bool {
        matches!(self, Protocol::Http2 | Protocol::Grpc)
    }

    /// Whether a name can be asked for in this protocol; if not, why.
    pub(crate) fn refuses(self, name: &[u8]) -> Option<&'static str> {
        match self {
            Protocol::Line if name.contains(&b'\n') => {
                Some("has a line feed, which ends a request")
            }
            Protocol::Memcached | Protocol::MemcachedMeta => memcached::refuses(name),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Line => "line",
            Protocol::Resp => "resp",
            Protocol::Memcached => "memcached",
            Protocol::MemcachedMeta => "memcached (meta)",
            Protocol::Http => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
            Protocol::Websocket => "WebSocket",
            Protocol::Grpc => "gRPC",
        })
    }
}

#[inline]
fn decode_line(bytes: &[u8]) -> Decoded<'_> {
    Ok(line::decode_reply(bytes)?.map(|(reply, length)| {
        let item = match reply {
            LineReply::Price(text) => Item::Value(text),
            LineReply::NotFound => Item::Missing,
            LineReply::NotPermitted => Item::Error(b"not permitted"),
            LineReply::TurnedAway(why) => Item::Error(why),
        };
        (item, length)
    }))
}

#[inline]
fn decode_resp(bytes: &[u8]) -> Decoded<'_> {
    Ok(resp::decode_piece(bytes, RESP_REPLY_BYTES_MAX)?.map(|(piece, length)| {
        let item = match piece {
            Piece::Bulk(value) => Item::Value(value),
            Piece::Nil => Item::Missing,
            Piece::Array(items) => Item::Array(items),
            Piece::Simple(_) | Piece::Integer(_) => Item::Done,
            Piece::Error(why) => Item::Error(why),
        };
        (item, length)
    }))
}
