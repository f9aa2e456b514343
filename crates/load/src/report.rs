//! What runs have shown, for people and for programs.
//!
//! `document` is the JSON that everything else here is made from, so a file that was kept shows what
//! the terminal did. Knows no connection and no clock but the date.

mod assertion;
mod document;
#[cfg(feature = "plots")]
mod html;
mod percentile_file;
#[cfg(feature = "plots")]
mod plot;
mod table;

pub use assertion::Assertion;
pub use document::{
    CurvePoint, Document, LatencyFigures, Parameters, Percentile, Point, Repetition, SCHEMA, Swept,
};
#[cfg(feature = "plots")]
pub use html::html;
pub use percentile_file::percentile_file;
#[cfg(feature = "plots")]
pub use plot::plot;
#[cfg(feature = "plots")]
pub use stockd_latency::Drawing;
pub use table::{notes, table};
