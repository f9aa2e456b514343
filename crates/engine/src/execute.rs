//! Executes requests against the catalog.
//!
//! Invariant: a request either takes effect whole and is counted, or is refused and changes
//! nothing.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_utils::CachePadded;
use stockd_catalog::{Catalog, CatalogFull, Change, Changed, Sought, View};
use stockd_model::limits::LOOKUPS_TOGETHER_MAX;
use stockd_model::{Answer, Quote, Refusal, Reply, Request, Symbol, SymbolError};
use stockd_store::Store;

use crate::counters::{Cells, Registry, Totals};
use crate::decide::{self, Refused};
use crate::feed::{Watcher, Watchers};
use crate::journal::{Journal, JournalReport, Sync};
use crate::snapshot::{Snapshot, Snapshots};
use crate::writer::Writer;

/// The catalog, and all that is done with it. Shared by every way in.
#[derive(Debug, Default)]
pub struct Engine {
    // Before the market, so that all that was asked is written when it ends.
    journal: Option<Journal>,
    market: Arc<Market>,
}

/// The catalog and whom its changes concern: what the journal's thread shares with all others.
#[derive(Debug, Default)]
pub(crate) struct Market {
    pub(crate) catalog: Catalog,
    pub(crate) registry: Registry,
    watchers: Arc<Watchers>,
    pub(crate) snapshots: Snapshots,
}

impl Engine {
    /// An engine over this catalog, which is in memory alone.
    pub fn new(catalog: Catalog) -> Engine {
        Engine { journal: None, market: Market::new(catalog) }
    }

    /// An engine over a catalog that was read from this store, and that keeps every write there
    /// before it takes effect. Until then no lookup, subscriber or snapshot sees it.
    ///
    /// `version_floor` is what the store was last given: see [`Store::commit`].
    ///
    /// # Panics
    ///
    /// When the system gives no thread.
    pub fn durable(
        catalog: Catalog,
        version_floor: u64,
        store: Box<dyn Store>,
        sync: Sync,
    ) -> Engine {
        catalog.raise_version_floor(version_floor);
        let market = Market::new(catalog);
        let journal = Journal::start(Arc::clone(&market), version_floor, store, sync);
        Engine { journal: Some(journal), market }
    }

    /// The catalog, for what is not a request: sizes, and iterating over every quote.
    pub fn catalog(&self) -> &Catalog {
        &self.market.catalog
    }

    /// What has been done so far, over all executors. Batches that are open are not in it yet.
    pub fn totals(&self) -> Totals {
        self.market.registry.totals()
    }

    /// How the journal is; `None` when the catalog is in memory alone.
    pub fn journal(&self) -> Option<JournalReport> {
        self.journal.as_ref().map(Journal::report)
    }

    /// A watcher of changes for one thread that serves subscribers. A write to a stock that it
    /// watches calls `wake`, on the writer's thread, at most once until the watcher takes its
    /// marks.
    pub fn watcher(&self, wake: impl Fn() + Send + std::marker::Sync + 'static) -> Watcher {
        self.market.watchers.watcher(wake)
    }

    /// The means to have requests executed by the journal, for one thread that must not wait;
    /// `None` when there is no journal. When there are replies to take, `wake` is called on the
    /// journal's thread, at most once until they are taken.
    pub fn writer(&self, wake: impl Fn() + Send + std::marker::Sync + 'static) -> Option<Writer> {
        self.journal.as_ref().map(|journal| journal.writer(wake))
    }

    /// The whole catalog as it is at this moment, to be read page by page while it changes.
    /// `None` while [`SNAPSHOTS_MAX`](stockd_model::limits::SNAPSHOTS_MAX) are being read already.
    pub fn snapshot(&self) -> Option<Snapshot> {
        Snapshot::begin(Arc::clone(&self.market))
    }

    /// The means to execute requests on one thread. Cheap to keep, not cheap to make: one a
    /// thread, for as long as the thread serves.
    pub fn executor(self: &Arc<Self>) -> Executor {
        Executor {
            cells: self.market.registry.register(),
            engine: Arc::clone(self),
            sought: Box::new([Sought::nothing(); LOOKUPS_TOGETHER_MAX]),
        }
    }

    /// Ends the journal: what was asked is written and answered, later writes are refused. An
    /// engine that is dropped does this too, but waits for ever and cannot say how it went.
    ///
    /// # Errors
    ///
    /// Why writes were refused, if the journal has failed at any time; or that it has not ended
    /// within the patience, since the disk does not answer.
    pub fn close(&self, patience: Duration) -> Result<(), &'static str> {
        self.journal.as_ref().map_or(Ok(()), |journal| journal.close(Some(patience)))
    }
}

impl Market {
    fn new(catalog: Catalog) -> Arc<Market> {
        Arc::new(Market { catalog, ..Market::default() })
    }

    /// Changes one stock, and tells those whom it concerns.
    pub(crate) fn change(
        &self,
        symbol: &Symbol,
        decide: impl FnOnce(Option<&Quote>) -> Result<Change, Refusal>,
    ) -> Result<Changed, Refused> {
        let changed = self.catalog.change(symbol, now_ns(), |quote| {
            let change = decide(quote).map_err(Refused)?;
            if change != Change::Keep {
                self.snapshots.save(symbol, || self.catalog.place(symbol), quote);
            }
            Ok::<_, Refused>(change)
        })?;
        if changed.before != changed.after {
            self.watchers.mark(symbol);
        }
        Ok(changed)
    }
}

/// Executes the requests of one thread.
#[derive(Debug)]
pub struct Executor {
    engine: Arc<Engine>,
    cells: Arc<CachePadded<Cells>>,
    /// Room for the lookups of a batch that are begun.
    sought: Box<[Sought; LOOKUPS_TOGETHER_MAX]>,
}

impl Executor {
    /// Begins a batch: what one connection asked at one wakeup. Needs the executor for itself
    /// alone, since the counters have one writer.
    #[inline]
    pub fn batch(&mut self) -> Batch<'_> {
        Batch {
            view: self.engine.market.catalog.view(),
            engine: &self.engine,
            cells: &self.cells,
            done: Totals::default(),
            sought: &mut self.sought,
            begun: 0,
        }
    }

    /// The engine behind it.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.engine.market.registry.retire(&self.cells);
    }
}

/// Requests executed together: they share one view of the catalog and are counted at the end.
/// Short-lived by design; a table that the catalog has outgrown is freed when the last batch
/// that saw it ends.
#[derive(Debug)]
pub struct Batch<'a> {
    view: View<'a>,
    engine: &'a Engine,
    cells: &'a Cells,
    done: Totals,
    /// Lookups that are begun and not answered, at the front.
    sought: &'a mut [Sought; LOOKUPS_TOGETHER_MAX],
    begun: usize,
}

impl<'a> Batch<'a> {
    /// The engine behind it.
    pub fn engine(&self) -> &'a Engine {
        self.engine
    }

    /// Begins a lookup. It is answered by the next call of [`answer`](Batch::answer), which must come
    /// before any other request.
    ///
    /// # Panics
    ///
    /// When [`LOOKUPS_TOGETHER_MAX`] lookups are begun already.
    #[inline(always)]
    pub fn begin(&mut self, symbol: &Result<Symbol, SymbolError>) {
        self.sought[self.begun] = match symbol {
            Ok(symbol) => self.view.seek(symbol),
            Err(_) => Sought::nothing(),
        };
        self.begun += 1;
    }

    /// How many lookups are begun.
    #[inline(always)]
    pub fn begun(&self) -> usize {
        self.begun
    }

    /// Answers all lookups that are begun, in their order, and hands each answer over.
    #[inline(always)]
    pub fn answer(&mut self, mut each: impl FnMut(Answer)) {
        for sought in &self.sought[..self.begun] {
            let quote = self.view.get_sought(sought);
            match quote {
                Some(_) => self.done.hits += 1,
                None => self.done.misses += 1,
            }
            each(quote.map_or(Answer::NotFound, |quote| quote.answer()));
        }
        self.begun = 0;
    }

    /// Executes one request. In a [durable](Engine::durable) engine a write waits for the disk.
    #[inline(always)]
    pub fn execute(&mut self, request: &Request) -> Reply {
        match self.execute_now(request) {
            Some(reply) => reply,
            None => self.execute_durably(request),
        }
    }

    /// Executes these requests one after the other. In a [durable](Engine::durable) engine they are
    /// kept together, with one wait for the disk.
    pub fn execute_all(&mut self, requests: &[Request]) -> Vec<Reply> {
        match &self.engine.journal {
            Some(journal) if !requests.is_empty() => journal.execute(requests),
            _ => requests.iter().map(|request| self.execute(request)).collect(),
        }
    }

    /// Executes one request, unless that would have to wait for the disk: then it has done
    /// nothing, and the request is one for a [`Writer`].
    #[inline(always)]
    pub fn execute_now(&mut self, request: &Request) -> Option<Reply> {
        debug_assert_eq!(self.begun, 0, "lookups are answered before what comes after them");
        match request {
            Request::Lookup(Ok(symbol)) => Some(self.lookup(symbol)),
            Request::Lookup(Err(_)) => {
                self.done.misses += 1;
                Some(Reply::NotFound)
            }
            write => self.write_now(write),
        }
    }

    #[inline(always)]
    fn lookup(&mut self, symbol: &Symbol) -> Reply {
        match self.view.get(symbol) {
            Some(quote) => {
                self.done.hits += 1;
                Reply::Found(quote)
            }
            None => {
                self.done.misses += 1;
                Reply::NotFound
            }
        }
    }

    #[cold]
    fn write_now(&mut self, request: &Request) -> Option<Reply> {
        let reply = match &self.engine.journal {
            Some(journal) => Reply::Refused(journal.refusal()?),
            None => {
                let symbol = decide::symbol(request)?;
                let changed =
                    self.engine.market.change(symbol, |quote| decide::decide(request, quote));
                decide::reply(request, &changed)
            }
        };
        self.done.count(request, &reply);
        Some(reply)
    }

    #[cold]
    fn execute_durably(&self, request: &Request) -> Reply {
        let journal = self.engine.journal.as_ref().expect("without a journal nothing waits");
        journal.execute(std::slice::from_ref(request))[0]
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.cells.add(&self.done);
    }
}

impl From<CatalogFull> for Refused {
    fn from(full: CatalogFull) -> Refused {
        Refused(match full {
            CatalogFull::AtLimit { stocks_max } => Refusal::CatalogFull { stocks_max },
            CatalogFull::NoMemory { stocks, .. } => Refusal::NoMemory { stocks },
        })
    }
}

/// Unix time in nanoseconds, as quotes are stamped with; 0 on a machine whose clock stands before 1970.
pub fn now_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockd_model::{Fields, Status, Volume};

    fn symbol(name: &str) -> Symbol {
        name.parse().unwrap()
    }

    fn fields(price: &str, volume: u64) -> Fields {
        Fields {
            price: Some(price.parse().unwrap()),
            volume: Some(Volume::new(volume)),
            status: None,
        }
    }

    #[test]
    fn a_stock_lives_from_listing_to_delisting() {
        let engine = Arc::new(Engine::default());
        let mut executor = engine.executor();
        let mut batch = executor.batch();
        let apple = symbol("AAPL");

        assert_eq!(batch.execute(&Request::Lookup(Ok(apple))), Reply::NotFound);
        let Reply::Listed(first) = batch.execute(&Request::Set(apple, fields("172.5", 10))) else {
            panic!("not listed")
        };
        assert_eq!((first.version, first.answer()), (1, Answer::Price(first.price)));
        assert!(first.updated_ns > 1_700_000_000_000_000_000);

        let price_alone = Fields { price: Some("173".parse().unwrap()), ..Fields::default() };
        let Reply::Updated(second) = batch.execute(&Request::Update(apple, price_alone)) else {
            panic!("not updated")
        };
        assert_eq!((second.version, second.volume.shares()), (2, 10));

        let Reply::Updated(third) = batch.execute(&Request::Trade(apple, -10)) else {
            panic!("not traded")
        };
        assert_eq!(third.answer(), Answer::NotTradable);
        assert_eq!(batch.execute(&Request::Lookup(Ok(apple))), Reply::Found(third));
        assert_eq!(batch.execute(&Request::Delist(apple)), Reply::Delisted(third));
        assert_eq!(batch.execute(&Request::Delist(apple)), Reply::NotFound);
        assert_eq!(batch.execute(&Request::Lookup(Ok(apple))), Reply::NotFound);

        let Reply::Listed(again) = batch.execute(&Request::Set(apple, fields("1", 1))) else {
            panic!("not listed again")
        };
        assert!(again.version > third.version, "{again:?}");
    }

    #[test]
    fn lookups_that_are_begun_together_are_answered_in_order_with_what_is_there_by_then() {
        let engine = Arc::new(Engine::default());
        let (mut executor, mut writer) = (engine.executor(), engine.executor());
        writer.batch().execute(&Request::Set(symbol("AAPL"), fields("172.5", 1)));
        writer.batch().execute(&Request::Set(symbol("SOLDOUT"), fields("10", 0)));

        let mut batch = executor.batch();
        for round in 1..=3 {
            for name in [b"XYZ".as_slice(), b"AAPL", b"", b"SOLDOUT", b"AAPL"] {
                batch.begin(&Symbol::parse(name));
            }
            assert_eq!(batch.begun(), 5);
            let price = round.to_string();
            writer.batch().execute(&Request::Set(symbol("AAPL"), fields(&price, 1)));
            let mut answers = Vec::new();
            batch.answer(|answer| answers.push(answer.to_string()));
            assert_eq!(answers, ["-1", &price, "-1", "0", &price]);
            assert_eq!(batch.begun(), 0);
        }
        drop(batch);
        assert_eq!((engine.totals().hits, engine.totals().misses), (9, 6));
    }

    #[test]
    fn a_refused_write_changes_nothing_and_says_why() {
        let engine = Arc::new(Engine::default());
        let mut executor = engine.executor();
        let mut batch = executor.batch();
        let apple = symbol("AAPL");
        let mut why = |request: Request| match batch.execute(&request) {
            Reply::Refused(refusal) => refusal.to_string(),
            reply => panic!("{request:?} gave {reply:?}"),
        };
        let no_price = Fields { volume: Some(Volume::new(1)), ..Fields::default() };
        assert_eq!(
            why(Request::Set(apple, no_price)),
            "stock 'AAPL' is not listed, and listing it needs a price"
        );
        assert_eq!(
            why(Request::Update(apple, fields("1", 1))),
            "stock 'AAPL' is not listed; list it with a price first"
        );
        assert_eq!(
            why(Request::Trade(apple, 1)),
            "stock 'AAPL' is not listed; list it with a price first"
        );
        drop(batch);

        let mut batch = executor.batch();
        let Reply::Listed(first) = batch.execute(&Request::Set(apple, fields("172.5", 3))) else {
            panic!("not listed")
        };
        let mut why = |request: Request| match batch.execute(&request) {
            Reply::Refused(refusal) => refusal.to_string(),
            reply => panic!("{request:?} gave {reply:?}"),
        };
        assert_eq!(why(Request::Trade(apple, -5)), "volume of 'AAPL' is 3, cannot take 5");
        assert_eq!(
            why(Request::Trade(apple, i64::MIN)),
            "volume of 'AAPL' is 3, cannot take 9223372036854775808"
        );
        assert_eq!(batch.execute(&Request::Lookup(Ok(apple))), Reply::Found(first));

        batch.execute(&Request::Set(apple, fields("172.5", u64::MAX)));
        let Reply::Refused(refusal) = batch.execute(&Request::Trade(apple, 1)) else {
            panic!("a volume above the limit")
        };
        assert_eq!(
            refusal.to_string(),
            "volume of 'AAPL' is 18446744073709551615, cannot add 1: the limit is 18446744073709551615"
        );

        let halt = Fields { status: Some(Status::Halted), ..Fields::default() };
        batch.execute(&Request::Update(apple, halt));
        let Reply::Refused(refusal) = batch.execute(&Request::Trade(apple, -1)) else {
            panic!("traded while halted")
        };
        assert_eq!(refusal, Refusal::Halted(apple));
    }

    #[test]
    fn everything_is_counted_once() {
        let engine = Arc::new(Engine::default());
        let mut first = engine.executor();
        let mut second = engine.executor();
        let apple = symbol("AAPL");
        {
            let mut batch = first.batch();
            batch.execute(&Request::Set(apple, fields("1", 5)));
            batch.execute(&Request::Set(apple, fields("2", 5)));
            batch.execute(&Request::Trade(apple, -1));
            batch.execute(&Request::Trade(apple, -9));
        }
        {
            let mut batch = second.batch();
            batch.execute(&Request::Lookup(Ok(apple)));
            batch.execute(&Request::Lookup(Ok(symbol("XYZ"))));
            batch.execute(&Request::Lookup(Symbol::parse(b"")));
            batch.execute(&Request::Delist(apple));
        }
        drop(second);
        let expected = Totals {
            hits: 1,
            misses: 2,
            listings: 1,
            updates: 1,
            trades: 1,
            delistings: 1,
            refusals: 1,
        };
        assert_eq!(engine.totals(), expected);
        assert_eq!(engine.totals().lookups(), 3);
    }
}
