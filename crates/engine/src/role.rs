//! Which thread works off a queue: one of those that fill it, or the one that always does.
//!
//! The *regular* thread waits for what lies in the queue. A thread that has put something there may work it off
//! itself, if no other is at it. It takes from the queue while it has the role, as the regular thread does: so what one
//! thread puts there is worked off in its order, whichever thread does it. It knows neither what lies there nor the work.
//!
//! A lock is given to whoever comes first when it is free, and threads that have the role again and again come before one
//! that has to be woken. So the regular thread *claims* the role for what it alone does, and the others leave it to it then.
//!
//! Invariant: while something lies in the queue, a thread that is about to take the role will look there, or the
//! regular thread was woken after it was put there.

use std::fmt;
use std::sync::Arc;

use crate::sync::Ordering::Relaxed;
use crate::sync::{AtomicBool, Mutex, MutexGuard};
use crate::write_queue::WriteQueue;

/// A queue, and what it is worked off with.
pub(crate) struct Role<B, W> {
    queue: Arc<WriteQueue<B>>,
    held: Arc<Held<W>>,
}

/// What the thread has that has the role.
struct Held<W> {
    /// None once the regular thread has ended.
    work: Mutex<Option<W>>,
    /// Whether the regular thread claims the role. No data follows it: who reads an old value tries in vain, or leaves to
    /// the regular thread what it could have done itself.
    is_claimed: AtomicBool,
}

impl<B, W> Role<B, W> {
    pub(crate) fn new(queue: Arc<WriteQueue<B>>, work: W) -> Role<B, W> {
        let (work, is_claimed) = (Mutex::new(Some(work)), AtomicBool::new(false));
        Role { queue, held: Arc::new(Held { work, is_claimed }) }
    }

    /// Works off what lies in the queue, if no other thread is at it or claims to be, and `may` says so. Else wakes the
    /// regular thread, which is to do it. The caller has put something there and has woken no thread.
    pub(crate) fn work_if_free(
        &self,
        may: impl FnOnce(&W) -> bool,
        work_off: impl FnOnce(&mut W, Vec<B>),
    ) {
        if !self.held.is_claimed.load(Relaxed)
            && let Ok(mut work) = self.held.work.try_lock()
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

    /// Takes the role and what lies in the queue, when the regular thread was woken; it may claim the role. `None` once the
    /// role has ended.
    pub(crate) fn work_off<R>(
        &self,
        claims: bool,
        work_off: impl FnOnce(&mut W, Vec<B>) -> R,
    ) -> Option<R> {
        self.held.is_claimed.store(claims, Relaxed);
        let mut work = self.lock();
        self.held.is_claimed.store(false, Relaxed);
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
        self.held.work.lock().expect("who had the role has panicked")
    }
}

impl<B, W> Clone for Role<B, W> {
    fn clone(&self) -> Role<B, W> {
        Role { queue: Arc::clone(&self.queue), held: Arc::clone(&self.held) }
    }
}

impl<B, W> fmt::Debug for Role<B, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Role").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    /// Once a busy server began its checkpoint only when the log was full, and writes waited for that: the committer
    /// woke for it each second, and a worker that did one round after the other had the role again before it.
    #[test]
    fn who_has_the_role_again_and_again_leaves_it_to_who_claims_it() {
        let role: Role<u32, ()> = Role::new(Arc::default(), ());
        let tried = Arc::new(Barrier::new(2));
        let regular = {
            let (role, tried) = (role.clone(), Arc::clone(&tried));
            thread::spawn(move || role.work_off(true, |(), _| tried.wait()))
        };
        let mut worked_off = Vec::new();
        let until_claimed = || {
            while !role.held.is_claimed.load(Relaxed) {
                thread::yield_now();
            }
        };
        role.queue().push(0).unwrap();
        role.work_if_free(
            |()| true,
            |(), numbers| {
                worked_off.extend(numbers);
                until_claimed();
            },
        );
        for number in 1..1000 {
            role.queue().push(number).unwrap();
            role.work_if_free(|()| true, |(), numbers| worked_off.extend(numbers));
        }
        tried.wait();
        assert!(regular.join().unwrap().is_some());
        assert!(worked_off.len() <= 1, "{worked_off:?}");
    }
}
