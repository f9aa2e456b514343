//! Where threads leave something for one that must not wait for it: marks for a watcher, replies
//! for a writer.
//!
//! A thread that leaves something wakes the owner, unless it has been woken and has not looked since, or has
//! said that it is going to look.
//! Nothing is locked under the lock of an inbox.
//!
//! Invariant: while something lies here, the owner has been woken, or has said that it is going to look, and has
//! yet to take it.

use std::fmt;

use crate::sync::Ordering::{Acquire, Release};
use crate::sync::{AtomicBool, Mutex, MutexGuard, PoisonError};

/// Something that grows until its owner takes it.
pub(crate) struct Inbox<T> {
    contents: Mutex<T>,
    /// Whether the owner has been woken, or is going to look, and has not looked since.
    woken: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl<T> Inbox<T> {
    /// An inbox whose owner `wake` wakes. It is called by the thread that leaves something, at most once
    /// until the owner looks, and must be quick.
    pub(crate) fn new(empty: T, wake: impl Fn() + Send + Sync + 'static) -> Inbox<T> {
        let woken = AtomicBool::new(false);
        Inbox { contents: Mutex::new(empty), woken, wake: Box::new(wake) }
    }

    /// Leaves what `leave` adds. It returns whether that is more than was there before.
    pub(crate) fn leave(&self, leave: impl FnOnce(&mut T) -> bool) {
        let is_more = leave(&mut self.lock());
        if is_more && !self.woken.swap(true, Acquire) {
            (self.wake)();
        }
    }

    /// The owner is going to take without being woken: until then it is not woken.
    pub(crate) fn expect(&self) {
        self.woken.swap(true, Acquire);
    }

    /// Takes all that lies here, in exchange for something empty.
    pub(crate) fn take(&self, empty: T) -> T {
        // First this, then the contents: a thread that finds the flag still set has left its part before
        // they are taken. A swap like theirs, so that the model checker sees all changes of the flag
        // in one order, as they are; the lock costs as much.
        self.woken.swap(false, Release);
        std::mem::replace(&mut *self.lock(), empty)
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // An addition is complete or has not begun, so a poisoned lock holds good contents.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("woken", &self.woken).finish_non_exhaustive()
    }
}
