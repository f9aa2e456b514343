//! Next blocks that are prepared before growth begins.
//!
//! The catalog starts no threads. Somebody else, who has told it how to be
//! [woken](Catalog::grow_ahead), takes a [`Growth`], has the system hand out the memory of its block
//! slice by slice, and publishes it. Nothing here knows how rows move.
//!
//! Invariant: a growth is given out once. When its block is needed before it is published, the
//! catalog grows without waiting. By then its memory is there: those who list have helped.

use std::fmt;
use std::sync::Arc;

use stockd_rows::Row;

use crate::block::Block;
use crate::table::Catalog;

/// A next block that is being prepared, from [`Catalog::next_growth`]. Dropping it leaves the block
/// to the catalog as it is.
pub struct Growth<'a> {
    catalog: &'a Catalog,
    block: Arc<Block>,
}

impl Catalog {
    /// From now on somebody else prepares large next blocks. `wake` tells them that there is a
    /// [next growth](Catalog::next_growth): once for each, on the thread whose listing fills half of
    /// the rows. It must be quick, and must not touch this catalog.
    ///
    /// Until the growth is published stocks are listed in up to three quarters of the rows, and from
    /// five eighths on those who list help to prepare it. Beyond three quarters growth begins.
    pub fn grow_ahead(&self, wake: impl Fn() + Send + 'static) {
        self.listing().prepare_with(Box::new(wake));
    }

    /// The growth that is due, if it was not given out before.
    pub fn next_growth(&self) -> Option<Growth<'_>> {
        let block = self.listing().next(self.len())?;
        Some(Growth { catalog: self, block })
    }
}

impl Growth<'_> {
    /// Has the system hand out the next slice of memory, of about this many bytes. Whether more is
    /// left.
    pub fn fault_in(&self, slice_bytes: usize) -> bool {
        self.block.fault_in((slice_bytes / size_of::<Row>()).max(1))
    }

    /// Makes the catalog grow into the block, if it has not begun to.
    pub fn publish(self) {
        self.catalog.listing().publish(&self.block);
    }
}

impl fmt::Debug for Growth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.block.rows().len();
        f.debug_struct("Growth").field("rows", &rows).finish_non_exhaustive()
    }
}
