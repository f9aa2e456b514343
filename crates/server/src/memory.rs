//! What connections hold in memory, against one limit for all of them.
//!
//! Each worker keeps a [`Ledger`] of its own connections and tells the [`Memory`] that all share
//! when it has changed by [`MEMORY_STEP`]: so counting costs no shared writes in the usual turn, and
//! asking costs one load. Only what clients make the server hold is counted; the few hundred bytes
//! of each connection are bounded by their number, and what the system keeps in its sockets is its
//! own affair.
//!
//! Invariant: what the shared sum says differs from the ledgers by less than [`MEMORY_STEP`] for each
//! worker.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use stockd_model::limits::{MEMORY_STEP, OUTPUT_BYTES_MAX, OUTPUT_BYTES_SCARCE};

use crate::metrics::Cells;

/// Bytes by what they are held for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Replies and messages that clients have not taken.
    pub(crate) replies: usize,
    /// Requests that have not come whole, or wait for their turn.
    pub(crate) requests: usize,
    /// Replies that are being made: lists of symbols and of clients.
    pub(crate) walks: usize,
    /// Requests that wait for the disk.
    pub(crate) parked: usize,
    /// Subscriptions and marks.
    pub(crate) subscriptions: usize,
}

/// The sum over all workers, and its limit.
#[derive(Debug)]
pub(crate) struct Memory {
    max: usize,
    held: AtomicUsize,
    /// Of that, replies that clients have not taken; and their budget.
    unread: AtomicUsize,
    unread_max: usize,
}

/// What one worker's connections hold.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    held: Held,
    /// What the shared sums have of it.
    told: usize,
    told_unread: usize,
}

/// A command is refused, since it would take more memory while there is little left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryFull {
    held: usize,
    max: usize,
}

impl Held {
    pub(crate) fn sum(&self) -> usize {
        let Held { replies, requests, walks, parked, subscriptions } = self;
        replies + requests + walks + parked + subscriptions
    }
}

impl Memory {
    /// Of what all may hold, replies that clients have not taken get a quarter at most, so that they alone never
    /// have others closed.
    pub(crate) fn new(max: usize, unread_max: usize) -> Memory {
        let unread_max = unread_max.min(max / 4);
        let (held, unread) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Memory { max, held, unread, unread_max }
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether seven eighths of the limit are held.
    #[inline]
    pub(crate) fn is_scarce(&self) -> bool {
        self.held() >= self.max - self.max / 8
    }

    /// Whether more than the limit is held. Returns by how much more than the fifteen sixteenths that
    /// the largest connections are closed to get below.
    #[inline]
    pub(crate) fn excess(&self) -> Option<usize> {
        let held = self.held();
        (held > self.max).then(|| held - (self.max - self.max / 16))
    }

    /// Connections of another plane held so much and hold so much now.
    pub(crate) fn change_outside(&self, before: usize, now: usize) {
        // Wraps where it has become less, and so does the sum.
        self.held.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Whether a command may be begun, or gone on with, that takes memory.
    pub(crate) fn check(&self) -> Result<(), MemoryFull> {
        match self.is_scarce() {
            true => Err(MemoryFull { held: self.held(), max: self.max }),
            false => Ok(()),
        }
    }

    /// Bytes of replies that may wait for one client now: its own, and as many as are left of the
    /// budget that all share. So one client alone gets half of the budget, two a third each, and
    /// however many there are, all together never have more than it, but for what is their own.
    #[inline]
    pub(crate) fn output_bytes_max(&self) -> usize {
        if self.is_scarce() {
            return OUTPUT_BYTES_SCARCE;
        }
        OUTPUT_BYTES_MAX + self.unread_max.saturating_sub(self.unread.load(Ordering::Relaxed))
    }
}

impl Ledger {
    /// A connection held so much and holds so much now. Its subscriptions are not its own alone: see
    /// [`count_subscriptions`](Ledger::count_subscriptions).
    pub(crate) fn count(&mut self, before: &Held, now: &Held) {
        self.held.replies = self.held.replies + now.replies - before.replies;
        self.held.requests = self.held.requests + now.requests - before.requests;
        self.held.walks = self.held.walks + now.walks - before.walks;
        self.held.parked = self.held.parked + now.parked - before.parked;
    }

    /// What the worker's feed holds now.
    #[inline]
    pub(crate) fn count_subscriptions(&mut self, bytes: usize) {
        self.held.subscriptions = bytes;
    }

    /// The part of some bytes that falls to this worker, by what its connections hold of all.
    pub(crate) fn part_of(&self, bytes: usize, memory: &Memory) -> usize {
        let (held, all) = (self.held.sum() as u128, memory.held().max(1) as u128);
        usize::try_from((bytes as u128 * held).div_ceil(all)).unwrap_or(usize::MAX).min(bytes)
    }

    /// Tells the others, if it has changed much. Returns whether more than the limit is held since.
    #[inline]
    pub(crate) fn tell(&mut self, memory: &Memory, cells: &Cells) -> bool {
        let sum = self.held.sum();
        if sum.abs_diff(self.told) < MEMORY_STEP.min(memory.max / 64) && (sum > 0 || self.told == 0)
        {
            return false;
        }
        let Held { replies, requests, walks, parked, subscriptions } = self.held;
        cells.memory_replies.set(replies as u64);
        cells.memory_requests.set(requests as u64);
        cells.memory_walks.set(walks as u64);
        cells.memory_parked.set(parked as u64);
        cells.memory_subscriptions.set(subscriptions as u64);
        let told_unread = std::mem::replace(&mut self.told_unread, replies);
        memory.unread.fetch_add(replies.wrapping_sub(told_unread), Ordering::Relaxed);
        let told = std::mem::replace(&mut self.told, sum);
        // Wraps where it has become less, and so does the sum.
        let change = sum.wrapping_sub(told);
        let before = memory.held.fetch_add(change, Ordering::Relaxed);
        before <= memory.max && before.wrapping_add(change) > memory.max
    }
}

impl fmt::Display for MemoryFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryFull { held, max } = self;
        write!(
            f,
            "OOM connections hold {held} bytes of {max}, the limit memory_max; raise it, or close \
             those that hold the most: see tot-mem in CLIENT LIST"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_follows_the_ledgers_within_a_step() {
        let (memory, cells) = (Memory::new(1 << 30, 0), Cells::default());
        let mut ledgers = [Ledger::default(), Ledger::default()];
        for round in 1..=100_usize {
            for (index, ledger) in ledgers.iter_mut().enumerate() {
                let before = Held { replies: (round - 1) * 10_000, ..Held::default() };
                let now = Held { replies: round * 10_000, ..Held::default() };
                ledger.count(&before, &now);
                ledger.count_subscriptions(index * round * 100_000);
                assert!(!ledger.tell(&memory, &cells));
            }
            let sum: usize = ledgers.iter().map(|ledger| ledger.held.sum()).sum();
            assert!(sum.abs_diff(memory.held()) < 2 * MEMORY_STEP, "round {round}");
        }
        for ledger in &mut ledgers {
            *ledger =
                Ledger { told: ledger.told, told_unread: ledger.told_unread, ..Ledger::default() };
            ledger.tell(&memory, &cells);
        }
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn memory_is_scarce_before_it_is_full_and_crossing_the_limit_is_said_once() {
        let (memory, cells) = (Memory::new(1 << 20, 0), Cells::default());
        let mut ledger = Ledger::default();
        let mut hold = |bytes| {
            ledger.count_subscriptions(bytes);
            ledger.tell(&memory, &cells)
        };
        assert!(!hold((1 << 20) / 8 * 7 - 1));
        assert_eq!((memory.is_scarce(), memory.excess()), (false, None));
        assert_eq!(memory.output_bytes_max(), OUTPUT_BYTES_MAX);
        assert!(!hold(1 << 20));
        assert_eq!((memory.is_scarce(), memory.excess()), (true, None));
        assert_eq!(memory.output_bytes_max(), OUTPUT_BYTES_SCARCE);
        let refused = memory.check().unwrap_err().to_string();
        assert!(refused.contains("1048576 bytes of 1048576, the limit memory_max"), "{refused}");
        assert!(hold(2 << 20));
        assert_eq!(memory.excess(), Some((1 << 20) + (1 << 20) / 16));
        assert!(!hold(3 << 20));
        assert!(!hold(0));
        assert!(!memory.is_scarce());
    }

    #[test]
    fn clients_that_do_not_read_share_one_budget() {
        const BUDGET: usize = 64 << 20;
        for clients in [1, 2, 10, 100] {
            let memory = Memory::new(1 << 30, BUDGET);
            let cells = Cells::default();
            let mut ledger = Ledger::default();
            let mut unread = vec![0; clients];
            for client in (0..clients).cycle().take(clients * 10_000) {
                // As much as one turn may bring, as long as there is room.
                if unread[client] < memory.output_bytes_max() {
                    let before = Held { replies: unread[client], ..Held::default() };
                    unread[client] += 16 * 1024;
                    ledger.count(&before, &Held { replies: unread[client], ..Held::default() });
                    let _ = ledger.tell(&memory, &cells);
                }
            }
            let own = clients * (OUTPUT_BYTES_MAX + 16 * 1024);
            let sum: usize = unread.iter().sum();
            assert!(sum <= BUDGET + own + MEMORY_STEP, "{clients} clients: {sum}");
            let share = BUDGET / (clients + 1);
            assert!(unread.iter().all(|&own| own >= share), "{clients} clients: {unread:?}");
        }
    }
}
