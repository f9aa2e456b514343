//! What ends a connection: bytes that are no RESP.

/// The bytes are no RESP. Nothing after them can be told apart: the client is told and closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The number of parts of a command is none, or is above the limit.
    #[error("ERR Protocol error: invalid multibulk length")]
    ArrayLength,
    /// The length of a part is none, or is above the limit.
    #[error("ERR Protocol error: invalid bulk length")]
    BulkLength,
    /// A part does not begin with `$`.
    #[error("ERR Protocol error: expected '$', got '{}'", char::from(*.got))]
    ExpectedBulk {
        /// What it begins with.
        got: u8,
    },
    /// The bytes of a part are not followed by a line end: its length is wrong.
    #[error("ERR Protocol error: expected a line end after the bulk")]
    ExpectedLineEnd,
    /// An inline command is above the limit.
    #[error("ERR Protocol error: too big inline request")]
    InlineLength,
    /// A quote in an inline command is not closed, or something follows it directly.
    #[error("ERR Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// A browser or another HTTP client talks to this port. It must not have its body executed.
    #[error("ERR Protocol error: this is an HTTP request, and not the port for it")]
    Http,
}
