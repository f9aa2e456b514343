//! Quotes on disk: a log of commits, and a checkpoint with one record per stock.
//!
//! It owns the data directory and the format of what is in it. It knows no requests, no clients, no
//! threads and no clock: the quotes that it is given to write are decided already.
//!
//! ```text
//!                         DataDir      one owner, one place
//!                            │
//!    commit ──► LoggedStore ─┼─► Log ──► segments      one append and one sync a commit
//!                    ▲       │             │
//!                    │       │        Checkpoint        on any thread, while commits go on
//!                  open      │             ▼
//!                    └───────┴────────  Database        one record a stock, and the position in the log
//! ```
//!
//! Invariant: what can be read is what some whole number of commits has left.
//!
//! ```
//! use std::ops::ControlFlow;
//! use stockd_model::Quote;
//! use stockd_store::{DataDir, Store, Write};
//!
//! # let home = tempfile::tempdir()?;
//! # let path = home.path().join("data");
//! let mut data = DataDir::open(&path, true)?;
//! let apple = Quote {
//!     price: "172.5".parse().ok(),
//!     volume: Some("100".parse()?),
//!     version: 1,
//!     updated_ns: 1_790_000_000_000_000_000,
//!     ..Quote::new("AAPL".parse()?)
//! };
//! data.commit(&[Write::Put(apple)], 0)?;
//! drop(data);
//!
//! let data = DataDir::open(&path, true)?;
//! let version_floor = data.load(|quote| {
//!     assert_eq!(quote, apple);
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!((data.stocks(), version_floor), (1, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! docs/durability.md says what is promised, and draws the format byte by byte.

#![forbid(unsafe_code)]

mod batch;
mod changes;
mod check;
mod checkpoint;
mod database;
mod directory;
mod disk;
mod epoch;
mod error;
mod folder;
mod log;
mod logged;
mod owner;
mod place;
mod position;
mod record;
mod rights;
mod scratch;
mod segment;
#[cfg(feature = "simulation")]
pub mod simulation;
mod store;
mod write;

pub use check::{CheckReport, DamagedRecord, check, check_each, read};
pub use checkpoint::{Checkpoint, WrittenCheckpoint};
pub use database::{Database, Durability};
pub use directory::{DataDir, Found, last_written};
pub use epoch::random_epoch;
pub use error::StoreError;
pub use logged::{LoggedStore, QUOTES_FILE};
pub use rights::Exposed;
pub use store::{LogReport, Store};
pub use write::Write;
