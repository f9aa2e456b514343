//! The market between the reader of a feed and its writer.
//!
//! Invariant: the lock is held for as long as a slice of messages takes to decode, or a batch to be taken; never
//! while a file or a socket is waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use stockd_feeds::{Counts, Market};

#[derive(Debug)]
pub(super) struct Shared {
    market: Mutex<Market>,
    /// Something can be taken, or the feed has ended.
    news: Condvar,
    /// No further message will be applied.
    has_ended: AtomicBool,
    /// Nothing will be written any more.
    is_given_up: AtomicBool,
}

impl Shared {
    pub(super) fn new(market: Market) -> Shared {
        Shared {
            market: Mutex::new(market),
            news: Condvar::new(),
            has_ended: AtomicBool::new(false),
            is_given_up: AtomicBool::new(false),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Market> {
        self.market.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the writer take what has changed.
    pub(super) fn release(&self) {
        let mut market = self.lock();
        market.release();
        if market.has_changes() {
            self.news.notify_one();
        }
    }

    /// Says that no further message will be applied.
    pub(super) fn end(&self) {
        let mut market = self.lock();
        market.release();
        self.has_ended.store(true, Ordering::Relaxed);
        self.news.notify_one();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// The market once something can be taken; `None` once the feed has ended and all was taken.
    pub(super) fn wait(&self) -> Option<MutexGuard<'_, Market>> {
        let is_quiet = |market: &mut Market| !market.has_changes() && !self.has_ended();
        let market = self.news.wait_while(self.lock(), is_quiet);
        let market = market.unwrap_or_else(PoisonError::into_inner);
        market.has_changes().then_some(market)
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts().clone()
    }

    pub(super) fn stocks(&self) -> usize {
        self.lock().stocks().len()
    }
}
