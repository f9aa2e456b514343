//! What the connections of one worker have subscribed to, and what each has still to be told.
//!
//! There is no queue of messages. A subscriber has one *mark* for each symbol whose quote it has not
//! been sent yet (and one for each pattern by which it is sent that symbol too); when its socket has room, the marks become messages, each with the quote as it is
//! by then. A slow reader so receives fewer, newer quotes; what it costs is bounded by what it
//! subscribed to, never by how far behind it is; and since the last change leaves a mark, its last
//! message is the latest quote.
//!
//! Writers tell the worker through its [`Watcher`], in which a symbol is marked or not. The worker
//! passes each of those marks on to the subscribers of the symbol ([`Subscriptions::pass_on`]).
//! A new subscription is nothing but a mark of one's own: the first message and all later ones come
//! the same way.
//!
//! It knows no sockets and no formats but that of the payload. A connection is a number here.
//!
//! Invariant: each subscriber of a topic has been sent the quote that the topic holds, or has its
//! mark set. A topic's quote only ever goes forward, and a message is always the topic's quote; so
//! no version comes twice, none goes back, and the last one comes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::mem;

use foldhash::fast::RandomState;
use stockd_engine::{Catalog, Marks, Watcher};
use stockd_model::limits::{PATTERNS_MAX, SUBSCRIPTION_PAGE_ROWS, SUBSCRIPTIONS_MAX};
use stockd_model::{Pattern, Symbol};
use stockd_model::quote_json;

/// The number of a connection among those of its worker.
pub(crate) type Key = usize;

/// The subscriptions of one worker's connections.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    watcher: Watcher,
    topics: HashMap<Symbol, Topic, RandomState>,
    /// The patterns that have a subscriber.
    patterns: HashMap<Pattern, PatternTopic, RandomState>,
    /// The number of the latest pattern.
    pattern_number: u64,
    subscribers: HashMap<Key, Subscriber, RandomState>,
    /// Taken from the watcher and not passed on yet.
    changed: Vec<Symbol>,
    /// Subscribers that have come to have something to be told since they were last named.
    awake: Vec<Key>,
    /// Messages that subscribers were spared because a newer quote took their place.
    conflated: u64,
}

/// A symbol that somebody is subscribed to.
#[derive(Debug, Default)]
struct Topic {
    /// The version of the quote that the payload tells; `None` while the stock is not listed.
    version: Option<u64>,
    /// The quote as its subscribers are told it, encoded once for all of them.
    payload: Vec<u8>,
    /// Subscribers to the symbol itself, in the order they came.
    direct: Vec<Key>,
}

/// A pattern that somebody is subscribed to.
#[derive(Debug)]
struct PatternTopic {
    number: u64,
    subscribers: Vec<Key>,
}

#[derive(Debug, Default)]
struct Subscriber {
    symbols: HashSet<Symbol, RandomState>,
    patterns: Vec<(u64, Pattern)>,
    /// Patterns whose listed stocks are being marked, and the place in the catalog to go on from.
    entering: VecDeque<(u64, u64)>,
    marks: HashSet<Mark, RandomState>,
    /// The marks in the order they came. Among them may be some that were taken back.
    order: VecDeque<Mark>,
    awake: bool,
}

/// A symbol that a subscriber has to be told of, and the number of the pattern by which: none
/// where it subscribed to the symbol itself.
type Mark = (Symbol, Option<u64>);

/// One message for one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// The pattern by which the subscriber is told, or none where it subscribed to the symbol.
    pub(crate) pattern: Option<&'a Pattern>,
    pub(crate) symbol: &'a Symbol,
    /// The quote, as JSON.
    pub(crate) payload: &'a [u8],
}

/// A connection has as many subscriptions as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooManySubscriptions {
    #[error(
        "this connection has {SUBSCRIPTIONS_MAX} subscriptions, the limit; use a pattern or \
         another connection"
    )]
    InAll,
    #[error("this connection has {PATTERNS_MAX} patterns, the limit; use another connection")]
    Patterns,
}

impl Subscriptions {
    pub(crate) fn new(watcher: Watcher) -> Subscriptions {
        Subscriptions {
            watcher,
            topics: HashMap::default(),
            patterns: HashMap::default(),
            pattern_number: 0,
            subscribers: HashMap::default(),
            changed: Vec::new(),
            awake: Vec::new(),
            conflated: 0,
        }
    }

    /// Subscribes to a symbol, listed or not. Its quote is the first message. Returns how many
    /// subscriptions the connection has now.
    pub(crate) fn subscribe(
        &mut self,
        key: Key,
        symbol: &Symbol,
        catalog: &Catalog,
    ) -> Result<usize, TooManySubscriptions> {
        let subscriber = self.subscribers.entry(key).or_default();
        if subscriber.symbols.contains(symbol) {
            return Ok(subscriber.len());
        }
        if subscriber.len() >= SUBSCRIPTIONS_MAX {
            return Err(TooManySubscriptions::InAll);
        }
        subscriber.symbols.insert(*symbol);
        let len = subscriber.len();
        // First this, then the quote: see `Watcher`.
        self.watcher.watch(symbol);
        self.topics.entry(*symbol).or_default();
        self.refresh(symbol, catalog, None);
        let topic = self.topics.entry(*symbol).or_default();
        topic.direct.push(key);
        if topic.version.is_some() {
            self.mark(key, (*symbol, None));
        }
        Ok(len)
    }

    /// Subscribes to all symbols that fit a pattern, also to those that are listed later. The
    /// quotes of all that are listed now are the first messages.
    pub(crate) fn subscribe_pattern(
        &mut self,
        key: Key,
        pattern: &Pattern,
    ) -> Result<usize, TooManySubscriptions> {
        let subscriber = self.subscribers.entry(key).or_default();
        if subscriber.patterns.iter().any(|(_, other)| other == pattern) {
            return Ok(subscriber.len());
        }
        if subscriber.patterns.len() >= PATTERNS_MAX {
            return Err(TooManySubscriptions::Patterns);
        }
        if subscriber.len() >= SUBSCRIPTIONS_MAX {
            return Err(TooManySubscriptions::InAll);
        }
        // First this, then the quotes: see `Watcher`.
        self.watcher.watch_pattern(pattern);
        let topic = self.patterns.entry(pattern.clone()).or_insert_with(|| {
            self.pattern_number += 1;
            PatternTopic { number: self.pattern_number, subscribers: Vec::new() }
        });
        topic.subscribers.push(key);
        subscriber.patterns.push((topic.number, pattern.clone()));
        subscriber.entering.push_back((topic.number, 0));
        subscriber.wake(key, &mut self.awake);
        Ok(subscriber.len())
    }

    /// Ends the subscription to a symbol, if there is one. Returns how many the connection has
    /// left.
    pub(crate) fn unsubscribe(&mut self, key: Key, symbol: &Symbol) -> usize {
        let Some(subscriber) = self.subscribers.get_mut(&key) else {
            return 0;
        };
        if subscriber.symbols.remove(symbol) {
            subscriber.marks.remove(&(*symbol, None));
            subscriber.forget_order();
            self.watcher.unwatch(symbol);
            if let Some(topic) = self.topics.get_mut(symbol) {
                topic.direct.retain(|direct| *direct != key);
            }
            self.close_topic(symbol);
        }
        self.len(key)
    }

    /// Ends the subscription to a pattern, if there is one. Returns how many the connection has
    /// left.
    pub(crate) fn unsubscribe_pattern(&mut self, key: Key, pattern: &Pattern) -> usize {
        let Some(subscriber) = self.subscribers.get_mut(&key) else {
            return 0;
        };
        if let Some(index) = subscriber.patterns.iter().position(|(_, other)| other == pattern) {
            let (number, _) = subscriber.patterns.remove(index);
            subscriber.entering.retain(|(entering, _)| *entering != number);
            subscriber.marks.retain(|(_, by)| *by != Some(number));
            subscriber.forget_order();
            self.watcher.unwatch_pattern(pattern);
            if let Some(topic) = self.patterns.get_mut(pattern) {
                topic.subscribers.retain(|other| *other != key);
                if topic.subscribers.is_empty() {
                    self.patterns.remove(pattern);
                    self.close_topics_of(pattern);
                }
            }
        }
        self.len(key)
    }

    /// The symbols and patterns of a connection, to unsubscribe from all.
    pub(crate) fn of(&self, key: Key) -> (Vec<Symbol>, Vec<Pattern>) {
        self.subscribers.get(&key).map_or_else(Default::default, |subscriber| {
            let mut symbols: Vec<_> = subscriber.symbols.iter().copied().collect();
            symbols.sort_unstable();
            let patterns = subscriber.patterns.iter().map(|(_, pattern)| pattern.clone());
            (symbols, patterns.collect())
        })
    }

    /// Whether a connection has, or had, a subscription.
    #[inline]
    pub(crate) fn has(&self, key: Key) -> bool {
        !self.subscribers.is_empty() && self.subscribers.contains_key(&key)
    }

    /// How many subscriptions a connection has.
    #[inline]
    pub(crate) fn len(&self, key: Key) -> usize {
        self.subscribers.get(&key).map_or(0, Subscriber::len)
    }

    /// How many symbols a connection has still to be told of.
    pub(crate) fn backlog(&self, key: Key) -> usize {
        self.subscribers.get(&key).map_or(0, |subscriber| subscriber.marks.len())
    }

    /// Connections that have a subscription, and subscriptions in all.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let subscriptions = self.subscribers.values().map(Subscriber::len).sum();
        (self.subscribers.len(), subscriptions)
    }

    /// Messages that subscribers were spared since this was last asked, because a newer quote
    /// took their place.
    pub(crate) fn take_conflated(&mut self) -> u64 {
        mem::take(&mut self.conflated)
    }

    /// Forgets a connection.
    pub(crate) fn remove(&mut self, key: Key) {
        let (symbols, patterns) = self.of(key);
        for symbol in &symbols {
            self.unsubscribe(key, symbol);
        }
        for pattern in &patterns {
            self.unsubscribe_pattern(key, pattern);
        }
        self.subscribers.remove(&key);
    }

    /// Passes the marks that writers have left on to subscribers, at most so many. Returns whether
    /// that was all; then the next mark wakes the watcher.
    pub(crate) fn pass_on(&mut self, symbols_max: usize, catalog: &Catalog) -> bool {
        // Marks may have come since those at hand were taken, and their wake with them: only who
        // has just taken all can say that none are left.
        let all_taken = self.changed.is_empty();
        if all_taken {
            self.changed.extend(self.watcher.take(Marks::default()));
        }
        for _ in 0..symbols_max {
            let Some(symbol) = self.changed.pop() else {
                break;
            };
            self.refresh(&symbol, catalog, None);
        }
        all_taken && self.changed.is_empty()
    }

    /// The connections that have come to have something to be told, each once.
    pub(crate) fn take_awake(&mut self, into: &mut Vec<Key>) {
        for key in self.awake.drain(..) {
            if let Some(subscriber) = self.subscribers.get_mut(&key) {
                subscriber.awake = false;
                into.push(key);
            }
        }
    }

    /// Whether nothing has come up since the awake were last named.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.awake.is_empty() && self.conflated == 0
    }

    /// Whether a connection has anything to be told.
    #[inline]
    pub(crate) fn has_messages(&self, key: Key) -> bool {
        !self.subscribers.is_empty()
            && self.subscribers.get(&key).is_some_and(Subscriber::has_messages)
    }

    /// Tells a connection what it has not been told, as long as `tell` says that there is room.
    pub(crate) fn tell(
        &mut self,
        key: Key,
        catalog: &Catalog,
        mut tell: impl FnMut(Message<'_>) -> bool,
    ) {
        self.enter(key, catalog);
        loop {
            let Some(subscriber) = self.subscribers.get_mut(&key) else {
                return;
            };
            let Some(mark) = subscriber.order.pop_front() else {
                return;
            };
            if !subscriber.marks.remove(&mark) {
                continue;
            }
            let (symbol, number) = mark;
            // What is told is the latest, for everybody: see the invariant.
            self.refresh(&symbol, catalog, Some((key, number)));
            let (Some(topic), Some(subscriber)) =
                (self.topics.get(&symbol), self.subscribers.get(&key))
            else {
                continue;
            };
            if topic.payload.is_empty() {
                // Delisted before anybody was told that it is listed.
                continue;
            }
            // A mark is taken back with its subscription, so the pattern is still there.
            let pattern = number.and_then(|number| subscriber.pattern(number));
            if !tell(Message { pattern, symbol: &symbol, payload: &topic.payload }) {
                return;
            }
        }
    }

    /// Marks the next few listed stocks that fit a pattern just subscribed to. A few at a time: a
    /// catalog of millions must not hold up the worker's other connections.
    fn enter(&mut self, key: Key, catalog: &Catalog) {
        let Some(subscriber) = self.subscribers.get_mut(&key) else {
            return;
        };
        let Some((number, place)) = subscriber.entering.pop_front() else {
            return;
        };
        let Some(pattern) = subscriber.pattern(number).cloned() else {
            return;
        };
        let page = catalog.page(place, SUBSCRIPTION_PAGE_ROWS);
        for quote in page.quotes.iter().filter(|quote| pattern.matches(&quote.symbol)) {
            subscriber.mark((quote.symbol, Some(number)));
        }
        if let Some(place) = page.next {
            subscriber.entering.push_back((number, place));
        }
    }

    /// Brings the topic up to the quote as it is now, and marks its subscribers if that is news;
    /// but not the one mark that is about to be told.
    fn refresh(&mut self, symbol: &Symbol, catalog: &Catalog, telling: Option<(Key, Option<u64>)>) {
        let fits = |pattern: &Pattern| pattern.matches(symbol);
        let topic = match self.topics.get_mut(symbol) {
            Some(topic) => topic,
            None if self.patterns.keys().any(fits) => self.topics.entry(*symbol).or_default(),
            // Nobody's: the watcher's filter may err on this side.
            None => return,
        };
        let quote = catalog.get(symbol);
        let version = quote.map(|quote| quote.version);
        if version == topic.version {
            return;
        }
        topic.payload.clear();
        match &quote {
            Some(quote) => quote_json::encode_quote(quote, &mut topic.payload),
            None => quote_json::encode_delisted(symbol, &mut topic.payload),
        }
        let passed_over = match (topic.version, version) {
            (Some(told), Some(now)) => now.saturating_sub(told + 1),
            _ => 0,
        };
        topic.version = version;

        let direct = topic.direct.iter().map(|key| (*key, None));
        let by_pattern =
            self.patterns.iter().filter(|(pattern, _)| fits(pattern)).flat_map(|(_, topic)| {
                topic.subscribers.iter().map(|key| (*key, Some(topic.number)))
            });
        for (key, number) in direct.chain(by_pattern) {
            if telling != Some((key, number))
                && let Some(subscriber) = self.subscribers.get_mut(&key)
                && !subscriber.is_still_to_enter(symbol, number, catalog)
            {
                let overtaken = !subscriber.mark((*symbol, number));
                self.conflated += passed_over + u64::from(overtaken);
                subscriber.wake(key, &mut self.awake);
            }
        }
    }

    fn mark(&mut self, key: Key, mark: Mark) {
        if let Some(subscriber) = self.subscribers.get_mut(&key) {
            subscriber.mark(mark);
            subscriber.wake(key, &mut self.awake);
        }
    }

    /// Forgets a topic that nobody is subscribed to any more.
    fn close_topic(&mut self, symbol: &Symbol) {
        let unwanted = self.topics.get(symbol).is_some_and(|topic| topic.direct.is_empty())
            && !self.patterns.keys().any(|pattern| pattern.matches(symbol));
        if unwanted {
            self.topics.remove(symbol);
        }
    }

    /// Forgets the topics that were there for this pattern alone.
    fn close_topics_of(&mut self, pattern: &Pattern) {
        let patterns = &self.patterns;
        self.topics.retain(|symbol, topic| {
            !topic.direct.is_empty()
                || !pattern.matches(symbol)
                || patterns.keys().any(|other| other.matches(symbol))
        });
    }
}

impl Subscriber {
    fn len(&self) -> usize {
        self.symbols.len() + self.patterns.len()
    }

    fn has_messages(&self) -> bool {
        !self.order.is_empty() || !self.entering.is_empty()
    }

    /// The pattern of this number, while it is subscribed to.
    fn pattern(&self, number: u64) -> Option<&Pattern> {
        self.patterns.iter().find(|(other, _)| *other == number).map(|(_, pattern)| pattern)
    }

    /// Whether the symbol will be marked anyway, when [`Subscriptions::enter`] comes to its place.
    fn is_still_to_enter(&self, symbol: &Symbol, number: Option<u64>, catalog: &Catalog) -> bool {
        let entering = self.entering.iter().find(|(entering, _)| Some(*entering) == number);
        entering.is_some_and(|&(_, next)| next <= catalog.place(symbol))
    }

    /// Sets a mark. Returns whether it was not set before.
    fn mark(&mut self, mark: Mark) -> bool {
        let new = self.marks.insert(mark);
        if new {
            self.order.push_back(mark);
        }
        new
    }

    /// Forgets the order of marks that were taken back, once they are the most of it.
    fn forget_order(&mut self) {
        if self.order.len() > 2 * self.marks.len() + 64 {
            self.order.retain(|mark| self.marks.contains(mark));
        }
    }

    fn wake(&mut self, key: Key, awake: &mut Vec<Key>) {
        if !mem::replace(&mut self.awake, true) {
            awake.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;
    use stockd_engine::{Engine, Executor};
    use stockd_model::{Fields, Reply, Request, Volume};

    struct Stage {
        engine: Arc<Engine>,
        executor: Executor,
        subscriptions: Subscriptions,
        /// What each connection was told last of each symbol, by symbol and by pattern.
        told: BTreeMap<(Key, Option<String>, String), String>,
    }

    impl Stage {
        fn new() -> Stage {
            let engine = Arc::new(Engine::default());
            let executor = engine.executor();
            let subscriptions = Subscriptions::new(engine.watcher(|| {}));
            Stage { engine, executor, subscriptions, told: BTreeMap::new() }
        }

        fn set(&mut self, name: &str, units: i64) {
            let price = stockd_model::Price::from_units(units);
            let fields = Fields { price, volume: Some(Volume::new(1)), status: None };
            let reply = self.executor.batch().execute(&Request::Set(symbol(name), fields));
            assert!(matches!(reply, Reply::Listed(_) | Reply::Updated(_)), "{reply:?}");
        }

        fn delist(&mut self, name: &str) {
            self.executor.batch().execute(&Request::Delist(symbol(name)));
        }

        fn subscribe(&mut self, key: Key, name: &str) -> usize {
            self.subscriptions.subscribe(key, &symbol(name), self.engine.catalog()).unwrap()
        }

        fn subscribe_pattern(&mut self, key: Key, pattern: &str) -> usize {
            self.subscriptions.subscribe_pattern(key, &Pattern::new(pattern.as_bytes())).unwrap()
        }

        fn pass_on(&mut self) {
            while !self.subscriptions.pass_on(3, self.engine.catalog()) {}
        }

        /// Tells a connection as many messages, and checks each against those before it.
        fn tell(&mut self, key: Key, messages_max: usize) -> Vec<String> {
            let mut messages = Vec::new();
            while self.subscriptions.has_messages(key) && messages.len() < messages_max {
                let told = &mut self.told;
                self.subscriptions.tell(key, self.engine.catalog(), |message| {
                    let payload = String::from_utf8(message.payload.to_vec()).unwrap();
                    let pattern =
                        message.pattern.map(|it| String::from_utf8_lossy(it.as_bytes()).into());
                    let before = told
                        .insert((key, pattern, message.symbol.to_string()), payload.clone())
                        .unwrap_or_default();
                    // Delisted twice is no mistake: the listing in between was overtaken.
                    if let (Some(before), Some(now)) = (version(&before), version(&payload)) {
                        assert!(now > before, "version {now} after {before}");
                    }
                    messages.push(payload);
                    messages.len() < messages_max
                });
            }
            messages
        }
    }

    fn symbol(name: &str) -> Symbol {
        name.parse().unwrap()
    }

    fn version(payload: &str) -> Option<u64> {
        let (_, rest) = payload.split_once("\"version\":")?;
        rest.split(',').next()?.parse().ok()
    }

    #[test]
    fn the_first_message_is_the_quote_now_and_each_later_one_is_newer() {
        let mut stage = Stage::new();
        stage.set("AAPL", 1);
        assert_eq!(stage.subscribe(7, "AAPL"), 1);
        assert_eq!(stage.subscribe(7, "AAPL"), 1);
        let first = stage.tell(7, 10);
        assert_eq!(first.len(), 1);
        assert_eq!(version(&first[0]), Some(1));
        stage.pass_on();
        assert!(stage.tell(7, 10).is_empty());

        stage.set("AAPL", 2);
        stage.set("AAPL", 3);
        stage.pass_on();
        let later = stage.tell(7, 10);
        assert_eq!(later.len(), 1, "{later:?}");
        assert_eq!(version(&later[0]), Some(3));
        assert_eq!(stage.subscriptions.take_conflated(), 1);
    }

    #[test]
    fn a_stock_not_listed_yet_is_told_when_it_is_listed_and_when_it_is_delisted() {
        let mut stage = Stage::new();
        stage.subscribe(1, "NEW");
        assert!(stage.tell(1, 10).is_empty());
        stage.set("NEW", 5);
        stage.pass_on();
        assert_eq!(stage.tell(1, 10).len(), 1);
        stage.delist("NEW");
        stage.pass_on();
        assert_eq!(stage.tell(1, 10), [r#"{"symbol":"NEW","status":"delisted"}"#]);
        // Who comes now is told nothing until it is listed again.
        stage.subscribe(2, "NEW");
        assert!(stage.tell(2, 10).is_empty());
        stage.set("NEW", 6);
        stage.pass_on();
        assert_eq!(stage.tell(1, 10), stage.tell(2, 10));
    }

    #[test]
    fn a_pattern_catches_stocks_listed_before_and_later() {
        let mut stage = Stage::new();
        for stock in 0..5000 {
            stage.set(&format!("A{stock}"), 1);
        }
        stage.set("B", 1);
        stage.subscribe_pattern(3, "A*");
        assert_eq!(stage.tell(3, usize::MAX).len(), 5000);
        stage.set("ALATER", 1);
        stage.set("BLATER", 1);
        stage.pass_on();
        assert_eq!(stage.tell(3, 10).len(), 1);
    }

    #[test]
    fn a_mark_that_comes_while_earlier_ones_are_passed_on_needs_no_wake_of_its_own() {
        let mut stage = Stage::new();
        for name in ["A", "B", "C"] {
            stage.set(name, 1);
            stage.subscribe(1, name);
        }
        stage.tell(1, 10);
        stage.set("A", 2);
        stage.set("B", 2);
        stage.set("C", 2);
        let engine = Arc::clone(&stage.engine);
        assert!(!stage.subscriptions.pass_on(2, engine.catalog()));
        // The worker is at work and sees this wake together with what it has at hand.
        stage.set("A", 3);
        stage.set("B", 3);
        let mut passes = 0;
        while !stage.subscriptions.pass_on(2, engine.catalog()) {
            passes += 1;
            assert!(passes < 10, "never done");
        }
        assert_eq!(stage.tell(1, 10).len(), 3);
        for quote in engine.catalog().iter() {
            let last = &stage.told[&(1, None, quote.symbol.to_string())];
            assert_eq!(version(last), Some(quote.version));
        }
    }

    #[test]
    fn nothing_is_left_of_subscriptions_that_ended() {
        let mut stage = Stage::new();
        stage.set("AAPL", 1);
        stage.set("IBM", 1);
        stage.subscribe(1, "AAPL");
        stage.subscribe(2, "AAPL");
        assert_eq!(stage.subscribe_pattern(2, "*"), 2);
        stage.tell(2, 10);
        assert_eq!(stage.subscriptions.topics.len(), 2);
        stage.subscriptions.remove(2);
        assert_eq!(stage.subscriptions.topics.len(), 1);
        assert_eq!(stage.subscriptions.unsubscribe(1, &symbol("AAPL")), 0);
        stage.subscriptions.remove(1);
        assert!(stage.subscriptions.topics.is_empty());
        assert!(stage.subscriptions.patterns.is_empty());
        assert!(stage.subscriptions.subscribers.is_empty());
    }

    #[test]
    fn subscriptions_of_a_connection_are_limited() {
        let mut stage = Stage::new();
        for stock in 0..SUBSCRIPTIONS_MAX {
            stage.subscribe(1, &format!("S{stock}"));
        }
        let catalog = stage.engine.catalog();
        let refused = stage.subscriptions.subscribe(1, &symbol("MORE"), catalog);
        assert_eq!(refused, Err(TooManySubscriptions::InAll));
        assert_eq!(stage.subscriptions.len(1), SUBSCRIPTIONS_MAX);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(usize),
        Delist(usize),
        Subscribe(Key, usize),
        Unsubscribe(Key, usize),
        SubscribePattern(Key, usize),
        UnsubscribePattern(Key, usize),
        PassOn,
        Tell(Key, usize),
    }

    const NAMES: [&str; 4] = ["AA", "AB", "BA", "BB"];
    const PATTERNS: [&str; 3] = ["*", "A*", "?A"];

    fn step() -> impl Strategy<Value = Step> {
        let (key, name, pattern) = (0..3_usize, 0..NAMES.len(), 0..PATTERNS.len());
        prop_oneof![
            6 => name.clone().prop_map(Step::Set),
            1 => name.clone().prop_map(Step::Delist),
            2 => (key.clone(), name.clone()).prop_map(|(key, name)| Step::Subscribe(key, name)),
            1 => (key.clone(), name).prop_map(|(key, name)| Step::Unsubscribe(key, name)),
            1 => (key.clone(), pattern.clone())
                .prop_map(|(key, pattern)| Step::SubscribePattern(key, pattern)),
            1 => (key.clone(), pattern)
                .prop_map(|(key, pattern)| Step::UnsubscribePattern(key, pattern)),
            3 => Just(Step::PassOn),
            4 => (key, 1..4_usize).prop_map(|(key, messages)| Step::Tell(key, messages)),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order, each subscriber ends with the latest of all that it
        /// is subscribed to. On the way [`Stage::tell`] checks that nothing comes twice or goes
        /// back.
        #[test]
        fn every_subscriber_ends_with_the_latest(
            steps in proptest::collection::vec(step(), 0..120),
        ) {
            let mut stage = Stage::new();
            for (units, step) in (1..).zip(steps) {
                match step {
                    Step::Set(name) => stage.set(NAMES[name], units),
                    Step::Delist(name) => stage.delist(NAMES[name]),
                    Step::Subscribe(key, name) => {
                        if !stage.subscriptions.of(key).0.contains(&symbol(NAMES[name])) {
                            stage.told.remove(&(key, None, NAMES[name].to_string()));
                        }
                        stage.subscribe(key, NAMES[name]);
                    }
                    Step::Unsubscribe(key, name) => {
                        stage.subscriptions.unsubscribe(key, &symbol(NAMES[name]));
                    }
                    Step::SubscribePattern(key, pattern) => {
                        let text = PATTERNS[pattern];
                        let new = Pattern::new(text.as_bytes());
                        if !stage.subscriptions.of(key).1.contains(&new) {
                            let by_it = |way: &Option<String>| way.as_deref() == Some(text);
                            stage.told.retain(|(other, way, _), _| *other != key || !by_it(way));
                        }
                        stage.subscribe_pattern(key, text);
                    }
                    Step::UnsubscribePattern(key, pattern) => {
                        let pattern = Pattern::new(PATTERNS[pattern].as_bytes());
                        stage.subscriptions.unsubscribe_pattern(key, &pattern);
                    }
                    Step::PassOn => stage.pass_on(),
                    Step::Tell(key, messages) => drop(stage.tell(key, messages)),
                }
            }
            stage.pass_on();
            for key in 0..3 {
                stage.tell(key, usize::MAX);
                let (symbols, patterns) = stage.subscriptions.of(key);
                for quote in stage.engine.catalog().iter() {
                    let symbol = quote.symbol;
                    let mut latest = Vec::new();
                    quote_json::encode_quote(&quote, &mut latest);
                    let latest = String::from_utf8(latest).unwrap();
                    let direct = symbols.contains(&symbol).then_some(None);
                    let fitting = patterns.iter().filter(|pattern| pattern.matches(&symbol));
                    let by_pattern = fitting
                        .map(|pattern| Some(String::from_utf8_lossy(pattern.as_bytes()).into()));
                    for way in direct.into_iter().chain(by_pattern) {
                        let last = stage.told.get(&(key, way.clone(), symbol.to_string()));
                        prop_assert_eq!(last, Some(&latest), "{} {:?} {}", key, way, symbol);
                    }
                }
            }
        }
    }
}
