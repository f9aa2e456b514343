//! Which thread works off a queue: one of those that fill it, or the one that always does.
//!
//! The *regular* thread waits for what lies in the queue. A thread that has put something there may work it off
//! itself, if no other is at it. It takes from the queue while it has the role, as the regular thread does: so what one
//! thread puts there is worked off in its order, whichever thread does it. It knows neither what lies there nor the work.
//!
//! Invariant: while something lies in the queue, a thread that is about to take the role will look there, or the
//! regular thread was woken after it was put there.

use std::fmt;
use std::sync::Arc;

use crate::sync::{Mutex, MutexGuard};
use crate::write_queue::WriteQueue;

/// A queue, and what it is worked off with.
pub(crate) struct Role<B, W> {
    queue: Arc<WriteQueue<B>>,
    /// None once the regular thread has ended.
    work: Arc<Mutex<Option<W>>>,
}

impl<B, W> Role<B, W> {
    pub(crate) fn new(queue: Arc<WriteQueue<B>>, work: W) -> Role<B, W> {
        Role { queue, work: Arc::new(Mutex::new(Some(work))) }
    }

    /// Works off what lies in the queue, if no other thread is at it and `may` says so. Else wakes the regular thread, which
    /// is to do it. The caller has put something there and has woken no thread.
    pub(crate) fn work_if_free(
        &self,
        may: impl FnOnce(&W) -> bool,
        work_off: impl FnOnce(&mut W, Vec<B>),
    ) {
        if let Ok(mut work) = self.work.try_lock()
            && let Some(work) = work.as_mut()
            && may(work)
        {
            let batches = self.queue.take_now();
            if !batches.is_empty() {
                work_off(work, batches);
            }
            return;
        }
        // The thread that has the role may have looked already.
        self.queue.notify();
    }

    /// Takes the role and what lies in the queue, when the regular thread was woken for it. `None` once it has ended.
    pub(crate) fn work_off<R>(&self, work_off: impl FnOnce(&mut W, Vec<B>) -> R) -> Option<R> {
        let mut work = self.lock();
        let work = work.as_mut()?;
        Some(work_off(work, self.queue.take_now()))
    }

    /// Ends the role: what is put into the queue from now on stays there.
    pub(crate) fn end(&self) -> Option<W> {
        self.lock().take()
    }

    pub(crate) fn queue(&self) -> &WriteQueue<B> {
        &self.queue
    }

    fn lock(&self) -> MutexGuard<'_, Option<W>> {
        // What a thread has left that panicked may be half of its work.
        self.work.lock().expect("who had the role has panicked")
    }
}

impl<B, W> Clone for Role<B, W> {
    fn clone(&self) -> Role<B, W> {
        Role { queue: Arc::clone(&self.queue), work: Arc::clone(&self.work) }
    }
}

impl<B, W> fmt::Debug for Role<B, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Role").finish_non_exhaustive()
    }
}
