//! Keeps the writes of many threads apart from transactions.
//!
//! In an engine in memory each thread writes for itself, so a transaction, which no other write may
//! interrupt, has to hold the others up. A write *passes* the gate: it announces itself in a cache
//! line of its own thread and looks whether the gate is closed. A transaction *closes* it and waits
//! until no write is under way. Who finds it closed waits in the line of the transactions and is let
//! in as one of them.
//!
//! Who needs no more than that no transaction is half done, such as a snapshot that begins, holds its
//! place in that line without closing the gate.
//!
//! Invariant: while the gate is closed, only the thread that closed it writes.

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::sync::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::sync::{AtomicBool, Mutex, MutexGuard, PoisonError, fence, spin_loop, yield_now};

/// What each write passes.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: AtomicBool,
    /// The line of those who exclude each other, and all threads that write.
    line: Mutex<Vec<Arc<CachePadded<Writer>>>>,
}

/// A thread that writes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// Whether it is at it. It alone changes this.
    writes: AtomicBool,
}

/// The right to write, until it is dropped.
#[derive(Debug)]
pub(crate) enum Pass<'a> {
    /// Beside other writes.
    Announced(&'a Writer),
    /// After a transaction that had closed the gate.
    Queued { _place: Between<'a> },
}

/// The right to be the only one who writes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Closed<'a> {
    gate: &'a Gate,
    _place: Between<'a>,
}

/// No transaction is under way until it is dropped; writes may be.
#[derive(Debug)]
pub(crate) struct Between<'a> {
    writers: MutexGuard<'a, Vec<Arc<CachePadded<Writer>>>>,
}

/// Looks at a write under way before a transaction gives its processor away, which the write may need.
const SPINS_MAX: u32 = 64;

impl Gate {
    /// Makes a thread known that will write.
    pub(crate) fn register(&self) -> Arc<CachePadded<Writer>> {
        let writer = Arc::<CachePadded<Writer>>::default();
        self.between_transactions().writers.push(Arc::clone(&writer));
        writer
    }

    /// Forgets it.
    pub(crate) fn retire(&self, writer: &Arc<CachePadded<Writer>>) {
        self.between_transactions().writers.retain(|other| !Arc::ptr_eq(other, writer));
    }

    /// Lets the writer write, and no transaction begin. It must not have a pass already.
    #[inline]
    pub(crate) fn pass<'a>(&'a self, writer: &'a Writer) -> Pass<'a> {
        writer.writes.store(true, Relaxed);
        // This fence or that of `close` comes first: either we see the gate closed, or we are seen.
        fence(SeqCst);
        if self.closed.load(Acquire) {
            return self.queue(writer);
        }
        Pass::Announced(writer)
    }

    #[cold]
    fn queue<'a>(&'a self, writer: &Writer) -> Pass<'a> {
        writer.writes.store(false, Release);
        Pass::Queued { _place: self.between_transactions() }
    }

    /// Keeps all others from writing, once what they are about to write is written.
    pub(crate) fn close(&self) -> Closed<'_> {
        let place = self.between_transactions();
        self.closed.store(true, Relaxed);
        fence(SeqCst);
        for writer in place.writers.iter() {
            let mut spins = 0;
            while writer.writes.load(Acquire) {
                spins += 1;
                if spins <= SPINS_MAX { spin_loop() } else { yield_now() }
            }
        }
        Closed { gate: self, _place: place }
    }

    /// Waits until no transaction is under way, and keeps the next one from beginning.
    pub(crate) fn between_transactions(&self) -> Between<'_> {
        // The list is whole at any time, so a poisoned lock holds a good one.
        Between { writers: self.line.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl Drop for Pass<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Pass::Announced(writer) = self {
            writer.writes.store(false, Release);
        }
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        // Before its place in the line is given up.
        self.gate.closed.store(false, Release);
    }
}
