//! What the engine counts.
//!
//! Each executor counts in a cache line of its own, so that counting writes nothing that threads
//! share. A reader of the totals sums them up.
//!
//! Invariant: each cell has one writer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_utils::CachePadded;

/// Declares the counters once: their names and meanings, the per-executor cells and the totals.
macro_rules! counters {
    ($($(#[$meaning:meta])* $name:ident,)*) => {
        /// What the engine has done since it was made, or what one batch did.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$meaning])* pub $name: u64,)*
        }

        /// The cells of one executor. One thread writes them, any thread reads them.
        #[derive(Debug, Default)]
        pub(crate) struct Cells {
            $($name: AtomicU64,)*
        }

        impl Cells {
            /// Adds what one batch did. Only the one writer may call this: it loads and stores.
            pub(crate) fn add(&self, batch: &Totals) {
                $(if batch.$name != 0 {
                    let sum = self.$name.load(Ordering::Relaxed).wrapping_add(batch.$name);
                    self.$name.store(sum, Ordering::Relaxed);
                })*
            }

            fn totals(&self) -> Totals {
                Totals { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl Totals {
            fn add(&mut self, other: &Totals) {
                $(self.$name = self.$name.wrapping_add(other.$name);)*
            }
        }
    };
}

counters! {
    /// Lookups that found a listed stock.
    hits,
    /// Lookups that found none; those of impossible names, too.
    misses,
    /// Stocks listed.
    listings,
    /// Updates of listed stocks, trades apart.
    updates,
    /// Trades.
    trades,
    /// Stocks delisted.
    delistings,
    /// Writes refused, for whatever reason.
    refusals,
    /// Of these: because the stock has a later time.
    refused_late,
    /// Of these: because a condition of the write does not hold.
    refused_condition,
    /// Of these: because the stock is not listed, and the write does not list it.
    refused_not_listed,
    /// Of these: because the stock is halted.
    refused_halted,
    /// Of these: because the volume is absent, too low or would be too high.
    refused_volume,
    /// Of these: because there is no room for another stock.
    refused_full,
    /// Of these: because the disk does not keep it.
    refused_storage,
    /// Requests and transactions refused because the client may not do that, lookups included.
    not_permitted,
    /// Transactions executed.
    transactions,
    /// Transactions that were not executed, and writes that were refused, because a stock was not as
    /// it was to be.
    conflicts,
}

impl Cells {
    /// Adds one update, as [`add`](Cells::add) does.
    #[inline]
    pub(crate) fn add_update(&self) {
        let sum = self.updates.load(Ordering::Relaxed).wrapping_add(1);
        self.updates.store(sum, Ordering::Relaxed);
    }

    /// Adds the lookups of one batch, found or not, as [`add`](Cells::add) does.
    #[inline]
    pub(crate) fn add_lookups(&self, hits: u64, misses: u64) {
        for (cell, more) in [(&self.hits, hits), (&self.misses, misses)] {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        }
    }
}

impl Totals {
    /// All lookups, found or not.
    pub fn lookups(&self) -> u64 {
        self.hits.wrapping_add(self.misses)
    }
}

/// The cells of all executors.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<Registered>);

#[derive(Debug, Default)]
struct Registered {
    live: Vec<Arc<CachePadded<Cells>>>,
    /// What executors counted that are gone.
    retired: Totals,
}

impl Registry {
    pub(crate) fn register(&self) -> Arc<CachePadded<Cells>> {
        let cells = Arc::<CachePadded<Cells>>::default();
        self.lock().live.push(Arc::clone(&cells));
        cells
    }

    pub(crate) fn retire(&self, cells: &Arc<CachePadded<Cells>>) {
        let mut registered = self.lock();
        registered.retired.add(&cells.totals());
        registered.live.retain(|live| !Arc::ptr_eq(live, cells));
    }

    pub(crate) fn totals(&self) -> Totals {
        let registered = self.lock();
        let mut totals = registered.retired;
        for cells in &registered.live {
            totals.add(&cells.totals());
        }
        totals
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registered> {
        // Every update of the list is complete or not begun, so a poisoned lock holds good data.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
