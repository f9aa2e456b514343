//! What a worker does about the memory that connections hold.
//!
//! Invariant: after each turn the others know what its connections hold, to a step.

use std::time::Instant;

use super::Worker;
use crate::closed::Closed;
use crate::slot::live;

impl Worker {
    /// Tells the others what the connections want and hold. When that is more than they may, all workers are
    /// to look for those that hold the most.
    #[inline]
    pub(super) fn tell_memory(&mut self) {
        let cells = self.pool.cells(self.index);
        let (subscribers, subscriptions) = self.feed.counts();
        cells.subscribers.set(subscribers as u64);
        cells.subscriptions.set(subscriptions as u64);
        let (trackers, tracked) = self.feed.tracked();
        cells.trackers.set(trackers as u64);
        cells.tracked.set(tracked as u64);
        self.sums.ledger.count_subscriptions(self.feed.bytes_in_all());
        if self.sums.ledger.tell(&self.server.memory, cells) {
            self.pool.wake_all();
        }
    }

    /// Where all connections hold more than they may, closes those of its own that hold the most,
    /// and no less than the average of all: some worker has one. Each worker gives back in proportion to what
    /// its own hold, so that all together close no more than is needed; and where what is left of subscribers that
    /// have gone is enough, nothing is closed.
    #[inline]
    pub(super) fn relieve_memory(&mut self, now: Instant) {
        self.tell_memory();
        self.relief.more = false;
        let memory = &self.server.memory;
        if let Some(excess) = memory.excess().map(|all| self.sums.ledger.part_of(all, memory)) {
            let excess = excess.saturating_sub(self.feed.leaving_bytes());
            if excess > 0 {
                self.close_largest(excess, now);
            }
        }
    }

    #[cold]
    fn close_largest(&mut self, mut excess: usize, now: Instant) {
        let average = self.server.memory.held() / self.pool.open().max(1);
        // What a subscriber holds of what all hold together changes without a turn of its own.
        let cells = self.pool.cells(self.index);
        for (_, slot) in &mut self.connections {
            if self.feed.has(slot.id.into()) {
                self.sums.note(slot, &self.feed, cells);
            }
        }
        for (bytes, id) in self.relief.largest(&self.connections, average) {
            if excess == 0 {
                self.relief.more = false;
                break;
            }
            excess = excess.saturating_sub(bytes);
            if let Some(slot) = live(&mut self.connections, id) {
                let peer = slot.connection.client().peer();
                self.relief.say(peer, bytes, self.server.memory.max(), now);
            }
            self.close(id, &Closed::Memory(bytes));
        }
        self.tell_memory();
    }
}
