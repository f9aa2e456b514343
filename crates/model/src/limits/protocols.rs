//! Bounds of what clients say by line and RESP.

use std::time::Duration;

/// Bytes of one line of the line protocol without its line end. More without a newline closes
/// the connection.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// How long the very first bytes of a line-protocol connection may lack a newline before the
/// connection counts as unterminated.
pub const UNTERMINATED_AFTER: Duration = Duration::from_millis(1);

/// The same for a client of a host whose latest client was unterminated: what was sent together, and
/// cut on its way, still comes together.
pub const UNTERMINATED_AFTER_KNOWN: Duration = Duration::from_micros(100);

/// Hosts that are known to have unterminated clients, at most: 8 bytes each. Others take their
/// places.
pub const UNTERMINATED_PEERS_MAX: usize = 4096;

/// Bytes of one part of a RESP command. A longer one is a protocol error and closes the
/// connection.
pub const RESP_BULK_BYTES_MAX: usize = 64 * 1024;

/// Parts of one RESP command, its name among them. More are a protocol error and close the
/// connection.
pub const RESP_ARRAY_PARTS_MAX: usize = 1_048_576;

/// Bytes of one inline RESP command without its line end. A longer one is a protocol error and
/// closes the connection.
pub const RESP_INLINE_BYTES_MAX: usize = 64 * 1024;

/// Parts of one RESP command that is executed as a whole, its name among them. One with more is
/// refused; `MSET` has [`TRANSACTION_COMMANDS_MAX`] pairs. Commands over any number of stocks (`MGET`, `DEL`…) are executed part by part and
/// have [`RESP_ARRAY_PARTS_MAX`].
pub const RESP_COMMAND_PARTS_MAX: usize = 128;

/// Bytes of one RESP command that is executed as a whole, as it is sent. A longer one is refused.
pub const RESP_COMMAND_BYTES_MAX: usize = 128 * 1024;

/// Bytes that a session keeps of a request that has not come whole, beyond one read.
pub const UNDECODED_BYTES_MAX: usize = RESP_COMMAND_BYTES_MAX;

/// Bytes of a name or library name that a client gives its connection. A longer one is refused.
pub const CLIENT_NAME_BYTES_MAX: usize = 512;

/// Commands of one transaction. A further one is refused, and so is the transaction then.
pub const TRANSACTION_COMMANDS_MAX: usize = 1024;

/// Parts of all commands of one transaction, their names among them: what it may take to execute it,
/// while other writes wait. A command with which there are more is refused, and so is the transaction
/// then.
pub const TRANSACTION_PARTS_MAX: usize = 16 * 1024;

/// Bytes of all commands of one transaction, as they are sent. A command with which there are more is
/// refused, and so is the transaction then.
pub const TRANSACTION_BYTES_MAX: usize = 1024 * 1024;

/// Stocks that one connection watches for its next transaction. A further one is refused.
pub const WATCHED_STOCKS_MAX: usize = 1024;
