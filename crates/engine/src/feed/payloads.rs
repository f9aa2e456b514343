//! Quotes as they are told, encoded once for all subscribers.
//!
//! A payload is good for one version of one symbol. A bounded number is kept, each in the place that
//! its topic's number gives it; one that another has taken the place of is encoded again.

use std::cell::OnceCell;

use stockd_model::limits::FEED_PAYLOADS;
use stockd_model::{Quote, Symbol, quote_json};

use super::stamp::Stamp;
use super::topics::TopicId;

/// The latest payloads.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    /// As long as the highest place that was needed.
    places: Vec<Option<Payload>>,
    /// That a stock is not listed, which is encoded for each subscriber.
    unlisted: Vec<u8>,
    bytes: usize,
}

/// One version of a quote.
#[derive(Debug)]
pub(crate) struct Payload {
    symbol: Symbol,
    stamp: Stamp,
    /// `None` where the stock is listed no more.
    pub(crate) quote: Option<Quote>,
    pub(crate) json: Vec<u8>,
    pub(crate) framed: Framed,
}

/// A message as its protocol frames it, made for the first subscriber who is told it by its name, and kept for all
/// others of the same plane.
#[derive(Debug, Default)]
pub struct Framed(OnceCell<Vec<u8>>);

impl Framed {
    /// The bytes that `frame` has appended, now or for an earlier subscriber.
    #[inline]
    pub fn or_frame(&self, frame: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        self.0.get_or_init(|| {
            let mut framed = Vec::new();
            frame(&mut framed);
            framed
        })
    }
}

impl Payloads {
    /// Whether the payload of a topic is that of this version.
    pub(crate) fn has(&self, topic: TopicId, symbol: &Symbol, stamp: Stamp) -> bool {
        self.get(topic).is_some_and(|it| it.stamp == stamp && it.symbol == *symbol)
    }

    /// The payload in the place of a topic, which may be that of another one.
    pub(crate) fn get(&self, topic: TopicId) -> Option<&Payload> {
        self.places.get(place(topic))?.as_ref()
    }

    /// Encodes a quote, or that the stock is listed no more.
    pub(crate) fn put(
        &mut self,
        topic: TopicId,
        symbol: &Symbol,
        stamp: Stamp,
        quote: Option<Quote>,
    ) {
        let place = place(topic);
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        let before = self.places[place].take();
        self.bytes -= before.as_ref().map_or(0, Payload::bytes);
        let mut json = before.map(|payload| payload.json).unwrap_or_default();
        json.clear();
        match &quote {
            Some(quote) => quote_json::encode_quote(quote, &mut json),
            None => quote_json::encode_delisted(symbol, &mut json),
        }
        let payload = Payload { symbol: *symbol, stamp, quote, json, framed: Framed::default() };
        self.bytes += payload.bytes();
        self.places[place] = Some(payload);
    }

    /// The JSON that says that a stock is not listed.
    pub(crate) fn unlisted(&mut self, symbol: &Symbol) -> &[u8] {
        self.unlisted.clear();
        quote_json::encode_unlisted(symbol, &mut self.unlisted);
        &self.unlisted
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Payloads::default();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Option<Payload>>()
            + self.bytes
            + self.unlisted.capacity()
    }
}

impl Payload {
    /// Its JSON, and as much again and the symbol where it is framed.
    fn bytes(&self) -> usize {
        2 * self.json.capacity() + size_of::<Symbol>()
    }
}

fn place(topic: TopicId) -> usize {
    topic as usize % FEED_PAYLOADS
}
