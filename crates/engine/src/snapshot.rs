//! The whole catalog as it was at one moment, read while it changes.
//!
//! Nothing is stopped and nothing copied in advance. While a [`Snapshot`] is being read, a write
//! to a stock that it has not come to yet first saves the quote that it replaces; the snapshot
//! reads the rows in the order of their [places](stockd_catalog::Catalog::place) and takes what
//! was saved instead of what it finds.
//!
//! Invariant: what a snapshot gives is one moment. A write that saw the snapshot is not in it; one
//! that did not see it may be or not. Whatever follows from a write that saw it sees it too, since
//! all look at the same counter, so no effect is in it without its cause. Every write that had
//! returned before the snapshot began is in it.
//!
//! What it costs a write: one load while there is no snapshot. What it holds: one quote for each
//! stock that changes while it is read, at most.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use stockd_model::limits::SNAPSHOTS_MAX;
use stockd_model::{Quote, Symbol};

use crate::execute::Market;

/// Those that are being read.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    all: RwLock<Vec<Arc<Mutex<Saved>>>>,
    /// How many they are. While it is 0 no write looks any further.
    len: AtomicUsize,
}

/// What one snapshot needs of the past.
#[derive(Debug, Default)]
struct Saved {
    /// All stocks at places before this one have been read; `None` when all have.
    from: Option<u64>,
    /// The quotes at the moment of the snapshot of stocks changed since, `None` for those that
    /// were not listed. By place.
    quotes: BTreeMap<u64, Vec<(Symbol, Option<Quote>)>>,
}

/// The catalog at one moment, from [`Engine::snapshot`](crate::Engine::snapshot). Reads it once,
/// from one end to the other.
#[derive(Debug)]
pub struct Snapshot {
    market: Arc<Market>,
    saved: Arc<Mutex<Saved>>,
    from: Option<u64>,
}

impl Snapshots {
    /// Saves the quote of a stock that is about to change. Called with the row locked, so that
    /// nobody can read the new quote before the old one is saved.
    #[inline]
    pub(crate) fn save(&self, symbol: &Symbol, place: impl Fn() -> u64, quote: Option<&Quote>) {
        if self.len.load(Relaxed) > 0 {
            self.save_for_all(symbol, place(), quote);
        }
    }

    #[cold]
    fn save_for_all(&self, symbol: &Symbol, place: u64, quote: Option<&Quote>) {
        for saved in self.all.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let mut saved = lock(saved);
            if saved.from.is_some_and(|from| from <= place) {
                let here = saved.quotes.entry(place).or_default();
                if here.iter().all(|(other, _)| other != symbol) {
                    here.push((*symbol, quote.copied()));
                }
            }
        }
    }
}

impl Snapshot {
    pub(crate) fn begin(market: Arc<Market>) -> Option<Snapshot> {
        let saved = Arc::new(Mutex::new(Saved { from: Some(0), ..Saved::default() }));
        let mut all = market.snapshots.all.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= SNAPSHOTS_MAX {
            return None;
        }
        all.push(Arc::clone(&saved));
        market.snapshots.len.store(all.len(), SeqCst);
        drop(all);
        Some(Snapshot { market, saved, from: Some(0) })
    }

    /// The quotes of about so many rows more, in no useful order; `None` at the end.
    pub fn page(&mut self, rows: usize) -> Option<Vec<Quote>> {
        let from = self.from?;
        let catalog = &self.market.catalog;
        // The rows first, without the lock: a writer takes it while it holds a row.
        let page = catalog.page(from, rows);
        let mut saved = lock(&self.saved);
        saved.from = page.next;
        let later = match page.next {
            Some(next) => saved.quotes.split_off(&next),
            None => BTreeMap::new(),
        };
        let past = std::mem::replace(&mut saved.quotes, later);
        drop(saved);
        self.from = page.next;

        let past: HashMap<Symbol, Option<Quote>> = past.into_values().flatten().collect();
        let mut quotes = page.quotes;
        quotes.retain(|quote| !past.contains_key(&quote.symbol));
        quotes.extend(past.into_values().flatten());
        Some(quotes)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let snapshots = &self.market.snapshots;
        let mut all = snapshots.all.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|saved| !Arc::ptr_eq(saved, &self.saved));
        snapshots.len.store(all.len(), SeqCst);
    }
}

fn lock(saved: &Mutex<Saved>) -> MutexGuard<'_, Saved> {
    // Whoever panicked did so before or after an insertion: what is saved is good.
    saved.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::thread;

    use stockd_model::limits::SNAPSHOTS_MAX;
    use stockd_model::{Fields, Quote, Request, Symbol, Volume};

    use crate::Engine;

    fn symbol(number: u64) -> Symbol {
        format!("S{number}").parse().unwrap()
    }

    fn set(number: u64, volume: u64) -> Request {
        let price = Some("1".parse().unwrap());
        let volume = Some(Volume::new(volume));
        Request::Set(symbol(number), Fields { price, volume, status: None })
    }

    fn read(engine: &Engine) -> Vec<Quote> {
        let mut snapshot = engine.snapshot().unwrap();
        let mut quotes = Vec::new();
        while let Some(page) = snapshot.page(7) {
            quotes.extend(page);
        }
        assert!(snapshot.page(7).is_none(), "the end stays the end");
        quotes.sort_unstable_by_key(|quote| quote.symbol);
        quotes
    }

    #[test]
    fn what_changes_while_it_is_read_is_as_it_was() {
        let engine = Arc::new(Engine::default());
        let mut executor = engine.executor();
        let mut write = |request: &Request| _ = executor.batch().execute(request);
        (0..100).for_each(|number| write(&set(number, 1)));
        let before = read(&engine);
        assert_eq!(before.len(), 100);

        let mut snapshot = engine.snapshot().unwrap();
        let mut quotes = snapshot.page(10).unwrap();
        // Update all, delist some, list others, and grow.
        (0..100).for_each(|number| write(&set(number, 2)));
        (0..50).for_each(|number| write(&Request::Delist(symbol(number))));
        (100..5000).for_each(|number| write(&set(number, 3)));
        while let Some(page) = snapshot.page(10) {
            quotes.extend(page);
        }
        quotes.sort_unstable_by_key(|quote| quote.symbol);
        assert_eq!(quotes, before);
        drop(snapshot);
        assert_eq!(read(&engine).len(), 4950);
    }

    /// Two stocks a pair, the first of which is always written first: one moment never shows the
    /// second ahead of the first, nor more than one step behind.
    #[test]
    fn a_snapshot_never_has_an_effect_without_its_cause() {
        const PAIRS: u64 = 200;
        let engine = Arc::new(Engine::default());
        let mut executor = engine.executor();
        (0..2 * PAIRS).for_each(|number| _ = executor.batch().execute(&set(number, 0)));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for half in 0..2 {
                let (engine, done) = (&engine, &done);
                scope.spawn(move || {
                    let mut executor = engine.executor();
                    for step in 1.. {
                        for pair in (half..PAIRS).step_by(2) {
                            executor.batch().execute(&set(pair, step));
                            executor.batch().execute(&set(PAIRS + pair, step));
                        }
                        if done.load(Relaxed) {
                            break;
                        }
                    }
                });
            }
            for _ in 0..50 {
                let quotes = read(&engine);
                assert_eq!(quotes.len() as u64, 2 * PAIRS);
                let volume = |number| {
                    let at = quotes.binary_search_by_key(&symbol(number), |quote| quote.symbol);
                    quotes[at.unwrap()].volume.shares()
                };
                for pair in 0..PAIRS {
                    let (first, second) = (volume(pair), volume(PAIRS + pair));
                    assert!(first == second || first == second + 1, "{first} {second}");
                }
                // Of one writer's pairs, none that comes later is ahead of one that comes before.
                for pair in 2..PAIRS {
                    assert!(volume(PAIRS + pair - 2) >= volume(pair), "pair {pair}");
                }
            }
            done.store(true, Relaxed);
        });
    }

    #[test]
    fn there_are_only_so_many_at_once() {
        let engine = Engine::default();
        let all: Vec<_> = (0..SNAPSHOTS_MAX).map(|_| engine.snapshot().unwrap()).collect();
        assert!(engine.snapshot().is_none());
        drop(all);
        assert!(engine.snapshot().is_some());
    }
}
