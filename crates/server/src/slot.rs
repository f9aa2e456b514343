//! One connection's place in its worker, and what the worker adds up of all its places.
//!
//! Invariant: the sums are those of what each slot was last [noted](Sums::note) with.

use std::mem;

use slab::Slab;
use stockd_access::Identity;
use stockd_engine::{Feed, SubscriberId};

use crate::connection::Connection;
use crate::connection_id::ConnectionId;
use crate::memory::{Held, Ledger};
use crate::metrics::Cells;
use crate::turn_queue::{Places, TurnQueue};

/// A connection and its place among the others.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) connection: Connection,
    pub(crate) id: ConnectionId,
    /// Who the client is.
    pub(crate) identity: Identity,
    /// Where a turn is queued.
    pub(crate) places: Places,
    noted: Noted,
}

/// What is in the sums of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Noted {
    held: Held,
    unsent: usize,
    is_slow: bool,
}

/// What the connections of a worker make together.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) ledger: Ledger,
    unsent: usize,
    slow: u64,
}

impl Slot {
    pub(crate) fn new(connection: Connection, id: ConnectionId, identity: Identity) -> Slot {
        let (places, noted) = (Places::default(), Noted::default());
        Slot { connection, id, identity, places, noted }
    }

    #[inline]
    pub(crate) fn queue_turn(&mut self, turns: &mut TurnQueue) {
        turns.push(self.id, &mut self.places);
    }

    /// Bytes that it held when it was last noted.
    pub(crate) fn held_bytes(&self) -> usize {
        self.noted.held.sum()
    }
}

impl Sums {
    /// Brings the sums, and what others may know of the client, up to what a connection holds now.
    #[inline]
    pub(crate) fn note(&mut self, slot: &mut Slot, feed: &Feed, cells: &Cells) {
        let subscriber = SubscriberId::from(slot.id);
        let mut held = slot.connection.held();
        let unsent = slot.connection.unsent_bytes();
        let mut marks = 0;
        if let Some(standing) = feed.standing(subscriber) {
            let client = slot.connection.client();
            held.subscriptions = standing.bytes;
            client.symbols.set(standing.symbols as u64);
            client.patterns.set(standing.patterns as u64);
            client.marks.set(standing.marks as u64);
            // Who wants to be told later is not slow.
            marks = if standing.rests { 0 } else { standing.marks };
        }
        self.change(slot, Noted { held, unsent, is_slow: unsent + marks > 0 }, cells);
    }

    /// A connection is closed.
    pub(crate) fn forget(&mut self, slot: &mut Slot, cells: &Cells) {
        self.change(slot, Noted::default(), cells);
    }

    #[inline]
    fn change(&mut self, slot: &mut Slot, now: Noted, cells: &Cells) {
        let before = mem::replace(&mut slot.noted, now);
        if before == now {
            return;
        }
        self.ledger.count(&before.held, &now.held);
        self.unsent = self.unsent + now.unsent - before.unsent;
        self.slow = self.slow + u64::from(now.is_slow) - u64::from(before.is_slow);
        cells.bytes_unsent.set(self.unsent as u64);
        cells.slow.set(self.slow);
        let client = slot.connection.client();
        client.unsent.set(now.unsent as u64);
        client.memory.set(now.held.sum() as u64);
        client.requests.set(now.held.requests as u64);
        client.replies.set(now.held.replies as u64);
        client.replies_peak.set(client.replies_peak.get().max(now.held.replies as u64));
    }
}

/// The connection of this name, unless it is closed.
#[inline]
pub(crate) fn live(connections: &mut Slab<Slot>, id: ConnectionId) -> Option<&mut Slot> {
    connections.get_mut(id.slot()).filter(|slot| slot.id == id)
}
