//! Bounds of the client library.

use std::time::Duration;

use super::web::{HTTP_REFUSED_SHOWN_MAX, STREAM_HEARTBEAT};

/// Bytes of one reply line that the client library accepts. A longer one is no reply of this
/// protocol, and the client gives the connection up.
pub const REPLY_LINE_BYTES_MAX: usize = 1024;

/// Names that the client library sends in one write. Two such chunks may wait for their replies,
/// which is far below [`OUTPUT_BYTES_MAX`](super::OUTPUT_BYTES_MAX): the server never stops reading because of them.
pub const PIPELINE_NAMES_MAX: usize = 512;

/// Bytes of requests that the client library sends in one write. A longer name goes alone.
pub const PIPELINE_BYTES_MAX: usize = 16 * 1024;

/// Bytes that the system of a subscriber keeps unread, where the client library is used: as few as a
/// reader at full speed needs.
pub const SUBSCRIBER_UNREAD_BYTES: usize = 32 * 1024;

/// Bytes of one whole RESP reply that the client library accepts, with all its parts. A longer
/// one is given up with its connection.
pub const RESP_REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Arrays within arrays of one RESP reply that the client library accepts.
pub const RESP_REPLY_NESTING_MAX: usize = 8;

/// How long a subscription of the client library waits before it first connects again. The pause
/// doubles with each failure, up to [`RECONNECT_PAUSE_MAX`].
pub const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause between two attempts of a subscription to connect again.
pub const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Connections that an asynchronous client has for requests at once. A further request waits, within its deadline,
/// until one is free; each watch has a connection of its own beside them.
pub const HTTP_CLIENT_CONNECTIONS_MAX: usize = 32;

/// How long an asynchronous client keeps a connection that is not used: less than the server does.
pub const HTTP_CLIENT_IDLE_MAX: Duration = Duration::from_secs(30);

/// Bytes of an answer that an asynchronous client reads. A longer one is an error.
pub const HTTP_CLIENT_REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a line of a snapshot, and of an event of a watch, that an asynchronous client reads. A longer one is an error.
pub const HTTP_CLIENT_LINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a name that an asynchronous client asks about. A longer one is not listed, whatever is around the symbol.
pub const HTTP_CLIENT_NAME_BYTES_MAX: usize = 1024;

/// Names that one request of an asynchronous client asks about. Further ones go into another request.
pub const HTTP_CLIENT_NAMES_TOGETHER: usize = 4096;

/// Updates of one request of an asynchronous client: as many as are told one by one where they are refused. Further ones go
/// into another request.
pub const HTTP_CLIENT_UPDATES_TOGETHER: usize = HTTP_REFUSED_SHOWN_MAX;

/// How long a watch of an asynchronous client hears nothing before it doubts the connection: three heartbeats. It ends it
/// when nothing comes for the timeout of the client beyond that.
pub const WATCH_SILENCE_MAX: Duration = STREAM_HEARTBEAT.saturating_mul(3);
