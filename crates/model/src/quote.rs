use crate::{Answer, Price, Status, Symbol, Volume};

/// All that is known of one stock at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The name of the stock.
    pub symbol: Symbol,
    /// Its last price.
    pub price: Price,
    /// Shares that remain.
    pub volume: Volume,
    /// Whether it can be traded.
    pub status: Status,
    /// Counts the changes of this stock, from 1. A reader never sees it go back.
    pub version: u64,
    /// When it last changed: Unix time in nanoseconds, by the server's clock.
    pub updated_ns: u64,
}

impl Quote {
    /// What a lookup answers: the price while the stock can be traded.
    #[inline]
    pub fn answer(&self) -> Answer {
        Answer::of(self.price, self.volume, self.status)
    }
}
