//! The subprotocol `stockd.v1`: quotes in arrays, everything else as objects with a type, and what the client asks
//! meanwhile.
//!
//! It owns these messages. Invariant: a name that is refused keeps no other from being subscribed to.

use std::collections::VecDeque;

use axum::extract::ws::{Message as Frame, close_code};
use serde::Deserialize;
use serde_json::{Value, json};
use stockd_engine::Message;
use stockd_model::limits::{HTTP_QUERY_NAMES_MAX, STREAM_BYTES_MAX};
use stockd_model::{Problem, Symbol};

use crate::lookup;
use crate::refused::Refused;
use crate::stream::conversation::{Dialect, Said, Talk};
use crate::stream::subscription::EventId;
use crate::stream::teller::{Notice, Sink};
use crate::stream::text::{encode_notice, unlisted};

/// The subprotocol.
pub(crate) const PROTOCOL: &str = "stockd.v1";

/// What a client asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    action: String,
    #[serde(default)]
    symbols: Vec<String>,
    #[serde(default)]
    patterns: Vec<String>,
    /// For `auth`.
    #[serde(default)]
    token: String,
    /// Comes back with the answer.
    #[serde(default)]
    id: Value,
}

/// The messages of the subprotocol, those that are made and not sent.
#[derive(Debug, Default)]
pub(crate) struct Native {
    /// Quotes of an array that is not closed yet.
    quotes: Vec<u8>,
    whole: VecDeque<Vec<u8>>,
}

impl Dialect for Native {
    async fn answer(
        &mut self,
        talk: &mut Talk,
        said: Said<'_>,
    ) -> Result<Frame, (u16, &'static str)> {
        match said {
            Said::Text(text) => Ok(Frame::text(answer(talk, text).await)),
            Said::Binary(_) => Err((close_code::UNSUPPORTED, "messages are text")),
        }
    }

    fn next_frame(&mut self) -> Option<Frame> {
        let bytes = match self.whole.pop_front() {
            Some(bytes) => bytes,
            None => {
                self.close_quotes();
                self.whole.pop_front()?
            }
        };
        Some(Frame::text(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

async fn answer(talk: &mut Talk, text: &str) -> String {
    let asked: Asked = match serde_json::from_str(text) {
        Ok(asked) => asked,
        Err(error) => {
            let refused = Refused::new(Problem::InvalidRequest, error.to_string());
            return error_of(&Value::Null, &refused);
        }
    };
    let id = &asked.id;
    match asked.action.as_str() {
        "subscribe" => {
            let refused = subscribe(talk, &asked);
            json!({"type": "subscribed", "id": id, "refused": refused}).to_string()
        }
        "unsubscribe" => {
            let stream = &talk.teller.stream;
            let symbols = asked.symbols.iter().filter_map(|it| it.parse().ok());
            symbols.for_each(|symbol: Symbol| stream.unsubscribe(&symbol));
            let patterns = asked.patterns.iter();
            patterns.for_each(|it| stream.unsubscribe_pattern(it.as_bytes()));
            json!({"type": "unsubscribed", "id": id}).to_string()
        }
        "lookup" => look_up(talk, &asked),
        "auth" => match talk.authenticate(None, &asked.token).await {
            Ok(()) => json!({"type": "authenticated", "id": id}).to_string(),
            Err(refused) => error_of(id, &refused),
        },
        "ping" => json!({"type": "pong", "id": id}).to_string(),
        action => {
            let shown = stockd_model::escaped(action.as_bytes()).at_most(100);
            let detail = format!(
                "there is no action '{shown}'; there are auth, subscribe, unsubscribe, lookup and ping"
            );
            error_of(id, &Refused::new(Problem::InvalidRequest, detail))
        }
    }
}

/// Subscribes to what can be subscribed to. Returns the rest, each with its problem.
fn subscribe(talk: &mut Talk, asked: &Asked) -> Vec<Value> {
    let mut refused = Vec::new();
    let stream = &talk.teller.stream;
    for name in &asked.symbols {
        let symbol = name.parse::<Symbol>().map_err(Refused::from);
        if let Err(why) = symbol.and_then(|symbol| stream.subscribe(&symbol)) {
            refused.push(json!({"symbol": name, "problem": why.document()}));
        }
    }
    for pattern in &asked.patterns {
        if let Err(why) = stream.subscribe_pattern(pattern.as_bytes()) {
            refused.push(json!({"pattern": pattern, "problem": why.document()}));
        }
    }
    talk.teller.expect_synced();
    refused
}

fn look_up(talk: &Talk, asked: &Asked) -> String {
    let id = &asked.id;
    if asked.symbols.len() > HTTP_QUERY_NAMES_MAX {
        return error_of(id, &lookup::too_many(asked.symbols.len(), HTTP_QUERY_NAMES_MAX));
    }
    let mut found = lookup::Found::new(format!(r#"{{"type":"lookup","id":{id},"#).as_bytes());
    found.look_up(&talk.plane.door, talk.teller.stream.identity().access(), &asked.symbols);
    String::from_utf8_lossy(&found.end()).into_owned()
}

fn error_of(id: &Value, refused: &Refused) -> String {
    json!({"type": "error", "id": id, "problem": refused.document()}).to_string()
}

impl Native {
    fn close_quotes(&mut self) {
        if !self.quotes.is_empty() {
            self.quotes.push(b']');
            self.whole.push_back(std::mem::take(&mut self.quotes));
        }
    }
}

impl Sink for Native {
    fn quote(&mut self, message: &Message<'_>, _: Option<EventId>) {
        self.quotes.push(if self.quotes.is_empty() { b'[' } else { b',' });
        self.quotes.extend_from_slice(message.payload);
    }

    fn unlisted(&mut self, name: &str, _: Option<EventId>) {
        self.quotes.push(if self.quotes.is_empty() { b'[' } else { b',' });
        self.quotes.extend_from_slice(unlisted(name).as_bytes());
    }

    fn notice(&mut self, notice: Notice, _: Option<EventId>) {
        self.close_quotes();
        let mut bytes = Vec::new();
        encode_notice(notice, true, &mut bytes);
        self.whole.push_back(bytes);
    }

    fn has_room(&self) -> bool {
        self.quotes.len() < STREAM_BYTES_MAX
    }

    fn is_empty(&self) -> bool {
        self.quotes.is_empty() && self.whole.is_empty()
    }
}
