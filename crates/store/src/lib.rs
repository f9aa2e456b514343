//! Quotes on disk: one record per stock, committed in groups.
//!
//! It owns the data directory and the format of what is in it. It knows no requests, no clients and
//! no clock. Whoever writes hands over quotes that are decided already.
//!
//! ```
//! use std::ops::ControlFlow;
//! use stockd_model::{Quote, Status};
//! use stockd_store::{DataDir, Store, Write};
//!
//! # let home = tempfile::tempdir()?;
//! # let path = home.path().join("data");
//! let mut data = DataDir::open(&path, true)?;
//! let apple = Quote {
//!     symbol: "AAPL".parse()?,
//!     price: "172.5".parse()?,
//!     volume: "100".parse()?,
//!     status: Status::Trading,
//!     version: 1,
//!     updated_ns: 1_790_000_000_000_000_000,
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

mod check;
mod database;
mod directory;
mod disk;
mod error;
mod overlay;
mod owner;
mod record;
#[cfg(feature = "simulation")]
pub mod simulation;

use std::fmt;

use stockd_model::{Quote, Symbol};

pub use check::{CheckReport, DamagedRecord, check};
pub use database::Database;
pub use directory::DataDir;
pub use error::StoreError;

/// What a commit does to one stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The stock has this quote now, whatever it had before.
    Put(Quote),
    /// The stock is not listed any more.
    Remove(Symbol),
}

impl Write {
    /// The stock that it is about.
    pub fn symbol(&self) -> &Symbol {
        match self {
            Write::Put(quote) => &quote.symbol,
            Write::Remove(symbol) => symbol,
        }
    }
}

/// Keeps quotes through crashes and power failures.
pub trait Store: fmt::Debug + Send {
    /// Keeps all of these writes, or none of them. They are kept when it returns. Each stock is
    /// written at most once.
    ///
    /// `version_floor` is the highest version that any stock had when it was removed, now or ever
    /// before; it never goes back.
    ///
    /// # Errors
    ///
    /// When the writes may not have been kept. From then on every further commit fails, since
    /// nobody knows any more what is on the disk; opened anew, the store has all earlier commits.
    fn commit(&mut self, writes: &[Write], version_floor: u64) -> Result<(), StoreError>;
}
