//! The whole catalog as it was at one moment, read while it changes.
//!
//! Nothing is stopped and nothing is copied in advance. The snapshot reads the rows in the order of
//! their [places](stockd_catalog::Catalog::place). For a stock that has changed since, it takes the
//! quote that the write [saved](crate::saved) instead of the one in the row.
//!
//! Invariant: what a snapshot gives is one moment. Every write that had returned before it began is
//! in it; a write that saw the snapshot is not; one that did not see it may be. Whatever follows
//! from a write that saw it sees it too, since all look at the same counter, so no effect is in it
//! without its cause. A transaction is in it as a whole or not at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use stockd_model::{Quote, Symbol};

use crate::access::Access;
use crate::market::Market;
use crate::saved::Saved;

/// The catalog at one moment, from [`Engine::snapshot`](crate::Engine::snapshot). Read once, from
/// one end to the other.
#[derive(Debug)]
pub struct Snapshot {
    market: Arc<Market>,
    access: Access,
    saved: Arc<Mutex<Saved>>,
    /// Where the next page begins; `None` after the last.
    from: Option<u64>,
}

impl Snapshot {
    pub(crate) fn begin(market: &Arc<Market>, access: &Access) -> Option<Snapshot> {
        // So that all writes of a transaction see the snapshot, or none does.
        let _between = market.gate.between_transactions();
        let saved = market.saved.begin()?;
        let (market, access) = (Arc::clone(market), access.clone());
        Some(Snapshot { market, access, saved, from: Some(0) })
    }

    /// The quotes in about this many further rows, in no useful order; `None` at the end.
    pub fn page(&mut self, rows: usize) -> Option<Vec<Quote>> {
        // The rows first, without the lock: a writer takes it while it holds a row.
        let page = self.market.catalog.page(self.from?, rows);
        let past = Saved::take_before(&self.saved, page.next);
        self.from = page.next;

        let past: HashMap<Symbol, Option<Quote>> = past.into_values().flatten().collect();
        let mut quotes = page.quotes;
        quotes.retain(|quote| !past.contains_key(&quote.symbol));
        quotes.extend(past.into_values().flatten());
        self.access.retain(&mut quotes);
        Some(quotes)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.market.saved.end(&self.saved);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::thread;

    use stockd_model::limits::SNAPSHOTS_MAX;
    use stockd_model::{Fields, Quote, Request, Symbol, Volume};

    use crate::{Access, Engine};

    fn symbol(number: u64) -> Symbol {
        format!("S{number}").parse().unwrap()
    }

    fn set(number: u64, volume: u64) -> Request {
        let price = Some("1".parse().unwrap());
        let volume = Some(Volume::new(volume));
        Request::Set(symbol(number), Fields { price, volume, status: None })
    }

    fn read(engine: &Engine) -> Vec<Quote> {
        let mut snapshot = engine.snapshot(&Access::All).unwrap();
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
        let mut write = |request: &Request| _ = executor.batch(&Access::All).execute(request);
        (0..100).for_each(|number| write(&set(number, 1)));
        let before = read(&engine);
        assert_eq!(before.len(), 100);

        let mut snapshot = engine.snapshot(&Access::All).unwrap();
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
        (0..2 * PAIRS).for_each(|number| _ = executor.batch(&Access::All).execute(&set(number, 0)));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for half in 0..2 {
                let (engine, done) = (&engine, &done);
                scope.spawn(move || {
                    let mut executor = engine.executor();
                    for step in 1.. {
                        for pair in (half..PAIRS).step_by(2) {
                            executor.batch(&Access::All).execute(&set(pair, step));
                            executor.batch(&Access::All).execute(&set(PAIRS + pair, step));
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
    fn a_snapshot_beyond_the_limit_is_refused() {
        let engine = Engine::default();
        let all: Vec<_> =
            (0..SNAPSHOTS_MAX).map(|_| engine.snapshot(&Access::All).unwrap()).collect();
        assert!(engine.snapshot(&Access::All).is_none());
        drop(all);
        assert!(engine.snapshot(&Access::All).is_some());
    }
}
