//! The committer: writes are kept in the store before they take effect.
//!
//! One thread, `stockd-committer`, executes all writes of a durable engine. In each round it takes
//! all write batches that wait and decides every request in turn, over the [overlay](Overlay) of
//! what has changed since the last commit. Then it commits the overlay to the store, once for all
//! (*group commit*); a stock that changed several times is written once (*conflation*). Only then
//! it changes rows, marks watched stocks and delivers replies. What arrives meanwhile waits for the
//! next round.
//!
//! So no lookup ever shows what a crash could take back, the catalog always is what the store
//! holds, and only this thread waits for the disk.
//!
//! With [`Sync::Interval`] the order is another: rows, marks and replies change at once, and the
//! overlay is committed when the interval is over.
//!
//! Invariant: a write is acknowledged only if it is in the store, or will be before the interval is
//! over. After a commit has failed no write is acknowledged any more.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use stockd_model::{Conditional, Refusal, Reply, Request};
use stockd_store::Store;

use crate::access::Access;
use crate::counters::{Cells, Totals};
use crate::market::Market;
use crate::overlay::Overlay;
use crate::transaction::{Outcome, Transaction};
use crate::write_queue::{Answered, Asked, ReplyTo, WriteBatch, WriteHandle, WriteQueue};

/// When writes are committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Before they take effect and are answered.
    #[default]
    Always,
    /// At most this long after they have taken effect and were answered.
    Interval(Duration),
}

/// What the committer has done, and whether it still writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitReport {
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

/// The handle of the commit thread.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: Arc<WriteQueue>,
    record: Arc<Record>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the commit thread records for others to read.
#[derive(Debug, Default)]
struct Record {
    failed: OnceLock<&'static str>,
    commits: AtomicU64,
    stocks_written: AtomicU64,
    last_commit_ns: AtomicU64,
    longest_commit_ns: AtomicU64,
}

/// What the commit thread owns.
#[derive(Debug)]
struct CommitThread {
    market: Arc<Market>,
    cells: Arc<CachePadded<Cells>>,
    record: Arc<Record>,
    store: Box<dyn Store>,
    sync: Sync,
    overlay: Overlay,
    /// When the overlay has to be committed; `None` while it is empty, or is committed at once.
    due: Option<Instant>,
}

/// Between two looks whether the thread has ended.
const CLOSE_STEP: Duration = Duration::from_millis(1);

/// Why no further write is taken when nothing has failed.
const CLOSED: &str = "the server is stopping";

impl Committer {
    pub(crate) fn start(
        market: Arc<Market>,
        version_floor: u64,
        store: Box<dyn Store>,
        sync: Sync,
    ) -> Committer {
        let queue = Arc::<WriteQueue>::default();
        let record = Arc::<Record>::default();
        let committing = CommitThread {
            cells: market.registry.register(),
            overlay: Overlay::new(Arc::clone(&market), version_floor),
            market,
            record: Arc::clone(&record),
            store,
            sync,
            due: None,
        };
        let thread = {
            let queue = Arc::clone(&queue);
            let builder = thread::Builder::new().name("stockd-committer".to_owned());
            builder.spawn(move || committing.run(&queue)).expect("a thread for the committer")
        };
        Committer { queue, record, thread: Mutex::new(Some(thread)) }
    }

    pub(crate) fn handle(
        &self,
        wake: impl Fn() + Send + std::marker::Sync + 'static,
    ) -> WriteHandle {
        WriteHandle::new(Arc::clone(&self.queue), wake)
    }

    /// Why writes are refused, if they are.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.record.refusal()
    }

    /// Executes these requests one after the other, together, and waits for the disk.
    pub(crate) fn execute(&self, access: &Access, requests: &[Conditional]) -> Vec<Reply> {
        let submit = |handle: &mut WriteHandle| {
            requests.iter().for_each(|request| handle.submit_if(access, ReplyTo(0), *request));
        };
        let Some(answers) = self.wait_for(submit) else {
            return vec![Reply::Refused(Refusal::ReadOnly { cause: CLOSED }); requests.len()];
        };
        let reply = |answered| match answered {
            Answered::Reply(reply) => reply,
            Answered::Outcome(_) => unreachable!("requests alone were submitted"),
        };
        answers.into_iter().map(reply).collect()
    }

    /// Executes a transaction, and waits for the disk.
    pub(crate) fn transact(&self, access: &Access, transaction: Transaction) -> Outcome {
        let submit = |handle: &mut WriteHandle| {
            handle.submit_transaction(access, ReplyTo(0), transaction);
        };
        match self.wait_for(submit).and_then(|mut answers| answers.pop()) {
            None => Outcome::Refused(Refusal::ReadOnly { cause: CLOSED }),
            Some(Answered::Outcome(outcome)) => *outcome,
            Some(Answered::Reply(_)) => unreachable!("a transaction alone was submitted"),
        }
    }

    /// Waits for the answers to what is submitted; `None` when the queue is closed and did not take it.
    fn wait_for(&self, submit: impl FnOnce(&mut WriteHandle)) -> Option<Vec<Answered>> {
        let waiting: Thread = thread::current();
        let mut handle = self.handle(move || waiting.unpark());
        submit(&mut handle);
        handle.flush();
        if handle.is_answered() {
            return None;
        }
        let mut answers = Vec::new();
        while !handle.is_answered() {
            answers.extend(handle.take(Vec::new()).into_iter().map(|(_, answered)| answered));
            if !handle.is_answered() {
                thread::park();
            }
        }
        Some(answers)
    }

    pub(crate) fn report(&self) -> CommitReport {
        let record = &self.record;
        CommitReport {
            failed: record.failed.get().copied(),
            commits: record.commits.load(Relaxed),
            stocks_written: record.stocks_written.load(Relaxed),
            last_commit_ns: record.last_commit_ns.load(Relaxed),
            longest_commit_ns: record.longest_commit_ns.load(Relaxed),
        }
    }

    /// Ends the thread, which first commits and answers what waits. Waits for it for ever, or for
    /// `patience`.
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
                return Err("the thread of the committer has panicked");
            }
        }
        self.record.failed.get().map_or(Ok(()), |cause| Err(cause))
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        let _ = self.close(None);
    }
}

impl CommitThread {
    fn run(mut self, queue: &WriteQueue) {
        while let Some(batches) = queue.take(self.due) {
            self.round(batches);
        }
        let _ = self.commit();
        self.market.registry.retire(&self.cells);
    }

    /// Executes these write batches, and answers.
    fn round(&mut self, batches: Vec<WriteBatch>) {
        let refusal = self.record.refusal();
        let mut answers: Vec<Vec<(ReplyTo, Answered)>> = Vec::with_capacity(batches.len());
        for batch in &batches {
            let decide = |&(to, ref asked): &(ReplyTo, Asked)| (to, self.decide(asked, refusal));
            answers.push(batch.requests.iter().map(decide).collect());
        }
        let kept = self.keep();
        let mut done = Totals::default();
        for (batch, answers) in batches.iter().zip(&mut answers) {
            for ((_, asked), (_, answered)) in batch.requests.iter().zip(answers) {
                if let Err(cause) = kept {
                    self.take_back(asked, answered, cause);
                }
                match (asked, answered) {
                    (Asked::Request(asked), Answered::Reply(reply)) => {
                        done.count(&asked.request, reply);
                    }
                    (Asked::Transaction(transaction), Answered::Outcome(outcome)) => {
                        done.count_transaction(transaction, outcome);
                    }
                    _ => unreachable!("each is answered in kind"),
                }
            }
        }
        // Before the replies: a request is counted when its reply arrives.
        self.cells.add(&done);
        for (batch, answers) in batches.into_iter().zip(answers) {
            batch.answer(answers);
        }
    }

    fn decide(&mut self, asked: &Asked, refusal: Option<Refusal>) -> Answered {
        match asked {
            Asked::Request(request) => Answered::Reply(self.overlay.execute(request, refusal)),
            Asked::Transaction(transaction) => {
                Answered::Outcome(Box::new(transaction.decide(&mut self.overlay, refusal)))
            }
        }
    }

    /// Commits and shows what this round has decided, in the order that `sync` asks for.
    fn keep(&mut self) -> Result<(), &'static str> {
        let Sync::Interval(interval) = self.sync else {
            return self.commit();
        };
        self.show();
        if !self.overlay.is_empty() {
            let due = *self.due.get_or_insert_with(|| Instant::now() + interval);
            if due <= Instant::now() {
                // A failure refuses later writes. Those of this round have taken effect.
                let _ = self.commit();
            }
        }
        Ok(())
    }

    /// Makes of an answer what it is when nothing of this round was kept.
    fn take_back(&self, asked: &Asked, answered: &mut Answered, cause: &'static str) {
        match answered {
            Answered::Reply(Reply::Refused(Refusal::ReadOnly { .. })) => {}
            Answered::Reply(reply) => {
                *reply = match asked {
                    Asked::Request(Conditional {
                        request: lookup @ Request::Lookup(_), ..
                    }) => self.overlay.look_up_row(lookup),
                    _ => Reply::Refused(Refusal::NotKept { cause }),
                }
            }
            // What it saw of others may be gone too, so all of it is.
            Answered::Outcome(outcome) => {
                if !matches!(**outcome, Outcome::Refused(_)) {
                    **outcome = Outcome::Refused(Refusal::NotKept { cause });
                }
            }
        }
    }

    /// Makes the rows show the overlay. A snapshot begins before or after that.
    fn show(&mut self) {
        let _between = self.market.gate.between_transactions();
        self.overlay.apply();
    }

    /// Commits the overlay, and shows it. After a failure the rows stay as they are.
    fn commit(&mut self) -> Result<(), &'static str> {
        self.due = None;
        if self.overlay.is_empty() {
            return Ok(());
        }
        let (writes, version_floor) = self.overlay.writes();
        let began = Instant::now();
        let kept = match self.store.commit(&writes, version_floor) {
            Ok(()) => {
                self.record.count(writes.len(), began.elapsed());
                self.show();
                Ok(())
            }
            Err(error) => Err(self.record.fail(&error)),
        };
        self.overlay.clear();
        kept
    }
}

impl Record {
    fn refusal(&self) -> Option<Refusal> {
        self.failed.get().map(|cause| Refusal::ReadOnly { cause })
    }

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
            // Leaked at most once in the life of a committer.
            Box::leak(error.to_string().into_boxed_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;
    use std::sync::mpsc;

    use stockd_model::{Fields, Price, Quote, Symbol, Volume};
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

    fn quote_of(engine: &Engine, symbol: &Symbol) -> Option<Quote> {
        engine.quote(&Access::All, symbol)
    }

    fn set(name: &str, volume: u64) -> Request {
        let fields =
            Fields { price: Some(Price::MIN), volume: Some(Volume::new(volume)), status: None };
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
            // The commit waits at the gate: nobody sees the stock, and the writer has no reply.
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
        assert_eq!(engine.count(&Access::All), 1);

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
                    while let Reply::Updated(_) = executor.batch(&Access::All).execute(&trade) {
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
