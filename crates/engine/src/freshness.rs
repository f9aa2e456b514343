//! The thread that looks after the feeds that clients open.
//!
//! It sleeps until one of them may have grown stale, or has changed, and marks their stocks a few rows at a
//! time. It starts with the first feed: an engine without feeds has no such thread. It knows nothing else of
//! the engine.
//!
//! Invariant: the states of feeds are right without it, but for those that grow stale.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::feeding::Look;
use crate::market::Market;

/// The thread, once it is needed, until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    thread: Mutex<Option<JoinHandle<()>>>,
    stops: Arc<AtomicBool>,
}

impl Freshness {
    /// Starts the thread if there is none.
    pub(crate) fn start(&self, market: &Arc<Market>) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_some() {
            return;
        }
        let (looked_after, stops) = (Arc::clone(market), Arc::clone(&self.stops));
        let started = thread::Builder::new()
            .name("stockd-freshness".to_owned())
            .spawn(move || run(&looked_after, &stops));
        match started {
            Ok(started) => {
                let sleeping = started.thread().clone();
                market.sources.wake_with(move || sleeping.unpark());
                *thread = Some(started);
            }
            Err(error) => {
                tracing::error!("feeds will not grow stale: cannot start a thread: {error}");
            }
        }
    }
}

fn run(market: &Market, stops: &AtomicBool) {
    // A wake that comes before the thread sleeps keeps it awake, so none is lost.
    while !stops.load(Relaxed) {
        match market.look_after_sources(Instant::now()) {
            Look::Now => thread::yield_now(),
            Look::At(then) => {
                thread::park_timeout(then.saturating_duration_since(Instant::now()));
            }
            Look::Never => thread::park(),
        }
    }
}

impl Drop for Freshness {
    fn drop(&mut self) {
        self.stops.store(true, Relaxed);
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            thread.thread().unpark();
            // It has nothing to say, even if it has panicked.
            let _ = thread.join();
        }
    }
}
