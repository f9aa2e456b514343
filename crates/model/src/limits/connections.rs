//! Bounds of connections of the data plane: how they are accepted, what waits for them, and what they hold.

use std::time::Duration;

/// Connections open at once (*default*). A further client is told so and closed.
pub const CONNECTIONS_MAX: usize = 50_000;

/// The most that the number of connections can be set to: 2²⁰, what Linux lets one process open
/// unless told otherwise.
pub const CONNECTIONS_CEILING: usize = 1024 * 1024;

/// Addresses that one protocol is spoken at, at most.
pub const LISTEN_ADDRESSES_MAX: usize = 16;

/// Bytes in the path of a Unix socket, at most: what the system's address of a socket has room for,
/// with the zero behind it. A longer path is refused.
pub const SOCKET_PATH_BYTES_MAX: usize =
    if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

/// Accepted connections that wait for a worker. When the queue is full a further client is told so
/// and closed.
pub const WORK_QUEUE_MAX: usize = 1024;

/// How long the acceptor waits for room in a full work queue before it turns a client away. A
/// burst of new clients passes in that time; meanwhile the others wait in the kernel's backlog.
pub const WORK_QUEUE_PATIENCE: Duration = Duration::from_millis(100);

/// Connections that wait in the kernel to be accepted, at most. The system may allow fewer
/// (`net.core.somaxconn` on Linux).
pub const ACCEPT_BACKLOG: usize = 4096;

/// Connections accepted from one listener before the others have their turn.
pub const ACCEPT_BATCH: usize = 64;

/// How long the acceptor pauses when the system has no file or memory left for another
/// connection.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long a TCP connection may be silent before the system asks the other end whether it is still
/// there; and how soon it asks again, and how often, before it gives the connection up.
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(300);
/// See [`KEEPALIVE_AFTER`].
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// See [`KEEPALIVE_AFTER`].
pub const KEEPALIVE_RETRIES: u32 = 3;

/// Bytes of the header that a proxy sends before its client's, at most. A longer one is an error and
/// ends the connection.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;

/// Bytes of a record of TLS, its header included, at most (RFC 8446, 5.2). A longer one ends the connection.
pub const TLS_RECORD_BYTES_MAX: usize = 5 + 16 * 1024 + 256;

/// Bytes of TLS records that are kept until the rest of them comes: a record of 16 KiB, or the parts of a
/// message of the handshake, which has 64 KiB at most. A client that needs more is closed.
pub const TLS_PARTIAL_BYTES_MAX: usize = 80 * 1024;

/// How long a client may take for the handshake of TLS. Then it is closed.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Clients of one worker that are in the handshake of TLS at once. When one more comes, the one that came
/// first and has not ended it is closed.
pub const TLS_HANDSHAKES_MAX: usize = 4096;

/// Work that a turn with a part of the handshake counts as: it is for the slices of heavy connections.
pub const TLS_HANDSHAKE_WORK: usize = 1024;

/// How long a client may leave waiting replies unread, without progress, before it is closed
/// (*default*).
pub const STALLED_CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the bytes of a request may wait for the rest of it, before the client is told so and
/// closed.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the server waits, after it has said all it has to say and has closed its direction,
/// for the client to close too. Closing at once could destroy replies on their way.
pub const LINGER_TIMEOUT: Duration = Duration::from_millis(250);

/// Bytes that the server reads and discards from a client while it waits for it to close.
pub const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of replies that may wait for one client in any case. Beyond it a client that sends many
/// requests before it reads draws on a budget that all share ([`UNREAD_REPLIES_MAX`] unless it is
/// set), and may hold as much as is left of it. Then the server stops reading from that client until
/// it has read its replies.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of replies that may wait for all clients together before each is bounded by
/// [`OUTPUT_BYTES_MAX`], unless it is set.
pub const UNREAD_REPLIES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of replies that wait for one client while memory is scarce. Beyond it the client is not
/// read until it has taken them.
pub const OUTPUT_BYTES_SCARCE: usize = 16 * 1024;

/// Memory that all connections hold together, at least, unless it is set (*default*): a quarter of
/// what the system or the control group of the process allows is more on most machines. From seven
/// eighths of the limit on, commands that would take more are refused and replies wait only up to
/// [`OUTPUT_BYTES_SCARCE`]; above the limit those are closed that hold the most.
pub const MEMORY_MIN: usize = 64 * 1024 * 1024;

/// The least that the memory of all connections can be set to: what one of them may need.
pub const MEMORY_FLOOR: usize = 1024 * 1024;

/// By how much a worker's memory differs, at most, from what the others know of it.
pub const MEMORY_STEP: usize = 64 * 1024;

/// How often a worker says in the log that it closes connections for want of memory, at most.
pub const MEMORY_LOG_INTERVAL: Duration = Duration::from_secs(1);
