//! Random interleavings, against what a reader of the catalog would see.

use super::*;
use proptest::prelude::*;
use stockd_model::quote_json;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A writer changes a row; its mark comes with a later step.
    Change(usize),
    Delist(usize),
    LeaveMark,
    Subscribe(u64, usize),
    Unsubscribe(u64, usize),
    SubscribePattern(u64, usize),
    UnsubscribePattern(u64, usize),
    Leave(u64),
    PassOn(usize),
    Tell(u64, usize, usize),
    Tidy(usize),
    SetInterval(u64, u64),
    Wait(u64),
}

const NAMES: [&str; 5] = ["AA", "AB", "BA", "BB", "A"];
const PATTERNS: [&str; 6] = ["*", "A*", "?A", "A?", "[AB]B", "A"];

fn step() -> impl Strategy<Value = Step> {
    let (key, name, pattern) = (0..3_u64, 0..NAMES.len(), 0..PATTERNS.len());
    let units = prop_oneof![4 => Just(1_usize), 2 => 2..6_usize, 1 => Just(1000_usize)];
    prop_oneof![
        6 => name.clone().prop_map(Step::Change),
        1 => name.clone().prop_map(Step::Delist),
        6 => Just(Step::LeaveMark),
        2 => (key.clone(), name.clone()).prop_map(|(key, name)| Step::Subscribe(key, name)),
        1 => (key.clone(), name).prop_map(|(key, name)| Step::Unsubscribe(key, name)),
        2 => (key.clone(), pattern.clone())
            .prop_map(|(key, pattern)| Step::SubscribePattern(key, pattern)),
        1 => (key.clone(), pattern)
            .prop_map(|(key, pattern)| Step::UnsubscribePattern(key, pattern)),
        1 => key.clone().prop_map(Step::Leave),
        6 => units.clone().prop_map(Step::PassOn),
        8 => (key, 1..4_usize, units.clone())
            .prop_map(|(key, messages, units)| Step::Tell(key, messages, units)),
        2 => units.prop_map(Step::Tidy),
        1 => (0..3_u64, prop_oneof![Just(0_u64), 1..20_u64])
            .prop_map(|(key, ms)| Step::SetInterval(key, ms)),
        3 => (1..15_u64).prop_map(Step::Wait),
    ]
}

impl Stage {
    fn take(&mut self, units: i64, step: Step) {
        match step {
            Step::Change(name) => self.change(NAMES[name], units),
            Step::Delist(name) => self.change(NAMES[name], 0),
            Step::LeaveMark => self.leave_mark(),
            Step::Subscribe(key, name) => {
                let known =
                    self.feed.symbols(SubscriberId(key)).any(|it| it == symbol(NAMES[name]));
                if !known {
                    self.told.remove(&(key, None, NAMES[name].to_string()));
                }
                self.subscribe(key, NAMES[name]);
            }
            Step::Unsubscribe(key, name) => {
                self.feed.unsubscribe(SubscriberId(key), &symbol(NAMES[name]));
            }
            Step::SubscribePattern(key, index) => {
                let text = PATTERNS[index];
                if !self.feed.patterns(SubscriberId(key)).any(|it| *it == pattern(text)) {
                    let by_it = |way: &Option<String>| way.as_deref() == Some(text);
                    self.told.retain(|(other, way, _), _| *other != key || !by_it(way));
                }
                self.subscribe_pattern(key, text);
            }
            Step::UnsubscribePattern(key, index) => {
                self.unsubscribe_pattern(key, PATTERNS[index]);
            }
            Step::Leave(key) => {
                self.feed.leave(SubscriberId(key));
                self.told.retain(|(other, ..), _| *other != key);
                self.intervals.remove(&key);
            }
            Step::PassOn(units) => drop(self.pass_on_some(units)),
            Step::Tell(key, messages, units) => {
                self.units = units;
                drop(self.tell_some(key, messages));
            }
            Step::Tidy(units) => drop(self.feed.tidy(&mut Budget::new(units))),
            Step::SetInterval(key, ms) => self.set_interval(key, ms),
            Step::Wait(ms) => self.wait(ms),
        }
    }

    /// Each subscriber was told the latest of all that it is subscribed to, by every way.
    fn check_the_latest(&self) -> Result<(), TestCaseError> {
        for key in 0..3 {
            let symbols: Vec<_> = self.feed.symbols(SubscriberId(key)).collect();
            let patterns: Vec<_> = self.feed.patterns(SubscriberId(key)).collect();
            for name in NAMES {
                let symbol = symbol(name);
                let direct = symbols.contains(&symbol).then_some(None);
                let fitting = patterns.iter().filter(|pattern| pattern.matches(&symbol));
                let by_pattern =
                    fitting.map(|it| Some(String::from_utf8_lossy(it.as_bytes()).into()));
                for way in direct.into_iter().chain(by_pattern) {
                    let last = self.told.get(&(key, way.clone(), name.to_string()));
                    let mut latest = Vec::new();
                    match self.market.catalog.get(&symbol) {
                        Some(quote) => quote_json::encode_quote(&quote, &mut latest),
                        // By a pattern nothing is told of what was never listed.
                        None if last.is_none() && way.is_some() => continue,
                        None if last.is_some_and(|told| told.contains("unlisted")) => {
                            prop_assert_eq!(&way, &None, "{} {}", key, symbol);
                            continue;
                        }
                        None => quote_json::encode_delisted(&symbol, &mut latest),
                    }
                    let latest = String::from_utf8(latest).unwrap();
                    prop_assert_eq!(last, Some(&latest), "{} {:?} {}", key, way, symbol);
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order and however small the slices, each subscriber ends with
    /// the latest of all that it is subscribed to. On the way [`Stage::tell_some`] checks that nothing
    /// comes twice or goes back. Afterwards nothing is left.
    #[test]
    fn every_subscriber_ends_with_the_latest(
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let mut stage = Stage::new();
        for (units, step) in (1..).zip(steps) {
            stage.take(units, step);
        }
        while !stage.late.is_empty() {
            stage.leave_mark();
        }
        stage.units = 3;
        while stage.pass_on_some(1) == Progress::More {}
        loop {
            let told: usize = (0..3).map(|key| stage.tell(key, usize::MAX).len()).sum();
            // Longer than any interval.
            stage.wait(20);
            stage.pass_on();
            let awaits = (0..3).any(|key| stage.feed.has_messages(SubscriberId(key)));
            if told == 0 && !awaits {
                break;
            }
        }
        stage.check_the_latest()?;
        for key in 0..3 {
            stage.feed.leave(SubscriberId(key));
        }
        stage.tidy();
        stage.pass_on();
        prop_assert_eq!(stage.feed.wants.topics.len(), 0);
        prop_assert!(stage.feed.wants.patterns.is_empty());
        prop_assert_eq!(stage.feed.subscribers.bytes(), 0);
        prop_assert_eq!(stage.feed.counts(), (0, 0));
        prop_assert_eq!(stage.feed.paces_at(), None);
    }
}
