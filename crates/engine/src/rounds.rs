//! Rounds of writes: what waits is decided, kept in the store, shown and answered.
//!
//! In each round all requests are decided in turn, over the [overlay](Overlay) of what has changed since the
//! last commit. Then the overlay is committed to the store, once for all (*group commit*); a stock that
//! changed several times is written once (*conflation*). Only then rows change, watched stocks are marked and
//! replies are delivered. It knows no threads but those that write checkpoints: the thread that has it does the round.
//!
//! A store with a log has to write a checkpoint now and then. The [`Checkpointer`] does that while rounds go
//! on; when the log may not grow any more before it is done, a round waits for it.
//!
//! With [`Sync::Interval`] the order is another: rows, marks and replies change at once, and the
//! overlay is committed when the interval is over, or earlier when it is as large as it may be.
//!
//! Invariant: a write is acknowledged only if it is in the store, or will be before the interval is
//! over. After a commit has failed no write is acknowledged until the store was opened again and holds what
//! the rows show.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use stockd_model::limits::{
    CHECKPOINT_INTERVAL, DATA_DIR_LOOK_INTERVAL, SCAN_COUNT_MAX, UNCOMMITTED_STOCKS_MAX,
};
use stockd_model::{Conditional, Refusal, Reply, Request, Symbol};
use stockd_store::{Store, StoreError, Write};

use crate::checkpointer::{Checkpointer, Written};
use crate::commit_record::CommitRecord;
use crate::counters::{Cells, Totals};
use crate::market::Market;
use crate::overlay::Overlay;
use crate::transaction::Outcome;
use crate::write_queue::{Answered, Asked, ReplyTo, WriteBatch};

/// When writes are committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Before they take effect and are answered.
    #[default]
    Always,
    /// At most this long after they have taken effect and were answered.
    Interval(Duration),
}

/// What one thread at a time does rounds with.
#[derive(Debug)]
pub(crate) struct Rounds {
    market: Arc<Market>,
    cells: Arc<CachePadded<Cells>>,
    record: Arc<CommitRecord>,
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

impl Rounds {
    pub(crate) fn new(
        market: Arc<Market>,
        version_floor: u64,
        store: Box<dyn Store>,
        sync: Sync,
        record: Arc<CommitRecord>,
    ) -> Rounds {
        Rounds {
            cells: market.registry.register(),
            overlay: Overlay::new(Arc::clone(&market), version_floor),
            market,
            record,
            store,
            checkpointer: Checkpointer::default(),
            late_at: Instant::now() + CHECKPOINT_INTERVAL,
            sync,
            due: None,
            next_look: Instant::now() + DATA_DIR_LOOK_INTERVAL,
        }
    }

    /// Commits what is left, before the last checkpoint.
    pub(crate) fn end(&mut self) {
        let _ = self.commit();
        self.look();
        self.market.registry.retire(&self.cells);
    }

    /// Writes a last checkpoint. Without it nothing is lost.
    pub(crate) fn close(&mut self) {
        self.wait_for_checkpoint();
        if self.record.read_only.cause().is_none()
            && let Err(error) = self.store.close()
        {
            tracing::warn!("no last checkpoint: {error}; the next start reads the log");
        }
    }

    /// Where a commit has failed, opens the store again, writes where it differs from the rows, and takes writes
    /// again. The rows are right: they show all that was acknowledged, and what a failed commit may have left on
    /// the disk was not.
    pub(crate) fn resume(&mut self) {
        if self.record.read_only.cause().is_none() {
            return;
        }
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

    /// When there is something to do though nothing was asked.
    pub(crate) fn next_wake(&self) -> Instant {
        self.due.map_or(self.next_look, |due| due.min(self.next_look))
    }

    /// Begins a checkpoint when one is due, and takes back what was written.
    pub(crate) fn checkpoint(&mut self) {
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

    /// Whether the next commit waits for a checkpoint.
    pub(crate) fn must_wait_for_checkpoint(&self) -> bool {
        self.store.log().is_full
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

    pub(crate) fn look_if_due(&mut self) {
        if self.next_look <= Instant::now() {
            self.look();
        }
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
    pub(crate) fn round(&mut self, batches: Vec<WriteBatch>) {
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
