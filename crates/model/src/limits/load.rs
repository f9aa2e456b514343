//! Bounds of the load generator, and of latencies.

use std::time::Duration;

use super::catalog::STOCKS_MAX;

/// Connections of one run of the load generator, at most. The process's limit of open files may
/// allow fewer.
pub const LOAD_CONNECTIONS_MAX: usize = 50_000;

/// Requests of one connection that a closed loop keeps under way, at most.
pub const LOAD_PIPELINE_MAX: usize = 65_536;

/// Names of one lookup (`MGET`) of the load generator, at most.
pub const LOAD_MGET_MAX: usize = 10_000;

/// Threads of the load generator, at most.
pub const LOAD_THREADS_MAX: usize = 256;

/// Requests a second that the load generator can be asked for, at least: one in 1,000 seconds.
pub const LOAD_RATE_MIN: f64 = 0.001;

/// Requests a second that the load generator can be asked for, at most: one a nanosecond.
pub const LOAD_RATE_MAX: f64 = 1e9;

/// Requests of one connection that an open loop has under way, at most. Where every connection has
/// that number, requests that are due wait for their turn, and their latency counts meanwhile.
pub const LOAD_IN_FLIGHT_MAX: usize = 65_536;

/// Bytes of requests that wait for room in a connection of an open loop. Beyond it the connection
/// gets no further ones.
pub const LOAD_OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Requests of an open loop that are sent before replies are read again.
pub const LOAD_SEND_BATCH: usize = 1024;

/// Bytes read from a connection of the load generator at once.
pub const LOAD_READ_BYTES: usize = 64 * 1024;

/// How long the load generator waits, after the last request, for the replies that are missing.
/// What has no reply by then counts as unanswered, with the latency it has reached.
pub const LOAD_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a run of the load generator that ends by the number of requests goes on without any reply. Then it
/// ends without them, and what has no reply counts as unanswered.
pub const LOAD_SILENCE_MAX: Duration = Duration::from_secs(60);

/// How long the load generator waits for a connection, and for a reply while it lists stocks.
pub const LOAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long the load generator waits until its subscribers are subscribed. The run is given up then.
pub const LOAD_SUBSCRIBED_WITHIN: Duration = Duration::from_secs(60);

/// The longest latency that histograms tell apart: 1 hour. The maximum and the mean are exact beyond
/// it, too.
pub const LATENCY_MAX: Duration = Duration::from_secs(60 * 60);

/// Latencies that are kept one by one, at most. More go to a histogram, whose size does not grow with
/// their number.
pub const EXACT_LATENCIES_MAX: usize = 4096;

/// Latencies that lie beyond a percentile, at least, for it to be shown: with fewer it is the luck of one or
/// two. A table shows a dash instead.
pub const PERCENTILE_LATENCIES_BEYOND_MIN: u64 = 10;

/// Repetitions of a run of the load generator, and values of one sweep, at most.
pub const LOAD_RUNS_MAX: usize = 1000;

/// Stocks that the load generator generates, at most.
pub const LOAD_STOCKS_MAX: usize = STOCKS_MAX;

/// Subscribers of one run of the load generator, at most.
pub const LOAD_SUBSCRIBERS_MAX: usize = 10_000;
