//! Bounds of a cluster: its log, its nodes and its snapshots.

use std::time::Duration;

use super::catalog::STOCKS_MAX;

/// Bytes of one message of the log of a cluster, at most. What does not fit goes into the next one; a
/// transaction that does not fit into one alone is refused.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Commands of one message of the log of a cluster, at most. Further ones go into the next message.
pub const BATCH_COMMANDS_MAX: usize = 8192;

/// Messages of one node that are on their way to the log at once and have not come back. What else is
/// asked waits for one of them, and then goes together.
pub const BATCHES_IN_FLIGHT_MAX: usize = 2;

/// Stocks listed at once in a cluster. A further listing is refused. Half of what a catalog has rooms for, since
/// what is delisted and what is listed together needs room for both.
pub const CLUSTER_STOCKS_MAX: usize = STOCKS_MAX / 2;

/// Bytes in the name of a cluster. A longer one is refused.
pub const CLUSTER_NAME_BYTES_MAX: usize = 32;

/// Messages that have come from the log of a cluster and wait to be applied. With more the log waits.
pub const DELIVERIES_MAX: usize = 4096;

/// Bytes of such messages. With more the log waits, too; one message alone always has room.
pub const DELIVERIES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a node of a cluster wants from the network and has not got yet. A further one is dropped, and sent again when
/// it is due.
pub const EFFECTS_MAX: usize = 256;

/// How long a node that stops waits for what it has sent.
pub const CLUSTER_END_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a node of a cluster may be without a connection before writes are refused. Until then they wait.
pub const CLUSTER_DOWN_AFTER: Duration = Duration::from_secs(2);

/// Sessions of nodes that a cluster remembers, at most. A further one ends the one that was silent the longest.
pub const CLUSTER_SESSIONS_MAX: usize = 4096;

/// How long a session of a node is remembered without a message of it, by the clock of the log.
pub const CLUSTER_SESSION_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Messages of the log of which a node remembers the chain, to compare it with what others have seen. What
/// somebody has seen before these is not compared.
pub const CHAIN_REMEMBERED: usize = 65_536;

/// Links of the chain that a node keeps on its disk and in snapshots, to compare what the log delivers after a start.
pub const CHAIN_KEPT: usize = 256;

/// Nodes compare digests of what they hold each time that they have applied this many messages.
pub const DIGEST_INTERVAL: u64 = 4096;

/// Digests that a node remembers. One of a message before these is not compared.
pub const DIGESTS_REMEMBERED: usize = 64;

/// How soon a message is sent again, as long as the log has not taken it.
pub const RESEND_INTERVAL: Duration = Duration::from_millis(100);

/// How old what a node shows may become before it asks the log, with a message that does nothing.
pub const TICK_INTERVAL: Duration = Duration::from_millis(250);

/// How long none of its own messages has to come back before a node follows the log again; after twice as
/// long it does so through another server.
pub const REFOLLOW_AFTER: Duration = Duration::from_secs(1);

/// The same after it was followed several times in vain.
pub const REFOLLOW_AFTER_MAX: Duration = Duration::from_secs(5);

/// Commands of the log that are decided before what they changed is shown, but for the end of a message. Those that are
/// decided together change a row once, as long as they stay in the cache of the processor.
pub const COMMANDS_TOGETHER_MAX: usize = BATCH_COMMANDS_MAX;

/// How often a node of a cluster keeps on its disk what has changed. After a crash it reads from the log what it has
/// not kept.
pub const KEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A node pauses at least this many times as long as it took to keep what had changed.
pub const KEEP_PAUSE: u32 = 4;

/// Stocks that have changed since a node has last kept them, at most. With more, the log waits for the disk.
pub const KEEP_STOCKS_MAX: usize = 1 << 20;

/// Stocks that are put on the disk together when a node begins from a snapshot.
pub const FILL_STOCKS: usize = 16 * 1024;

/// How long a log that ends before what a node has kept may go on to say so, before the node takes its word for
/// it: servers that start read their disks.
pub const LOG_RECOVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long after a snapshot of a cluster the next one is due, by the clock of the log.
pub const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Bytes of the log since the last snapshot of a cluster with which the next one is due earlier, after
/// [`SNAPSHOT_PAUSE`]: a node that begins reads them in a few seconds.
pub const SNAPSHOT_LOG_BYTES: u64 = 64 * 1024 * 1024;

/// How long after a snapshot of a cluster there is no further one, by the clock of the log, before it has grown by
/// [`SNAPSHOT_LOG_BYTES_MAX`].
pub const SNAPSHOT_PAUSE: Duration = Duration::from_secs(60);

/// Bytes of the log since the last snapshot of a cluster with which the next one is due at once, and again the turn of
/// another node.
pub const SNAPSHOT_LOG_BYTES_MAX: u64 = 1 << 30;

/// Bytes of a stock in a snapshot of a cluster, about. Before [`SNAPSHOT_INTERVAL`] has passed none is taken that is longer than half of
/// the log since the last one.
pub const SNAPSHOT_STOCK_BYTES: u64 = 60;

/// How long a node has its turn to keep a snapshot. Then another one has it.
pub const SNAPSHOT_TURN: Duration = Duration::from_secs(60);

/// How long a node of which the log has no message is still one that may have its turn.
pub const SNAPSHOT_TAKER_SILENCE: Duration = Duration::from_secs(10);

/// Bytes of the messages in which a snapshot of a cluster is kept.
pub const SNAPSHOT_CHUNK_BYTES: usize = 128 * 1024;

/// Bytes of a snapshot of a cluster, at most: every stock that may be listed, with all that a quote has. A larger one is not
/// read.
pub const SNAPSHOT_OBJECT_BYTES_MAX: u64 = 200 * CLUSTER_STOCKS_MAX as u64;
