//! One quote as JSON: the payload of live updates, the same over every protocol that has them.
//!
//! ```text
//! {"symbol":"AAPL","price":"172.5","volume":1000,"status":"trading","version":17,"updated":1790000000000000000}
//! {"symbol":"AAPL","status":"delisted"}
//! ```
//!
//! The order of the keys is part of the format. The price is a string, since many readers of JSON
//! turn its numbers into floats; `updated` is Unix time in nanoseconds.

use crate::{Quote, Symbol};

/// Appends the JSON object of a quote, without a line end. At most 250 bytes.
pub fn encode_quote(quote: &Quote, out: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    encode_symbol(&quote.symbol, out);
    out.extend_from_slice(b",\"price\":\"");
    out.extend_from_slice(quote.price.text().as_bytes());
    out.extend_from_slice(b"\",\"volume\":");
    out.extend_from_slice(number.format(quote.volume.shares()).as_bytes());
    out.extend_from_slice(b",\"status\":\"");
    out.extend_from_slice(quote.status.as_str().as_bytes());
    out.extend_from_slice(b"\",\"version\":");
    out.extend_from_slice(number.format(quote.version).as_bytes());
    out.extend_from_slice(b",\"updated\":");
    out.extend_from_slice(number.format(quote.updated_ns).as_bytes());
    out.push(b'}');
}

/// Appends the JSON object that tells that a stock is listed no more, without a line end.
pub fn encode_delisted(symbol: &Symbol, out: &mut Vec<u8>) {
    encode_symbol(symbol, out);
    out.extend_from_slice(b",\"status\":\"delisted\"}");
}

/// Appends the opening brace and the symbol. A symbol is UTF-8 without control characters, so a
/// quote and a backslash are all that JSON wants escaped.
fn encode_symbol(symbol: &Symbol, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"symbol\":\"");
    for &byte in symbol.as_bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Price, Status, Volume};

    fn quote(name: &str) -> Quote {
        Quote {
            symbol: name.parse().unwrap(),
            price: "172.50".parse().unwrap(),
            volume: Volume::new(1000),
            status: Status::Trading,
            version: 17,
            updated_ns: 1_790_000_000_000_000_000,
        }
    }

    fn encoded(quote: &Quote) -> String {
        let mut out = Vec::new();
        encode_quote(quote, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_quote_is_one_object_with_its_keys_in_order() {
        assert_eq!(
            encoded(&quote("AAPL")),
            r#"{"symbol":"AAPL","price":"172.5","volume":1000,"status":"trading","version":17,"updated":1790000000000000000}"#
        );
        let mut out = Vec::new();
        encode_delisted(&"AAPL".parse().unwrap(), &mut out);
        assert_eq!(out, br#"{"symbol":"AAPL","status":"delisted"}"#);
    }

    #[test]
    fn quotes_and_backslashes_in_a_symbol_are_escaped_and_nothing_else() {
        let json = encoded(&quote(r#"A"B\C/D 牛"#));
        assert!(json.starts_with(r#"{"symbol":"A\"B\\C/D 牛","price""#), "{json}");
    }

    #[test]
    fn the_longest_quote_fits_the_documented_bound() {
        let longest = Quote {
            symbol: "\\".repeat(30).parse().unwrap(),
            price: Price::MAX,
            volume: Volume::new(u64::MAX),
            status: Status::Trading,
            version: u64::MAX,
            updated_ns: u64::MAX,
        };
        assert!(encoded(&longest).len() <= 250, "{}", encoded(&longest).len());
    }
}
