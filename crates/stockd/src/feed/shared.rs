//! The market between the reader of a feed and its writer.
//!
//! Invariant: the lock is held for as long as a slice of messages takes to decode, or a batch to be taken; never
//! while a file or a socket is waited for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use stockd_feeds::{Counts, Market};

#[derive(Debug)]
pub(super) struct Shared {
    market: Mutex<Market>,
    /// Something can be taken, or the feed has ended.
    news: Condvar,
    /// No further message will be applied, and why.
    ended: OnceLock<Ended>,
    /// Nothing will be written any more.
    is_given_up: AtomicBool,
    begun: Instant,
    /// Nanoseconds from the beginning to the last sign of life of the source.
    heard_ns: AtomicU64,
}

/// How a feed has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// At its own end.
    Well,
    /// Before that, since it is damaged or was refused.
    Badly,
    /// Before that, as somebody asked for.
    Interrupted,
}

/// What waiting has brought.
pub(super) enum Waited<'a> {
    /// Something can be taken.
    Changes(MutexGuard<'a, Market>),
    /// Nothing, in all the time.
    Nothing,
    /// The feed has ended and all was taken.
    Ended,
}

impl Shared {
    pub(super) fn new(market: Market) -> Shared {
        Shared {
            market: Mutex::new(market),
            news: Condvar::new(),
            ended: OnceLock::new(),
            is_given_up: AtomicBool::new(false),
            begun: Instant::now(),
            heard_ns: AtomicU64::new(0),
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

    /// The source has shown that it lives: bytes came, or it is being waited for as its times say.
    pub(super) fn heard(&self) {
        let ns = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.heard_ns.store(ns, Ordering::Relaxed);
    }

    /// When the source last showed that it lives.
    pub(super) fn last_heard(&self) -> Instant {
        let since = Duration::from_nanos(self.heard_ns.load(Ordering::Relaxed));
        self.begun.checked_add(since).unwrap_or(self.begun)
    }

    /// How long ago that was.
    pub(super) fn silence(&self) -> Duration {
        self.last_heard().elapsed()
    }

    /// Says, once, that no further message will be applied, and why.
    pub(super) fn end(&self, ended: Ended) {
        let mut market = self.lock();
        market.release();
        let is_first = self.ended.set(ended).is_ok();
        debug_assert!(is_first, "a feed ends once");
        self.news.notify_one();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    pub(super) fn has_ended_well(&self) -> bool {
        self.ended.get() == Some(&Ended::Well)
    }

    /// Rests for this time. Where the feed is interrupted before, that is over at once, and true.
    pub(super) fn is_interrupted_within(&self, patience: Duration) -> bool {
        let is_interrupted = || self.ended.get() == Some(&Ended::Interrupted);
        let rest = self.news.wait_timeout_while(self.lock(), patience, |_| !is_interrupted());
        drop(rest);
        is_interrupted()
    }

    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// Waits until something can be taken, or the feed has ended, for `patience` at most.
    pub(super) fn wait(&self, patience: Duration) -> Waited<'_> {
        let is_quiet = |market: &mut Market| !market.has_changes() && !self.has_ended();
        let waited = self.news.wait_timeout_while(self.lock(), patience, is_quiet);
        let (market, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match market.has_changes() {
            true => Waited::Changes(market),
            false if self.has_ended() => Waited::Ended,
            false => Waited::Nothing,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts().clone()
    }

    pub(super) fn gaps(&self) -> u64 {
        self.lock().counts().gaps
    }

    pub(super) fn stocks(&self) -> usize {
        self.lock().stocks().len()
    }
}
