//! A log, nodes, and all that may go wrong between them, in time that passes by chance alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use stockd_engine::{
    Access, Catalog, Engine, Holdings, Replicated, Transaction, Trap, WriteHandle,
};
use stockd_model::batch::write_quote;
use stockd_model::{Edit, Fields, Quote, Request, Symbol, Volume};
use stockd_store::Write;
use stockd_witness::{Ask, Random};
use xxhash_rust::xxh3::xxh3_64;

use super::history::{History, Op, SHARES, counter, hot, own};
use crate::keeper::Keep;
use crate::log_state::LogState;
use crate::options::ClusterName;
use crate::place::{self, Place};
use crate::snapshot::{Snapshot, SnapshotWriter};
use crate::{Closed, Effect, Event, Fault, Node, NodeOptions, Now, Outgoing, Taken};

const NODES: usize = 3;
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(20);
const DAY_NS: u64 = 86_400_000_000_000;
const STOCKS_MAX: usize = 1000;

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    pub(super) clocks_jump: bool,
    pub(super) loses_tail: bool,
    /// Somebody changes what a node has kept.
    pub(super) tampers: bool,
    pub(super) trap: Option<Trap>,
    /// Lookups are answered out of what another node holds.
    pub(super) reads_elsewhere: bool,
    /// A fence is answered at once.
    pub(super) fences_do_not_wait: bool,
}

pub(super) struct World {
    plan: Plan,
    chance: Random,
    began: Instant,
    elapsed: Duration,
    log: Vec<Bytes>,
    /// The first message that the log still has.
    first: u64,
    /// What is kept of snapshots, the oldest first.
    snapshots: Vec<(u64, Vec<Bytes>)>,
    /// On their way to the log: when they arrive, and from which node.
    sent: Vec<(Duration, usize, Outgoing)>,
    acks: Vec<(Duration, usize, (u64, u64, u64))>,
    nodes: Vec<SimNode>,
    history: History,
    /// Whether what is traded is there.
    is_listed: bool,
}

struct SimNode {
    node: Node,
    engine: Arc<Engine>,
    client: WriteHandle,
    /// The thread that waits at it.
    waiting: BTreeSet<u64>,
    /// The next sequence that the log delivers.
    delivers: u64,
    is_connected: bool,
    /// Reaches the log with nothing, and is reached by nothing, until then.
    cut_until: Duration,
    skew_ns: u64,
    kept: Kept,
    /// What is being read for a snapshot, and when it is kept.
    taken: Option<(Duration, Box<Taken>)>,
}

/// What a node has kept on its disk.
#[derive(Clone)]
struct Kept {
    quotes: BTreeMap<Symbol, Quote>,
    /// Its place in the log, encoded.
    place: Vec<u8>,
}

impl World {
    pub(super) fn new(plan: Plan, seed: u64) -> World {
        let mut world = World {
            plan,
            chance: Random::new(seed),
            began: Instant::now(),
            elapsed: Duration::ZERO,
            log: Vec::new(),
            first: 1,
            snapshots: Vec::new(),
            sent: Vec::new(),
            acks: Vec::new(),
            nodes: Vec::new(),
            history: History::default(),
            is_listed: false,
        };
        for _ in 0..NODES {
            let node = world.start(nothing());
            world.nodes.push(node);
        }
        world
    }

    pub(super) fn run(mut self) {
        self.list_stocks();
        for _ in 0..self.chance.number_below(200) + 100 {
            self.step(true);
        }
        if self.plan.loses_tail {
            return self.lose_tail();
        }
        if self.plan.tampers {
            return self.tamper();
        }
        self.settle();
        self.check();
    }

    /// Whether what clients were told has an order, where nodes do something wrong; and how many reads behind a fence
    /// were answered.
    pub(super) fn has_an_order(mut self) -> (bool, usize) {
        self.list_stocks();
        for _ in 0..self.chance.number_below(200) + 100 {
            self.step(true);
        }
        (self.history.is_linearizable(NODES).is_ok(), self.history.fenced())
    }

    fn settle(&mut self) {
        self.heal();
        for _ in 0..2000 {
            self.step(false);
            if self.is_settled() {
                return;
            }
        }
        let status: Vec<_> =
            self.nodes.iter().map(|it| it.node.status(self.now(0).instant)).collect();
        panic!("it never settles: {} in the log, {status:#?}", self.log.len());
    }

    /// The first node lists what is traded, before anything goes wrong.
    fn list_stocks(&mut self) {
        for _ in 0..1000 {
            self.step(false);
            let SimNode { node, .. } = &self.nodes[0];
            // With nothing in flight that may overtake what is asked.
            if node.status(self.now(0).instant).closed.is_none() && node.is_idle() {
                break;
            }
        }
        let fields = |volume| Fields {
            price: Edit::Set("1".parse().unwrap()),
            volume: Edit::Set(Volume::new(volume)),
            ..Fields::default()
        };
        for request in [Request::Set(hot(), fields(SHARES)), Request::Set(counter(), fields(0))] {
            // Again where a digest of this node has overtaken it.
            let mut refused = None;
            while refused != Some(self.history.refused) {
                refused = Some(self.history.refused);
                self.ask(0, |_| Op::Churn, |_, _| request);
                while !self.history.is_all_answered() {
                    self.step(false);
                }
            }
        }
        self.is_listed = true;
    }

    fn start(&mut self, kept: Kept) -> SimNode {
        // Rows of other numbers at every node, so that left-behind rows move at other times.
        let catalog = Catalog::with_capacity(self.chance.number_below(64) as usize);
        for quote in kept.quotes.values() {
            catalog.restore(quote).unwrap();
        }
        let place = Place::decode(&mut &*kept.place).unwrap();
        let (engine, mut replica) = Engine::replicated(Replicated {
            catalog,
            version_floor: place.holdings.version_floor,
            stocks_max: STOCKS_MAX,
            epoch: 1,
            hash: xxh3_64,
        });
        if let Some(trap) = self.plan.trap {
            replica.set_trap(trap);
        }
        assert_eq!(replica.holdings(), place.holdings, "kept is what was held");
        replica.note_changes();
        let mut sessions = Random::new(self.chance.number());
        let options = NodeOptions {
            name: name(),
            epoch: 1,
            write_timeout: WRITE_TIMEOUT,
            writes: true,
            joins_at: 0,
            draw_session: Box::new(move || sessions.number()),
        };
        let node = Node::after(place.log, replica, options, self.now(0));
        let engine = Arc::new(engine);
        SimNode {
            node,
            client: engine.write_handle(|| {}).unwrap(),
            engine,
            waiting: BTreeSet::new(),
            delivers: 1,
            is_connected: false,
            cut_until: Duration::ZERO,
            skew_ns: self.chance.number_below(1_000_000_000),
            kept,
            taken: None,
        }
    }

    fn now(&self, skew_ns: u64) -> Now {
        let unix_ns = 1_790_000_000_000_000_000 + self.elapsed.as_nanos() as u64 + skew_ns;
        Now { instant: self.began + self.elapsed, unix_ns }
    }

    fn step(&mut self, faults: bool) {
        self.elapsed += STEP;
        if faults {
            self.something_happens();
        }
        self.log_takes(faults);
        for at in 0..self.nodes.len() {
            self.turn(at, faults);
        }
    }

    fn something_happens(&mut self) {
        let at = self.chance.number_below(NODES as u64) as usize;
        match self.chance.number_below(100) {
            0..60 => self.ask_something(at),
            60..62 => {
                let long = self.chance.number_below(5000);
                self.nodes[at].cut_until = self.elapsed + Duration::from_millis(long);
            }
            62..64 => self.nodes[at].is_connected = false,
            64..68 => self.nodes[at].keep(),
            68..70 => self.crash(at),
            70..72 => self.rubbish(),
            74..77 => self.nodes[at].node.ask_for_snapshot(),
            77..78 => self.damage_a_snapshot(),
            72..74 if self.plan.clocks_jump => {
                self.nodes[at].skew_ns += DAY_NS + self.chance.number_below(DAY_NS);
            }
            _ => {}
        }
    }

    fn ask_something(&mut self, at: usize) {
        for _ in 0..self.chance.number_below(8) + 1 {
            match self.chance.number_below(5) {
                4 => self.fence(at),
                0 => self.ask(at, |_| Op::Take, |_, _| Request::Trade(hot(), (-1).into())),
                1 => self.ask(at, |_| Op::Count, |_, _| Request::Trade(counter(), 1.into())),
                2 => self.ask(at, Op::List, |op, chance| {
                    let Op::List(id) = op else { unreachable!() };
                    Request::Set(own(id), some_fields(chance))
                }),
                _ => self.ask(at, |_| Op::Churn, |_, chance| churn(chance)),
            }
        }
    }

    fn ask(
        &mut self,
        at: usize,
        op: impl FnOnce(u64) -> Op,
        request: impl FnOnce(Op, &mut Random) -> Request,
    ) {
        let node = &mut self.nodes[at];
        let (to, op) = self.history.ask(at, op);
        node.waiting.insert(to.0);
        node.client.submit(&Access::All, to, request(op, &mut self.chance));
        node.client.flush();
    }

    fn fence(&mut self, at: usize) {
        if self.plan.fences_do_not_wait {
            return self.look(at, Ask::FencedRead);
        }
        let node = &mut self.nodes[at];
        let (to, _) = self.history.ask(at, |_| Op::Fence);
        node.waiting.insert(to.0);
        node.client.submit_transaction(&Access::All, to, Transaction::default());
        node.client.flush();
    }

    /// What is no message of a node. It means nothing to all of them.
    fn rubbish(&mut self) {
        let mut bytes: Vec<u8> =
            (0..self.chance.number_below(80)).map(|_| self.chance.number() as u8).collect();
        // Or a good one that somebody has cut.
        if let (true, Some(message)) = (self.chance.percent(50), self.log.last()) {
            bytes = message[..message.len() / 2].to_vec();
        }
        self.log.push(bytes.into());
    }

    /// Half of one is lost, as when who kept it was killed; but never of the only one that is needed.
    fn damage_a_snapshot(&mut self) {
        if let [.., (_, before), (_, chunks)] = self.snapshots.as_mut_slice()
            && Snapshot::read(before).is_ok()
        {
            let whole = chunks.concat();
            *chunks = vec![Bytes::copy_from_slice(&whole[..whole.len() / 2])];
        }
    }

    /// What a node begins with that has this: it, or a snapshot where the log begins behind it.
    fn beginning(&self, kept: Option<Kept>) -> Kept {
        let goes_on = |kept: &Kept| {
            let place = Place::decode(&mut &*kept.place).unwrap();
            self.first <= place.log.seen().sequence + 1
        };
        if let Some(kept) = kept.filter(goes_on) {
            return kept;
        }
        let read = |(_, chunks): &(u64, Vec<Bytes>)| Snapshot::read(chunks).ok();
        match self.snapshots.iter().rev().find_map(read) {
            Some(snapshot) => {
                assert!(self.first <= snapshot.place.log.seen().sequence + 1, "the log goes on");
                let quotes = snapshot.quotes().map(|quote| (quote.symbol, quote)).collect();
                let mut place = Vec::new();
                snapshot.place.encode(&mut place);
                Kept { quotes, place }
            }
            None => {
                assert_eq!(self.first, 1, "the log was shortened and there is no snapshot");
                nothing()
            }
        }
    }

    /// A snapshot that was taken is kept, unless something goes wrong.
    fn keep_snapshot(&mut self, at: usize, faults: bool) {
        let node = &mut self.nodes[at];
        let Some((_, taken)) = node.taken.take_if(|(when, _)| *when <= self.elapsed) else {
            return;
        };
        let now = Now { instant: self.began + self.elapsed, unix_ns: 0 };
        let Taken { sequence, place, mut quotes, .. } = *taken;
        let mut writer = SnapshotWriter::new(&place);
        while let Some(page) = quotes.page(8, now.instant).unwrap() {
            page.iter().for_each(|quote| writer.push(quote));
        }
        let is_kept = !faults || self.chance.percent(80);
        if is_kept {
            let chunks = writer.finish();
            Snapshot::read(&chunks).unwrap();
            self.snapshots.retain(|(other, _)| *other != sequence);
            self.snapshots.push((sequence, chunks));
            self.snapshots.sort_by_key(|(sequence, _)| *sequence);
        }
        node.node.handle(Event::Kept { sequence, is_kept }, now);
    }

    /// What is before the last but one snapshot goes.
    fn tidy(&mut self) {
        let whole = |(_, chunks): &&(u64, Vec<Bytes>)| Snapshot::read(chunks).is_ok();
        let Some((before, _)) = self.snapshots.iter().rev().nth(1).filter(whole) else { return };
        let before = *before;
        self.first = self.first.max(before);
        self.snapshots.retain(|(sequence, _)| *sequence >= before);
    }

    fn crash(&mut self, at: usize) {
        let kept = self.beginning(Some(self.nodes[at].kept.clone()));
        self.history.lost(std::mem::take(&mut self.nodes[at].waiting));
        // What it sent before may arrive yet.
        self.nodes[at] = self.start(kept);
    }

    fn log_takes(&mut self, faults: bool) {
        let now = self.elapsed;
        let mut arrived: Vec<_> = self.sent.extract_if(.., |(when, ..)| *when <= now).collect();
        arrived.sort_by_key(|(when, ..)| *when);
        for (_, from, Outgoing { session, number, bytes }) in arrived {
            self.log.push(bytes);
            let sequence = self.log.len() as u64;
            if !(faults && self.chance.percent(20)) {
                let when = now + Duration::from_millis(self.chance.number_below(100));
                self.acks.push((when, from, (session, number, sequence)));
            }
        }
    }

    fn turn(&mut self, at: usize, faults: bool) {
        let now = self.now(self.nodes[at].skew_ns);
        let node = &mut self.nodes[at];
        let is_cut = node.cut_until > self.elapsed;
        if !node.is_connected {
            node.node.handle(Event::Disconnected, now);
            if !is_cut && (!faults || self.chance.percent(20)) {
                node.is_connected = true;
                node.node.handle(Event::Connected, now);
            }
        }
        let due = |(when, to, _): &mut (Duration, usize, _)| *when <= self.elapsed && *to == at;
        for (.., (session, number, sequence)) in self.acks.extract_if(.., due).collect::<Vec<_>>() {
            if !is_cut {
                node.node.handle(Event::Acked { session, number, sequence }, now);
            }
        }
        if !is_cut && node.is_connected {
            for _ in 0..self.chance.number_below(10) {
                let Some(message) = self.log.get(node.delivers as usize - 1) else { break };
                let sequence = node.delivers;
                node.delivers += 1;
                // A message that is lost on its way leaves a gap.
                if !(faults && self.chance.percent(1)) {
                    node.node.handle(Event::Message { sequence, message }, now);
                }
            }
        }
        self.keep_snapshot(at, faults);
        let node = &mut self.nodes[at];
        node.node.replica().wait(Instant::now());
        node.node.poll(now);
        for (to, answered) in node.client.take(Vec::new()) {
            assert!(node.waiting.remove(&to.0));
            let hot_stock = || node.engine.quote(&Access::All, &hot());
            self.history.answered(to, &answered, hot_stock);
        }
        self.look(at, Ask::Read);
        for effect in self.nodes[at].node.effects() {
            self.does(at, effect, faults);
        }
    }

    /// A client looks at a node that lets clients in.
    fn look(&mut self, at: usize, ask: Ask) {
        let status = self.nodes[at].node.status(self.now(0).instant);
        let shown = self.nodes[at].engine.quote(&Access::All, &hot());
        if let (false, Some(quote)) = (status.closed == Some(Closed::Joining), shown)
            && self.is_listed
        {
            let quote = match self.plan.reads_elsewhere {
                // As if the node had answered out of what another one holds.
                true => self.nodes[(at + 1) % NODES].engine.quote(&Access::All, &hot()),
                false => Some(quote),
            };
            quote.iter().for_each(|quote| self.history.read(at, quote, ask));
        }
    }

    fn does(&mut self, at: usize, effect: Effect, faults: bool) {
        let node = &mut self.nodes[at];
        let reaches = node.is_connected && node.cut_until <= self.elapsed;
        match effect {
            // It is behind: it would end, and be started again.
            Effect::Follow { from, .. } if self.first > from + 1 => self.crash(at),
            Effect::Follow { from, .. } => node.delivers = from.max(self.first),
            Effect::Keep(taken) => {
                let late = Duration::from_millis(self.chance.number_below(500));
                self.nodes[at].taken = Some((self.elapsed + late, taken));
            }
            Effect::Tidy => self.tidy(),
            Effect::Send(outgoing) => {
                // Dropped, once, or twice, and late by chance.
                let times = match self.chance.number_below(100) {
                    0..15 if faults => 0,
                    15..30 if faults => 2,
                    _ => u64::from(reaches),
                };
                for _ in 0..times {
                    let late = match self.chance.percent(10) && faults {
                        true => self.chance.number_below(8000),
                        false => self.chance.number_below(60),
                    };
                    let when = self.elapsed + Duration::from_millis(late);
                    self.sent.push((when, at, outgoing.clone()));
                }
            }
        }
    }

    fn heal(&mut self) {
        for node in &mut self.nodes {
            node.cut_until = Duration::ZERO;
        }
    }

    fn is_settled(&self) -> bool {
        let instant = self.now(0).instant;
        let is_well = |node: &SimNode| {
            let status = node.node.status(instant);
            status.closed.is_none() && status.seen.sequence == self.log.len() as u64
        };
        self.sent.is_empty() && self.history.is_all_answered() && self.nodes.iter().all(is_well)
    }

    fn check(mut self) {
        let quotes = self.nodes[0].quotes();
        for other in &self.nodes {
            assert_eq!(other.quotes(), quotes, "nodes hold different quotes");
        }
        self.check_that_a_new_node_holds_the_same(&quotes);
        let digests: Vec<u64> = self.nodes.iter().map(|node| node.node.digest()).collect();
        assert_eq!(digests, [digests[0]; NODES]);
        if let Err(violation) = self.history.is_linearizable(NODES) {
            panic!("{violation}");
        }
        let [first, ..] = self.nodes.as_slice() else { unreachable!() };
        self.history.check(|symbol| first.engine.quote(&Access::All, symbol));
    }

    /// From a snapshot, where there is one, and what the log has behind it.
    fn check_that_a_new_node_holds_the_same(&mut self, quotes: &[Quote]) {
        let kept = self.beginning(None);
        let mut new = self.start(kept);
        let from = new.node.log_state().seen().sequence;
        for (sequence, message) in (1..).zip(&self.log).skip(from as usize) {
            new.node.handle(Event::Message { sequence, message }, self.now(0));
        }
        new.node.poll(self.now(0));
        assert_eq!(new.quotes(), quotes, "a new node holds other quotes");
        assert_eq!(new.node.digest(), self.nodes[0].node.digest());
    }

    /// Somebody changes a quote that a node has kept, and the sum beside it, and starts the node again. It finds out and stops,
    /// and the others go on.
    fn tamper(&mut self) {
        self.heal();
        while !self.is_settled() {
            self.step(false);
        }
        self.nodes[2].keep();
        let mut kept = self.nodes[2].kept.clone();
        let mut place = Place::decode(&mut &*kept.place).unwrap();
        let quote = kept.quotes.get_mut(&hot()).unwrap();
        let hash = |quote: &Quote| {
            let mut bytes = Vec::new();
            write_quote(&mut bytes, quote);
            xxh3_64(&bytes)
        };
        let before = hash(quote);
        quote.volume = Some(Volume::new(SHARES + 1));
        let sum = place.holdings.quotes.wrapping_sub(before).wrapping_add(hash(quote));
        place.holdings.quotes = sum;
        kept.place.clear();
        place.encode(&mut kept.place);
        self.nodes[2] = self.start(kept);
        for _ in 0..1000 {
            self.step(false);
            let instant = self.now(0).instant;
            let closed = |at: usize| self.nodes[at].node.status(instant).closed;
            if let Some(Closed::Stopped(fault)) = closed(2) {
                assert!(matches!(fault, Fault::Diverged { .. }), "{fault}");
                // Until each has heard from the other as well.
                if [closed(0), closed(1)] == [None, None] {
                    return;
                }
            }
        }
        panic!("a node with another quote than the others was not found out");
    }

    /// The log forgets its latest messages and goes on without them.
    fn lose_tail(&mut self) {
        self.heal();
        while !self.is_settled() {
            self.step(false);
        }
        let most = self.log.len() - self.first as usize;
        let lost = (self.chance.number_below(5) as usize + 1).min(most);
        self.log.truncate(self.log.len() - lost);
        self.sent.clear();
        self.acks.clear();
        // Servers that lose messages start again, so connections end.
        self.nodes.iter_mut().for_each(|node| node.is_connected = false);
        let before = self.history.done;
        for step in 0..1000 {
            if step % 10 == 0 {
                self.ask(step % NODES, |_| Op::Churn, |_, chance| churn(chance));
            }
            self.step(false);
            let instant = self.now(0).instant;
            let fault = |node: &SimNode| match node.node.status(instant).closed {
                Some(Closed::Stopped(fault)) => Some(fault),
                _ => None,
            };
            if let Some(faults) = self.nodes.iter().map(fault).collect::<Option<Vec<_>>>() {
                let is_known =
                    |it: &Fault| matches!(it, Fault::LostTail { .. } | Fault::Forked { .. });
                assert!(faults.iter().all(is_known), "{faults:?}");
                assert_eq!(self.history.done, before, "written to a log that has lost its end");
                return;
            }
        }
        panic!("no node has found out that the log has lost {lost} messages");
    }
}

impl SimNode {
    fn quotes(&self) -> Vec<Quote> {
        let (mut quotes, mut next) = (Vec::new(), Some(0));
        while let Some(from) = next {
            let page = self.engine.browse(&Access::All, from, 1000);
            quotes.extend(page.quotes);
            next = page.next;
        }
        quotes.sort_by_key(|quote| quote.symbol.as_str().to_owned());
        quotes
    }

    /// Keeps what has changed, and the place in the log, together.
    fn keep(&mut self) {
        let Some(Keep { writes, place, .. }) = self.node.keep() else { return };
        for write in writes {
            match write {
                Write::Put(quote) => _ = self.kept.quotes.insert(quote.symbol, quote),
                Write::Remove(symbol) => _ = self.kept.quotes.remove(&symbol),
            }
        }
        self.kept.place = place;
    }
}

fn nothing() -> Kept {
    let mut place = Vec::new();
    place::encode(&mut place, (&name(), 1), &Holdings::default(), &LogState::new());
    Kept { quotes: BTreeMap::new(), place }
}

fn name() -> ClusterName {
    ClusterName::new("main").unwrap()
}

fn some_fields(chance: &mut Random) -> Fields {
    Fields {
        price: Edit::Set(
            format!("{}.{}", chance.number_below(100), chance.number_below(100)).parse().unwrap(),
        ),
        bid: if chance.percent(50) { Edit::Clear } else { Edit::Set("1.5".parse().unwrap()) },
        ..Fields::default()
    }
}

fn churn(chance: &mut Random) -> Request {
    let symbol: Symbol = format!("CHURN{}", chance.number_below(12)).parse().unwrap();
    match chance.number_below(4) {
        0 | 1 => Request::Delist(symbol),
        _ => Request::Set(symbol, some_fields(chance)),
    }
}
