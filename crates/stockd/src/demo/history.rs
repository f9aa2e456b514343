//! The built-in history: 13 years of daily bars of five stocks, in the order of their days.
//!
//! `data/README.md` of this crate names the source of the data.

use std::collections::BTreeSet;
use std::io::Read;

use anyhow::Context;
use flate2::read::GzDecoder;
use stockd_model::{Price, Symbol, Volume};

const DAILY_BARS: &[u8] = include_bytes!("../../data/daily_bars.csv.gz");

/// All bars, sorted by date, then symbol.
#[derive(Debug)]
pub(crate) struct History {
    bars: Vec<Bar>,
}

/// One stock at the close of one day.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bar {
    /// The day, as in `2000-03-01`.
    pub(crate) date: String,
    /// The stock.
    pub(crate) symbol: Symbol,
    /// Its price at the close.
    pub(crate) price: Price,
    /// Shares traded on that day, which the demo takes as the shares that remain.
    pub(crate) volume: Volume,
}

impl History {
    /// Reads the built-in bars.
    ///
    /// # Errors
    ///
    /// When this binary was built with damaged data.
    pub(crate) fn load() -> anyhow::Result<History> {
        let bars = read_bars(GzDecoder::new(DAILY_BARS)).context("the built-in daily bars")?;
        Ok(History { bars })
    }

    pub(crate) fn bars(&self) -> &[Bar] {
        &self.bars
    }

    /// The bars of each day, in order.
    pub(crate) fn days(&self) -> impl Iterator<Item = &[Bar]> {
        self.bars.chunk_by(|a, b| a.date == b.date)
    }

    /// The day of the last of the first `bars` bars; empty for none.
    pub(crate) fn date_of_last(&self, bars: usize) -> &str {
        let last = bars.checked_sub(1).and_then(|last| self.bars.get(last));
        last.map_or("", |bar| &bar.date)
    }

    /// The stocks whose first bar is not on the first day.
    pub(crate) fn late_symbols(&self) -> BTreeSet<Symbol> {
        let first: BTreeSet<_> =
            self.days().next().into_iter().flatten().map(|bar| bar.symbol).collect();
        let all = self.symbols();
        &all - &first
    }

    /// All stocks that ever appear.
    pub(crate) fn symbols(&self) -> BTreeSet<Symbol> {
        self.bars.iter().map(|bar| bar.symbol).collect()
    }

    /// The prices that a lookup may find, `None` while the stock is not listed. The first `applied`
    /// bars were applied before the lookup, and at most the first `begun` when it ended: so it may
    /// find the last price applied, or any that came since.
    pub(crate) fn possible_prices(
        &self,
        symbol: &Symbol,
        applied: usize,
        begun: usize,
    ) -> Vec<Option<Price>> {
        let (applied, since) = self.bars[..begun].split_at(applied);
        let of_stock = |bar: &&Bar| bar.symbol == *symbol;
        let last = applied.iter().rev().find(of_stock).map(|bar| bar.price);
        let later = since.iter().filter(of_stock).map(|bar| Some(bar.price));
        std::iter::once(last).chain(later).collect()
    }
}

fn read_bars(source: impl Read) -> anyhow::Result<Vec<Bar>> {
    let mut bars = Vec::new();
    for record in csv::Reader::from_reader(source).into_deserialize() {
        let (date, symbol, price, volume): (String, String, String, String) = record?;
        bars.push(Bar {
            date,
            symbol: symbol.parse()?,
            price: price.parse()?,
            volume: volume.parse()?,
        });
    }
    Ok(bars)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_data_is_whole_and_sorted() {
        let history = History::load().unwrap();
        let mut bars_of = BTreeMap::<&str, usize>::new();
        for bar in history.bars() {
            *bars_of.entry(bar.symbol.as_str()).or_default() += 1;
            assert!(!bar.volume.is_exhausted(), "{bar:?}");
        }
        let expected = [("AAPL", 3270), ("FB", 196), ("GOOG", 2148), ("IBM", 3270), ("MSFT", 3270)];
        assert_eq!(bars_of, BTreeMap::from(expected));
        assert_eq!(history.bars().len(), 12_154);
        let order = |bar: &Bar| (bar.date.clone(), bar.symbol);
        assert!(history.bars().is_sorted_by(|a, b| order(a) < order(b)));
        assert_eq!(history.days().count(), 3270);
        assert_eq!(history.bars()[0].date, "2000-03-01");
        assert_eq!(history.bars()[12_153].date, "2013-03-01");
    }

    /// Against the text of the file, which is read apart from [`Price`].
    #[test]
    fn every_price_is_exact() {
        let history = History::load().unwrap();
        let mut text = String::new();
        GzDecoder::new(DAILY_BARS).read_to_string(&mut text).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("date,symbol,close,volume"));
        for bar in history.bars() {
            let fields: Vec<&str> = lines.next().unwrap().split(',').collect();
            let price = match fields[2].split_once('.') {
                Some(_) => fields[2].trim_end_matches('0').trim_end_matches('.'),
                None => fields[2],
            };
            let read = [
                bar.date.clone(),
                bar.symbol.to_string(),
                bar.price.to_string(),
                bar.volume.to_string(),
            ];
            assert_eq!(read, [fields[0], fields[1], price, fields[3]]);
        }
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn possible_prices_are_the_last_applied_and_all_since() {
        let text = "date,symbol,close,volume\n1,A,1,5\n1,B,2,5\n2,A,3,5\n2,B,4,5\n3,C,5,5\n";
        let history = History { bars: read_bars(text.as_bytes()).unwrap() };
        let prices = |symbol: &str, applied, begun| -> Vec<String> {
            let show =
                |price: Option<Price>| price.map_or("-1".to_owned(), |price| price.to_string());
            let possible = history.possible_prices(&symbol.parse().unwrap(), applied, begun);
            possible.into_iter().map(show).collect()
        };
        assert_eq!(prices("A", 2, 2), ["1"]);
        assert_eq!(prices("A", 2, 3), ["1", "3"]);
        assert_eq!(prices("A", 5, 5), ["3"]);
        assert_eq!(prices("C", 4, 4), ["-1"]);
        assert_eq!(prices("C", 4, 5), ["-1", "5"]);
    }
}
