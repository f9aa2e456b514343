use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc;

use stockd_model::limits::UNCOMMITTED_STOCKS_MAX;
use stockd_model::{Edit, Fields, Price, Quote, Request, Symbol, Volume};
use stockd_store::{StoreError, Write};

use super::*;
use crate::{Catalog, Engine};

/// No test waits longer than this; it is a guard against hanging alone.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a store was given, and orders for it.
#[derive(Debug, Default)]
struct Memory {
    quotes: BTreeMap<Symbol, Quote>,
    version_floor: u64,
    commits: Vec<usize>,
    fails: bool,
    displaced: bool,
}

/// A store in memory whose commits wait until they are let go.
#[derive(Debug)]
struct GatedStore {
    memory: Arc<Mutex<Memory>>,
    gate: Mutex<mpsc::Receiver<()>>,
}

impl Store for GatedStore {
    fn commit(&mut self, writes: &[Write], version_floor: u64) -> Result<(), StoreError> {
        // When the gate is gone, all pass.
        let _ = self.gate.lock().unwrap().recv();
        let mut memory = self.memory.lock().unwrap();
        if memory.fails {
            let fire = io::Error::other("the disk is on fire");
            return Err(StoreError::Commit { path: "here".into(), source: fire });
        }
        for write in writes {
            match write {
                Write::Put(quote) => drop(memory.quotes.insert(quote.symbol, *quote)),
                Write::Remove(symbol) => drop(memory.quotes.remove(symbol)),
            }
        }
        assert!(version_floor >= memory.version_floor);
        memory.version_floor = version_floor;
        memory.commits.push(writes.len());
        Ok(())
    }

    fn verify_place(&mut self) -> Result<(), StoreError> {
        match self.memory.lock().unwrap().displaced {
            false => Ok(()),
            true => {
                let what = "was moved".to_owned();
                Err(StoreError::Displaced { path: "here".into(), what })
            }
        }
    }
}

fn engine(sync: Sync) -> (Arc<Engine>, Arc<Mutex<Memory>>, mpsc::Sender<()>) {
    let memory = Arc::<Mutex<Memory>>::default();
    let (opener, gate) = mpsc::channel();
    let store = GatedStore { memory: Arc::clone(&memory), gate: Mutex::new(gate) };
    let engine = Engine::durable(Catalog::new(), 0, Box::new(store), sync);
    (Arc::new(engine), memory, opener)
}

fn symbol(name: &str) -> Symbol {
    name.parse().unwrap()
}

fn quote_of(engine: &Engine, symbol: &Symbol) -> Option<Quote> {
    engine.quote(&Access::All, symbol)
}

fn set(name: &str, volume: u64) -> Request {
    let fields = Fields {
        price: Edit::Set(Price::MIN),
        volume: Edit::Set(Volume::new(volume)),
        ..Fields::default()
    };
    Request::Set(symbol(name), fields)
}

/// Submits all at once and waits for the replies.
fn execute(engine: &Engine, requests: &[Request]) -> Vec<Reply> {
    let waiting = thread::current();
    let mut handle = engine.write_handle(move || waiting.unpark()).unwrap();
    for (to, request) in (7..).zip(requests) {
        handle.submit(&Access::All, ReplyTo(to), *request);
    }
    handle.flush();
    let mut replies = Vec::new();
    while !handle.is_answered() {
        thread::park();
        replies.extend(handle.take(Vec::new()));
    }
    assert!((7..).zip(&replies).all(|(to, reply)| reply.0 == ReplyTo(to)), "{replies:?}");
    let reply = |(_, answered)| match answered {
        Answered::Reply(reply) => reply,
        Answered::Outcome(_) => panic!("no transaction was submitted"),
    };
    replies.into_iter().map(reply).collect()
}

#[test]
fn a_write_takes_effect_when_it_is_kept_and_not_before() {
    let (engine, memory, opener) = engine(Sync::Always);
    thread::scope(|scope| {
        let writing = scope.spawn(|| execute(&engine, &[set("AAPL", 1)]));
        // The commit waits at the gate: the stock is not seen, and the writer has no reply.
        for _ in 0..100 {
            assert_eq!(quote_of(&engine, &symbol("AAPL")), None);
            assert!(!writing.is_finished());
            thread::yield_now();
        }
        opener.send(()).unwrap();
        let replies = writing.join().unwrap();
        let Reply::Listed(quote) = replies[0] else { panic!("{replies:?}") };
        assert_eq!(quote_of(&engine, &symbol("AAPL")), Some(quote));
        assert_eq!(memory.lock().unwrap().quotes[&symbol("AAPL")], quote);
    });
}

#[test]
fn what_waits_together_is_one_commit_of_the_latest_quotes() {
    let (engine, memory, opener) = engine(Sync::Always);
    drop(opener);
    let requests = [
        set("A", 10),
        Request::Trade(symbol("A"), (-4).into()),
        Request::Lookup(Ok(symbol("A"))),
        Request::Trade(symbol("A"), (-7).into()),
        Request::Delist(symbol("A")),
        Request::Delist(symbol("A")),
        set("A", 3),
        set("B", 1),
        Request::Delist(symbol("B")),
        Request::Lookup(Symbol::parse(b"")),
    ];
    let replies = execute(&engine, &requests);
    let volume = |quote: &Quote| (quote.volume.unwrap().coefficient(), quote.version);
    match replies.as_slice() {
        [
            Reply::Listed(a),
            Reply::Updated(b),
            Reply::Found(c),
            Reply::Refused(Refusal::VolumeTooLow { .. }),
            Reply::Delisted(d),
            Reply::NotFound,
            Reply::Listed(e),
            Reply::Listed(f),
            Reply::Delisted(g),
            Reply::NotFound,
        ] => {
            let versions = [a, b, c, d, e, f, g].map(volume);
            assert_eq!(versions, [(10, 1), (6, 2), (6, 2), (6, 2), (3, 4), (1, 1), (1, 1)]);
        }
        other => panic!("{other:?}"),
    }
    let memory = memory.lock().unwrap();
    assert_eq!(memory.commits, [2]);
    assert_eq!(memory.version_floor, 3);
    assert_eq!(memory.quotes.keys().map(Symbol::as_str).collect::<Vec<_>>(), ["A"]);
    assert_eq!(quote_of(&engine, &symbol("A")), memory.quotes.get(&symbol("A")).copied());
    drop(memory);
    // It goes on above the version at which it was delisted, though no row remembers.
    let replies = execute(&engine, &[set("B", 1)]);
    assert!(matches!(replies[0], Reply::Listed(quote) if quote.version == 4), "{replies:?}");
    let totals = engine.totals();
    assert_eq!((totals.listings, totals.trades, totals.delistings), (4, 1, 2));
    assert_eq!((totals.hits, totals.misses, totals.refusals), (1, 1, 1));
}

#[test]
fn a_failed_commit_changes_nothing_and_makes_it_read_only() {
    let (engine, memory, opener) = engine(Sync::Always);
    drop(opener);
    execute(&engine, &[set("A", 10)]);
    let before = quote_of(&engine, &symbol("A"));
    memory.lock().unwrap().fails = true;
    let lookup = Request::Lookup(Ok(symbol("A")));
    let replies = execute(&engine, &[set("A", 1), set("B", 1), lookup]);
    assert!(matches!(replies[0], Reply::Refused(Refusal::NotKept { .. })), "{replies:?}");
    assert!(matches!(replies[1], Reply::Refused(Refusal::NotKept { .. })), "{replies:?}");
    assert_eq!(replies[2], Reply::Found(before.unwrap()));
    assert_eq!(quote_of(&engine, &symbol("A")), before);
    assert_eq!(engine.count(&Access::All), Some(1));

    memory.lock().unwrap().fails = false;
    let mut executor = engine.executor();
    let Reply::Refused(refusal) = executor.batch(&Access::All).execute(&set("A", 1)) else {
        panic!("written")
    };
    let why = refusal.to_string();
    assert!(why.contains("read-only") && why.contains("on fire"), "{why}");
    let replies = execute(&engine, &[set("A", 1)]);
    assert!(matches!(replies[0], Reply::Refused(Refusal::ReadOnly { .. })), "{replies:?}");
    assert!(engine.commit_report().unwrap().failed.is_some());
    assert!(engine.close(PATIENCE).is_err());
}

#[test]
fn with_an_interval_a_write_takes_effect_at_once_and_is_kept_later() {
    let (engine, memory, opener) = engine(Sync::Interval(Duration::from_millis(1)));
    let replies = execute(&engine, &[set("A", 1), set("A", 2)]);
    assert!(matches!(replies[1], Reply::Updated(_)), "{replies:?}");
    assert!(quote_of(&engine, &symbol("A")).is_some());
    assert!(memory.lock().unwrap().quotes.is_empty());
    drop(opener);
    engine.close(PATIENCE).unwrap();
    assert_eq!(memory.lock().unwrap().commits, [1]);
    let late = engine.executor().batch(&Access::All).execute(&set("A", 3));
    assert!(matches!(late, Reply::Refused(Refusal::ReadOnly { .. })), "{late:?}");
}

#[test]
fn a_disk_that_does_not_answer_does_not_keep_the_engine_from_its_end() {
    let (engine, _memory, opener) = engine(Sync::Always);
    let mut handle = engine.write_handle(|| {}).unwrap();
    handle.submit(&Access::All, ReplyTo(0), set("A", 1));
    handle.flush();
    assert_eq!(engine.close(Duration::from_millis(1)), Err(CloseError::DiskHangs));
    // The commit may still reach the disk: no reply may say that it was refused.
    let why = CloseError::DiskHangs.to_string();
    assert!(why.contains("may or may not be kept") && !why.contains("refused"), "{why}");
    drop(engine);
    drop(opener);
}

/// There are no writes, so no commit finds out.
#[test]
fn a_store_that_is_taken_away_makes_it_read_only_without_a_commit() {
    let (engine, memory, opener) = engine(Sync::Always);
    drop(opener);
    execute(&engine, &[set("A", 1)]);
    memory.lock().unwrap().displaced = true;
    let began = Instant::now();
    while engine.commit_report().unwrap().failed.is_none() {
        assert!(began.elapsed() < PATIENCE, "nobody looks");
        thread::park_timeout(Duration::from_millis(5));
    }
    let replies = execute(&engine, &[set("A", 2), Request::Lookup(Ok(symbol("A")))]);
    let Reply::Refused(refusal @ Refusal::ReadOnly { .. }) = replies[0] else {
        panic!("{replies:?}")
    };
    assert!(refusal.to_string().contains("'here' was moved"), "{refusal}");
    assert!(matches!(replies[1], Reply::Found(quote) if quote.volume.unwrap().coefficient() == 1));
    assert!(matches!(engine.close(PATIENCE), Err(CloseError::ReadOnly(_))));
    assert_eq!(memory.lock().unwrap().commits, [1]);
}

/// It is taken away in the last second: the end is not well, though every write was answered.
#[test]
fn the_end_looks_once_more() {
    for sync in [Sync::Always, Sync::Interval(Duration::from_secs(3600))] {
        let (engine, memory, opener) = engine(sync);
        drop(opener);
        execute(&engine, &[set("A", 1)]);
        memory.lock().unwrap().displaced = true;
        assert!(matches!(engine.close(PATIENCE), Err(CloseError::ReadOnly(_))));
    }
}

/// What waits for the end of the interval is bounded by stocks, and writes to few stocks do not
/// end it early.
#[test]
fn a_long_interval_ends_early_when_many_stocks_have_changed() {
    const ROUND: usize = 1024;
    let (engine, memory, opener) = engine(Sync::Interval(Duration::from_secs(3600)));
    drop(opener);
    let mut executor = engine.executor();
    let mut execute = |requests: &[Request]| {
        let asked: Vec<_> = requests.iter().copied().map(Conditional::from).collect();
        let replies = executor.batch(&Access::All).execute_all(&asked);
        assert!(!replies.iter().any(|reply| matches!(reply, Reply::Refused(_))));
    };
    for volume in 0..100 {
        execute(&vec![set("SAME", volume); ROUND]);
    }
    assert!(memory.lock().unwrap().commits.is_empty());
    // Each name is there for a moment and is never seen again.
    for round in 0..3 * UNCOMMITTED_STOCKS_MAX / ROUND {
        let names = (0..ROUND).map(|number| format!("{round}.{number}"));
        let churn = |name: String| [set(&name, 1), Request::Delist(symbol(&name))];
        execute(&names.flat_map(churn).collect::<Vec<_>>());
    }
    let commits = memory.lock().unwrap().commits.clone();
    assert_eq!(commits.len(), 3, "{commits:?}");
    let bound = UNCOMMITTED_STOCKS_MAX..UNCOMMITTED_STOCKS_MAX + ROUND;
    assert!(commits.iter().all(|stocks| bound.contains(stocks)), "{commits:?}");
    drop(executor);
    engine.close(PATIENCE).unwrap();
    let memory = memory.lock().unwrap();
    assert_eq!(memory.quotes.keys().map(Symbol::as_str).collect::<Vec<_>>(), ["SAME"]);
}

/// Buyers on many threads: what they were told they bought is what is missing in the store.
#[test]
fn concurrent_trades_never_oversell() {
    const SHARES: u64 = 3000;
    let (engine, memory, opener) = engine(Sync::Always);
    drop(opener);
    execute(&engine, &[set("A", SHARES)]);
    let bought: u64 = thread::scope(|scope| {
        let buyer = |lot: i64| {
            let engine = &engine;
            scope.spawn(move || {
                let mut executor = engine.executor();
                let mut bought = 0;
                let trade = Request::Trade(symbol("A"), (-lot).into());
                while let Reply::Updated(_) = executor.batch(&Access::All).execute(&trade) {
                    bought += lot as u64;
                }
                bought
            })
        };
        let buyers: Vec<_> = (1..=8).map(buyer).collect();
        buyers.into_iter().map(|buyer| buyer.join().unwrap()).sum()
    });
    let left = memory.lock().unwrap().quotes[&symbol("A")].volume.unwrap().coefficient();
    assert_eq!(bought + left, SHARES);
    assert_eq!(left, 0);
}
