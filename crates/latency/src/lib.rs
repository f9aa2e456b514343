//! Latencies of many requests: counted, summarised in few numbers, and shown in tables, charts and pages.
//!
//! `stockd lookup` and the load generator measure with it. It knows no clock and no connection: it is
//! told latencies.

#![forbid(unsafe_code)]

#[cfg(feature = "plots")]
mod axis;
#[cfg(feature = "plots")]
mod chart;
mod latencies;
mod numbers;
#[cfg(feature = "plots")]
mod page;
mod table;

#[cfg(feature = "plots")]
pub use axis::Axis;
#[cfg(feature = "plots")]
pub use chart::{COLOURS, Chart, Drawing, LINES_MAX, Line, Stroke};
pub use latencies::{Latencies, median, nanoseconds, tells_quantile};
pub use numbers::{duration, grouped, microseconds, round_duration, short};
#[cfg(feature = "plots")]
pub use page::{Block, Page};
pub use table::{Column, table, tables};
