use crate::{Price, Status, Symbol, Volume};

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
    /// What a lookup answers: the price while the stock can be traded, `None` (printed as `0`)
    /// while it is halted or no volume is left.
    #[inline]
    pub fn tradable_price(&self) -> Option<Price> {
        let tradable = !self.volume.is_exhausted() && self.status == Status::Trading;
        tradable.then_some(self.price)
    }
}
