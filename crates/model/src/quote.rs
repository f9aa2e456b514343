use crate::{Answer, Price, Status, Symbol, Volume};

/// All that is known of one stock at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The name of the stock.
    pub symbol: Symbol,
    /// Its last price.
    pub price: Price,
    /// Shares that remain; `None` where shares are not counted, as of an index or a currency.
    pub volume: Option<Volume>,
    /// Whether it can be traded.
    pub status: Status,
    /// Counts the changes of this stock, from 1. A reader never sees it go back.
    pub version: u64,
    /// When it last changed: Unix time in nanoseconds, by the server's clock.
    pub updated_ns: u64,
}

impl Quote {
    /// What a lookup answers: the price, unless the stock is halted or has no shares left.
    #[inline]
    pub fn answer(&self) -> Answer {
        Answer::of(self.price, self.volume, self.status)
    }
}
