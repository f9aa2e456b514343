//! The thread that prepares the growth of a large catalog.
//!
//! It sleeps until a listing fills half of the rows, has the system hand out the memory of the next
//! block slice by slice, and publishes it; see
//! [`Catalog::grow_ahead`](stockd_catalog::Catalog::grow_ahead). So the threads that list do not wait
//! for gigabytes to be zeroed. It knows nothing else of the engine.
//!
//! Invariant: the catalog needs it for nothing: where it is late or missing, the writer that lists grows the
//! catalog.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};

use stockd_model::limits::GROWTH_SLICE_BYTES;

use crate::market::Market;

/// The thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct Grower {
    /// Taken when it ends.
    thread: Option<JoinHandle<()>>,
    stops: Arc<AtomicBool>,
}

impl Grower {
    /// Starts it; `None` when the system cannot start a thread.
    pub(crate) fn start(market: &Arc<Market>) -> Option<Grower> {
        let stops = Arc::<AtomicBool>::default();
        let (catalog, stop) = (Arc::clone(market), Arc::clone(&stops));
        let thread = thread::Builder::new()
            .name("stockd-grower".to_owned())
            .spawn(move || run(&catalog, &stop))
            .ok()?;
        let sleeping = thread.thread().clone();
        market.catalog.grow_ahead(move || sleeping.unpark());
        Some(Grower { thread: Some(thread), stops })
    }
}

fn run(market: &Market, stops: &AtomicBool) {
    // A wake that comes before the thread sleeps keeps it awake, so none is lost.
    while !stops.load(Relaxed) {
        let Some(growth) = market.catalog.next_growth() else {
            thread::park();
            continue;
        };
        // It does not yield: on a busy machine that would make it late, and then who lists waits.
        while !stops.load(Relaxed) && growth.fault_in(GROWTH_SLICE_BYTES) {}
        growth.publish();
    }
}

impl Drop for Grower {
    fn drop(&mut self) {
        self.stops.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say, even if it has panicked.
            let _ = thread.join();
        }
    }
}
