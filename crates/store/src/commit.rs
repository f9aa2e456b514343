//! What a commit is.
//!
//! It knows neither files nor formats: a [`Store`] may keep its quotes in any way.

use std::fmt;
use std::ops::ControlFlow;

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
    /// the disk is unknown. A store that is opened [again](Store::reopen) has all earlier commits.
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

    /// Opens it again after a commit has failed, as the next start would: what is kept is known then, and commits
    /// are possible. One that keeps nothing has nothing to open.
    ///
    /// # Errors
    ///
    /// When it cannot be opened. Every commit fails as before.
    fn reopen(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Reads all quotes that are kept, in the order of their symbols, until it is told to stop. Returns the
    /// version floor of the last commit. One that keeps nothing has none.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn load(&self, _: &mut dyn FnMut(Quote) -> ControlFlow<()>) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// The epoch of what is kept: the same in every life of this store, and another one for every other
    /// store. A store that keeps none has a new one each time.
    fn epoch(&self) -> u64 {
        random_epoch()
    }
}
