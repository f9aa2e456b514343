//! The work queue: where accepted connections wait for a worker.
//!
//! Invariant: it never holds more than its bound, what it holds is taken in the order it came,
//! and its lock is held only to push or take. The length beside the lock lets others see at no
//! cost whether there is anything to take.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A bounded queue of what waits for a worker.
#[derive(Debug)]
pub(crate) struct WorkQueue<T> {
    waiting: Mutex<VecDeque<T>>,
    /// Told when a full queue has room again.
    room: Condvar,
    len: AtomicUsize,
    len_peak: AtomicUsize,
    len_max: usize,
}

/// What a push has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Nothing waited before: somebody has to be told.
    ToEmpty,
    /// Others wait already.
    BehindOthers,
}

impl<T> WorkQueue<T> {
    pub(crate) fn new(len_max: usize) -> WorkQueue<T> {
        WorkQueue {
            waiting: Mutex::new(VecDeque::with_capacity(len_max)),
            room: Condvar::new(),
            len: AtomicUsize::new(0),
            len_peak: AtomicUsize::new(0),
            len_max,
        }
    }

    /// Puts one more at the end. Waits for room in a full queue, but not longer than the
    /// patience; then it gives the item back.
    pub(crate) fn push(&self, item: T, patience: Duration) -> Result<Pushed, T> {
        let mut waiting = self.lock();
        if waiting.len() >= self.len_max && !patience.is_zero() {
            (waiting, _) = self
                .room
                .wait_timeout_while(waiting, patience, |waiting| waiting.len() >= self.len_max)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.len() >= self.len_max {
            return Err(item);
        }
        waiting.push_back(item);
        self.len.store(waiting.len(), Ordering::Relaxed);
        self.len_peak.fetch_max(waiting.len(), Ordering::Relaxed);
        Ok(match waiting.len() {
            1 => Pushed::ToEmpty,
            _ => Pushed::BehindOthers,
        })
    }

    /// Takes from the front as many as `share` says when it is told how many wait, into `taken`.
    /// Returns how many still wait. `share` runs under the lock and must be short.
    pub(crate) fn take(&self, share: impl FnOnce(usize) -> usize, taken: &mut Vec<T>) -> usize {
        let mut waiting = self.lock();
        let was_full = waiting.len() >= self.len_max;
        let count = share(waiting.len()).min(waiting.len());
        taken.extend(waiting.drain(..count));
        self.len.store(waiting.len(), Ordering::Relaxed);
        if was_full && count > 0 {
            self.room.notify_one();
        }
        waiting.len()
    }

    /// How many wait. Without the lock, so it may be out of date at once.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// The most that ever waited at once.
    pub(crate) fn len_peak(&self) -> usize {
        self.len_peak.load(Ordering::Relaxed)
    }

    /// The bound.
    pub(crate) fn len_max(&self) -> usize {
        self.len_max
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        // Every change of the queue is complete or not begun, so a poisoned lock holds good data.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const NO_PATIENCE: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_came_first_is_taken_first() {
        let queue = WorkQueue::new(10);
        assert_eq!(queue.push(1, NO_PATIENCE), Ok(Pushed::ToEmpty));
        assert_eq!(queue.push(2, NO_PATIENCE), Ok(Pushed::BehindOthers));
        assert_eq!(queue.push(3, NO_PATIENCE), Ok(Pushed::BehindOthers));
        let mut taken = Vec::new();
        assert_eq!(queue.take(|waiting| waiting - 1, &mut taken), 1);
        assert_eq!(taken, [1, 2]);
        assert_eq!(queue.take(|_| 100, &mut taken), 0);
        assert_eq!(taken, [1, 2, 3]);
        assert_eq!((queue.len(), queue.len_peak()), (0, 3));
    }

    #[test]
    fn a_full_queue_gives_back_what_is_pushed() {
        let queue = WorkQueue::new(1);
        assert_eq!(queue.push('a', NO_PATIENCE), Ok(Pushed::ToEmpty));
        assert_eq!(queue.push('b', NO_PATIENCE), Err('b'));
        assert_eq!(queue.push('c', Duration::from_millis(1)), Err('c'));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_push_that_waits_for_room_goes_on_when_there_is_some() {
        let queue = WorkQueue::new(2);
        let total = 1000;
        let mut taken = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                for item in 0..total {
                    queue.push(item, LONG).unwrap();
                }
            });
            while taken.len() < total {
                queue.take(|waiting| waiting, &mut taken);
                thread::yield_now();
            }
        });
        assert_eq!(taken, (0..total).collect::<Vec<_>>());
        assert!(queue.len_peak() <= 2);
    }
}
