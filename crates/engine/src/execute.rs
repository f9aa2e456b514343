//! Executes requests against the catalog.
//!
//! Invariant: a request either takes effect whole and is counted, or is refused and changes
//! nothing.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_utils::CachePadded;
use stockd_catalog::{Catalog, CatalogFull, Change, Changed, View};
use stockd_model::{Fields, Quote, Refusal, Reply, Request, Status, Symbol, Volume};

use crate::counters::{Cells, Registry, Totals};
use crate::watch::{Watcher, Watchers};

/// The catalog, and all that is done with it. Shared by every way in.
#[derive(Debug, Default)]
pub struct Engine {
    catalog: Catalog,
    registry: Registry,
    watchers: Arc<Watchers>,
}

impl Engine {
    /// An engine over this catalog.
    pub fn new(catalog: Catalog) -> Engine {
        Engine { catalog, ..Engine::default() }
    }

    /// The catalog, for what is not a request: sizes, and iterating over every quote.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What has been done so far, over all executors. Batches that are open are not in it yet.
    pub fn totals(&self) -> Totals {
        self.registry.totals()
    }

    /// A watcher of changes for one thread that serves subscribers. A write to a stock that it
    /// watches calls `wake`, on the writer's thread, at most once until the watcher takes its
    /// marks.
    pub fn watcher(&self, wake: impl Fn() + Send + Sync + 'static) -> Watcher {
        self.watchers.watcher(wake)
    }

    /// The means to execute requests on one thread. Cheap to keep, not cheap to make: one a
    /// thread, for as long as the thread serves.
    pub fn executor(self: &Arc<Self>) -> Executor {
        Executor { engine: Arc::clone(self), cells: self.registry.register() }
    }
}

/// Executes the requests of one thread.
#[derive(Debug)]
pub struct Executor {
    engine: Arc<Engine>,
    cells: Arc<CachePadded<Cells>>,
}

impl Executor {
    /// Begins a batch: what one connection asked at one wakeup. Needs the executor for itself
    /// alone, since the counters have one writer.
    #[inline]
    pub fn batch(&mut self) -> Batch<'_> {
        Batch {
            view: self.engine.catalog.view(),
            engine: &self.engine,
            cells: &self.cells,
            done: Totals::default(),
        }
    }

    /// The engine behind it.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.engine.registry.retire(&self.cells);
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
}

impl<'a> Batch<'a> {
    /// The engine behind it.
    pub fn engine(&self) -> &'a Engine {
        self.engine
    }

    /// Executes one request.
    #[inline(always)]
    pub fn execute(&mut self, request: &Request) -> Reply {
        match request {
            Request::Lookup(Ok(symbol)) => self.lookup(symbol),
            Request::Lookup(Err(_)) => {
                self.done.misses += 1;
                Reply::NotFound
            }
            write => self.write(write),
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
    fn write(&mut self, request: &Request) -> Reply {
        let outcome = match request {
            Request::Lookup(_) => unreachable!("lookups are not writes"),
            Request::Set(symbol, fields) => self.change(symbol, |quote| set(symbol, quote, fields)),
            Request::Update(symbol, fields) => self.change(symbol, |quote| {
                let quote = quote.ok_or(Refusal::NotListed(*symbol))?;
                set(symbol, Some(quote), fields)
            }),
            Request::Trade(symbol, delta) => {
                self.change(symbol, |quote| trade(symbol, quote, *delta))
            }
            Request::Delist(symbol) => self.change(symbol, |quote| {
                Ok(if quote.is_some() { Change::Delist } else { Change::Keep })
            }),
        };
        let changed = match outcome {
            Ok(changed) => changed,
            Err(Refused(refusal)) => {
                self.done.refusals += 1;
                return Reply::Refused(refusal);
            }
        };
        match (changed.before, changed.after) {
            (None, None) => Reply::NotFound,
            (None, Some(first)) => {
                self.done.listings += 1;
                Reply::Listed(first)
            }
            (Some(_), Some(now)) => {
                match request {
                    Request::Trade(..) => self.done.trades += 1,
                    _ => self.done.updates += 1,
                }
                Reply::Updated(now)
            }
            (Some(last), None) => {
                self.done.delistings += 1;
                Reply::Delisted(last)
            }
        }
    }

    fn change(
        &self,
        symbol: &Symbol,
        decide: impl FnOnce(Option<&Quote>) -> Result<Change, Refusal>,
    ) -> Result<Changed, Refused> {
        let changed =
            self.engine.catalog.change(symbol, now_ns(), |quote| decide(quote).map_err(Refused))?;
        if changed.before != changed.after {
            self.engine.watchers.mark(symbol);
        }
        Ok(changed)
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.cells.add(&self.done);
    }
}

/// What a set does to a quote, or to none.
fn set(symbol: &Symbol, quote: Option<&Quote>, fields: &Fields) -> Result<Change, Refusal> {
    let price = fields.price.or(quote.map(|quote| quote.price));
    Ok(Change::Put {
        price: price.ok_or(Refusal::PriceMissing(*symbol))?,
        volume: fields.volume.or(quote.map(|quote| quote.volume)).unwrap_or(Volume::EXHAUSTED),
        status: fields.status.or(quote.map(|quote| quote.status)).unwrap_or(Status::Trading),
    })
}

/// What a trade does to a quote.
fn trade(symbol: &Symbol, quote: Option<&Quote>, delta: i64) -> Result<Change, Refusal> {
    let symbol = *symbol;
    let &Quote { price, volume, status, .. } = quote.ok_or(Refusal::NotListed(symbol))?;
    if status == Status::Halted {
        return Err(Refusal::Halted(symbol));
    }
    let shares = delta.unsigned_abs();
    let refusal = match delta {
        ..0 => Refusal::VolumeTooLow { symbol, volume, take: shares },
        0.. => Refusal::VolumeTooHigh { symbol, volume, add: shares },
    };
    let volume = volume.after_trade(delta).ok_or(refusal)?;
    Ok(Change::Put { price, volume, status })
}

/// A [`Refusal`] on its way through the catalog, whose one error of its own becomes one too.
struct Refused(Refusal);

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
        assert_eq!((first.version, first.tradable_price()), (1, Some(first.price)));
        assert!(first.updated_ns > 1_700_000_000_000_000_000);

        let price_alone = Fields { price: Some("173".parse().unwrap()), ..Fields::default() };
        let Reply::Updated(second) = batch.execute(&Request::Update(apple, price_alone)) else {
            panic!("not updated")
        };
        assert_eq!((second.version, second.volume.shares()), (2, 10));

        let Reply::Updated(third) = batch.execute(&Request::Trade(apple, -10)) else {
            panic!("not traded")
        };
        assert_eq!(third.tradable_price(), None);
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
