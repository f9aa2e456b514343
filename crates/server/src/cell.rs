//! A number of one thread that others may read.
//!
//! Invariant: it has one writer. Each number stands alone, so no order between them is kept.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    /// 0.
    pub(crate) const fn new() -> Cell {
        Cell(AtomicU64::new(0))
    }

    /// Adds to the number. Only the one writer may call this: it loads and stores.
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.set(self.get().wrapping_add(count));
    }

    /// Sets the number. Only the one writer may call this.
    #[inline]
    pub(crate) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
