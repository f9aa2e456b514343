//! A feed over a catalog, with subscribers that check what they are told.

mod access;
mod bounds;
mod oracle;
mod pace;
mod scenarios;
mod tracking;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use stockd_access::Access;
use stockd_catalog::{CatalogFull, Change};
use stockd_model::{Pattern, Price, Quote, Symbol};

use super::{Budget, Feed, Message, NotSubscribed, Progress, SubscriberId};
use crate::market::Market;

/// The way of a message, its symbol and its subscriber.
type Told = (u64, Option<String>, String);

struct Stage {
    market: Arc<Market>,
    wakes: Arc<AtomicU64>,
    feed: Feed,
    /// Units of work in a slice.
    units: usize,
    /// What each subscriber was told last, by each way.
    told: BTreeMap<Told, String>,
    /// What time it is.
    now: Instant,
    /// The subscribers that are told at an interval, and when each was told a change, by each way.
    intervals: BTreeMap<u64, Duration>,
    told_at: BTreeMap<Told, Instant>,
    /// Rows that were changed by writers who have not come to leave their marks.
    late: Vec<Symbol>,
}

impl Stage {
    fn new() -> Stage {
        let wakes = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&wakes);
        let market = Arc::new(Market::default());
        let feed = Feed::new(&market, move || {
            counter.fetch_add(1, Relaxed);
        });
        Stage {
            market,
            wakes,
            feed,
            units: 1000,
            told: BTreeMap::new(),
            now: Instant::now(),
            intervals: BTreeMap::new(),
            told_at: BTreeMap::new(),
            late: Vec::new(),
        }
    }

    fn set(&mut self, name: &str, units: i64) {
        self.change(name, units);
        self.leave_mark();
    }

    fn delist(&mut self, name: &str) {
        self.change(name, 0);
        self.leave_mark();
    }

    /// Changes a row, or delists the stock for 0; the mark comes later.
    fn change(&mut self, name: &str, units: i64) {
        let symbol = symbol(name);
        let change = match Price::new(units, 9) {
            None | Some(Price::ZERO) => Change::Delist,
            price => Change::Put(Quote { price, ..Quote::new(symbol) }),
        };
        let changed =
            self.market.catalog.change(&symbol, 1, |_| Ok::<_, CatalogFull>(change)).unwrap();
        if changed.before != changed.after {
            self.late.push(symbol);
        }
    }

    /// The writer who changed a row longest ago leaves its mark.
    fn leave_mark(&mut self) {
        if !self.late.is_empty() {
            let symbol = self.late.remove(0);
            self.market.watchers.mark(&symbol);
        }
    }

    fn subscribe(&mut self, key: u64, name: &str) -> usize {
        self.feed.subscribe(SubscriberId(key), &Access::All, &symbol(name)).unwrap()
    }

    fn subscribe_pattern(&mut self, key: u64, text: &str) -> usize {
        self.feed.subscribe_pattern(SubscriberId(key), &Access::All, &pattern(text)).unwrap()
    }

    fn unsubscribe_pattern(&mut self, key: u64, text: &str) -> usize {
        // A round that began with the pattern may go on, and tell again what has changed meanwhile.
        self.told_at.retain(|(other, ..), _| *other != key);
        self.feed.unsubscribe_pattern(SubscriberId(key), &pattern(text))
    }

    fn set_interval(&mut self, key: u64, ms: u64) {
        let interval = (ms > 0).then_some(Duration::from_millis(ms));
        self.feed.set_interval(SubscriberId(key), interval);
        self.intervals.remove(&key);
        self.intervals.extend(interval.map(|interval| (key, interval)));
        self.told_at.retain(|(other, ..), _| *other != key);
    }

    /// Time passes.
    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.pace();
    }

    fn pace(&mut self) {
        self.feed.pace(self.now, &mut Budget::new(1000));
        assert!(!self.feed.has_ended_rounds());
    }

    fn pass_on_some(&mut self, units: usize) -> Progress {
        self.feed.pass_on(&mut Budget::new(units))
    }

    fn pass_on(&mut self) {
        while self.pass_on_some(self.units) == Progress::More {}
    }

    fn tidy(&mut self) {
        while self.feed.tidy(&mut Budget::new(self.units)) == Progress::More {}
    }

    /// Tells a subscriber in one slice of a bounded number of messages, and checks each against those
    /// before it.
    fn tell_some(&mut self, key: u64, messages_max: usize) -> (Vec<String>, Progress) {
        let mut messages = Vec::new();
        let (told, told_at, now) = (&mut self.told, &mut self.told_at, self.now);
        // Of several ways one may be told twice in a round, where there was no room for all of them at once.
        let has_patterns = self.feed.patterns(SubscriberId(key)).next().is_some();
        let interval = self.intervals.get(&key).copied().filter(|_| !has_patterns);
        let mut budget = Budget::new(self.units);
        let tell = |message: Message<'_>| {
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            let pattern = message.pattern.map(|it| String::from_utf8_lossy(it.as_bytes()).into());
            let way = (key, pattern, message.symbol.to_string());
            let before = told.insert(way.clone(), payload.clone()).unwrap_or_default();
            // The first message of a subscription comes at once.
            if !before.is_empty()
                && let Some(last) = told_at.insert(way, now)
                && let Some(interval) = interval
            {
                assert!(now - last >= interval, "{payload} {:?} after {before}", now - last);
            }
            // Delisted twice is no mistake: the listing in between was overtaken.
            if let (Some(before), Some(now)) = (version(&before), version(&payload)) {
                assert!(now > before, "version {now} after {before}");
            }
            messages.push(payload);
            messages.len() < messages_max
        };
        let progress = self.feed.tell(SubscriberId(key), &mut budget, tell);
        self.pace();
        (messages, progress)
    }

    /// Tells a subscriber as many messages, in as many slices as it takes.
    fn tell(&mut self, key: u64, messages_max: usize) -> Vec<String> {
        let mut messages = Vec::new();
        while self.feed.has_messages(SubscriberId(key)) && messages.len() < messages_max {
            let (more, progress) = self.tell_some(key, messages_max - messages.len());
            messages.extend(more);
            let has_more = self.feed.has_messages(SubscriberId(key));
            assert_eq!(progress == Progress::More, has_more);
        }
        messages
    }
}

fn symbol(name: &str) -> Symbol {
    name.parse().unwrap()
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text.as_bytes())
}

fn version(payload: &str) -> Option<u64> {
    let (_, rest) = payload.split_once("\"version\":")?;
    rest.split(',').next()?.parse().ok()
}
