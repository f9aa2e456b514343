//! The last values of all stocks of a feed.
//!
//! Owns which stocks there are, what is the last of each, and which have changed since they were asked for. A
//! changed stock is noted once, however often it changes: so who is slow gets fewer and newer quotes. Stocks are taken in the
//! order in which they changed, so none waits for ever behind those that change all the time.
//!
//! Invariant: a stock is among the changed ones, or among the fresh ones, exactly if its mark is set: both lists
//! together are never longer than there are stocks.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use stockd_model::limits::STOCKS_MAX;
use stockd_model::{Price, Symbol, Volume};

use crate::{Cause, Counts, Stock, Trade};

/// What a user chooses of how a feed is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Let every trade set the price: those of extended hours and odd lots too.
    pub all_trades: bool,
    /// Take stocks that are listed for tests alone.
    pub test_symbols: bool,
    /// Halt stocks when their market closes.
    pub closed_is_halted: bool,
    /// What is put before every symbol.
    pub prefix: String,
}

/// A stock of a [`Market`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StockId(u32);

/// The last values of all stocks of a feed.
#[derive(Debug, Default)]
pub struct Market {
    rules: Rules,
    stocks: Vec<Stock>,
    by_symbol: HashMap<Symbol, StockId, foldhash::fast::RandomState>,
    /// Stocks that have changed and may be taken, the one that waits longest first.
    changed: VecDeque<StockId>,
    /// Stocks that have changed since the last release.
    fresh: Vec<StockId>,
    counts: Counts,
}

/// The two sides of a book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sides {
    pub(crate) bid: Option<Price>,
    pub(crate) ask: Option<Price>,
    pub(crate) bid_size: u64,
    pub(crate) ask_size: u64,
}

impl Market {
    /// A market without stocks.
    pub fn new(rules: Rules) -> Market {
        Market { rules, ..Market::default() }
    }

    /// How the feed is read.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// All stocks.
    pub fn stocks(&self) -> &[Stock] {
        &self.stocks
    }

    /// The stock of this name, its prefix included.
    pub fn find(&self, symbol: &Symbol) -> Option<&Stock> {
        let id = self.by_symbol.get(symbol)?;
        self.stocks.get(id.0 as usize)
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Lets what has changed so far be taken. So a reader that keeps to the times of a feed can apply a message
    /// before it is due.
    pub fn release(&mut self) {
        self.changed.extend(self.fresh.drain(..));
    }

    /// Whether a stock can be taken.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Up to this number of stocks that have changed since they were taken, as they are now. Those that wait longest come first.
    pub fn take_changed(&mut self, max: usize, mut each: impl FnMut(&Stock)) {
        let taken = self.changed.len().min(max);
        for StockId(at) in self.changed.drain(..taken) {
            if let Some(stock) = self.stocks.get_mut(at as usize) {
                stock.is_changed = false;
                each(stock);
                stock.was_taken = true;
            }
        }
    }

    /// Lets every stock be taken again, as where it is not known what became of those that were taken.
    pub fn all_changed(&mut self) {
        for (at, stock) in self.stocks.iter_mut().enumerate() {
            if !stock.is_changed {
                stock.is_changed = true;
                self.changed.push_back(StockId(at as u32));
            }
        }
    }

    /// As [`stock`](Market::stock), but a name that can be none is not counted: what it is used for is.
    #[cfg(feature = "dbn")]
    pub(crate) fn quiet_stock(&mut self, name: &[u8]) -> Option<StockId> {
        let full = [self.rules.prefix.as_bytes(), name.trim_ascii()].concat();
        Symbol::parse(&full).is_ok().then(|| self.stock(name))?
    }

    /// The stock of this name, which may be new; `None` where it can be none, which is counted.
    pub(crate) fn stock(&mut self, name: &[u8]) -> Option<StockId> {
        let parsed = match self.rules.prefix.is_empty() {
            true => Symbol::parse(name),
            false => Symbol::parse(&[self.rules.prefix.as_bytes(), name.trim_ascii()].concat()),
        };
        let Ok(symbol) = parsed else {
            self.skip(Cause::BadSymbol, || String::from_utf8_lossy(name).trim().to_owned());
            return None;
        };
        let room = self.stocks.len() < STOCKS_MAX;
        match self.by_symbol.entry(symbol) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(_) if !room => {
                self.skip(Cause::TooManyStocks, || symbol.to_string());
                None
            }
            Entry::Vacant(vacant) => {
                let id = StockId(self.stocks.len() as u32);
                self.stocks.push(Stock::new(symbol));
                Some(*vacant.insert(id))
            }
        }
    }

    /// Notes how many orders are kept now.
    pub(crate) fn note_orders(&mut self, kept: usize) {
        self.counts.orders_max = self.counts.orders_max.max(kept as u64);
    }

    /// Counts a message.
    pub(crate) fn count_record(&mut self) {
        self.counts.records += 1;
    }

    pub(crate) fn skip(&mut self, cause: Cause, what: impl FnOnce() -> String) {
        self.counts.skip(cause, what);
    }

    /// Counts that messages were missed which no sequence number tells of, as where a connection was lost.
    pub fn missed(&mut self) {
        self.counts.gap(0);
    }

    pub(crate) fn gap(&mut self, missing: u64) {
        self.counts.gap(missing);
    }

    /// A trade that sets the price. `received_ns` is when it was received, where the feed says so: one before
    /// that of an earlier trade is passed over.
    pub(crate) fn trade(&mut self, id: StockId, trade: Trade, received_ns: Option<u64>) {
        self.print(id, trade, received_ns, Stock::push);
    }

    /// As [`trade`](Market::trade), of a feed that takes no trade back: what came before is not kept.
    #[cfg(feature = "dbn")]
    pub(crate) fn final_trade(&mut self, id: StockId, trade: Trade, received_ns: u64) {
        self.print(id, trade, Some(received_ns), Stock::settle);
    }

    #[inline]
    fn print(
        &mut self,
        id: StockId,
        trade: Trade,
        received_ns: Option<u64>,
        take: impl FnOnce(&mut Stock, Trade),
    ) {
        let Some(stock) = self.stocks.get_mut(id.0 as usize) else { return };
        let received_ns = received_ns.unwrap_or(stock.trade_received_ns);
        if received_ns < stock.trade_received_ns {
            let symbol = stock.symbol;
            return self.skip(Cause::Older, || symbol.to_string());
        }
        stock.trade_received_ns = received_ns;
        stock.time_ns = stock.time_ns.max(trade.time_ns);
        take(stock, trade);
        self.counts.trades += 1;
        self.note(id);
    }

    /// Takes a trade back, or puts another in its place.
    pub(crate) fn correct(&mut self, id: StockId, trade: u64, by: Option<Trade>, time_ns: u64) {
        let Some(stock) = self.stocks.get_mut(id.0 as usize) else { return };
        stock.time_ns = stock.time_ns.max(time_ns);
        match stock.replace(trade, by) {
            true => self.note(id),
            false => {
                let symbol = stock.symbol;
                self.skip(Cause::UnknownTrade, || format!("{symbol} {trade}"));
            }
        }
    }

    /// What the book is now. `received` is of which kind of record it is and when that was received, where the feed
    /// says so: one before that of an earlier one of this kind is passed over.
    pub(crate) fn quote(
        &mut self,
        id: StockId,
        sides: Sides,
        time_ns: u64,
        received: Option<(u8, u64)>,
    ) {
        let Some(stock) = self.stocks.get_mut(id.0 as usize) else { return };
        if received.is_some_and(|(kind, ns)| !stock.is_news(kind, ns)) {
            let symbol = stock.symbol;
            return self.skip(Cause::Older, || symbol.to_string());
        }
        stock.time_ns = stock.time_ns.max(time_ns);
        stock.has_quotes = true;
        (stock.bid, stock.ask) = (sides.bid, sides.ask);
        stock.bid_size = sides.bid.map(|_| Volume::new(sides.bid_size));
        stock.ask_size = sides.ask.map(|_| Volume::new(sides.ask_size));
        self.note(id);
    }

    /// Whether the stock is halted now.
    pub(crate) fn halt(&mut self, id: StockId, is_halted: bool, time_ns: u64) {
        let Some(stock) = self.stocks.get_mut(id.0 as usize) else { return };
        stock.halted = is_halted;
        stock.has_status = true;
        stock.time_ns = stock.time_ns.max(time_ns);
        self.note(id);
    }

    /// Whether its market has stopped trading it.
    pub(crate) fn halt_market(&mut self, id: StockId, is_halted: bool, time_ns: u64) {
        let Some(stock) = self.stocks.get_mut(id.0 as usize) else { return };
        stock.market_halted = is_halted;
        stock.has_status = true;
        stock.time_ns = stock.time_ns.max(time_ns);
        self.note(id);
    }

    #[inline]
    fn note(&mut self, id: StockId) {
        let Some(stock) = self.stocks.get_mut(id.0 as usize) else { return };
        if stock.is_changed {
            self.counts.conflated += 1;
            return;
        }
        stock.is_changed = true;
        self.fresh.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One stock changes once, two others all the time, and the reader takes one at a time: it gets to the first.
    #[test]
    fn no_stock_waits_behind_those_that_change_all_the_time() {
        let mut market = Market::new(Rules::default());
        let ids = ["QUIET", "A", "B"].map(|name| market.stock(name.as_bytes()).unwrap());
        ids.iter().for_each(|id| market.halt(*id, true, 0));
        market.release();
        let mut taken = Vec::new();
        for _ in 0..3 {
            ids[1..].iter().for_each(|id| market.halt(*id, false, 0));
            market.release();
            market.take_changed(1, |stock| taken.push(stock.symbol.to_string()));
        }
        assert_eq!(taken, ["QUIET", "A", "B"]);
    }
}
