//! A checkpoint: what the log did since the last one, written to the database.
//!
//! It is a piece of work that any thread may do while the log goes on: it has the database for itself, and
//! reads the log from its files, up to where that ended when the checkpoint began. It knows no threads.
//!
//! Invariant: the database has, with a position, what all batches before that position did and no more.

use crate::changes::Changes;
use crate::database::Database;
use crate::error::StoreError;
use crate::log::Segment;
use crate::position::Position;

/// Work to do: [write](Checkpoint::write) it, and give the store what comes of it.
#[derive(Debug)]
pub struct Checkpoint {
    pub(crate) database: Database,
    pub(crate) segments: Vec<Segment>,
    /// What the database has.
    pub(crate) from: Position,
    /// Up to where it shall have it.
    pub(crate) to: Position,
    /// What it shall have for a position then: that one, or where a next log will begin.
    pub(crate) position: Position,
    pub(crate) version_floor: u64,
}

/// A checkpoint that was written, or has failed.
#[derive(Debug)]
pub struct WrittenCheckpoint {
    pub(crate) database: Database,
    pub(crate) position: Position,
    pub(crate) stocks: Result<usize, StoreError>,
}

impl Checkpoint {
    /// Writes it. Takes as long as the disk does.
    pub fn write(mut self) -> WrittenCheckpoint {
        let stocks = self.changes().and_then(|changes| {
            let position = self.position.encode();
            self.database.commit_changes(&changes, self.version_floor, &position)?;
            Ok(changes.iter().len())
        });
        WrittenCheckpoint { database: self.database, position: self.position, stocks }
    }

    fn changes(&self) -> Result<Changes, StoreError> {
        let (mut changes, mut at) = (Changes::default(), self.from);
        for segment in &self.segments {
            at = segment.read(at, &mut changes)?;
        }
        if at != self.to {
            let last = self.segments.last().expect("a log has a segment");
            return Err(last.damaged(format!("it ends at {at:?}, and {:?} was written", self.to)));
        }
        Ok(changes)
    }
}

impl WrittenCheckpoint {
    /// The stocks that it has written, or `None` when it has failed.
    pub fn stocks(&self) -> Option<usize> {
        self.stocks.as_ref().ok().copied()
    }
}
