//! Live quotes: a subscription that outlives its connections.
//!
//! Invariant: the events of one stock go forward. A message that is not newer than what was told
//! before is dropped: after a connection was lost, the first message for a stock may be one that
//! came already.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use stockd_model::{Quote, QuoteFeed, Symbol};
use stockd_wire::resp::{Value, frame};

use crate::command::{GetQuote, Ping};
use crate::connection::Connection;
use crate::error::{Refused, excerpt};
use crate::link::Link;
use crate::pause::Pauses;
use crate::payload::{self, Update};
use crate::protocol::{NoAnswer, Request};
use crate::resp::Replies;
use crate::{Address, ClientError, Options, ToAddresses};

/// Follows the quotes of stocks.
///
/// As an iterator it waits for the next [`Event`] and never ends: when the connection is lost it
/// reconnects, subscribes again, and says so. The first event of a listed stock is its quote now;
/// from then on each is later. A reader that is slower than the changes gets fewer, newer quotes.
///
/// ```no_run
/// use stockd_client::{Event, Subscription};
///
/// let symbols = ["AAPL".parse()?];
/// for event in Subscription::open("127.0.0.1:7879", symbols, ["BRK/*"])? {
///     match event {
///         Event::Quote(quote) => println!("{} {}", quote.symbol, quote.answer()),
///         Event::Delisted(symbol) => println!("{symbol} is gone"),
///         Event::Unlisted(symbol) => println!("{symbol} is not there yet"),
///         Event::Forbidden(symbol) => println!("{symbol} may not be read any more"),
///         Event::AllForbidden => println!("nothing may be read any more"),
///         Event::Disconnected { reason, .. } => eprintln!("{reason}"),
///         Event::Reconnected => eprintln!("connected again"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Subscription {
    link: Link<Replies>,
    topics: Vec<Topic>,
    /// What was told last of each stock.
    told: HashMap<Symbol, Told>,
    state: State,
    /// Whether some of what was told may have been delisted unseen, since there was no connection.
    is_behind: bool,
    /// Stocks that are no longer listed, each an event to come.
    vanished: Vec<Symbol>,
    pauses: Pauses,
    /// When to reconnect, while there is no connection.
    retry_at: Instant,
}

/// What a [`Subscription`] tells.
#[derive(Debug)]
pub enum Event {
    /// A stock's quote as it is now.
    Quote(Quote),
    /// The stock is not listed any more.
    Delisted(Symbol),
    /// A stock that was subscribed to by its name is not listed, and was not before.
    Unlisted(Symbol),
    /// A stock that was subscribed to by its name may be read no longer; the subscription to it has
    /// ended.
    Forbidden(Symbol),
    /// The same, of all stocks and all patterns.
    AllForbidden,
    /// The connection was lost, or an attempt to reconnect failed. Changes may go unseen until
    /// [`Event::Reconnected`]; then each stock's latest quote comes, if it is newer.
    Disconnected {
        /// Why.
        reason: ClientError,
        /// The pause before the next attempt.
        retry_in: Duration,
    },
    /// The subscription goes on.
    Reconnected,
}

/// How far the connection of the moment has come.
#[derive(Debug)]
struct State {
    /// Topics asked for.
    subscribed: usize,
    /// Of these, those the server has not confirmed. More are asked for when there is none, so
    /// that it never has to hold more confirmations than a chunk's.
    unconfirmed: usize,
    /// When anything came last.
    heard: Instant,
    /// Whether the server was asked for a sign of life since.
    is_pinged: bool,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    version: u64,
    updated_ns: u64,
    is_listed: bool,
    /// How its feed was, if it came from one.
    feed: Option<QuoteFeed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Topic {
    Symbol(Symbol),
    Pattern(Box<str>),
}

impl Subscription {
    /// Connects to a server, `"127.0.0.1:7879"` for example, and subscribes to stocks by name and
    /// by pattern (`*` any text, `?` any character, `[A-C]` one of a set), at most
    /// [`SUBSCRIPTIONS_MAX`](stockd_model::limits::SUBSCRIPTIONS_MAX) together.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when no connection comes about, or the server refuses the first of them.
    pub fn open<P: AsRef<str>>(
        address: impl ToAddresses,
        symbols: impl IntoIterator<Item = Symbol>,
        patterns: impl IntoIterator<Item = P>,
    ) -> Result<Subscription, ClientError> {
        Subscription::open_with(address, symbols, patterns, Options::default())
    }

    /// Subscribes as [`open`](Subscription::open) does, with timeouts of one's own. A server
    /// that is silent for [`Options::timeout`] is asked for a sign of life, and has as long again
    /// to give it.
    ///
    /// # Errors
    ///
    /// As [`open`](Subscription::open); a timeout of zero is an error too.
    pub fn open_with<P: AsRef<str>>(
        address: impl ToAddresses,
        symbols: impl IntoIterator<Item = Symbol>,
        patterns: impl IntoIterator<Item = P>,
        options: Options,
    ) -> Result<Subscription, ClientError> {
        let symbols = symbols.into_iter().map(Topic::Symbol);
        let patterns = patterns.into_iter().map(|pattern| Topic::Pattern(pattern.as_ref().into()));
        let mut seen = HashSet::new();
        let topics = symbols.chain(patterns).filter(|topic| seen.insert(topic.clone())).collect();
        let mut subscription = Subscription {
            link: Link::connect(address, options)?,
            topics,
            told: HashMap::new(),
            state: State::new(),
            is_behind: false,
            vanished: Vec::new(),
            pauses: Pauses::new(),
            retry_at: Instant::now(),
        };
        subscription.subscribe()?;
        Ok(subscription)
    }

    /// The address of the server connected to last.
    pub fn server(&self) -> &Address {
        self.link.server()
    }

    /// Waits for the next event, for `patience` at most; `None` if there is none. An attempt to connect
    /// is not cut short, so it may take [`Options::connect_timeout`] longer.
    pub fn next_timeout(&mut self, patience: Duration) -> Option<Event> {
        let since = Instant::now();
        loop {
            let left = patience.saturating_sub(since.elapsed());
            let event = if self.link.is_usable() {
                self.listen(left)
            } else {
                let pause = self.retry_at.saturating_duration_since(Instant::now());
                thread::sleep(pause.min(left));
                match pause <= left {
                    true => self.resume().map(Some),
                    false => Ok(None),
                }
            };
            match event {
                Ok(Some(event)) => return Some(event),
                Ok(None) if since.elapsed() >= patience => return None,
                Ok(None) => {}
                Err(reason) => return Some(self.disconnected(reason)),
            }
        }
    }

    /// Reconnects and subscribes again.
    fn resume(&mut self) -> Result<Event, ClientError> {
        self.link.reconnect()?;
        self.subscribe()?;
        self.pauses.reset();
        self.is_behind = true;
        Ok(Event::Reconnected)
    }

    /// Asks for the first topics, and waits until the server takes the first of them.
    fn subscribe(&mut self) -> Result<(), ClientError> {
        let timeout = self.link.options().timeout;
        if self.link.options().credentials.is_some() {
            self.link.greet()?;
        }
        self.state = State::new();
        let Subscription { link, topics, state, .. } = self;
        link.with_connection(|connection| {
            connection.keep_few_unread();
            state.ask_for_more(connection, topics)?;
            match connection.listen(timeout)? {
                Some(reply) if state.confirm(&reply)? => Ok(()),
                Some(reply) => Err(connection.no_answer(NoAnswer::rubbish(&reply))),
                None => Err(connection.timed_out("take the subscription".into())),
            }
        })
    }

    /// Finds what was delisted while there was no connection. The server tells nothing of a stock
    /// that is not listed when one subscribes to it; so this asks, on a connection of its own, when
    /// every later change is sure to be told.
    fn catch_up(&mut self) -> Result<(), ClientError> {
        let listed = self.told.iter().filter(|(_, told)| told.is_listed);
        let names: Vec<GetQuote<&str>> =
            listed.map(|(symbol, _)| GetQuote(symbol.as_str())).collect();
        let mut link = Link::<Replies>::connect(self.server(), self.link.options().clone())?;
        link.greet()?;
        let quotes = link.with_connection(|connection| connection.ask_all(&names))?;
        for (GetQuote(name), quote) in names.into_iter().zip(quotes) {
            if quote?.is_none() {
                self.vanished.extend(name.parse::<Symbol>());
            }
        }
        self.is_behind = false;
        Ok(())
    }

    /// Waits for one message, for `patience` at most. Returns what it says, if that is new.
    fn listen(&mut self, patience: Duration) -> Result<Option<Event>, ClientError> {
        if self.is_behind && self.state.is_complete(&self.topics) {
            self.catch_up()?;
        }
        while let Some(symbol) = self.vanished.pop() {
            if let Some(event) = self.tell(Update::Delisted(symbol)) {
                return Ok(Some(event));
            }
        }
        let timeout = self.link.options().timeout;
        let Subscription { link, topics, state, .. } = self;
        let update = link.with_connection(|connection| {
            state.ask_for_more(connection, topics)?;
            let silence_max = if state.is_pinged { timeout * 2 } else { timeout };
            let silence_left = silence_max.saturating_sub(state.heard.elapsed());
            match connection.listen(patience.min(silence_left))? {
                Some(reply) => {
                    (state.heard, state.is_pinged) = (Instant::now(), false);
                    match state.confirm(&reply)? {
                        true => Ok(None),
                        false => message(&reply).map_err(|wrong| connection.no_answer(wrong)),
                    }
                }
                None if state.heard.elapsed() < silence_max => Ok(None),
                None if state.is_pinged => Err(connection.timed_out("give a sign of life".into())),
                None => {
                    state.is_pinged = true;
                    connection.send(&[Ping])?;
                    Ok(None)
                }
            }
        })?;
        Ok(update.and_then(|update| self.tell(update)))
    }

    /// The event of this update, unless it is older than what was told of the stock, or the same.
    fn tell(&mut self, update: Update) -> Option<Event> {
        match update {
            Update::Quote(quote) => {
                let Quote { symbol, version, updated_ns, feed, .. } = quote;
                // A server that has lost its catalog counts from 1 again, but later.
                let is_new = self.told.get(&symbol).is_none_or(|told| {
                    let is_same = version == told.version && updated_ns == told.updated_ns;
                    version > told.version
                        || updated_ns > told.updated_ns
                        || (is_same && feed != told.feed)
                });
                if !is_new {
                    return None;
                }
                self.told.insert(symbol, Told { version, updated_ns, is_listed: true, feed });
                Some(Event::Quote(quote))
            }
            Update::Delisted(symbol) => {
                let nothing = Told { version: 0, updated_ns: 0, is_listed: true, feed: None };
                let told = self.told.entry(symbol).or_insert(nothing);
                std::mem::take(&mut told.is_listed).then_some(Event::Delisted(symbol))
            }
            Update::Forbidden(symbol) => {
                self.told.remove(&symbol);
                Some(Event::Forbidden(symbol))
            }
            Update::AllForbidden => Some(Event::AllForbidden),
            Update::Unlisted(symbol) => match self.told.get_mut(&symbol) {
                // It was delisted while there was no connection, or that was told already.
                Some(told) => {
                    std::mem::take(&mut told.is_listed).then_some(Event::Delisted(symbol))
                }
                None => {
                    let nothing = Told { version: 0, updated_ns: 0, is_listed: false, feed: None };
                    self.told.insert(symbol, nothing);
                    Some(Event::Unlisted(symbol))
                }
            },
        }
    }

    fn disconnected(&mut self, reason: ClientError) -> Event {
        self.link.close();
        let retry_in = self.pauses.pause();
        self.retry_at = Instant::now() + retry_in;
        Event::Disconnected { reason, retry_in }
    }
}

impl Iterator for Subscription {
    type Item = Event;

    /// The next event, however long it takes; never `None`.
    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.next_timeout(Duration::MAX) {
                return Some(event);
            }
        }
    }
}

impl State {
    fn new() -> State {
        State { subscribed: 0, unconfirmed: 0, heard: Instant::now(), is_pinged: false }
    }

    /// Whether the server has confirmed every topic.
    fn is_complete(&self, topics: &[Topic]) -> bool {
        self.unconfirmed == 0 && self.subscribed == topics.len()
    }

    /// Subscribes to the next topics, if all asked for so far are confirmed.
    fn ask_for_more(
        &mut self,
        connection: &mut Connection<Replies>,
        topics: &[Topic],
    ) -> Result<(), ClientError> {
        let rest = topics.get(self.subscribed..).unwrap_or_default();
        if self.unconfirmed == 0 && !rest.is_empty() {
            let sent = connection.send(rest)?;
            self.unconfirmed = sent;
            self.subscribed += sent;
        }
        Ok(())
    }

    /// Whether the reply confirms a subscription. It is an error if it refuses one.
    fn confirm(&mut self, reply: &Value) -> Result<bool, ClientError> {
        let confirmed = match reply {
            Value::Error(why) => return Err(Refused::new(why).into()),
            Value::Array(parts) => matches!(
                parts.first(),
                Some(Value::Text(kind)) if [&b"subscribe"[..], b"psubscribe"].contains(&&kind[..])
            ),
            _ => false,
        };
        self.unconfirmed = self.unconfirmed.saturating_sub(usize::from(confirmed));
        Ok(confirmed)
    }
}

/// What a message says; `None` of a sign of life.
fn message(reply: &Value) -> Result<Option<Update>, NoAnswer> {
    let Value::Array(parts) = reply else {
        return Err(NoAnswer::rubbish(&reply));
    };
    let payload = match &parts[..] {
        [Value::Text(kind), Value::Text(_channel), Value::Text(payload)] if kind == b"message" => {
            payload
        }
        [Value::Text(kind), Value::Text(_pattern), Value::Text(_channel), Value::Text(payload)]
            if kind == b"pmessage" =>
        {
            payload
        }
        [Value::Text(kind), Value::Text(_)] if kind == b"pong" => return Ok(None),
        _ => return Err(NoAnswer::rubbish(&reply)),
    };
    let rubbish = || NoAnswer::Rubbish(excerpt(payload));
    payload::parse(payload).map(Some).ok_or_else(rubbish)
}

impl Request for Topic {
    fn encode(&self, chunk: &mut Vec<u8>) {
        match self {
            Topic::Symbol(symbol) => frame::command(&[b"SUBSCRIBE", symbol.as_bytes()], chunk),
            Topic::Pattern(pattern) => frame::command(&[b"PSUBSCRIBE", pattern.as_bytes()], chunk),
        }
    }

    fn name(&self) -> Cow<'_, str> {
        match self {
            Topic::Symbol(symbol) => symbol.as_str().into(),
            Topic::Pattern(pattern) => (&**pattern).into(),
        }
    }
}
