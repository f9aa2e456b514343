//! Transactions and writes in random order do what a naive map does, in memory and on a disk; and they
//! stay whole beside writers on other threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use stockd_engine::{Access, Catalog, Engine, Executor, Outcome, Sync, Transaction};
use stockd_model::{
    Condition, Conditional, Edit, Fields, Price, Quote, Refusal, Reply, Request, Shares, Status,
    Symbol, Volume, Watched,
};
use stockd_store::simulation::Disk;

fn symbol(number: u64) -> Symbol {
    format!("S{number}").parse().unwrap()
}

fn set(number: u64, volume: u64) -> Request {
    let fields = Fields {
        price: Edit::Set("1".parse().unwrap()),
        volume: Edit::Set(Volume::new(volume)),
        ..Fields::default()
    };
    Request::Set(symbol(number), fields)
}

/// An engine in memory, and one on a simulated disk for each order of commits.
fn engines() -> [Arc<Engine>; 3] {
    let durable = |sync| {
        let database = Disk::default().open().unwrap();
        Arc::new(Engine::durable(Catalog::new(), 0, Box::new(database), sync))
    };
    let interval = Sync::Interval(Duration::from_millis(1));
    [Arc::default(), durable(Sync::Always), durable(interval)]
}

/// What one step of a history does.
#[derive(Clone, Debug)]
enum Step {
    Write(Conditional),
    /// Remembers stocks as they are, for the next transaction.
    Watch(u64),
    Transact(Vec<Request>),
}

const STOCKS: u64 = 4;

fn request() -> impl Strategy<Value = Request> {
    let stock = || (0..STOCKS).prop_map(symbol);
    let fields = (
        prop::option::of(1_u64..9),
        prop::option::of(0_u64..9),
        prop::option::of(prop::sample::select(vec![Status::Trading, Status::Halted])),
        prop::option::of(prop::option::of(1_i64..9)),
        prop::option::of(0_u64..9),
    );
    let fields = || {
        fields.clone().prop_map(|(price, volume, status, bid, time_ns)| Fields {
            price: price.map_or(Edit::Keep, |price| price.to_string().parse().unwrap()),
            volume: volume.map_or(Edit::Keep, |volume| Edit::Set(Volume::new(volume))),
            bid: bid.map_or(Edit::Keep, |bid| bid.and_then(|bid| Price::new(bid, 1)).into()),
            status,
            time_ns: time_ns.map_or(Edit::Keep, Edit::Set),
            ..Fields::default()
        })
    };
    prop_oneof![
        2 => stock().prop_map(|symbol| Request::Lookup(Ok(symbol))),
        3 => (stock(), fields()).prop_map(|(symbol, fields)| Request::Set(symbol, fields)),
        1 => (stock(), fields()).prop_map(|(symbol, fields)| Request::Update(symbol, fields)),
        3 => (stock(), -9_i64..9).prop_map(|(symbol, shares)| Request::Trade(symbol, shares.into())),
        1 => stock().prop_map(Request::Delist),
        1 => stock().prop_map(|symbol| {
            let (volume, bid) = (Edit::Clear, Edit::Clear);
            Request::Clear(symbol, Fields { volume, bid, ..Fields::default() })
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let condition = prop_oneof![
        3 => Just(Condition::Always),
        1 => Just(Condition::Listed),
        1 => Just(Condition::Unlisted),
        2 => (1_u64..6).prop_map(Condition::Version),
    ];
    prop_oneof![
        3 => (condition, request())
            .prop_map(|(condition, request)| Step::Write(Conditional { condition, request })),
        1 => (0..STOCKS).prop_map(Step::Watch),
        3 => prop::collection::vec(request(), 0..6).prop_map(Step::Transact),
    ]
}

/// A map that does one thing after the other.
#[derive(Clone, Debug, Default)]
struct Naive {
    quotes: BTreeMap<Symbol, Quote>,
    /// The latest version of each stock, listed or not.
    versions: BTreeMap<Symbol, u64>,
}

impl Naive {
    fn holds(&self, (symbol, condition): &Watched) -> bool {
        let version = self.quotes.get(symbol).map(|quote| quote.version);
        match *condition {
            Condition::Always => true,
            Condition::Listed => version.is_some(),
            Condition::Unlisted => version.is_none(),
            Condition::Version(wanted) => version == Some(wanted),
        }
    }

    /// Takes a volume and a bid away. Where there is neither, nothing changes.
    fn clear(&mut self, symbol: Symbol, fields: &Fields, engine: &Reply) -> Reply {
        let Some(quote) = self.quotes.get_mut(&symbol) else { return Reply::NotFound };
        let had = u32::from(quote.volume.is_some()) + u32::from(quote.bid.is_some());
        if had > 0 {
            *quote = fields.outcome(quote);
            quote.version += 1;
            if let Reply::Cleared(told, _) = engine {
                quote.updated_ns = told.updated_ns;
            }
            self.versions.insert(symbol, quote.version);
        }
        Reply::Cleared(*quote, had)
    }

    /// Executes a request. The engine's reply says at which version a stock begins, which is for the
    /// engine to choose above all that it had, and what time it is.
    fn execute(&mut self, request: &Request, engine: &Reply) -> Reply {
        let (symbol, fields, must_be_listed) = match *request {
            Request::Lookup(symbol) => {
                let quote = self.quotes.get(&symbol.unwrap());
                return quote.map_or(Reply::NotFound, |quote| Reply::Found(*quote));
            }
            Request::Delist(symbol) => {
                let Some(quote) = self.quotes.remove(&symbol) else { return Reply::NotFound };
                self.versions.insert(symbol, quote.version + 1);
                return Reply::Delisted(quote);
            }
            Request::Trade(symbol, shares) => {
                let Some(quote) = self.quotes.get(&symbol) else {
                    return Reply::Refused(Refusal::NotListed(symbol));
                };
                if quote.status == Status::Halted {
                    return Reply::Refused(Refusal::Halted(symbol));
                }
                let Some(volume) = quote.volume else {
                    return Reply::Refused(Refusal::VolumeAbsent(symbol));
                };
                let Some(volume) = volume.after_trade(shares) else {
                    let (Shares::Add(take) | Shares::Take(take)) = shares;
                    return Reply::Refused(Refusal::VolumeTooLow { symbol, volume, take });
                };
                (symbol, Fields { volume: Edit::Set(volume), ..Fields::default() }, true)
            }
            Request::Clear(symbol, fields) => return self.clear(symbol, &fields, engine),
            Request::Set(symbol, fields) => (symbol, fields, false),
            Request::Update(symbol, fields) => (symbol, fields, true),
        };
        let before = self.quotes.get(&symbol).copied();
        if must_be_listed && before.is_none() {
            return Reply::Refused(Refusal::NotListed(symbol));
        }
        let Fields { price, volume, bid, status, time_ns, .. } = fields;
        if before.is_none() && !price.sets() && !bid.sets() && status.is_none() {
            return Reply::Refused(Refusal::PriceMissing(symbol));
        }
        let latest_ns = before.and_then(|quote| quote.time_ns);
        if let (Edit::Set(time_ns), Some(latest_ns)) = (time_ns, latest_ns)
            && time_ns < latest_ns
        {
            return Reply::Refused(Refusal::Late { symbol, time_ns, latest_ns });
        }
        let (Reply::Listed(told) | Reply::Updated(told)) = *engine else {
            panic!("{request:?} was answered {engine:?}");
        };
        let version = match before {
            Some(quote) => quote.version + 1,
            None => {
                assert!(told.version > self.versions.get(&symbol).copied().unwrap_or(0));
                told.version
            }
        };
        let status = status.or(before.map(|quote| quote.status));
        let quote = Quote {
            price: price.outcome(before.and_then(|quote| quote.price)),
            volume: volume.outcome(before.and_then(|quote| quote.volume)),
            bid: bid.outcome(before.and_then(|quote| quote.bid)),
            status: status.unwrap_or(Status::Trading),
            time_ns: time_ns.outcome(latest_ns),
            version,
            updated_ns: told.updated_ns,
            ..Quote::new(symbol)
        };
        self.quotes.insert(symbol, quote);
        self.versions.insert(symbol, version);
        if before.is_some() { Reply::Updated(quote) } else { Reply::Listed(quote) }
    }
}

/// Plays the same history to an engine and to the map.
fn play(engine: &Arc<Engine>, steps: &[Step]) {
    let mut naive = Naive::default();
    // Two threads' worth of executors, in turns.
    let mut executors = [engine.executor(), engine.executor()];
    let mut watched: Vec<Watched> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let executor: &mut Executor = &mut executors[number % 2];
        match step {
            Step::Watch(number) => {
                watched.push(engine.watch(&Access::All, &symbol(*number)).unwrap());
            }
            Step::Write(asked) => {
                let reply = executor.batch(&Access::All).execute_if(asked);
                let symbol = match asked.request {
                    Request::Lookup(symbol) => symbol.unwrap(),
                    Request::Set(symbol, _) | Request::Update(symbol, _) => symbol,
                    Request::Clear(symbol, _) => symbol,
                    Request::Trade(symbol, _) | Request::Delist(symbol) => symbol,
                };
                if naive.holds(&(symbol, asked.condition)) {
                    assert_eq!(reply, naive.execute(&asked.request, &reply), "step {number}");
                    continue;
                }
                let version = naive.quotes.get(&symbol).map(|quote| quote.version);
                let expected = match (asked.condition, version) {
                    (_, None) => Refusal::NotListed(symbol),
                    (Condition::Version(expected), Some(version)) => {
                        Refusal::VersionDiffers { symbol, version, expected }
                    }
                    (_, Some(version)) => Refusal::AlreadyListed { symbol, version },
                };
                assert_eq!(reply, Reply::Refused(expected), "step {number}");
            }
            Step::Transact(requests) => {
                let watched = std::mem::take(&mut watched);
                let unchanged = watched.iter().all(|watched| naive.holds(watched));
                let transaction = Transaction::new(watched, requests.clone());
                match executor.transact(&Access::All, transaction) {
                    Outcome::Executed { replies, stocks } => {
                        assert!(unchanged, "step {number}");
                        assert_eq!(stocks, naive.quotes.len());
                        let naive_replies: Vec<Reply> = requests
                            .iter()
                            .zip(&replies)
                            .map(|(request, reply)| naive.execute(request, reply))
                            .collect();
                        assert_eq!(replies, naive_replies, "step {number}");
                    }
                    Outcome::Conflict(_) => assert!(!unchanged, "step {number}"),
                    Outcome::Refused(why) => panic!("{why}"),
                }
            }
        }
        assert_eq!(engine.count(&Access::All), Some(naive.quotes.len()), "step {number}");
        for number in 0..STOCKS {
            let symbol = symbol(number);
            assert_eq!(engine.quote(&Access::All, &symbol), naive.quotes.get(&symbol).copied());
        }
    }
}

proptest! {
    #[test]
    fn a_history_of_writes_and_transactions_does_what_a_map_does(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        for engine in engines() {
            play(&engine, &steps);
        }
    }
}

fn total(quotes: &[Quote]) -> u64 {
    quotes.iter().map(|quote| quote.volume.unwrap().coefficient()).sum()
}

/// Everything as it is at one moment.
fn snapshot(engine: &Engine) -> Vec<Quote> {
    let mut snapshot = engine.snapshot(&Access::All, Instant::now()).unwrap();
    std::iter::from_fn(|| snapshot.page(7, Instant::now()).unwrap()).flatten().collect()
}

/// Says that all is done, also where that is a panic.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A stock that every thread trades, within transactions and without.
fn other() -> Symbol {
    symbol(99)
}

/// Moves shares by a transaction without conditions. There are always enough.
fn move_blindly(executor: &mut Executor, from: u64, to: u64, shares: i64) {
    let trades = [(symbol(from), -shares), (symbol(to), shares), (other(), 1)];
    let requests = trades.map(|(symbol, shares)| Request::Trade(symbol, shares.into())).to_vec();
    let transaction = Transaction::new(Vec::new(), requests);
    let Outcome::Executed { replies, .. } = executor.transact(&Access::All, transaction) else {
        panic!("not executed")
    };
    assert!(replies.iter().all(|reply| matches!(reply, Reply::Updated(_))), "{replies:?}");
}

/// Moves shares by writing both volumes, if neither stock has changed since it was read.
fn move_watching(engine: &Engine, executor: &mut Executor, from: u64, to: u64) -> bool {
    let watched = [from, to].map(|number| engine.watch(&Access::All, &symbol(number)).unwrap());
    let volume = |number| {
        let quote = engine.quote(&Access::All, &symbol(number)).unwrap();
        quote.volume.unwrap().coefficient()
    };
    let requests = vec![set(from, volume(from) - 1), set(to, volume(to) + 1)];
    let transaction = Transaction::new(watched.to_vec(), requests);
    matches!(executor.transact(&Access::All, transaction), Outcome::Executed { .. })
}

/// Threads move shares between stocks, in three ways, while others trade a stock of its own and read
/// snapshots: the sum is the same at every moment.
#[test]
fn what_is_moved_is_never_lost_nor_seen_on_its_way() {
    const SHARES: u64 = 1_000_000;
    const MOVERS: u64 = 4;
    for engine in engines() {
        let durable = engine.commit_report().is_some();
        let moves: u64 = if durable { 300 } else { 3000 };
        let mut executor = engine.executor();
        for number in 0..STOCKS {
            executor.batch(&Access::All).execute(&set(number, SHARES));
        }
        executor.batch(&Access::All).execute(&set(99, 0));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let movers: Vec<_> = (0..MOVERS)
                .map(|mover| {
                    let engine = &engine;
                    scope.spawn(move || {
                        let mut executor = engine.executor();
                        for step in 0..moves {
                            let from = (step * 7 + mover) % STOCKS;
                            let to = (from + 1 + step % (STOCKS - 1)) % STOCKS;
                            match step % 2 {
                                0 => move_blindly(&mut executor, from, to, 1 + mover as i64),
                                _ => _ = move_watching(engine, &mut executor, from, to),
                            }
                            // An ordinary write beside them, which must not be lost either.
                            let trade = Request::Trade(other(), 1.into());
                            let reply = executor.batch(&Access::All).execute(&trade);
                            assert!(matches!(reply, Reply::Updated(_)), "{reply:?}");
                        }
                    })
                })
                .collect();
            let reader = scope.spawn(|| {
                let mut read = 0;
                while !done.load(Relaxed) || read == 0 {
                    let quotes = snapshot(&engine);
                    let moved: Vec<Quote> =
                        quotes.into_iter().filter(|quote| quote.symbol != other()).collect();
                    assert_eq!(total(&moved), STOCKS * SHARES);
                    read += 1;
                }
            });
            let ended = Done(&done);
            // All of a transaction is seen by lookups in another one.
            let mut executor = engine.executor();
            while movers.iter().any(|mover| !mover.is_finished()) {
                let requests = (0..STOCKS).map(|number| Request::Lookup(Ok(symbol(number))));
                let transaction = Transaction::new(Vec::new(), requests.collect());
                let Outcome::Executed { replies, .. } =
                    executor.transact(&Access::All, transaction)
                else {
                    panic!("not executed")
                };
                let quotes: Vec<Quote> = replies
                    .iter()
                    .map(|reply| match reply {
                        Reply::Found(quote) => *quote,
                        other => panic!("{other:?}"),
                    })
                    .collect();
                assert_eq!(total(&quotes), STOCKS * SHARES);
            }
            movers.into_iter().for_each(|mover| mover.join().unwrap());
            drop(ended);
            reader.join().unwrap();
        });
        let traded = engine.quote(&Access::All, &other()).unwrap().volume.unwrap().coefficient();
        assert_eq!(traded, MOVERS * (moves + moves / 2));
        assert!(engine.totals().transactions > 0);
    }
}
