//! The whole catalog as it was at one moment, read while it changes.
//!
//! Nothing is stopped and nothing is copied in advance. The snapshot reads the rows in the order of
//! their [places](stockd_catalog::Catalog::place). For a stock that has changed since, it takes the
//! quote that the write [saved](crate::saved) instead of the one in the row. A snapshot for which too
//! much is saved, or that is not read while others wait, is ended.
//!
//! Invariant: what a snapshot gives is one moment. Every write that had returned before it began is
//! in it; a write that saw the snapshot is not; one that did not see it may be. Whatever follows
//! from a write that saw it sees it too, since all look at the same counter, so no effect is in it
//! without its cause. A transaction is in it as a whole or not at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use stockd_access::Access;
use stockd_model::{Quote, Symbol};

use crate::access;
use crate::market::Market;
use crate::saved::{Saved, SavedQuotes, SnapshotEnded};

/// The catalog at one moment, from [`Engine::snapshot`](crate::Engine::snapshot). Read once, from
/// one end to the other.
#[derive(Debug)]
pub struct Snapshot {
    market: Arc<Market>,
    access: Access,
    /// Which also knows how far it has been read.
    saved: Arc<Mutex<Saved>>,
}

impl Snapshot {
    pub(crate) fn begin(market: &Arc<Market>, access: &Access, now: Instant) -> Option<Snapshot> {
        // So that all writes of a transaction see the snapshot, or none does.
        let _between = market.gate.between_transactions();
        let saved = market.saved.begin(market.catalog.memory_bytes(), now)?;
        Some(Snapshot { market: Arc::clone(market), access: access.for_snapshot(), saved })
    }

    /// The quotes in about this many further rows, in no useful order; `None` at the end. `now` is
    /// when they are asked for.
    ///
    /// # Errors
    ///
    /// [`SnapshotEnded`] when it has been ended, from then on.
    pub fn page(&mut self, rows: usize, now: Instant) -> Result<Option<Vec<Quote>>, SnapshotEnded> {
        let Some(from) = SavedQuotes::begin_page(&self.saved, now)? else { return Ok(None) };
        // The rows first, without the lock: a writer takes it while it holds a row.
        let Market { catalog, saved, .. } = &*self.market;
        let page = catalog.page(from, rows);
        let past = saved.end_page(&self.saved, page.next, |symbol| catalog.place(symbol))?;

        let past: HashMap<Symbol, Option<Quote>> = past.into_iter().collect();
        let mut quotes = page.quotes;
        quotes.retain(|quote| !past.contains_key(&quote.symbol));
        quotes.extend(past.into_values().flatten());
        access::retain(&self.access, &mut quotes);
        Ok(Some(quotes))
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
    use std::time::Instant;

    use stockd_model::limits::{SNAPSHOT_PAGE_TIMEOUT, SNAPSHOTS_MAX};
    use stockd_model::{Edit, Fields, Quote, Request, Symbol, Volume};

    use crate::{Access, Engine, Snapshot, SnapshotEnded};

    fn symbol(number: u64) -> Symbol {
        format!("S{number}").parse().unwrap()
    }

    fn set(number: u64, volume: u64) -> Request {
        let price = Some("1".parse().unwrap());
        let volume = Edit::Set(Volume::new(volume));
        Request::Set(symbol(number), Fields { price: price.into(), volume, ..Fields::default() })
    }

    fn begin(engine: &Engine) -> Snapshot {
        engine.snapshot(&Access::All, Instant::now()).unwrap()
    }

    fn next(snapshot: &mut Snapshot, rows: usize) -> Option<Vec<Quote>> {
        snapshot.page(rows, Instant::now()).unwrap()
    }

    fn read(engine: &Engine) -> Vec<Quote> {
        let mut snapshot = begin(engine);
        let mut quotes = Vec::new();
        while let Some(page) = next(&mut snapshot, 7) {
            quotes.extend(page);
        }
        assert!(next(&mut snapshot, 7).is_none(), "the end stays the end");
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

        let mut snapshot = begin(&engine);
        let mut quotes = next(&mut snapshot, 10).unwrap();
        // Update all, delist some, list others, and grow.
        (0..100).for_each(|number| write(&set(number, 2)));
        (0..50).for_each(|number| write(&Request::Delist(symbol(number))));
        (100..5000).for_each(|number| write(&set(number, 3)));
        while let Some(page) = next(&mut snapshot, 10) {
            quotes.extend(page);
        }
        quotes.sort_unstable_by_key(|quote| quote.symbol);
        assert_eq!(quotes, before);
        drop(snapshot);
        assert_eq!(read(&engine).len(), 4950);
    }

    /// Ends the other threads of a scope when the test is done, or has failed.
    struct Done<'a>(&'a AtomicBool);

    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
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
            let _done = Done(&done);
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
                    quotes[at.unwrap()].volume.unwrap().coefficient()
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
        });
    }

    /// What is not needed any more is not kept, and what was kept goes with its snapshot.
    #[test]
    fn names_that_come_and_go_save_nothing() {
        let engine = Arc::new(Engine::default());
        let mut executor = engine.executor();
        let mut write = |request: &Request| _ = executor.batch(&Access::All).execute(request);
        (0..100).for_each(|number| write(&set(number, 1)));
        assert_eq!(engine.snapshot_bytes(), 0);
        let mut snapshot = begin(&engine);
        let bytes = engine.snapshot_bytes();
        for number in 100..20_000 {
            write(&set(number, 1));
            write(&set(number, 2));
            write(&Request::Delist(symbol(number)));
        }
        assert_eq!(engine.snapshot_bytes(), bytes, "not there before, not there now");

        (0..100).for_each(|number| write(&Request::Delist(symbol(number))));
        (100..200).for_each(|number| write(&set(number, 1)));
        let more = engine.snapshot_bytes();
        assert!(more > bytes);
        (100..200).for_each(|number| write(&Request::Delist(symbol(number))));
        (0..100).for_each(|number| write(&set(number, 3)));
        assert!(engine.snapshot_bytes() <= more);
        let (mut quotes, mut bytes) = (Vec::new(), engine.snapshot_bytes());
        while let Some(page) = next(&mut snapshot, 64) {
            quotes.extend(page);
            assert!(engine.snapshot_bytes() <= bytes, "what was read is given back");
            bytes = engine.snapshot_bytes();
        }
        assert_eq!(bytes, 0);
        let mut numbers: Vec<_> =
            quotes.iter().map(|quote| quote.volume.unwrap().coefficient()).collect();
        numbers.dedup();
        assert_eq!((quotes.len(), numbers), (100, vec![1]));

        let unread = begin(&engine);
        (0..100).for_each(|number| write(&set(number, 4)));
        assert!(engine.snapshot_bytes() > 0);
        drop(unread);
        assert_eq!(engine.snapshot_bytes(), 0);
    }

    /// One thread lists and delists names, of which none was there when a snapshot began.
    #[test]
    fn a_page_shows_no_name_that_comes_and_goes_while_it_is_read() {
        let engine = Arc::new(Engine::default());
        let mut executor = engine.executor();
        (0..50).for_each(|number| _ = executor.batch(&Access::All).execute(&set(number, 0)));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let _done = Done(&done);
            scope.spawn(|| {
                let mut executor = engine.executor();
                for number in (50..100).cycle() {
                    executor.batch(&Access::All).execute(&set(number, 1));
                    executor.batch(&Access::All).execute(&Request::Delist(symbol(number)));
                    if done.load(Relaxed) {
                        break;
                    }
                }
            });
            for _ in 0..300 {
                let seen = read(&engine)
                    .iter()
                    .filter(|quote| quote.volume.unwrap().coefficient() == 1)
                    .count();
                // One may have been there: the one that was listed when the snapshot began.
                assert!(seen <= 1, "{seen}");
            }
        });
    }

    #[test]
    fn a_snapshot_beyond_the_limit_is_refused_until_one_is_not_read() {
        let engine = Engine::default();
        let began = Instant::now();
        let snapshot = |now| engine.snapshot(&Access::All, now);
        let mut all: Vec<_> = (0..SNAPSHOTS_MAX).map(|_| snapshot(began).unwrap()).collect();
        let almost = began + SNAPSHOT_PAGE_TIMEOUT - std::time::Duration::from_nanos(1);
        assert!(snapshot(almost).is_none());
        // All but the second are read by then.
        for at in [0, 2, 3] {
            all[at].page(1, almost).unwrap();
        }
        let later = began + SNAPSHOT_PAGE_TIMEOUT;
        let mut further = snapshot(later).unwrap();
        assert!(snapshot(later).is_none(), "the others are being read");
        for _ in 0..2 {
            assert_eq!(all[1].page(1, later), Err(SnapshotEnded::Unread));
        }
        for at in [0, 2, 3] {
            assert!(all[at].page(1, later).is_ok());
        }
        assert!(further.page(1, later).is_ok());
        all.remove(1);
        assert!(snapshot(later).is_none(), "its place was taken already");
        drop(all);
        assert!(snapshot(later).is_some());
        drop(further);
        assert_eq!(engine.snapshot_bytes(), 0);
    }
}
