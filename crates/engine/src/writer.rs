//! How requests reach the journal, and replies come back.
//!
//! A [`Writer`] belongs to one thread that must not wait, such as a worker. It gathers requests,
//! hands them to the journal a parcel at a time, and later takes the replies. The lock of the queue
//! and that of an inbox are each held for a push or a take, and nothing is locked under them.
//!
//! Invariant: the requests of one writer are executed in the order in which it submitted them, each
//! is answered once, and the replies come in that order.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stockd_model::limits::JOURNAL_REQUESTS_MAX;
use stockd_model::{Reply, Request};

use crate::inbox::Inbox;

/// Where the replies for one writer arrive.
type Replies = Inbox<Vec<(ReplyTo, Reply)>>;

/// What a writer wants back with a reply, to know whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo(pub u64);

/// Hands the requests of one thread to the journal, from [`Engine::writer`](crate::Engine::writer).
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Queue>,
    inbox: Arc<Replies>,
    /// Submitted and not handed over.
    gathered: Vec<(ReplyTo, Request)>,
    /// Submitted and not answered.
    unanswered: usize,
}

/// What waits for the journal. Bounded by what each writer may have unanswered.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    parcels: Vec<Parcel>,
    closed: bool,
}

/// Some requests of one writer.
#[derive(Debug)]
pub(crate) struct Parcel {
    to: Arc<Replies>,
    pub(crate) requests: Vec<(ReplyTo, Request)>,
}

impl Writer {
    pub(crate) fn new(queue: Arc<Queue>, wake: impl Fn() + Send + Sync + 'static) -> Writer {
        let inbox = Arc::new(Inbox::new(Vec::new(), wake));
        Writer { queue, inbox, gathered: Vec::new(), unanswered: 0 }
    }

    /// Whether fewer than [`JOURNAL_REQUESTS_MAX`] requests are unanswered.
    pub fn has_room(&self) -> bool {
        self.unanswered < JOURNAL_REQUESTS_MAX
    }

    /// Whether all that was submitted is answered.
    pub fn is_answered(&self) -> bool {
        self.unanswered == 0
    }

    /// Gathers a request, a lookup too: it is answered in its turn.
    pub fn submit(&mut self, to: ReplyTo, request: Request) {
        self.gathered.push((to, request));
        self.unanswered += 1;
    }

    /// Hands over what was gathered.
    #[inline]
    pub fn flush(&mut self) {
        if !self.gathered.is_empty() {
            self.hand_over();
        }
    }

    #[cold]
    fn hand_over(&mut self) {
        let requests = std::mem::take(&mut self.gathered);
        let parcel = Parcel { to: Arc::clone(&self.inbox), requests };
        // Refused when the journal has ended: it was told to, so nobody waits for replies.
        if let Err(parcel) = self.queue.push(parcel) {
            self.unanswered -= parcel.requests.len();
        }
    }

    /// Takes all replies that have come, in exchange for an empty vector.
    pub fn take(&mut self, empty: Vec<(ReplyTo, Reply)>) -> Vec<(ReplyTo, Reply)> {
        debug_assert!(empty.is_empty());
        let replies = self.inbox.take(empty);
        self.unanswered -= replies.len();
        replies
    }
}

impl Parcel {
    /// Delivers the replies to its requests.
    pub(crate) fn answer(self, replies: Vec<(ReplyTo, Reply)>) {
        self.to.leave(|all| {
            all.extend(replies);
            true
        });
    }
}

impl Queue {
    /// Gives the parcel back when the queue is closed.
    fn push(&self, parcel: Parcel) -> Result<(), Parcel> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(parcel);
        }
        waiting.parcels.push(parcel);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for parcels, until a moment if one is given, and takes all. `None` when the queue is
    /// closed and empty.
    pub(crate) fn take(&self, until: Option<Instant>) -> Option<Vec<Parcel>> {
        let mut waiting = self.lock();
        while waiting.parcels.is_empty() {
            if waiting.closed {
                return None;
            }
            let patience = until.map(|until| until.saturating_duration_since(Instant::now()));
            waiting = match patience {
                Some(Duration::ZERO) => return Some(Vec::new()),
                Some(patience) => {
                    let (waiting, _) = self
                        .filled
                        .wait_timeout(waiting, patience)
                        .unwrap_or_else(PoisonError::into_inner);
                    waiting
                }
                None => self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
        Some(std::mem::take(&mut waiting.parcels))
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A push or a take is complete or has not begun, so a poisoned lock holds good parcels.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
