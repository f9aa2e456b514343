//! What a subscription or a watch has told of each stock, so that it tells nothing twice and nothing that is older.
//!
//! It knows no streams. Invariant: within an epoch the versions that it lets through of a stock rise, unless a crash of
//! the server has taken writes back; and after [`synced`](Told::synced) what it has let through as listed is listed.
//! Epochs and rounds are those of a watch: a subscription never begins another.

use std::collections::HashMap;

use stockd_model::{Quote, QuoteFeed, Symbol};

/// How a connection of a watch goes on from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// It is the first one.
    First,
    /// It goes on where the one before has ended: nothing was missed.
    Resumed,
    /// Everything is told again, as far as it is new. What came and went meanwhile was missed.
    Gap,
    /// As a gap, and the server has another epoch: another data directory, or another start in memory. Versions do not
    /// compare with those before.
    NewEpoch,
}

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    stocks: HashMap<Symbol, Stock>,
    epoch: Option<u64>,
    /// Counts the times that everything was told from the beginning.
    round: u32,
}

#[derive(Clone, Copy, Debug)]
struct Stock {
    version: u64,
    updated_ns: u64,
    feed: Option<QuoteFeed>,
    is_listed: bool,
    /// The round in which the server has spoken of it last.
    round: u32,
}

impl Told {
    /// A connection begins with this.
    pub(crate) fn begin(&mut self, epoch: u64, resumed: bool) -> Continuity {
        let before = self.epoch.replace(epoch);
        if before == Some(epoch) && resumed {
            return Continuity::Resumed;
        }
        self.round += 1;
        match before {
            None => Continuity::First,
            Some(before) if before == epoch => Continuity::Gap,
            Some(_) => {
                for stock in self.stocks.values_mut() {
                    (stock.version, stock.updated_ns) = (0, 0);
                }
                Continuity::NewEpoch
            }
        }
    }

    /// The server says this quote. Returns whether it is to be told.
    pub(crate) fn quote(&mut self, quote: &Quote) -> bool {
        let Quote { symbol, version, updated_ns, feed, .. } = *quote;
        let stock = Stock { version, updated_ns, feed, is_listed: true, round: self.round };
        let Some(told) = self.stocks.get_mut(&symbol) else {
            self.stocks.insert(symbol, stock);
            return true;
        };
        told.round = self.round;
        let is_same = version == told.version && updated_ns == told.updated_ns;
        // After a crash that took writes back versions are counted from before, but later.
        let is_new = version > told.version
            || updated_ns > told.updated_ns
            || (is_same && (feed != told.feed || !told.is_listed));
        if is_new {
            *told = stock;
        }
        is_new
    }

    /// The server says that the stock is not listed. Returns whether it was.
    pub(crate) fn gone(&mut self, symbol: Symbol) -> Gone {
        let round = self.round;
        match self.stocks.get_mut(&symbol) {
            Some(told) => {
                told.round = round;
                match std::mem::take(&mut told.is_listed) {
                    true => Gone::Delisted,
                    false => Gone::Known,
                }
            }
            None => {
                let (version, updated_ns) = (0, 0);
                let stock = Stock { version, updated_ns, feed: None, is_listed: false, round };
                self.stocks.insert(symbol, stock);
                Gone::NeverListed
            }
        }
    }

    /// The stocks that were told of last as listed.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &Symbol> {
        self.stocks.iter().filter(|(_, stock)| stock.is_listed).map(|(symbol, _)| symbol)
    }

    /// The client may not read it any more.
    pub(crate) fn forget(&mut self, symbol: &Symbol) {
        self.stocks.remove(symbol);
    }

    /// The server has told everything. Returns what it has not spoken of, though it was listed: it was delisted while
    /// there was no connection.
    pub(crate) fn synced(&mut self) -> Vec<Symbol> {
        let round = self.round;
        let unspoken = self.stocks.iter_mut().filter(|(_, it)| it.round != round);
        let mut vanished = Vec::new();
        for (symbol, stock) in unspoken {
            stock.round = round;
            if std::mem::take(&mut stock.is_listed) {
                vanished.push(*symbol);
            }
        }
        vanished
    }
}

/// What it means that a stock is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It was.
    Delisted,
    /// It never was.
    NeverListed,
    /// That was told already.
    Known,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str) -> Symbol {
        name.parse().unwrap()
    }

    fn quote(name: &str, version: u64) -> Quote {
        Quote { version, updated_ns: version * 10, ..Quote::new(symbol(name)) }
    }

    #[test]
    fn what_is_told_again_is_dropped_and_what_is_new_is_not() {
        let mut told = Told::default();
        assert_eq!(told.begin(1, false), Continuity::First);
        assert!(told.quote(&quote("A", 3)) && told.quote(&quote("A", 5)));
        assert!(!told.quote(&quote("A", 5)) && !told.quote(&quote("A", 4)));
        assert_eq!(told.begin(1, true), Continuity::Resumed);
        assert!(!told.quote(&quote("A", 5)) && told.quote(&quote("A", 6)));
        assert_eq!(told.synced(), []);
        assert_eq!(told.gone(symbol("A")), Gone::Delisted);
        assert_eq!(told.gone(symbol("A")), Gone::Known);
        assert_eq!(told.gone(symbol("B")), Gone::NeverListed);
        assert!(told.quote(&quote("A", 8)) && told.quote(&quote("B", 1)));
        // Its feed has become stale: the same version says more.
        let stale = QuoteFeed::told("feed", stockd_model::FeedState::Stale);
        assert!(told.quote(&Quote { feed: Some(stale), ..quote("A", 8) }));
        // A crash has taken versions back; the next change is later.
        assert!(!told.quote(&quote("A", 7)));
        assert!(told.quote(&Quote { updated_ns: 1000, ..quote("A", 7) }));
    }

    #[test]
    fn what_is_not_spoken_of_after_a_gap_is_gone() {
        let mut told = Told::default();
        told.begin(1, false);
        assert!(
            told.quote(&quote("A", 3)) && told.quote(&quote("B", 4)) && told.quote(&quote("C", 5))
        );
        assert_eq!(told.synced(), []);
        assert_eq!(told.begin(1, false), Continuity::Gap);
        assert!(!told.quote(&quote("A", 3)));
        assert_eq!(told.gone(symbol("C")), Gone::Delisted);
        assert_eq!(told.synced(), [symbol("B")]);
        assert_eq!(told.synced(), []);
        // It is there again as it was: it was hidden from this client, and not delisted.
        assert!(told.quote(&quote("B", 4)));
    }

    #[test]
    fn another_epoch_begins_all_versions_again() {
        let mut told = Told::default();
        told.begin(1, false);
        assert!(told.quote(&quote("A", 30)) && told.quote(&quote("B", 30)));
        assert_eq!(told.begin(2, false), Continuity::NewEpoch);
        assert!(told.quote(&quote("A", 1)) && !told.quote(&quote("A", 1)));
        assert_eq!(told.synced(), [symbol("B")]);
        // A server of another epoch cannot resume, whatever it says.
        assert_eq!(told.begin(3, true), Continuity::NewEpoch);
    }
}
