//! Quotes on disk: one record per stock, committed in groups.
//!
//! It owns the data directory and the format of what is in it. It knows no requests, no clients and
//! no clock. Whoever writes hands over quotes that are decided already.

#![forbid(unsafe_code)]

use std::fmt;

use stockd_model::{Quote, Symbol};

/// What a commit does to one stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The stock has this quote now, whatever it had before.
    Put(Quote),
    /// The stock is not listed any more.
    Remove(Symbol),
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

/// Why something could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A commit did not reach the disk.
    #[error("cannot write to the data directory: {0}; see to the disk, then restart the server")]
    Commit(#[source] std::io::Error),
}
