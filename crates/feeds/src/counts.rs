use std::fmt;

use stockd_model::limits::FEED_SKIPPED_NAMED_MAX;

/// Why a message, or a part of what it says, was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its symbol is none that a stock can have.
    BadSymbol,
    /// It concerns an id or a locate code that no symbol was given for.
    NoSymbol,
    /// It has no price where it should have one.
    UndefinedPrice,
    /// Its price is beyond what can be kept.
    BadPrice,
    /// It is older than what is known of its stock.
    Older,
    /// It is a trade that does not set the last price: extended hours, odd lots.
    Ineligible,
    /// It concerns a stock that is listed for tests alone.
    TestSymbol,
    /// It concerns an order that was not seen: the feed was joined late.
    UnknownOrder,
    /// It breaks or corrects a trade that is not among the last of its stock.
    UnknownTrade,
    /// An order that could not be kept, since the limit was reached.
    TooManyOrders,
    /// A stock that could not be kept, since the limit was reached.
    TooManyStocks,
    /// What an id stands for, which could not be kept, since the limit was reached.
    TooManyIds,
    /// A packet of a session that is not followed, since the limit was reached.
    TooManySessions,
    /// A message of a type that the format does not have.
    UnknownType,
    /// A record that is shorter than its type needs.
    TooShort,
    /// A packet of something else, or a part of one.
    OtherPacket,
    /// It does not say what its kind must.
    Malformed,
    /// A message with a number before that of the one that was expected: it came late, or twice.
    Duplicate,
}

/// What a feed has brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages or records.
    pub records: u64,
    /// Trades that set a price.
    pub trades: u64,
    /// Orders that were kept for their prices, when there were most.
    pub orders_max: u64,
    /// Changes of stocks that had changed already and were not taken yet.
    pub conflated: u64,
    /// Messages that are missing, as sequence numbers tell.
    pub missing: u64,
    /// How often messages were missing, or the feed said so itself.
    pub gaps: u64,
    /// What was not applied, by cause.
    pub skipped: Vec<(Cause, u64)>,
    /// The first that were not applied, but for those that the user's choices leave out.
    pub first_skipped: Vec<String>,
}

impl Counts {
    /// Counts something that was not applied. `what` names it, for the first of them.
    pub(crate) fn skip(&mut self, cause: Cause, what: impl FnOnce() -> String) {
        match self.skipped.iter_mut().find(|(other, _)| *other == cause) {
            Some((_, count)) => *count += 1,
            None => self.skipped.push((cause, 1)),
        }
        let is_choice = matches!(cause, Cause::Ineligible | Cause::TestSymbol);
        if !is_choice && self.first_skipped.len() < FEED_SKIPPED_NAMED_MAX {
            self.first_skipped.push(format!("{}: {cause}", what()));
        }
    }

    /// Counts messages that are missing.
    pub(crate) fn gap(&mut self, missing: u64) {
        self.gaps += 1;
        self.missing = self.missing.saturating_add(missing);
    }

    /// How often something was not applied for this cause.
    pub fn skipped_for(&self, cause: Cause) -> u64 {
        self.skipped.iter().find(|(other, _)| *other == cause).map_or(0, |(_, count)| *count)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::BadSymbol => "bad symbol",
            Cause::NoSymbol => "no symbol",
            Cause::UndefinedPrice => "undefined price",
            Cause::BadPrice => "price beyond the limit",
            Cause::Older => "older than what is known",
            Cause::Ineligible => "does not set the last price",
            Cause::TestSymbol => "test symbol",
            Cause::UnknownOrder => "unknown order",
            Cause::UnknownTrade => "unknown trade",
            Cause::TooManyOrders => "too many orders",
            Cause::TooManyStocks => "too many stocks",
            Cause::TooManyIds => "too many ids",
            Cause::TooManySessions => "too many sessions",
            Cause::UnknownType => "unknown type",
            Cause::TooShort => "too short for its type",
            Cause::OtherPacket => "other packet",
            Cause::Malformed => "cannot be read",
            Cause::Duplicate => "came late or twice",
        })
    }
}
