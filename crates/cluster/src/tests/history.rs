//! What clients were told, and what must be so for that.

use std::collections::BTreeMap;

use stockd_engine::{Answered, Outcome, ReplyTo};
use stockd_model::{Quote, Refusal, Reply, Symbol};
use stockd_witness as witness;
use stockd_witness::{Ask, Call, Shown, State};

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
    /// Wants to be shown all that was acknowledged anywhere, and looks at the hot stock then.
    Fence,
}

/// What was asked and told.
#[derive(Debug, Default)]
pub(super) struct History {
    asked: BTreeMap<u64, Asked>,
    next: u64,
    /// Counts what happens: the time of the calls.
    clock: u64,
    /// What was asked and told of the hot stock.
    calls: Vec<Call>,
    pub(super) taken: Tally,
    pub(super) counted: Tally,
    listed: BTreeMap<u64, Told>,
    pub(super) done: u64,
    pub(super) refused: u64,
}

/// What waits for an answer: of which node, and since when.
#[derive(Clone, Copy, Debug)]
struct Asked {
    op: Op,
    node: usize,
    invoked: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) unknown: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Done,
    /// It was decided so.
    Refused,
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
    pub(super) fn ask(&mut self, node: usize, op: impl FnOnce(u64) -> Op) -> (ReplyTo, Op) {
        self.next += 1;
        let op = op(self.next);
        let invoked = self.tick();
        self.asked.insert(self.next, Asked { op, node, invoked });
        (ReplyTo(self.next), op)
    }

    /// A client was answered. Behind a fence it sees the hot stock as the node shows it then.
    pub(super) fn answered(
        &mut self,
        to: ReplyTo,
        answered: &Answered,
        hot_stock: impl FnOnce() -> Option<Quote>,
    ) {
        let of_refusal = |refusal: &Refusal| match refusal {
            Refusal::Uncertain => Told::Unknown,
            Refusal::ClusterDown { .. } => Told::NoEffect,
            _ => Told::Refused,
        };
        let (told, shown) = match answered {
            Answered::Reply(Reply::Refused(refusal)) => (of_refusal(refusal), Shown::default()),
            Answered::Reply(Reply::Updated(quote)) => (Told::Done, shown(quote)),
            Answered::Reply(_) => (Told::Done, Shown::default()),
            Answered::Outcome(outcome) => match outcome.as_ref() {
                Outcome::Executed { .. } => {
                    (Told::Done, shown(&hot_stock().expect("it was listed before")))
                }
                Outcome::Refused(refusal) => (of_refusal(refusal), Shown::default()),
                Outcome::Conflict(why) => panic!("a fence has no condition: {why}"),
            },
        };
        self.told(to.0, told, shown);
    }

    /// A node has crashed: who waits is told nothing.
    pub(super) fn lost(&mut self, ids: impl IntoIterator<Item = u64>) {
        ids.into_iter().for_each(|id| self.told(id, Told::Unknown, Shown::default()));
    }

    /// A client looks at the hot stock at a node, or does so behind a fence that does not wait.
    pub(super) fn read(&mut self, node: usize, quote: &Quote, ask: Ask) {
        let (invoked, returned) = (self.tick(), Some(self.tick()));
        let told = witness::Told::Done(shown(quote));
        self.calls.push(Call { client: node, node, invoked, returned, ask, told });
    }

    /// How many reads behind a fence were answered.
    pub(super) fn fenced(&self) -> usize {
        let is_fenced = |call: &&Call| {
            call.ask == Ask::FencedRead && matches!(call.told, witness::Told::Done(_))
        };
        self.calls.iter().filter(is_fenced).count()
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn told(&mut self, id: u64, told: Told, shown: Shown) {
        let Asked { op, node, invoked } = self.asked.remove(&id).expect("each is answered once");
        let tally = match op {
            Op::Take => Some(&mut self.taken),
            Op::Count => Some(&mut self.counted),
            Op::List(id) => {
                self.listed.insert(id, told);
                None
            }
            Op::Churn | Op::Fence => None,
        };
        match told {
            Told::Done => self.done += 1,
            Told::Refused | Told::NoEffect => self.refused += 1,
            Told::Unknown => {}
        }
        if let Some(tally) = tally {
            tally.done += u64::from(told == Told::Done);
            tally.unknown += u64::from(told == Told::Unknown);
        }
        let ask = match op {
            Op::Take => Ask::Take(1),
            Op::Fence => Ask::FencedRead,
            Op::Count | Op::List(_) | Op::Churn => return,
        };
        let returned = Some(self.tick());
        let told = match told {
            Told::Done => witness::Told::Done(shown),
            Told::Refused => witness::Told::Refused,
            Told::NoEffect => witness::Told::NoEffect,
            Told::Unknown => witness::Told::Unknown,
        };
        self.calls.push(Call { client: node, node, invoked, returned, ask, told });
    }

    pub(super) fn is_all_answered(&self) -> bool {
        self.asked.is_empty()
    }

    /// Whether the answers of each node, and the trades of all, are those of one order.
    pub(super) fn is_linearizable(&self, nodes: usize) -> Result<(), Box<witness::Violation>> {
        let before = State { version: 1, price: 1, volume: SHARES };
        // What was not answered yet may have taken effect.
        let open = self.asked.values().filter(|asked| asked.op == Op::Take);
        let open = open.map(|&Asked { node, invoked, .. }| {
            let (ask, told) = (Ask::Take(1), witness::Told::Unknown);
            Call { client: node, node, invoked, returned: None, ask, told }
        });
        let calls = self.calls.iter().copied().chain(open).collect();
        let history = witness::History { before, calls };
        (0..nodes).try_for_each(|node| witness::through_node(&history, node))?;
        witness::across_nodes(&history)
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
                Told::Refused | Told::NoEffect => {
                    assert!(!is_there, "OWN{id} had no effect and is there");
                }
                Told::Unknown => {}
            }
        }
    }
}

/// Version, price and volume of a stock that has whole ones.
fn shown(quote: &Quote) -> Shown {
    Shown {
        version: Some(quote.version),
        price: quote.price.and_then(|price| u64::try_from(price.coefficient()).ok()),
        volume: quote.volume.and_then(|volume| volume.whole()),
    }
}
