//! What keeps quotes through crashes.
//!
//! It knows neither files nor formats: a [`Store`] may keep its quotes in any way.

use std::fmt;
use std::ops::ControlFlow;

use stockd_model::Quote;

use crate::checkpoint::{Checkpoint, WrittenCheckpoint};
use crate::epoch::random_epoch;
use crate::error::StoreError;
use crate::write::Write;

/// What a store has of its log behind the last checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Bytes of batches.
    pub bytes: u64,
    /// Segments.
    pub segments: usize,
    /// Whether it may not grow: the next commit writes a checkpoint first, and has to be made when one
    /// that is under way has been given back.
    pub is_full: bool,
}

/// Keeps quotes through crashes and power failures.
///
/// A store that has a log gives out [checkpoints](Store::begin_checkpoint) to be written while commits go on.
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

    /// Begins a checkpoint when one is due: as the log has grown, or, with `is_late`, when the last one is
    /// so long ago that less is enough. There is one at a time.
    fn begin_checkpoint(&mut self, _is_late: bool) -> Option<Checkpoint> {
        None
    }

    /// Takes a checkpoint back that was written. What it holds of the log is let go.
    ///
    /// # Errors
    ///
    /// When it was not written. Every further commit fails then; nothing is lost.
    fn end_checkpoint(&mut self, _written: WrittenCheckpoint) -> Result<(), StoreError> {
        Ok(())
    }

    /// What there is of a log.
    fn log(&self) -> LogReport {
        LogReport::default()
    }

    /// Ends it well: a last checkpoint, after which there is no log. A store that has failed stays as it is.
    /// What was committed is kept with it or without.
    ///
    /// # Errors
    ///
    /// When the checkpoint cannot be written. The next start finds what is in the log, too.
    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

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
