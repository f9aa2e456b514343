//! The story: clients on several threads update, trade, list and delist stocks of a durable engine,
//! and look them up, when the power fails, or a sync, or the disk is full. The engine is started
//! again from what is left, and everybody compares it with what they were told: no write that was
//! answered is missing, none is torn, no lookup has shown what is gone, no share was sold twice, and
//! no version has gone back. Then they go on, until the next failure.
//!
//! `STOCKD_SIMULATIONS=10000 cargo nextest run -p stockd-engine` runs that many instead of the few
//! of every day; `STOCKD_SEED=7` runs that one alone. What the clients do and what fails follows
//! from the seed, when their threads run does not.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use stockd_engine::{Access, Catalog, Engine, Executor, Sync};
use stockd_model::{Edit, Fields, Price, Quote, Refusal, Reply, Request, Symbol, Volume};
use stockd_store::simulation::{Disk, Fault, Random, for_each_seed};

const CLIENTS: u64 = 4;
/// Stocks that all clients update, and stocks that they all trade.
const SHARED: u64 = 3;
/// Stocks that each client lists and delists by itself.
const OWN: u64 = 3;
/// Shares of each traded stock.
const ISSUED: u64 = 1_000_000;

fn updated(number: u64) -> Symbol {
    format!("UPDATED {number}").parse().unwrap()
}

fn traded(number: u64) -> Symbol {
    format!("TRADED {number}").parse().unwrap()
}

fn own(client: u64, number: u64) -> Symbol {
    format!("OWN {client}.{number}").parse().unwrap()
}

/// A price that tells whether the volume beside it is that of the same write.
fn price_of(volume: u64) -> Option<Price> {
    Price::new(volume as i64 * 1009 + 1, 9)
}

fn set(symbol: Symbol, volume: u64) -> Request {
    // Where it is even the side row tells it, too.
    let ask = price_of(volume).filter(|_| volume.is_multiple_of(2)).into();
    let (price, volume) = (price_of(volume).into(), Edit::Set(Volume::new(volume)));
    Request::Set(symbol, Fields { price, volume, ask, ..Fields::default() })
}

/// What was seen of a stock, over all lives of the engine.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The highest version that a reply or a lookup has shown.
    version: u64,
    quote: Option<Quote>,
}

/// What one client was told.
#[derive(Debug, Default)]
struct Told {
    /// Of the stocks that all update.
    seen: BTreeMap<Symbol, Seen>,
    /// Shares bought, less those given back.
    bought: BTreeMap<Symbol, i64>,
    /// Of its own stocks: the quote, or `None` where it was delisted.
    own: BTreeMap<Symbol, Option<Quote>>,
    /// The highest version that any of its own stocks had.
    own_versions: BTreeMap<Symbol, u64>,
    /// The request whose answer does not say whether it was kept.
    in_flight: Option<Request>,
}

impl Told {
    fn see(&mut self, quote: Quote) {
        let seen = self.seen.entry(quote.symbol).or_default();
        assert!(
            quote.version >= seen.version,
            "{} goes back from {} to {}",
            quote.symbol,
            seen.version,
            quote.version
        );
        *seen = Seen { version: quote.version, quote: Some(quote) };
    }

    /// Does things at random until one of them fails, or there were enough.
    fn act(&mut self, client: u64, executor: &mut Executor, random: &mut Random) {
        for _ in 0..150 {
            let lookup = Request::Lookup(Ok(updated(random.below(SHARED))));
            if let Reply::Found(quote) = executor.batch(&Access::All).execute(&lookup) {
                assert_eq!(
                    quote.price,
                    price_of(quote.volume.unwrap().coefficient()),
                    "{quote:?} is torn"
                );
                self.see(quote);
            }
            let request = match random.below(3) {
                0 => set(updated(random.below(SHARED)), random.below(1 << 40)),
                1 => {
                    let lot = 1 + random.below(100) as i64;
                    let delta = if random.below(4) == 0 { lot } else { -lot };
                    Request::Trade(traded(random.below(SHARED)), delta.into())
                }
                _ => {
                    let symbol = own(client, random.below(OWN));
                    match random.below(3) {
                        0 => Request::Delist(symbol),
                        _ => set(symbol, random.below(1 << 40)),
                    }
                }
            };
            let reply = executor.batch(&Access::All).execute(&request);
            if !self.note(request, reply) {
                return;
            }
        }
    }

    /// Whether the engine still takes writes.
    fn note(&mut self, request: Request, reply: Reply) -> bool {
        match (request, reply) {
            (_, Reply::Refused(Refusal::NotKept { .. })) => {
                self.in_flight = Some(request);
                return false;
            }
            (_, Reply::Refused(Refusal::ReadOnly { .. })) => return false,
            // More shares given back than were sold, or the other way round.
            (Request::Trade(..), Reply::Refused(_)) => {}
            (Request::Trade(symbol, shares), Reply::Updated(_)) => {
                *self.bought.entry(symbol).or_default() -= shares.whole().unwrap();
            }
            (Request::Set(symbol, _), Reply::Listed(quote) | Reply::Updated(quote)) => {
                if symbol.as_str().starts_with("OWN") {
                    let version = self.own_versions.entry(symbol).or_default();
                    assert!(
                        quote.version > *version,
                        "{symbol}: {} after {version}",
                        quote.version
                    );
                    *version = quote.version;
                    self.own.insert(symbol, Some(quote));
                } else {
                    self.see(quote);
                }
            }
            (Request::Delist(symbol), Reply::Delisted(quote)) => {
                assert_eq!(self.own.insert(symbol, None), Some(Some(quote)));
            }
            (Request::Delist(symbol), Reply::NotFound) => {
                assert!(self.own.get(&symbol).is_none_or(Option::is_none));
            }
            other => panic!("{other:?}"),
        }
        true
    }

    /// Compares what was told of the client's own stocks with what is there.
    fn compare_own(&mut self, client: u64, engine: &Engine) {
        for symbol in (0..OWN).map(|number| own(client, number)) {
            let found = engine.quote(&Access::All, &symbol);
            let told = self.own.get(&symbol).copied().flatten();
            let in_flight = match self.in_flight {
                Some(Request::Delist(stock)) if stock == symbol => found.is_none(),
                Some(Request::Set(stock, fields)) if stock == symbol => {
                    found.is_some_and(|quote| {
                        Edit::from(quote.price) == fields.price
                            && Edit::from(quote.volume) == fields.volume
                            && Edit::from(quote.ask) == fields.ask
                    })
                }
                _ => false,
            };
            assert!(found == told || in_flight, "{symbol}: told {told:?}, found {found:?}");
            let version = self.own_versions.entry(symbol).or_default();
            if let Some(quote) = found {
                assert!(quote.version >= *version, "{quote:?} after version {version}");
                *version = quote.version;
            }
            self.own.insert(symbol, found);
        }
    }
}

/// The volume of a stock that is listed.
fn shares_left(engine: &Engine, symbol: &Symbol) -> u64 {
    let quote = engine.quote(&Access::All, symbol).expect("it was listed");
    quote.volume.unwrap().coefficient()
}

/// Compares what all were told of the stocks they share with what is there.
fn compare_shared(told: &[Told], engine: &Engine) {
    for symbol in (0..SHARED).map(updated) {
        let found =
            engine.quote(&Access::All, &symbol).expect("it was listed before anything failed");
        assert_eq!(found.price, price_of(found.volume.unwrap().coefficient()), "{found:?} is torn");
        for Seen { version, quote } in told.iter().filter_map(|told| told.seen.get(&symbol)) {
            assert!(found.version >= *version, "{symbol}: seen {quote:?}, found {found:?}");
            if found.version == *version {
                assert_eq!(Some(found), *quote);
            }
        }
    }
    for symbol in (0..SHARED).map(traded) {
        let left = shares_left(engine, &symbol);
        let bought: i64 = told.iter().filter_map(|told| told.bought.get(&symbol)).sum();
        // Of the trades in flight each was kept or not.
        let in_flight = told.iter().filter_map(|told| match told.in_flight {
            Some(Request::Trade(stock, shares)) if stock == symbol => {
                shares.whole().map(|shares| -shares)
            }
            _ => None,
        });
        let sums = in_flight.fold(vec![0], |sums, lot| {
            sums.iter().flat_map(|sum| [*sum, sum + lot]).collect::<Vec<_>>()
        });
        let missing = ISSUED as i64 - left as i64 - bought;
        assert!(
            sums.contains(&missing),
            "{symbol}: {ISSUED} issued, {bought} bought, {left} left, in flight {sums:?}"
        );
    }
}

/// Starts an engine from what is on a disk.
fn start(disk: &Disk, sync: Sync) -> Arc<Engine> {
    let database = disk.open().expect("what is left can be opened");
    let catalog = Catalog::with_capacity(database.stocks() as usize);
    let version_floor = database.load(|quote| {
        catalog.restore(&quote).expect("there is room");
        ControlFlow::Continue(())
    });
    let floor = version_floor.expect("every record is a quote");
    Arc::new(Engine::durable(catalog, floor, Box::new(database), sync))
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let mut disk = Disk::default().seeded(random.number());
    let mut engine = start(&disk, Sync::Always);
    let mut executor = engine.executor();
    for number in 0..SHARED {
        executor.batch(&Access::All).execute(&set(updated(number), number));
        executor.batch(&Access::All).execute(&set(traded(number), ISSUED));
    }
    drop(executor);
    let mut told: Vec<Told> = (0..CLIENTS).map(|_| Told::default()).collect();
    for _ in 0..3 {
        let fault = match random.below(6) {
            0 => Fault::Sync { at: 1 + random.below(60) },
            1 => Fault::NoSpace { at: 1 + random.below(300) },
            2 => Fault::ShortWrite { at: 1 + random.below(300) },
            _ => Fault::Power { at: 1 + random.below(500) },
        };
        disk.order(fault);
        thread::scope(|scope| {
            for (client, told) in (0..CLIENTS).zip(&mut told) {
                let mut random = Random(random.number());
                let mut executor = engine.executor();
                scope.spawn(move || told.act(client, &mut executor, &mut random));
            }
        });
        // Read-only or not, it shows nothing but what it has kept.
        compare_shared(&told.iter().map(Told::without_flight).collect::<Vec<_>>(), &engine);
        drop(engine);
        disk = match fault {
            Fault::Power { .. } => disk.after_power_loss(random.number()),
            _ if random.below(2) == 0 => disk.after_power_loss(random.number()),
            _ => disk.after_restart(),
        };
        engine = start(&disk, Sync::Always);
        compare_shared(&told, &engine);
        for (client, told) in (0..CLIENTS).zip(&mut told) {
            told.compare_own(client, &engine);
        }
        settle(&mut told, &engine);
    }
}

/// Takes what is there for what was bought, after it has been compared.
fn settle(told: &mut [Told], engine: &Engine) {
    told.iter_mut().for_each(|told| {
        told.in_flight = None;
        told.bought.clear();
    });
    for symbol in (0..SHARED).map(traded) {
        let left = shares_left(engine, &symbol);
        told[0].bought.insert(symbol, ISSUED as i64 - left as i64);
    }
}

impl Told {
    fn without_flight(&self) -> Told {
        Told { seen: self.seen.clone(), bought: self.bought.clone(), ..Told::default() }
    }
}

/// Each client counts its two stocks up, one after the other. What is left is the catalog at one
/// moment, if an earlier one than clients have seen: the second is never ahead of the first, nor
/// more than one behind.
fn run_with_interval(seed: u64) {
    let mut random = Random(seed);
    let interval = Sync::Interval(Duration::from_micros(random.below(500)));
    let mut disk = Disk::default().seeded(random.number());
    let mut from = [0; CLIENTS as usize];
    for _ in 0..3 {
        let engine = start(&disk, interval);
        disk.order(Fault::Power { at: 1 + random.below(200) });
        thread::scope(|scope| {
            for (client, from) in (0..CLIENTS).zip(from) {
                let mut executor = engine.executor();
                scope.spawn(move || {
                    // The first again, since the second may be behind.
                    for volume in from..from + 300 {
                        for stock in [0, 1] {
                            let request = set(own(client, stock), volume);
                            if let Reply::Refused(_) =
                                executor.batch(&Access::All).execute(&request)
                            {
                                return;
                            }
                        }
                    }
                });
            }
        });
        drop(engine);
        disk = disk.after_power_loss(random.number());
        let engine = start(&disk, interval);
        for (client, from) in (0..CLIENTS).zip(&mut from) {
            let [first, second] = [0, 1].map(|stock| {
                let quote = engine.quote(&Access::All, &own(client, stock));
                assert!(
                    quote.is_none_or(|it| it.price == price_of(it.volume.unwrap().coefficient())),
                    "torn"
                );
                quote.map_or(0, |quote| quote.volume.unwrap().coefficient())
            });
            assert!(first == second || first == second + 1, "client {client}: {first}, {second}");
            assert!(first >= *from, "client {client}: kept {from}, then only {first}");
            *from = first;
        }
        disk = disk.after_restart();
    }
}

#[test]
fn what_clients_were_told_is_there_after_every_failure() {
    for_each_seed(200, run);
}

#[test]
fn with_an_interval_what_is_left_is_one_moment() {
    for_each_seed(200, run_with_interval);
}
