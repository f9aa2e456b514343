//! The object of one stock in JSON: a symbol and any fields of a quote that a writer gives, or the trade and
//! the quote of Alpaca's data service.
//!
//! A decimal is a string, or a number whose digits are taken as they are written. It is never converted to a
//! float.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use stockd_model::{Edit, Field, Fields};

use super::form::Columns;
use super::names;
use super::row::{BadRow, NOTHING, Row, RowTexts, parse_symbol, shown};

/// Reads the row of one object. `name` is its key, where objects stand under the names of their stocks.
pub(super) fn row(object: &[u8], name: Option<&str>, columns: &Columns) -> Result<Row, BadRow> {
    // An array of the values in their order would pass for the object otherwise.
    if object.trim_ascii().first() != Some(&b'{') {
        return Err(not_an_object(""));
    }
    let text = std::str::from_utf8(object).map_err(|error| {
        let at = error.valid_up_to() + 1;
        not_an_object(&format!(": not UTF-8 at byte {at}; say its encoding with --encoding"))
    })?;
    let keys = if name.is_some() { KeySet::Short } else { KeySet::Named(columns) };
    let mut stock = parse(text, keys)?;
    if name.is_some() && stock.fields.is_empty() && stock.parts.is_empty() {
        stock = parse(text, KeySet::Named(columns))?;
    }
    let symbol = match (stock.symbol, name) {
        (Some(value), _) if !value.get().starts_with('"') => {
            let why = format!("{} is not a text in quotes", shown(value.get().as_bytes()));
            return Err(BadRow { column: Some("symbol"), why });
        }
        (Some(symbol), _) => text_of(symbol),
        (None, Some(name)) => Cow::Borrowed(name),
        (None, None) => {
            let why =
                "missing; a row needs a symbol; say its key with --columns symbol=KEY".to_owned();
            return Err(BadRow { column: Some("symbol"), why });
        }
    };
    let symbol = parse_symbol(symbol.as_bytes())?;
    let mut given = NOTHING;
    stock.give(&mut given)?;
    for part in &stock.parts {
        let before = given.time_ns;
        parse(part.get(), KeySet::Short)?.give(&mut given)?;
        given.time_ns = later(before, given.time_ns);
    }
    Row::of(symbol, given)
}

fn not_an_object(why: &str) -> BadRow {
    BadRow { column: None, why: format!("not a JSON object{why}") }
}

fn later(one: Edit<u64>, other: Edit<u64>) -> Edit<u64> {
    match (one, other) {
        (Edit::Set(one), Edit::Set(other)) => Edit::Set(one.max(other)),
        (Edit::Set(_), _) => one,
        _ => other,
    }
}

fn parse<'a>(text: &'a str, keys: KeySet<'_>) -> Result<Stock<'a>, BadRow> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let stock = reader.deserialize_map(keys);
    let whole = stock.and_then(|stock| reader.end().map(|()| stock));
    whole.map_err(|error| {
        let (text, column) = (error.to_string(), error.column());
        let why = text.split(" at line ").next().unwrap_or_default();
        not_an_object(&format!(": {why} at byte {column}"))
    })
}

/// What an object holds; its values are still as written.
#[derive(Default)]
struct Stock<'a> {
    symbol: Option<&'a RawValue>,
    /// Each field once, with the place of its name among those that it may have.
    fields: Vec<(Field, usize, &'a RawValue)>,
    /// The trade and the quote, where they are objects of their own.
    parts: Vec<&'a RawValue>,
    is_short: bool,
}

impl Stock<'_> {
    fn give(&self, given: &mut Fields) -> Result<(), BadRow> {
        let is_ours =
            self.fields.iter().all(|(field, rank, _)| *field != Field::Price || *rank == 0);
        for (field, _, value) in &self.fields {
            let is_traded_volume = *field == Field::Volume && !is_ours;
            let text = text_of(value);
            if text.trim().is_empty()
                || text == "null"
                || is_traded_volume
                || self.is_absent(*field)
            {
                continue;
            }
            RowTexts::default().set(given, *field, text.as_bytes())?;
        }
        Ok(())
    }

    /// Alpaca writes zeros for a side of the book where there is none.
    fn is_absent(&self, field: Field) -> bool {
        let price = match field {
            Field::Bid | Field::BidSize => Field::Bid,
            Field::Ask | Field::AskSize => Field::Ask,
            _ => return false,
        };
        let is_zero =
            |(field, _, value): &(Field, usize, &RawValue)| *field == price && value.get() == "0";
        self.is_short && self.fields.iter().any(is_zero)
    }
}

/// Which keys are looked for.
#[derive(Clone, Copy)]
enum KeySet<'f> {
    /// The names of fields.
    Named(&'f Columns),
    /// The letters that Alpaca writes for them.
    Short,
}

enum Slot {
    Symbol,
    Part,
    Field(Field, usize),
    Other,
}

impl KeySet<'_> {
    fn slot(self, key: &str) -> Slot {
        if ["latestTrade", "latestQuote", "trade", "quote"].contains(&key) {
            return Slot::Part;
        }
        let KeySet::Named(columns) = self else {
            return match key {
                "p" => Slot::Field(Field::Price, 0),
                "t" => Slot::Field(Field::Time, 0),
                "bp" => Slot::Field(Field::Bid, 0),
                "ap" => Slot::Field(Field::Ask, 0),
                "bs" => Slot::Field(Field::BidSize, 0),
                "as" => Slot::Field(Field::AskSize, 0),
                _ => Slot::Other,
            };
        };
        let rank = |field: &'static str, names: &[&str]| match columns.of(field) {
            Some(given) => names::same(given.as_bytes(), key.as_bytes()).then_some(0),
            None => names.iter().position(|name| names::same(name.as_bytes(), key.as_bytes())),
        };
        if rank("symbol", names::SYMBOL).is_some() {
            return Slot::Symbol;
        }
        let field = |field: Field| {
            rank(field.name(), names::of(field)).map(|rank| Slot::Field(field, rank))
        };
        Field::WRITABLE.into_iter().find_map(field).unwrap_or(Slot::Other)
    }
}

/// A key without its escapes, borrowed where it has none.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for KeySet<'_> {
    type Value = Stock<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Stock<'de>, M::Error> {
        let mut stock = Stock { is_short: matches!(self, KeySet::Short), ..Stock::default() };
        while let Some(Key(key)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            match self.slot(&key) {
                Slot::Symbol if stock.symbol.is_some() => {
                    return Err(M::Error::custom("duplicate field `symbol`"));
                }
                Slot::Symbol => stock.symbol = Some(value),
                Slot::Part if value.get().starts_with('{') => stock.parts.push(value),
                Slot::Part | Slot::Other => {}
                Slot::Field(field, rank) => {
                    match stock.fields.iter_mut().find(|(other, ..)| *other == field) {
                        None => stock.fields.push((field, rank, value)),
                        Some(before) if rank < before.1 => *before = (field, rank, value),
                        Some(before) if rank == before.1 => {
                            let name = field.name();
                            return Err(M::Error::custom(format_args!("duplicate field `{name}`")));
                        }
                        Some(_) => {}
                    }
                }
            }
        }
        Ok(stock)
    }
}

/// A text without its quotes and escapes; anything else as it is written.
fn text_of(value: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str::<Key<'_>>(value.get()) {
        Ok(Key(text)) => text,
        Err(_) => Cow::Borrowed(value.get()),
    }
}
