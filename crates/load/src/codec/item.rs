//! What a run counts of a reply, whatever the protocol.

use std::fmt;

use stockd_model::escaped;
use stockd_model::limits::EXCERPT_BYTES_MAX;
use stockd_wire::reply::NotAReply;

/// One piece of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// What was found.
    Value(&'a [u8]),
    /// Nothing was found.
    Missing,
    /// This number of items follow, which together answer one request.
    Array(usize),
    /// A write was done.
    Done,
    /// The request was refused, and why.
    Error(&'a [u8]),
    /// Something that answers no request.
    Aside,
    /// The server asks whether the client is there, with bytes that come back.
    Ping(&'a [u8]),
}

/// The first item of some bytes and how long it is; `None` while it is not whole.
pub(super) type Decoded<'a> = Result<Option<(Item<'a>, usize)>, NotAReply>;

/// Its beginning on one line, for errors.
impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Value(text) | Item::Error(text) => f.write_str(&excerpt(text)),
            Item::Missing => f.write_str("nothing found"),
            Item::Array(items) => write!(f, "an array of {items}"),
            Item::Done => f.write_str("done"),
            Item::Aside => f.write_str("a word aside"),
            Item::Ping(_) => f.write_str("a ping"),
        }
    }
}

/// Bytes that are no reply of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The beginning of their first line.
    pub excerpt: String,
}

impl Foreign {
    pub(crate) fn new(bytes: &[u8]) -> Foreign {
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        Foreign { excerpt: excerpt(line) }
    }
}

/// The beginning of a text from the network, fit for one line of a terminal.
pub(crate) fn excerpt(text: &[u8]) -> String {
    escaped(text.trim_ascii()).at_most(EXCERPT_BYTES_MAX).to_string()
}
