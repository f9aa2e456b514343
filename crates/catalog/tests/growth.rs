//! Next blocks that somebody prepares: when they are asked for, and what becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use stockd_catalog::{Catalog, CatalogFull, Change};
use stockd_model::{Quote, Symbol, Volume};

/// Rows of the catalog at first: enough for its next block to be prepared.
const ROWS: usize = 32 * 1024;
const ROW_BYTES: usize = 64;
const BYTES: usize = ROWS * ROW_BYTES;
const HALF: usize = ROWS / 2;
const THREE_QUARTERS: usize = ROWS / 4 * 3;

fn list(catalog: &Catalog, stocks: std::ops::Range<usize>) {
    for stock in stocks {
        let volume = Some(Volume::new(stock as u64));
        let put = Change::Put(Quote { volume, ..Quote::new(symbol(stock)) });
        catalog.change::<CatalogFull>(&symbol(stock), 0, |_| Ok(put)).unwrap();
    }
}

fn symbol(stock: usize) -> Symbol {
    format!("S{stock}").parse().unwrap()
}

/// Every stock is found, with its volume.
fn check(catalog: &Catalog, stocks: usize) {
    assert_eq!(catalog.len(), stocks);
    for stock in 0..stocks {
        let quote: Quote = catalog.get(&symbol(stock)).expect("listed");
        assert_eq!(quote.volume, Some(Volume::new(stock as u64)));
    }
}

/// A catalog whose growth is prepared, and how often that was asked for.
fn growing_ahead() -> (Catalog, Arc<AtomicUsize>) {
    let catalog = Catalog::with_capacity(HALF);
    assert_eq!(catalog.memory_bytes(), BYTES);
    let wakes = Arc::<AtomicUsize>::default();
    let wake = Arc::clone(&wakes);
    catalog.grow_ahead(move || _ = wake.fetch_add(1, Relaxed));
    (catalog, wakes)
}

#[test]
fn growth_is_asked_for_once_at_half_load_and_begins_when_it_is_published() {
    let (catalog, wakes) = growing_ahead();
    list(&catalog, 0..HALF);
    assert_eq!(wakes.load(Relaxed), 0);
    assert!(catalog.next_growth().is_none());
    list(&catalog, HALF..HALF + 1);
    assert_eq!(wakes.load(Relaxed), 1);
    assert_eq!(catalog.memory_bytes(), BYTES, "not begun");

    let growth = catalog.next_growth().unwrap();
    assert!(catalog.next_growth().is_none(), "given out once");
    assert_eq!(catalog.memory_bytes(), 3 * BYTES, "what is prepared counts");
    let slice_bytes = 64 * 1024;
    let slices = 1 + (0..).take_while(|_| growth.fault_in(slice_bytes)).count();
    assert_eq!(slices, 2 * BYTES / slice_bytes);
    list(&catalog, HALF + 1..THREE_QUARTERS);
    growth.publish();

    // Each listing moves 32 rows.
    list(&catalog, THREE_QUARTERS..THREE_QUARTERS + ROWS / 32);
    assert_eq!(catalog.memory_bytes(), 2 * BYTES, "has grown");
    check(&catalog, THREE_QUARTERS + ROWS / 32);
    list(&catalog, THREE_QUARTERS + ROWS / 32..ROWS);
    assert_eq!(wakes.load(Relaxed), 1);
    list(&catalog, ROWS..ROWS + 1);
    assert_eq!(wakes.load(Relaxed), 2, "the next growth is due");
}

#[test]
fn who_lists_waits_for_no_preparation() {
    // No thread comes; one has begun and is late; one has begun and given up.
    for prepared in [None, Some(false), Some(true)] {
        let (catalog, wakes) = growing_ahead();
        list(&catalog, 0..HALF + 1);
        let mut growth = prepared.and_then(|_| catalog.next_growth());
        if prepared == Some(true) {
            growth = None;
        }
        list(&catalog, HALF + 1..THREE_QUARTERS);
        assert_eq!(catalog.memory_bytes(), 3 * BYTES, "those who list have prepared it");
        list(&catalog, THREE_QUARTERS..THREE_QUARTERS + 1);
        assert_eq!(catalog.memory_bytes(), 3 * BYTES, "begun, into the one block there is");

        // The late one goes on in a block that is in use, and publishes what is published.
        if let Some(growth) = growth {
            list(&catalog, THREE_QUARTERS + 1..THREE_QUARTERS + 100);
            while growth.fault_in(usize::MAX) {}
            growth.publish();
        }
        list(&catalog, catalog.len()..ROWS);
        check(&catalog, ROWS);
        assert_eq!(catalog.memory_bytes(), 2 * BYTES);
        assert!(catalog.next_growth().is_none());
        assert_eq!(wakes.load(Relaxed), 1);
    }
}

#[test]
fn what_is_reserved_fits_however_growth_goes() {
    let (catalog, _) = growing_ahead();
    list(&catalog, 0..HALF + 1);
    catalog.reserve(THREE_QUARTERS - HALF - 1).unwrap();
    assert_eq!(catalog.memory_bytes(), BYTES, "there is room");
    catalog.reserve(THREE_QUARTERS - HALF).unwrap();
    assert_eq!(catalog.memory_bytes(), 3 * BYTES, "growth has begun, and nobody waits for its end");
    list(&catalog, HALF + 1..2 * THREE_QUARTERS);
    catalog.reserve(3 * ROWS).unwrap();
    let bytes = catalog.memory_bytes();
    list(&catalog, 2 * THREE_QUARTERS..2 * THREE_QUARTERS + 3 * ROWS);
    assert!(catalog.memory_bytes() <= bytes, "nothing had to be made");
    check(&catalog, 2 * THREE_QUARTERS + 3 * ROWS);
}

#[test]
fn a_small_catalog_and_one_alone_ask_nobody() {
    let catalog = Catalog::new();
    let wakes = Arc::<AtomicUsize>::default();
    let wake = Arc::clone(&wakes);
    catalog.grow_ahead(move || _ = wake.fetch_add(1, Relaxed));
    list(&catalog, 0..8000);
    assert_eq!(wakes.load(Relaxed), 0);

    let alone = Catalog::with_capacity(HALF);
    list(&alone, 0..HALF);
    assert_eq!(alone.memory_bytes(), BYTES);
    list(&alone, HALF..HALF + 1);
    assert_eq!(alone.memory_bytes(), 3 * BYTES, "grows at half load");
}

/// Ends the other threads of a scope when the test is done, or has failed.
struct Done<'a>(&'a AtomicBool, thread::Thread);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
        self.1.unpark();
    }
}

/// Listings and preparation race through several growths, and a reader misses no stock.
#[test]
fn growth_that_is_prepared_beside_listings_loses_no_stock() {
    const STOCKS: usize = 4 * ROWS;
    let catalog = Catalog::with_capacity(HALF);
    let done = AtomicBool::new(false);
    let listed = AtomicUsize::new(0);
    thread::scope(|scope| {
        let prepare = || {
            while !done.load(Relaxed) {
                match catalog.next_growth() {
                    Some(growth) => {
                        while growth.fault_in(64 * 1024) {}
                        growth.publish();
                    }
                    None => thread::park(),
                }
            }
        };
        let preparing = scope.spawn(prepare);
        let waiting = preparing.thread().clone();
        let _done = Done(&done, waiting.clone());
        catalog.grow_ahead(move || waiting.unpark());
        scope.spawn(|| {
            while !done.load(Relaxed) {
                let known = listed.load(std::sync::atomic::Ordering::Acquire);
                for stock in (0..known).step_by(1009) {
                    assert!(catalog.get(&symbol(stock)).is_some(), "lost");
                }
            }
        });
        for stock in 0..STOCKS {
            list(&catalog, stock..stock + 1);
            listed.store(stock + 1, std::sync::atomic::Ordering::Release);
        }
    });
    check(&catalog, STOCKS);
}
