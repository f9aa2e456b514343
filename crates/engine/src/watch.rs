//! Who is told that a stock has changed.
//!
//! A [`Watcher`] belongs to one thread that serves subscribers. It says which symbols and patterns
//! its subscribers want; a write to one of them leaves a *mark* on the symbol in the watcher's
//! inbox and wakes the thread, which then reads the quote as it is by then. There is no queue of
//! changes anywhere: a symbol is marked or it is not, so an inbox holds at most what is watched,
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
//! What a write costs that nobody watches: the fence and one load.

use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::{FixedState, RandomState};
use stockd_model::{Pattern, Symbol};

use crate::inbox::Inbox;
use crate::sync::Ordering::{Relaxed, SeqCst};
use crate::sync::{AtomicU32, AtomicUsize, PoisonError, RwLock, fence};

/// Cells of a filter: enough that the symbols of a few thousand subscriptions rarely share one
/// with a stock that nobody watches.
const FILTER_CELLS: usize = if cfg!(loom) { 1 } else { 4096 };

/// One thread's view of changes: what it watches, and what has changed of that.
#[derive(Debug)]
pub struct Watcher {
    interest: Arc<Interest>,
    watchers: Arc<Watchers>,
}

/// All watchers of an engine.
#[derive(Debug)]
pub(crate) struct Watchers {
    interests: RwLock<Vec<Arc<Interest>>>,
    /// Subscriptions of all watchers together. While it is 0 no write looks any further.
    subscriptions: AtomicUsize,
}

/// What one watcher wants to know, and where writers leave their marks for it.
struct Interest {
    filter: Filter,
    /// Each as often as it is watched.
    patterns: RwLock<Vec<Pattern>>,
    patterns_len: AtomicUsize,
    marks: Inbox<Marks>,
}

/// Symbols, each once.
pub type Marks = HashSet<Symbol, RandomState>;

impl Default for Watchers {
    fn default() -> Watchers {
        Watchers { interests: RwLock::new(Vec::new()), subscriptions: AtomicUsize::new(0) }
    }
}

impl Watchers {
    /// A watcher that `wake` wakes: it is called by writers, at most once until the marks are
    /// taken, and must be quick.
    pub(crate) fn watcher(self: &Arc<Self>, wake: impl Fn() + Send + Sync + 'static) -> Watcher {
        let interest = Arc::new(Interest {
            filter: Filter::new(),
            patterns: RwLock::new(Vec::new()),
            patterns_len: AtomicUsize::new(0),
            marks: Inbox::new(Marks::default(), wake),
        });
        self.interests.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&interest));
        Watcher { interest, watchers: Arc::clone(self) }
    }

    /// Marks a symbol whose row has just been changed.
    #[inline]
    pub(crate) fn mark(&self, symbol: &Symbol) {
        fence(SeqCst);
        if self.subscriptions.load(Relaxed) > 0 {
            self.mark_watched(symbol);
        }
    }

    #[cold]
    fn mark_watched(&self, symbol: &Symbol) {
        let cell = Filter::cell(symbol);
        for interest in self.interests.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if interest.covers(symbol, cell) {
                interest.marks.leave(|marks| marks.insert(*symbol));
            }
        }
    }
}

impl Watcher {
    /// Watches a symbol, listed or not. Read its quote only after this.
    pub fn watch(&self, symbol: &Symbol) {
        self.interest.filter.cells[Filter::cell(symbol)].fetch_add(1, Relaxed);
        self.watchers.subscriptions.fetch_add(1, Relaxed);
        fence(SeqCst);
    }

    /// Takes back one [`watch`](Watcher::watch).
    pub fn unwatch(&self, symbol: &Symbol) {
        self.watchers.subscriptions.fetch_sub(1, Relaxed);
        self.interest.filter.cells[Filter::cell(symbol)].fetch_sub(1, Relaxed);
    }

    /// Watches every symbol that fits the pattern, now or later. Read quotes only after this.
    pub fn watch_pattern(&self, pattern: &Pattern) {
        let mut patterns = self.interest.patterns.write().unwrap_or_else(PoisonError::into_inner);
        patterns.push(pattern.clone());
        self.interest.patterns_len.store(patterns.len(), Relaxed);
        drop(patterns);
        self.watchers.subscriptions.fetch_add(1, Relaxed);
        fence(SeqCst);
    }

    /// Takes back one [`watch_pattern`](Watcher::watch_pattern).
    pub fn unwatch_pattern(&self, pattern: &Pattern) {
        let mut patterns = self.interest.patterns.write().unwrap_or_else(PoisonError::into_inner);
        let Some(index) = patterns.iter().position(|watched| watched == pattern) else {
            return;
        };
        patterns.swap_remove(index);
        self.interest.patterns_len.store(patterns.len(), Relaxed);
        drop(patterns);
        self.watchers.subscriptions.fetch_sub(1, Relaxed);
    }

    /// Takes all marks, in exchange for an empty set. Read the quotes of the symbols only after
    /// this. There may be some among them that are not watched.
    pub fn take(&self, empty: Marks) -> Marks {
        debug_assert!(empty.is_empty());
        self.interest.marks.take(empty)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let watches = |cell: &AtomicU32| cell.load(Relaxed) as usize;
        let interest = &self.interest;
        let left = interest.filter.cells.iter().map(watches).sum::<usize>()
            + interest.patterns_len.load(Relaxed);
        self.watchers.subscriptions.fetch_sub(left, Relaxed);
        let mut interests = self.watchers.interests.write().unwrap_or_else(PoisonError::into_inner);
        interests.retain(|other| !Arc::ptr_eq(other, interest));
    }
}

impl Interest {
    fn covers(&self, symbol: &Symbol, cell: usize) -> bool {
        self.filter.cells[cell].load(Relaxed) > 0
            || self.patterns_len.load(Relaxed) > 0 && {
                let patterns = self.patterns.read().unwrap_or_else(PoisonError::into_inner);
                patterns.iter().any(|pattern| pattern.matches(symbol))
            }
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest").field("marks", &self.marks).finish_non_exhaustive()
    }
}

/// Says of any symbol whether it may be watched: no for nearly all that are not. A counting
/// filter with one hash, since a mark too many costs little.
struct Filter {
    cells: Box<[AtomicU32]>,
}

impl Filter {
    fn new() -> Filter {
        Filter { cells: (0..FILTER_CELLS).map(|_| AtomicU32::new(0)).collect() }
    }

    fn cell(symbol: &Symbol) -> usize {
        FixedState::with_seed(0).hash_one(symbol) as usize % FILTER_CELLS
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
        let (watcher, wakes) = watcher(&watchers);
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
        let (watcher, wakes) = watcher(&watchers);
        let pattern = Pattern::new(b"A*");
        watcher.watch(&symbol("IBM"));
        watcher.watch_pattern(&pattern);
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
        assert_eq!(watchers.subscriptions.load(Relaxed), 0);
    }

    #[test]
    fn each_watcher_has_its_own_marks_and_takes_its_watches_with_it() {
        let watchers = Arc::new(Watchers::default());
        let (one, _) = watcher(&watchers);
        let (other, _) = watcher(&watchers);
        one.watch(&symbol("AAPL"));
        other.watch(&symbol("AAPL"));
        watchers.mark(&symbol("AAPL"));
        assert_eq!(taken(&one), ["AAPL"]);
        drop(one);
        assert_eq!(taken(&other), ["AAPL"]);
        other.watch_pattern(&Pattern::new(b"*"));
        drop(other);
        assert_eq!(watchers.subscriptions.load(Relaxed), 0);
        assert!(watchers.interests.read().unwrap().is_empty());
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
        let watcher = watchers.watcher(move || main.unpark());
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
