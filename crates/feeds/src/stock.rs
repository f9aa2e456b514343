use std::collections::VecDeque;

use stockd_model::limits::FEED_TRADES_KEPT;
use stockd_model::{Price, Status, Symbol, Volume};

/// A trade, as far as a last price needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Its price.
    pub price: Price,
    /// How much was traded.
    pub size: u64,
    /// When it happened: Unix time in nanoseconds, or 0 where that is not known.
    pub time_ns: u64,
    /// What the feed calls it when it breaks or corrects it.
    pub id: u64,
}

/// All that a feed has said of one stock.
#[derive(Clone, Debug)]
pub struct Stock {
    /// Its name, with the prefix that was asked for.
    pub symbol: Symbol,
    /// The last trade that stands.
    last: Option<Trade>,
    /// The trades before it that stand, the newest at the end; none where the feed takes none back.
    earlier: VecDeque<Trade>,
    /// Whether the feed has said whether it trades.
    pub has_status: bool,
    /// Whether the feed has said anything of bid and ask.
    pub has_quotes: bool,
    /// Whether it has traded, even if no trade stands.
    pub has_traded: bool,
    /// Whether it was taken from the market before.
    pub was_taken: bool,
    /// Whether trading is halted.
    pub(crate) halted: bool,
    /// Whether its market alone has stopped.
    pub(crate) market_halted: bool,
    /// The best bid, if known.
    pub bid: Option<Price>,
    /// The best ask, if known.
    pub ask: Option<Price>,
    /// How much is at the bid.
    pub bid_size: Option<Volume>,
    /// How much is at the ask.
    pub ask_size: Option<Volume>,
    /// When the latest of all this happened: Unix time in nanoseconds, or 0 where that is not known.
    pub time_ns: u64,
    /// When the newest trade was received, where feeds say so.
    pub(crate) trade_received_ns: u64,
    /// The same of the newest quote of each kind of record; there are a handful of kinds.
    quotes_received: Vec<(u8, u64)>,
    pub(crate) is_changed: bool,
}

impl Stock {
    pub(crate) fn new(symbol: Symbol) -> Stock {
        Stock {
            symbol,
            last: None,
            earlier: VecDeque::new(),
            has_status: false,
            has_quotes: false,
            has_traded: false,
            was_taken: false,
            halted: false,
            market_halted: false,
            bid: None,
            ask: None,
            bid_size: None,
            ask_size: None,
            time_ns: 0,
            trade_received_ns: 0,
            quotes_received: Vec::new(),
            is_changed: false,
        }
    }

    /// The last trade that stands.
    pub fn last(&self) -> Option<&Trade> {
        self.last.as_ref()
    }

    /// Whether it can be traded, as far as the feed says.
    pub fn status(&self) -> Status {
        match self.halted || self.market_halted {
            true => Status::Halted,
            false => Status::Trading,
        }
    }

    /// Whether a quote of this kind is not older than the one before, which it then follows.
    pub(crate) fn is_news(&mut self, kind: u8, received_ns: u64) -> bool {
        match self.quotes_received.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, before)) if received_ns < *before => return false,
            Some((_, before)) => *before = received_ns,
            None => self.quotes_received.push((kind, received_ns)),
        }
        true
    }

    /// A trade that the feed may take back.
    pub(crate) fn push(&mut self, trade: Trade) {
        self.has_traded = true;
        if let Some(before) = self.last.replace(trade) {
            if self.earlier.len() + 1 == FEED_TRADES_KEPT {
                self.earlier.pop_front();
            }
            self.earlier.push_back(before);
        }
    }

    /// A trade that stands for good: those before it are of no use any more.
    pub(crate) fn settle(&mut self, trade: Trade) {
        self.has_traded = true;
        self.last = Some(trade);
    }

    /// Takes a trade back, or puts another in its place. Returns whether it was there.
    pub(crate) fn replace(&mut self, id: u64, by: Option<Trade>) -> bool {
        if self.last.is_some_and(|last| last.id == id) {
            self.last = by.or_else(|| self.earlier.pop_back());
            return true;
        }
        let Some(at) = self.earlier.iter().rposition(|trade| trade.id == id) else {
            return false;
        };
        match (by, self.earlier.get_mut(at)) {
            (Some(by), Some(trade)) => *trade = by,
            _ => {
                self.earlier.remove(at);
            }
        }
        true
    }
}
