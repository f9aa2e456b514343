//! The messages of a subscription: JSON objects, one for each change of a quote.

use std::borrow::Cow;

use serde::Deserialize;
use stockd_model::{Quote, QuoteFeed, Symbol, rfc3339};

/// What a message says of one stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    Quote(Quote),
    Delisted(Symbol),
    /// What was subscribed to is not listed.
    Unlisted(Symbol),
    /// What was subscribed to may be read no longer.
    Forbidden(Symbol),
    /// Nothing that was subscribed to may be read any longer.
    AllForbidden,
}

/// The object as it is written. A stock that is not listed has a symbol and a status alone.
#[derive(Deserialize)]
pub(crate) struct Payload<'a> {
    #[serde(borrow)]
    symbol: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    price: Option<Cow<'a, str>>,
    #[serde(borrow)]
    volume: Option<Cow<'a, str>>,
    #[serde(borrow)]
    bid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ask: Option<Cow<'a, str>>,
    #[serde(borrow)]
    bid_size: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ask_size: Option<Cow<'a, str>>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    version: Option<u64>,
    #[serde(borrow)]
    updated: Option<Cow<'a, str>>,
    #[serde(borrow)]
    feed: Option<Cow<'a, str>>,
    #[serde(borrow)]
    feed_state: Option<Cow<'a, str>>,
    #[serde(borrow)]
    on_stale: Option<Cow<'a, str>>,
}

/// Reads a message; `None` if it is none. Decimals are taken from their texts, never from floats.
pub(crate) fn parse(payload: &[u8]) -> Option<Update> {
    serde_json::from_slice::<Payload<'_>>(payload).ok()?.update()
}

impl Payload<'_> {
    /// What it says; `None` if that is nothing.
    pub(crate) fn update(self) -> Option<Update> {
        let Some(symbol) = &self.symbol else {
            return (self.status == "forbidden").then_some(Update::AllForbidden);
        };
        let symbol = symbol.parse().ok()?;
        match &*self.status {
            "forbidden" => return Some(Update::Forbidden(symbol)),
            "delisted" => return Some(Update::Delisted(symbol)),
            "unlisted" => return Some(Update::Unlisted(symbol)),
            _ => {}
        }
        let mut quote = Quote {
            status: self.status.parse().ok()?,
            version: self.version?,
            updated_ns: moment(&self.updated?)?,
            ..Quote::new(symbol)
        };
        for (price, text) in
            [(&mut quote.price, self.price), (&mut quote.bid, self.bid), (&mut quote.ask, self.ask)]
        {
            *price = text.map(|text| text.parse()).transpose().ok()?;
        }
        for (volume, text) in [
            (&mut quote.volume, self.volume),
            (&mut quote.bid_size, self.bid_size),
            (&mut quote.ask_size, self.ask_size),
        ] {
            *volume = text.map(|text| text.parse()).transpose().ok()?;
        }
        if let (Some(name), Some(state)) = (self.feed, self.feed_state) {
            let halts_when_stale = self.on_stale.as_deref() == Some("halt");
            let feed = QuoteFeed::told(&name, state.parse().ok()?);
            quote.feed = Some(QuoteFeed { halts_when_stale, ..feed });
        }
        if let Some(time) = self.time {
            quote.time_ns = Some(moment(&time)?);
        }
        Some(Update::Quote(quote))
    }

    /// The quote, if it is one.
    #[cfg(feature = "async")]
    pub(crate) fn quote(self) -> Option<Quote> {
        match self.update()? {
            Update::Quote(quote) => Some(quote),
            _ => None,
        }
    }
}

fn moment(text: &str) -> Option<u64> {
    rfc3339::parse(text.as_bytes())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use stockd_model::Status;

    use super::*;

    #[test]
    fn a_quote_is_read_exactly() {
        let payload = r#"{"symbol":"A\"B","price":"9223372036854775807","volume":"18446744073709551615","bid":"-0.5","ask":"1","bid_size":"0.25","ask_size":"0","status":"halted","time":"2026-09-21T14:13:20.123456789Z","version":17,"updated":"2026-09-21T14:13:20.123500001Z","new":[1]}"#;
        let quote = Quote {
            price: Some(stockd_model::Price::MAX),
            volume: Some(stockd_model::Volume::new(u64::MAX)),
            bid: "-0.5".parse().ok(),
            ask: "1".parse().ok(),
            bid_size: "0.25".parse().ok(),
            ask_size: "0".parse().ok(),
            status: Status::Halted,
            time_ns: Some(1_790_000_000_123_456_789),
            version: 17,
            updated_ns: 1_790_000_000_123_500_001,
            ..Quote::new("A\"B".parse().unwrap())
        };
        assert_eq!(parse(payload.as_bytes()), Some(Update::Quote(quote)));
        let delisted = parse(br#"{"symbol":"AAPL","status":"delisted"}"#);
        assert_eq!(delisted, Some(Update::Delisted("AAPL".parse().unwrap())));
        let unlisted = parse(br#"{"symbol":"XYZ","status":"unlisted"}"#);
        assert_eq!(unlisted, Some(Update::Unlisted("XYZ".parse().unwrap())));
    }

    #[test]
    fn what_is_no_message_is_not_taken_for_one() {
        for payload in [
            "",
            "[]",
            r#"{"symbol":"AAPL"}"#,
            r#"{"symbol":"","status":"delisted"}"#,
            r#"{"symbol":"A","status":"trading","price":1.5,"volume":"1","version":1,"updated":"2026-09-21T14:13:20Z"}"#,
            r#"{"symbol":"A","status":"trading","price":"1","volume":"-1","version":1,"updated":"2026-09-21T14:13:20Z"}"#,
            r#"{"symbol":"A","status":"open","price":"1","volume":"1","version":1,"updated":"2026-09-21T14:13:20Z"}"#,
            r#"{"symbol":"A","status":"trading","price":"1","volume":"1","updated":"2026-09-21T14:13:20Z"}"#,
            r#"{"symbol":"A","status":"trading","price":"1","volume":"1","version":1,"updated":1}"#,
            r#"{"symbol":"A","status":"trading","bid":1,"version":1,"updated":"2026-09-21T14:13:20Z"}"#,
            r#"{"symbol":"A","status":"trading","time":"today","version":1,"updated":"2026-09-21T14:13:20Z"}"#,
            r#"{"symbol":"A","status":"trading","price":"1","version":1,"updated":"1969-12-31T23:59:59Z"}"#,
        ] {
            assert_eq!(parse(payload.as_bytes()), None, "{payload}");
        }
        let uncounted = r#"{"symbol":"A","status":"trading","price":"1","version":1,"updated":"2026-09-21T14:13:20Z"}"#;
        let read = parse(uncounted.as_bytes());
        assert!(matches!(read, Some(Update::Quote(quote)) if quote.volume.is_none()));
    }
}
