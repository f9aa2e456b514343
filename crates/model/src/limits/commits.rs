//! Bounds of writes on their way to the disk, and of the files there.

use std::time::Duration;

/// Requests of one worker that wait for the disk. Beyond it a connection that already waits is not
/// read further; one that does not yet wait may have one more request wait.
pub const COMMIT_QUEUE_REQUESTS_MAX: usize = 16 * 1024;

/// Requests of one connection that wait for the disk. Beyond it the connection is not read further
/// until some are answered.
pub const PARKED_REQUESTS_MAX: usize = 4096;

/// How long a worker has to have served nothing but writes before it commits one itself, in place of the committer.
/// A client that asks something else meanwhile may wait for the disk, up to twice [`SEAT_LOOK_INTERVAL`].
pub const OWN_COMMIT_QUIET: Duration = Duration::from_millis(10);

/// How soon after the last one a write has to come for a worker to commit it itself. Single ones are handed over.
pub const OWN_COMMIT_GAP: Duration = Duration::from_millis(5);

/// A worker that is about to commit writes of several clients itself looks this often, at most, whether more have come
/// meanwhile. Each look that finds one saves a commit.
pub const OWN_COMMIT_LOOKS_MAX: u32 = 4;

/// From this number of requests on they are committed at once: to wait for more of them would cost each more than it saves.
pub const OWN_COMMIT_REQUESTS: usize = 32;

/// How long a worker commits nothing itself after a commit that took longer than clients may wait for it.
pub const OWN_COMMIT_REST: Duration = Duration::from_millis(100);

/// How often the second thread of a worker looks whether the first one is held up by the disk: one that has been
/// from one look to the next has its worker taken.
pub const SEAT_LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// After this number of looks in which the worker committed nothing, the second thread sleeps.
pub const SEAT_LOOKS_IDLE: u32 = 8;

/// The longest time from a write to its commit that can be set: 1 hour.
pub const COMMIT_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);

/// Stocks that have changed since the last commit, at most, where writes are committed an interval
/// after they were answered: the commit comes early then. What one round of the committer decides
/// comes on top.
pub const UNCOMMITTED_STOCKS_MAX: usize = 64 * 1024;

/// How often a server looks whether its data directory is still in its place, when no commit does.
pub const DATA_DIR_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Memory that the store keeps for pages of its file, at most. The catalog answers all lookups, so
/// it helps commits alone.
pub const STORE_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of a segment of the log of durable writes, unless one commit alone is larger. The next one is
/// begun then, and a checkpoint.
pub const LOG_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Segments of the log behind the checkpoint, at most. Writes wait for the checkpoint then.
pub const LOG_SEGMENTS_MAX: usize = 4;

/// Bytes of zeros that are written ahead of the log at once, at least and at most: as many as the segment
/// has, between the two.
pub const LOG_ZEROS_BYTES_MIN: u64 = 32 * 1024;
/// See [`LOG_ZEROS_BYTES_MIN`].
pub const LOG_ZEROS_BYTES_MAX: u64 = 1024 * 1024;

/// How long after a checkpoint the next one may begin before a segment is full. It does when the log has as
/// many bytes behind the checkpoint as the checkpoint has, so that it at most doubles what is written.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// Bytes of the position that the store keeps with a commit, at most. A longer one is a mistake of the
/// program and ends it.
pub const STORE_POSITION_BYTES_MAX: usize = 1024 * 1024;

/// Damaged records that a check of a data directory names, at most. The others are counted.
pub const CHECK_DAMAGED_RECORDS_SHOWN_MAX: usize = 10;
