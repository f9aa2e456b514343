//! Subscribers whose rights change: they are told what they may read, all of it, and nothing else.

use super::*;
use crate::feed::Ended;
use proptest::prelude::*;
use std::collections::BTreeSet;
use stockd_access::{AccessFile, Authority};

const NAMES: [&str; 5] = ["A", "AA", "AB", "B", "BA"];

/// What may be read, as texts of an access file.
const GRANTS: [&str; 5] = ["\"*\"", "\"A*\"", "\"AA\", \"B*\"", "\"B\"", ""];

fn access(grants: usize) -> Access {
    let file = format!("[[user]]\nname = \"anonymous\"\nread = [{}]\n", GRANTS[grants]);
    Authority::new(AccessFile::parse(&file).unwrap()).anonymous().access().clone()
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Set(usize, bool),
    Delist(usize),
    LeaveMark,
    Subscribe(usize),
    SubscribePattern(usize),
    Track(usize),
    Change(usize),
    PassOn(usize),
    Tell(usize),
    End(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || 0..NAMES.len();
    let step = prop_oneof![
        4 => (name(), any::<bool>()).prop_map(|(name, late)| Step::Set(name, late)),
        1 => name().prop_map(Step::Delist),
        2 => Just(Step::LeaveMark),
        2 => name().prop_map(Step::Subscribe),
        1 => (0..3_usize).prop_map(Step::SubscribePattern),
        1 => name().prop_map(Step::Track),
        2 => (0..GRANTS.len()).prop_map(Step::Change),
        3 => (1..20_usize).prop_map(Step::PassOn),
        3 => (1..40_usize).prop_map(Step::Tell),
        2 => (1..40_usize).prop_map(Step::End),
    ];
    proptest::collection::vec(step, 1..60)
}

const ID: SubscriberId = SubscriberId(1);
const PATTERNS: [&str; 3] = ["*", "A*", "?"];

/// One subscriber, and what it knows.
struct Subscribed {
    stage: Stage,
    access: Access,
    units: i64,
    /// The payload that was told last of each stock, by each way.
    told: BTreeMap<(Option<String>, String), String>,
    symbols: BTreeSet<&'static str>,
}

impl Subscribed {
    fn take(&mut self, step: Step) {
        let Subscribed { stage, access, .. } = self;
        match step {
            Step::Set(name, late) => {
                self.units += 1;
                stage.change(NAMES[name], self.units);
                if !late {
                    stage.leave_mark();
                }
            }
            Step::Delist(name) => stage.delist(NAMES[name]),
            Step::LeaveMark => stage.leave_mark(),
            Step::Subscribe(name) => {
                let subscribed = stage.feed.subscribe(ID, access, &symbol(NAMES[name]));
                assert_eq!(subscribed.is_ok(), access.reads(&symbol(NAMES[name])));
                if subscribed.is_ok() {
                    self.symbols.insert(NAMES[name]);
                }
            }
            Step::SubscribePattern(text) => {
                let pattern = pattern(PATTERNS[text]);
                stage.feed.subscribe_pattern(ID, access, &pattern).unwrap();
            }
            Step::Track(name) => stage.feed.track(ID, access, &symbol(NAMES[name])),
            Step::Change(grants) => {
                *access = super::access::access(grants);
                stage.feed.change_access(ID, access);
            }
            Step::PassOn(units) => drop(stage.pass_on_some(units)),
            Step::Tell(units) => self.tell(units),
            Step::End(units) => self.end(units),
        }
    }

    fn tell(&mut self, units: usize) {
        let Subscribed { stage, access, told, .. } = self;
        let _ = stage.feed.tell(ID, &mut Budget::new(units), |message| {
            assert!(access.reads(message.symbol), "{message:?} may not be read");
            let way = message.pattern.map(|it| String::from_utf8_lossy(it.as_bytes()).into());
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            told.insert((way, message.symbol.to_string()), payload);
            true
        });
        let _ = stage.feed.tell_invalidations(ID, &mut Budget::new(units), |told| {
            assert!(told.is_none_or(|symbol| access.reads(symbol)), "{told:?} may not be read");
            true
        });
    }

    fn end(&mut self, units: usize) {
        let Subscribed { stage, access, symbols, .. } = self;
        let _ = stage.feed.end_forbidden(ID, &mut Budget::new(units), |ended| {
            match ended {
                Ended::Symbol(symbol) => {
                    assert!(!access.reads(symbol));
                    assert!(symbols.remove(symbol.as_str()), "{symbol} ends once");
                }
                Ended::Pattern(_) => assert!(!access.has(stockd_model::Right::Read)),
            }
            true
        });
    }

    fn check_at_the_end(&mut self) {
        for _ in 0..50 {
            self.stage.leave_mark();
            self.stage.pass_on();
            self.end(100);
            self.tell(100);
        }
        let Subscribed { stage, access, told, symbols, .. } = self;
        assert!(!stage.feed.has_forbidden(ID) && !stage.feed.has_messages(ID));
        let own: BTreeSet<Symbol> = stage.feed.symbols(ID).collect();
        assert_eq!(own, symbols.iter().map(|name| symbol(name)).collect());
        let patterns: Vec<Pattern> = stage.feed.patterns(ID).cloned().collect();
        for name in NAMES.map(symbol).into_iter().filter(|name| access.reads(name)) {
            let Some(quote) = stage.market.catalog.get(&name) else { continue };
            let by_name = own.contains(&name).then_some(None);
            let by_pattern = patterns
                .iter()
                .filter(|it| it.matches(&name))
                .map(|it| Some(String::from_utf8_lossy(it.as_bytes()).into_owned()));
            for way in by_name.into_iter().chain(by_pattern) {
                let last = told.get(&(way.clone(), name.to_string()));
                let last = last.and_then(|payload| version(payload));
                assert_eq!(last, Some(quote.version), "{name} by {way:?}");
            }
        }
    }
}

proptest! {
    /// Whatever is written, subscribed to and permitted, in whatever order and slices: nothing is told
    /// that may not be read when it is told, and in the end everything is that may.
    #[test]
    fn what_may_be_read_is_told_and_nothing_else(steps in steps()) {
        let mut subscribed = Subscribed {
            stage: Stage::new(),
            access: access(0),
            units: 0,
            told: BTreeMap::new(),
            symbols: BTreeSet::new(),
        };
        steps.into_iter().for_each(|step| subscribed.take(step));
        subscribed.check_at_the_end();
        subscribed.stage.feed.leave(ID);
        subscribed.stage.tidy();
        prop_assert_eq!(subscribed.stage.feed.wants.topics.len(), 0);
    }
}
