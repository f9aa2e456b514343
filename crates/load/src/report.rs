//! What runs have shown, for people and for programs.
//!
//! `document` is the JSON that everything else here is made from, so a file that was kept shows what
//! the terminal did. Knows no connection and no clock but the date.

#[cfg(feature = "plots")]
mod chart;
mod document;
mod percentile_file;
#[cfg(feature = "plots")]
mod plot;
mod table;

#[cfg(feature = "plots")]
pub use chart::Drawing;
pub use document::{
    Document, LatencyFigures, Parameters, Percentile, Point, Repetition, SCHEMA, Swept,
};
pub use percentile_file::percentile_file;
#[cfg(feature = "plots")]
pub use plot::plot;
pub use table::{notes, table};
