//! How requests of this plane reach the engine, whether it waits for a disk or not.
//!
//! In memory a request is executed at once, with the one executor of the plane. In a durable engine writes go
//! to the committer and their replies come back to the request that waits. This module knows no protocol.
//!
//! Invariant: no thread of the runtime waits for the disk, and at most
//! [`COMMIT_QUEUE_REQUESTS_MAX`] writes wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;
use stockd_engine::{
    Access, Answered, Batch, Engine, Executor, Outcome, ReplyTo, Transaction, WriteHandle,
};
use stockd_model::limits::{COMMIT_QUEUE_REQUESTS_MAX, HTTP_WRITES_TOGETHER};
use stockd_model::{Conditional, Problem, Reply};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::refused::Refused;

/// The way to the engine.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) engine: Arc<Engine>,
    executor: Mutex<Executor>,
    durable: Option<Durable>,
    /// How long a write waits for the disk.
    patience: Duration,
}

/// The way to the committer.
#[derive(Debug)]
struct Durable {
    pending: Mutex<Pending>,
    /// There are replies to take.
    answered: Arc<Notify>,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Pending {
    writes: WriteHandle,
    waiting: Slab<Waiting>,
}

/// Writes that were submitted together, and the request that waits for their replies.
#[derive(Debug)]
struct Waiting {
    answers: Vec<Answered>,
    expected: usize,
    done: Option<oneshot::Sender<Vec<Answered>>>,
    _room: OwnedSemaphorePermit,
}

impl Door {
    pub(crate) fn new(engine: Arc<Engine>, patience: Duration) -> Door {
        let executor = Mutex::new(engine.executor());
        let answered = Arc::new(Notify::new());
        let wake = Arc::clone(&answered);
        let durable = engine.write_handle(move || wake.notify_one()).map(|writes| Durable {
            pending: Mutex::new(Pending { writes, waiting: Slab::new() }),
            answered,
            room: Arc::new(Semaphore::new(COMMIT_QUEUE_REQUESTS_MAX)),
        });
        Door { engine, executor, durable, patience }
    }

    /// Executes requests that need no disk. `work` must be short: others wait for it.
    pub(crate) fn batch<R>(&self, access: &Access, work: impl FnOnce(&mut Batch<'_>) -> R) -> R {
        work(&mut lock(&self.executor).batch(access))
    }

    /// Executes one write.
    pub(crate) async fn write(
        &self,
        access: &Access,
        asked: Conditional,
    ) -> Result<Reply, Refused> {
        let mut replies = self.write_together(access, &[asked]).await?;
        replies.pop().ok_or_else(stopping)
    }

    /// Executes writes in their order, a bounded number at a time. The disk has its time for each of these, so many writes
    /// may take long on a slow one.
    pub(crate) async fn write_all(
        &self,
        access: &Access,
        asked: &[Conditional],
    ) -> Result<Vec<Reply>, Refused> {
        let mut replies = Vec::with_capacity(asked.len());
        for together in asked.chunks(HTTP_WRITES_TOGETHER) {
            replies.extend(self.write_together(access, together).await?);
            tokio::task::yield_now().await;
        }
        Ok(replies)
    }

    async fn write_together(
        &self,
        access: &Access,
        asked: &[Conditional],
    ) -> Result<Vec<Reply>, Refused> {
        match &self.durable {
            None => Ok(self.batch(access, |batch| {
                asked.iter().map(|asked| batch.execute_if(asked)).collect()
            })),
            Some(durable) => {
                let written = durable.ask(asked.len(), |writes, to| {
                    asked.iter().for_each(|asked| writes.submit_if(access, to, *asked));
                });
                match tokio::time::timeout(self.patience, written).await {
                    Ok(answers) => Ok(answers?.iter().filter_map(reply).collect()),
                    Err(_) => Err(uncertain(self.patience)),
                }
            }
        }
    }

    /// Executes transactions one after the other, in one round of the committer. It waits for the disk as long as
    /// that takes: a caller that gives up does not know what became of them.
    pub(crate) async fn transact(
        &self,
        access: &Access,
        transactions: Vec<Transaction>,
    ) -> Result<Vec<Outcome>, Refused> {
        if transactions.is_empty() {
            return Ok(Vec::new());
        }
        let Some(durable) = &self.durable else {
            let mut executor = lock(&self.executor);
            let outcome = |transaction| executor.transact(access, transaction);
            return Ok(transactions.into_iter().map(outcome).collect());
        };
        let answers = durable.ask(transactions.len(), |writes, to| {
            for transaction in transactions {
                writes.submit_transaction(access, to, transaction);
            }
        });
        let outcome = |answered| match answered {
            Answered::Outcome(outcome) => Some(*outcome),
            Answered::Reply(_) => None,
        };
        Ok(answers.await?.into_iter().filter_map(outcome).collect())
    }

    /// Whether writes are kept on a disk.
    pub(crate) fn is_durable(&self) -> bool {
        self.durable.is_some()
    }

    /// Passes the committer's replies on, for ever.
    pub(crate) async fn pass_replies_on(&self) {
        let Some(durable) = &self.durable else { return };
        loop {
            durable.answered.notified().await;
            durable.take_replies();
        }
    }
}

impl Durable {
    /// Has the committer do what `submit` gives it, which is this many things.
    async fn ask(
        &self,
        expected: usize,
        submit: impl FnOnce(&mut WriteHandle, ReplyTo),
    ) -> Result<Vec<Answered>, Refused> {
        let count = u32::try_from(expected).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(count).await;
        let _room = room.map_err(|_| stopping())?;
        let (done, answers) = oneshot::channel();
        {
            let Pending { writes, waiting } = &mut *lock(&self.pending);
            let key = waiting.insert(Waiting {
                answers: Vec::with_capacity(expected),
                expected,
                done: Some(done),
                _room,
            });
            submit(writes, ReplyTo(key as u64));
            writes.flush();
        }
        answers.await.map_err(|_| stopping())
    }

    fn take_replies(&self) {
        let Pending { writes, waiting } = &mut *lock(&self.pending);
        for (ReplyTo(key), answered) in writes.take(Vec::new()) {
            let key = key as usize;
            // The answers to what was submitted together come one behind another.
            let Some(one) = waiting.get_mut(key) else { continue };
            one.answers.push(answered);
            if one.answers.len() == one.expected {
                let Waiting { answers, done, .. } = waiting.remove(key);
                // The request that asked may be gone.
                let _ = done.map(|done| done.send(answers));
            }
        }
    }
}

fn reply(answered: &Answered) -> Option<Reply> {
    match answered {
        Answered::Reply(reply) => Some(*reply),
        Answered::Outcome(_) => None,
    }
}

/// The server ends, and what was asked was not taken.
pub(crate) fn stopping() -> Refused {
    Refused::new(Problem::Stopping, "the server is stopping; the write was not taken")
}

/// What was asked may or may not take effect.
pub(crate) fn uncertain(waited: Duration) -> Refused {
    let seconds = waited.as_secs();
    let detail = format!("the disk has not answered for {seconds} s; the write may take effect");
    Refused::new(Problem::Uncertain, detail)
}

/// What is behind a lock of this plane is whole whenever the lock is free.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
