//! The catalog: one block of rows, or two while it grows.
//!
//! **Lookups** probe the current block. Where the stock's row has moved, or there is none, they go
//! on in the next block, if there is one.
//!
//! **Changes** lock the one row and nothing else. A stock that has no row yet is listed under the
//! *listing lock*, which also guards growth; its holder alone claims empty rows, so no stock ever
//! gets two. Locks are taken in this order: listing lock, then one row.
//!
//! **Growth** begins when a listing finds half of the rows in use: a new block becomes the next
//! of the current one. From then on each write moves [`ROWS_MOVED_AT_ONCE`] rows over, new stocks
//! are listed in the next block, and when the last row has moved the next block becomes the
//! current one. A row moves while it is locked, so a change comes either before the move and moves
//! along, or after it and finds the row in the next block. Rows of delisted stocks are left
//! behind; the highest version among them becomes the floor above which stocks without a row
//! begin to count.
//!
//! Invariant: a listed stock has exactly one row that is not left behind, in the current block or
//! in the next.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use foldhash::fast::FixedState;
use stockd_model::limits::STOCKS_MAX;
use stockd_model::{Price, Quote, Status, Symbol, Volume};

use crate::block::{Block, Found};
use crate::row::{Held, Locked};
use crate::scan::{Iter, Page};
use crate::sync::{Current, Loaded, Mutex};

/// A block grows when more than one in so many of its rows has held a stock. At one half a lookup
/// of a listed stock touches 1.5 rows on average, and of an unknown one 2.5 (Knuth, The Art of
/// Computer Programming, volume 3, section 6.4). Just after it has grown, 1.2 and 1.4.
const ROWS_PER_STOCK_MIN: usize = 2;

/// Rows that a write moves to the next block while the catalog grows: a few microseconds' work.
/// With this many the move is over long before the next block fills up: after as many listings as
/// the old block has rows, divided by this.
const ROWS_MOVED_AT_ONCE: usize = if cfg!(loom) { 2 } else { 32 };

/// The table of all quotes. See the [crate] for what concurrent readers may observe.
pub struct Catalog {
    current: Current<Block>,
    listing: Mutex<Listing>,
    /// Stocks that are listed.
    listed: AtomicUsize,
    stocks_max: usize,
    hasher: FixedState,
}

/// How a catalog is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Stocks that fit before the catalog first grows.
    pub capacity: usize,
    /// Stocks that may be listed at once; at most, and by default, [`STOCKS_MAX`].
    pub stocks_max: usize,
    /// The seed of its hashes. By default random, so that nobody outside can choose symbols that
    /// collide; given where every run must take the same steps.
    pub hash_seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options { capacity: 1000, stocks_max: STOCKS_MAX, hash_seed: None }
    }
}

/// What a change does to a stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// List it, or replace these fields of its quote. Its version goes up by one.
    Put {
        /// The new price.
        price: Price,
        /// The new volume.
        volume: Volume,
        /// The new status.
        status: Status,
    },
    /// Give it this very quote, which was decided before, with its own version and time. The
    /// version must be above that of any quote the stock has had.
    Restore(Quote),
    /// Remove it. On a stock that is not listed: nothing.
    Delist,
    /// Leave it as it is.
    Keep,
}

impl Change {
    /// The quote that it puts over one of this version, if it puts one.
    fn put(&self, symbol: &Symbol, version: u64, now_ns: u64) -> Option<Quote> {
        match *self {
            Change::Put { price, volume, status } => {
                let (symbol, version) = (*symbol, version + 1);
                Some(Quote { symbol, price, volume, status, version, updated_ns: now_ns })
            }
            Change::Restore(quote) => Some(quote),
            Change::Delist | Change::Keep => None,
        }
    }
}

/// The quote of a stock before and after a change; `None` where it was not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The quote that was replaced.
    pub before: Option<Quote>,
    /// The quote that replaced it.
    pub after: Option<Quote>,
}

/// A stock could not be listed. Everything else goes on as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogFull {
    /// As many stocks are listed as may be.
    #[error("the catalog is full: {stocks_max} stocks are listed, the limit; delist some first")]
    AtLimit {
        /// The limit.
        stocks_max: usize,
    },
    /// The system has no memory for a larger table.
    #[error("the catalog cannot grow beyond {stocks} stocks: no memory for {rows} rows")]
    NoMemory {
        /// Stocks listed now.
        stocks: usize,
        /// Rows of 64 bytes that were asked for.
        rows: usize,
    },
}

/// What the holder of the listing lock takes care of.
struct Listing {
    /// The current block.
    block: Arc<Block>,
    /// Rows of it that have held a stock.
    used: usize,
    growth: Option<Growth>,
    /// The highest version of any stock whose row was left behind without a copy.
    version_floor: u64,
}

/// Growth under way.
struct Growth {
    /// The block that is filled.
    next: Arc<Block>,
    /// Rows of it that have held a stock.
    used: usize,
    /// Rows of the current block that have moved: all before this one.
    moved: usize,
}

impl Catalog {
    /// An empty catalog.
    ///
    /// # Panics
    ///
    /// When the system has no memory for it, as all of these constructors do.
    pub fn new() -> Catalog {
        Catalog::with_options(Options::default())
    }

    /// An empty catalog that holds so many stocks before it first grows.
    pub fn with_capacity(stocks: usize) -> Catalog {
        Catalog::with_options(Options { capacity: stocks, ..Options::default() })
    }

    /// An empty catalog.
    pub fn with_options(options: Options) -> Catalog {
        let stocks_max = options.stocks_max.min(STOCKS_MAX);
        let rows = options.capacity.min(stocks_max) * ROWS_PER_STOCK_MIN;
        let block = Arc::new(Block::new(rows).expect("memory for an empty catalog"));
        Catalog {
            current: Current::new(Arc::clone(&block)),
            listing: Mutex::new(Listing { block, used: 0, growth: None, version_floor: 0 }),
            listed: AtomicUsize::new(0),
            stocks_max,
            hasher: FixedState::with_seed(options.hash_seed.unwrap_or_else(random_seed)),
        }
    }

    /// The number of stocks that are listed.
    pub fn len(&self) -> usize {
        self.listed.load(Relaxed)
    }

    /// Whether no stock is listed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the blocks: 64 for each row, used or not.
    pub fn memory_bytes(&self) -> usize {
        let view = self.view();
        let first: &Block = &view.block;
        let blocks = std::iter::successors(Some(first), |block| block.next());
        blocks.map(|block| size_of_val(block.rows())).sum()
    }

    /// The catalog as lookups see it. Cheap to make, and meant for a handful of lookups: it is
    /// always up to date, but keeps memory that the catalog has outgrown from being freed.
    #[inline]
    pub fn view(&self) -> View<'_> {
        View { catalog: self, block: self.current.load() }
    }

    /// The quote of one stock, or `None` if it is not listed.
    pub fn get(&self, symbol: &Symbol) -> Option<Quote> {
        self.view().get(symbol)
    }

    /// Changes one stock as `decide` says, given its quote now, or `None` if it is not listed.
    /// The change is atomic: nobody else changes the stock between what `decide` saw and what it
    /// decided. The version goes up by one and `now_ns` becomes the time of the update.
    ///
    /// `decide` runs once, with the stock locked: it should be quick, and must not touch this
    /// catalog.
    ///
    /// # Errors
    ///
    /// What `decide` returns, or [`CatalogFull`] when the stock would have to be listed and cannot
    /// be. Nothing has changed then.
    pub fn change<E: From<CatalogFull>>(
        &self,
        symbol: &Symbol,
        now_ns: u64,
        decide: impl FnOnce(Option<&Quote>) -> Result<Change, E>,
    ) -> Result<Changed, E> {
        let hash = self.hash(symbol);
        let view = self.view();
        if let Some(locked) = lock(&view.block, symbol, hash) {
            let changed = self.change_locked(locked, symbol, now_ns, decide);
            if view.block.next().is_some() {
                self.help_growth();
            }
            return changed;
        }
        drop(view);

        let mut listing = self.listing();
        if let Some(locked) = lock(&Arc::clone(&listing.block), symbol, hash) {
            // Somebody listed it before we had the lock.
            return self.change_locked(locked, symbol, now_ns, decide);
        }
        let Some(quote) = decide(None)?.put(symbol, listing.version_floor, now_ns) else {
            return Ok(Changed { before: None, after: None });
        };
        self.count_listed()?;
        if let Err(full) = self.make_room(&mut listing) {
            self.listed.fetch_sub(1, Relaxed);
            return Err(full.into());
        }
        listing.claim(&quote, hash);
        Ok(Changed { before: None, after: Some(quote) })
    }

    /// Gives a stock this very quote, version and time included, as read from where it was kept.
    ///
    /// # Errors
    ///
    /// [`CatalogFull`] when the stock is new and there is no room for it.
    pub fn restore(&self, quote: &Quote) -> Result<(), CatalogFull> {
        self.change(&quote.symbol, quote.updated_ns, |_| Ok(Change::Restore(*quote)))
            .map(|_changed| ())
    }

    /// Makes sure that so many further listings find room, so that a change that was promised
    /// does not fail later for the lack of it.
    ///
    /// # Errors
    ///
    /// [`CatalogFull`] when they do not.
    pub fn reserve(&self, listings: usize) -> Result<(), CatalogFull> {
        if self.len() + listings > self.stocks_max {
            return Err(CatalogFull::AtLimit { stocks_max: self.stocks_max });
        }
        let mut listing = self.listing();
        while !listing.has_room(listings) {
            if listing.growth.is_none() {
                listing.begin_growth(self.len() + listings)?;
            }
            while listing.growth.is_some() {
                self.advance_growth(&mut listing);
            }
        }
        Ok(())
    }

    /// A version that no quote of this stock has been above. A stock that is not listed goes on
    /// from there.
    pub fn version(&self, symbol: &Symbol) -> u64 {
        let listing = self.listing();
        match lock(&listing.block, symbol, self.hash(symbol)) {
            Some(row) if row.quote().is_some() => row.version(),
            Some(row) => row.version().max(listing.version_floor),
            None => listing.version_floor,
        }
    }

    /// Makes every stock that has no row yet begin above this version.
    pub fn raise_version_floor(&self, version: u64) {
        let mut listing = self.listing();
        listing.version_floor = listing.version_floor.max(version);
    }

    /// Every listed quote, in no useful order. Stocks listed or delisted meanwhile may be missed
    /// or not; all others appear exactly once.
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(self)
    }

    /// About `rows` rows' worth of quotes from a place in the catalog, and the place to go on
    /// from; 0 begins. Over a whole round, every stock that was listed throughout appears, however
    /// much the catalog changes or grows in between.
    pub fn page(&self, from: u64, rows: usize) -> Page {
        Page::read(&self.view().block, from, rows, |symbol| self.hash(symbol))
    }

    /// The place of a stock in the order of [pages](Catalog::page), listed or not: a page from
    /// there or before shows it, a page from beyond it does not.
    pub fn place(&self, symbol: &Symbol) -> u64 {
        self.hash(symbol)
    }

    #[inline]
    fn hash(&self, symbol: &Symbol) -> u64 {
        self.hasher.hash_one(symbol)
    }

    fn change_locked<E: From<CatalogFull>>(
        &self,
        locked: Locked<'_>,
        symbol: &Symbol,
        now_ns: u64,
        decide: impl FnOnce(Option<&Quote>) -> Result<Change, E>,
    ) -> Result<Changed, E> {
        let before = locked.quote();
        let change = decide(before.as_ref())?;
        let after = match change.put(symbol, locked.version(), now_ns) {
            Some(quote) => {
                if before.is_none() {
                    self.count_listed()?;
                }
                locked.put(&quote);
                Some(quote)
            }
            None if change == Change::Delist && before.is_some() => {
                locked.delist(now_ns);
                self.listed.fetch_sub(1, Relaxed);
                None
            }
            None => before,
        };
        Ok(Changed { before, after })
    }

    /// Counts one more listed stock, unless that is one too many.
    fn count_listed(&self) -> Result<(), CatalogFull> {
        let one_more = |listed| (listed < self.stocks_max).then_some(listed + 1);
        match self.listed.try_update(Relaxed, Relaxed, one_more) {
            Ok(_) => Ok(()),
            Err(_) => Err(CatalogFull::AtLimit { stocks_max: self.stocks_max }),
        }
    }

    /// Makes sure that the block in which stocks are listed has an empty row to give away, and
    /// moves growth on if it is under way.
    fn make_room(&self, listing: &mut Listing) -> Result<(), CatalogFull> {
        if listing.growth.is_none() && listing.is_loaded() {
            listing.begin_growth(self.len())?;
        }
        self.advance_growth(listing);
        Ok(())
    }

    /// Moves growth on if nobody else does. For writes that do not list: without them a catalog
    /// that is only updated would stay in two blocks.
    #[cold]
    fn help_growth(&self) {
        if let Ok(mut listing) = self.listing.try_lock() {
            self.advance_growth(&mut listing);
        }
    }

    fn advance_growth(&self, listing: &mut Listing) {
        if listing.move_rows(|symbol| self.hash(symbol)) {
            self.current.replace(Arc::clone(&listing.block));
        }
    }

    fn listing(&self) -> crate::sync::MutexGuard<'_, Listing> {
        // A writer that panicked was stopped before or after a step of its own, never within: what
        // the lock guards is as good as it was.
        self.listing.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog::new()
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog")
            .field("stocks", &self.len())
            .field("stocks_max", &self.stocks_max)
            .finish_non_exhaustive()
    }
}

/// The catalog as lookups see it, from [`Catalog::view`].
pub struct View<'a> {
    catalog: &'a Catalog,
    block: Loaded<Block>,
}

/// A stock that is looked for: see [`View::seek`].
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    symbol: Symbol,
    hash: u64,
}

impl Sought {
    /// What is found in no catalog, for a name that no stock can have.
    #[inline]
    pub fn nothing() -> Sought {
        Sought { symbol: Symbol::from_words([0; 4]), hash: 0 }
    }
}

impl View<'_> {
    /// The quote of one stock, or `None` if it is not listed.
    #[inline(always)]
    pub fn get(&self, symbol: &Symbol) -> Option<Quote> {
        self.get_sought(&Sought { symbol: *symbol, hash: self.catalog.hash(symbol) })
    }

    /// Begins to look for a stock: asks the memory for its row and does not wait for it. Several
    /// stocks that are sought before the first is [got](View::get_sought) cost little more than one,
    /// where the table is larger than the processor's caches.
    #[inline(always)]
    pub fn seek(&self, symbol: &Symbol) -> Sought {
        let hash = self.catalog.hash(symbol);
        self.block.prefetch(hash);
        Sought { symbol: *symbol, hash }
    }

    /// The quote of a stock that was [sought](View::seek) in this catalog, as it is now, or `None`
    /// if it is not listed.
    #[inline(always)]
    pub fn get_sought(&self, sought: &Sought) -> Option<Quote> {
        let Sought { symbol, hash } = sought;
        let mut block: &Block = &self.block;
        loop {
            match block.get(symbol, *hash) {
                Found::Here(quote) => return quote,
                Found::Elsewhere => block = block.next()?,
            }
        }
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("catalog", self.catalog).finish_non_exhaustive()
    }
}

/// Locks the row of a stock, from this block on.
fn lock<'a>(block: &'a Block, symbol: &Symbol, hash: u64) -> Option<Locked<'a>> {
    let mut block = block;
    loop {
        match block.lock(symbol, hash) {
            Found::Here(locked) => return Some(locked),
            Found::Elsewhere => block = block.next()?,
        }
    }
}

impl Listing {
    fn is_loaded(&self) -> bool {
        (self.used + 1) * ROWS_PER_STOCK_MIN > self.block.rows().len()
    }

    /// Whether so many listings fit without growth, or at least without more of it than there is.
    fn has_room(&self, listings: usize) -> bool {
        // Any row of the current block may still move to the next.
        let (used, block) = match &self.growth {
            Some(growth) => (growth.used + self.used, &growth.next),
            None => (self.used, &self.block),
        };
        (used + listings) * ROWS_PER_STOCK_MIN <= block.rows().len()
    }

    /// Puts a next block behind the current one. It is twice as large; or as large, where so many
    /// rows are of delisted stocks that leaving them behind makes room enough.
    ///
    /// Never smaller: should every delisted stock be listed again before its row is left behind,
    /// all of them must still find room.
    fn begin_growth(&mut self, listed: usize) -> Result<(), CatalogFull> {
        let rows = self.block.rows().len();
        let half_loaded = listed * 2 * ROWS_PER_STOCK_MIN <= rows;
        let rows = if half_loaded { rows } else { rows * 2 };
        let next =
            Block::new(rows).map_err(|_| CatalogFull::NoMemory { stocks: listed - 1, rows })?;
        let next = Arc::new(next);
        self.block.set_next(Arc::clone(&next));
        self.growth = Some(Growth { next, used: 0, moved: 0 });
        Ok(())
    }

    /// Moves some rows to the next block. Returns whether the last one has moved just now and the
    /// next block has become the current one here, as it must for everybody.
    fn move_rows(&mut self, hash: impl Fn(&Symbol) -> u64) -> bool {
        let Some(growth) = &mut self.growth else {
            return false;
        };
        let rows = self.block.rows();
        let end = rows.len().min(growth.moved + ROWS_MOVED_AT_ONCE);
        for row in &rows[growth.moved..end] {
            let Held::This(locked) = row.lock_any() else {
                continue;
            };
            match locked.quote() {
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
        self.used = growth.used;
        self.block = Arc::clone(&growth.next);
        self.growth = None;
        self.check_invariants();
        true
    }

    /// Gives a stock that has no row its first one.
    fn claim(&mut self, quote: &Quote, hash: u64) {
        let (block, used) = match &mut self.growth {
            Some(growth) => (&growth.next, &mut growth.used),
            None => (&self.block, &mut self.used),
        };
        block.vacancy(hash).claim(quote);
        *used += 1;
    }

    /// What holds between two growths. Walks the whole block: for debug builds.
    fn check_invariants(&self) {
        if cfg!(all(debug_assertions, not(loom))) {
            let used = self.block.rows().iter().filter(|row| !row.is_empty()).count();
            assert_eq!(used, self.used, "rows used");
            assert!(used < self.block.rows().len(), "a probe would not end");
        }
    }
}

fn random_seed() -> u64 {
    // A model must take the same steps in each of its runs.
    if cfg!(loom) { 0 } else { std::hash::RandomState::new().hash_one(0) }
}
