//! Trackers that keep what they have read: nothing of it is ever out of date once all is told.

use super::*;
use proptest::prelude::*;
use stockd_model::limits::TRACKED_STOCKS_MAX;
use stockd_model::{Quote, Reply};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A writer changes a row; its mark comes with a later step.
    Change(usize),
    Delist(usize),
    LeaveMark,
    /// A client reads a stock; or a writer changes the stock after it was tracked, before it was read.
    Read(u64, usize, bool),
    /// A client changes a stock, and updates what it keeps of it.
    OwnChange(u64, usize),
    OwnDelist(u64, usize),
    /// A client that is told of all changes reads a stock.
    ReadAny(u64, usize),
    Forget(u64),
    Subscribe(u64, usize),
    SubscribeAll(u64),
    Leave(u64),
    PassOn(usize),
    Tell(u64, usize),
    TellMessages(u64),
    Tidy(usize),
}

const NAMES: [&str; 4] = ["AA", "AB", "BA", "A"];
/// Clients from this number on are told of all changes of symbols that begin with A.
const BROADCAST: u64 = 2;
const CLIENTS: u64 = 4;

fn step() -> impl Strategy<Value = Step> {
    let (reader, client, name) = (0..BROADCAST, 0..CLIENTS, 0..NAMES.len());
    let broadcast = BROADCAST..CLIENTS;
    let units = prop_oneof![3 => Just(1_usize), 2 => 2..6_usize, 1 => Just(1000_usize)];
    prop_oneof![
        6 => name.clone().prop_map(Step::Change),
        2 => name.clone().prop_map(Step::Delist),
        5 => Just(Step::LeaveMark),
        6 => (reader.clone(), name.clone(), any::<bool>())
            .prop_map(|(key, name, changes)| Step::Read(key, name, changes)),
        3 => (reader.clone(), name.clone()).prop_map(|(key, name)| Step::OwnChange(key, name)),
        1 => (reader.clone(), name.clone()).prop_map(|(key, name)| Step::OwnDelist(key, name)),
        3 => (broadcast, name.clone()).prop_map(|(key, name)| Step::ReadAny(key, name)),
        1 => reader.prop_map(Step::Forget),
        1 => (client.clone(), name).prop_map(|(key, name)| Step::Subscribe(key, name)),
        1 => client.clone().prop_map(Step::SubscribeAll),
        1 => client.clone().prop_map(Step::Leave),
        5 => units.clone().prop_map(Step::PassOn),
        4 => (client.clone(), units.clone()).prop_map(|(key, units)| Step::Tell(key, units)),
        2 => client.prop_map(Step::TellMessages),
        2 => units.prop_map(Step::Tidy),
    ]
}

/// What clients keep: of each stock the version that they have read, or that it is not listed.
#[derive(Default)]
struct Caches(BTreeMap<(u64, usize), Option<u64>>);

impl Stage {
    fn quote(&self, name: usize) -> Option<Quote> {
        self.market.catalog.get(&symbol(NAMES[name]))
    }

    fn version_now(&self, name: usize) -> Option<u64> {
        self.quote(name).map(|quote| quote.version)
    }

    fn broadcast(&mut self, key: u64) {
        self.feed.track_pattern(SubscriberId(key), &Access::All, &pattern("A*")).unwrap();
    }

    /// A change by a client that is not to be told of it. Its mark is left at once.
    fn own_change(&mut self, key: u64, name: usize, units: i64) -> Option<u64> {
        let before = self.quote(name);
        self.change(NAMES[name], units);
        if let Some(own) = self.late.pop() {
            self.market.watchers.mark(&own);
        }
        let reply = match (before, self.quote(name)) {
            (Some(_), Some(now)) => Reply::Updated(now),
            (None, Some(now)) => Reply::Listed(now),
            (Some(last), None) => Reply::Delisted(last),
            (None, None) => Reply::NotFound,
        };
        self.feed.spare(SubscriberId(key), &reply);
        self.version_now(name)
    }

    /// Tells a client some of what it is to forget.
    fn invalidate(&mut self, key: u64, units: usize, caches: &mut Caches) {
        let mut budget = Budget::new(units);
        let _ = self.feed.tell_invalidations(SubscriberId(key), &mut budget, |symbol| {
            caches.0.retain(|(other, name), _| {
                *other != key || symbol.is_some_and(|it| it.as_bytes() != NAMES[*name].as_bytes())
            });
            true
        });
    }

    fn take_tracking(&mut self, units: i64, step: Step, caches: &mut Caches) {
        match step {
            Step::Change(name) => self.change(NAMES[name], units),
            Step::Delist(name) => self.change(NAMES[name], 0),
            Step::LeaveMark => self.leave_mark(),
            Step::Read(key, name, changes) => {
                self.feed.track(SubscriberId(key), &Access::All, &symbol(NAMES[name]));
                if changes {
                    self.change(NAMES[name], units);
                }
                caches.0.insert((key, name), self.version_now(name));
            }
            Step::OwnChange(key, name) => {
                let version = self.own_change(key, name, units);
                caches.0.entry((key, name)).and_modify(|it| *it = version);
            }
            Step::OwnDelist(key, name) => {
                let version = self.own_change(key, name, 0);
                caches.0.entry((key, name)).and_modify(|it| *it = version);
            }
            Step::ReadAny(_, name) if !NAMES[name].starts_with('A') => {}
            Step::ReadAny(key, name) => {
                caches.0.insert((key, name), self.version_now(name));
            }
            Step::Forget(key) => self.feed.forget_tracked(SubscriberId(key)),
            Step::Subscribe(key, name) => drop(self.subscribe(key, NAMES[name])),
            Step::SubscribeAll(key) => drop(self.subscribe_pattern(key, "*")),
            Step::Leave(key) => {
                self.feed.leave(SubscriberId(key));
                caches.0.retain(|(other, _), _| *other != key);
                if key >= BROADCAST {
                    self.broadcast(key);
                }
            }
            Step::PassOn(units) => drop(self.pass_on_some(units)),
            Step::Tell(key, units) => self.invalidate(key, units, caches),
            Step::TellMessages(key) => {
                self.told.clear();
                drop(self.tell_some(key, 2));
            }
            Step::Tidy(units) => drop(self.feed.tidy(&mut Budget::new(units))),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_client_keeps_is_as_it_is_when_all_is_told(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let mut stage = Stage::new();
        let mut caches = Caches::default();
        (BROADCAST..CLIENTS).for_each(|key| stage.broadcast(key));
        for (number, step) in steps.iter().enumerate() {
            stage.take_tracking(number as i64 + 1, *step, &mut caches);
        }
        while !stage.late.is_empty() {
            stage.leave_mark();
        }
        stage.pass_on();
        for key in 0..CLIENTS {
            while stage.feed.has_invalidations(SubscriberId(key)) {
                stage.invalidate(key, 1, &mut caches);
            }
        }
        for ((key, name), kept) in &caches.0 {
            prop_assert_eq!(*kept, stage.version_now(*name), "{} of client {}", NAMES[*name], key);
        }
        for key in 0..CLIENTS {
            stage.feed.leave(SubscriberId(key));
        }
        stage.tidy();
        stage.pass_on();
        prop_assert_eq!(stage.feed.wants.topics.len(), 0);
        prop_assert_eq!(stage.feed.tracked(), (0, 0));
    }
}

/// What a tracker is told in one slice.
fn told(stage: &mut Stage, key: u64) -> Vec<Option<String>> {
    let mut told = Vec::new();
    let _ = stage.feed.tell_invalidations(SubscriberId(key), &mut Budget::new(1000), |symbol| {
        told.push(symbol.map(Symbol::to_string));
        true
    });
    told
}

#[test]
fn a_stock_that_was_read_is_told_of_once_until_it_is_read_again() {
    let mut stage = Stage::new();
    stage.set("A", 1);
    for _ in 0..2 {
        stage.feed.track(SubscriberId(7), &Access::All, &symbol("A"));
        stage.pass_on();
        assert_eq!(told(&mut stage, 7), [], "nothing has changed since");
        for units in 2..4 {
            stage.set("A", units);
            stage.pass_on();
        }
        assert_eq!(told(&mut stage, 7), [Some("A".to_owned())]);
        stage.set("A", 9);
        stage.pass_on();
        assert_eq!(told(&mut stage, 7), []);
    }
}

#[test]
fn own_changes_are_spared_and_those_of_others_are_not() {
    let mut stage = Stage::new();
    stage.set("AA", 1);
    stage.feed.track(SubscriberId(7), &Access::All, &symbol("AA"));
    for units in 2..5 {
        stage.own_change(7, 0, units);
        stage.pass_on();
        assert_eq!(told(&mut stage, 7), []);
    }
    stage.set("AA", 9);
    stage.own_change(7, 0, 10);
    stage.pass_on();
    assert_eq!(told(&mut stage, 7), [Some("AA".to_owned())]);
}

#[test]
fn above_the_limit_the_stock_that_was_read_longest_ago_is_forgotten() {
    let mut stage = Stage::new();
    let id = SubscriberId(7);
    for number in 0..TRACKED_STOCKS_MAX {
        stage.feed.track(id, &Access::All, &symbol(&format!("S{number}")));
    }
    assert_eq!((told(&mut stage, 7).len(), stage.feed.tracked()), (0, (1, TRACKED_STOCKS_MAX)));
    stage.feed.track(id, &Access::All, &symbol("NEW"));
    assert_eq!(told(&mut stage, 7), [Some("S0".to_owned())]);
    assert_eq!(stage.feed.tracked(), (1, TRACKED_STOCKS_MAX));
    // One that reads on and takes nothing it is told is to forget all, in the end.
    for number in 0..=TRACKED_STOCKS_MAX {
        stage.feed.track(id, &Access::All, &symbol(&format!("T{number}")));
    }
    assert_eq!(told(&mut stage, 7).first(), Some(&None));
    assert!(stage.feed.tracked().1 < TRACKED_STOCKS_MAX);
    stage.feed.untrack(id);
    stage.tidy();
    assert_eq!((stage.feed.tracked(), stage.feed.bytes_in_all()), ((0, 0), 0));
}
