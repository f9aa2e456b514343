//! Bounds of the work of one pass of a worker and of one turn of a connection.

use std::time::Duration;

/// Bytes read from one connection before the others have their turn.
pub const READ_BYTES_MAX: usize = 16 * 1024;

/// Work of one connection's turn, besides plain lookups, which count by the bytes read. A unit is
/// about what it takes to look at one row of the catalog, 50 ns. What is left of a command, and all
/// that the client asks behind it, goes on in the connection's next turn, after all others.
pub const TURN_WORK: usize = 4096;

/// Work of a turn of a connection that was quick in its turn before. One that has more to do is heavy:
/// it goes on when all quick ones had their turns, with [`TURN_WORK`], as long as the pass has time
/// for heavy ones.
pub const QUICK_WORK: usize = 128;

/// Bytes that such a turn reads. Who has sent more is heavy as well.
pub const QUICK_READ_BYTES: usize = 2 * 1024;

/// Bytes read that count as one unit of work.
pub const READ_BYTES_PER_WORK: usize = 16;

/// Bytes made and written that count as one unit of work.
pub const WRITTEN_BYTES_PER_WORK: usize = 16;

/// How long heavy connections have their turns in one pass of a worker, at least. It is as long as
/// the rest of the pass took up to [`HEAVY_SLICE_MAX`]. The others come in the next passes.
pub const HEAVY_SLICE_MIN: Duration = Duration::from_millis(1);

/// How long heavy connections have their turns in one pass of a worker, at most, but for the end of the
/// turn that is under way.
pub const HEAVY_SLICE_MAX: Duration = Duration::from_millis(5);

/// Work that a step of a command may always do, however little is left of its turn.
pub const TURN_WORK_MIN: usize = 64;

/// Work that a page of the catalog (`SCAN`, `SNAPSHOT`) may always take, so that a small catalog is one
/// page however little is left of the turn.
pub const PAGE_WORK_MIN: usize = 1024;

/// Connections that a worker takes from the work queue in one pass. The others come in its next ones,
/// unless other workers take them.
pub const TAKES_PER_PASS: usize = 64;

/// Connections that a worker looks at in one pass for those that have let a timeout pass. The others
/// come in the next ones.
pub const SWEEP_CONNECTIONS: usize = 1024;

/// How often a worker looks for stalled and idle clients, or more often where their timeouts are
/// shorter. Not at all while there can be none.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Of this many turns of a worker one is timed, command by command. A prime, so that of a client which gives the
/// same commands again and again each is timed some time.
pub const TURNS_PER_TIMED: u32 = 61;

/// Connections that a worker closes in one pass because a timeout has passed, for want of memory, or because
/// another client kills them.
/// The others come in the next ones.
pub const CLOSES_PER_PASS: usize = 64;

/// Lookups of one connection that are decoded before the first of them is answered, so that their
/// rows are on the way from memory at the same time.
pub const LOOKUPS_TOGETHER_MAX: usize = 16;

/// Connections that one wakeup of a worker learns about. The others come with the next one.
pub const EVENTS_MAX: usize = 1024;

/// Bytes that a worker keeps for encoding replies. A buffer that was larger for once is given back.
pub const REPLY_BUFFER_BYTES: usize = 256 * 1024;
