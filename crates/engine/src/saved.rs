//! Quotes of the past that snapshots still need.
//!
//! While a [snapshot](crate::Snapshot) is being read, a write to a stock that it has not come to
//! yet first saves the quote that it replaces. Which rows a snapshot has read is all that is known
//! of it here.
//!
//! Invariant: a stock's first change after a snapshot began, and before the snapshot came to it,
//! has saved the stock's quote. What is saved is one quote for each stock that changes meanwhile,
//! at most, for each snapshot.
//!
//! A write pays one load while no snapshot is being read.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use stockd_model::limits::SNAPSHOTS_MAX;
use stockd_model::{Quote, Symbol};

/// What was saved, for all snapshots being read.
#[derive(Debug, Default)]
pub(crate) struct SavedQuotes {
    all: RwLock<Vec<Arc<Mutex<Saved>>>>,
    /// The number of snapshots. While it is 0, writes look no further.
    len: AtomicUsize,
}

/// The quotes of the past by place, `None` for stocks that were not listed.
pub(crate) type Past = BTreeMap<u64, Vec<(Symbol, Option<Quote>)>>;

/// What was saved for one snapshot.
#[derive(Debug)]
pub(crate) struct Saved {
    /// Where the snapshot reads on: it has read the stocks at all places before this one. `None`
    /// when it has read all.
    from: Option<u64>,
    quotes: Past,
}

impl SavedQuotes {
    /// Begins to save for one more snapshot; `None` when [`SNAPSHOTS_MAX`] are being read.
    pub(crate) fn begin(&self) -> Option<Arc<Mutex<Saved>>> {
        let mut all = self.write();
        if all.len() >= SNAPSHOTS_MAX {
            return None;
        }
        let saved = Arc::new(Mutex::new(Saved { from: Some(0), quotes: Past::new() }));
        all.push(Arc::clone(&saved));
        self.len.store(all.len(), SeqCst);
        Some(saved)
    }

    /// Saves for this snapshot no more.
    pub(crate) fn end(&self, ended: &Arc<Mutex<Saved>>) {
        let mut all = self.write();
        all.retain(|saved| !Arc::ptr_eq(saved, ended));
        self.len.store(all.len(), SeqCst);
    }

    /// Saves the quote of a stock that is about to change. Called with the row locked, so that the
    /// old quote is saved before any reader can see the new one.
    #[inline]
    pub(crate) fn save(&self, symbol: &Symbol, place: impl Fn() -> u64, quote: Option<&Quote>) {
        if self.len.load(Relaxed) > 0 {
            self.save_for_all(symbol, place(), quote);
        }
    }

    #[cold]
    fn save_for_all(&self, symbol: &Symbol, place: u64, quote: Option<&Quote>) {
        for saved in self.all.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let mut saved = lock(saved);
            if saved.from.is_some_and(|from| from <= place) {
                let here = saved.quotes.entry(place).or_default();
                if here.iter().all(|(other, _)| other != symbol) {
                    here.push((*symbol, quote.copied()));
                }
            }
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Arc<Mutex<Saved>>>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Saved {
    /// Takes what was saved at the places before `next`, where the snapshot reads on.
    pub(crate) fn take_before(saved: &Mutex<Saved>, next: Option<u64>) -> Past {
        let mut saved = lock(saved);
        saved.from = next;
        let later = next.map(|next| saved.quotes.split_off(&next)).unwrap_or_default();
        std::mem::replace(&mut saved.quotes, later)
    }
}

fn lock(saved: &Mutex<Saved>) -> MutexGuard<'_, Saved> {
    // An insertion is complete or has not begun, so a poisoned lock holds good quotes.
    saved.lock().unwrap_or_else(PoisonError::into_inner)
}
