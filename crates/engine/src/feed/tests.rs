//! A feed over a catalog, with subscribers that check what they are told.

mod access;
mod bounds;
mod oracle;
mod scenarios;
mod tracking;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

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
        Stage { market, wakes, feed, units: 1000, told: BTreeMap::new(), late: Vec::new() }
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
        self.feed.unsubscribe_pattern(SubscriberId(key), &pattern(text))
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
        let told = &mut self.told;
        let mut budget = Budget::new(self.units);
        let tell = |message: Message<'_>| {
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            let pattern = message.pattern.map(|it| String::from_utf8_lossy(it.as_bytes()).into());
            let way = (key, pattern, message.symbol.to_string());
            let before = told.insert(way, payload.clone()).unwrap_or_default();
            // Delisted twice is no mistake: the listing in between was overtaken.
            if let (Some(before), Some(now)) = (version(&before), version(&payload)) {
                assert!(now > before, "version {now} after {before}");
            }
            messages.push(payload);
            messages.len() < messages_max
        };
        let progress = self.feed.tell(SubscriberId(key), &mut budget, tell);
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
