//! Which connections of a worker are closed when all together hold more memory than they may.
//!
//! It knows what each holds, and nothing of how they are closed.

use std::cmp::Reverse;
use std::time::Instant;

use slab::Slab;
use stockd_model::Address;
use stockd_model::limits::{CLOSES_PER_PASS, MEMORY_LOG_INTERVAL};

use crate::connection_id::ConnectionId;
use crate::slot::Slot;

/// How a worker gets below the limit of memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Relief {
    /// Whether there is more to close.
    pub(crate) more: bool,
    /// When it was last said in the log.
    said_at: Option<Instant>,
    /// Connections that were closed since.
    unsaid: usize,
}

impl Relief {
    /// The connections that hold the most, and no less than the average of all, the largest first,
    /// with their bytes. Notes whether there are more than are closed in one pass.
    pub(crate) fn largest(
        &mut self,
        connections: &Slab<Slot>,
        average: usize,
    ) -> Vec<(usize, ConnectionId)> {
        let held = connections.iter().map(|(_, slot)| (slot.held_bytes(), slot.id));
        let mut largest: Vec<_> = held.filter(|(bytes, _)| *bytes >= average.max(1)).collect();
        self.more = largest.len() > CLOSES_PER_PASS;
        if self.more {
            largest.select_nth_unstable_by_key(CLOSES_PER_PASS, |(bytes, _)| Reverse(*bytes));
            largest.truncate(CLOSES_PER_PASS);
        }
        largest.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        largest
    }

    /// Names a client that is closed in the log, unless one was named just now.
    pub(crate) fn say(&mut self, peer: &Address, bytes: usize, max: usize, now: Instant) {
        self.unsaid += 1;
        let said = self.said_at.map(|at| now.saturating_duration_since(at));
        if said.is_some_and(|since| since < MEMORY_LOG_INTERVAL) {
            return;
        }
        tracing::warn!(
            "closing {peer}, which holds {bytes} bytes: all connections hold more than the {max} of \
             memory_max; {} closed since this was last said",
            self.unsaid
        );
        self.said_at = Some(now);
        self.unsaid = 0;
    }
}
