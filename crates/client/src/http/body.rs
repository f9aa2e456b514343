//! What requests say: names, fields and trades as JSON, and stocks in paths.
//!
//! Invariant: a decimal is sent as text, so that none of its digits is lost.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use stockd_model::limits::HTTP_CLIENT_NAME_BYTES_MAX;
use stockd_model::{Field, Fields, Quote, Shares, Symbol};

/// The path of a stock.
pub(super) fn path(symbol: &Symbol) -> String {
    format!("/v1/stocks/{}", encoded(symbol.as_str()))
}

/// The path that looks a name up; `None` of one that is too long for a symbol, whatever is around it.
pub(super) fn lookup_path(name: &str) -> Option<String> {
    let can_be = name.len() <= HTTP_CLIENT_NAME_BYTES_MAX;
    can_be.then(|| format!("/v1/stock?symbol={}", encoded(name)))
}

/// A text as it stands in an address.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The object of the fields that are given; `null` takes one away.
pub(super) fn fields(symbol: Symbol, fields: &Fields) -> Map<String, Value> {
    // What the fields make of a quote of which nothing is known is what they give.
    let given = fields.outcome(&Quote::new(symbol));
    let mut object = Map::new();
    for field in Field::WRITABLE {
        let value = match given.text_of(field) {
            Some(text) if fields.gives(field) => text.as_str().into(),
            None if fields.clears(field) => Value::Null,
            _ => continue,
        };
        object.insert(field.name().to_owned(), value);
    }
    object
}

/// One line of many updates.
pub(super) fn update_line(symbol: Symbol, given: &Fields, lines: &mut Vec<u8>) {
    let mut object = fields(symbol, given);
    object.insert("symbol".to_owned(), symbol.as_str().into());
    lines.extend_from_slice(Value::Object(object).to_string().as_bytes());
    lines.push(b'\n');
}

/// The object of a trade.
pub(super) fn trade(shares: Shares) -> Vec<u8> {
    let (side, quantity) = match shares {
        Shares::Add(volume) => ("sell", volume),
        Shares::Take(volume) => ("buy", volume),
    };
    json!({"side": side, "quantity": quantity.to_string()}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use stockd_model::Edit;

    use super::*;

    #[test]
    fn what_is_given_is_sent_as_text_and_what_is_taken_away_as_null() {
        let symbol: Symbol = "BRK/A".parse().unwrap();
        let given = Fields {
            price: "743500.000000001".parse().unwrap(),
            volume: Edit::Clear,
            ..Fields::default()
        };
        let mut lines = Vec::new();
        update_line(symbol, &given, &mut lines);
        let expected = json!({"symbol": "BRK/A", "price": "743500.000000001", "volume": null});
        assert_eq!(serde_json::from_slice::<Value>(&lines).unwrap(), expected);
        assert!(lines.ends_with(b"}\n"));
        assert_eq!(path(&symbol), "/v1/stocks/BRK%2FA");
        assert_eq!(lookup_path(" ..\u{725b}").unwrap(), "/v1/stock?symbol=%20%2E%2E%E7%89%9B");
        assert_eq!(lookup_path(&"x".repeat(2000)), None);
        assert_eq!(trade((-5).into()), br#"{"quantity":"5","side":"buy"}"#);
    }
}
