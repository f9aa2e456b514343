//! Which rows are taken, and growth.
//!
//! A [`Listing`] is what the listing lock guards: its holder alone claims empty rows and moves rows
//! to the next block. It does not know who waits for the lock, nor how lookups find a row.
//!
//! Growth begins when half of the rows of the current block are in use. A next block is put behind
//! it, and from then on each write moves [`ROWS_MOVED_AT_ONCE`] rows. New stocks are listed in the
//! next block. When the last row has moved, the next block becomes the current one.
//!
//! The memory of a large block takes the system a second to hand out. Where somebody
//! [prepares](Listing::prepare_with) next blocks, half load only asks for one, and stocks are
//! listed in the current block until it comes. From five eighths on, one listing of [`HELP_EVERY`]
//! has a slice of it handed out. A listing that would go beyond three quarters makes growth begin.
//!
//! A row moves while it is locked. So a change comes before the move and moves along, or comes
//! after it and finds the row in the next block. The rows of delisted stocks are left behind; the
//! highest version among them becomes the floor above which stocks without a row begin to count.
//!
//! Invariant: a listed stock has exactly one row that is not left behind, in the current block or
//! in the next.

use std::sync::Arc;

use stockd_model::{Quote, Symbol};

use crate::block::Block;
use crate::change::CatalogFull;
use crate::row::{self, Held};

/// Rows of a block for each stock that it has held, at least; with fewer the block grows. At two a
/// lookup of a listed stock touches 1.5 rows on average and a lookup of an unknown one 2.5 (Knuth,
/// The Art of Computer Programming, volume 3, section 6.4); right after growth 1.2 and 1.4.
pub(crate) const ROWS_PER_STOCK_MIN: usize = 2;

/// Rows that one write moves to the next block during growth: a few microseconds of work. Growth
/// then ends long before the next block fills up: after as many listings as the old block has rows,
/// divided by this.
const ROWS_MOVED_AT_ONCE: usize = if cfg!(loom) { 2 } else { 32 };

/// Rows of the smallest block whose next one is prepared: that one has 4 MiB or more. A smaller one
/// is zeroed in a millisecond, which moving its rows spreads over a thousand writes.
const ROWS_PREPARED_FROM: usize = if cfg!(loom) { 0 } else { 32 * 1024 };

/// Of this many listings one helps to prepare the next block, where that is late.
const HELP_EVERY: usize = 2048;

/// Rows whose memory such a listing has the system hand out, 2 MiB. Within an eighth of the rows of
/// a block listings then hand out a block of twice the size.
const HELP_ROWS: usize = 2 * 8 * HELP_EVERY;

/// What the listing lock guards.
pub(crate) struct Listing {
    /// The current block.
    block: Arc<Block>,
    /// Its rows that have held a stock, without those that have moved.
    used: usize,
    growth: Option<Growth>,
    /// Asks for a next block, where somebody prepares them.
    wake: Option<Box<dyn Fn() + Send>>,
    next: Next,
    /// The highest version of any stock whose row was left behind without a copy.
    version_floor: u64,
}

/// Growth under way.
struct Growth {
    /// The block that is filled.
    next: Arc<Block>,
    /// Its rows that have held a stock.
    used: usize,
    /// Rows of the current block that have moved: all before this one.
    moved: usize,
}

/// The block of the growth that has not begun.
enum Next {
    NotWanted,
    /// It was asked for, once.
    Wanted,
    /// Its memory is being handed out by the system.
    Prepared(Arc<Block>),
    /// There was no memory for it.
    Failed,
}

impl Listing {
    pub(crate) fn new(block: Arc<Block>) -> Listing {
        let (growth, wake, next) = (None, None, Next::NotWanted);
        Listing { block, used: 0, growth, wake, next, version_floor: 0 }
    }

    /// The current block.
    pub(crate) fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// The version above which a stock without a row begins to count.
    pub(crate) fn version_floor(&self) -> u64 {
        self.version_floor
    }

    pub(crate) fn raise_version_floor(&mut self, version: u64) {
        self.version_floor = self.version_floor.max(version);
    }

    pub(crate) fn is_growing(&self) -> bool {
        self.growth.is_some()
    }

    /// From now on `wake` asks for each next block, once, under the listing lock.
    pub(crate) fn prepare_with(&mut self, wake: Box<dyn Fn() + Send>) {
        self.wake = Some(wake);
    }

    /// Begins growth, or asks for the next block, if a further stock would fill more of the block
    /// than it should. `listed` is the number of listed stocks, the further one included.
    pub(crate) fn make_room(&mut self, listed: usize) -> Result<(), CatalogFull> {
        let (used, rows) = (self.used + 1, self.block.rows().len());
        if used * ROWS_PER_STOCK_MIN <= rows || self.is_growing() {
            return Ok(());
        }
        if used > self.used_max(rows) {
            return self.begin_growth(listed);
        }
        if let (Next::NotWanted, Some(wake)) = (&self.next, &self.wake) {
            self.next = Next::Wanted;
            wake();
        } else if used.is_multiple_of(HELP_EVERY) && used > rows / 8 * 5 {
            self.help_prepare(listed);
        }
        Ok(())
    }

    /// Prepares a slice of the next block, whose maker is late.
    #[cold]
    fn help_prepare(&mut self, listed: usize) {
        if matches!(self.next, Next::Wanted) {
            let _ = self.next(listed);
        }
        if let Next::Prepared(block) = &self.next {
            block.fault_in(HELP_ROWS);
        }
    }

    /// Whether this many further listings fit without growth, or within the growth under way.
    pub(crate) fn has_room(&self, listings: usize) -> bool {
        // Any row of the current block may still move to the next.
        let (used, block) = match &self.growth {
            Some(growth) => (growth.used + self.used, &growth.next),
            None => (self.used, &self.block),
        };
        used + listings <= self.used_max(block.rows().len())
    }

    /// Rows of a block that may be used before growth begins, prepared or not.
    fn used_max(&self, rows: usize) -> usize {
        match self.wake {
            Some(_) if rows >= ROWS_PREPARED_FROM => rows / 4 * 3,
            _ => rows / ROWS_PER_STOCK_MIN,
        }
    }

    /// The next block, for who prepares it, if it was asked for and not given out yet.
    pub(crate) fn next(&mut self, listed: usize) -> Option<Arc<Block>> {
        if !matches!(self.next, Next::Wanted) {
            return None;
        }
        let block = self.new_block(listed).ok();
        self.next = block.as_ref().map_or(Next::Failed, |block| Next::Prepared(Arc::clone(block)));
        block
    }

    /// The block that is being prepared.
    pub(crate) fn prepared(&self) -> Option<&Block> {
        if let Next::Prepared(block) = &self.next { Some(block) } else { None }
    }

    /// Begins growth into a block that was prepared, unless that growth has begun already.
    pub(crate) fn publish(&mut self, block: &Arc<Block>) {
        if self.prepared().is_some_and(|prepared| std::ptr::eq(prepared, &**block)) {
            self.next = Next::NotWanted;
            self.grow_into(Arc::clone(block));
        }
    }

    /// Begins growth: into the block that is being prepared, or else into a new one. `listed` is as
    /// for [`make_room`](Listing::make_room).
    pub(crate) fn begin_growth(&mut self, listed: usize) -> Result<(), CatalogFull> {
        let next = match std::mem::replace(&mut self.next, Next::NotWanted) {
            Next::Prepared(block) => block,
            _ => self.new_block(listed)?,
        };
        self.grow_into(next);
        Ok(())
    }

    /// Puts a next block behind the current one.
    fn grow_into(&mut self, next: Arc<Block>) {
        self.block.set_next(Arc::clone(&next));
        self.growth = Some(Growth { next, used: 0, moved: 0 });
    }

    /// A next block. It has twice as many rows; or as many, when most of the used rows are of
    /// delisted stocks and leaving those behind makes enough room.
    ///
    /// Never fewer: if every delisted stock were listed again before its row is left behind, all of
    /// them would still have to find room.
    fn new_block(&self, listed: usize) -> Result<Arc<Block>, CatalogFull> {
        let rows = self.block.rows().len();
        let half_loaded = listed * 2 * ROWS_PER_STOCK_MIN <= rows;
        let rows = if half_loaded { rows } else { rows * 2 };
        let block =
            Block::new(rows).map_err(|_| CatalogFull::NoMemory { stocks: listed - 1, rows })?;
        Ok(Arc::new(block))
    }

    /// Moves some rows to the next block. Returns whether this moved the last one, so that the next
    /// block has become the current one here and has yet to become so for lookups.
    pub(crate) fn move_rows(&mut self, hash: impl Fn(&Symbol) -> u64) -> bool {
        let Some(growth) = &mut self.growth else {
            return false;
        };
        let rows = self.block.rows();
        let end = rows.len().min(growth.moved + ROWS_MOVED_AT_ONCE);
        for index in growth.moved..end {
            let Held::This(locked) = row::lock_any(self.block.place(index)) else {
                continue;
            };
            self.used -= 1;
            match locked.quote(&locked.symbol()) {
                Some(quote) => {
                    locked.move_to(growth.next.vacancy(hash(&quote.symbol)));
                    growth.used += 1;
                }
                None => {
                    self.version_floor = self.version_floor.max(locked.version());
                    locked.leave_behind();
                }
            }
        }
        growth.moved = end;
        if end < rows.len() {
            return false;
        }
        debug_assert_eq!(self.used, 0, "all have moved");
        self.used = growth.used;
        self.block = Arc::clone(&growth.next);
        self.growth = None;
        self.check_invariants();
        true
    }

    /// Gives a stock that has no row its first one.
    pub(crate) fn claim(&mut self, quote: &Quote, hash: u64) {
        let (block, used) = match &mut self.growth {
            Some(growth) => (&growth.next, &mut growth.used),
            None => (&self.block, &mut self.used),
        };
        row::claim(block.vacancy(hash), quote);
        *used += 1;
    }

    /// What holds between two growths. Walks the whole block: for debug builds.
    fn check_invariants(&self) {
        if cfg!(all(debug_assertions, not(loom))) {
            let used = self.block.rows().iter().filter(|row| !row::is_empty(row)).count();
            assert_eq!(used, self.used, "rows used");
            assert!(used < self.block.rows().len(), "a probe would not end");
        }
    }
}
