//! Lists stocks at full speed through the engine, in batches of 2,000, while another thread looks one
//! up every 100 µs; prints what the worst of both waited, for each doubling of the catalog.
//!
//! ```console
//! $ cargo run --release -p stockd-engine --example growth -- 8
//! $ cargo run --release -p stockd-engine --example growth -- 8 --without-thread
//! ```
//!
//! The number is how many million stocks are listed. Without the thread, a writer that lists waits for the
//! memory of the next block.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use stockd_engine::{Access, Catalog, Engine};
use stockd_model::{Edit, Fields, Reply, Request, Symbol, Volume};

/// Stocks that one batch lists.
const BATCH: u64 = 2_000;

/// From one polite lookup to the next.
const LOOKUP_EVERY: Duration = Duration::from_micros(100);

/// Stands for the end in the number of stocks listed.
const END: u64 = u64::MAX;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (millions, with_thread) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        [millions] => (millions.parse::<u64>(), true),
        [millions, "--without-thread"] => (millions.parse::<u64>(), false),
        _ => usage(),
    };
    let Ok(millions @ 1..=16) = millions else { usage() };
    let make = if with_thread { Engine::new } else { Engine::without_threads };
    run(&Arc::new(make(Catalog::new())), millions * 1_000_000);
}

fn usage() -> ! {
    eprintln!("usage: growth MILLIONS [--without-thread], 1 to 16 million stocks");
    process::exit(2);
}

fn run(engine: &Arc<Engine>, stocks: u64) {
    let listed = AtomicU64::new(0);
    let (mut batches, lookups) = thread::scope(|scope| {
        let polite = scope.spawn(|| look_up(engine, &listed));
        let batches = list(engine, stocks, &listed);
        listed.store(END, Relaxed);
        (batches, polite.join().expect("a lookup found its stock"))
    });
    println!(
        "stocks                  batches of {BATCH}: worst     p99.9   lookups: worst     p99.9"
    );
    let mut lookups = lookups;
    let (mut from, mut to) = (0, 1_000_000);
    while from < stocks {
        print_row(from, to.min(stocks), &mut batches, &mut lookups);
        (from, to) = (to, to * 2);
    }
    print_row(0, stocks, &mut batches, &mut lookups);
    println!("{:.1} s in all", batches.iter().map(|(_, took)| took.as_secs_f64()).sum::<f64>());
}

/// How many stocks were listed when something began, and how long it took.
type Timed = (u64, Duration);

fn list(engine: &Arc<Engine>, stocks: u64, listed: &AtomicU64) -> Vec<Timed> {
    let mut executor = engine.executor();
    let mut batches = Vec::new();
    let price = Some("172.5".parse().expect("a price"));
    for first in (0..stocks).step_by(BATCH as usize) {
        let requests: Vec<Request> = (first..stocks.min(first + BATCH))
            .map(|number| {
                let fields = Fields {
                    price: price.into(),
                    volume: Edit::Set(Volume::new(1)),
                    ..Fields::default()
                };
                Request::Set(symbol(number), fields)
            })
            .collect();
        let begun = Instant::now();
        let mut batch = executor.batch(&Access::All);
        for request in &requests {
            assert!(matches!(batch.execute(request), Reply::Listed(_)));
        }
        drop(batch);
        batches.push((first, begun.elapsed()));
        listed.store(first + requests.len() as u64, Relaxed);
    }
    batches
}

/// Times lookups of stocks all over the catalog.
fn look_up(engine: &Arc<Engine>, listed: &AtomicU64) -> Vec<Timed> {
    let mut executor = engine.executor();
    let mut lookups = Vec::new();
    for step in 0_u64.. {
        let stocks = listed.load(Relaxed);
        if stocks == END {
            break;
        }
        if stocks > 0 {
            let symbol = symbol(step.wrapping_mul(0x9e37_79b9_7f4a_7c15) % stocks);
            let begun = Instant::now();
            let reply = executor.batch(&Access::All).execute(&Request::Lookup(Ok(symbol)));
            lookups.push((stocks, begun.elapsed()));
            assert!(matches!(black_box(reply), Reply::Found(_)));
        }
        thread::sleep(LOOKUP_EVERY);
    }
    lookups
}

fn symbol(number: u64) -> Symbol {
    format!("S{number}").parse().expect("a symbol")
}

fn print_row(from: u64, to: u64, batches: &mut [Timed], lookups: &mut [Timed]) {
    let [worst, rare] = slowest(from, to, batches);
    let [worst_lookup, rare_lookup] = slowest(from, to, lookups);
    println!(
        "{from:>10} to {to:>10} {worst:>20.3} ms {rare:>7.3} ms {worst_lookup:>13.3} ms {rare_lookup:>7.3} ms"
    );
}

/// The worst, and the one that 0.1 % are worse than, of those begun at these sizes, in milliseconds.
fn slowest(from: u64, to: u64, timed: &[Timed]) -> [f64; 2] {
    let within = timed.iter().filter(|(stocks, _)| (from..to).contains(stocks));
    let mut took: Vec<Duration> = within.map(|&(_, took)| took).collect();
    took.sort_unstable();
    let behind = |share: usize| took.len().checked_sub(1 + took.len() / share).map(|at| took[at]);
    [behind(usize::MAX), behind(1000)].map(|took| took.unwrap_or_default().as_secs_f64() * 1e3)
}
