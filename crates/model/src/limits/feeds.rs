//! Bounds of feeds of market data, at the server and where they are read.

use std::time::Duration;

/// Feeds that may have been opened since the server started. Another name is refused.
pub const FEEDS_MAX: usize = 1024;

/// Bytes of the name of a feed, at most. A longer one is refused.
pub const FEED_NAME_BYTES_MAX: usize = 64;

/// How long a feed may say that it will be silent, at least and at most. Others are refused.
pub const FEED_TTL_MIN: Duration = Duration::from_millis(10);
/// See [`FEED_TTL_MIN`].
pub const FEED_TTL_MAX: Duration = Duration::from_secs(86_400);

/// Rows of the catalog that are looked at together for the stocks of feeds whose state has changed. The rest
/// comes in the next slice.
pub const FEED_WALK_ROWS: usize = 4096;

/// Feeds that have a series of their own among the metrics: the first that were opened. `FEED LIST` shows all.
pub const FEED_SERIES_MAX: usize = 16;

/// Trades of a stock that a feed can break or correct: the last ones. A break of an earlier one is counted, and
/// changes no price.
pub const FEED_TRADES_KEPT: usize = 16;

/// Orders of a feed that are kept for their prices, at most: 143 MB, and half as much again while their table grows. An
/// order beyond is counted, and its executions are passed over.
pub const FEED_ORDERS_MAX: usize = 7 * 1024 * 1024;

/// Ids of a feed whose stock is found at once: 192 KiB. Others, and those that share a place with one of them, are looked
/// up.
pub const FEED_IDS_RECENT: usize = 8192;

/// Ids for which a feed gives symbols in its stream, at most: 109 MB. A further one is counted, and its records are passed over.
pub const FEED_IDS_MAX: usize = 4 * 1024 * 1024;

/// Bytes of one packet or block of a capture, at most. A longer one means that the capture is damaged.
pub const FEED_PACKET_BYTES_MAX: usize = 256 * 1024;

/// Bytes of the metadata of a feed, at most: the mappings of all symbols of a market over years. More means that
/// it is damaged.
pub const FEED_METADATA_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Interfaces of a capture that are known, at most. Packets of others are passed over.
pub const FEED_INTERFACES_MAX: usize = 1024;

/// Sessions of a capture that are followed, at most. Packets of others are counted and passed over.
pub const FEED_SESSIONS_MAX: usize = 1024;

/// Skipped messages of a feed that are named, at most. The others are counted by cause.
pub const FEED_SKIPPED_NAMED_MAX: usize = 10;

/// How long the writer of a feed tries to connect to the server again before it ends with an error.
pub const FEED_RECONNECT_TIMEOUT: Duration = Duration::from_secs(60);
