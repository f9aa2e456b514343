use crate::{Answer, Price, QuoteFeed, Status, Symbol, Volume};

/// All that is known of one stock at one moment.
///
/// ```
/// use stockd_model::{Answer, Quote};
///
/// let quote = Quote { bid: "1.0833".parse().ok(), ..Quote::new("EURUSD".parse()?) };
/// assert_eq!(quote.answer(), Answer::NotTradable, "it has no price yet");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The name of the stock.
    pub symbol: Symbol,
    /// Its last price; `None` before its first trade.
    pub price: Option<Price>,
    /// Shares that remain; `None` where shares are not counted, as of an index or a currency.
    pub volume: Option<Volume>,
    /// The highest price that somebody would buy at, if known.
    pub bid: Option<Price>,
    /// The lowest price that somebody would sell at, if known.
    pub ask: Option<Price>,
    /// How much would be bought at the bid, if known.
    pub bid_size: Option<Volume>,
    /// How much would be sold at the ask, if known.
    pub ask_size: Option<Volume>,
    /// Whether it can be traded, as it was written. Readers are told [what is so now](Quote::status_now).
    pub status: Status,
    /// When it happened, as its source says, if it does: Unix time in nanoseconds. A write with an earlier time
    /// is refused.
    pub time_ns: Option<u64>,
    /// Counts the changes of this stock, from 1. A reader never sees it go back.
    pub version: u64,
    /// When it last changed: Unix time in nanoseconds, by the server's clock. It never goes back.
    pub updated_ns: u64,
    /// The feed that has written it; `None` where somebody else has written a price, a bid or an ask since.
    pub feed: Option<QuoteFeed>,
}

impl Quote {
    /// A stock of which nothing is known but that it can be traded. Its version and the time of its
    /// last change are 0.
    pub const fn new(symbol: Symbol) -> Quote {
        Quote {
            symbol,
            price: None,
            volume: None,
            bid: None,
            ask: None,
            bid_size: None,
            ask_size: None,
            status: Status::Trading,
            time_ns: None,
            version: 0,
            updated_ns: 0,
            feed: None,
        }
    }

    /// What a lookup answers: the price, unless there is none, the stock is halted or has no shares
    /// left.
    #[inline]
    pub fn answer(&self) -> Answer {
        Answer::of(self.price, self.volume, self.status_now())
    }

    /// Whether it can be traded now: not while its feed halts it, whatever was written.
    #[inline]
    pub fn status_now(&self) -> Status {
        match self.feed {
            Some(QuoteFeed { is_halting: true, .. }) => Status::Halted,
            _ => self.status,
        }
    }

    /// The quote as it is kept: without what is known of its feed at this moment.
    pub fn kept(&self) -> Quote {
        let feed = self.feed.map(|QuoteFeed { name, halts_when_stale, .. }| QuoteFeed {
            halts_when_stale,
            ..QuoteFeed::of(name)
        });
        Quote { feed, ..*self }
    }
}
