//! Bounds of stocks, and of looks at many of them.

use std::time::Duration;

/// Bytes in a symbol, at most. A longer name is not a possible symbol: lookups answer "not
/// found", writes are refused.
pub const SYMBOL_BYTES_MAX: usize = 48;

/// Decimal places of a price or volume. One with more places that are not zero is refused, never
/// rounded.
pub const DECIMAL_PLACES_MAX: u8 = 18;

/// The highest version of a quote: twice of it fits in 63 bits of a row. Counting one up a nanosecond
/// takes 146 years. A record with a higher one is damaged.
pub const VERSION_MAX: u64 = (1 << 62) - 1;

/// Stocks listed at once. A further listing is refused; everything else goes on.
pub const STOCKS_MAX: usize = 16_777_216;

/// Bytes of the next block of the catalog that are faulted in before a stop of the engine is noticed.
pub const GROWTH_SLICE_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of a pattern (`KEYS`, `SCAN`, `PSUBSCRIBE`). A longer one is refused.
pub const PATTERN_BYTES_MAX: usize = 256;

/// Stocks that one `SCAN` is asked to look at. A larger `COUNT` counts as this one.
pub const SCAN_COUNT_MAX: usize = 4096;

/// Rows of the catalog that one `SCAN` reads to find its stocks, at least, and twice its count if that is
/// more. Where they hold fewer stocks it answers those, and where to go on.
pub const SCAN_ROWS: usize = 8192;

/// Stocks that `KEYS` lists at once. Where more match it is refused; `SCAN` has no such limit.
pub const KEYS_MAX: usize = 100_000;

/// Snapshots of the catalog that are read at once. A further one is refused until one has ended, or
/// was not read for [`SNAPSHOT_PAGE_TIMEOUT`].
pub const SNAPSHOTS_MAX: usize = 4;

/// How long a snapshot may lie without a page being read before it is ended, when a further one is
/// begun and there are [`SNAPSHOTS_MAX`].
pub const SNAPSHOT_PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that writes save for all snapshots together, or as many as the rows of the catalog take where that is more
/// (134 for a stock, of five million 640 MiB). When it is reached the snapshot that holds the most is ended.
pub const SNAPSHOT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Rows of the catalog that are read at once for a page of a snapshot.
pub const SNAPSHOT_PAGE_ROWS: usize = 2048;
