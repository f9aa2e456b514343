//! One row of a file: the stock that it lists, or what is wrong with it.
//!
//! It knows texts and their meaning, not how the columns of a format are told apart.
//!
//! Invariant: what is said of a bad row holds no control characters, whatever the file does.

use std::fmt;

use stockd_model::limits::EXCERPT_BYTES_MAX;
use stockd_model::{Edit, Escaped, Field, Fields, Quote, Status, Symbol, SymbolError, escaped};

use super::number::{DecimalMark, is_nothing};

/// One stock of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) symbol: Symbol,
    /// All that the row says of its stock: what it does not say is absent. A stock keeps its time where
    /// the row has none.
    pub(crate) fields: Fields,
    /// Whether the row is of a list of names, and says nothing of a stock that is listed already.
    pub(crate) is_name_alone: bool,
}

/// What a row says that says nothing: all is taken away but the time.
pub(super) const NOTHING: Fields = Fields {
    price: Edit::Clear,
    volume: Edit::Clear,
    bid: Edit::Clear,
    ask: Edit::Clear,
    bid_size: Edit::Clear,
    ask_size: Edit::Clear,
    status: None,
    time_ns: Edit::Keep,
    feed: Edit::Keep,
};

/// How the texts of a row are written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowTexts {
    pub(crate) mark: DecimalMark,
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
        texts: &RowTexts,
        fields: impl IntoIterator<Item = (Field, &'a [u8])>,
    ) -> Result<Row, BadRow> {
        let symbol = parse_symbol(symbol)?;
        let mut given = NOTHING;
        for (field, text) in fields {
            texts.set(&mut given, field, text)?;
        }
        Row::of(symbol, given)
    }

    /// A stock with this quote as the row has it. Where it came from is no matter of the row.
    pub(crate) fn outcome(&self, known: &Quote) -> Quote {
        Quote { feed: known.feed, ..self.fields.outcome(known) }
    }

    /// The row that gives a stock these fields, which were [`NOTHING`] before, and no others.
    pub(super) fn of(symbol: Symbol, given: Fields) -> Result<Row, BadRow> {
        if !given.can_list() {
            let why = "missing; a row needs a price, a bid, an ask or a status".to_owned();
            return Err(BadRow { column: Some("price"), why });
        }
        let status = given.status.or(Some(Status::Trading));
        let time_ns = if given.time_ns == Edit::Clear { Edit::Keep } else { given.time_ns };
        Ok(Row { symbol, fields: Fields { status, time_ns, ..given }, is_name_alone: false })
    }

    /// A stock of which nothing is known but that it is traded.
    pub(super) fn name_alone(symbol: &[u8]) -> Result<Row, BadRow> {
        parse_symbol(symbol).map(Row::of_name)
    }

    /// The same of a symbol.
    pub(super) fn of_name(symbol: Symbol) -> Row {
        let fields = Fields { status: Some(Status::Trading), ..Fields::default() };
        Row { symbol, fields, is_name_alone: true }
    }

    pub(super) fn listed_already(&self, line: u64) -> BadRow {
        BadRow {
            column: Some("symbol"),
            why: format!("'{}' was listed on line {line} already", self.symbol),
        }
    }
}

impl RowTexts {
    /// Gives a field what a text says; nothing where it says that there is nothing.
    pub(crate) fn set(&self, fields: &mut Fields, field: Field, text: &[u8]) -> Result<(), BadRow> {
        let column = field.name();
        match field {
            Field::Status | Field::Time if text.trim_ascii().is_empty() => Ok(()),
            Field::Status | Field::Time => fields.set(field, text).map_err(BadRow::at(column)),
            _ if is_nothing(text) => Ok(()),
            _ => {
                let number = self.mark.plain(text).map_err(BadRow::at(column))?;
                fields.set(field, &number).map_err(|error| {
                    let is_with_comma = self.mark == DecimalMark::Point && number.contains(&b',');
                    let hint = if is_with_comma {
                        "; if its comma is a decimal one say --decimal-comma"
                    } else {
                        ""
                    };
                    BadRow { column: Some(column), why: format!("{error}{hint}") }
                })
            }
        }
    }
}

/// Reads the symbol of a row.
pub(crate) fn parse_symbol(symbol: &[u8]) -> Result<Symbol, BadRow> {
    Symbol::parse(symbol).map_err(|error| {
        let hint = match error {
            SymbolError::NotUtf8 { .. } => {
                "; say the encoding of the file with --encoding, as in windows-1252"
            }
            _ => "",
        };
        BadRow { column: Some("symbol"), why: format!("'{}': {error}{hint}", shown(symbol)) }
    })
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
