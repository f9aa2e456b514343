//! What ends a connection: bytes that are no RESP.

use crate::proxy::UNEXPECTED_HEADER;

/// The bytes are no RESP. Commands after them cannot be told apart: the client gets the error, and
/// its connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// What should be the number of parts of a command is no number, or is above the limit.
    #[error("ERR Protocol error: invalid multibulk length")]
    ArrayLength,
    /// What should be the length of a part is no number, or is above the limit.
    #[error("ERR Protocol error: invalid bulk length")]
    BulkLength,
    /// A part does not begin with `$`.
    #[error("ERR Protocol error: expected '$', got '{}'", char::from(*.got))]
    ExpectedBulk {
        /// What it begins with.
        got: u8,
    },
    /// No line end follows the bytes of a part: its length is wrong.
    #[error("ERR Protocol error: expected a line end after the bulk")]
    ExpectedLineEnd,
    /// An inline command is above the limit.
    #[error("ERR Protocol error: too big inline request")]
    InlineLength,
    /// A quote in an inline command is not closed, or something follows it directly.
    #[error("ERR Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// An inline command is no text. It may be TLS or another protocol, and lines in it must not be
    /// executed.
    #[error(
        "ERR Protocol error: a line with a control character or invalid UTF-8; this port talks RESP, without TLS"
    )]
    Binary,
    /// A browser or another HTTP client talks to this port. What it sends must not be
    /// executed.
    #[error("ERR Protocol error: this is an HTTP request, and not the port for it")]
    Http,
    /// A proxy tells of its client, and the server was not told that there is one. The client would get
    /// a reply too many.
    #[error("ERR Protocol error: {UNEXPECTED_HEADER}")]
    Proxy,
}
