//! The catalog against a naive model: any sequence of changes, a map does the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use stockd_catalog::{Catalog, CatalogFull, Change, Options};
use stockd_model::{Price, Quote, Status, Symbol, Volume};

#[derive(Clone, Debug)]
enum Step {
    Put { stock: u16, quote: Quote },
    Delist { stock: u16 },
    Keep { stock: u16 },
    Edit { stock: u16, quote: Quote, refused: bool },
    Get { stock: u16 },
    Round { rows: usize },
}

fn step(stocks: u16) -> impl Strategy<Value = Step> {
    let stock = 0..stocks;
    prop_oneof![
        6 => (stock.clone(), quote()).prop_map(|(stock, quote)| Step::Put { stock, quote }),
        3 => stock.clone().prop_map(|stock| Step::Delist { stock }),
        1 => stock.clone().prop_map(|stock| Step::Keep { stock }),
        3 => (stock.clone(), quote(), any::<bool>())
            .prop_map(|(stock, quote, refused)| Step::Edit { stock, quote, refused }),
        3 => stock.prop_map(|stock| Step::Get { stock }),
        1 => (1..40_usize).prop_map(|root| Step::Round { rows: root * root }),
    ]
}

/// Any values, of some stock. A field is there or not by the bits of `which`, and a side row is in use
/// or not.
fn quote() -> impl Strategy<Value = Quote> {
    (any::<u64>(), any::<u64>(), any::<u16>()).prop_map(|(digits, shares, which)| {
        let has = |bit: u16| which >> bit & 1 == 1;
        let places = (which >> 8) as u8 % 19;
        let price = |digits: u64| Price::new(digits.cast_signed().max(-i64::MAX), places);
        let size = |digits: u64| Volume::with_places(digits, places);
        Quote {
            price: price(digits).filter(|_| has(0)),
            volume: size(shares).filter(|_| has(1)),
            bid: price(digits ^ 1).filter(|_| has(2) && has(7)),
            ask: price(!digits).filter(|_| has(3) && has(7)),
            bid_size: size(!shares).filter(|_| has(4) && has(7)),
            ask_size: size(shares ^ 2).filter(|_| has(5) && has(7)),
            status: if has(6) { Status::Halted } else { Status::Trading },
            time_ns: Some(digits ^ shares).filter(|_| has(7) && has(8)),
            ..Quote::new(symbol(0))
        }
    })
}

fn symbol(stock: u16) -> Symbol {
    // Lengths from 1 to 48, so that all words of a symbol differ somewhere, and the last one too.
    let text = format!("{stock:x}{}{stock:x}", "+".repeat(usize::from(stock) % 43));
    text.parse().unwrap()
}

/// A map of quotes that also remembers the last version of delisted stocks.
#[derive(Default)]
struct Model {
    listed: BTreeMap<Symbol, Quote>,
    last_version: BTreeMap<Symbol, u64>,
}

impl Model {
    /// Takes over what the catalog says it did, after checking that it may.
    fn put(&mut self, quote: Quote) {
        let last = self.last_version.insert(quote.symbol, quote.version).unwrap_or(0);
        match self.listed.insert(quote.symbol, quote) {
            Some(before) => assert_eq!(quote.version, before.version + 1),
            None => assert!(quote.version > last, "{quote:?} after version {last}"),
        }
    }

    fn delist(&mut self, symbol: Symbol) {
        self.listed.remove(&symbol);
    }
}

fn check(steps: &[Step], stocks_max: usize) {
    let catalog = Catalog::with_options(Options { capacity: 2, stocks_max, ..Options::default() });
    let mut model = Model::default();
    for (now_ns, step) in (0_u64..).zip(steps) {
        match *step {
            Step::Put { stock, quote } => {
                let symbol = symbol(stock);
                let before = model.listed.get(&symbol).copied();
                let changed = catalog.change::<CatalogFull>(&symbol, now_ns, |seen| {
                    assert_eq!(seen, before.as_ref());
                    Ok(Change::Put(quote))
                });
                if before.is_none() && model.listed.len() == stocks_max {
                    assert_eq!(changed, Err(CatalogFull::AtLimit { stocks_max }));
                } else {
                    let changed = changed.unwrap();
                    assert_eq!(changed.before, before);
                    let after = changed.after.unwrap();
                    let version = after.version;
                    let expected = Quote { symbol, version, updated_ns: now_ns, ..quote };
                    assert_eq!(after, expected);
                    model.put(after);
                }
            }
            Step::Delist { stock } => {
                let symbol = symbol(stock);
                let changed =
                    catalog.change::<CatalogFull>(&symbol, now_ns, |_| Ok(Change::Delist)).unwrap();
                assert_eq!(changed.before, model.listed.get(&symbol).copied());
                assert_eq!(changed.after, None);
                model.delist(symbol);
            }
            Step::Keep { stock } => {
                let symbol = symbol(stock);
                let now = model.listed.get(&symbol).copied();
                let changed =
                    catalog.change::<CatalogFull>(&symbol, now_ns, |_| Ok(Change::Keep)).unwrap();
                assert_eq!((changed.before, changed.after), (now, now));
            }
            Step::Edit { stock, quote, refused } => {
                let symbol = symbol(stock);
                let before = model.listed.get(&symbol).copied();
                let edited = catalog.view().edit(&symbol, now_ns, |seen, now| {
                    assert_eq!(Some(*seen), before);
                    let Quote { version, updated_ns, .. } = *now;
                    assert_eq!(*now, Quote { version, updated_ns, ..*seen });
                    *now = Quote { symbol, version, updated_ns, ..quote };
                    if refused { Err("refused") } else { Ok(()) }
                });
                match (before, refused) {
                    (None, _) => assert_eq!(edited, Ok(None)),
                    (Some(_), true) => assert_eq!(edited, Err("refused")),
                    (Some(Quote { version, .. }), false) => {
                        let version = version + 1;
                        let after = Quote { symbol, version, updated_ns: now_ns, ..quote };
                        assert_eq!(edited, Ok(Some(after)));
                        model.put(after);
                    }
                }
            }
            Step::Get { stock } => {
                let symbol = symbol(stock);
                let quote = model.listed.get(&symbol).copied();
                assert_eq!(catalog.get(&symbol), quote);
                // One that stands in the row alone may be found there, and is the same.
                let bare = catalog.view().find_bare(&symbol).map(|bare| bare.quote(&symbol));
                assert!(bare.is_none() || bare == quote, "{bare:?}, not {quote:?}");
            }
            Step::Round { rows } => {
                let mut seen = BTreeMap::new();
                let mut from = Some(0);
                while let Some(place) = from {
                    let page = catalog.page(place, rows);
                    for quote in page.quotes {
                        assert_eq!(seen.insert(quote.symbol, quote), None, "seen twice");
                    }
                    from = page.next;
                }
                assert_eq!(seen, model.listed);
            }
        }
        assert_eq!(catalog.len(), model.listed.len());
    }
    let all = catalog.page(0, usize::MAX).quotes;
    let all: BTreeMap<_, _> = all.into_iter().map(|quote| (quote.symbol, quote)).collect();
    assert_eq!(all, model.listed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn few_stocks_change_often(steps in proptest::collection::vec(step(8), 0..400)) {
        check(&steps, 16_777_216);
    }

    #[test]
    fn many_stocks_make_the_table_grow(steps in proptest::collection::vec(step(2000), 0..3000)) {
        check(&steps, 16_777_216);
    }

    #[test]
    fn a_full_catalog_refuses_that_listing_alone(
        steps in proptest::collection::vec(step(60), 0..600), stocks_max in 1..50_usize,
    ) {
        check(&steps, stocks_max);
    }
}

/// Listing and delisting ever new stocks must not use up memory: rows of delisted stocks are left
/// behind when a new table is made.
#[test]
fn stocks_that_come_and_go_do_not_make_the_table_grow() {
    let catalog = Catalog::with_capacity(100);
    let bytes = catalog.memory_bytes();
    let mut version_highest = 0;
    for stock in 0..50_000 {
        let symbol: Symbol = format!("S{stock}").parse().unwrap();
        let put = Change::Put(Quote::new(symbol));
        let listed = catalog.change::<CatalogFull>(&symbol, 0, |_| Ok(put)).unwrap().after.unwrap();
        version_highest = version_highest.max(listed.version);
        catalog.change::<CatalogFull>(&symbol, 0, |_| Ok(Change::Delist)).unwrap();
    }
    assert!(catalog.is_empty());
    // One block, or two of them while the next one is filled.
    assert!(
        catalog.memory_bytes() <= 2 * bytes,
        "{} bytes, at first {bytes}",
        catalog.memory_bytes()
    );

    // A stock from the first days is listed again, long after its row is gone.
    let symbol: Symbol = "S0".parse().unwrap();
    let put = Change::Put(Quote::new(symbol));
    let again = catalog.change::<CatalogFull>(&symbol, 0, |_| Ok(put)).unwrap().after.unwrap();
    assert!(again.version > 1, "{again:?}");
}
