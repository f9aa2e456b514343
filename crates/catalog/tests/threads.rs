//! Real threads on one catalog: readers, writers, listers and growth at once, for a bounded
//! number of operations.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use stockd_catalog::{Catalog, CatalogFull, Change};
use stockd_model::{Price, Quote, Status, Symbol, Volume};

fn symbol(stock: u64) -> Symbol {
    // Every other one goes on in the side row.
    let tail = if stock.is_multiple_of(2) { "" } else { ", with a name of more than thirty bytes" };
    format!("S{stock}{tail}").parse().unwrap()
}

/// A quote whose every field follows from one number, so that a torn one shows.
fn quote(stock: u64, number: u64) -> Quote {
    let price = Price::new(number.cast_signed() - 1000, (number % 19) as u8);
    let coefficient = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let volume = Volume::with_places(coefficient, (number % 17) as u8);
    Quote {
        price: price.filter(|_| !number.is_multiple_of(11)),
        volume: volume.filter(|_| !number.is_multiple_of(5)),
        bid: price.filter(|_| number.is_multiple_of(3)),
        ask_size: volume.filter(|_| number.is_multiple_of(3)),
        time_ns: (number.is_multiple_of(3) && number.is_multiple_of(2)).then_some(number),
        status: if number.is_multiple_of(2) { Status::Trading } else { Status::Halted },
        ..Quote::new(symbol(stock))
    }
}

fn set(catalog: &Catalog, stock: u64, number: u64) -> Quote {
    let changed = catalog
        .change::<CatalogFull>(&symbol(stock), number, |_| Ok(Change::Put(quote(stock, number))));
    changed.unwrap().after.unwrap()
}

fn assert_whole(seen: &Quote) {
    let number = seen.updated_ns;
    let Quote { symbol, version, updated_ns, .. } = *seen;
    assert_eq!(*seen, Quote { symbol, version, updated_ns, ..quote(0, number) }, "torn");
}

/// Ends the other threads of a scope when the test is done, or has failed.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_million_lookups_beside_a_writer_see_whole_quotes_that_never_go_back() {
    const STOCKS: u64 = 4;
    let catalog = Catalog::new();
    for stock in 0..STOCKS {
        set(&catalog, stock, 1);
    }
    let done = AtomicBool::new(false);
    let written = AtomicU64::new(1);
    thread::scope(|scope| {
        let _done = Done(&done);
        scope.spawn(|| {
            for number in 2.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                written.store(number, Ordering::Relaxed);
                set(&catalog, number % STOCKS, number);
            }
        });
        let mut versions = [0; STOCKS as usize];
        for lookup in 0..1_000_000_u64 {
            let stock = lookup % STOCKS;
            let quote = catalog.get(&symbol(stock)).expect("listed");
            assert_whole(&quote);
            let version = &mut versions[stock as usize];
            assert!(quote.version >= *version, "version {} after {version}", quote.version);
            *version = quote.version;
            assert!(quote.updated_ns <= written.load(Ordering::Relaxed), "never set");
        }
    });
}

#[test]
fn racing_trades_sum_up_exactly_while_the_table_grows() {
    const TRADERS: u64 = 4;
    const TRADES: u64 = 20_000;
    let catalog = Catalog::with_capacity(2);
    let symbol = symbol(0);
    let volume = Some(Volume::new(1_000_000));
    let first = Change::Put(Quote { volume, ..Quote::new(symbol) });
    catalog.change::<CatalogFull>(&symbol, 0, |_| Ok(first)).unwrap();
    let add = |delta: i64| {
        let decide = |quote: Option<&Quote>| {
            let quote = *quote.expect("listed");
            let volume = quote.volume.and_then(|volume| volume.after_trade(delta.into()));
            assert!(volume.is_some(), "in range");
            Ok::<_, CatalogFull>(Change::Put(Quote { volume, ..quote }))
        };
        catalog.change(&symbol, 0, decide).unwrap();
    };
    thread::scope(|scope| {
        for _ in 0..TRADERS {
            scope.spawn(|| (0..TRADES).for_each(|_| add(-1)));
        }
        scope.spawn(|| {
            for stock in 1..20_000 {
                set(&catalog, stock, 1);
            }
        });
    });
    let quote = catalog.get(&symbol).unwrap();
    assert_eq!(quote.volume, Some(Volume::new(1_000_000 - TRADERS * TRADES)));
    assert_eq!(quote.version, 1 + TRADERS * TRADES);
}

#[test]
fn growth_loses_no_stock_and_no_write() {
    const STOCKS: u64 = 60_000;
    const WRITERS: u64 = 3;
    let catalog = Catalog::with_capacity(2);
    let listed = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _done = Done(&done);
            for stock in 0..STOCKS {
                set(&catalog, stock, 1);
                listed.store(stock + 1, Ordering::Release);
            }
        });
        // Each writer owns every third stock: it knows what it wrote last.
        for writer in 0..WRITERS {
            let (catalog, listed, done) = (&catalog, &listed, &done);
            scope.spawn(move || {
                let mut number = 2;
                while !done.load(Ordering::Relaxed) {
                    let known = listed.load(Ordering::Acquire);
                    let stock = number * 7919 % known.max(1) / WRITERS * WRITERS + writer;
                    if stock < known {
                        let quote = set(catalog, stock, number);
                        assert_eq!(catalog.get(&symbol(stock)), Some(quote), "lost");
                    }
                    number += 1;
                }
            });
        }
        // A reader finds every stock that was listed before it asks, and whole rounds miss none.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let known = listed.load(Ordering::Acquire);
                for stock in (0..known).step_by(97) {
                    assert_whole(&catalog.get(&symbol(stock)).expect("listed before"));
                }
                let seen = round(&catalog);
                assert!(seen >= known, "a round saw {seen} of {known} stocks");
            }
        });
    });
    assert_eq!(catalog.len() as u64, STOCKS);
    assert_eq!(round(&catalog), STOCKS);
}

/// Reads the whole catalog, page by page. Returns how many stocks there were.
fn round(catalog: &Catalog) -> u64 {
    let (mut seen, mut from) = (0, Some(0));
    while let Some(place) = from {
        let page = catalog.page(place, 512);
        page.quotes.iter().for_each(assert_whole);
        seen += page.quotes.len() as u64;
        from = page.next;
    }
    seen
}

#[test]
fn a_reader_in_an_old_view_sees_what_was_listed_since() {
    let catalog = Catalog::with_capacity(2);
    let view = catalog.view();
    for stock in 0..5_000 {
        let quote = set(&catalog, stock, stock + 1);
        assert_eq!(view.get(&symbol(stock)), Some(quote));
    }
    assert_eq!(view.get(&symbol(5_000)), None);
}
