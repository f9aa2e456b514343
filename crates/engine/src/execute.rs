//! Executes requests against the catalog.
//!
//! An [`Executor`] belongs to one thread, a [`Batch`] to what one connection asked at one wakeup.
//! They know nothing of connections or bytes.
//!
//! Invariant: a request either takes effect whole and is counted, or is refused and changes
//! nothing. None is executed that its access does not allow.

use std::sync::Arc;

use crossbeam_utils::CachePadded;
use stockd_access::Access;
use stockd_catalog::{Sought, View};
use stockd_model::limits::LOOKUPS_TOGETHER_MAX;
use stockd_model::{
    Answer, Conditional, Quote, Refusal, Reply, Request, Right, SYMBOL_WORDS, Symbol, SymbolError,
};

use crate::counters::{Cells, Totals};
use crate::decide;
use crate::engine::Engine;
use crate::gate::Writer;
use crate::market::now_ns;
use crate::transaction::{Outcome, Transaction};

impl Engine {
    /// The means to execute requests on one thread. Cheap to keep, not cheap to make: make one a
    /// thread, for as long as the thread serves.
    pub fn executor(self: &Arc<Self>) -> Executor {
        Executor {
            account: Account {
                engine: Arc::clone(self),
                cells: self.market.registry.register(),
                writer: self.market.gate.register(),
            },
            sought: Box::new([Sought::nothing(); LOOKUPS_TOGETHER_MAX]),
        }
    }
}

/// Executes the requests of one thread.
#[derive(Debug)]
pub struct Executor {
    account: Account,
    /// Room for the lookups that a batch has begun.
    sought: Box<[Sought; LOOKUPS_TOGETHER_MAX]>,
}

/// The engine, and where this executor alone counts what it has done.
#[derive(Debug)]
struct Account {
    engine: Arc<Engine>,
    cells: Arc<CachePadded<Cells>>,
    /// With which it passes the gate.
    writer: Arc<CachePadded<Writer>>,
}

impl Executor {
    /// Begins a batch: what one connection, with this access, asked at one wakeup. One batch at a
    /// time, since the counters have one writer.
    #[inline]
    pub fn batch<'a>(&'a mut self, access: &'a Access) -> Batch<'a> {
        Batch {
            view: self.account.engine.market.catalog.view(),
            account: &self.account,
            hits: 0,
            misses: 0,
            sought: &mut self.sought,
            begun: 0,
            denied: Denied::default(),
            access,
            now_ns: None,
        }
    }

    /// Executes a transaction. In a [durable](Engine::durable) engine it waits for the disk.
    pub fn transact(&mut self, access: &Access, transaction: Transaction) -> Outcome {
        match &self.account.engine.committer {
            Some(committer) => committer.transact(access, transaction),
            None => self.transact_in_memory(access, &transaction),
        }
    }

    /// Executes a transaction, or gives it back if it has to wait for the disk: then it has to be
    /// submitted to a [`WriteHandle`](crate::WriteHandle).
    ///
    /// # Errors
    ///
    /// The transaction, where there is a committer.
    pub fn transact_now(
        &mut self,
        access: &Access,
        transaction: Transaction,
    ) -> Result<Outcome, Transaction> {
        match &self.account.engine.committer {
            Some(_) => Err(transaction),
            None => Ok(self.transact_in_memory(access, &transaction)),
        }
    }

    fn transact_in_memory(&mut self, access: &Access, transaction: &Transaction) -> Outcome {
        let outcome = match transaction.check(access) {
            Ok(()) => transaction.execute(&self.account.engine.market),
            Err(refusal) => Outcome::Refused(refusal),
        };
        let mut done = Totals::default();
        done.count_transaction(transaction, &outcome);
        self.account.cells.add(&done);
        outcome
    }

    /// The engine behind it.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.account.engine
    }
}

impl Account {
    #[inline]
    fn count(&self, request: &Request, reply: &Reply) {
        match (request, reply) {
            // Most writes.
            (Request::Set(..) | Request::Update(..), Reply::Updated(_)) => self.cells.add_update(),
            _ => self.count_any(request, reply),
        }
    }

    #[inline(never)]
    fn count_any(&self, request: &Request, reply: &Reply) {
        let mut done = Totals::default();
        done.count(request, reply);
        self.cells.add(&done);
    }
}

/// Puts nothing in place of what may not be read. Whether it did.
#[cold]
#[inline(never)]
fn deny(sought: &mut Sought, access: &Access) -> bool {
    // What is nothing already is not denied.
    let is_denied = sought.symbol().words() != [0; SYMBOL_WORDS] && !access.reads(sought.symbol());
    if is_denied {
        *sought = Sought::nothing_permitted();
    }
    is_denied
}

impl Account {
    #[cold]
    fn count_denied(&self, not_permitted: u64) {
        self.cells.add(&Totals { not_permitted, ..Totals::default() });
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.engine.market.registry.retire(&self.cells);
        self.engine.market.gate.retire(&self.writer);
    }
}

/// Requests executed together: they share one view of the catalog, and its lookups are counted at the end.
/// Meant to be short-lived: memory that the catalog has outgrown is freed when the last batch that
/// saw it ends.
#[derive(Debug)]
pub struct Batch<'a> {
    view: View<'a>,
    account: &'a Account,
    /// Lookups that found a listed stock, and those that found none.
    hits: u64,
    misses: u64,
    /// Lookups that are begun and not answered are the first `begun` of these.
    sought: &'a mut [Sought; LOOKUPS_TOGETHER_MAX],
    begun: usize,
    denied: Denied,
    access: &'a Access,
    /// When it first wrote: its writes are as of one moment.
    now_ns: Option<u64>,
}

/// Lookups that may not be made.
#[derive(Debug, Default)]
struct Denied {
    /// Whether there are some among those that are begun.
    is_begun: bool,
    /// Those that were answered.
    answered: u64,
}

impl<'a> Batch<'a> {
    /// The engine behind it.
    pub fn engine(&self) -> &'a Engine {
        &self.account.engine
    }

    /// What it may do.
    pub fn access(&self) -> &'a Access {
        self.access
    }

    /// Begins a lookup, which the next call of [`answer`](Batch::answer) answers. That call must
    /// come before any other request.
    ///
    /// # Panics
    ///
    /// When [`LOOKUPS_TOGETHER_MAX`] lookups are begun already.
    #[inline(always)]
    pub fn begin(&mut self, symbol: &Result<Symbol, SymbolError>) {
        let sought = match symbol {
            Ok(symbol) => self.view.seek(symbol),
            Err(_) => Sought::nothing(),
        };
        self.begin_sought(sought);
    }

    /// As [`begin`](Batch::begin), of what is a symbol.
    ///
    /// # Panics
    ///
    /// The same.
    #[inline(always)]
    pub fn begin_symbol(&mut self, symbol: &Symbol) {
        self.begin_sought(self.view.seek(symbol));
    }

    #[inline(always)]
    fn begin_sought(&mut self, sought: Sought) {
        let place = &mut self.sought[self.begun];
        *place = sought;
        // Now, where the symbol lies in memory anyhow: a lookup is short.
        if !self.access.reads_at_a_glance(place.symbol()) {
            self.denied.is_begun |= deny(place, self.access);
        }
        self.begun += 1;
    }

    /// As [`begin`](Batch::begin), of a name that no stock can have.
    ///
    /// # Panics
    ///
    /// The same.
    #[inline(always)]
    pub fn begin_impossible(&mut self) {
        self.sought[self.begun] = Sought::nothing();
        self.begun += 1;
    }

    /// How many lookups of the batch were refused because they are not permitted.
    #[inline(always)]
    pub fn denied(&self) -> u64 {
        self.denied.answered
    }

    /// Those of the answered lookups that were denied are no misses.
    #[cold]
    fn count_denied(&mut self) {
        let begun = self.sought[..self.begun].iter();
        let denied = begun.filter(|sought| sought.is_not_permitted()).count() as u64;
        self.denied.answered += denied;
        self.misses -= denied;
        self.denied.is_begun = false;
    }

    /// How many lookups are begun.
    #[inline(always)]
    pub fn begun(&self) -> usize {
        self.begun
    }

    /// Answers all lookups that are begun, in order, and hands each answer to `each`.
    #[inline(always)]
    pub fn answer(&mut self, mut each: impl FnMut(Answer)) {
        for sought in &self.sought[..self.begun] {
            let answer = self.view.answer_sought(sought);
            match answer {
                Some(_) => self.hits += 1,
                None => self.misses += 1,
            }
            each(answer.unwrap_or(match sought.is_not_permitted() {
                true => Answer::NotPermitted,
                false => Answer::NotFound,
            }));
        }
        if self.denied.is_begun {
            self.count_denied();
        }
        self.begun = 0;
    }

    /// Executes one request. In a [durable](Engine::durable) engine a write waits for the disk.
    #[inline(always)]
    pub fn execute(&mut self, request: &Request) -> Reply {
        match request {
            Request::Lookup(Ok(symbol)) => self.lookup(symbol, |reply| reply),
            request => match self.execute_now(request) {
                Some(reply) => reply,
                None => self.execute_durably(request),
            },
        }
    }

    /// Executes these requests one after the other, each if its condition holds. In a [durable](Engine::durable) engine they are
    /// committed together, with one wait for the disk.
    pub fn execute_all(&mut self, asked: &[Conditional]) -> Vec<Reply> {
        match &self.engine().committer {
            Some(committer) if !asked.is_empty() => committer.execute(self.access, asked),
            _ => asked.iter().map(|asked| self.execute_if(asked)).collect(),
        }
    }

    /// Executes one request if its condition holds. In a [durable](Engine::durable) engine it waits
    /// for the disk.
    pub fn execute_if(&mut self, asked: &Conditional) -> Reply {
        let engine = self.engine();
        if let Some(committer) = &engine.committer {
            return committer.execute(self.access, std::slice::from_ref(asked))[0];
        }
        let request = &asked.request;
        let reply = match (self.access.check(request), request.symbol()) {
            (Err(refusal), _) => Reply::Refused(refusal),
            (Ok(()), None) => Reply::NotFound,
            (Ok(()), Some(symbol)) => {
                let _pass = engine.market.gate.pass(&self.account.writer);
                let changed = engine.market.change(symbol, |quote| decide::decide_if(asked, quote));
                decide::reply(request, &changed)
            }
        };
        self.account.count(request, &reply);
        reply
    }

    /// Executes one request, unless that has to wait for the disk. Then this does nothing, and the
    /// request has to be submitted to a [`WriteHandle`](crate::WriteHandle).
    #[inline(always)]
    pub fn execute_now(&mut self, request: &Request) -> Option<Reply> {
        debug_assert_eq!(self.begun, 0, "lookups are answered before what comes after them");
        match request {
            Request::Lookup(Ok(symbol)) => self.lookup(symbol, Some),
            Request::Lookup(Err(_)) => {
                self.misses += 1;
                Some(Reply::NotFound)
            }
            write => self.write_now(write),
        }
    }

    /// In the shape that the caller returns: a quote is made there, and not copied.
    #[inline(always)]
    fn lookup<R>(&mut self, symbol: &Symbol, shaped: impl Fn(Reply) -> R) -> R {
        if !self.access.reads_at_a_glance(symbol) && !self.access.reads(symbol) {
            return shaped(self.deny_lookup(symbol));
        }
        match self.view.find_bare(symbol) {
            Some(bare) => {
                self.hits += 1;
                shaped(Reply::Found(bare.quote(symbol)))
            }
            None => shaped(self.lookup_any(symbol)),
        }
    }

    #[inline(never)]
    fn lookup_any(&mut self, symbol: &Symbol) -> Reply {
        match self.view.get(symbol) {
            Some(quote) => {
                self.hits += 1;
                Reply::Found(quote)
            }
            None => {
                self.misses += 1;
                Reply::NotFound
            }
        }
    }

    #[cold]
    fn deny_lookup(&mut self, symbol: &Symbol) -> Reply {
        self.denied.answered += 1;
        Reply::Refused(Refusal::NotPermitted { right: Right::Read, symbol: *symbol })
    }

    #[inline(never)]
    fn write_now(&mut self, request: &Request) -> Option<Reply> {
        let engine = self.engine();
        let reply = match (self.access.check(request), &engine.committer) {
            (Err(refusal), _) => Reply::Refused(refusal),
            (Ok(()), Some(committer)) => Reply::Refused(committer.refusal()?),
            (Ok(()), None) => self.write_in_memory(request)?,
        };
        self.account.count(request, &reply);
        Some(reply)
    }

    #[inline]
    fn write_in_memory(&mut self, request: &Request) -> Option<Reply> {
        let symbol = request.symbol()?;
        let now_ns = *self.now_ns.get_or_insert_with(now_ns);
        let market = &self.engine().market;
        let _pass = market.gate.pass(&self.account.writer);
        if decide::is_edit(request) {
            let edit = |before: &Quote, quote: &mut Quote| decide::edit(request, before, quote);
            match market.edit(&self.view, symbol, now_ns, edit) {
                Ok(Some(quote)) => return Some(Reply::Updated(quote)),
                Ok(None) => {}
                Err(refusal) => return Some(Reply::Refused(refusal)),
            }
        }
        let changed = market.change(symbol, |quote| decide::decide(request, quote));
        Some(decide::reply(request, &changed))
    }

    #[cold]
    fn execute_durably(&self, request: &Request) -> Reply {
        let committer = self.engine().committer.as_ref().expect("in memory nothing waits");
        committer.execute(self.access, &[(*request).into()])[0]
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.account.cells.add_lookups(self.hits, self.misses);
        if self.denied.answered > 0 {
            self.account.count_denied(self.denied.answered);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockd_model::{Edit, Fields, Refusal, Status, Volume};

    fn symbol(name: &str) -> Symbol {
        name.parse().unwrap()
    }

    fn fields(price: &str, volume: u64) -> Fields {
        Fields {
            price: Edit::Set(price.parse().unwrap()),
            volume: Edit::Set(Volume::new(volume)),
            ..Fields::default()
        }
    }

    #[test]
    fn a_stock_lives_from_listing_to_delisting() {
        let engine = Arc::new(Engine::default());
        let mut executor = engine.executor();
        let mut batch = executor.batch(&Access::All);
        let apple = symbol("AAPL");

        assert_eq!(batch.execute(&Request::Lookup(Ok(apple))), Reply::NotFound);
        let Reply::Listed(first) = batch.execute(&Request::Set(apple, fields("172.5", 10))) else {
            panic!("not listed")
        };
        assert_eq!((first.version, first.answer()), (1, Answer::Price(first.price.unwrap())));
        assert!(first.updated_ns > 1_700_000_000_000_000_000);

        let price_alone = Fields { price: Edit::Set("173".parse().unwrap()), ..Fields::default() };
        let Reply::Updated(second) = batch.execute(&Request::Update(apple, price_alone)) else {
            panic!("not updated")
        };
        assert_eq!((second.version, second.volume.unwrap().coefficient()), (2, 10));

        let Reply::Updated(third) = batch.execute(&Request::Trade(apple, (-10).into())) else {
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
        writer.batch(&Access::All).execute(&Request::Set(symbol("AAPL"), fields("172.5", 1)));
        writer.batch(&Access::All).execute(&Request::Set(symbol("SOLDOUT"), fields("10", 0)));

        let mut batch = executor.batch(&Access::All);
        for round in 1..=3 {
            for name in [b"XYZ".as_slice(), b"AAPL", b"", b"SOLDOUT", b"AAPL"] {
                batch.begin(&Symbol::parse(name));
            }
            assert_eq!(batch.begun(), 5);
            let price = round.to_string();
            writer.batch(&Access::All).execute(&Request::Set(symbol("AAPL"), fields(&price, 1)));
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
        let mut batch = executor.batch(&Access::All);
        let apple = symbol("AAPL");
        let mut why = |request: Request| match batch.execute(&request) {
            Reply::Refused(refusal) => refusal.to_string(),
            reply => panic!("{request:?} gave {reply:?}"),
        };
        let no_price = Fields { volume: Edit::Set(Volume::new(1)), ..Fields::default() };
        assert_eq!(
            why(Request::Set(apple, no_price)),
            "stock 'AAPL' is not listed, and listing it needs a price, a bid, an ask or a status"
        );
        assert_eq!(
            why(Request::Update(apple, fields("1", 1))),
            "stock 'AAPL' is not listed; list it with a price first"
        );
        assert_eq!(
            why(Request::Trade(apple, 1.into())),
            "stock 'AAPL' is not listed; list it with a price first"
        );
        drop(batch);

        let mut batch = executor.batch(&Access::All);
        let Reply::Listed(first) = batch.execute(&Request::Set(apple, fields("172.5", 3))) else {
            panic!("not listed")
        };
        let mut why = |request: Request| match batch.execute(&request) {
            Reply::Refused(refusal) => refusal.to_string(),
            reply => panic!("{request:?} gave {reply:?}"),
        };
        assert_eq!(why(Request::Trade(apple, (-5).into())), "volume of 'AAPL' is 3, cannot take 5");
        assert_eq!(
            why(Request::Trade(apple, i64::MIN.into())),
            "volume of 'AAPL' is 3, cannot take 9223372036854775808"
        );
        assert_eq!(batch.execute(&Request::Lookup(Ok(apple))), Reply::Found(first));

        batch.execute(&Request::Set(apple, fields("172.5", u64::MAX)));
        let Reply::Refused(refusal) = batch.execute(&Request::Trade(apple, 1.into())) else {
            panic!("a volume above the limit")
        };
        assert_eq!(
            refusal.to_string(),
            "volume of 'AAPL' is 18446744073709551615, cannot add 1: without its point a volume is at most 18446744073709551615"
        );

        let uncount = Fields { volume: Edit::Clear, ..Fields::default() };
        batch.execute(&Request::Update(apple, uncount));
        let Reply::Refused(refusal) = batch.execute(&Request::Trade(apple, 1.into())) else {
            panic!("traded without a volume")
        };
        assert_eq!(refusal, Refusal::VolumeAbsent(apple));

        let halt = Fields { status: Some(Status::Halted), ..Fields::default() };
        batch.execute(&Request::Update(apple, halt));
        let Reply::Refused(refusal) = batch.execute(&Request::Trade(apple, (-1).into())) else {
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
            let mut batch = first.batch(&Access::All);
            batch.execute(&Request::Set(apple, fields("1", 5)));
            batch.execute(&Request::Set(apple, fields("2", 5)));
            batch.execute(&Request::Trade(apple, (-1).into()));
            batch.execute(&Request::Trade(apple, (-9).into()));
        }
        {
            let mut batch = second.batch(&Access::All);
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
            refused_volume: 1,
            ..Totals::default()
        };
        assert_eq!(engine.totals(), expected);
        assert_eq!(engine.totals().lookups(), 3);
    }
}
