//! Bounds of the process: its threads, its end, its log lines, and the files that it reads.

use std::time::Duration;

/// Worker threads, at most.
pub const WORKERS_MAX: usize = 1024;

/// Threads of the service plane, at most.
pub const WEB_THREADS_MAX: usize = 64;

/// Open files that the connection limit leaves for everything else: listeners, readiness queues,
/// catalog files, the log.
pub const FILES_RESERVED: usize = 64;

/// How often files that may change while the server runs are looked at.
pub const FILES_LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// From the signal to stop until the process has answered what was asked and exits, at most.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The part of [`SHUTDOWN_TIMEOUT`] that is kept for the exit itself: replies that a client has
/// not taken by then are given up.
pub const SHUTDOWN_MARGIN: Duration = Duration::from_secs(1);

/// The longest time that a timeout can be set to: 30 days. Switch it off to wait for ever.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Bytes of a foreign text that an error message or a log line shows, escapes included. An ellipsis
/// stands for the rest.
pub const EXCERPT_BYTES_MAX: usize = 120;

/// Bytes of the log that wait to be written. Beyond it lines are dropped, and counted in the
/// log when there is room again.
pub const LOG_QUEUE_BYTES_MAX: usize = 256 * 1024;

/// Bytes of the log that are written at once, unless one line is longer: what a pipe takes whole.
pub const LOG_WRITE_BYTES: usize = 4096;

/// How long the end of the process waits for each write of the log. What is not written by then is
/// given up.
pub const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// How often the log shows an event of one kind that clients can cause at will, such as a refused
/// connection. The others are counted.
pub const LOG_REPEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Series of `/metrics`, at most, whatever is listed or connected.
pub const METRIC_SERIES_MAX: usize = 300;

/// Bytes of one line of a catalog file or a list of names, at most. A longer line is a bad row.
pub const CATALOG_LINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes at the beginning of a catalog file from which its format, delimiter and decimal mark are seen. What
/// comes later does not change them.
pub const CATALOG_SAMPLE_BYTES: usize = 64 * 1024;

/// Rows of a catalog file for which room is made before they are read, by the size of the file. For more, room is
/// made as they come.
pub const CATALOG_ROWS_EXPECTED_MAX: usize = 4 << 20;

/// Bad rows of a catalog file that are shown one by one, at most. The others are counted.
pub const CATALOG_BAD_ROWS_SHOWN_MAX: usize = 10;

/// Clients at once of `stockd lookup --clients`, at most. Each is a thread; the load generator has more.
pub const LOOKUP_CLIENTS_MAX: usize = 64;
