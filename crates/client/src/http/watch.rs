//! Live quotes: a stream that outlives its connections.
//!
//! ```text
//!            ┌──────────────── Synced: pauses are short again
//!            ▼                        │
//!   Connecting ── hello ──► Live ─────┘ events
//!     ▲    │                 │
//!     │    └── refused ──┐   │ the end, a failure, silence
//!     │                  ▼   ▼
//!     └─────────────── Pausing: jittered, longer each time, or as goodbye says
//! ```
//!
//! It owns the connection, and what is asked for again on the next. Nothing is read from the socket but when the next
//! event is asked for, so a reader that is slow gets fewer and newer quotes.
//!
//! Invariant: the events of one stock go forward (`told.rs`). Waiting for the next event can be given up at any moment
//! and nothing is lost.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use stockd_model::limits::{
    HTTP_CLIENT_REPLY_BYTES_MAX, RECONNECT_PAUSE_MAX, RECONNECT_PAUSE_MIN, WATCH_SILENCE_MAX,
};
use stockd_model::{Address, Problem, Quote, Symbol};
use tokio::time::{Instant, Sleep};

use super::connector::{Connection, Connector, Purpose};
use super::error::{Error, Refused};
use super::events::{Message, Messages};
use super::pool::{Asked, JSON, Reply, shown, within};
use crate::error::excerpt;
use crate::pause::Pauses;
use crate::payload::{self, Update};
use crate::told::{Continuity, Gone, Told};

/// What is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchRequest {
    /// Stocks by their names, listed or not. A watch of names alone can go on where it was after a lost connection.
    pub symbols: Vec<Symbol>,
    /// Patterns of names: `*` any text, `?` any character, `[A-C]` one of a set.
    pub patterns: Vec<String>,
    /// At most one quote a stock in this time.
    pub interval: Option<Duration>,
    /// What the watch is called where the server shows who is connected.
    pub name: String,
}

/// What a [`Watch`] tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection begins: the first one, and each after a [`Disconnected`](Event::Disconnected).
    Connected {
        /// The server.
        server: Address,
        /// Versions compare within it.
        epoch: u64,
        /// How it goes on from the one before, and whether something may have been missed.
        continuity: Continuity,
    },
    /// A stock's quote as it is now.
    Quote(Quote),
    /// A stock that is watched by its name is not listed, and was not before.
    Unlisted(Symbol),
    /// The stock is not listed any more.
    Delisted(Symbol),
    /// The stock may be read no longer, and is not watched any more; `None` of a pattern.
    Forbidden(Option<Symbol>),
    /// All that is watched has been told as it is. Once for each connection.
    Synced,
    /// The connection was lost, or an attempt to connect again failed. Changes may go unseen until the next
    /// [`Connected`](Event::Connected), which says whether they did.
    Disconnected {
        /// Why.
        reason: Error,
        /// The pause before the next attempt.
        retry_in: Duration,
    },
}

/// Quotes of stocks as they change, from [`Client::watch`](super::Client::watch).
///
/// It never ends: when the connection is lost it connects again, after pauses that grow, and says so. First comes
/// [`Event::Connected`], then the quote of each stock as it is, then [`Event::Synced`], then later versions; a reader that
/// is slower than the changes gets fewer and newer ones. As a [`Stream`] it tells the same.
#[derive(Debug)]
pub struct Watch {
    connector: Arc<Connector>,
    request: WatchRequest,
    deadline: Duration,
    state: State,
    told: Told,
    /// Events that are due, in this order.
    due: VecDeque<Event>,
    /// Up to where everything has been told, as the server says it.
    last_id: Option<String>,
    pauses: Pauses,
    /// The pause that the server has asked for, within the bounds of all pauses.
    retry: Option<Duration>,
}

type Connecting = Pin<Box<dyn Future<Output = Result<Live, Error>> + Send>>;

enum State {
    Connecting(Connecting),
    Live(Box<Live>),
    Pausing(Pin<Box<Sleep>>),
}

/// A connection that streams.
#[derive(Debug)]
struct Live {
    body: Incoming,
    messages: Messages,
    silence: Pin<Box<Sleep>>,
    /// It was silent for as long as it may be. What has come while the reader was away is heard before it is given up.
    doubted: bool,
    patience: Duration,
    connection: Connection,
}

impl Watch {
    pub(super) async fn begin(
        connector: Arc<Connector>,
        request: WatchRequest,
        deadline: Duration,
    ) -> Result<Watch, Error> {
        let connecting = connect(Arc::clone(&connector), request.clone(), None, deadline);
        let state = State::Live(Box::new(connecting.await?));
        Ok(Watch {
            connector,
            request,
            deadline,
            state,
            told: Told::default(),
            due: VecDeque::new(),
            last_id: None,
            pauses: Pauses::new(),
            retry: None,
        })
    }

    /// Waits for the next event. It is cancel safe.
    pub async fn next(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            if let Some(event) = self.due.pop_front() {
                return Poll::Ready(event);
            }
            let outcome = match &mut self.state {
                State::Pausing(pause) => {
                    ready!(pause.as_mut().poll(cx));
                    self.state = State::Connecting(Box::pin(connect(
                        Arc::clone(&self.connector),
                        self.request.clone(),
                        self.last_id.clone(),
                        self.deadline,
                    )));
                    continue;
                }
                State::Connecting(connecting) => match ready!(connecting.as_mut().poll(cx)) {
                    Ok(live) => {
                        self.state = State::Live(Box::new(live));
                        continue;
                    }
                    Err(error) => Err(error),
                },
                State::Live(live) => match ready!(live.poll(cx)) {
                    Ok(message) => {
                        let server = live.connection.server.clone();
                        self.hear(server, message)
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(reason) = outcome {
                let retry_in = self.retry.take().unwrap_or_else(|| self.pauses.pause());
                self.state = State::Pausing(Box::pin(tokio::time::sleep(retry_in)));
                self.due.push_back(Event::Disconnected { reason, retry_in });
            }
        }
    }

    /// The server has said this.
    fn hear(&mut self, server: Address, message: Message) -> Result<(), Error> {
        let Message { name, data, id } = message;
        if id.is_some() {
            self.last_id = id;
        }
        let no_reply = || {
            let status = StatusCode::OK.as_u16();
            Error::NotAReply { server: server.clone(), status, reply: excerpt(&data) }
        };
        match name.as_str() {
            "" => match payload::parse(&data).ok_or_else(no_reply)? {
                Update::Quote(quote) if self.told.quote(&quote) => {
                    self.due.push_back(Event::Quote(quote));
                }
                Update::Quote(_) => {}
                Update::Delisted(symbol) | Update::Unlisted(symbol) => self.gone(symbol),
                Update::Forbidden(_) | Update::AllForbidden => return Err(no_reply()),
            },
            "hello" => {
                let Hello { epoch, resumed } =
                    serde_json::from_slice(&data).map_err(|_| no_reply())?;
                let epoch = u64::from_str_radix(&epoch, 16).map_err(|_| no_reply())?;
                let continuity = self.told.begin(epoch, resumed);
                self.due.push_back(Event::Connected { server, epoch, continuity });
            }
            "synced" => {
                self.pauses.reset();
                let vanished = self.told.synced().into_iter();
                self.due.extend(vanished.map(Event::Delisted));
                self.due.push_back(Event::Synced);
            }
            "forbidden" => {
                let Ended { symbol } = serde_json::from_slice(&data).map_err(|_| no_reply())?;
                let symbol = symbol.map(|it| it.parse::<Symbol>()).transpose();
                let symbol = symbol.map_err(|_| no_reply())?;
                if let Some(symbol) = &symbol {
                    self.told.forget(symbol);
                    self.request.symbols.retain(|watched| watched != symbol);
                }
                self.due.push_back(Event::Forbidden(symbol));
            }
            "unauthenticated" => return Err(Box::new(unauthenticated()).into()),
            "goodbye" => {
                let Goodbye { retry_ms } = serde_json::from_slice(&data).map_err(|_| no_reply())?;
                let retry = Duration::from_millis(retry_ms.into());
                self.retry = Some(retry.clamp(RECONNECT_PAUSE_MIN, RECONNECT_PAUSE_MAX));
            }
            // A heartbeat, or what a later server says.
            _ => {}
        }
        Ok(())
    }

    fn gone(&mut self, symbol: Symbol) {
        match self.told.gone(symbol) {
            Gone::Delisted => self.due.push_back(Event::Delisted(symbol)),
            Gone::NeverListed => self.due.push_back(Event::Unlisted(symbol)),
            Gone::Known => {}
        }
    }
}

impl Stream for Watch {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx).map(Some)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Connecting(_) => "Connecting",
            State::Live(_) => "Live",
            State::Pausing(_) => "Pausing",
        })
    }
}

#[derive(Deserialize)]
struct Hello {
    epoch: String,
    #[serde(default)]
    resumed: bool,
}

#[derive(Deserialize)]
struct Ended {
    symbol: Option<String>,
}

#[derive(Deserialize)]
struct Goodbye {
    retry_ms: u32,
}

/// Connects, and asks for the stream. Where the answer begins within the deadline it goes on for as long as it likes.
async fn connect(
    connector: Arc<Connector>,
    request: WatchRequest,
    last_id: Option<String>,
    deadline: Duration,
) -> Result<Live, Error> {
    let WatchRequest { symbols, patterns, interval, name } = request;
    let symbols: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
    let interval = interval.map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
    let body = json!({
        "symbols": symbols,
        "patterns": patterns,
        "interval": interval,
        "name": name,
    });
    let body = body.to_string().into_bytes();
    let asked = Asked::with_body(Method::POST, "/v1/stream".to_owned(), JSON, body);
    let mut asked = asked.accept("text/event-stream");
    if let Some(Ok(id)) = last_id.map(HeaderValue::try_from) {
        asked = asked.header(HeaderName::from_static("last-event-id"), id);
    }
    within(deadline, || "stream of quotes".to_owned(), async {
        let mut connection = connector.open(Purpose::Quotes).await?;
        let server = connection.server.clone();
        let lost = |cause| Error::Lost { server: server.clone(), cause };
        let request = asked.request(&connection, connector.authorization.as_ref());
        let response = connection.sender.send_request(request).await;
        let (parts, body) = response.map_err(|error| lost(shown(&error)))?.into_parts();
        if parts.status == StatusCode::OK {
            return Ok(Live::new(body, connection, deadline));
        }
        let body = Limited::new(body, HTTP_CLIENT_REPLY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| lost(error.to_string()))?.to_bytes();
        let (status, headers) = (parts.status, parts.headers);
        Err(Reply { server: connection.server.clone(), status, headers, body }.error())
    })
    .await
}

impl Live {
    fn new(body: Incoming, connection: Connection, patience: Duration) -> Live {
        let silence = Box::pin(tokio::time::sleep(WATCH_SILENCE_MAX));
        Live { body, messages: Messages::default(), silence, doubted: false, patience, connection }
    }

    /// The next thing that the server says.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Error>> {
        let lost = |connection: &Connection, cause| {
            Poll::Ready(Err(Error::Lost { server: connection.server.clone(), cause }))
        };
        loop {
            match self.messages.next() {
                Ok(Some(message)) => return Poll::Ready(Ok(message)),
                Ok(None) => {}
                Err(_) => return lost(&self.connection, "an event has no end".to_owned()),
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        self.messages.push(data);
                    }
                    self.doubted = false;
                    self.silence.as_mut().reset(Instant::now() + WATCH_SILENCE_MAX);
                }
                Poll::Ready(Some(Err(error))) => return lost(&self.connection, shown(&error)),
                Poll::Ready(None) => {
                    return lost(&self.connection, "the server has ended the stream".to_owned());
                }
                Poll::Pending => {
                    ready!(self.silence.as_mut().poll(cx));
                    if self.doubted {
                        let silence = WATCH_SILENCE_MAX.saturating_add(self.patience);
                        return lost(&self.connection, format!("it was silent for {silence:?}"));
                    }
                    self.doubted = true;
                    // Which may be longer than an instant can be away.
                    self.silence = Box::pin(tokio::time::sleep(self.patience));
                }
            }
        }
    }
}

fn unauthenticated() -> Refused {
    let problem = Problem::Unauthenticated;
    Refused {
        problem: Some(problem),
        status: problem.status(),
        detail: "what was shown at the beginning of the stream counts no more".to_owned(),
        values: serde_json::Map::new(),
        retry_after: None,
    }
}
