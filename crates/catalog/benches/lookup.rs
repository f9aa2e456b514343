//! One lookup in process, against the tables that one would otherwise reach for: 10 thousand and
//! 1 million stocks, alone and beside a writer that updates as fast as it can.
//!
//! ```console
//! $ cargo bench -p stockd-catalog --bench lookup
//! ```
//!
//! A sample is a turn of 16 lookups, as a worker does them for one connection: divide its time by
//! 16. Where a table has something to hold on to for several lookups, a view or a pin, it holds it
//! for the turn. The symbols are asked for in random order, not the one in which they were listed,
//! so that a table larger than the caches pays for its misses. Every table holds the same quotes and
//! gives back whole ones.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use foldhash::fast::RandomState;
use stockd_catalog::{Catalog, CatalogFull, Change};
use stockd_model::{Price, Quote, Symbol, Volume};

/// Lookups in one turn.
const TURN: usize = 16;

/// What the benchmark asks of a table.
trait Table: Sync {
    fn put(&self, quote: Quote);
    fn turn(&self, symbols: &[Symbol; TURN], found: fn(Option<Quote>));
}

impl Table for Catalog {
    fn put(&self, quote: Quote) {
        let put = Change::Put(quote);
        self.change::<CatalogFull>(&quote.symbol, quote.updated_ns, |_| Ok(put)).expect("room");
    }

    fn turn(&self, symbols: &[Symbol; TURN], found: fn(Option<Quote>)) {
        let view = self.view();
        symbols.iter().for_each(|symbol| found(view.get(symbol)));
    }
}

impl Table for RwLock<HashMap<Symbol, Quote, RandomState>> {
    fn put(&self, quote: Quote) {
        self.write().expect("unpoisoned").insert(quote.symbol, quote);
    }

    fn turn(&self, symbols: &[Symbol; TURN], found: fn(Option<Quote>)) {
        // A lock for each: held for a whole turn it would keep the writer out for that long.
        symbols.iter().for_each(|it| found(self.read().expect("unpoisoned").get(it).copied()));
    }
}

impl Table for dashmap::DashMap<Symbol, Quote, RandomState> {
    fn put(&self, quote: Quote) {
        self.insert(quote.symbol, quote);
    }

    fn turn(&self, symbols: &[Symbol; TURN], found: fn(Option<Quote>)) {
        symbols.iter().for_each(|symbol| found(self.get(symbol).map(|entry| *entry)));
    }
}

impl Table for papaya::HashMap<Symbol, Quote, RandomState> {
    fn put(&self, quote: Quote) {
        self.pin().insert(quote.symbol, quote);
    }

    fn turn(&self, symbols: &[Symbol; TURN], found: fn(Option<Quote>)) {
        let pinned = self.pin();
        symbols.iter().for_each(|symbol| found(pinned.get(symbol).copied()));
    }
}

fn quote(stock: u64) -> Quote {
    Quote {
        price: Price::new(1 + stock.cast_signed(), 2),
        volume: Some(Volume::new(stock)),
        version: 1,
        updated_ns: stock,
        ..Quote::new(format!("S{stock}").parse().expect("a symbol"))
    }
}

/// The numbers below `stocks` in an order that looks random and is the same in every run.
fn shuffled(stocks: u64) -> Vec<u64> {
    let hasher = foldhash::fast::FixedState::with_seed(7);
    let mut order: Vec<u64> = (0..stocks).collect();
    order.sort_unstable_by_key(|stock| hasher.hash_one(stock));
    order
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, table: &dyn Table, stocks: u64) {
    (0..stocks).map(quote).for_each(|quote| table.put(quote));
    let quotes: Vec<Quote> = shuffled(stocks).into_iter().map(quote).collect();
    let symbols: Vec<Symbol> = quotes.iter().map(|quote| quote.symbol).collect();
    let (turns, _) = symbols.as_chunks::<TURN>();
    let mut next = turns.iter().cycle();
    let mut lookup = || {
        table.turn(next.next().expect("endless"), |quote| {
            black_box(quote);
        });
    };

    group.bench_function(format!("{name}/writer idle"), |bencher| bencher.iter(&mut lookup));

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for quote in quotes.iter().rev().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                table.put(*quote);
            }
        });
        group.bench_function(format!("{name}/writer busy"), |bencher| bencher.iter(&mut lookup));
        done.store(true, Ordering::Relaxed);
    });
}

fn lookup(criterion: &mut Criterion) {
    for stocks in [10_000, 1_000_000] {
        let mut group = criterion.benchmark_group(format!("{stocks} stocks"));
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        measure(&mut group, "catalog", &Catalog::new(), stocks);
        let map = RwLock::new(HashMap::with_hasher(RandomState::default()));
        measure(&mut group, "HashMap in RwLock", &map, stocks);
        let map = dashmap::DashMap::with_hasher(RandomState::default());
        measure(&mut group, "dashmap", &map, stocks);
        let map = papaya::HashMap::with_hasher(RandomState::default());
        measure(&mut group, "papaya", &map, stocks);
        group.finish();
    }
}

criterion_group!(benches, lookup);
criterion_main!(benches);
