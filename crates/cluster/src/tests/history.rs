//! What clients were told, and what must be so for that.

use std::collections::{BTreeMap, BTreeSet};

use stockd_engine::{Answered, ReplyTo};
use stockd_model::{Quote, Refusal, Reply, Symbol};

/// What a client asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    /// Takes a share of the hot stock.
    Take,
    /// Adds a share to the counter.
    Count,
    /// Lists a stock of its own.
    List(u64),
    /// Changes one of a few stocks, in any way.
    Churn,
}

/// What was asked and told.
#[derive(Debug, Default)]
pub(super) struct History {
    asked: BTreeMap<u64, Op>,
    next: u64,
    pub(super) taken: Tally,
    pub(super) counted: Tally,
    listed: BTreeMap<u64, Told>,
    /// Versions of the hot stock that clients were told, each by one trade.
    versions: BTreeSet<u64>,
    pub(super) done: u64,
    pub(super) refused: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) unknown: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Done,
    NoEffect,
    Unknown,
}

pub(super) const SHARES: u64 = 40;

pub(super) fn hot() -> Symbol {
    "HOT".parse().unwrap()
}

pub(super) fn counter() -> Symbol {
    "COUNT".parse().unwrap()
}

pub(super) fn own(id: u64) -> Symbol {
    format!("OWN{id}").parse().unwrap()
}

impl History {
    pub(super) fn ask(&mut self, op: impl FnOnce(u64) -> Op) -> (ReplyTo, Op) {
        self.next += 1;
        let op = op(self.next);
        self.asked.insert(self.next, op);
        (ReplyTo(self.next), op)
    }

    /// A client was answered.
    pub(super) fn answered(&mut self, to: ReplyTo, answered: &Answered) {
        let Answered::Reply(reply) = answered else { panic!("no transaction was asked") };
        let told = match reply {
            Reply::Refused(Refusal::Uncertain) => Told::Unknown,
            Reply::Refused(_) => Told::NoEffect,
            _ => Told::Done,
        };
        let op = self.told(to.0, told);
        if let (Op::Take, Reply::Updated(quote)) = (op, reply) {
            assert!(
                self.versions.insert(quote.version),
                "two trades with version {}",
                quote.version
            );
        }
    }

    /// A node has crashed: who waits is told nothing.
    pub(super) fn lost(&mut self, ids: impl IntoIterator<Item = u64>) {
        ids.into_iter().for_each(|id| _ = self.told(id, Told::Unknown));
    }

    fn told(&mut self, id: u64, told: Told) -> Op {
        let op = self.asked.remove(&id).expect("each is answered once");
        let tally = match op {
            Op::Take => Some(&mut self.taken),
            Op::Count => Some(&mut self.counted),
            Op::List(id) => {
                self.listed.insert(id, told);
                None
            }
            Op::Churn => None,
        };
        match told {
            Told::Done => self.done += 1,
            Told::NoEffect => self.refused += 1,
            Told::Unknown => {}
        }
        if let Some(tally) = tally {
            tally.done += u64::from(told == Told::Done);
            tally.unknown += u64::from(told == Told::Unknown);
        }
        op
    }

    pub(super) fn is_all_answered(&self) -> bool {
        self.asked.is_empty()
    }

    /// Whether a node may hold this at the end.
    pub(super) fn check(&self, quote: impl Fn(&Symbol) -> Option<Quote>) {
        let volume = |symbol| quote(&symbol).and_then(|it| it.volume?.whole());
        if let Some(left) = volume(hot()) {
            let Tally { done, unknown } = self.taken;
            let sold = SHARES - left;
            assert!(done <= sold, "{done} were told that they have one, {sold} were sold");
            assert!(sold <= done + unknown, "{sold} were sold to {done} and perhaps {unknown}");
        }
        if let Some(count) = volume(counter()) {
            let Tally { done, unknown } = self.counted;
            assert!((done..=done + unknown).contains(&count), "{count}: {done} and {unknown}");
        }
        for (id, told) in &self.listed {
            let is_there = quote(&own(*id)).is_some();
            match told {
                Told::Done => assert!(is_there, "OWN{id} was acknowledged and is gone"),
                Told::NoEffect => assert!(!is_there, "OWN{id} had no effect and is there"),
                Told::Unknown => {}
            }
        }
    }
}
