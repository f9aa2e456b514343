//! The JSON stream of Alpaca's market data, version 2: each message is an array of events.
//!
//! It reads messages, one a line, as a WebSocket brings them or a file has kept them. What an event means stands
//! beside its kind. Numbers are taken as they are written, never as floats.
//!
//! Invariant: an event that cannot be read is counted and takes no other with it; a line that is no array of events
//! ends the feed.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use stockd_model::limits::FEED_PACKET_BYTES_MAX;
use stockd_model::{Price, rfc3339};

use crate::market::Sides;
use crate::pending::Pending;
use crate::{Cause, Decode, FeedError, Market, Step, StockId, Trade};

/// A stream of messages, one a line.
#[derive(Debug, Default)]
pub struct AlpacaFeed {
    pending: Pending,
    /// Bytes of what is pending in which there is no line end.
    searched: usize,
}

/// An event of any kind, by the names of the stream.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "T")]
    kind: Cow<'a, str>,
    #[serde(borrow, rename = "S")]
    symbol: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "t")]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "z")]
    tape: Option<Cow<'a, str>>,
    /// Of a trade, or a cancelled one.
    #[serde(rename = "i")]
    id: Option<u64>,
    #[serde(borrow, rename = "p")]
    price: Option<&'a RawValue>,
    #[serde(borrow, rename = "s")]
    size: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "c")]
    conditions: Option<&'a RawValue>,
    /// Of a correction.
    #[serde(rename = "oi")]
    original_id: Option<u64>,
    #[serde(rename = "ci")]
    corrected_id: Option<u64>,
    #[serde(borrow, rename = "cp")]
    corrected_price: Option<&'a RawValue>,
    #[serde(borrow, rename = "cs")]
    corrected_size: Option<&'a RawValue>,
    /// Of a quote.
    #[serde(borrow, rename = "bp")]
    bid: Option<&'a RawValue>,
    #[serde(borrow, rename = "ap")]
    ask: Option<&'a RawValue>,
    #[serde(borrow, rename = "bs")]
    bid_size: Option<&'a RawValue>,
    #[serde(borrow, rename = "as")]
    ask_size: Option<&'a RawValue>,
    /// Of a status.
    #[serde(borrow, rename = "sc")]
    status: Option<Cow<'a, str>>,
}

impl AlpacaFeed {
    /// The beginning of a stream.
    pub fn new() -> AlpacaFeed {
        AlpacaFeed::default()
    }
}

impl Decode for AlpacaFeed {
    fn fill(&mut self, bytes: &[u8]) {
        self.pending.fill(bytes);
    }

    fn step(&mut self, market: &mut Market) -> Result<Step, FeedError> {
        let bytes = self.pending.bytes();
        let unsearched = bytes.get(self.searched..).unwrap_or_default();
        let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = bytes.len();
            // What is no message is not waited for.
            if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'[') {
                return Err(FeedError::new(self.pending.offset(), "no array of events"));
            }
            return match self.searched {
                ..=FEED_PACKET_BYTES_MAX => Ok(Step::NeedsMore),
                _ => Err(FeedError::new(self.pending.offset(), "a message that does not end")),
            };
        };
        let end = self.searched + end;
        let message = bytes.get(..end).unwrap_or_default();
        let time_ns =
            apply(message, market).map_err(|why| FeedError::new(self.pending.offset(), why))?;
        self.pending.take(end + 1);
        self.searched = 0;
        Ok(Step::Took(time_ns))
    }

    fn end(&mut self) -> Result<(), FeedError> {
        match self.pending.bytes() {
            [] => Ok(()),
            left => Err(FeedError::cut(self.pending.offset(), left.len())),
        }
    }
}

/// Applies the events of one message. Returns the time of the last that has one.
fn apply(message: &[u8], market: &mut Market) -> Result<Option<u64>, String> {
    if message.trim_ascii().is_empty() {
        return Ok(None);
    }
    let events: Vec<&RawValue> =
        serde_json::from_slice(message).map_err(|error| format!("no array of events: {error}"))?;
    let mut latest = None;
    for raw in events {
        market.count_record();
        match serde_json::from_str::<Event<'_>>(raw.get()) {
            Ok(event) => latest = apply_event(&event, market).or(latest),
            Err(_) => market.skip(Cause::Malformed, || raw.get().chars().take(40).collect()),
        }
    }
    Ok(latest)
}

fn apply_event(event: &Event<'_>, market: &mut Market) -> Option<u64> {
    let malformed = |market: &mut Market| {
        market.skip(Cause::Malformed, || format!("an event of kind {}", event.kind));
        None
    };
    match &*event.kind {
        "t" | "x" | "c" | "q" | "s" => {}
        // What was asked for, and that it was.
        "success" | "subscription" => return None,
        "error" => {
            market.gap(0);
            return None;
        }
        // Bars and bands say nothing of a last trade.
        "b" | "u" | "d" | "l" | "i" | "n" => return None,
        other => {
            market.skip(Cause::UnknownType, || other.to_owned());
            return None;
        }
    }
    let (Some(symbol), Some(time_ns)) = (&event.symbol, event.time_ns()) else {
        return malformed(market);
    };
    let Some(id) = market.stock(symbol.as_bytes()) else { return Some(time_ns) };
    match &*event.kind {
        "t" => {
            let Some((price, trade)) = number(event.price).zip(event.id) else {
                return malformed(market);
            };
            if !market.rules().all_trades && !event.sets_last() {
                market.skip(Cause::Ineligible, || symbol.to_string());
                return Some(time_ns);
            }
            let trade = Trade { price, size: whole(event.size), time_ns, id: trade };
            market.trade(id, trade, Some(time_ns));
        }
        "x" => match event.id {
            Some(trade) => market.correct(id, trade, None, time_ns),
            None => return malformed(market),
        },
        "c" => {
            let corrected = number(event.corrected_price).zip(event.corrected_id);
            let (Some(original), Some((price, by))) = (event.original_id, corrected) else {
                return malformed(market);
            };
            let by = Trade { price, size: whole(event.corrected_size), time_ns, id: by };
            market.correct(id, original, Some(by), time_ns);
        }
        "q" => quote(event, id, time_ns, market),
        _ => match event.status.as_deref() {
            // Halts and pauses, of both tapes.
            Some("H" | "P" | "2" | "O") => market.halt(id, true, time_ns),
            Some("T" | "3") => market.halt(id, false, time_ns),
            Some(_) => {}
            None => return malformed(market),
        },
    }
    Some(time_ns)
}

fn quote(event: &Event<'_>, id: StockId, time_ns: u64, market: &mut Market) {
    /// Its quotes are of one kind.
    const KIND: u8 = 0;
    // A side that is not there is a price of 0.
    let side = |price| number(price).filter(|price| *price > Price::ZERO);
    let sides = Sides {
        bid: side(event.bid),
        ask: side(event.ask),
        bid_size: whole(event.bid_size),
        ask_size: whole(event.ask_size),
    };
    market.quote(id, sides, time_ns, Some((KIND, time_ns)));
}

impl Event<'_> {
    fn time_ns(&self) -> Option<u64> {
        rfc3339::parse(self.time.as_ref()?.as_bytes())?.try_into().ok()
    }

    /// Whether a trade of these conditions sets the last price, as the plans of the consolidated tapes say: not
    /// odd lots, averages, derivatively priced and contingent trades, extended hours, late ones, nor official prices.
    fn sets_last(&self) -> bool {
        let is_utp = self.tape.as_deref() == Some("C");
        let conditions = self.conditions.map_or("[]", |conditions| conditions.get());
        let Ok(conditions) = serde_json::from_str::<Vec<Cow<'_, str>>>(conditions) else {
            return true;
        };
        !conditions.iter().any(|condition| match &**condition {
            "C" | "H" | "I" | "M" | "N" | "P" | "Q" | "R" | "T" | "U" | "V" | "Z" | "4" | "7" => {
                true
            }
            // An average on one tape, and a bunched trade on the other.
            "B" => !is_utp,
            "W" | "G" => is_utp,
            _ => false,
        })
    }
}

/// A price, from the digits as they are written.
fn number(raw: Option<&RawValue>) -> Option<Price> {
    Price::parse(raw?.get().as_bytes()).ok()
}

/// A size in whole shares; 0 where it is none.
fn whole(raw: Option<&RawValue>) -> u64 {
    let digits = raw.map_or("", |raw| raw.get());
    let digits = digits.split_once('.').map_or(digits, |(whole, _)| whole);
    digits.parse().unwrap_or_default()
}
