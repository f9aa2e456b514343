//! A quote as a JSON object: the payload of live updates and snapshots, the lines of `stockd watch`
//! and of exported catalogs.
//!
//! ```text
//! {"symbol":"AAPL","price":"172.5","volume":"1000","status":"trading","version":17,"updated":"2026-09-21T14:13:20.123500001Z"}
//! {"symbol":"EURUSD","price":"1.0834","status":"trading"}
//! {"symbol":"AAPL","status":"delisted"}
//! ```
//!
//! This module owns the bytes of these objects. It does not know who sends or stores them.
//!
//! Invariant: each object is one line without its line end, with its keys in this order. What is
//! absent is left out. Price and volume are strings, since many readers of JSON turn its numbers into
//! floats, and so is `updated`, as RFC 3339 writes it in UTC with nine decimals.

use crate::{DecimalText, Quote, Symbol, rfc3339};

/// Appends the object of a whole quote. At most 260 bytes.
pub fn encode_quote(quote: &Quote, out: &mut Vec<u8>) {
    encode_fields(quote, out);
    out.extend_from_slice(b",\"version\":");
    out.extend_from_slice(itoa::Buffer::new().format(quote.version).as_bytes());
    out.extend_from_slice(b",\"updated\":\"");
    out.extend_from_slice(&rfc3339::encode(quote.updated_ns));
    out.extend_from_slice(b"\"}");
}

/// Appends the object of what a user sets: a quote without its version and time. It is one stock
/// of a catalog file.
pub fn encode_stock(quote: &Quote, out: &mut Vec<u8>) {
    encode_fields(quote, out);
    out.push(b'}');
}

/// Appends the object that says that a stock is no longer listed.
pub fn encode_delisted(symbol: &Symbol, out: &mut Vec<u8>) {
    encode_symbol(symbol, out);
    out.extend_from_slice(b",\"status\":\"delisted\"}");
}

/// Appends the opening brace and the keys from symbol to status.
fn encode_fields(quote: &Quote, out: &mut Vec<u8>) {
    encode_symbol(&quote.symbol, out);
    encode_decimal(b",\"price\":\"", quote.price.text(), out);
    if let Some(volume) = quote.volume {
        encode_decimal(b",\"volume\":\"", volume.text(), out);
    }
    out.extend_from_slice(b",\"status\":\"");
    out.extend_from_slice(quote.status.as_str().as_bytes());
    out.push(b'"');
}

fn encode_decimal(key: &[u8], decimal: DecimalText, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    out.extend_from_slice(decimal.as_bytes());
    out.push(b'"');
}

/// Appends the opening brace and the symbol. A symbol is UTF-8 without control characters, so JSON
/// needs only quotes and backslashes escaped.
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
    use crate::{Status, Volume};

    fn quote(name: &str) -> Quote {
        Quote {
            symbol: name.parse().unwrap(),
            price: "172.50".parse().unwrap(),
            volume: Some(Volume::new(1000)),
            status: Status::Trading,
            version: 17,
            updated_ns: 1_790_000_000_123_500_001,
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
            r#"{"symbol":"AAPL","price":"172.5","volume":"1000","status":"trading","version":17,"updated":"2026-09-21T14:13:20.123500001Z"}"#
        );
        let mut out = Vec::new();
        encode_stock(&quote("AAPL"), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"symbol":"AAPL","price":"172.5","volume":"1000","status":"trading"}"#
        );
        let uncounted = Quote { volume: None, ..quote("EURUSD") };
        let mut out = Vec::new();
        encode_stock(&uncounted, &mut out);
        assert_eq!(out, br#"{"symbol":"EURUSD","price":"172.5","status":"trading"}"#);
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
            price: "-9.223372036854775807".parse().unwrap(),
            volume: Volume::with_places(u64::MAX, 18),
            status: Status::Trading,
            version: u64::MAX,
            updated_ns: u64::MAX,
        };
        assert!(encoded(&longest).len() <= 260, "{}", encoded(&longest).len());
    }
}
