//! The engine: the one door to the catalog.
//!
//! It holds the catalog together with what keeps writes and tells watchers, and gives out the means
//! to use it: executors, write handles, watchers, snapshots and pages. Each use is made with an
//! [`Access`], and nothing outside this crate reaches the catalog of an engine in another way.
//!
//! Invariant: a read shows nothing that its access does not read, and a write changes nothing that its
//! access does not write.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use stockd_access::Access;
use stockd_catalog::{Catalog, Page};
use stockd_model::{Condition, Quote, Refusal, Right, Symbol, Watched};
use stockd_store::{Store, random_epoch};

use crate::access;
use crate::cluster_report::{ClusterReport, Reporter};
use crate::commit_record::CommitReport;
use crate::committer::{CloseError, CommitRole, Committer};
use crate::counters::Totals;
use crate::feed::{Directory, Feed};
use crate::feeding::FeedHandle;
use crate::freshness::Freshness;
use crate::grower::Grower;
use crate::market::Market;
use crate::rounds::Sync;
use crate::snapshot::Snapshot;
use crate::sources::{FeedReport, NotOpened, Opening};
use crate::write_queue::WriteHandle;

/// The catalog, and all that is done with it. Shared by all threads and protocols.
#[derive(Debug)]
pub struct Engine {
    // Before the market: it writes all that was asked when it is dropped.
    pub(crate) committer: Option<Committer>,
    _grower: Option<Grower>,
    freshness: Freshness,
    /// Whether its writes go through a log that says nothing of feeds.
    is_replicated: bool,
    pub(crate) market: Arc<Market>,
    epoch: u64,
    /// Asked for what a cluster says of itself.
    cluster: OnceLock<Reporter>,
}

impl Engine {
    /// An engine over this catalog, in memory alone. A thread prepares the growth of a large
    /// catalog.
    pub fn new(catalog: Catalog) -> Engine {
        let market = Market::new(catalog);
        let grower = Grower::start(&market);
        Engine::assemble(market, None, grower, random_epoch())
    }

    /// As [`new`](Engine::new), but without a thread: who lists stocks while a large catalog begins
    /// to grow waits, in sum as long as the system takes to hand out the memory.
    pub fn without_threads(catalog: Catalog) -> Engine {
        Engine::assemble(Market::new(catalog), None, None, random_epoch())
    }

    /// An engine over a catalog that was read from this store. It keeps every write there before
    /// the write takes effect; until then no lookup, subscriber or snapshot sees it.
    ///
    /// `version_floor` is what the store was last given: see [`Store::commit`].
    ///
    /// # Panics
    ///
    /// When the system cannot start a thread.
    pub fn durable(
        catalog: Catalog,
        version_floor: u64,
        store: Box<dyn Store>,
        sync: Sync,
    ) -> Engine {
        catalog.raise_version_floor(version_floor);
        let market = Market::new(catalog);
        let epoch = store.epoch();
        let committer = Committer::start(Arc::clone(&market), version_floor, store, sync);
        let grower = Grower::start(&market);
        Engine::assemble(market, Some(committer), grower, epoch)
    }

    /// An engine whose writes somebody else does.
    pub(crate) fn over(market: Arc<Market>, committer: Committer, epoch: u64) -> Engine {
        let grower = Grower::start(&market);
        let engine = Engine::assemble(market, Some(committer), grower, epoch);
        Engine { is_replicated: true, ..engine }
    }

    fn assemble(
        market: Arc<Market>,
        committer: Option<Committer>,
        grower: Option<Grower>,
        epoch: u64,
    ) -> Engine {
        Engine {
            committer,
            _grower: grower,
            freshness: Freshness::default(),
            is_replicated: false,
            market,
            epoch,
            cluster: OnceLock::new(),
        }
    }

    /// A random number: versions of quotes compare within one epoch only. That of a durable engine is
    /// kept in its store; in memory each engine has its own.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The quote of one stock, or `None` if it is not listed or may not be read. Not counted as a lookup.
    pub fn quote(&self, access: &Access, symbol: &Symbol) -> Option<Quote> {
        if access.reads(symbol) { self.market.catalog.get(symbol) } else { None }
    }

    /// A stock as it is now, to be compared when a [transaction](crate::Transaction) is executed: its
    /// version, or that it is not listed.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotPermitted`] where it may not be read.
    pub fn watch(&self, access: &Access, symbol: &Symbol) -> Result<Watched, Refusal> {
        if !access.reads(symbol) {
            return Err(Refusal::NotPermitted { right: Right::Read, symbol: *symbol });
        }
        let version = |quote: Quote| Condition::Version(quote.version);
        Ok((*symbol, self.quote(access, symbol).map_or(Condition::Unlisted, version)))
    }

    /// The quotes in about this many rows from a place in the catalog, in no useful order, and the
    /// place to go on from. Place 0 is the beginning. Over a whole round every stock that was
    /// listed throughout appears, however much the catalog changes in between.
    pub fn browse(&self, access: &Access, from: u64, rows: usize) -> Page {
        let mut page = self.market.catalog.page(from, rows);
        access::retain(access, &mut page.quotes);
        page
    }

    /// The number of listed stocks; `None` where not all of them may be read, so that it takes a look at
    /// [each page](Engine::browse) to count those that may.
    pub fn count(&self, access: &Access) -> Option<usize> {
        access.reads_all().then(|| self.market.catalog.len())
    }

    /// Bytes of the catalog, its unused rows included.
    pub fn memory_bytes(&self) -> usize {
        self.market.catalog.memory_bytes()
    }

    /// The catalog as it is at this moment, `now`, to be read page by page while it changes: the stocks that
    /// may be read, and for an administrator all of them.
    /// `None` while [`SNAPSHOTS_MAX`](stockd_model::limits::SNAPSHOTS_MAX) are being read. One that
    /// was not read for [`SNAPSHOT_PAGE_TIMEOUT`](stockd_model::limits::SNAPSHOT_PAGE_TIMEOUT) is
    /// ended for it.
    pub fn snapshot(&self, access: &Access, now: Instant) -> Option<Snapshot> {
        Snapshot::begin(&self.market, access, now)
    }

    /// Bytes of what writes have saved for snapshots that are being read, at most
    /// [`SNAPSHOT_BYTES_MAX`](stockd_model::limits::SNAPSHOT_BYTES_MAX), or what the rows of the catalog take where that
    /// is more, and what one write adds.
    pub fn snapshot_bytes(&self) -> usize {
        self.market.saved.bytes()
    }

    /// A feed of changes for one thread or task that serves subscribers. A change of something that
    /// they are subscribed to calls `wake`, on the writer's thread, at most once until the feed has
    /// [passed everything on](Feed::pass_on); it must be quick.
    pub fn feed(&self, wake: impl Fn() + Send + std::marker::Sync + 'static) -> Feed {
        Feed::new(&self.market, wake)
    }

    /// Opens a feed of market data for one connection: its writes are tied to it with the handle. `user` is who
    /// opens it, where users are known; a feed belongs to the user that opened it first.
    ///
    /// # Errors
    ///
    /// [`NotOpened`]; nothing has changed.
    pub fn open_feed(
        &self,
        opening: &Opening<'_>,
        user: Option<&str>,
        access: &Access,
        now: Instant,
    ) -> Result<FeedHandle, NotOpened> {
        if self.is_replicated {
            return Err(NotOpened::Replicated);
        }
        self.freshness.start(&self.market);
        self.market.open_source(opening, user, access.has(Right::Admin), now)
    }

    /// The feeds of market data that were opened, or that stocks come from.
    pub fn feed_reports(&self, now: Instant) -> Vec<FeedReport> {
        self.market.feed_reports(now)
    }

    /// Who is subscribed to what, over all feeds.
    pub fn directory(&self) -> &Directory {
        &self.market.directory
    }

    /// The means to have requests executed by the committer, for one thread that must not wait;
    /// `None` when the catalog is in memory alone. When there are replies to take, `wake` is called
    /// on the committer's thread, at most once until they are taken.
    pub fn write_handle(
        &self,
        wake: impl Fn() + Send + std::marker::Sync + 'static,
    ) -> Option<WriteHandle> {
        self.committer.as_ref().map(|committer| committer.handle(wake))
    }

    /// The means to have requests executed by the thread that asks, where it has nothing else to do; `None` where only
    /// the committer does that, or when the catalog is in memory alone.
    pub fn commit_role(&self) -> Option<CommitRole> {
        self.committer.as_ref().and_then(Committer::role)
    }

    /// What has been done so far, over all executors. Batches that are open are not included yet.
    pub fn totals(&self) -> Totals {
        self.market.registry.totals()
    }

    /// What the committer has done; `None` when the catalog is in memory alone.
    pub fn commit_report(&self) -> Option<CommitReport> {
        self.committer.as_ref().map(Committer::report)
    }

    /// Asks there from now on what the [cluster](Engine::cluster_report) says of itself. Only the first one is asked.
    pub fn report_cluster_with(
        &self,
        report: impl Fn() -> ClusterReport + Send + std::marker::Sync + 'static,
    ) {
        let _ = self.cluster.set(Reporter::new(report));
    }

    /// Whether it is that of a node of a cluster: others write to its catalog, too.
    pub fn is_replicated(&self) -> bool {
        self.is_replicated
    }

    /// What the cluster says of itself that this engine is a node of; `None` when it is none.
    pub fn cluster_report(&self) -> Option<ClusterReport> {
        self.cluster.get().map(Reporter::report)
    }

    /// Has writes taken again after a commit has failed, if the disk is well again: the store is opened again and
    /// given what it does not have. The [report](Engine::commit_report) says, within about a second, whether it
    /// went well.
    pub fn resume(&self) {
        if let Some(committer) = &self.committer {
            committer.resume();
        }
    }

    /// Ends the committer: what was asked is written and answered, later writes are refused. An
    /// engine that is dropped does this too, but waits for ever and cannot say how it went.
    ///
    /// # Errors
    ///
    /// Why writes were refused, if a commit has failed at any time; or that the committer has not
    /// ended within `patience` because the disk does not answer.
    pub fn close(&self, patience: Duration) -> Result<(), CloseError> {
        self.committer.as_ref().map_or(Ok(()), |committer| committer.close(Some(patience)))
    }
}

impl Default for Engine {
    /// An empty one, in memory alone.
    fn default() -> Engine {
        Engine::new(Catalog::new())
    }
}

#[cfg(test)]
mod tests {
    use stockd_model::{Edit, Fields, Reply, Request, Volume};

    use super::*;

    fn listed() -> (Arc<Engine>, Symbol) {
        let engine = Arc::new(Engine::default());
        let apple = "AAPL".parse().unwrap();
        let price = Some("172.5".parse().unwrap());
        let fields =
            Fields { price: price.into(), volume: Edit::Set(Volume::new(1)), ..Fields::default() };
        engine.executor().batch(&Access::All).execute(&Request::Set(apple, fields));
        (engine, apple)
    }

    fn browsed(engine: &Engine, access: &Access) -> Vec<Symbol> {
        let (mut symbols, mut from) = (Vec::new(), Some(0));
        while let Some(place) = from {
            let page = engine.browse(access, place, 100);
            symbols.extend(page.quotes.iter().map(|quote| quote.symbol));
            from = page.next;
        }
        symbols
    }

    fn snapshot_page(engine: &Engine, access: &Access) -> Vec<Quote> {
        let now = Instant::now();
        engine.snapshot(access, now).unwrap().page(usize::MAX, now).unwrap().unwrap()
    }

    #[test]
    fn every_door_shows_what_the_access_reads() {
        let (engine, apple) = listed();
        let access = &Access::All;
        let quote = engine.quote(access, &apple).unwrap();
        assert_eq!(quote.symbol, apple);
        assert_eq!(browsed(&engine, access), [apple]);
        assert_eq!(engine.count(access), Some(1));
        assert!(engine.memory_bytes() >= 64);
        assert_eq!(snapshot_page(&engine, access), [quote]);
    }

    #[test]
    fn no_door_shows_what_the_access_does_not_read() {
        let (engine, apple) = listed();
        let access = &Access::nothing();
        assert_eq!(engine.quote(access, &apple), None);
        assert_eq!(browsed(&engine, access), []);
        assert_eq!(engine.count(access), None);
        assert_eq!(snapshot_page(&engine, access), []);

        let mut executor = engine.executor();
        let mut batch = executor.batch(access);
        batch.begin(&Ok(apple));
        batch.begin_symbol(&apple);
        batch.begin(&Symbol::parse(b""));
        let mut answers = Vec::new();
        batch.answer(|answer| answers.push(answer));
        let refused = stockd_model::Answer::NotPermitted;
        assert_eq!(answers, [refused, refused, stockd_model::Answer::NotFound]);
        let not_permitted = |right, symbol| Refusal::NotPermitted { right, symbol };
        for symbol in [apple, "XYZ".parse().unwrap()] {
            let lookup = Request::Lookup(Ok(symbol));
            let refused = Reply::Refused(not_permitted(Right::Read, symbol));
            assert_eq!(batch.execute(&lookup), refused, "whether it is listed or not");
            assert!(engine.watch(access, &symbol).is_err());
        }
    }

    /// What may not be written is refused by every way to the catalog, in memory and on the disk.
    #[test]
    fn no_door_changes_what_the_access_does_not_write() {
        let (engine, apple) = listed();
        let quote = engine.quote(&Access::All, &apple);
        let access = &Access::nothing();
        let fields = Fields { price: Edit::Set("1".parse().unwrap()), ..Fields::default() };
        let requests = [
            Request::Set(apple, fields),
            Request::Update(apple, fields),
            Request::Clear(apple, fields),
            Request::Trade(apple, 1.into()),
            Request::Delist(apple),
        ];
        let mut executor = engine.executor();
        for request in requests {
            let refusal = Refusal::NotPermitted { right: request.right(), symbol: apple };
            let refused = Reply::Refused(refusal);
            assert_eq!(executor.batch(access).execute(&request), refused);
            assert_eq!(executor.batch(access).execute_now(&request), Some(refused));
            assert_eq!(executor.batch(access).execute_all(&[request.into()]), [refused]);
            assert_eq!(executor.batch(access).execute_if(&request.into()), refused);
            let transaction = || crate::Transaction::new(Vec::new(), vec![request]);
            let outcome = crate::Outcome::Refused(refusal);
            assert_eq!(executor.transact(access, transaction()), outcome);
            assert_eq!(executor.transact_now(access, transaction()), Ok(outcome));
        }
        assert_eq!(engine.quote(&Access::All, &apple), quote);
        assert_eq!(engine.totals().not_permitted, 30);
        assert_eq!(engine.totals().refusals, 0);
    }
}
