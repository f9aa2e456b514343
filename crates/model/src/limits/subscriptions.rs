//! Bounds of subscriptions, marks and messages.

use std::time::Duration;

/// Bytes of messages that wait for one subscriber. Beyond it, news waits as marks and becomes
/// messages when the client has read what it was sent.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that the system keeps for a subscriber without having sent them. Beyond it, news waits as
/// marks, and the subscriber gets fewer and newer quotes.
pub const SUBSCRIBER_UNSENT_BYTES: usize = 16 * 1024;

/// Work of one slice of passing marks on, before the connections have their turns: a unit is a
/// pattern that a symbol is compared with or a subscriber it is marked for, and a symbol is eight. The rest comes later.
pub const FEED_PASS_WORK: usize = 8 * 1024;

/// Slices of passing marks on after which subscribers are told, where not all is passed on by then that was taken from
/// the writers together. Fewer make smaller writes: a subscriber is told at once what these have marked.
pub const FEED_SLICES_TOGETHER: usize = 16;

/// From this number of subscribers told in one round of a worker on they are a crowd: what changes is gathered until
/// each has had its turn, and at least for [`FEED_GATHER`], before the next round begins.
pub const FEED_CROWD: usize = 32;

/// For how long at least a worker gathers what changes after it has told a crowd: a message may be older by this much.
pub const FEED_GATHER: Duration = Duration::from_micros(500);

/// Where it takes longer to give a crowd its turns, the worker rests afterwards for as long as it took beyond this, so that
/// readers who cannot keep up are told less and not later.
pub const FEED_CROWD_ROUND: Duration = Duration::from_millis(5);

/// A round of marks and messages that took less is followed by the next one at once, where it has told no crowd.
pub const FEED_REST_MIN: Duration = Duration::from_micros(100);

/// Work of telling one subscriber in one turn: a unit is a row of the catalog looked at or a pattern
/// compared, and a message is eight. The rest comes in its next turn.
pub const FEED_TELL_WORK: usize = 4096;

/// Work of one slice of tidying up: a unit is a mark or symbol that is forgotten or looked at, and a
/// subscription is sixteen. The rest comes later.
pub const FEED_TIDY_WORK: usize = 2048;

/// Quotes that a feed keeps encoded for all its subscribers. One that is not among them is encoded
/// again.
pub const FEED_PAYLOADS: usize = 1024;

/// Bytes of patterns that a write compares its symbol with to find out who wants it. Where more
/// begin like the symbol, they all count as fitting, and the reader compares.
pub const INTEREST_PATTERN_BYTES_MAX: usize = 512;

/// Cells in the filter of what a worker or another plane watches: 256 KiB each, once something is
/// watched.
pub const INTEREST_FILTER_CELLS: usize = 65_536;

/// Distinct patterns of a process that begin with a wildcard, but for `*` itself. They cannot be
/// found by their first letters, so each is compared with every symbol that changes. A further one
/// is refused.
pub const UNINDEXED_PATTERNS_MAX: usize = 1024;

/// Symbols and patterns that one connection is subscribed to. A further one is refused.
pub const SUBSCRIPTIONS_MAX: usize = 65_536;

/// Patterns among them. Each is compared with the symbols that its subscriber is told. A further
/// one is refused.
pub const PATTERNS_MAX: usize = 1024;

/// Stocks that one connection has read and is to be told of when they change (`CLIENT TRACKING`). With a
/// further one it is told to forget the one that it read longest ago.
pub const TRACKED_STOCKS_MAX: usize = 65_536;

/// Rows of the catalog that are read at once for the stocks of new patterns.
pub const SUBSCRIPTION_PAGE_ROWS: usize = 256;
