//! Connections that have let a time pass: what is due at a moment, and what is found by looking at all of them.
//!
//! Invariant: a pass looks at a bounded number of connections, and closes a bounded number.

use std::time::Instant;

use stockd_model::limits::CLOSES_PER_PASS;

use super::Worker;
use crate::closed::Closed;
use crate::connection_id::ConnectionId;
use crate::slot::live;

impl Worker {
    pub(super) fn pass_deadlines(&mut self, now: Instant) {
        while let Some(id) = self.deadlines.pop_silent(now) {
            if let Some(slot) = live(&mut self.connections, id) {
                slot.connection.fall_silent();
                slot.queue_turn(&mut self.turns);
            }
        }
        while let Some(id) = self.deadlines.pop_paused(now) {
            if let Some(slot) = live(&mut self.connections, id) {
                slot.connection.end_pause();
                slot.queue_turn(&mut self.turns);
            }
        }
        for _ in 0..CLOSES_PER_PASS {
            let Some(id) = self.deadlines.pop_lingered(now) else {
                break;
            };
            self.close(id, &Closed::Ended);
        }
    }

    /// Looks at the next few connections for those that have let a timeout pass.
    pub(super) fn sweep(&mut self, now: Instant) {
        let slots = self.connections.capacity();
        let Some(slice) = self.sweep.slice(now, slots) else {
            return;
        };
        let timeouts = self.sweep.timeouts;
        let mut end = slice.end;
        let mut overdue = Vec::new();
        let mut again = timeouts.idle.is_some() && !self.connections.is_empty();
        for index in slice {
            if overdue.len() == CLOSES_PER_PASS {
                end = index;
                break;
            }
            let Some(slot) = self.connections.get_mut(index) else {
                continue;
            };
            match slot.connection.overdue(now, &timeouts) {
                Some(closed) => overdue.push((slot.id, closed)),
                None => again |= slot.connection.may_be_late(),
            }
        }
        for (id, closed) in overdue {
            match closed {
                Closed::HalfRequest => self.give_request_up(id, now),
                closed => self.close(id, &closed),
            }
        }
        self.sweep.looked(end, slots, again, now);
    }

    /// The rest of a request has not come in time: says so, and closes once the client has taken that.
    fn give_request_up(&mut self, id: ConnectionId, now: Instant) {
        if let Some(slot) = live(&mut self.connections, id) {
            let cells = self.pool.cells(self.index);
            Closed::HalfRequest.note(slot.connection.client().peer(), cells);
            let timeout = self.sweep.timeouts.request;
            slot.connection.give_request_up(timeout, &mut self.tls, now);
            slot.queue_turn(&mut self.turns);
            self.sweep.start(now);
        }
    }
}
