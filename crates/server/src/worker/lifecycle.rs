//! The life of a connection at its worker: it comes from the work queue, and is closed.
//!
//! Invariant: what the pool counts as open at this worker is in its slots. A connection that is closed is forgotten
//! by the feed, the client list and the sums.

use std::io;
use std::mem;
use std::time::Instant;

use stockd_model::Address;
use stockd_model::limits::{CLOSES_PER_PASS, TLS_HANDSHAKES_MAX};

use super::Worker;
use crate::admission::Accepted;
use crate::client_list::Served;
use crate::closed::Closed;
use crate::connection::Connection;
use crate::connection_id::ConnectionId;
use crate::protocol;
use crate::slot::{Slot, live};

impl Worker {
    pub(super) fn take_from_queue(&mut self, now: Instant) {
        let mut taken = mem::take(&mut self.taken);
        if self.draining {
            self.pool.take_all(self.index, &mut taken);
        } else {
            self.pool.take(self.index, &mut taken);
        }
        for accepted in taken.drain(..) {
            self.add(accepted, now);
        }
        self.taken = taken;
        self.check_invariants();
    }

    fn add(&mut self, accepted: Accepted, now: Instant) {
        let Accepted { socket, peer, endpoint, permit } = accepted;
        let entry = self.connections.vacant_entry();
        self.serial += 1;
        let id = ConnectionId::new(entry.key(), self.serial);
        if let Err(error) = self.reactor.add(&socket, id) {
            return self.cannot_serve(&peer, &error);
        }
        let stream = match endpoint.transport.accept(socket) {
            Ok(stream) => stream,
            Err(error) => return self.cannot_serve(&peer, &error),
        };
        let served =
            Served { worker: self.index, socket: stream.socket(), ending: self.endings.of(id) };
        let client = self.server.clients.enter(peer, endpoint.protocol, now, Some(served));
        let identity = self.server.authority.anonymous();
        let conversation = protocol::begin(&endpoint, &client, &identity);
        let connection = Connection::new(stream, conversation, permit, client, now);
        let slot = entry.insert(Slot::new(connection, id, identity));
        if self.draining {
            slot.connection.drain();
            slot.queue_turn(&mut self.turns);
        }
        if slot.connection.is_shaking_hands() {
            slot.places.make_heavy();
            self.sweep.start(now);
            self.await_handshake(id);
        } else if self.sweep.timeouts.idle.is_some() {
            self.sweep.start(now);
        }
    }

    /// A connection begins with the handshake of TLS. Where too many are in it, the one that came first is
    /// closed.
    fn await_handshake(&mut self, id: ConnectionId) {
        self.handshakes.push_back(id);
        if self.handshakes.len() > TLS_HANDSHAKES_MAX
            && let Some(first) = self.handshakes.pop_front()
            && let Some(slot) = live(&mut self.connections, first)
            && slot.connection.is_shaking_hands()
        {
            self.close(first, &Closed::Handshake);
        }
    }

    fn cannot_serve(&mut self, peer: &Address, error: &io::Error) {
        tracing::warn!("{peer}: cannot be served: {error}");
        self.pool.cells(self.index).closed_failed.add(1);
        self.pool.closed_one(self.index);
    }

    /// The server shuts down: every connection is to end when what it has asked is answered.
    pub(super) fn drain(&mut self, now: Instant) {
        if self.draining {
            return;
        }
        self.draining = true;
        self.take_from_queue(now);
        for (_, slot) in &mut self.connections {
            slot.connection.drain();
            slot.queue_turn(&mut self.turns);
        }
    }

    /// Closes some of the connections that others want closed.
    pub(super) fn close_killed(&mut self) {
        for _ in 0..CLOSES_PER_PASS {
            let (killed, has_more) = self.endings.next();
            self.has_endings = has_more;
            let Some(id) = killed else { break };
            self.close(id, &Closed::Killed);
        }
    }

    /// Closes a connection.
    pub(super) fn close(&mut self, id: ConnectionId, closed: &Closed) {
        if live(&mut self.connections, id).is_none() {
            return;
        }
        let mut slot = self.connections.remove(id.slot());
        let cells = self.pool.cells(self.index);
        self.sums.forget(&mut slot, cells);
        self.server.clients.leave(slot.connection.client());
        self.feed.leave(id.into());
        closed.note(slot.connection.client().peer(), cells);
        self.pool.closed_one(self.index);
    }

    fn check_invariants(&self) {
        let open = self.pool.open_per_worker().nth(self.index);
        debug_assert_eq!(open, Some(self.connections.len()));
    }
}
