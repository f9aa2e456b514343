//! Which of two threads drives a worker, so that one of them may wait for the disk.
//!
//! The *driver* has the worker and gives it passes. When one leaves nothing to do but a commit, the driver lays
//! the worker down here, commits, and picks it up again. While that happens the *second* thread looks here
//! every [`SEAT_LOOK_INTERVAL`]. A worker that has lain here from one look to the next, it takes, and drives it from
//! then on; the first thread, when the disk has answered, is the second.
//!
//! ```text
//!             pass ──► pass ──► lay down ──► commit ──► pick up ──► pass …       one thread, a quick disk
//!                                  │            │
//!                                  │            └─────────► the worker is gone: look …
//!          look ──► look ──► look ─┴─► take ──► pass ──► pass …                  the other
//! ```
//!
//! So what the other clients of a worker wait for a disk is bounded. It knows no connections.
//!
//! Invariant: one thread at a time has the worker, or it lies here.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use stockd_engine::CommitRole;
use stockd_model::limits::{SEAT_LOOK_INTERVAL, SEAT_LOOKS_IDLE};

use crate::worker::{Passed, Worker};

/// Where a worker lies while its driver commits.
#[derive(Debug)]
pub(crate) struct Seat {
    /// What its driver commits with; without it, it never does.
    role: Option<CommitRole>,
    state: Mutex<State>,
    /// The second thread has something to look at, or the worker has ended.
    called: Condvar,
}

#[derive(Debug, Default)]
struct State {
    worker: Option<Box<Worker>>,
    /// How often it was laid down.
    laid_down: u64,
    /// Whether the second thread looks at intervals.
    is_watched: bool,
    has_ended: bool,
}

impl Seat {
    pub(crate) fn new(role: Option<CommitRole>) -> Seat {
        Seat { role, state: Mutex::default(), called: Condvar::new() }
    }

    /// Whether a second thread is needed.
    pub(crate) fn has_second(&self) -> bool {
        self.role.is_some()
    }

    /// Drives the worker, from now on or from when its driver is held up. Returns what
    /// [`Worker::pass`] does at its end, to the thread that came to it.
    pub(crate) fn drive(&self, worker: Option<Box<Worker>>) -> Option<usize> {
        let _ends = Ends(self);
        let mut has = worker;
        loop {
            let mut worker = match has.take() {
                Some(worker) => worker,
                None => self.wait_for_worker()?,
            };
            match (worker.pass(), &self.role) {
                (Passed::Ended { unfinished }, _) => return Some(unfinished),
                (Passed::Commit, Some(role)) => {
                    self.lay_down(worker);
                    role.commit();
                    has = self.lock().worker.take();
                }
                (Passed::On, _) | (Passed::Commit, None) => has = Some(worker),
            }
        }
    }

    /// Waits until no thread drives the worker any more.
    pub(crate) fn wait_until_ended(&self) {
        let mut state = self.lock();
        while !state.has_ended {
            state = self.called.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lay_down(&self, worker: Box<Worker>) {
        let mut state = self.lock();
        state.worker = Some(worker);
        state.laid_down += 1;
        if !std::mem::replace(&mut state.is_watched, true) {
            self.called.notify_all();
        }
    }

    /// What the second thread does until it has the worker; `None` when that has ended.
    fn wait_for_worker(&self) -> Option<Box<Worker>> {
        let mut state = self.lock();
        let mut idle = 0;
        while !state.has_ended {
            if !state.is_watched {
                state = self.called.wait(state).unwrap_or_else(PoisonError::into_inner);
                idle = 0;
                continue;
            }
            let before = state.laid_down;
            let waited = self.called.wait_timeout(state, SEAT_LOOK_INTERVAL);
            let timed_out;
            (state, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
            if state.laid_down != before {
                idle = 0;
            } else if timed_out.timed_out() {
                if let Some(mut worker) = state.worker.take() {
                    tracing::debug!("the disk is slow: another thread goes on with a worker");
                    worker.is_taken_over(Instant::now());
                    return Some(worker);
                }
                idle += 1;
                state.is_watched = idle < SEAT_LOOKS_IDLE;
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of it is one assignment, or two of which either may be missing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the other thread that the worker has ended, well or not.
struct Ends<'a>(&'a Seat);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.called.notify_all();
    }
}
