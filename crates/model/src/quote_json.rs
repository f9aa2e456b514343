//! A quote as a JSON object: the payload of live updates and snapshots, the lines of `stockd watch`
//! and of exported catalogs.
//!
//! ```text
//! {"symbol":"AAPL","price":"172.5","volume":"1000","bid":"172.49","ask":"172.51","bid_size":"300","ask_size":"200","status":"trading","time":"2026-09-21T14:13:20.123456789Z","version":17,"updated":"2026-09-21T14:13:20.123500001Z"}
//! {"symbol":"EURUSD","price":"1.0834","status":"trading"}
//! {"symbol":"BTCUSD","price":"64000","status":"trading","version":3,"updated":"2026-09-21T14:13:20.123500001Z","feed":"coins","feed_state":"live"}
//! {"symbol":"AAPL","status":"delisted"}
//! {"symbol":"XYZ","status":"unlisted"}
//! {"symbol":"XYZ","status":"forbidden"}
//! ```
//!
//! This module owns the bytes of these objects. It does not know who sends or stores them.
//!
//! Invariant: each object is one line without its line end, with its keys in this order. What is
//! absent is left out. Decimals are strings, since many readers of JSON turn its numbers into
//! floats, and so are `time` and `updated`, as RFC 3339 writes them in UTC with nine decimals.

use crate::{DecimalText, Price, Quote, Status, Symbol, Volume, rfc3339};

/// Appends the object of a whole quote. At most 620 bytes.
pub fn encode_quote(quote: &Quote, out: &mut Vec<u8>) {
    encode_whole(quote, quote.status_now(), out);
}

/// Appends the object of a whole quote as it is kept somewhere else: with the status that was written,
/// whatever its feed does, and with `"on_stale":"halt"` where the feed halts it when stale.
pub fn encode_kept(quote: &Quote, out: &mut Vec<u8>) {
    encode_whole(quote, quote.status, out);
    if quote.feed.is_some_and(|feed| feed.halts_when_stale) {
        out.pop();
        out.extend_from_slice(b",\"on_stale\":\"halt\"}");
    }
}

fn encode_whole(quote: &Quote, status: Status, out: &mut Vec<u8>) {
    encode_fields(quote, status, out);
    out.extend_from_slice(b",\"version\":");
    out.extend_from_slice(itoa::Buffer::new().format(quote.version).as_bytes());
    encode_text(b",\"updated\":\"", &rfc3339::encode(quote.updated_ns), out);
    if let Some(feed) = quote.feed {
        // No name of a feed needs an escape.
        encode_text(b",\"feed\":\"", feed.name.as_str().as_bytes(), out);
        encode_text(b",\"feed_state\":\"", feed.state.as_str().as_bytes(), out);
    }
    out.push(b'}');
}

/// Appends the object of what a user sets: a quote without its version and time. It is one stock
/// of a catalog file.
pub fn encode_stock(quote: &Quote, out: &mut Vec<u8>) {
    encode_fields(quote, quote.status, out);
    out.push(b'}');
}

/// Appends the object that says that a stock is no longer listed.
pub fn encode_delisted(symbol: &Symbol, out: &mut Vec<u8>) {
    encode_symbol(symbol, out);
    out.extend_from_slice(b",\"status\":\"delisted\"}");
}

/// Appends the object that says, to a new subscriber, that a stock is not listed.
pub fn encode_unlisted(symbol: &Symbol, out: &mut Vec<u8>) {
    encode_symbol(symbol, out);
    out.extend_from_slice(b",\"status\":\"unlisted\"}");
}

/// Appends the object that says, to a subscriber, that it may read a stock no longer; or nothing that it
/// was subscribed to, where no symbol is given.
pub fn encode_forbidden(symbol: Option<&Symbol>, out: &mut Vec<u8>) {
    match symbol {
        Some(symbol) => {
            encode_symbol(symbol, out);
            out.push(b',');
        }
        None => out.push(b'{'),
    }
    out.extend_from_slice(b"\"status\":\"forbidden\"}");
}

/// Appends the opening brace and the keys from symbol to time.
fn encode_fields(quote: &Quote, status: Status, out: &mut Vec<u8>) {
    encode_symbol(&quote.symbol, out);
    encode_decimal(b",\"price\":\"", quote.price.map(Price::text), out);
    encode_decimal(b",\"volume\":\"", quote.volume.map(Volume::text), out);
    encode_decimal(b",\"bid\":\"", quote.bid.map(Price::text), out);
    encode_decimal(b",\"ask\":\"", quote.ask.map(Price::text), out);
    encode_decimal(b",\"bid_size\":\"", quote.bid_size.map(Volume::text), out);
    encode_decimal(b",\"ask_size\":\"", quote.ask_size.map(Volume::text), out);
    encode_text(b",\"status\":\"", status.as_str().as_bytes(), out);
    if let Some(time_ns) = quote.time_ns {
        encode_text(b",\"time\":\"", &rfc3339::encode(time_ns), out);
    }
}

fn encode_decimal(key: &[u8], decimal: Option<DecimalText>, out: &mut Vec<u8>) {
    if let Some(decimal) = decimal {
        encode_text(key, decimal.as_bytes(), out);
    }
}

fn encode_text(key: &[u8], text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    out.extend_from_slice(text);
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
    use crate::{FeedState, QuoteFeed};

    fn quote(name: &str) -> Quote {
        Quote {
            price: "172.50".parse().ok(),
            volume: Some(Volume::new(1000)),
            version: 17,
            updated_ns: 1_790_000_000_123_500_001,
            ..Quote::new(name.parse().unwrap())
        }
    }

    fn whole(name: &str) -> Quote {
        Quote {
            bid: "172.49".parse().ok(),
            ask: "172.51".parse().ok(),
            bid_size: Some(Volume::new(300)),
            ask_size: Some(Volume::new(200)),
            time_ns: Some(1_790_000_000_123_456_789),
            ..quote(name)
        }
    }

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_quote_is_one_object_with_its_keys_in_order() {
        assert_eq!(
            encoded(|out| encode_quote(&whole("AAPL"), out)),
            r#"{"symbol":"AAPL","price":"172.5","volume":"1000","bid":"172.49","ask":"172.51","bid_size":"300","ask_size":"200","status":"trading","time":"2026-09-21T14:13:20.123456789Z","version":17,"updated":"2026-09-21T14:13:20.123500001Z"}"#
        );
        assert_eq!(
            encoded(|out| encode_stock(&quote("AAPL"), out)),
            r#"{"symbol":"AAPL","price":"172.5","volume":"1000","status":"trading"}"#
        );
        let uncounted = Quote { volume: None, ..quote("EURUSD") };
        assert_eq!(
            encoded(|out| encode_stock(&uncounted, out)),
            r#"{"symbol":"EURUSD","price":"172.5","status":"trading"}"#
        );
        let halting = QuoteFeed { is_halting: true, ..QuoteFeed::told("coins", FeedState::Stale) };
        let fed = Quote { volume: None, feed: Some(halting), ..quote("BTC") };
        let tail = r#","version":17,"updated":"2026-09-21T14:13:20.123500001Z","feed":"coins","feed_state":"stale"}"#;
        assert_eq!(
            encoded(|out| encode_quote(&fed, out)),
            format!(r#"{{"symbol":"BTC","price":"172.5","status":"halted"{tail}"#)
        );
        assert_eq!(
            encoded(|out| encode_kept(&fed, out)),
            format!(r#"{{"symbol":"BTC","price":"172.5","status":"trading"{tail}"#)
        );
        let symbol = "AAPL".parse().unwrap();
        let bare = Quote { status: Status::Halted, ..Quote::new(symbol) };
        assert_eq!(
            encoded(|out| encode_stock(&bare, out)),
            r#"{"symbol":"AAPL","status":"halted"}"#
        );
        assert_eq!(
            encoded(|out| encode_delisted(&symbol, out)),
            r#"{"symbol":"AAPL","status":"delisted"}"#
        );
        assert_eq!(
            encoded(|out| encode_unlisted(&symbol, out)),
            r#"{"symbol":"AAPL","status":"unlisted"}"#
        );
        assert_eq!(
            encoded(|out| encode_forbidden(Some(&symbol), out)),
            r#"{"symbol":"AAPL","status":"forbidden"}"#
        );
        assert_eq!(encoded(|out| encode_forbidden(None, out)), r#"{"status":"forbidden"}"#);
    }

    #[test]
    fn quotes_and_backslashes_in_a_symbol_are_escaped_and_nothing_else() {
        let json = encoded(|out| encode_quote(&quote(r#"A"B\C/D 牛"#), out));
        assert!(json.starts_with(r#"{"symbol":"A\"B\\C/D 牛","price""#), "{json}");
    }

    #[test]
    fn the_longest_quote_fits_the_documented_bound() {
        let price = "-9.223372036854775807".parse().ok();
        let volume = Volume::with_places(u64::MAX, 18);
        let longest = Quote {
            price,
            volume,
            bid: price,
            ask: price,
            bid_size: volume,
            ask_size: volume,
            status: Status::Trading,
            time_ns: Some(u64::MAX),
            version: u64::MAX,
            updated_ns: u64::MAX,
            feed: Some(QuoteFeed::told(&"x".repeat(64), FeedState::Ended)),
            ..Quote::new("\\".repeat(48).parse().unwrap())
        };
        let json = encoded(|out| encode_quote(&longest, out));
        assert!(json.len() <= 620, "{}", json.len());
    }
}
