//! What stocks will be once the disk has it.
//!
//! The committer decides each request on the catalog as it will be when all writes before it are
//! committed: the rows, and over them the *overlay*, which holds what has changed since the last
//! commit. It knows the catalog; it knows no thread, no store and no moment of a commit.
//!
//! Invariant: a write that was decided here can be applied later: room for the rows that it needs
//! has been reserved.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use stockd_catalog::{Change, Changed, View};
use stockd_model::{Condition, Conditional, Quote, Refusal, Reply, Request, Symbol};
use stockd_store::Write;

use crate::decide;
use crate::market::{Market, Refused, now_ns};

/// Room for stocks that is kept after a commit, for each stock that it was about.
const ROOM_FOR_EACH: usize = 16;

/// The changes since the last commit, over the rows.
#[derive(Debug)]
pub(crate) struct Overlay {
    market: Arc<Market>,
    pending: HashMap<Symbol, Pending, RandomState>,
    /// Stocks whose rows do not show yet what is pending.
    unapplied: Vec<Symbol>,
    /// Upper bound on the new rows that pending listings need.
    new_rows: usize,
    /// How many more stocks are listed than the rows show.
    listed_more: isize,
    /// Whether one was delisted that the rows may show.
    has_delisted: bool,
    /// The highest version that any stock had when it was delisted.
    version_floor: u64,
    /// Where the requests come from the log of a cluster: what it says beside them.
    log: Option<LogRules>,
    /// Why one of these could not be decided here as it is elsewhere.
    no_room: Option<Refusal>,
}

/// What the log of a cluster says beside the requests, so that every node decides the same. Else the clock of the
/// machine and the rows say it, which differ from node to node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogRules {
    /// When the request was made, Unix time in nanoseconds.
    pub(crate) time_ns: u64,
    /// Stocks that may be listed at once.
    pub(crate) stocks_max: usize,
    /// What is done wrong on purpose, to see tests fail.
    #[cfg(feature = "simulation")]
    pub(crate) trap: Option<Trap>,
}

/// What is done wrong on purpose, to see tests fail.
#[cfg(feature = "simulation")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// The time of a change is that of the machine.
    OwnClock,
    /// A stock that is listed begins above what the rows of this machine say.
    FloorOfRows,
}

impl LogRules {
    fn time_ns(&self) -> u64 {
        #[cfg(feature = "simulation")]
        if self.trap == Some(Trap::OwnClock) {
            return now_ns();
        }
        self.time_ns
    }

    /// What an unlisted stock has for its version: rows that were left behind say more than those of other
    /// nodes, so they are not asked.
    fn unlisted_version(&self, _market: &Market, _symbol: &Symbol, version_floor: u64) -> u64 {
        #[cfg(feature = "simulation")]
        if self.trap == Some(Trap::FloorOfRows) {
            return _market.catalog.version(_symbol);
        }
        version_floor
    }
}

/// What became of a stock since the last commit.
#[derive(Clone, Copy, Debug)]
struct Pending {
    quote: Option<Quote>,
    /// The version of its last change. A delisting is one, too.
    version: u64,
    /// Whether the row shows it.
    applied: bool,
}

impl Overlay {
    pub(crate) fn new(market: Arc<Market>, version_floor: u64) -> Overlay {
        let pending = HashMap::default();
        let unapplied = Vec::new();
        Overlay {
            market,
            pending,
            unapplied,
            new_rows: 0,
            listed_more: 0,
            has_delisted: false,
            version_floor,
            log: None,
            no_room: None,
        }
    }

    /// Decides from now on by what the log of a cluster says.
    pub(crate) fn follow(&mut self, log: LogRules) {
        self.log = Some(log);
    }

    /// Why what was decided by the log may not be what other nodes have decided: there was no room for a
    /// row that the log's limit allows.
    pub(crate) fn no_room(&self) -> Option<Refusal> {
        self.no_room
    }

    /// Whether nothing has changed since the last commit.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Stocks that have changed since the last commit, however often: those delisted again count, too.
    pub(crate) fn stocks(&self) -> usize {
        self.pending.len()
    }

    /// The highest version that any stock had when it was delisted.
    pub(crate) fn version_floor(&self) -> u64 {
        self.version_floor
    }

    /// Stocks that will be listed.
    pub(crate) fn listed(&self) -> usize {
        self.market.catalog.len().saturating_add_signed(self.listed_more)
    }

    /// Whether a condition will hold of a stock.
    pub(crate) fn check(&self, symbol: &Symbol, condition: Condition) -> Result<(), Refusal> {
        let quote = match self.pending.get(symbol) {
            Some(pending) => pending.quote,
            None => self.market.catalog.get(symbol),
        };
        decide::check(symbol, condition, quote.as_ref())
    }

    /// Decides one request on the catalog as it will be. A request that would change something gets
    /// the refusal, if there is one.
    pub(crate) fn execute(&mut self, asked: &Conditional, refusal: Option<Refusal>) -> Reply {
        let request = &asked.request;
        let Some(symbol) = request.symbol() else {
            return Reply::NotFound;
        };
        let pending = self.pending.get(symbol).copied();
        let before = match pending {
            Some(pending) => self.market.resolved(pending.quote),
            None => self.market.catalog.get(symbol),
        };
        let change = decide::decide_if(asked, before.as_ref());
        let changed = change.map_err(Refused).and_then(|change| match (change, refusal) {
            (Change::Keep, _) => Ok(Changed { before, after: before }),
            (_, Some(refusal)) => Err(Refused(refusal)),
            (change, None) => self.note(symbol, before, pending, change),
        });
        decide::reply(request, &changed)
    }

    /// Decides a request of the log and changes its row at once, where that is all there is to it: the stock is
    /// listed and nothing of it is pending, and the request only edits it. `replaced` is shown the quote that is
    /// replaced, where one is. `None`, and nothing was done, where it is to be [executed](Overlay::execute).
    ///
    /// There is no disk to wait for, and one stock is never half changed, so nothing is lost by showing it before what else
    /// is decided with it.
    #[inline]
    pub(crate) fn edit_row(
        &self,
        view: &View<'_>,
        asked: &Conditional,
        mut replaced: impl FnMut(&Quote),
    ) -> Option<Reply> {
        let Conditional { condition, request } = asked;
        let (symbol, log) = (request.symbol()?, self.log.as_ref()?);
        let is_pending = !self.pending.is_empty() && self.pending.contains_key(symbol);
        // Where there was no room for something, what comes behind it is not to be shown.
        if is_pending || self.no_room.is_some() || !decide::is_edit(request) {
            return None;
        }
        let edited = self.market.edit(view, symbol, log.time_ns(), |before, quote| {
            decide::check(symbol, *condition, Some(before))?;
            decide::edit(request, before, quote)?;
            replaced(before);
            Ok(())
        });
        match edited {
            Ok(after) => after.map(Reply::Updated),
            Err(refusal) => Some(Reply::Refused(refusal)),
        }
    }

    /// Answers a lookup from the rows alone.
    pub(crate) fn look_up_row(&self, lookup: &Request) -> Reply {
        let quote = lookup.symbol().and_then(|symbol| self.market.catalog.get(symbol));
        decide::reply(lookup, &Ok(Changed { before: quote, after: quote }))
    }

    fn note(
        &mut self,
        symbol: &Symbol,
        before: Option<Quote>,
        pending: Option<Pending>,
        change: Change,
    ) -> Result<Changed, Refused> {
        if before.is_none() {
            if let Some(LogRules { stocks_max, .. }) = self.log
                && self.listed() >= stocks_max
            {
                return Err(Refused(Refusal::CatalogFull { stocks_max }));
            }
            if let Err(full) = self.market.catalog.reserve(self.new_rows + 1) {
                let refused = Refused::from(full);
                self.no_room = self.log.map(|_| refused.0);
                return Err(refused);
            }
            self.new_rows += 1;
        }
        let version = match (pending, before, &self.log) {
            (_, Some(quote), _) => quote.version,
            (_, None, Some(log)) => log.unlisted_version(&self.market, symbol, self.version_floor),
            (Some(pending), None, None) => pending.version,
            (None, None, None) => self.market.catalog.version(symbol),
        };
        let now_ns = self.log.as_ref().map_or_else(now_ns, LogRules::time_ns);
        let after = change.outcome(symbol, before.as_ref(), version, now_ns);
        let version = version + 1;
        if pending.is_none_or(|pending| pending.applied) {
            self.unapplied.push(*symbol);
        }
        self.pending.insert(*symbol, Pending { quote: after, version, applied: false });
        self.listed_more += isize::from(after.is_some()) - isize::from(before.is_some());
        if after.is_none() {
            self.has_delisted = true;
            self.version_floor = self.version_floor.max(version);
        }
        Ok(Changed { before, after })
    }

    /// What the store has to write, and the version floor that goes with it. A stock that changed
    /// several times is written once.
    pub(crate) fn writes(&self) -> (Vec<Write>, u64) {
        let write = |(symbol, pending): (&Symbol, &Pending)| match pending.quote {
            Some(quote) => Write::Put(quote),
            None => Write::Remove(*symbol),
        };
        (self.pending.iter().map(write).collect(), self.version_floor)
    }

    /// Makes the rows show the overlay. Delistings go first, to make room for listings.
    pub(crate) fn apply(&mut self) {
        self.apply_and_tell(|_| {});
    }

    /// The same, and tells what each row showed before and shows now.
    pub(crate) fn apply_and_tell(&mut self, mut tell: impl FnMut(&Changed)) {
        if self.unapplied.is_empty() {
            return;
        }
        let passes: &[bool] = if self.has_delisted { &[false, true] } else { &[true] };
        for &puts in passes {
            for symbol in &self.unapplied {
                let Some(pending) = self.pending.get_mut(symbol) else { continue };
                if pending.quote.is_some() != puts {
                    continue;
                }
                pending.applied = true;
                let delisted = Change::DelistAt(pending.version);
                let change = pending.quote.map_or(delisted, Change::Restore);
                match self.market.apply(symbol, change) {
                    Ok(changed) => tell(&changed),
                    // Room was reserved before the write was promised.
                    Err(Refused(refusal)) => {
                        panic!("a write that is on the disk cannot be shown: {refusal}")
                    }
                }
            }
        }
        self.market.catalog.raise_version_floor(self.version_floor);
        self.unapplied.clear();
        (self.new_rows, self.listed_more, self.has_delisted) = (0, 0, false);
    }

    /// Forgets what is pending: the store has it, or never will. Rows stay as they are.
    pub(crate) fn clear(&mut self) {
        let stocks = self.pending.len();
        self.pending.clear();
        // What looks at all stocks looks at all the room there is for them, in each commit.
        if stocks < self.pending.capacity() / ROOM_FOR_EACH {
            self.pending.shrink_to(2 * stocks);
        }
        self.unapplied.clear();
        (self.new_rows, self.listed_more, self.has_delisted) = (0, 0, false);
    }
}

#[cfg(test)]
mod tests {
    use stockd_catalog::Catalog;
    use stockd_model::{Fields, Price};

    use super::*;

    /// After a catalog was imported once, each commit of one stock looked at the room for thousands.
    #[test]
    fn a_large_commit_leaves_no_room_behind_that_small_ones_pay_for() {
        let mut overlay = Overlay::new(Market::new(Catalog::new()), 0);
        let price: Option<Price> = "1.5".parse().ok();
        let mut commit = |stocks: usize| {
            for number in 0..stocks {
                let symbol = format!("S{number}").parse().unwrap();
                let fields = Fields { price: price.into(), ..Fields::default() };
                overlay.execute(&Request::Set(symbol, fields).into(), None);
            }
            assert_eq!(overlay.writes().0.len(), stocks);
            overlay.apply();
            overlay.clear();
            overlay.pending.capacity()
        };
        assert!(commit(5000) >= 5000);
        assert!(commit(4000) >= 4000, "the next one is as large");
        assert!(commit(1) < 100);
        assert!(commit(1) < 100);
    }
}
