//! The committer: writes are kept in the store before they take effect.
//!
//! One thread, `stockd-committer`, executes the [rounds](Rounds) of a durable engine: in each it takes all
//! write batches that wait. What arrives meanwhile waits for the next round.
//!
//! A thread that has nothing else to do may do the round itself, with a [`CommitRole`]: then no thread has to be
//! woken, neither for the write nor for its reply. One thread has the [role](Role) at a time; where it is
//! taken, the committer is woken, which waits for it.
//!
//! So no lookup ever shows what a crash could take back, the catalog always is what the store
//! holds, and only who has the role waits for the disk.
//!
//! A second after the last commit the committer looks whether the store still lies where it was opened, and
//! again every second. When it does not, that is a failed commit.
//!
//! Invariant: each write is executed and answered once, in the order of its handle.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use stockd_access::Access;
use stockd_model::{Conditional, Refusal, Reply};
use stockd_store::Store;

use crate::commit_record::{CommitRecord, CommitReport};
use crate::market::Market;
use crate::role::Role;
use crate::rounds::{Rounds, Sync};
use crate::transaction::{Outcome, Transaction};
use crate::write_queue::{Answered, ReplyTo, WriteBatch, WriteHandle, WriteQueue};

/// Why a committer has not ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// A commit had failed.
    #[error("the catalog was read-only, so writes were refused: {0}")]
    ReadOnly(&'static str),
    /// A commit is under way, and has not ended in the time there was.
    #[error(
        "the disk does not answer: writes that were not answered may or may not be kept, and so may \
         those of the last interval where --sync has one; see to the disk, then restart the server"
    )]
    DiskHangs,
    /// The commit thread has panicked.
    #[error("the thread of the committer has panicked")]
    Panicked,
}

/// The handle of the commit thread.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: Arc<WriteQueue>,
    record: Arc<CommitRecord>,
    signals: Arc<Signals>,
    /// What other threads may do the rounds with, if they may.
    role: Option<CommitRole>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Lets a thread that has nothing else to do execute the writes that wait, in place of the committer.
#[derive(Clone, Debug)]
pub struct CommitRole(Role<WriteBatch, Rounds>);

/// What others ask of the commit thread, and what it has come to, for its end.
#[derive(Debug, Default)]
struct Signals {
    /// Somebody has asked to take writes again.
    resume: AtomicBool,
    /// All that was asked is committed and answered; what is left to do can be left.
    has_ended: AtomicBool,
}

/// Between two looks whether the thread has ended.
const CLOSE_STEP: Duration = Duration::from_millis(1);

/// Why no further write is taken when nothing has failed.
const CLOSED: &str = "the server is stopping";

impl Committer {
    pub(crate) fn start(
        market: Arc<Market>,
        version_floor: u64,
        store: Box<dyn Store>,
        sync: Sync,
    ) -> Committer {
        let queue = Arc::<WriteQueue>::default();
        let record = Arc::<CommitRecord>::default();
        let signals = Arc::<Signals>::default();
        let rounds = Rounds::new(market, version_floor, store, sync, Arc::clone(&record));
        let role = CommitRole(Role::new(Arc::clone(&queue), rounds));
        let thread = {
            let (role, signals) = (role.clone(), Arc::clone(&signals));
            let builder = thread::Builder::new().name("stockd-committer".to_owned());
            builder.spawn(move || role.run(&signals)).expect("a thread for the committer")
        };
        // With an interval no client waits for the disk, and the committer alone knows when it is over.
        let role = (sync == Sync::Always).then_some(role);
        Committer { queue, record, signals, role, thread: Mutex::new(Some(thread)) }
    }

    /// A queue and what is recorded, for a thread that is not of this crate.
    pub(crate) fn without_thread() -> (Committer, Arc<WriteQueue>) {
        let queue = Arc::<WriteQueue>::default();
        let (record, signals, thread) = (Arc::default(), Arc::default(), Mutex::new(None));
        (Committer { queue: Arc::clone(&queue), record, signals, role: None, thread }, queue)
    }

    pub(crate) fn handle(
        &self,
        wake: impl Fn() + Send + std::marker::Sync + 'static,
    ) -> WriteHandle {
        WriteHandle::new(Arc::clone(&self.queue), wake)
    }

    /// What another thread may do a round with; `None` where only the committer does them.
    pub(crate) fn role(&self) -> Option<CommitRole> {
        self.role.clone()
    }

    /// Why writes are refused, if they are.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.record.refusal()
    }

    /// Executes these requests one after the other, together, and waits for the disk.
    pub(crate) fn execute(&self, access: &Access, requests: &[Conditional]) -> Vec<Reply> {
        let submit = |handle: &mut WriteHandle| {
            requests.iter().for_each(|request| handle.submit_if(access, ReplyTo(0), *request));
        };
        let Some(answers) = self.wait_for(submit) else {
            return vec![Reply::Refused(Refusal::ReadOnly { cause: CLOSED }); requests.len()];
        };
        let reply = |answered| match answered {
            Answered::Reply(reply) => reply,
            Answered::Outcome(_) => unreachable!("requests alone were submitted"),
        };
        answers.into_iter().map(reply).collect()
    }

    /// Executes a transaction, and waits for the disk.
    pub(crate) fn transact(&self, access: &Access, transaction: Transaction) -> Outcome {
        let submit = |handle: &mut WriteHandle| {
            handle.submit_transaction(access, ReplyTo(0), transaction);
        };
        match self.wait_for(submit).and_then(|mut answers| answers.pop()) {
            None => Outcome::Refused(Refusal::ReadOnly { cause: CLOSED }),
            Some(Answered::Outcome(outcome)) => *outcome,
            Some(Answered::Reply(_)) => unreachable!("a transaction alone was submitted"),
        }
    }

    /// Waits for the answers to what is submitted; `None` when the queue is closed and did not take it.
    fn wait_for(&self, submit: impl FnOnce(&mut WriteHandle)) -> Option<Vec<Answered>> {
        let waiting: Thread = thread::current();
        let mut handle = self.handle(move || waiting.unpark());
        submit(&mut handle);
        handle.flush();
        if handle.is_answered() {
            return None;
        }
        let mut answers = Vec::new();
        while !handle.is_answered() {
            answers.extend(handle.take(Vec::new()).into_iter().map(|(_, answered)| answered));
            if !handle.is_answered() {
                thread::park();
            }
        }
        Some(answers)
    }

    /// Has writes taken again after a commit has failed, if the store can be opened again. Within a second.
    pub(crate) fn resume(&self) {
        self.signals.resume.store(true, Relaxed);
    }

    pub(crate) fn report(&self) -> CommitReport {
        self.record.report()
    }

    /// Ends the thread, which first commits and answers what waits, and then writes a last checkpoint. Waits
    /// for it for ever, or for `patience`; a checkpoint that takes longer is given up, since the next start
    /// does without.
    pub(crate) fn close(&self, patience: Option<Duration>) -> Result<(), CloseError> {
        let until = patience.map(|patience| Instant::now() + patience);
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            while until.is_some() && !thread.is_finished() {
                if until.is_some_and(|until| Instant::now() >= until) {
                    return self.ended();
                }
                thread::sleep(CLOSE_STEP);
            }
            if thread.join().is_err() {
                return Err(CloseError::Panicked);
            }
        }
        self.record.read_only.cause().map_or(Ok(()), |cause| Err(CloseError::ReadOnly(cause)))
    }

    /// How it has ended when its thread is still at work.
    fn ended(&self) -> Result<(), CloseError> {
        if !self.signals.has_ended.load(Acquire) {
            return Err(CloseError::DiskHangs);
        }
        tracing::info!("the last checkpoint is given up; the next start reads the log");
        self.record.read_only.cause().map_or(Ok(()), |cause| Err(CloseError::ReadOnly(cause)))
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        let _ = self.close(None);
    }
}

impl CommitRole {
    /// Executes what waits, unless another thread is at it or the log has no room: then the committer does it.
    ///
    /// Takes as long as the disk does. What the thread has to be told of its own writes is in its inbox then, or
    /// will be: see [`WriteHandle::hand_over_for_role`].
    pub fn commit(&self) {
        self.0.work_if_free(|rounds| !rounds.must_wait_for_checkpoint(), Rounds::round);
    }

    /// What the committer does.
    fn run(&self, signals: &Signals) {
        let mut next_wake = Some(Instant::now());
        while self.0.queue().wait(next_wake) {
            // What is due at a time is done by this thread alone. For what waits it need not be the first.
            let is_due = next_wake.is_none_or(|at| at <= Instant::now());
            next_wake = self.0.work_off(is_due, |rounds, batches| {
                if signals.resume.swap(false, Relaxed) {
                    rounds.resume();
                }
                rounds.round(batches);
                rounds.checkpoint();
                rounds.look_if_due();
                rounds.next_wake()
            });
        }
        if let Some(mut rounds) = self.0.end() {
            rounds.end();
            signals.has_ended.store(true, Release);
            rounds.close();
        }
    }
}

#[cfg(test)]
mod tests;
