//! The catalog: one block of rows, or two while it grows.
//!
//! **Lookups** probe the current block. Where the stock's row has moved, or there is none, they go
//! on in the next block, if there is one.
//!
//! **Changes** lock the one row and nothing else. A stock that has no row yet is listed under the
//! *listing lock*, which also guards [growth](crate::listing); its holder alone claims empty rows,
//! so no stock ever gets two. Locks are taken in this order: listing lock, then one row.
//!
//! Invariant: what a lookup finds in the current block, or else in the next, is the stock's one
//! row.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use stockd_model::limits::STOCKS_MAX;
use stockd_model::{Answer, Quote, SYMBOL_WORDS, Symbol};
use stockd_rows::{Bare, DELISTED, EXTRA, FED, HashKey, Tradable, is_long};

use crate::block::{Block, Found};
use crate::change::{CatalogFull, Change, Changed};
use crate::feed_states::FeedStates;
use crate::listing::{Listing, ROWS_PER_STOCK_MIN};
use crate::row::{self, Locked};
use crate::sync::{Current, Loaded, Mutex, MutexGuard};

/// The table of all quotes. See the [crate] for what concurrent readers may observe.
pub struct Catalog {
    current: Current<Block>,
    listing: Mutex<Listing>,
    /// Stocks that are listed.
    listed: AtomicUsize,
    stocks_max: usize,
    feeds: FeedStates,
    hash_key: HashKey,
}

/// How a catalog is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Stocks that fit before the catalog first grows.
    pub capacity: usize,
    /// Stocks that may be listed at once; at most, and by default, [`STOCKS_MAX`].
    pub stocks_max: usize,
    /// The seed of its hashes. Random by default, so that no client can choose symbols that
    /// collide; set where every run must take the same steps.
    pub hash_seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options { capacity: 1000, stocks_max: STOCKS_MAX, hash_seed: None }
    }
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

    /// An empty catalog with room for this many stocks before it first grows.
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
            listing: Mutex::new(Listing::new(block)),
            listed: AtomicUsize::new(0),
            stocks_max,
            feeds: FeedStates::default(),
            hash_key: HashKey::new(options.hash_seed.unwrap_or_else(random_seed)),
        }
    }

    /// How the feeds are that stocks come from.
    pub fn feeds(&self) -> &FeedStates {
        &self.feeds
    }

    /// The number of stocks that are listed.
    pub fn len(&self) -> usize {
        self.listed.load(Relaxed)
    }

    /// Whether no stock is listed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the blocks: 64 for each row, used or not, and whether its memory is there or not. Side
    /// rows come on top, where stocks have bids, asks, times or long symbols.
    pub fn memory_bytes(&self) -> usize {
        let listing = self.listing();
        let prepared = listing.prepared().map_or(0, |block| size_of_val(block.rows()));
        let view = self.view();
        let first: &Block = &view.block;
        let blocks = std::iter::successors(Some(first), |block| block.next());
        prepared + blocks.map(|block| size_of_val(block.rows())).sum::<usize>()
    }

    /// The catalog as lookups see it. Cheap to make, always up to date, and meant for a handful of
    /// lookups: while it lives, memory that the catalog has outgrown is not freed.
    #[inline]
    pub fn view(&self) -> View<'_> {
        View { catalog: self, block: self.current.load() }
    }

    /// The hash of a symbol, which says where its probe begins.
    #[inline(always)]
    pub(crate) fn hash(&self, symbol: &Symbol) -> u64 {
        self.hash_key.hash(&symbol.words())
    }

    /// The quote of one stock, or `None` if it is not listed.
    pub fn get(&self, symbol: &Symbol) -> Option<Quote> {
        self.view().get(symbol)
    }

    /// Changes one stock as `decide` says, given its quote now, or `None` if it is not listed.
    /// The change is atomic: no other thread changes the stock between what `decide` saw and what it
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
        if let Some(locked) = lock(&Arc::clone(listing.block()), symbol, hash) {
            // It was listed before we had the lock.
            return self.change_locked(locked, symbol, now_ns, decide);
        }
        let change = decide(None)?;
        let Some(quote) = change.outcome(symbol, None, listing.version_floor(), now_ns) else {
            return Ok(Changed { before: None, after: None });
        };
        self.count_listed()?;
        if let Err(full) = listing.make_room(self.len()) {
            self.listed.fetch_sub(1, Relaxed);
            return Err(full.into());
        }
        self.advance_growth(&mut listing);
        listing.claim(&quote, hash);
        self.feeds.count(None, Some(&quote));
        Ok(Changed { before: None, after: Some(quote) })
    }

    /// Gives a stock exactly this quote, version and time included, as it was kept elsewhere.
    ///
    /// # Errors
    ///
    /// [`CatalogFull`] when the stock is new and there is no room for it.
    pub fn restore(&self, quote: &Quote) -> Result<(), CatalogFull> {
        if let Some(feed) = quote.feed {
            self.feeds.remember(feed);
        }
        self.change(&quote.symbol, quote.updated_ns, |_| Ok(Change::Restore(*quote)))
            .map(|_changed| ())
    }

    /// Makes room for this many further listings, so that a listing that was promised does not fail
    /// later.
    ///
    /// # Errors
    ///
    /// [`CatalogFull`] when there is no room for them.
    pub fn reserve(&self, listings: usize) -> Result<(), CatalogFull> {
        if self.len() + listings > self.stocks_max {
            return Err(CatalogFull::AtLimit { stocks_max: self.stocks_max });
        }
        let mut listing = self.listing();
        while !listing.has_room(listings) {
            if !listing.is_growing() {
                listing.begin_growth(self.len() + listings)?;
                continue;
            }
            while listing.is_growing() {
                self.advance_growth(&mut listing);
            }
        }
        Ok(())
    }

    /// The version of a stock's quote, and how often the state of its feed has changed, as of a
    /// [whole one](Catalog::get) and for a fraction of its cost; `None` if it is not listed.
    pub fn listed_version(&self, symbol: &Symbol) -> Option<(u64, u32)> {
        let hash = self.hash(symbol);
        let view = self.view();
        let mut block: &Block = &view.block;
        loop {
            match block.listed_version(symbol, hash) {
                Found::Here(Some((_, true))) => break,
                Found::Here(version) => return version.map(|(version, _)| (version, 0)),
                Found::Elsewhere => block = block.next()?,
            }
        }
        // The feed stands in the side row.
        let quote = view.get(symbol)?;
        Some((quote.version, quote.feed.map_or(0, |feed| feed.changes)))
    }

    /// The version that a stock has reached, listed or not: no quote of it was above. Its next
    /// change is one above.
    pub fn version(&self, symbol: &Symbol) -> u64 {
        let listing = self.listing();
        match lock(listing.block(), symbol, self.hash(symbol)) {
            Some(row) if row.quote(symbol).is_some() => row.version(),
            Some(row) => row.version().max(listing.version_floor()),
            None => listing.version_floor(),
        }
    }

    /// Makes every stock that has no row yet begin above this version.
    pub fn raise_version_floor(&self, version: u64) {
        self.listing().raise_version_floor(version);
    }

    fn change_locked<E: From<CatalogFull>>(
        &self,
        locked: Locked<'_>,
        symbol: &Symbol,
        now_ns: u64,
        decide: impl FnOnce(Option<&Quote>) -> Result<Change, E>,
    ) -> Result<Changed, E> {
        let mut before = locked.quote(symbol);
        if let Some(before) = &mut before {
            self.feeds.resolve(before);
        }
        let change = decide(before.as_ref())?;
        let after = change.outcome(symbol, before.as_ref(), locked.version(), now_ns);
        match after {
            _ if matches!(change, Change::Keep) => {}
            Some(quote) => {
                if before.is_none() {
                    self.count_listed()?;
                }
                locked.put(&quote);
            }
            None => {
                let version = match change {
                    Change::DelistAt(version) => version,
                    _ => locked.version() + u64::from(before.is_some()),
                };
                if version > locked.version() {
                    locked.delist(version, now_ns);
                }
                if before.is_some() {
                    self.listed.fetch_sub(1, Relaxed);
                }
            }
        }
        self.feeds.count(before.as_ref(), after.as_ref());
        Ok(Changed { before, after })
    }

    /// Counts one more listed stock, unless the limit is reached.
    fn count_listed(&self) -> Result<(), CatalogFull> {
        let one_more = |listed| (listed < self.stocks_max).then_some(listed + 1);
        match self.listed.try_update(Relaxed, Relaxed, one_more) {
            Ok(_) => Ok(()),
            Err(_) => Err(CatalogFull::AtLimit { stocks_max: self.stocks_max }),
        }
    }

    /// Moves growth on unless another thread is doing so. Called by writes that list nothing:
    /// without them a catalog that is only updated would stay in two blocks.
    #[cold]
    fn help_growth(&self) {
        if let Ok(mut listing) = self.listing.try_lock() {
            self.advance_growth(&mut listing);
        }
    }

    fn advance_growth(&self, listing: &mut Listing) {
        if listing.move_rows(|symbol| self.hash(symbol)) {
            self.current.replace(Arc::clone(listing.block()));
        }
    }

    pub(crate) fn listing(&self) -> MutexGuard<'_, Listing> {
        // A writer that panics does so between two steps, never within one, so a poisoned lock
        // still guards good data.
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
    pub(crate) block: Loaded<Block>,
}

/// A stock that is looked for: see [`View::seek`].
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    symbol: Symbol,
    hash: u64,
}

/// A quote that stands in the row of its stock alone, as it is kept: a quarter of its size. From [`View::find_bare`].
#[derive(Clone, Copy, Debug)]
pub struct BareQuote(Bare);

impl BareQuote {
    /// The quote. The symbol is the one that was looked for.
    #[inline(always)]
    pub fn quote(&self, symbol: &Symbol) -> Quote {
        row::bare_quote_of(&self.0, symbol)
    }
}

/// The hash of what may not be looked for. A symbol with this hash has a first word that is not 0.
const NOT_PERMITTED: u64 = 1;

impl Sought {
    /// Nothing too, of another kind: what was looked for may not be looked for.
    pub fn nothing_permitted() -> Sought {
        Sought { hash: NOT_PERMITTED, ..Sought::nothing() }
    }

    /// Whether this is [nothing that is permitted](Sought::nothing_permitted).
    #[inline]
    pub fn is_not_permitted(&self) -> bool {
        let [first, ..] = self.symbol.words();
        self.hash == NOT_PERMITTED && first == 0
    }

    /// The symbol that is looked for. Of [nothing](Sought::nothing) it is none that a stock has.
    #[inline]
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// What is never found: stands for a name that no stock can have.
    #[inline]
    pub fn nothing() -> Sought {
        Sought { symbol: Symbol::from_words([0; SYMBOL_WORDS]), hash: 0 }
    }
}

impl View<'_> {
    /// The quote of one stock, or `None` if it is not listed.
    #[inline]
    pub fn get(&self, symbol: &Symbol) -> Option<Quote> {
        self.get_hashed(symbol, self.catalog.hash(symbol))
    }

    /// Begins to look for a stock: prefetches its row and does not wait for it. When the table is
    /// larger than the processor's caches, seeking several stocks before
    /// [getting](View::get_sought) the first costs little more than one lookup.
    #[inline(always)]
    pub fn seek(&self, symbol: &Symbol) -> Sought {
        let hash = self.catalog.hash(symbol);
        self.block.prefetch(hash);
        Sought { symbol: *symbol, hash }
    }

    /// Prefetches the row of a stock that is changed or looked for soon, and does not wait for it.
    #[inline]
    pub fn fetch(&self, symbol: &Symbol) {
        self.block.prefetch(self.catalog.hash(symbol));
    }

    /// The quote, as it is now, of a stock that was [sought](View::seek) in this catalog, or `None`
    /// if it is not listed.
    #[inline]
    pub fn get_sought(&self, sought: &Sought) -> Option<Quote> {
        self.get_hashed(&sought.symbol, sought.hash)
    }

    fn get_hashed(&self, symbol: &Symbol, hash: u64) -> Option<Quote> {
        let mut block: &Block = &self.block;
        let fields = loop {
            match block.fields(symbol, hash) {
                Found::Here(fields) => break fields,
                Found::Elsewhere => block = block.next()?,
            }
        };
        let mut quote = row::quote_of(&fields, symbol)?;
        self.catalog.feeds.resolve(&mut quote);
        Some(quote)
    }

    /// What most whole quotes are made of, where that is wanted: `None` does not mean that the stock is not listed,
    /// but that [`get`](View::get) is to be asked. It has a bid, an ask, a time, a feed or a long symbol, or is in the
    /// next block.
    #[inline(always)]
    pub fn find_bare(&self, symbol: &Symbol) -> Option<BareQuote> {
        match self.block.bare(symbol, self.catalog.hash(symbol)) {
            Found::Here(bare) if bare.tradable.state & (DELISTED | EXTRA) == 0 => {
                Some(BareQuote(bare))
            }
            _ => None,
        }
    }

    /// Changes a listed stock as `edit` says, which is given its quote now, and that quote to make of it what it is to
    /// be. Returns the quote after that, or `None`, and nothing was done, where the stock is not listed. The version
    /// goes up by one, and `now_ns` becomes the time of the update, unless the last one was later. As
    /// [`Catalog::change`], for most changes and with fewer copies of a quote.
    ///
    /// # Errors
    ///
    /// What `edit` returns. Nothing has changed then.
    #[inline]
    pub fn edit<E>(
        &self,
        symbol: &Symbol,
        now_ns: u64,
        edit: impl FnOnce(&Quote, &mut Quote) -> Result<(), E>,
    ) -> Result<Option<Quote>, E> {
        let Some(locked) = lock(&self.block, symbol, self.catalog.hash(symbol)) else {
            return Ok(None);
        };
        let Some(mut before) = locked.quote(symbol) else { return Ok(None) };
        let feeds = &self.catalog.feeds;
        feeds.resolve(&mut before);
        // The clock may have been set back.
        let updated_ns = now_ns.max(before.updated_ns);
        let mut after = Quote { version: before.version + 1, updated_ns, ..before };
        edit(&before, &mut after)?;
        locked.put(&after);
        feeds.count(Some(&before), Some(&after));
        if self.block.next().is_some() {
            self.catalog.help_growth();
        }
        Ok(Some(after))
    }

    /// What a lookup of a stock answers that was [sought](View::seek) in this catalog, or `None` if it
    /// is not listed: the [answer](Quote::answer) of its quote, without the rest of it.
    #[inline(always)]
    pub fn answer_sought(&self, sought: &Sought) -> Option<Answer> {
        let Sought { symbol, hash } = sought;
        match self.block.tradable(symbol, *hash) {
            Found::Here(tradable) => match row::answer_of(&tradable) {
                Some(Answer::NotTradable) if tradable.state & FED != 0 => {
                    self.answer_fed(sought, tradable)
                }
                answer => answer,
            },
            Found::Elsewhere if self.block.next().is_none() && !is_long(&symbol.words()) => None,
            Found::Elsewhere => self.answer_elsewhere(sought),
        }
    }

    /// The stock has a feed. Only while some feed halts its stocks, it is looked up which feed this is.
    #[inline(never)]
    fn answer_fed(&self, sought: &Sought, tradable: Tradable) -> Option<Answer> {
        match self.catalog.feeds.is_any_halting() {
            true => self.answer_elsewhere(sought),
            false => row::answer_of(&Tradable { state: tradable.state & !FED, ..tradable }),
        }
    }

    /// The stock is in the next block, or its symbol does not fit a row, so that its side row has to be
    /// read, too.
    #[cold]
    #[inline(never)]
    fn answer_elsewhere(&self, sought: &Sought) -> Option<Answer> {
        self.get_sought(sought).map(|quote| quote.answer())
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

fn random_seed() -> u64 {
    // A model must take the same steps in each of its runs.
    if cfg!(loom) { 0 } else { std::hash::RandomState::new().hash_one(0) }
}
