//! A node of a cluster, without its network: messages of the log and time in, what to send and to follow out.
//!
//! It puts what its clients ask into the log and has the [`Replica`] decide every message of the log in order, its own and
//! those of others. It owns when writes are refused at once, what it tells the others of what it holds, and when it
//! stops; [`Link`] says when the log is followed again. It does no I/O and reads no clock: [`Node::handle`] is told what
//! came, [`Node::poll`] what time it is, and [`Node::effects`] are for the caller, who has a network. What a message does is
//! in [`applying`], and what goes to the log in [`sending`].
//!
//! Invariant: a write is answered as done only when its message has come back through the log and the rows show it; as
//! refused only when it is known to have no effect.

mod applying;
mod sending;

use std::time::{Duration, Instant};

use stockd_engine::{Holdings, Replica};
use stockd_model::Refusal;
use stockd_model::batch::{Head, Kind};
use stockd_model::limits::REFOLLOW_AFTER_MAX;
use xxhash_rust::xxh3::Xxh3;

use crate::event::{Effect, Event, Now, Taken};
use crate::keeper::Keep;
use crate::link::{Link, Sign};
use crate::log_state::{Fault, LogState, Read};
use crate::options::ClusterName;
use crate::origin::Origin;
use crate::place;
use crate::status::{Closed, NodeStatus, STOPPED};
use crate::votes::Votes;

/// How a node behaves.
#[expect(missing_debug_implementations, reason = "a function has none")]
pub struct NodeOptions {
    /// The cluster.
    pub name: ClusterName,
    /// The epoch of its log.
    pub epoch: u64,
    /// How long a write waits for the log before it is answered as uncertain.
    pub write_timeout: Duration,
    /// Whether it writes. One that does not says nothing to the log.
    pub writes: bool,
    /// The last message of the log when it was joined: before that is applied no client is let in.
    pub joins_at: u64,
    /// Draws the random number of a session.
    pub draw_session: Box<dyn FnMut() -> u64 + Send>,
}

/// A node: what it was sent and the time go in, what to send and to follow comes out.
#[expect(missing_debug_implementations, reason = "its options have none")]
pub struct Node {
    replica: Replica,
    log: LogState,
    origin: Origin,
    votes: Votes,
    options: NodeOptions,
    link: Link,
    effects: Vec<Effect>,
    fault: Option<Fault>,
    /// The latest message after which as many nodes hold something else as not.
    disputed: Option<u64>,
    /// Whether the others are to be asked what they hold.
    is_to_ask: bool,
    /// A digest that the others are to be told.
    digest_due: Option<(u64, u64)>,
    snapshots: Snapshots,
    /// Commands that were decided and are not shown.
    unshown: usize,
    begun: u64,
}

/// Where this node is with the keeping of snapshots.
#[derive(Debug, Default)]
struct Snapshots {
    /// Whether somebody has asked for one now.
    is_asked: bool,
    /// The one that is being kept.
    taking: Option<u64>,
    /// The round and the turn in which this node has tried last.
    tried: Option<(u64, u64)>,
    /// One that is kept, of which the others are to be told.
    to_tell: Option<u64>,
}

impl Node {
    /// A node that holds nothing yet.
    pub fn new(replica: Replica, options: NodeOptions, now: Now) -> Node {
        Node::after(LogState::new(), replica, options, now)
    }

    /// A node whose replica holds what the log says up to there.
    pub(crate) fn after(
        log: LogState,
        replica: Replica,
        mut options: NodeOptions,
        now: Now,
    ) -> Node {
        let origin = Origin::new((options.draw_session)());
        Node {
            replica,
            log,
            origin,
            votes: Votes::default(),
            options,
            link: Link::new(now.instant),
            effects: Vec::new(),
            fault: None,
            disputed: None,
            is_to_ask: false,
            digest_due: None,
            snapshots: Snapshots::default(),
            unshown: 0,
            begun: 1,
        }
    }

    /// The side of the engine, to wait for what is asked.
    pub fn replica(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// What is to be done since this was asked last.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Why the node has stopped, if it has.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Stops: the log cannot be followed.
    pub fn fail(&mut self, why: String) {
        if self.fault.is_none() {
            self.stop(Fault::Unusable(why));
        }
    }

    /// Stops: the log begins behind what the node has applied.
    pub fn is_behind(&mut self, first: u64) {
        if self.fault.is_none() {
            self.stop(Fault::Behind { first, applied: self.log.seen().sequence });
        }
    }

    /// Something has happened.
    pub fn handle(&mut self, event: Event<'_>, now: Now) {
        if self.fault.is_some() {
            return;
        }
        match event {
            Event::Message { sequence, message } => {
                let mut is_awaited = false;
                let is_own = |head: &Head| {
                    is_awaited = self.origin.awaits(head, message);
                    // What else a node says of itself is short, and read.
                    is_awaited && head.kind == Kind::Batch
                };
                match self.log.read(sequence, message, is_own) {
                    Ok(Read::Old) => {}
                    Ok(Read::Gap) if self.link.is_anew() => {}
                    Ok(Read::Gap) => self.follow(false, now),
                    Ok(Read::Next(head, meaning)) => self.apply(head, &meaning, is_awaited, now),
                    Err(fault) => self.stop(fault),
                }
            }
            Event::Acked { session, number, sequence } => {
                if self.origin.acked(session, number) && sequence <= self.log.seen().sequence {
                    // Something else was there before.
                    self.stop(Fault::LostTail { sequence: self.log.seen().sequence });
                }
            }
            Event::Kept { sequence, is_kept } => {
                self.snapshots.taking = None;
                self.snapshots.to_tell = is_kept.then_some(sequence);
            }
            Event::Connected => {
                self.link.connected();
                self.follow(false, now);
            }
            Event::Disconnected => self.link.disconnected(now.instant),
        }
    }

    /// Time has passed, or something was asked: sends what is due, refuses what cannot be sent, and shows what was
    /// decided.
    pub fn poll(&mut self, now: Now) {
        self.show();
        if self.fault.is_none() {
            self.greet(now);
            for outgoing in self.origin.resend(now.instant) {
                self.effects.push(Effect::Send(outgoing));
            }
            for pending in self.origin.give_up(self.options.write_timeout, now.instant) {
                self.replica.refuse(pending, Refusal::Uncertain);
            }
            self.see_to_the_link(now);
            self.see_to_snapshots(now);
        }
        let closed = self.closed(now.instant);
        if matches!(closed, None | Some(Closed::Disputed)) {
            // A dispute ends by what nodes say.
            self.say_what_is_due(now);
        }
        match closed {
            Some(closed) => self.refuse_what_is_asked(closed.cause()),
            None => self.send_what_is_asked(now),
        }
        self.tick(now);
        self.show();
    }

    /// When to [`poll`](Node::poll) again if nothing happens.
    pub fn next_wake(&self, now: Now) -> Instant {
        if self.fault.is_some() {
            // Nothing is due any more. What is asked ends the wait.
            return now.instant + REFOLLOW_AFTER_MAX;
        }
        let link = self.link.next_look(self.sign(), now.instant);
        let origin = self.origin.next_wake(self.options.write_timeout, self.link.is_up());
        // A moment ahead, whatever is due: what could not be done now is not tried at once.
        let soon = now.instant + Duration::from_millis(1);
        origin.map_or(link, |origin| origin.min(link)).max(soon)
    }

    /// What the node says of itself.
    pub fn status(&self, now: Instant) -> NodeStatus {
        NodeStatus {
            seen: self.log.seen(),
            closed: self.closed(now),
            staleness: self.fresh_at().map(|fresh| now.saturating_duration_since(fresh)),
            uncertain: self.origin.uncertain(),
            passed_over: self.log.passed_over(),
            sessions: self.log.sessions(),
            followed: self.link.followed(),
            digest: self.votes.latest(),
            begun: self.begun,
            snapshot: self.log.round().sequence,
        }
    }

    /// The last message that was applied.
    pub(crate) fn seen(&self) -> u64 {
        self.log.seen().sequence
    }

    /// Ends: what is in flight may take effect.
    pub fn end(&mut self) {
        for pending in self.origin.end() {
            self.replica.refuse(pending, Refusal::Uncertain);
        }
        self.refuse_what_is_asked(STOPPED);
        if !matches!(self.fault, Some(Fault::NoRoom(_))) {
            self.replica.show();
        }
    }

    /// Whether nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.origin.is_idle()
    }

    /// What has changed since this was asked last, and the place in the log: what a store has to keep. `None` where what
    /// the node holds is not to be kept.
    pub(crate) fn keep(&mut self) -> Option<Keep> {
        if matches!(self.fault, Some(Fault::NoRoom(_) | Fault::Diverged { .. })) {
            return None;
        }
        self.show();
        let place = self.place();
        let version_floor = self.replica.holdings().version_floor;
        let sequence = self.log.seen().sequence;
        Some(Keep { writes: self.replica.take_changes(), version_floor, sequence, place })
    }

    /// Has a snapshot taken as soon as it can be.
    pub fn ask_for_snapshot(&mut self) {
        self.snapshots.is_asked = true;
    }

    /// Its place in the log, encoded. The rows have to show it.
    fn place(&self) -> Vec<u8> {
        let mut encoded = Vec::new();
        let cluster = (&self.options.name, self.options.epoch);
        place::encode(&mut encoded, cluster, &self.replica.holdings(), &self.log);
        encoded
    }

    /// What it has read of the log.
    #[cfg(test)]
    pub(crate) fn log_state(&self) -> &LogState {
        &self.log
    }

    /// A number for all that it holds and has read of the log, the same at all nodes. The rows have to show it.
    pub(crate) fn digest(&self) -> u64 {
        let mut hash = Xxh3::new();
        self.log.digest(&mut hash);
        let Holdings { quotes, stocks, version_floor } = self.replica.holdings();
        for number in [quotes, stocks, version_floor] {
            hash.update(&number.to_le_bytes());
        }
        hash.digest()
    }

    /// All that was sent before has come, as far as this node can know.
    fn fresh_at(&self) -> Option<Instant> {
        if self.options.writes { self.origin.fresh_at() } else { self.link.heard() }
    }

    /// What this node knows of the way between it and the log.
    fn sign(&self) -> Sign {
        Sign { fresh: self.fresh_at(), unanswered: self.origin.unanswered_since() }
    }

    fn show(&mut self) {
        self.unshown = 0;
        if !matches!(self.fault, Some(Fault::NoRoom(_))) {
            self.replica.show();
        }
    }

    /// Reads no further, and refuses all writes.
    fn stop(&mut self, fault: Fault) {
        tracing::error!("{fault}");
        self.fault = Some(fault);
        for pending in self.origin.end() {
            self.replica.refuse(pending, Refusal::Uncertain);
        }
        self.show();
    }

    fn closed(&self, now: Instant) -> Option<Closed> {
        if let Some(fault) = &self.fault {
            Some(Closed::Stopped(fault.clone()))
        } else if self.log.seen().sequence < self.options.joins_at {
            Some(Closed::Joining)
        } else if !self.options.writes {
            Some(Closed::ReadOnly)
        } else if !self.origin.is_open() {
            Some(Closed::Joining)
        } else if self.link.is_down(now) {
            Some(Closed::Disconnected)
        } else if self.origin.uncertain() > 0 {
            Some(Closed::Uncertain)
        } else if self.disputed.is_some() {
            Some(Closed::Disputed)
        } else {
            None
        }
    }

    /// Follows the log again where nothing comes of it: first at the leader, then through another server.
    fn see_to_the_link(&mut self, now: Now) {
        if let Some(elsewhere) = self.link.is_in_vain(self.sign(), now.instant) {
            self.follow(elsewhere, now);
        }
    }

    /// Takes a snapshot when it is this node's turn, or somebody has asked for one.
    fn see_to_snapshots(&mut self, now: Now) {
        if self.snapshots.taking.is_some() || self.closed(now.instant).is_some() {
            return;
        }
        let stocks = self.replica.holdings().stocks;
        let turn = self.log.turn(stocks).filter(|turn| turn.session == self.origin.session());
        let turn = turn.map(|turn| (turn.round, turn.number));
        let is_new = turn.is_some() && turn != self.snapshots.tried;
        if !is_new && !self.snapshots.is_asked {
            return;
        }
        self.show();
        if let Some(quotes) = self.replica.snapshot(now.instant) {
            self.snapshots.is_asked = false;
            self.snapshots.tried = turn.or(self.snapshots.tried);
            let (sequence, session) = (self.log.seen().sequence, self.origin.session());
            self.snapshots.taking = Some(sequence);
            let taken = Taken { sequence, session, place: self.place(), quotes };
            self.effects.push(Effect::Keep(Box::new(taken)));
        }
    }

    fn follow(&mut self, elsewhere: bool, now: Now) {
        self.link.follow(now.instant);
        // From the last one that was read, so that it is compared with what is there now.
        let from = self.log.seen().sequence.max(1);
        self.effects.push(Effect::Follow { from, elsewhere });
    }
}
