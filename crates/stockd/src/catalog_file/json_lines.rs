//! JSON lines: one object a line, with a symbol and any fields of a quote that a writer gives.
//!
//! A decimal is a string, or a number whose digits are taken as they are written. It is
//! never converted to a float.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use stockd_model::Field;

use super::row::{BadRow, Row, shown};

/// The object of one line; its values are still as written. Other keys are ignored.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    symbol: Option<&'a RawValue>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    volume: Option<&'a RawValue>,
    #[serde(borrow)]
    bid: Option<&'a RawValue>,
    #[serde(borrow)]
    ask: Option<&'a RawValue>,
    #[serde(borrow)]
    bid_size: Option<&'a RawValue>,
    #[serde(borrow)]
    ask_size: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
}

/// Reads the row on one line.
pub(super) fn row(line: &[u8]) -> Result<Row, BadRow> {
    let not_an_object = |why: &str| BadRow { column: None, why: format!("not a JSON object{why}") };
    // An array of the values in their order would pass for the object otherwise.
    if line.trim_ascii().first() != Some(&b'{') {
        return Err(not_an_object(""));
    }
    let object: Object<'_> = serde_json::from_slice(line).map_err(|error| {
        let (text, column) = (error.to_string(), error.column());
        let why = text.split(" at line ").next().unwrap_or_default();
        not_an_object(&format!(": {why} at byte {column}"))
    })?;
    let symbol = match object.symbol {
        Some(value) if !value.get().starts_with('"') => {
            let why = format!("{} is not a text in quotes", shown(value.get().as_bytes()));
            return Err(BadRow { column: Some("symbol"), why });
        }
        Some(symbol) => text_of(symbol),
        None => {
            let why = "missing; a row needs a symbol".to_owned();
            return Err(BadRow { column: Some("symbol"), why });
        }
    };
    let values = [
        (Field::Price, object.price),
        (Field::Volume, object.volume),
        (Field::Bid, object.bid),
        (Field::Ask, object.ask),
        (Field::BidSize, object.bid_size),
        (Field::AskSize, object.ask_size),
        (Field::Status, object.status),
        (Field::Time, object.time),
    ];
    let texts = values.map(|(field, value)| (field, value.map(text_of).unwrap_or_default()));
    Row::parse(symbol.as_bytes(), texts.iter().map(|(field, text)| (*field, text.as_bytes())))
}

/// A text without its quotes and escapes; anything else as it is written.
fn text_of(value: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(value.get()),
    }
}
