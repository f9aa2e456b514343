//! What a commit is.
//!
//! It knows neither files nor formats: a [`Store`] may keep its quotes in any way.

use std::fmt;

use stockd_model::{Quote, Symbol};

use crate::epoch::random_epoch;
use crate::error::StoreError;

/// What a commit does to one stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The stock has this quote, whatever it had before.
    Put(Quote),
    /// The stock is no longer listed.
    Remove(Symbol),
}

impl Write {
    /// The stock that is written.
    pub fn symbol(&self) -> &Symbol {
        match self {
            Write::Put(quote) => &quote.symbol,
            Write::Remove(symbol) => symbol,
        }
    }
}

/// Keeps quotes through crashes and power failures.
pub trait Store: fmt::Debug + Send {
    /// Keeps all of these writes or none of them; when it returns without an error they are kept,
    /// where the next start will look for them. Each stock may be written once.
    ///
    /// `version_floor` is the highest version that any stock had when it was removed, now or ever
    /// before; it never goes back.
    ///
    /// # Errors
    ///
    /// When the writes may not have been kept. Every further commit fails then, since what is on
    /// the disk is unknown. A store that is opened again has all earlier commits.
    fn commit(&mut self, writes: &[Write], version_floor: u64) -> Result<(), StoreError>;

    /// Whether what was kept still lies where the next start will look for it. A
    /// commit finds that out for itself; between commits somebody has to ask. Must be quick.
    ///
    /// # Errors
    ///
    /// When it does not, or when that cannot be found out. Every further commit fails then.
    fn verify_place(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The epoch of what is kept: the same in every life of this store, and another one for every other
    /// store. A store that keeps none has a new one each time.
    fn epoch(&self) -> u64 {
        random_epoch()
    }
}
