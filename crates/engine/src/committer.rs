//! The committer: writes are kept in the store before they take effect.
//!
//! One thread, `stockd-committer`, executes all writes of a durable engine. In each round it takes
//! all write batches that wait and decides every request in turn, over the [overlay](Overlay) of
//! what has changed since the last commit. Then it commits the overlay to the store, once for all
//! (*group commit*); a stock that changed several times is written once (*conflation*). Only then
//! it changes rows, marks watched stocks and delivers replies. What arrives meanwhile waits for the
//! next round.
//!
//! A store with a log has to write a checkpoint now and then. The [`Checkpointer`] does that while rounds go
//! on; when the log may not grow any more before it is done, a round waits for it.
//!
//! So no lookup ever shows what a crash could take back, the catalog always is what the store
//! holds, and only this thread waits for the disk.
//!
//! With [`Sync::Interval`] the order is another: rows, marks and replies change at once, and the
//! overlay is committed when the interval is over, or earlier when it is as large as it may be.
//!
//! A second after the last commit it looks whether the store still lies where it was opened, and
//! again every second. When it does not, that is a failed commit.
//!
//! Invariant: a write is acknowledged only if it is in the store, or will be before the interval is
//! over. After a commit has failed no write is acknowledged until the store was opened again and holds what
//! the rows show.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use stockd_access::Access;
use stockd_model::limits::{
    CHECKPOINT_INTERVAL, DATA_DIR_LOOK_INTERVAL, SCAN_COUNT_MAX, UNCOMMITTED_STOCKS_MAX,
};
use stockd_model::{Conditional, Refusal, Reply, Request, Symbol};
use stockd_store::{Store, StoreError, Write};

use crate::checkpointer::{Checkpointer, Written};
use crate::commit_record::{CommitRecord, CommitReport};
use crate::counters::{Cells, Totals};
use crate::market::Market;
use crate::overlay::Overlay;
use crate::transaction::{Outcome, Transaction};
use crate::write_queue::{Answered, Asked, ReplyTo, WriteBatch, WriteHandle, WriteQueue};

/// When writes are committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Before they take effect and are answered.
    #[default]
    Always,
    /// At most this long after they have taken effect and were answered.
    Interval(Duration),
}

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
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What others ask of the commit thread, and what it has come to, for its end.
#[derive(Debug, Default)]
struct Signals {
    /// Somebody has asked to take writes again.
    resume: AtomicBool,
    /// All that was asked is committed and answered; what is left to do can be left.
    has_ended: AtomicBool,
}

/// What the commit thread owns.
#[derive(Debug)]
struct CommitThread {
    market: Arc<Market>,
    cells: Arc<CachePadded<Cells>>,
    record: Arc<CommitRecord>,
    signals: Arc<Signals>,
    store: Box<dyn Store>,
    checkpointer: Checkpointer,
    /// From when on a checkpoint is late.
    late_at: Instant,
    sync: Sync,
    overlay: Overlay,
    /// When the overlay has to be committed; `None` while it is empty, or is committed at once.
    due: Option<Instant>,
    /// When to look whether the store is in its place.
    next_look: Instant,
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
        let committing = CommitThread {
            cells: market.registry.register(),
            overlay: Overlay::new(Arc::clone(&market), version_floor),
            market,
            record: Arc::clone(&record),
            signals: Arc::clone(&signals),
            store,
            checkpointer: Checkpointer::default(),
            late_at: Instant::now() + CHECKPOINT_INTERVAL,
            sync,
            due: None,
            next_look: Instant::now() + DATA_DIR_LOOK_INTERVAL,
        };
        let thread = {
            let queue = Arc::clone(&queue);
            let builder = thread::Builder::new().name("stockd-committer".to_owned());
            builder.spawn(move || committing.run(&queue)).expect("a thread for the committer")
        };
        Committer { queue, record, signals, thread: Mutex::new(Some(thread)) }
    }

    /// A queue and what is recorded, for a thread that is not of this crate.
    pub(crate) fn without_thread() -> (Committer, Arc<WriteQueue>) {
        let queue = Arc::<WriteQueue>::default();
        let (record, signals, thread) = (Arc::default(), Arc::default(), Mutex::new(None));
        (Committer { queue: Arc::clone(&queue), record, signals, thread }, queue)
    }

    pub(crate) fn handle(
        &self,
        wake: impl Fn() + Send + std::marker::Sync + 'static,
    ) -> WriteHandle {
        WriteHandle::new(Arc::clone(&self.queue), wake)
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

impl CommitThread {
    fn run(mut self, queue: &WriteQueue) {
        while let Some(batches) = queue.take(Some(self.next_wake())) {
            if self.signals.resume.swap(false, Relaxed) && self.record.read_only.cause().is_some() {
                self.resume();
            }
            self.round(batches);
            self.checkpoint();
            if self.next_look <= Instant::now() {
                self.look();
            }
        }
        let _ = self.commit();
        self.look();
        self.market.registry.retire(&self.cells);
        self.signals.has_ended.store(true, Release);
        self.close();
    }

    /// Writes a last checkpoint. Without it nothing is lost.
    fn close(&mut self) {
        self.wait_for_checkpoint();
        if self.record.read_only.cause().is_none()
            && let Err(error) = self.store.close()
        {
            tracing::warn!("no last checkpoint: {error}; the next start reads the log");
        }
    }

    /// Opens the store again, writes where it differs from the rows, and takes writes again. The rows are right:
    /// they show all that was acknowledged, and what a failed commit may have left on the disk was not.
    fn resume(&mut self) {
        tracing::info!("read-only: opening the data directory again");
        match self.open_again() {
            Ok(stocks) => {
                self.record.read_only.end();
                tracing::info!(
                    stocks,
                    "writes are taken again; what the disk did not have was written"
                );
            }
            Err(error) => {
                self.record.read_only.begin(&error);
                tracing::error!("still read-only: {error}; lookups go on");
            }
        }
    }

    /// Returns how many stocks had to be written.
    fn open_again(&mut self) -> Result<usize, StoreError> {
        self.wait_for_checkpoint();
        self.store.reopen()?;
        let catalog = &self.market.catalog;
        let (mut writes, mut common) = (Vec::new(), 0);
        let floor = self.store.load(&mut |quote| {
            let right = catalog.get(&quote.symbol);
            common += usize::from(right.is_some());
            if right.map(|right| right.kept()) != Some(quote.kept()) {
                writes.push(right.map_or(Write::Remove(quote.symbol), Write::Put));
            }
            ControlFlow::Continue(())
        })?;
        if common < catalog.len() {
            let mut kept = HashSet::<Symbol, RandomState>::default();
            self.store.load(&mut |quote| {
                kept.insert(quote.symbol);
                ControlFlow::Continue(())
            })?;
            let mut next = Some(0);
            while let Some(from) = next {
                let page = catalog.page(from, SCAN_COUNT_MAX);
                let missing = page.quotes.iter().filter(|quote| !kept.contains(&quote.symbol));
                writes.extend(missing.copied().map(Write::Put));
                next = page.next;
            }
        }
        self.store.commit(&writes, floor.max(self.overlay.version_floor()))?;
        self.record.count(writes.len(), Duration::ZERO);
        Ok(writes.len())
    }

    fn next_wake(&self) -> Instant {
        self.due.map_or(self.next_look, |due| due.min(self.next_look))
    }

    /// Begins a checkpoint when one is due, and takes back what was written.
    fn checkpoint(&mut self) {
        if let Some(written) = self.checkpointer.take() {
            self.end_checkpoint(written);
        }
        if self.checkpointer.is_at_work() || self.record.read_only.cause().is_some() {
            return;
        }
        let now = Instant::now();
        let is_late = self.late_at <= now;
        if let Some(checkpoint) = self.store.begin_checkpoint(is_late) {
            self.late_at = now + CHECKPOINT_INTERVAL;
            self.checkpointer.begin(checkpoint);
        } else if is_late {
            self.late_at = now + DATA_DIR_LOOK_INTERVAL;
        }
    }

    fn wait_for_checkpoint(&mut self) {
        if let Some(written) = self.checkpointer.wait() {
            self.end_checkpoint(written);
        }
    }

    fn end_checkpoint(&mut self, Written { checkpoint, took }: Written) {
        let stocks = checkpoint.stocks();
        match (self.store.end_checkpoint(checkpoint), stocks) {
            (Ok(()), Some(stocks)) => self.record.count_checkpoint(stocks, took),
            (Ok(()), None) => {}
            (Err(error), _) => drop(self.record.fail(&error)),
        }
        self.record.note_log(self.store.log());
    }

    /// Looks whether the store is in its place. A store that has failed may be anywhere.
    fn look(&mut self) {
        self.next_look = Instant::now() + DATA_DIR_LOOK_INTERVAL;
        if self.record.read_only.cause().is_none()
            && let Err(error) = self.store.verify_place()
        {
            self.record.fail(&error);
        }
    }

    /// Executes these write batches, and answers.
    fn round(&mut self, batches: Vec<WriteBatch>) {
        let refusal = self.record.refusal();
        let mut answers: Vec<Vec<(ReplyTo, Answered)>> = Vec::with_capacity(batches.len());
        for batch in &batches {
            let decide = |&(to, ref asked): &(ReplyTo, Asked)| (to, self.decide(asked, refusal));
            answers.push(batch.requests.iter().map(decide).collect());
        }
        let kept = self.keep();
        let mut done = Totals::default();
        for (batch, answers) in batches.iter().zip(&mut answers) {
            for ((_, asked), (_, answered)) in batch.requests.iter().zip(answers) {
                if let Err(cause) = kept {
                    self.take_back(asked, answered, cause);
                }
                match (asked, answered) {
                    (Asked::Request(asked), Answered::Reply(reply)) => {
                        done.count(&asked.request, reply);
                    }
                    (Asked::Transaction(transaction), Answered::Outcome(outcome)) => {
                        done.count_transaction(transaction, outcome);
                    }
                    (Asked::NotPermitted(_), _) => done.not_permitted += 1,
                    _ => unreachable!("each is answered in kind"),
                }
            }
        }
        // Before the replies: a request is counted when its reply arrives.
        self.cells.add(&done);
        for (batch, answers) in batches.into_iter().zip(answers) {
            batch.answer(answers);
        }
    }

    fn decide(&mut self, asked: &Asked, refusal: Option<Refusal>) -> Answered {
        match asked {
            Asked::Request(request) => Answered::Reply(self.overlay.execute(request, refusal)),
            Asked::Transaction(transaction) => {
                Answered::Outcome(Box::new(transaction.decide(&mut self.overlay, refusal)))
            }
            Asked::NotPermitted(answered) => answered.clone(),
        }
    }

    /// Commits and shows what this round has decided, in the order that `sync` asks for.
    fn keep(&mut self) -> Result<(), &'static str> {
        let Sync::Interval(interval) = self.sync else {
            return self.commit();
        };
        self.show();
        if !self.overlay.is_empty() {
            let due = *self.due.get_or_insert_with(|| Instant::now() + interval);
            if due <= Instant::now() || self.overlay.stocks() >= UNCOMMITTED_STOCKS_MAX {
                // A failure refuses later writes. Those of this round have taken effect.
                let _ = self.commit();
            }
        }
        Ok(())
    }

    /// Makes of an answer what it is when nothing of this round was kept.
    fn take_back(&self, asked: &Asked, answered: &mut Answered, cause: &'static str) {
        match answered {
            Answered::Reply(Reply::Refused(
                Refusal::ReadOnly { .. } | Refusal::NotPermitted { .. },
            )) => {}
            Answered::Reply(reply) => {
                *reply = match asked {
                    Asked::Request(Conditional {
                        request: lookup @ Request::Lookup(_), ..
                    }) => self.overlay.look_up_row(lookup),
                    _ => Reply::Refused(Refusal::NotKept { cause }),
                }
            }
            // What it saw of others may be gone too, so all of it is.
            Answered::Outcome(outcome) => {
                if !matches!(**outcome, Outcome::Refused(_)) {
                    **outcome = Outcome::Refused(Refusal::NotKept { cause });
                }
            }
        }
    }

    /// Makes the rows show the overlay. A snapshot begins before or after that.
    fn show(&mut self) {
        let _between = self.market.gate.between_transactions();
        self.overlay.apply();
    }

    /// Commits the overlay, and shows it. After a failure the rows stay as they are.
    fn commit(&mut self) -> Result<(), &'static str> {
        self.due = None;
        if self.overlay.is_empty() {
            return Ok(());
        }
        if self.store.log().is_full {
            self.wait_for_checkpoint();
        }
        let (writes, version_floor) = self.overlay.writes();
        let began = Instant::now();
        let kept = match self.store.commit(&writes, version_floor) {
            Ok(()) => {
                self.record.count(writes.len(), began.elapsed());
                self.record.note_log(self.store.log());
                // A commit has looked.
                self.next_look = began + DATA_DIR_LOOK_INTERVAL;
                self.show();
                Ok(())
            }
            Err(error) => Err(self.record.fail(&error)),
        };
        self.overlay.clear();
        kept
    }
}

#[cfg(test)]
mod tests;
