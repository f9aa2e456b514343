//! What a node puts into the log: a hello, what its clients ask, and what it tells the others of itself.
//!
//! Invariant: what clients ask is sent in the order in which it was asked, and nothing is sent but where the
//! [`Origin`](crate::origin::Origin) has room.

use stockd_engine::Pending;
use stockd_model::Refusal;
use stockd_model::batch::{self, BatchWriter, Body, Head, Kind};

use super::Node;
use crate::event::{Effect, Now};
use crate::log_state::Fault;

impl Node {
    /// Says hello when the log reaches this node.
    pub(super) fn greet(&mut self, now: Now) {
        let is_silent = !self.origin.is_open() && self.origin.is_idle();
        if self.options.writes && is_silent && self.link.is_up() {
            let hello = batch::plain(&self.head(Kind::Hello, now), &Body::Nothing);
            let hello = self.origin.fly(hello, Pending::default(), now.instant);
            self.effects.push(Effect::Send(hello));
        }
    }

    /// Tells the others what this node holds, asks what they hold, and says that a snapshot is kept.
    pub(super) fn say_what_is_due(&mut self, now: Now) {
        if let (Some((sequence, digest)), true) = (self.digest_due, self.origin.has_room()) {
            self.digest_due = None;
            self.say(Kind::Digest, &Body::Digest { sequence, digest }, now);
        }
        if self.is_to_ask && self.origin.has_room() {
            self.is_to_ask = false;
            self.say(Kind::Compare, &Body::Nothing, now);
        }
        if let (Some(sequence), true) = (self.snapshots.to_tell, self.origin.has_room()) {
            self.snapshots.to_tell = None;
            self.say(Kind::SnapshotDone, &Body::Snapshot { sequence }, now);
        }
    }

    fn say(&mut self, kind: Kind, body: &Body, now: Now) {
        let message = batch::plain(&self.head(kind, now), body);
        self.fly(message, Pending::default(), now);
    }

    pub(super) fn refuse_what_is_asked(&mut self, cause: &'static str) {
        while self.replica.is_asked() {
            let (_, pending) = self.replica.gather();
            self.replica.refuse(pending, Refusal::ClusterDown { cause });
        }
    }

    pub(super) fn send_what_is_asked(&mut self, now: Now) {
        while self.replica.is_asked() && self.origin.has_room() {
            let (commands, pending) = self.replica.gather();
            if commands.is_empty() {
                // Lookups: they have their turn when what was asked before is answered.
                if let Some(pending) = self.origin.wait_for_latest(pending)
                    && let Err(fault) = self.replica.decide_own(now.unix_ns, pending)
                {
                    return self.stop(Fault::NoRoom(fault.to_string()));
                }
                continue;
            }
            let message = self.finish(commands, now);
            self.fly(message, pending, now);
        }
    }

    /// Asks the log how far it is, where nothing else has for some time.
    pub(super) fn tick(&mut self, now: Now) {
        if self.fault.is_none() && self.origin.tick_is_due(now.instant) && self.link.is_up() {
            let tick = batch::plain(&self.head(Kind::Tick, now), &Body::Nothing);
            let tick = self.origin.tick(tick, now.instant);
            self.effects.push(Effect::Send(tick));
        }
    }

    fn finish(&self, commands: BatchWriter, now: Now) -> Vec<u8> {
        commands.finish(&self.head(Kind::Batch, now))
    }

    fn fly(&mut self, message: Vec<u8>, pending: Pending, now: Now) {
        let outgoing = self.origin.fly(message, pending, now.instant);
        self.effects.push(Effect::Send(outgoing));
    }

    fn head(&self, kind: Kind, now: Now) -> Head {
        Head {
            kind,
            count: 0,
            session: self.origin.session(),
            number: self.origin.next_number(),
            time_ns: now.unix_ns,
            seen: self.log.seen(),
        }
    }
}
