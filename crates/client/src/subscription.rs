//! Live quotes: a subscription that outlives its connections.
//!
//! Invariant: the events of one stock go forward (`told`). After a connection was lost, the first message
//! for a stock may be one that came already.

use std::borrow::Cow;
use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use stockd_model::{Quote, Symbol};
use stockd_wire::resp::{Value, frame};

use crate::command::{GetQuote, Ping};
use crate::connection::Connection;
use crate::error::{Refused, excerpt};
use crate::link::Link;
use crate::pause::Pauses;
use crate::payload::{self, Update};
use crate::protocol::{NoAnswer, Request};
use crate::resp::Replies;
use crate::told::{Gone, Told};
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
    /// Stocks among the topics that may be read no longer: they are not asked for again.
    forbidden: HashSet<Symbol>,
    told: Told,
    state: State,
    /// Whether some of what was told may have been delisted unseen, since there was no connection.
    is_behind: bool,
    /// What was found out while the connection was made, to be told before anything else.
    due: Vec<Update>,
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
    /// A stock that was subscribed to by its name may not be read, or no longer; the subscription to it
    /// has ended.
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
    /// When anything came last, or the server was asked for a sign of life.
    silent_since: Instant,
    /// Whether it was asked since anything came.
    is_pinged: bool,
}

/// What a reply says of a topic.
enum Confirmed {
    Subscribed,
    /// It may not be read.
    Forbidden(Symbol, Refused),
    /// It is no reply to a subscription.
    Nothing,
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
            forbidden: HashSet::new(),
            told: Told::default(),
            state: State::new(),
            is_behind: false,
            due: Vec::new(),
            pauses: Pauses::new(),
            retry_at: Instant::now(),
        };
        match subscription.subscribe()? {
            Some((_, refused)) => Err(refused.into()),
            None => Ok(subscription),
        }
    }

    /// The address of the server connected to last.
    pub fn server(&self) -> &Address {
        self.link.server()
    }

    /// Waits for the next event, for `patience` at most; `None` if there is none by then. Each call reads what
    /// has come, also without patience. An attempt to connect is not cut short, so it may take
    /// [`Options::connect_timeout`] longer for each address, and [`Options::timeout`] for the first reply.
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
        let forbidden = std::mem::take(&mut self.forbidden);
        self.topics
            .retain(|topic| !matches!(topic, Topic::Symbol(symbol) if forbidden.contains(symbol)));
        self.link.reconnect()?;
        if let Some((symbol, _)) = self.subscribe()? {
            self.due.push(Update::Forbidden(symbol));
        }
        self.is_behind = true;
        Ok(Event::Reconnected)
    }

    /// Asks for the first topics, and waits until the server takes the first of them, or says that it may not
    /// be read.
    fn subscribe(&mut self) -> Result<Option<(Symbol, Refused)>, ClientError> {
        let timeout = self.link.options().timeout;
        if self.link.options().credentials.is_some() || self.topics.is_empty() {
            self.link.greet()?;
        }
        self.state = State::new();
        if self.topics.is_empty() {
            return Ok(None);
        }
        let Subscription { link, topics, state, .. } = self;
        link.with_connection(|connection| {
            connection.keep_few_unread();
            state.ask_for_more(connection, topics)?;
            let Some(reply) = connection.listen(timeout)? else {
                return Err(connection.timed_out("take the subscription".into()));
            };
            match state.confirm(topics, &reply)? {
                Confirmed::Subscribed => Ok(None),
                Confirmed::Forbidden(symbol, refused) => Ok(Some((symbol, refused))),
                Confirmed::Nothing => Err(connection.no_answer(NoAnswer::rubbish(&reply))),
            }
        })
    }

    /// Finds what was delisted while there was no connection. The server tells nothing of a stock
    /// that is not listed when one subscribes to a pattern; so this asks, on a connection of its own, when
    /// every later change is sure to be told.
    fn catch_up(&mut self) -> Result<(), ClientError> {
        self.is_behind = false;
        let symbols: Vec<Symbol> = self.told.listed().copied().collect();
        if symbols.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = symbols.iter().map(|symbol| GetQuote(symbol.as_str())).collect();
        let mut link = Link::<Replies>::connect(self.server(), self.link.options().clone())?;
        link.greet()?;
        let quotes = link.with_connection(|connection| connection.ask_all(&names))?;
        for (symbol, quote) in symbols.into_iter().zip(quotes) {
            match quote {
                Ok(Some(_)) => {}
                Ok(None) => self.due.push(Update::Delisted(symbol)),
                // A pattern stays, and tells nothing of what may be read no longer.
                Err(refused) if refused.is_not_permitted() => self.told.forget(&symbol),
                Err(refused) => return Err(refused.into()),
            }
        }
        Ok(())
    }

    /// Waits for one message, for `patience` at most. Returns what it says, if that is new.
    fn listen(&mut self, patience: Duration) -> Result<Option<Event>, ClientError> {
        if self.due.is_empty() && self.is_behind && self.state.is_complete(&self.topics) {
            self.catch_up()?;
            self.pauses.reset();
        }
        while let Some(update) = self.due.pop() {
            if let Some(event) = self.tell(update) {
                return Ok(Some(event));
            }
        }
        let timeout = self.link.options().timeout;
        let Subscription { link, topics, state, .. } = self;
        let update = link.with_connection(|connection| {
            state.ask_for_more(connection, topics)?;
            let patience = patience.min(state.silence_left(Instant::now(), timeout));
            match connection.listen(patience)? {
                Some(reply) => {
                    state.heard(Instant::now());
                    match state.confirm(topics, &reply)? {
                        Confirmed::Subscribed => Ok(None),
                        Confirmed::Forbidden(symbol, _) => Ok(Some(Update::Forbidden(symbol))),
                        Confirmed::Nothing => {
                            message(&reply).map_err(|wrong| connection.no_answer(wrong))
                        }
                    }
                }
                None if !state.silence_left(Instant::now(), timeout).is_zero() => Ok(None),
                None if state.is_pinged => Err(connection.timed_out("give a sign of life".into())),
                None => {
                    connection.send(&[Ping])?;
                    state.pinged(Instant::now());
                    Ok(None)
                }
            }
        })?;
        Ok(update.and_then(|update| self.tell(update)))
    }

    /// The event of this update, unless it is older than what was told of the stock, or the same.
    fn tell(&mut self, update: Update) -> Option<Event> {
        match update {
            Update::Quote(quote) => self.told.quote(&quote).then_some(Event::Quote(quote)),
            Update::Delisted(symbol) => match self.told.gone(symbol) {
                Gone::Delisted | Gone::NeverListed => Some(Event::Delisted(symbol)),
                Gone::Known => None,
            },
            Update::Unlisted(symbol) => match self.told.gone(symbol) {
                // It was delisted while there was no connection.
                Gone::Delisted => Some(Event::Delisted(symbol)),
                Gone::NeverListed => Some(Event::Unlisted(symbol)),
                Gone::Known => None,
            },
            Update::Forbidden(symbol) => {
                self.told.forget(&symbol);
                self.forbidden.insert(symbol);
                Some(Event::Forbidden(symbol))
            }
            Update::AllForbidden => Some(Event::AllForbidden),
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
        let silent_since = Instant::now();
        State { subscribed: 0, unconfirmed: 0, silent_since, is_pinged: false }
    }

    fn heard(&mut self, now: Instant) {
        (self.silent_since, self.is_pinged) = (now, false);
    }

    /// The server was asked for a sign of life. It has the whole time for it, however long the reader of
    /// events was away before.
    fn pinged(&mut self, now: Instant) {
        (self.silent_since, self.is_pinged) = (now, true);
    }

    /// How much longer the server may be silent.
    fn silence_left(&self, now: Instant, timeout: Duration) -> Duration {
        timeout.saturating_sub(now.saturating_duration_since(self.silent_since))
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

    /// What the reply says of the topic that was asked for first of those that are not confirmed. It is an error
    /// if that is refused for another reason than rights.
    fn confirm(&mut self, topics: &[Topic], reply: &Value) -> Result<Confirmed, ClientError> {
        let confirmed = match reply {
            Value::Error(why) => {
                let refused = Refused::new(why);
                match topics.get(self.subscribed - self.unconfirmed) {
                    Some(Topic::Symbol(symbol)) if refused.is_not_permitted() => {
                        Confirmed::Forbidden(*symbol, refused)
                    }
                    _ => return Err(refused.into()),
                }
            }
            Value::Array(parts) => match parts.first() {
                Some(Value::Text(kind)) if kind == b"subscribe" || kind == b"psubscribe" => {
                    Confirmed::Subscribed
                }
                _ => return Ok(Confirmed::Nothing),
            },
            _ => return Ok(Confirmed::Nothing),
        };
        self.unconfirmed = self.unconfirmed.saturating_sub(1);
        Ok(confirmed)
    }
}

/// What a message says; `None` of a sign of life.
fn message(reply: &Value) -> Result<Option<Update>, NoAnswer> {
    let parts = match reply {
        Value::Array(parts) => parts,
        // Where no subscription is left, it comes like this.
        Value::Text(pong) if pong == b"PONG" => return Ok(None),
        _ => return Err(NoAnswer::rubbish(&reply)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_the_whole_time_for_a_sign_of_life_though_the_reader_was_away() {
        let timeout = Duration::from_secs(5);
        let mut state = State::new();
        let back = state.silent_since + 12 * timeout;
        assert!(state.silence_left(back, timeout).is_zero());
        state.pinged(back);
        assert_eq!(state.silence_left(back, timeout), timeout);
        assert!(state.is_pinged && state.silence_left(back + timeout, timeout).is_zero());
        state.heard(back + timeout);
        assert!(!state.is_pinged);
        assert_eq!(state.silence_left(back + timeout, timeout), timeout);
    }
}
