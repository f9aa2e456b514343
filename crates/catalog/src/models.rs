//! The protocols of rows and of growth, under every interleaving of a few threads and every value
//! that the memory model lets a load return. Run with:
//!
//! ```console
//! $ RUSTFLAGS="--cfg loom" cargo test -p stockd-catalog --profile models --lib models
//! ```

use loom::sync::Notify;
use loom::thread;
use std::sync::Arc;

use stockd_model::{Price, Quote, Symbol, Volume};

use crate::{Catalog, CatalogFull, Change, Options};

/// Runs a model with up to three preemptions, which find nearly all there is to find in protocols
/// of this size.
fn check(model: impl Fn() + Sync + Send + 'static) {
    check_with(3, model);
}

/// The same with fewer preemptions, for models of many steps: seconds and not minutes.
fn check_with(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// A catalog of four rows.
fn empty() -> Arc<Catalog> {
    Arc::new(Catalog::with_options(Options { capacity: 2, stocks_max: 16, ..Options::default() }))
}

/// A catalog of four rows that holds two stocks: the next listing makes it grow.
fn nearly_full() -> Arc<Catalog> {
    let catalog = empty();
    set(&catalog, "A", 1);
    set(&catalog, "B", 1);
    catalog
}

/// Runs both at once on the catalog, to the end. Both on threads of their own: loom tries far
/// fewer interleavings with what the first thread of a model does itself.
fn race(
    catalog: &Arc<Catalog>,
    one: impl FnOnce(&Catalog) + 'static,
    other: impl FnOnce(&Catalog) + 'static,
) {
    let start = |act: Box<dyn FnOnce(&Catalog)>| {
        let catalog = Arc::clone(catalog);
        thread::spawn(move || act(&catalog))
    };
    let (one, other) = (start(Box::new(one)), start(Box::new(other)));
    one.join().unwrap();
    other.join().unwrap();
}

fn symbol(name: &str) -> Symbol {
    name.parse().unwrap()
}

/// Sets price and volume of a stock to the same digits, and the places of the price to their number,
/// so that a torn quote shows.
fn set(catalog: &Catalog, name: &str, number: i64) -> Quote {
    put(catalog, plain(name, number))
}

fn put(catalog: &Catalog, quote: Quote) -> Quote {
    let put = Change::Put(quote);
    catalog.change::<CatalogFull>(&quote.symbol, 0, |_| Ok(put)).unwrap().after.unwrap()
}

fn plain(name: &str, number: i64) -> Quote {
    Quote {
        price: Price::new(number, number as u8),
        volume: Some(Volume::new(number.unsigned_abs())),
        ..Quote::new(symbol(name))
    }
}

/// As [`plain`], with the number in the side row too, beginning and end of it.
fn whole(name: &str, number: i64) -> Quote {
    let time_ns = Some(number.unsigned_abs());
    Quote { bid: Price::new(number, number as u8), time_ns, ..plain(name, number) }
}

/// A symbol that does not fit a row.
const LONG: &str = "a symbol that is longer than thirty bytes";

/// Adds one to the volume of a stock that must be listed.
fn add_one(catalog: &Catalog, name: &str) {
    let add = |quote: Option<&Quote>| {
        let quote = *quote.expect("listed");
        let volume = quote.volume.unwrap().after_trade(1.into());
        Ok::<_, CatalogFull>(Change::Put(Quote { volume, ..quote }))
    };
    catalog.change(&symbol(name), 0, add).unwrap();
}

fn delist(catalog: &Catalog, name: &str) {
    catalog.change::<CatalogFull>(&symbol(name), 0, |_| Ok(Change::Delist)).unwrap();
}

/// Makes a nearly full catalog grow, from the first row to the last.
fn list_two_more(catalog: &Catalog) {
    set(catalog, "C", 1);
    set(catalog, "D", 1);
}

/// Prepares the next block, if it has been asked for, and publishes it.
fn prepare(catalog: &Catalog) -> bool {
    let Some(growth) = catalog.next_growth() else { return false };
    while growth.fault_in(usize::MAX / 2) {}
    growth.publish();
    true
}

fn all(catalog: &Catalog) -> Vec<Quote> {
    catalog.page(0, usize::MAX).quotes
}

fn shares(quote: &Quote) -> u64 {
    quote.volume.and_then(Volume::whole).expect("a whole volume")
}

fn assert_whole(quote: &Quote) {
    for price in quote.price.into_iter().chain(quote.bid) {
        assert_eq!(price.coefficient().unsigned_abs(), shares(quote), "torn: {quote:?}");
        assert_eq!(u64::from(price.places()), shares(quote), "torn: {quote:?}");
    }
    assert_eq!(quote.time_ns, quote.bid.map(|_| shares(quote)), "torn: {quote:?}");
}

/// A side row that comes, changes or goes is read with its row. Each of its words may be an old one, so
/// there is much to explore without preemptions.
#[test]
fn a_reader_sees_both_rows_of_one_moment() {
    let changes: [(fn(&str, i64) -> Quote, fn(&str, i64) -> Quote); 3] =
        [(plain, whole), (whole, whole), (whole, plain)];
    for (before, after) in changes {
        check_with(1, move || {
            let catalog = empty();
            put(&catalog, before("A", 1));
            let write = move |catalog: &Catalog| {
                put(catalog, after("A", 2));
            };
            race(&catalog, write, move |catalog| {
                let quote = catalog.get(&symbol("A")).expect("listed");
                assert_whole(&quote);
                let expected = if quote.version == 1 { before } else { after };
                let bid = expected("A", quote.version as i64).bid;
                assert_eq!((shares(&quote), quote.bid), (quote.version, bid));
            });
        });
    }
}

/// The end of its symbol is there when the row is.
#[test]
fn a_stock_with_a_long_symbol_is_seen_whole_or_not_at_all() {
    check_with(2, || {
        let catalog = empty();
        let list = |catalog: &Catalog| {
            put(catalog, whole(LONG, 1));
        };
        race(&catalog, list, |catalog| {
            let seen = all(catalog);
            if let Some(quote) = catalog.get(&symbol(LONG)) {
                assert_whole(&quote);
                assert!(quote.bid.is_some());
            } else {
                assert!(seen.is_empty(), "gone again: {seen:?}");
            }
        });
    });
}

#[test]
fn side_rows_move_with_their_rows_while_the_table_grows() {
    check_with(2, || {
        let catalog = empty();
        put(&catalog, whole("A", 1));
        put(&catalog, whole(LONG, 1));
        race(&catalog, list_two_more, |catalog| {
            for name in ["A", LONG] {
                let quote = catalog.get(&symbol(name)).expect("listed throughout");
                assert_whole(&quote);
                assert!(quote.bid.is_some());
            }
        });
        assert!(["A", LONG].iter().all(|name| catalog.get(&symbol(name)).unwrap().bid.is_some()));
    });
}

#[test]
fn a_reader_sees_whole_quotes_and_never_goes_back() {
    check(|| {
        let catalog = empty();
        set(&catalog, "A", 1);
        let write = |catalog: &Catalog| {
            set(catalog, "A", 2);
        };
        let read = |catalog: &Catalog| {
            let mut version = 0;
            for _ in 0..2 {
                let quote = catalog.get(&symbol("A")).expect("listed");
                assert_whole(&quote);
                assert_eq!(shares(&quote), quote.version);
                assert!(quote.version >= version, "went back");
                version = quote.version;
            }
        };
        race(&catalog, write, read);
        assert_eq!(catalog.get(&symbol("A")).unwrap().version, 2);
    });
}

#[test]
fn a_reader_sees_a_stock_that_is_being_listed_whole_or_not_at_all() {
    check(|| {
        let catalog = empty();
        let list = |catalog: &Catalog| {
            set(catalog, "A", 1);
        };
        let read = |catalog: &Catalog| {
            if let Some(quote) = catalog.get(&symbol("A")) {
                assert_whole(&quote);
                assert!(catalog.get(&symbol("A")).is_some(), "gone again");
            }
        };
        race(&catalog, list, read);
    });
}

#[test]
fn of_two_racing_writers_both_count() {
    check(|| {
        let catalog = nearly_full();
        race(&catalog, |catalog| add_one(catalog, "A"), |catalog| add_one(catalog, "A"));
        let quote = catalog.get(&symbol("A")).unwrap();
        assert_eq!((shares(&quote), quote.version), (3, 3));
    });
}

#[test]
fn a_stock_listed_twice_at_once_is_listed_once() {
    check(|| {
        let catalog = empty();
        let list = |catalog: &Catalog| {
            set(catalog, "A", 7);
        };
        race(&catalog, list, list);
        assert_eq!(catalog.get(&symbol("A")).unwrap().version, 2, "one lists, the other updates");
        assert_eq!((catalog.len(), all(&catalog).len()), (1, 1));
    });
}

#[test]
fn growth_loses_no_write_that_races_with_it() {
    check(|| {
        let catalog = nearly_full();
        race(&catalog, list_two_more, |catalog| {
            add_one(catalog, "A");
            add_one(catalog, "B");
        });
        for (name, volume) in [("A", 2), ("B", 2), ("C", 1), ("D", 1)] {
            assert_eq!(shares(&catalog.get(&symbol(name)).unwrap()), volume, "{name}");
        }
        assert_eq!((catalog.len(), all(&catalog).len()), (4, 4));
    });
}

#[test]
fn a_reader_finds_every_stock_while_the_table_grows() {
    check(|| {
        let catalog = nearly_full();
        race(&catalog, list_two_more, |catalog| {
            for name in ["A", "B", "A"] {
                assert_whole(&catalog.get(&symbol(name)).expect("listed throughout"));
            }
        });
    });
}

#[test]
fn a_version_never_goes_back_while_the_table_grows() {
    check(|| {
        let catalog = nearly_full();
        let write = |catalog: &Catalog| {
            set(catalog, "A", 2);
            list_two_more(catalog);
        };
        race(&catalog, write, |catalog| {
            let first = catalog.get(&symbol("A")).expect("listed throughout");
            let second = catalog.get(&symbol("A")).expect("listed throughout");
            assert_whole(&second);
            assert!(second.version >= first.version, "went back");
        });
        assert_eq!(catalog.get(&symbol("A")).unwrap().version, 2);
    });
}

#[test]
fn a_stock_delisted_and_listed_again_while_the_table_grows_counts_on() {
    check_with(2, || {
        let catalog = nearly_full();
        race(&catalog, list_two_more, |catalog| {
            let last = set(catalog, "A", 2);
            delist(catalog, "A");
            assert_eq!(catalog.get(&symbol("A")), None);
            let again = set(catalog, "A", 9);
            assert!(again.version > last.version, "{again:?} after {last:?}");
            assert_eq!(catalog.get(&symbol("A")), Some(again));
        });
        assert_eq!((catalog.len(), all(&catalog).len()), (4, 4));
    });
}

#[test]
fn a_page_misses_no_stock_that_moves_while_it_is_read() {
    check_with(1, || {
        let catalog = nearly_full();
        race(&catalog, list_two_more, |catalog| {
            let seen =
                |name| all(catalog).iter().filter(|quote| quote.symbol == symbol(name)).count();
            assert_eq!((seen("A"), seen("B")), (1, 1));
        });
    });
}

/// The third stock asks for the next block; the fourth does not wait for it. The one that comes first
/// begins growth, once, and rows are touched while they are used.
#[test]
fn growth_into_a_block_that_is_being_prepared_loses_no_stock() {
    check(|| {
        let catalog = nearly_full();
        catalog.grow_ahead(|| {});
        race(&catalog, list_two_more, |catalog| {
            prepare(catalog);
            add_one(catalog, "A");
        });
        for (name, volume) in [("A", 2), ("B", 1), ("C", 1), ("D", 1)] {
            assert_eq!(
                catalog.get(&symbol(name)).unwrap().volume,
                Some(Volume::new(volume)),
                "{name}"
            );
        }
        assert_eq!((catalog.len(), all(&catalog).len()), (4, 4));
    });
}

/// A thread that sleeps while nothing is due is woken once there is: loom reports a deadlock if not.
#[test]
fn who_prepares_growth_is_woken_for_it() {
    check(|| {
        let catalog = nearly_full();
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        catalog.grow_ahead(move || ring.notify());
        let list = |catalog: &Catalog| {
            set(catalog, "C", 1);
        };
        race(&catalog, list, move |catalog| {
            while !prepare(catalog) {
                bell.wait();
            }
        });
        assert!(!prepare(&catalog), "given out once");
        assert_eq!(all(&catalog).len(), 3);
    });
}

#[test]
fn a_reader_finds_every_stock_while_a_prepared_block_is_published() {
    check_with(2, || {
        let catalog = nearly_full();
        catalog.grow_ahead(|| {});
        set(&catalog, "C", 1);
        let grow = |catalog: &Catalog| {
            prepare(catalog);
            set(catalog, "D", 1);
        };
        race(&catalog, grow, |catalog| {
            for name in ["C", "A"] {
                assert_whole(&catalog.get(&symbol(name)).expect("listed throughout"));
            }
        });
    });
}
