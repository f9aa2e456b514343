//! The journal: writes are kept in the store before they take effect.
//!
//! One thread, `stockd-journal`, executes all writes of a durable engine. In each round it takes
//! all that waits, decides every request in turn, and remembers what becomes of each stock in an
//! *overlay* over the catalog. Then it commits the overlay to the store, once for all (*group
//! commit*), a stock that changed several times once (*conflation*). Only then come the rows, the
//! marks and the replies. What arrives meanwhile waits for the next round.
//!
//! So no lookup ever shows what a crash could take back, the catalog always is what the store
//! holds, and nobody but this thread waits for the disk.
//!
//! With [`Sync::Interval`] the order is another: rows, marks and replies at once, and the overlay is
//! committed when the interval is over.
//!
//! Invariant: a write is answered well only if it is in the store, or will be before the interval
//! is over. After a commit has failed none is answered well again.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use stockd_catalog::{Change, Changed};
use stockd_model::{Quote, Refusal, Reply, Request, Symbol};
use stockd_store::{Store, Write};

use crate::counters::{Cells, Totals};
use crate::decide::{self, Refused, decide};
use crate::execute::{Market, now_ns};
use crate::writer::{Parcel, Queue, ReplyTo, Writer};

/// When writes are committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Before they take effect and are answered.
    #[default]
    Always,
    /// At most so long after they have taken effect and were answered.
    Interval(Duration),
}

/// How the journal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalReport {
    /// Why every write is refused since a commit failed; `None` while all is well.
    pub failed: Option<&'static str>,
    /// Commits so far.
    pub commits: u64,
    /// Stocks written by all of them together.
    pub stocks_written: u64,
    /// How long the latest of them took, in nanoseconds.
    pub last_commit_ns: u64,
    /// How long the longest of them took, in nanoseconds.
    pub longest_commit_ns: u64,
}

/// The handle of the journal's thread.
#[derive(Debug)]
pub(crate) struct Journal {
    queue: Arc<Queue>,
    condition: Arc<Condition>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What others may know of the journal.
#[derive(Debug, Default)]
struct Condition {
    failed: OnceLock<&'static str>,
    commits: AtomicU64,
    stocks_written: AtomicU64,
    last_commit_ns: AtomicU64,
    longest_commit_ns: AtomicU64,
}

/// What the thread owns.
#[derive(Debug)]
struct Clerk {
    market: Arc<Market>,
    cells: Arc<CachePadded<Cells>>,
    condition: Arc<Condition>,
    store: Box<dyn Store>,
    sync: Sync,
    /// What became of stocks since the last commit.
    overlay: HashMap<Symbol, Pending, RandomState>,
    /// Stocks of the overlay whose rows do not show it yet.
    unapplied: Vec<Symbol>,
    /// Rows that those will take which have none, at most.
    new_rows: usize,
    /// The highest version that any stock had when it was delisted.
    version_floor: u64,
    /// When the overlay is to be committed, if not at once.
    due: Option<Instant>,
}

/// What became of a stock since the last commit.
#[derive(Clone, Copy, Debug)]
struct Pending {
    quote: Option<Quote>,
    /// The version of its last change, a delisting too.
    version: u64,
    /// Whether the row shows it.
    applied: bool,
}

impl Journal {
    pub(crate) fn start(
        market: Arc<Market>,
        version_floor: u64,
        store: Box<dyn Store>,
        sync: Sync,
    ) -> Journal {
        let queue = Arc::<Queue>::default();
        let condition = Arc::<Condition>::default();
        let clerk = Clerk {
            cells: market.registry.register(),
            market,
            condition: Arc::clone(&condition),
            store,
            sync,
            overlay: HashMap::default(),
            unapplied: Vec::new(),
            new_rows: 0,
            version_floor,
            due: None,
        };
        let thread = {
            let queue = Arc::clone(&queue);
            let builder = thread::Builder::new().name("stockd-journal".to_owned());
            builder.spawn(move || clerk.run(&queue)).expect("a thread for the journal")
        };
        Journal { queue, condition, thread: Mutex::new(Some(thread)) }
    }

    pub(crate) fn writer(&self, wake: impl Fn() + Send + std::marker::Sync + 'static) -> Writer {
        Writer::new(Arc::clone(&self.queue), wake)
    }

    /// Why writes are refused, if they are.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.condition.failed.get().map(|cause| Refusal::ReadOnly { cause })
    }

    /// Executes these requests one after the other, together, and waits for the disk.
    pub(crate) fn execute(&self, requests: &[Request]) -> Vec<Reply> {
        let waiting: Thread = thread::current();
        let mut writer = self.writer(move || waiting.unpark());
        requests.iter().for_each(|request| writer.submit(ReplyTo(0), *request));
        writer.flush();
        if writer.is_answered() {
            // The queue did not take them.
            return vec![Reply::Refused(Refusal::ReadOnly { cause: CLOSED }); requests.len()];
        }
        let mut replies = Vec::with_capacity(requests.len());
        while !writer.is_answered() {
            replies.extend(writer.take(Vec::new()).into_iter().map(|(_, reply)| reply));
            if !writer.is_answered() {
                thread::park();
            }
        }
        replies
    }

    pub(crate) fn report(&self) -> JournalReport {
        let condition = &self.condition;
        JournalReport {
            failed: condition.failed.get().copied(),
            commits: condition.commits.load(Relaxed),
            stocks_written: condition.stocks_written.load(Relaxed),
            last_commit_ns: condition.last_commit_ns.load(Relaxed),
            longest_commit_ns: condition.longest_commit_ns.load(Relaxed),
        }
    }

    /// Ends the thread, which first writes and answers what waits. Waits for it, but no longer than
    /// the patience lasts if there is a limit to it.
    pub(crate) fn close(&self, patience: Option<Duration>) -> Result<(), &'static str> {
        let until = patience.map(|patience| Instant::now() + patience);
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            while until.is_some() && !thread.is_finished() {
                if until.is_some_and(|until| Instant::now() >= until) {
                    return Err("the disk does not answer; see to it, then restart the server");
                }
                thread::sleep(CLOSE_STEP);
            }
            if thread.join().is_err() {
                return Err("the thread of the journal has panicked");
            }
        }
        self.condition.failed.get().map_or(Ok(()), |cause| Err(cause))
    }
}

/// Between two looks whether the thread has ended.
const CLOSE_STEP: Duration = Duration::from_millis(1);

/// Why the journal takes no request any more when nothing has failed.
const CLOSED: &str = "the server is stopping";

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.close(None);
    }
}

impl Clerk {
    fn run(mut self, queue: &Queue) {
        while let Some(parcels) = queue.take(self.due) {
            self.round(parcels);
        }
        let _ = self.commit();
        self.market.registry.retire(&self.cells);
    }

    /// Executes what these parcels ask, and answers.
    fn round(&mut self, parcels: Vec<Parcel>) {
        let mut replies: Vec<Vec<(ReplyTo, Reply)>> = Vec::with_capacity(parcels.len());
        for parcel in &parcels {
            let execute = |&(tag, ref request): &(ReplyTo, Request)| (tag, self.execute(request));
            replies.push(parcel.requests.iter().map(execute).collect());
        }
        let kept = match self.sync {
            Sync::Always => self.commit(),
            Sync::Interval(_) => {
                self.apply();
                let is_due = self.due.is_some_and(|due| due <= Instant::now());
                // What is answered now was answered before a failure, as far as anybody can know.
                if is_due {
                    let _ = self.commit();
                }
                Ok(())
            }
        };
        let mut done = Totals::default();
        for (parcel, replies) in parcels.iter().zip(&mut replies) {
            for ((_, request), (_, reply)) in parcel.requests.iter().zip(replies) {
                if let Err(cause) = kept {
                    *reply = self.instead(request, reply, cause);
                }
                done.count(request, reply);
            }
        }
        // Whoever has a reply finds its request counted.
        self.cells.add(&done);
        for (parcel, replies) in parcels.into_iter().zip(replies) {
            parcel.answer(replies);
        }
    }

    /// What to answer when nothing of this round was kept.
    fn instead(&self, request: &Request, reply: &Reply, cause: &'static str) -> Reply {
        match (request, reply) {
            (_, Reply::Refused(Refusal::ReadOnly { .. })) => *reply,
            (Request::Lookup(_), _) => self.execute_over_rows(request),
            _ => Reply::Refused(Refusal::NotKept { cause }),
        }
    }

    fn execute_over_rows(&self, lookup: &Request) -> Reply {
        let quote = decide::symbol(lookup).and_then(|symbol| self.market.catalog.get(symbol));
        decide::reply(lookup, &Ok(Changed { before: quote, after: quote }))
    }

    /// Decides one request, over the catalog as it will be when all before it are committed.
    fn execute(&mut self, request: &Request) -> Reply {
        let Some(symbol) = decide::symbol(request) else {
            return Reply::NotFound;
        };
        let pending = self.overlay.get(symbol).copied();
        let before = match pending {
            Some(pending) => pending.quote,
            None => self.market.catalog.get(symbol),
        };
        let changed = decide(request, before.as_ref())
            .map_err(Refused)
            .and_then(|change| self.note(symbol, before, pending, change));
        decide::reply(request, &changed)
    }

    /// Notes a change in the overlay.
    fn note(
        &mut self,
        symbol: &Symbol,
        before: Option<Quote>,
        pending: Option<Pending>,
        change: Change,
    ) -> Result<Changed, Refused> {
        if change == Change::Keep {
            return Ok(Changed { before, after: before });
        }
        if let Some(cause) = self.condition.failed.get() {
            return Err(Refused(Refusal::ReadOnly { cause }));
        }
        if before.is_none() {
            self.market.catalog.reserve(self.new_rows + 1)?;
            self.new_rows += 1;
        }
        let version = 1 + match (pending, before) {
            (Some(pending), _) => pending.version,
            (None, Some(quote)) => quote.version,
            (None, None) => self.market.catalog.version(symbol),
        };
        let after = match change {
            Change::Put { price, volume, status } => {
                let symbol = *symbol;
                Some(Quote { symbol, price, volume, status, version, updated_ns: now_ns() })
            }
            Change::Restore(quote) => Some(quote),
            Change::Delist | Change::Keep => None,
        };
        if pending.is_none_or(|pending| pending.applied) {
            self.unapplied.push(*symbol);
        }
        self.overlay.insert(*symbol, Pending { quote: after, version, applied: false });
        if after.is_none() {
            self.version_floor = self.version_floor.max(version);
        }
        if let Sync::Interval(interval) = self.sync {
            self.due.get_or_insert_with(|| Instant::now() + interval);
        }
        Ok(Changed { before, after })
    }

    /// Commits the overlay, and shows it. After a failure the catalog is as it was.
    fn commit(&mut self) -> Result<(), &'static str> {
        self.due = None;
        if self.overlay.is_empty() {
            return Ok(());
        }
        let write = |(symbol, pending): (&Symbol, &Pending)| match pending.quote {
            Some(quote) => Write::Put(quote),
            None => Write::Remove(*symbol),
        };
        let writes: Vec<Write> = self.overlay.iter().map(write).collect();
        let began = Instant::now();
        let kept = self.store.commit(&writes, self.version_floor);
        match kept {
            Ok(()) => {
                self.condition.count(writes.len(), began.elapsed());
                self.apply();
                self.overlay.clear();
                Ok(())
            }
            Err(error) => {
                self.overlay.clear();
                self.unapplied.clear();
                self.new_rows = 0;
                Err(self.condition.fail(&error))
            }
        }
    }

    /// Makes the rows show the overlay: what was delisted goes first, so that there is room for what
    /// was listed instead.
    fn apply(&mut self) {
        if self.unapplied.is_empty() {
            return;
        }
        for puts in [false, true] {
            for symbol in &self.unapplied {
                let Some(pending) = self.overlay.get_mut(symbol) else { continue };
                if pending.quote.is_some() != puts {
                    continue;
                }
                pending.applied = true;
                let change = pending.quote.map_or(Change::Delist, Change::Restore);
                let applied = self.market.change(symbol, |_| Ok(change));
                if let Err(Refused(refusal)) = applied {
                    // Room was reserved before the write was promised.
                    panic!("a write that is on the disk cannot be shown: {refusal}");
                }
            }
        }
        self.market.catalog.raise_version_floor(self.version_floor);
        self.unapplied.clear();
        self.new_rows = 0;
    }
}

impl Condition {
    fn count(&self, stocks: usize, took: Duration) {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.commits.fetch_add(1, Relaxed);
        self.stocks_written.fetch_add(stocks as u64, Relaxed);
        self.last_commit_ns.store(took_ns, Relaxed);
        self.longest_commit_ns.fetch_max(took_ns, Relaxed);
    }

    /// Notes the first failure; it is the cause of all that follow.
    fn fail(&self, error: &dyn std::error::Error) -> &'static str {
        self.failed.get_or_init(|| {
            tracing::error!("read-only from now on: {error}; lookups go on");
            // Kept for ever, once in the life of a journal.
            Box::leak(error.to_string().into_boxed_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;
    use std::sync::mpsc;

    use super::*;
    use crate::{Catalog, Engine};
    use stockd_model::{Fields, Price, Volume};
    use stockd_store::StoreError;

    /// No test waits longer than this; it is a guard against hanging alone.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// What a store was given, and orders for it.
    #[derive(Debug, Default)]
    struct Memory {
        quotes: BTreeMap<Symbol, Quote>,
        version_floor: u64,
        commits: Vec<usize>,
        fails: bool,
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

    fn set(name: &str, volume: u64) -> Request {
        let fields =
            Fields { price: Some(Price::MIN), volume: Some(Volume::new(volume)), status: None };
        Request::Set(symbol(name), fields)
    }

    /// Submits all at once and waits for the replies.
    fn execute(engine: &Engine, requests: &[Request]) -> Vec<Reply> {
        let waiting = thread::current();
        let mut writer = engine.writer(move || waiting.unpark()).unwrap();
        requests.iter().enumerate().for_each(|(i, request)| writer.submit((i, 7), *request));
        writer.flush();
        let mut replies = Vec::new();
        while !writer.is_answered() {
            thread::park();
            replies.extend(writer.take(Vec::new()));
        }
        assert!(replies.iter().enumerate().all(|(i, (tag, _))| *tag == (i, 7)), "{replies:?}");
        replies.into_iter().map(|(_, reply)| reply).collect()
    }

    #[test]
    fn a_write_takes_effect_when_it_is_kept_and_not_before() {
        let (engine, memory, opener) = engine(Sync::Always);
        thread::scope(|scope| {
            let writing = scope.spawn(|| execute(&engine, &[set("AAPL", 1)]));
            // The commit waits at the gate: nobody sees the stock, and the writer has no reply.
            for _ in 0..100 {
                assert_eq!(engine.catalog().get(&symbol("AAPL")), None);
                assert!(!writing.is_finished());
                thread::yield_now();
            }
            opener.send(()).unwrap();
            let replies = writing.join().unwrap();
            let Reply::Listed(quote) = replies[0] else { panic!("{replies:?}") };
            assert_eq!(engine.catalog().get(&symbol("AAPL")), Some(quote));
            assert_eq!(memory.lock().unwrap().quotes[&symbol("AAPL")], quote);
        });
    }

    #[test]
    fn what_waits_together_is_one_commit_of_the_latest_quotes() {
        let (engine, memory, opener) = engine(Sync::Always);
        drop(opener);
        let requests = [
            set("A", 10),
            Request::Trade(symbol("A"), -4),
            Request::Lookup(Ok(symbol("A"))),
            Request::Trade(symbol("A"), -7),
            Request::Delist(symbol("A")),
            Request::Delist(symbol("A")),
            set("A", 3),
            set("B", 1),
            Request::Delist(symbol("B")),
            Request::Lookup(Symbol::parse(b"")),
        ];
        let replies = execute(&engine, &requests);
        let volume = |quote: &Quote| (quote.volume.shares(), quote.version);
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
        assert_eq!(engine.catalog().get(&symbol("A")), memory.quotes.get(&symbol("A")).copied());
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
        let before = engine.catalog().get(&symbol("A"));
        memory.lock().unwrap().fails = true;
        let lookup = Request::Lookup(Ok(symbol("A")));
        let replies = execute(&engine, &[set("A", 1), set("B", 1), lookup]);
        assert!(matches!(replies[0], Reply::Refused(Refusal::NotKept { .. })), "{replies:?}");
        assert!(matches!(replies[1], Reply::Refused(Refusal::NotKept { .. })), "{replies:?}");
        assert_eq!(replies[2], Reply::Found(before.unwrap()));
        assert_eq!(engine.catalog().get(&symbol("A")), before);
        assert_eq!(engine.catalog().len(), 1);

        memory.lock().unwrap().fails = false;
        let mut executor = engine.executor();
        let Reply::Refused(refusal) = executor.batch().execute(&set("A", 1)) else {
            panic!("written")
        };
        let why = refusal.to_string();
        assert!(why.contains("read-only") && why.contains("on fire"), "{why}");
        let replies = execute(&engine, &[set("A", 1)]);
        assert!(matches!(replies[0], Reply::Refused(Refusal::ReadOnly { .. })), "{replies:?}");
        assert!(engine.journal().unwrap().failed.is_some());
        assert!(engine.close(PATIENCE).is_err());
    }

    #[test]
    fn with_an_interval_a_write_takes_effect_at_once_and_is_kept_later() {
        let (engine, memory, opener) = engine(Sync::Interval(Duration::from_millis(1)));
        let replies = execute(&engine, &[set("A", 1), set("A", 2)]);
        assert!(matches!(replies[1], Reply::Updated(_)), "{replies:?}");
        assert!(engine.catalog().get(&symbol("A")).is_some());
        assert!(memory.lock().unwrap().quotes.is_empty());
        drop(opener);
        engine.close(PATIENCE).unwrap();
        assert_eq!(memory.lock().unwrap().commits, [1]);
        let late = engine.executor().batch().execute(&set("A", 3));
        assert!(matches!(late, Reply::Refused(Refusal::ReadOnly { .. })), "{late:?}");
    }

    #[test]
    fn a_disk_that_does_not_answer_does_not_keep_the_engine_from_its_end() {
        let (engine, _memory, opener) = engine(Sync::Always);
        let mut writer = engine.writer(|| {}).unwrap();
        writer.submit((0, 0), set("A", 1));
        writer.flush();
        let why = engine.close(Duration::from_millis(1)).unwrap_err();
        assert!(why.contains("does not answer"), "{why}");
        drop(engine);
        drop(opener);
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
                    let trade = Request::Trade(symbol("A"), -lot);
                    while let Reply::Updated(_) = executor.batch().execute(&trade) {
                        bought += lot as u64;
                    }
                    bought
                })
            };
            let buyers: Vec<_> = (1..=8).map(buyer).collect();
            buyers.into_iter().map(|buyer| buyer.join().unwrap()).sum()
        });
        let left = memory.lock().unwrap().quotes[&symbol("A")].volume.shares();
        assert_eq!(bought + left, SHARES);
        assert_eq!(left, 0);
    }
}
