//! Streams over WebSocket, subprotocol `stockd.v1`: quotes in arrays, everything else as objects with a type, and
//! what the client asks meanwhile.
//!
//! It owns one conversation. Invariant: a name that is refused keeps no other from being subscribed to; a client
//! that is silent or takes nothing for too long is closed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, close_code};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use stockd_engine::Message;
use stockd_model::limits::{
    HTTP_HEAD_TIMEOUT, HTTP_QUERY_NAMES_MAX, LINGER_TIMEOUT, STREAM_BYTES_MAX,
    WEBSOCKET_PING_INTERVAL, WEBSOCKET_SILENCE_MAX,
};
use stockd_model::{Problem, Symbol};
use tokio::time::{Instant, MissedTickBehavior};

use crate::caller::refuse_token;
use crate::connection::ConnectionInfo;
use crate::lookup;
use crate::plane::Plane;
use crate::refused::Refused;
use crate::stream::subscription::EventId;
use crate::stream::teller::{Notice, Sink, Teller};
use crate::stream::text::encode_notice;

/// The subprotocol.
pub(crate) const PROTOCOL: &str = "stockd.v1";

/// One conversation.
pub(crate) struct Conversation {
    pub(crate) plane: Arc<Plane>,
    pub(crate) teller: Teller,
    /// Keeps the connection counted as open.
    pub(crate) info: Arc<ConnectionInfo>,
}

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

/// Frames that are made and not sent.
#[derive(Debug, Default)]
struct Frames {
    /// Quotes of an array that is not closed yet.
    quotes: Vec<u8>,
    whole: VecDeque<Vec<u8>>,
}

type Outgoing = SplitSink<WebSocket, Frame>;

/// The client is gone.
struct Gone;

impl From<axum::Error> for Gone {
    fn from(_: axum::Error) -> Gone {
        Gone
    }
}

impl Conversation {
    /// Converses to the end.
    pub(crate) async fn run(mut self, socket: WebSocket) {
        let (mut out, mut incoming) = socket.split();
        let mut frames = Frames::default();
        let mut ping = tokio::time::interval(WEBSOCKET_PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        let mut heard = Instant::now();
        let patience = tokio::time::sleep(HTTP_HEAD_TIMEOUT);
        tokio::pin!(patience);
        loop {
            let awaits_token = self.teller.awaits_token;
            let told = std::future::poll_fn(|cx| self.teller.poll(cx, &mut frames));
            let outcome = tokio::select! {
                biased;
                frame = incoming.next() => match frame {
                    Some(Ok(frame)) => {
                        heard = Instant::now();
                        self.hear(frame, &mut out).await
                    }
                    Some(Err(error)) => {
                        tracing::debug!("{}: closed: {error}", self.info.peer);
                        close(&mut out, close_code::SIZE, "the message is no good or too large").await
                    }
                    None => Err(Gone),
                },
                goes_on = told => match frames.send(&mut out, &self.teller.stream.info.unsent).await {
                    Ok(()) if !goes_on => close(&mut out, close_code::AWAY, "the server stops").await,
                    outcome => outcome,
                },
                () = patience.as_mut(), if awaits_token => {
                    close(&mut out, close_code::POLICY, "no token was shown").await
                }
                _ = ping.tick() => match heard.elapsed() > WEBSOCKET_SILENCE_MAX {
                    true => close(&mut out, close_code::POLICY, "no answer to a ping").await,
                    false => out.send(Frame::Ping(Default::default())).await.map_err(Gone::from),
                },
            };
            if outcome.is_err() {
                break;
            }
        }
        // What the client has sent meanwhile is read: closing on unread bytes destroys the last frames.
        let said_all = async { while incoming.next().await.is_some_and(|frame| frame.is_ok()) {} };
        let _ = tokio::time::timeout(LINGER_TIMEOUT, said_all).await;
    }

    async fn hear(&mut self, frame: Frame, out: &mut Outgoing) -> Result<(), Gone> {
        let answer = match frame {
            Frame::Text(text) => self.answer(text.as_str()).await,
            Frame::Binary(_) => {
                return close(out, close_code::UNSUPPORTED, "messages are text").await;
            }
            Frame::Close(_) => {
                // Answers it, and has that sent.
                out.close().await?;
                return Err(Gone);
            }
            // Pings are answered beneath.
            Frame::Ping(_) | Frame::Pong(_) => return Ok(()),
        };
        out.send(Frame::text(answer)).await?;
        Ok(())
    }

    async fn answer(&mut self, text: &str) -> String {
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
                let refused = self.subscribe(&asked);
                json!({"type": "subscribed", "id": id, "refused": refused}).to_string()
            }
            "unsubscribe" => {
                let symbols = asked.symbols.iter().filter_map(|it| it.parse().ok());
                symbols.for_each(|symbol: Symbol| self.teller.stream.unsubscribe(&symbol));
                let patterns = asked.patterns.iter();
                patterns.for_each(|it| self.teller.stream.unsubscribe_pattern(it.as_bytes()));
                json!({"type": "unsubscribed", "id": id}).to_string()
            }
            "lookup" => self.look_up(&asked),
            "auth" => self.authenticate(&asked).await,
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

    /// The client shows a token.
    async fn authenticate(&mut self, asked: &Asked) -> String {
        let authority = self.plane.observer.authority();
        let token = asked.token.as_bytes();
        let before = self.teller.stream.identity();
        let shown = match authority.is_open() {
            true => Some(before.clone()),
            false => authority.show_token(before, None, token),
        };
        match shown {
            Some(identity) => {
                self.teller.awaits_token = false;
                self.teller.stream.identify(identity);
                json!({"type": "authenticated", "id": asked.id}).to_string()
            }
            None => error_of(&asked.id, &refuse_token(&self.plane, Some(&self.info)).await),
        }
    }

    /// Subscribes to what can be subscribed to. Returns the rest, each with its problem.
    fn subscribe(&mut self, asked: &Asked) -> Vec<Value> {
        let mut refused = Vec::new();
        let stream = &self.teller.stream;
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
        self.teller.expect_synced();
        refused
    }

    fn look_up(&self, asked: &Asked) -> String {
        let id = &asked.id;
        if asked.symbols.len() > HTTP_QUERY_NAMES_MAX {
            return error_of(id, &lookup::too_many(asked.symbols.len(), HTTP_QUERY_NAMES_MAX));
        }
        let mut found = lookup::Found::new(format!(r#"{{"type":"lookup","id":{id},"#).as_bytes());
        found.look_up(&self.plane.door, self.teller.stream.identity().access(), &asked.symbols);
        String::from_utf8_lossy(&found.end()).into_owned()
    }
}

fn error_of(id: &Value, refused: &Refused) -> String {
    json!({"type": "error", "id": id, "problem": refused.document()}).to_string()
}

/// Says why it is over. The client is gone then.
async fn close(out: &mut Outgoing, code: u16, reason: &'static str) -> Result<(), Gone> {
    out.send(Frame::Close(Some(CloseFrame { code, reason: reason.into() }))).await?;
    Err(Gone)
}

impl Frames {
    /// Sends all of them, and waits until the system has them. Until then they are noted as unsent.
    async fn send(&mut self, out: &mut Outgoing, unsent: &AtomicU64) -> Result<(), Gone> {
        self.close_quotes();
        let bytes: usize = self.whole.iter().map(Vec::len).sum();
        unsent.store(bytes as u64, Ordering::Relaxed);
        while let Some(bytes) = self.whole.pop_front() {
            out.feed(Frame::text(String::from_utf8_lossy(&bytes).into_owned())).await?;
        }
        out.flush().await?;
        unsent.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn close_quotes(&mut self) {
        if !self.quotes.is_empty() {
            self.quotes.push(b']');
            self.whole.push_back(std::mem::take(&mut self.quotes));
        }
    }
}

impl Sink for Frames {
    fn quote(&mut self, message: &Message<'_>, _: Option<EventId>) {
        self.quotes.push(if self.quotes.is_empty() { b'[' } else { b',' });
        self.quotes.extend_from_slice(message.payload);
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
