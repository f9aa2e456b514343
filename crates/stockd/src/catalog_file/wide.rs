//! Wide files of daily prices, as yfinance writes them: a column for each kind of price of each stock, and a
//! row for each day.
//!
//! ```text
//! Price,Close,Close,High,High
//! Ticker,AAPL,MSFT,AAPL,MSFT
//! Date,,,,
//! 2026-09-18,171.0,400.0,172.0,401.0
//! 2026-09-21,172.5,400.25,173.0,402.0
//! ```
//!
//! Invariant: a stock has the last close that the file has of it.

use stockd_model::{Field, Fields, Symbol};

use super::csv::Record;
use super::lines::{Line, too_long};
use super::names::same;
use super::row::{BadRow, NOTHING, Row, RowTexts, parse_symbol, shown};

/// The columns that are the close of a stock, and the last that each of them had.
pub(super) struct Closes {
    record: Record,
    columns: usize,
    stocks: Vec<Close>,
}

struct Close {
    at: usize,
    symbol: Symbol,
    fields: Fields,
    line: u64,
}

/// Whether a file begins like that.
pub(super) fn is_wide(sample: &[u8]) -> bool {
    let mut lines = sample.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
    first.starts_with(b"Price,") && lines.next().is_some_and(|line| line.starts_with(b"Ticker,"))
}

impl Closes {
    /// Reads the two lines of the header.
    pub(super) fn parse(prices: &[u8], tickers: &[u8]) -> Result<Closes, String> {
        let mut record = Record::new(b',');
        record.read(prices).map_err(|bad| bad.why)?;
        let is_close = |at: &usize| same(record.field(*at), b"close");
        let closes: Vec<usize> = (1..record.len()).filter(is_close).collect();
        if closes.is_empty() {
            return Err(format!("no column is a Close; the header names {}", shown(prices)));
        }
        let columns = record.len();
        record.read(tickers).map_err(|bad| bad.why)?;
        let mut stocks = Vec::new();
        for at in closes {
            let symbol = parse_symbol(record.field(at)).map_err(|bad| bad.why)?;
            stocks.push(Close { at, symbol, fields: NOTHING, line: 0 });
        }
        Ok(Closes { record, columns, stocks })
    }

    /// Takes the closes of one line.
    pub(super) fn take(&mut self, number: u64, line: Line<'_>) -> Result<(), BadRow> {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong(max) => return Err(BadRow { column: None, why: too_long(max) }),
        };
        let is_index = [&b"Date,"[..], b"Datetime,"].iter().any(|name| line.starts_with(name));
        if line.trim_ascii().is_empty() || is_index {
            return Ok(());
        }
        self.record.read(line)?;
        if self.record.len() != self.columns {
            let (fields, columns) = (self.record.len(), self.columns);
            let why = format!("the row has {fields} fields, the header {columns}");
            return Err(BadRow { column: None, why });
        }
        for stock in &mut self.stocks {
            let mut fields = NOTHING;
            RowTexts::default().set(&mut fields, Field::Price, self.record.field(stock.at))?;
            if fields.can_list() {
                (stock.fields, stock.line) = (fields, number);
            }
        }
        Ok(())
    }

    /// The row of each stock that has a close, with the line that it stands on.
    pub(super) fn rows(self) -> impl Iterator<Item = (u64, Result<Row, BadRow>)> {
        let known = self.stocks.into_iter().filter(|stock| stock.line > 0);
        known.map(|Close { symbol, fields, line, .. }| (line, Row::of(symbol, fields)))
    }
}
