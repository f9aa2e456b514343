//! One row of a file: the stock that it lists, or what is wrong with it.
//!
//! It knows texts and their meaning, not how the columns of a format are told apart.
//!
//! Invariant: what is said of a bad row holds no control characters, whatever the file does.

use std::fmt;

use stockd_model::limits::EXCERPT_BYTES_MAX;
use stockd_model::{Escaped, Field, Fields, Quote, Symbol, escaped};

/// One stock of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) symbol: Symbol,
    /// All that the row says of its stock: what it does not say is absent. A stock keeps its time where
    /// the row has none.
    pub(crate) fields: Fields,
}

/// Why a row is bad: the column, where one is to blame, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadRow {
    pub(crate) column: Option<&'static str>,
    pub(crate) why: String,
}

impl Row {
    /// Reads the texts of a row. A status that is not there is `trading`; what else is not there, or is
    /// `none`, is absent.
    pub(super) fn parse<'a>(
        symbol: &[u8],
        texts: impl IntoIterator<Item = (Field, &'a [u8])>,
    ) -> Result<Row, BadRow> {
        let symbol = Symbol::parse(symbol).map_err(|error| BadRow {
            column: Some("symbol"),
            why: format!("'{}': {error}", shown(symbol)),
        })?;
        let mut given = Fields::default();
        for (field, text) in texts {
            if !text.trim_ascii().is_empty() {
                given.set(field, text).map_err(BadRow::at(field.name()))?;
            }
        }
        if !given.can_list() {
            let why = "missing; a row needs a price, a bid, an ask or a status".to_owned();
            return Err(BadRow { column: Some("price"), why });
        }
        Ok(Row { symbol, fields: Fields::from(&given.outcome(&Quote::new(symbol))) })
    }

    pub(super) fn listed_already(&self, line: u64) -> BadRow {
        BadRow {
            column: Some("symbol"),
            why: format!("'{}' was listed on line {line} already", self.symbol),
        }
    }
}

impl BadRow {
    /// The error with its place, `us.csv:17:price: '-3' is not a price…`.
    pub(crate) fn located(&self, source: &impl fmt::Display, line: u64) -> String {
        let column = self.column.map(|column| format!("{column}:")).unwrap_or_default();
        let (source, why) = (source.to_string(), escaped(&self.why));
        format!("{}:{line}:{column} {why}", escaped(&source))
    }

    /// Makes an error of a value the error of its column.
    pub(crate) fn at<E: fmt::Display>(column: &'static str) -> impl Fn(E) -> BadRow {
        move |error| BadRow { column: Some(column), why: error.to_string() }
    }
}

/// A text from a file, escaped and shortened for an error message.
pub(crate) fn shown(text: &[u8]) -> Escaped<'_> {
    escaped(text.trim_ascii()).at_most(EXCERPT_BYTES_MAX)
}
