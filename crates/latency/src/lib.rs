//! Latencies of many requests: counted, summarised in few numbers, and shown in a table.
//!
//! `stockd lookup` and the load generator measure with it. It knows no clock and no connection: it is
//! told latencies.

#![forbid(unsafe_code)]

mod latencies;
mod table;

pub use latencies::{Latencies, nanoseconds};
pub use table::{grouped, microseconds, table};
