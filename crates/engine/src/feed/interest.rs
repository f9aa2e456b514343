//! What the writers look at: who wants to be told of a changed symbol.
//!
//! A [`Watcher`] belongs to one thread or task that serves subscribers. It says which symbols and
//! patterns its subscribers want, each once; a write to one of them leaves a *mark* on the symbol in
//! the watcher's inbox and wakes it, and it then reads the quote as it is by then. There is no queue
//! of changes anywhere: a symbol is marked or it is not, so an inbox holds at most what is watched,
//! however fast the writes come and however slow the watcher is.
//!
//! Invariant: after a write has returned, every watcher that watched the symbol when the write
//! began has it marked, or has taken the mark and not read the quote yet, or has read that quote
//! or a later one. It rests on two orders:
//!
//! - A writer changes the row, then looks who watches; a watcher says that it watches, then reads
//!   the row. Each has a sequentially consistent fence between its two steps, so at least one of
//!   the two sees the other.
//! - A watcher takes a mark before it reads the row. A writer that comes too late for that read
//!   finds the mark gone and leaves a new one.
//!
//! A write that nobody watches costs the fence and one load. A write beside watchers of other things
//! asks the [filter](super::filter) of each plane, without a lock; only where that says *perhaps*
//! does it look into the index, under a read lock, and there it compares a bounded number of bytes
//! ([`INTEREST_PATTERN_BYTES_MAX`]). Where more patterns than that begin like the symbol, it is marked
//! without, and the watcher compares. So a write never costs more for more patterns.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use foldhash::fast::RandomState;
use stockd_model::limits::{INTEREST_PATTERN_BYTES_MAX, UNINDEXED_PATTERNS_MAX};
use stockd_model::{Pattern, Symbol};

use super::filter::Filter;
use super::pattern_index::PatternIndex;
use crate::inbox::Inbox;
use crate::sync::Ordering::{Relaxed, SeqCst};
use crate::sync::{AtomicUsize, PoisonError, RwLock, RwLockWriteGuard, fence};

/// One plane's view of changes: what it watches, and what has changed of that.
#[derive(Debug)]
pub(crate) struct Watcher {
    interest: Arc<Interest>,
    watchers: Arc<Watchers>,
    /// Symbols and patterns that it watches.
    watched: usize,
    /// Those of them that count towards [`UNINDEXED_PATTERNS_MAX`].
    unindexed: usize,
}

/// All watchers of an engine.
#[derive(Debug)]
pub(crate) struct Watchers {
    interests: RwLock<Vec<Arc<Interest>>>,
    /// What all watchers watch together. While it is 0 no write looks any further.
    watched: AtomicUsize,
    /// How many of the patterns are found by no prefix.
    unindexed: AtomicUsize,
}

/// What one watcher wants to know, and where writers leave their marks for it.
struct Interest {
    filter: Filter,
    index: RwLock<Index>,
    marks: Inbox<Marks>,
}

/// Exactly what is watched.
#[derive(Default)]
struct Index {
    symbols: BTreeSet<Symbol>,
    patterns: PatternIndex<()>,
}

/// Symbols, each once.
pub(crate) type Marks = HashSet<Symbol, RandomState>;

/// The process watches as many patterns as it may that no prefix finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyUnindexed;

impl Default for Watchers {
    fn default() -> Watchers {
        Watchers {
            interests: RwLock::new(Vec::new()),
            watched: AtomicUsize::new(0),
            unindexed: AtomicUsize::new(0),
        }
    }
}

impl Watchers {
    /// A watcher that `wake` wakes: it is called by writers, at most once until the marks are
    /// taken, and must be quick.
    pub(crate) fn watcher(self: &Arc<Self>, wake: impl Fn() + Send + Sync + 'static) -> Watcher {
        let interest = Arc::new(Interest {
            filter: Filter::default(),
            index: RwLock::new(Index::default()),
            marks: Inbox::new(Marks::default(), wake),
        });
        self.interests.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&interest));
        Watcher { interest, watchers: Arc::clone(self), watched: 0, unindexed: 0 }
    }

    /// Marks a symbol whose row has just been changed.
    #[inline]
    pub(crate) fn mark(&self, symbol: &Symbol) {
        fence(SeqCst);
        if self.watched.load(Relaxed) > 0 {
            self.mark_watched(symbol);
        }
    }

    #[cold]
    fn mark_watched(&self, symbol: &Symbol) {
        for interest in self.interests.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if interest.covers(symbol) {
                interest.marks.leave(|marks| marks.insert(*symbol));
            }
        }
    }
}

impl Watcher {
    /// Watches a symbol, listed or not. Read its quote only after this. Once is enough.
    pub(crate) fn watch(&mut self, symbol: &Symbol) {
        if self.index().symbols.insert(*symbol) {
            self.interest.filter.add_symbol(symbol);
            self.count(1);
        }
        fence(SeqCst);
    }

    /// Watches a symbol no longer.
    pub(crate) fn unwatch(&mut self, symbol: &Symbol) {
        if self.index().symbols.remove(symbol) {
            self.interest.filter.remove_symbol(symbol);
            self.uncount(1);
        }
    }

    /// Watches every symbol that fits the pattern, now or later. Read quotes only after this. Once
    /// is enough.
    pub(crate) fn watch_pattern(&mut self, pattern: &Arc<Pattern>) -> Result<(), TooManyUnindexed> {
        if self.index().patterns.number(pattern).is_none() {
            let prefix = pattern.literal_prefix();
            if is_unindexed(pattern, &prefix) {
                let others = self.watchers.unindexed.fetch_add(1, Relaxed);
                if others >= UNINDEXED_PATTERNS_MAX {
                    self.watchers.unindexed.fetch_sub(1, Relaxed);
                    return Err(TooManyUnindexed);
                }
                self.unindexed += 1;
            }
            self.index().patterns.insert(Arc::clone(pattern), ());
            self.interest.filter.add_prefix(&prefix);
            self.count(1);
        }
        fence(SeqCst);
        Ok(())
    }

    /// Watches a pattern no longer.
    pub(crate) fn unwatch_pattern(&mut self, pattern: &Pattern) {
        let mut index = self.index();
        let Some(number) = index.patterns.number(pattern) else {
            return;
        };
        index.patterns.remove(number);
        drop(index);
        let prefix = pattern.literal_prefix();
        self.interest.filter.remove_prefix(&prefix);
        self.uncount(1);
        if is_unindexed(pattern, &prefix) {
            self.unindexed -= 1;
            self.watchers.unindexed.fetch_sub(1, Relaxed);
        }
    }

    /// Takes all marks, in exchange for an empty set. Read the quotes of the symbols only after
    /// this. There may be some among them that are not watched.
    pub(crate) fn take(&self, empty: Marks) -> Marks {
        debug_assert!(empty.is_empty());
        self.interest.marks.take(empty)
    }

    fn index(&self) -> RwLockWriteGuard<'_, Index> {
        self.interest.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&mut self, more: usize) {
        self.watched += more;
        self.watchers.watched.fetch_add(more, Relaxed);
    }

    fn uncount(&mut self, fewer: usize) {
        self.watched -= fewer;
        self.watchers.watched.fetch_sub(fewer, Relaxed);
    }
}

/// Whether no prefix tells which symbols the pattern concerns. `*` concerns all.
fn is_unindexed(pattern: &Pattern, prefix: &[u8]) -> bool {
    prefix.is_empty() && !pattern.is_open()
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watchers.watched.fetch_sub(self.watched, Relaxed);
        self.watchers.unindexed.fetch_sub(self.unindexed, Relaxed);
        let mut interests = self.watchers.interests.write().unwrap_or_else(PoisonError::into_inner);
        interests.retain(|other| !Arc::ptr_eq(other, &self.interest));
    }
}

impl Interest {
    fn covers(&self, symbol: &Symbol) -> bool {
        self.filter.may_cover(symbol) && {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            index.symbols.contains(symbol)
                || index.patterns.may_match(symbol, INTEREST_PATTERN_BYTES_MAX).0
        }
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interest { filter, marks, .. } = self;
        f.debug_struct("Interest")
            .field("filter", filter)
            .field("marks", marks)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::thread;
    use std::time::{Duration, Instant};

    fn symbol(name: &str) -> Symbol {
        name.parse().unwrap()
    }

    fn pattern(text: &str) -> Arc<Pattern> {
        Arc::new(Pattern::new(text.as_bytes()))
    }

    fn watcher(watchers: &Arc<Watchers>) -> (Watcher, Arc<AtomicU64>) {
        let wakes = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&wakes);
        let wake = move || {
            counter.fetch_add(1, Relaxed);
        };
        (watchers.watcher(wake), wakes)
    }

    fn taken(watcher: &Watcher) -> Vec<String> {
        let marks = watcher.take(Marks::default());
        let mut names: Vec<_> = marks.iter().map(Symbol::to_string).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_watched_symbol_is_marked_once_and_wakes_once_until_it_is_taken() {
        let watchers = Arc::new(Watchers::default());
        let (mut watcher, wakes) = watcher(&watchers);
        watcher.watch(&symbol("AAPL"));
        watcher.watch(&symbol("IBM"));
        for _ in 0..3 {
            watchers.mark(&symbol("AAPL"));
            watchers.mark(&symbol("IBM"));
        }
        assert_eq!(wakes.load(Relaxed), 1);
        assert_eq!(taken(&watcher), ["AAPL", "IBM"]);
        assert!(taken(&watcher).is_empty());
        watchers.mark(&symbol("AAPL"));
        assert_eq!(wakes.load(Relaxed), 2);
        assert_eq!(taken(&watcher), ["AAPL"]);
    }

    #[test]
    fn nothing_is_marked_that_nobody_watches_any_more() {
        let watchers = Arc::new(Watchers::default());
        let (mut watcher, wakes) = watcher(&watchers);
        let pattern = pattern("A*");
        watcher.watch(&symbol("IBM"));
        watcher.watch_pattern(&pattern).unwrap();
        watchers.mark(&symbol("AAPL"));
        watchers.mark(&symbol("MSFT"));
        assert_eq!(taken(&watcher), ["AAPL"]);
        watcher.unwatch(&symbol("IBM"));
        watcher.unwatch_pattern(&pattern);
        for name in ["AAPL", "IBM", "MSFT"] {
            watchers.mark(&symbol(name));
        }
        assert!(taken(&watcher).is_empty());
        assert_eq!(wakes.load(Relaxed), 1);
        assert_eq!(watchers.watched.load(Relaxed), 0);
    }

    #[test]
    fn each_watcher_has_its_own_marks_and_takes_its_watches_with_it() {
        let watchers = Arc::new(Watchers::default());
        let (mut one, _) = watcher(&watchers);
        let (mut other, _) = watcher(&watchers);
        one.watch(&symbol("AAPL"));
        other.watch(&symbol("AAPL"));
        watchers.mark(&symbol("AAPL"));
        assert_eq!(taken(&one), ["AAPL"]);
        drop(one);
        assert_eq!(taken(&other), ["AAPL"]);
        other.watch_pattern(&pattern("*")).unwrap();
        drop(other);
        assert_eq!(watchers.watched.load(Relaxed), 0);
        assert!(watchers.interests.read().unwrap().is_empty());
    }

    /// 5,000 patterns that begin otherwise cost a write one load for each length of prefix, and
    /// 5,000 that begin like it a bounded comparison; no pattern that does not fit wakes anybody.
    #[test]
    fn a_write_beside_thousands_of_patterns_compares_few_bytes_and_wakes_nobody() {
        let watchers = Arc::new(Watchers::default());
        let (mut watcher, wakes) = watcher(&watchers);
        for number in 0..5000 {
            watcher.watch(&symbol(&format!("S{number}")));
            watcher.watch_pattern(&pattern(&format!("BRK{number}*"))).unwrap();
        }
        let watched = |watcher: &Watcher| {
            let index = watcher.interest.index.read().unwrap();
            index.patterns.may_match(&symbol("AAPL"), INTEREST_PATTERN_BYTES_MAX)
        };
        assert_eq!(watched(&watcher), (false, INTEREST_PATTERN_BYTES_MAX));
        watcher.watch_pattern(&pattern("AA?")).unwrap();
        assert_eq!(watched(&watcher), (false, INTEREST_PATTERN_BYTES_MAX - 3));
        for _ in 0..1000 {
            watchers.mark(&symbol("AAPL"));
        }
        assert_eq!(wakes.load(Relaxed), 0);

        // So many that all begin alike are not compared, but count as fitting.
        for number in 0..5000 {
            watcher.watch_pattern(&pattern(&format!("AAP?{number}*"))).unwrap();
        }
        let (fits, left) = watched(&watcher);
        assert!(fits && left < 16, "{left}");
        watchers.mark(&symbol("AAPL"));
        assert_eq!(taken(&watcher), ["AAPL"]);
    }

    #[test]
    fn patterns_that_begin_with_a_wildcard_are_limited_in_sum() {
        let watchers = Arc::new(Watchers::default());
        let (mut one, _) = watcher(&watchers);
        let (mut other, _) = watcher(&watchers);
        one.watch_pattern(&pattern("*")).unwrap();
        for number in 0..UNINDEXED_PATTERNS_MAX {
            one.watch_pattern(&pattern(&format!("*{number}"))).unwrap();
        }
        assert_eq!(other.watch_pattern(&pattern("?A")), Err(TooManyUnindexed));
        assert_eq!(other.watch_pattern(&pattern("A?")), Ok(()));
        assert_eq!(other.watch_pattern(&pattern("*")), Ok(()));
        one.unwatch_pattern(&pattern("*7"));
        assert_eq!(other.watch_pattern(&pattern("?A")), Ok(()));
        drop(one);
        drop(other);
        assert_eq!(watchers.unindexed.load(Relaxed), 0);
    }

    /// The mark protocol with real threads: writers raise numbers, a watcher that reads what is
    /// marked ends with the last of each, however few of them it has seen.
    #[test]
    fn a_watcher_ends_with_the_latest_of_every_symbol() {
        const WRITES: u64 = 100_000;
        /// How long a lost mark leaves the watcher waiting before the test fails.
        const PATIENCE: Duration = Duration::from_secs(20);
        let symbols = ["A", "B", "C"].map(symbol);
        let rows = [const { AtomicU64::new(0) }; 3];
        let watchers = Arc::new(Watchers::default());
        let main = thread::current();
        let mut watcher = watchers.watcher(move || main.unpark());
        symbols.iter().for_each(|symbol| watcher.watch(symbol));
        thread::scope(|scope| {
            for (row, symbol) in rows.iter().zip(&symbols) {
                let watchers = &watchers;
                scope.spawn(move || {
                    for number in 1..=WRITES {
                        row.store(number, Relaxed);
                        watchers.mark(symbol);
                    }
                });
            }
            let mut seen = [0; 3];
            let mut seen_at = Instant::now();
            while seen != [WRITES; 3] {
                let marks = watcher.take(Marks::default());
                for ((symbol, row), seen) in symbols.iter().zip(&rows).zip(&mut seen) {
                    if marks.contains(symbol) {
                        let now = row.load(Relaxed);
                        assert!(now >= *seen, "went back");
                        *seen = now;
                        seen_at = Instant::now();
                    }
                }
                assert!(seen_at.elapsed() < PATIENCE, "a mark was lost: {seen:?}");
                thread::park_timeout(PATIENCE);
            }
        });
    }
}
