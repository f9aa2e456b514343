//! JSON lines: one object a line, with symbol, price and optionally volume and status.
//!
//! A price or volume is a string, or a number whose digits are taken as they are written. It is
//! never converted to a float.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

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
    status: Option<&'a RawValue>,
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
        symbol => need("symbol", symbol)?,
    };
    let price = need("price", object.price)?;
    let volume = object.volume.map(text_of).unwrap_or_default();
    let status = object.status.map(text_of).unwrap_or_default();
    Row::parse(symbol.as_bytes(), price.as_bytes(), volume.as_bytes(), status.as_bytes())
}

/// The text of a value that must be there.
fn need<'a>(column: &'static str, value: Option<&'a RawValue>) -> Result<Cow<'a, str>, BadRow> {
    value.map(text_of).ok_or_else(|| BadRow {
        column: Some(column),
        why: "missing; a row needs symbol and price".to_owned(),
    })
}

/// A text without its quotes and escapes; anything else as it is written.
fn text_of(value: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(value.get()),
    }
}
