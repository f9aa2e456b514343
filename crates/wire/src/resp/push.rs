//! What a subscribed connection is sent: confirmations and messages.
//!
//! In RESP3 they are pushes, which clients tell from replies. In RESP2 they are arrays, which is
//! why a subscribed RESP2 connection may give few other commands
//! ([`Admits::Subscription`](super::Admits::Subscription)).

use super::command::Version;
use super::encoder::Encoder;
use super::frame::{bulk, simple};

/// Which change of its subscriptions a connection is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// A symbol was subscribed to.
    Subscribed,
    /// A pattern was subscribed to.
    SubscribedPattern,
    /// A symbol is subscribed to no more.
    Unsubscribed,
    /// A pattern is subscribed to no more.
    UnsubscribedPattern,
}

impl Encoder {
    /// Appends a confirmation: of which symbol or pattern, `None` where all were to go and there
    /// were none, and how many symbols and patterns are subscribed to after it.
    pub fn confirm(
        &self,
        confirmation: Confirmation,
        channel: Option<&[u8]>,
        subscriptions: usize,
        out: &mut Vec<u8>,
    ) {
        self.push(3, out);
        bulk(
            match confirmation {
                Confirmation::Subscribed => b"subscribe",
                Confirmation::SubscribedPattern => b"psubscribe",
                Confirmation::Unsubscribed => b"unsubscribe",
                Confirmation::UnsubscribedPattern => b"punsubscribe",
            },
            out,
        );
        match channel {
            Some(channel) => bulk(channel, out),
            None => self.nil(out),
        }
        self.integer(subscriptions as u64, out);
    }

    /// Appends a message to a subscriber of a symbol. The payload is that of
    /// [`quote_json`](stockd_model::quote_json), encoded once for all subscribers.
    pub fn message(&self, channel: &[u8], payload: &[u8], out: &mut Vec<u8>) {
        self.push(3, out);
        bulk(b"message", out);
        bulk(channel, out);
        bulk(payload, out);
    }

    /// Appends a message that an encoder for RESP2 has [made](Encoder::message), in the version of this one: the two
    /// differ in their first byte.
    pub fn made_message(&self, made: &[u8], out: &mut Vec<u8>) {
        match (self.version(), made.split_first()) {
            (Version::Resp3, Some((_, rest))) => {
                out.reserve(made.len());
                out.push(b'>');
                out.extend_from_slice(rest);
            }
            _ => out.extend_from_slice(made),
        }
    }

    /// Appends a message to a subscriber of a pattern.
    pub fn pattern_message(
        &self,
        pattern: &[u8],
        channel: &[u8],
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        self.push(4, out);
        bulk(b"pmessage", out);
        bulk(pattern, out);
        bulk(channel, out);
        bulk(payload, out);
    }

    /// Appends that a client is to forget what it has read of a stock, or all that it has read.
    pub fn invalidate(&self, symbol: Option<&[u8]>, out: &mut Vec<u8>) {
        self.push(2, out);
        bulk(b"invalidate", out);
        match symbol {
            Some(symbol) => {
                self.array(1, out);
                bulk(symbol, out);
            }
            None => self.nil(out),
        }
    }

    /// Appends the reply to `CLIENT TRACKINGINFO`: how reads are tracked, in words, and of which prefixes all
    /// changes are told.
    pub fn tracking(&self, flags: &[&'static str], prefixes: &[&[u8]], out: &mut Vec<u8>) {
        self.map(3, out);
        bulk(b"flags", out);
        self.set(flags.len(), out);
        flags.iter().for_each(|flag| bulk(flag.as_bytes(), out));
        bulk(b"redirect", out);
        self.signed(if flags.contains(&"off") { -1 } else { 0 }, out);
        bulk(b"prefixes", out);
        self.array(prefixes.len(), out);
        prefixes.iter().for_each(|prefix| bulk(prefix, out));
    }

    /// Appends the reply to `PING`. To a RESP2 client that is subscribed it looks like a message.
    pub fn pong(&self, message: Option<&[u8]>, subscribed: bool, out: &mut Vec<u8>) {
        if subscribed && self.version() == Version::Resp2 {
            self.array(2, out);
            bulk(b"pong", out);
            return bulk(message.unwrap_or_default(), out);
        }
        match message {
            Some(message) => bulk(message, out),
            None => simple("PONG", out),
        }
    }
}
