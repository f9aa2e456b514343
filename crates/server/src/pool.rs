//! The pool: what the acceptor and the workers know of each other.
//!
//! Invariant: no connection is stranded in the work queue. The thread that pushes onto an empty queue
//! wakes a worker, and a worker that leaves some behind wakes another; so while anything waits, a
//! wake is on its way or a worker is taking. The worker with the fewest connections is woken, and
//! that one is always entitled to at least one of those that wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use mio::Waker;
use stockd_model::limits::TAKES_PER_PASS;

use crate::admission::Accepted;
use crate::metrics::Cells;
use crate::pulse::Pulse;
use crate::queue::{Pushed, WorkQueue};

/// The work queue and the workers that take from it.
#[derive(Debug)]
pub(crate) struct Pool {
    queue: WorkQueue<Accepted>,
    workers: Vec<CachePadded<WorkerHandle>>,
    /// Set once, when the server shuts down and nothing is pushed any more: until when the
    /// workers may take to answer what was asked.
    drain_until: OnceLock<Instant>,
    pulse: Pulse,
}

/// What others see of one worker.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    /// Ends the worker's wait.
    waker: Waker,
    /// Connections it has taken and not closed.
    open: AtomicUsize,
    /// What it counts.
    pub(crate) cells: Cells,
}

impl Pool {
    /// A pool of the workers that these wakers wake, at least one, and an empty work queue.
    pub(crate) fn new(wakers: Vec<Waker>, queue_len_max: usize) -> Arc<Pool> {
        assert!(!wakers.is_empty(), "a pool has a worker");
        let handle = |waker| {
            CachePadded::new(WorkerHandle {
                waker,
                open: AtomicUsize::new(0),
                cells: Cells::default(),
            })
        };
        Arc::new(Pool {
            queue: WorkQueue::new(queue_len_max),
            pulse: Pulse::new(wakers.len()),
            workers: wakers.into_iter().map(handle).collect(),
            drain_until: OnceLock::new(),
        })
    }

    /// Queues a connection for the workers. Gives it back when the queue stayed full for as long
    /// as the patience lasts.
    pub(crate) fn push(&self, accepted: Accepted, patience: Duration) -> Result<(), Accepted> {
        if self.queue.push(accepted, patience)? == Pushed::ToEmpty {
            self.wake_least_loaded();
        }
        Ok(())
    }

    /// Takes a worker's fair share of the queue: as many as bring it up to the average, but no more than
    /// [`TAKES_PER_PASS`].
    pub(crate) fn take(&self, worker: usize, taken: &mut Vec<Accepted>) {
        let handle = &self.workers[worker];
        // The counts move under the lock of the queue, so that a connection is always counted
        // exactly once: as waiting or as taken.
        let left = self.queue.take(
            |waiting| {
                let all = waiting + self.open_per_worker().sum::<usize>();
                let fair = all.div_ceil(self.workers.len());
                let own = handle.open.load(Ordering::Relaxed);
                let share = fair.saturating_sub(own).min(waiting).min(TAKES_PER_PASS);
                handle.open.fetch_add(share, Ordering::Relaxed);
                share
            },
            taken,
        );
        if left > 0 {
            self.wake_least_loaded();
        }
    }

    /// Takes all that waits, whatever the balance.
    pub(crate) fn take_all(&self, worker: usize, taken: &mut Vec<Accepted>) {
        self.queue.take(
            |waiting| {
                let open = &self.workers[worker].open;
                open.fetch_add(waiting, Ordering::Relaxed);
                waiting
            },
            taken,
        );
    }

    /// One of the worker's connections is closed.
    pub(crate) fn closed_one(&self, worker: usize) {
        self.workers[worker].open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Tells all workers to finish until then. Nothing may be pushed after this.
    pub(crate) fn drain(&self, until: Instant) {
        if self.drain_until.set(until).is_ok() {
            self.wake_all();
        }
    }

    /// Until when to finish, once the server shuts down.
    #[inline]
    pub(crate) fn drain_until(&self) -> Option<Instant> {
        self.drain_until.get().copied()
    }

    /// Connections that all workers serve.
    pub(crate) fn open(&self) -> usize {
        self.open_per_worker().sum()
    }

    /// Connections that each worker serves.
    pub(crate) fn open_per_worker(&self) -> impl Iterator<Item = usize> {
        let open = |handle: &CachePadded<WorkerHandle>| handle.open.load(Ordering::Relaxed);
        self.workers.iter().map(open)
    }

    pub(crate) fn queue(&self) -> &WorkQueue<Accepted> {
        &self.queue
    }

    pub(crate) fn cells(&self, worker: usize) -> &Cells {
        &self.workers[worker].cells
    }

    /// Has every worker pass, and returns for how long one has not although it was to.
    pub(crate) fn take_pulse(&self, now: Instant) -> Duration {
        let silence = self.pulse.ask(now);
        self.wake_all();
        silence
    }

    /// A worker that was woken passes.
    pub(crate) fn passes(&self, worker: usize) {
        self.pulse.answer(worker);
    }

    /// Ends a worker's wait.
    pub(crate) fn wake(&self, worker: usize) {
        self.workers[worker].wake();
    }

    /// Ends the waits of all workers.
    pub(crate) fn wake_all(&self) {
        for handle in &self.workers {
            handle.wake();
        }
    }

    fn wake_least_loaded(&self) {
        let load = |handle: &&CachePadded<WorkerHandle>| handle.open.load(Ordering::Relaxed);
        if let Some(handle) = self.workers.iter().min_by_key(load) {
            handle.wake();
        }
    }
}

impl WorkerHandle {
    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!("cannot wake a worker: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Admission;
    use crate::endpoint::{Endpoint, Protocol};
    use mio::{Poll, Token};
    use std::net::{TcpListener, TcpStream};

    /// A pool whose workers never run, and the readiness queues that keep their wakers alive.
    fn idle_pool(workers: usize) -> (Arc<Pool>, Vec<Poll>) {
        let polls: Vec<Poll> = (0..workers).map(|_| Poll::new().unwrap()).collect();
        let waker = |poll: &Poll| Waker::new(poll.registry(), Token(0)).unwrap();
        (Pool::new(polls.iter().map(waker).collect(), 100), polls)
    }

    fn woken(poll: &mut Poll) -> bool {
        let mut events = mio::Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        !events.is_empty()
    }

    fn push(pool: &Pool, count: usize) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let admission = Admission::new(count);
        let endpoint = Arc::new(Endpoint::plain(Protocol::Line, listener.local_addr().unwrap()));
        for _ in 0..count {
            let peer = listener.local_addr().unwrap();
            let accepted = Accepted {
                socket: TcpStream::connect(peer).unwrap().into(),
                peer: peer.into(),
                endpoint: Arc::clone(&endpoint),
                permit: admission.admit().unwrap(),
            };
            pool.push(accepted, Duration::ZERO).unwrap();
        }
    }

    #[test]
    fn workers_take_equal_shares() {
        let (pool, _polls) = idle_pool(3);
        push(&pool, 10);
        let mut taken = Vec::new();
        for (worker, open) in [(0, [4, 0, 0]), (0, [4, 0, 0]), (2, [4, 0, 4]), (1, [4, 2, 4])] {
            pool.take(worker, &mut taken);
            assert!(pool.open_per_worker().eq(open), "{worker}: {pool:?}");
        }
        assert_eq!((taken.len(), pool.queue().len()), (10, 0));
        for _ in 0..4 {
            pool.closed_one(2);
        }
        push(&pool, 2);
        pool.take(2, &mut taken);
        assert!(pool.open_per_worker().eq([4, 2, 2]));
    }

    #[test]
    fn a_worker_that_does_not_pass_is_noticed() {
        let (pool, mut polls) = idle_pool(2);
        let now = Instant::now();
        assert_eq!(pool.take_pulse(now), Duration::ZERO);
        assert!(polls.iter_mut().all(woken), "they are to pass");
        pool.passes(0);
        let minute = Duration::from_secs(60);
        assert_eq!(pool.take_pulse(now + minute), minute);
        pool.passes(0);
        pool.passes(1);
        assert_eq!(pool.take_pulse(now + 2 * minute), Duration::ZERO);
    }

    /// However many come, a worker sees to those it has in between.
    #[test]
    fn a_worker_takes_a_few_at_once_and_is_woken_for_the_rest() {
        let (pool, mut polls) = idle_pool(1);
        push(&pool, TAKES_PER_PASS + 10);
        let mut taken = Vec::new();
        for count in [TAKES_PER_PASS, TAKES_PER_PASS + 10] {
            assert!(woken(&mut polls[0]));
            pool.take(0, &mut taken);
            assert_eq!(taken.len(), count);
        }
        assert!(!woken(&mut polls[0]));
    }

    #[test]
    fn whoever_leaves_some_behind_wakes_the_one_with_the_fewest() {
        let (pool, mut polls) = idle_pool(2);
        push(&pool, 4);
        assert!(woken(&mut polls[0]) && !woken(&mut polls[1]));
        let mut taken = Vec::new();
        pool.take(0, &mut taken);
        assert!(!woken(&mut polls[0]) && woken(&mut polls[1]));
        pool.take(1, &mut taken);
        assert!(!woken(&mut polls[0]) && !woken(&mut polls[1]));
        assert_eq!(taken.len(), 4);
    }
}
