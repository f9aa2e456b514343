//! Quotes as they are told, encoded once for all subscribers.
//!
//! A payload is good for one version of one symbol. A bounded number is kept, each in the place that
//! its topic's number gives it; one that another has taken the place of is encoded again.

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

#[derive(Debug)]
struct Payload {
    symbol: Symbol,
    stamp: Stamp,
    json: Vec<u8>,
}

impl Payloads {
    /// The JSON of a quote, or that the stock is listed no more.
    pub(crate) fn json(
        &mut self,
        topic: TopicId,
        symbol: &Symbol,
        stamp: Stamp,
        quote: Option<&Quote>,
    ) -> &[u8] {
        let place = topic as usize % FEED_PAYLOADS;
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        let payload = self.places[place].get_or_insert_with(|| Payload {
            symbol: *symbol,
            stamp: Stamp::NEVER,
            json: Vec::new(),
        });
        if (payload.symbol, payload.stamp) != (*symbol, stamp) {
            self.bytes -= payload.json.capacity();
            (payload.symbol, payload.stamp) = (*symbol, stamp);
            payload.json.clear();
            match quote {
                Some(quote) => quote_json::encode_quote(quote, &mut payload.json),
                None => quote_json::encode_delisted(symbol, &mut payload.json),
            }
            self.bytes += payload.json.capacity();
        }
        &payload.json
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
