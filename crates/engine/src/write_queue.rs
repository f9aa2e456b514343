//! How requests reach the committer, and how replies come back.
//!
//! A [`WriteHandle`] belongs to one thread that must not wait, such as a worker. It gathers
//! requests, hands them to the committer one batch at a time, and takes the replies later. It knows
//! nothing of connections: a [`ReplyTo`] comes back with each reply and means something to its
//! owner alone. The lock of the queue and that of an inbox are each held for a push or a take, and
//! nothing is locked under them.
//!
//! Invariant: the requests of one handle are executed in the order in which they were submitted,
//! each is answered once, and the replies come in that order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stockd_access::Access;
use stockd_model::limits::COMMIT_QUEUE_REQUESTS_MAX;
use stockd_model::{Conditional, Reply, Request};

use crate::inbox::Inbox;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use crate::transaction::{Outcome, Transaction};

/// Where the replies for one handle arrive.
type Replies = Inbox<Vec<(ReplyTo, Answered)>>;

/// Comes back with a reply, so that its owner knows whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo(pub u64);

/// What the committer is asked: one thing, decided and answered as one.
#[derive(Debug)]
pub(crate) enum Asked {
    Request(Conditional),
    Transaction(Box<Transaction>),
    /// What is not permitted, with its answer: it waits for its turn and is not executed.
    NotPermitted(Answered),
}

/// What the committer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The reply to a request.
    Reply(Reply),
    /// What became of a transaction.
    Outcome(Box<Outcome>),
}

/// Hands the requests of one thread to the committer, from
/// [`Engine::write_handle`](crate::Engine::write_handle).
#[derive(Debug)]
pub struct WriteHandle {
    queue: Arc<WriteQueue>,
    inbox: Arc<Replies>,
    /// Submitted and not handed over.
    gathered: Vec<(ReplyTo, Asked)>,
    /// Submitted and not answered.
    unanswered: usize,
}

/// What waits for the committer. Bounded by what each handle may have unanswered.
#[derive(Debug)]
pub(crate) struct WriteQueue<B = WriteBatch> {
    waiting: Mutex<Waiting<B>>,
    filled: Condvar,
}

#[derive(Debug)]
struct Waiting<B> {
    batches: Vec<B>,
    closed: bool,
    /// The one that takes has something else to see to.
    interrupted: bool,
}

/// Some requests of one handle.
#[derive(Debug)]
pub(crate) struct WriteBatch {
    to: Arc<Replies>,
    pub(crate) requests: Vec<(ReplyTo, Asked)>,
}

impl WriteHandle {
    pub(crate) fn new(
        queue: Arc<WriteQueue>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> WriteHandle {
        let inbox = Arc::new(Inbox::new(Vec::new(), wake));
        WriteHandle { queue, inbox, gathered: Vec::new(), unanswered: 0 }
    }

    /// Whether fewer than [`COMMIT_QUEUE_REQUESTS_MAX`] requests are unanswered.
    pub fn has_room(&self) -> bool {
        self.unanswered < COMMIT_QUEUE_REQUESTS_MAX
    }

    /// Whether all that was submitted is answered.
    pub fn is_answered(&self) -> bool {
        self.unanswered == 0
    }

    /// Gathers a request of this access. A lookup may be one: it is answered in its turn.
    pub fn submit(&mut self, access: &Access, to: ReplyTo, request: Request) {
        self.submit_if(access, to, request.into());
    }

    /// Gathers a request that has a condition.
    pub fn submit_if(&mut self, access: &Access, to: ReplyTo, asked: Conditional) {
        self.gather(
            to,
            match access.check(&asked.request) {
                Ok(()) => Asked::Request(asked),
                Err(refusal) => Asked::NotPermitted(Answered::Reply(Reply::Refused(refusal))),
            },
        );
    }

    /// Gathers a transaction. It counts as one request and is answered as one.
    pub fn submit_transaction(&mut self, access: &Access, to: ReplyTo, transaction: Transaction) {
        self.gather(
            to,
            match transaction.check(access) {
                Ok(()) => Asked::Transaction(Box::new(transaction)),
                Err(refusal) => {
                    Asked::NotPermitted(Answered::Outcome(Box::new(Outcome::Refused(refusal))))
                }
            },
        );
    }

    fn gather(&mut self, to: ReplyTo, asked: Asked) {
        self.gathered.push((to, asked));
        self.unanswered += 1;
    }

    /// Hands over what was gathered.
    #[inline]
    pub fn flush(&mut self) {
        if !self.gathered.is_empty() {
            self.hand_over();
        }
    }

    /// How many requests were gathered and not handed over.
    #[inline]
    pub fn gathered(&self) -> usize {
        self.gathered.len()
    }

    /// Hands over what was gathered, and wakes no thread: this one has to [commit](crate::CommitRole::commit) next, and
    /// then to [take](WriteHandle::take) replies, of which it is not told before that.
    pub fn hand_over_for_role(&mut self) {
        self.inbox.expect();
        self.push();
    }

    #[cold]
    fn hand_over(&mut self) {
        if self.push() {
            self.queue.notify();
        }
    }

    /// Whether it was taken.
    fn push(&mut self) -> bool {
        // About as much comes together again.
        let room = Vec::with_capacity(self.gathered.len());
        let requests = std::mem::replace(&mut self.gathered, room);
        let batch = WriteBatch { to: Arc::clone(&self.inbox), requests };
        // Refused once the queue is closed. The server is stopping then and waits for no replies.
        let refused = self.queue.push(batch).err();
        self.unanswered -= refused.as_ref().map_or(0, |batch| batch.requests.len());
        refused.is_none()
    }

    /// Takes all replies that have come, in exchange for an empty vector.
    pub fn take(&mut self, empty: Vec<(ReplyTo, Answered)>) -> Vec<(ReplyTo, Answered)> {
        debug_assert!(empty.is_empty());
        let replies = self.inbox.take(empty);
        self.unanswered -= replies.len();
        replies
    }
}

impl WriteBatch {
    /// An empty one for the same handle.
    pub(crate) fn without_requests(&self) -> WriteBatch {
        WriteBatch { to: Arc::clone(&self.to), requests: Vec::new() }
    }

    /// Delivers the replies to its requests.
    pub(crate) fn answer(self, replies: Vec<(ReplyTo, Answered)>) {
        self.to.leave(|all| {
            if all.is_empty() {
                *all = replies;
            } else {
                all.extend(replies);
            }
            true
        });
    }
}

impl<B> Default for WriteQueue<B> {
    fn default() -> WriteQueue<B> {
        let waiting = Waiting { batches: Vec::new(), closed: false, interrupted: false };
        WriteQueue { waiting: Mutex::new(waiting), filled: Condvar::new() }
    }
}

impl<B> WriteQueue<B> {
    /// Adds a batch, or gives it back when the queue is closed. Wakes no thread.
    pub(crate) fn push(&self, batch: B) -> Result<(), B> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(batch);
        }
        waiting.batches.push(batch);
        Ok(())
    }

    /// Wakes the thread that [waits](WriteQueue::wait): there may be something to take.
    pub(crate) fn notify(&self) {
        self.filled.notify_one();
    }

    /// Waits until there are batches, until `until` if that is given, or until it is
    /// [interrupted](WriteQueue::interrupt). Whether the queue is still in use: not when it is closed and empty.
    pub(crate) fn wait(&self, until: Option<Instant>) -> bool {
        let mut waiting = self.lock();
        while waiting.batches.is_empty() && !std::mem::take(&mut waiting.interrupted) {
            if waiting.closed {
                return false;
            }
            let patience = until.map(|until| until.saturating_duration_since(Instant::now()));
            waiting = match patience {
                Some(Duration::ZERO) => return true,
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
        waiting.interrupted = false;
        true
    }

    /// Takes all batches.
    pub(crate) fn take_now(&self) -> Vec<B> {
        std::mem::take(&mut self.lock().batches)
    }

    /// Waits as [`wait`](WriteQueue::wait) does, and takes all batches. `None` when the queue is closed and empty.
    pub(crate) fn take(&self, until: Option<Instant>) -> Option<Vec<B>> {
        self.wait(until).then(|| self.take_now())
    }

    /// Ends the wait of the thread that takes, or its next one.
    pub(crate) fn interrupt(&self) {
        self.lock().interrupted = true;
        self.filled.notify_one();
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<B>> {
        // A push or a take is complete or has not begun, so a poisoned lock holds good batches.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
