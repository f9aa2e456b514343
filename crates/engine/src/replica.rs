//! What a node of a cluster does with its catalog: writes go out as batches, and take effect when the
//! log of the cluster gives them back.
//!
//! A [`Replica`] stands where the committer of a durable engine does. It belongs to one thread, which is not
//! of this crate: that thread [gathers](Replica::gather) what clients have asked, has it put into a log,
//! and has every batch of the log, its own and those of others, [decided](Replica::decide) in the order of the
//! log and [shown](Replica::show). It knows no log, no session and no network.
//!
//! What edits one listed stock is decided in its row, and so shown at once: most of what comes is that. What lists, delists or
//! concerns several stocks is decided over the rows, with all that comes behind it of the same stocks, until it is shown.
//!
//! Decisions depend on the state and the batch alone: the time is that of the batch, the version of a stock that is
//! listed comes from the highest version of any that was delisted, and the limit on stocks is that of the cluster. So two
//! replicas that were given the same batches hold the same quotes, to the last bit, and their [`Holdings`] are
//! equal.
//!
//! Invariant: what was asked is answered once, in the order of each handle, after the rows show what became of it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use stockd_access::Access;
use stockd_catalog::{Catalog, View};
use stockd_model::batch::{BatchWriter, Command, QuoteBytes};
use stockd_model::limits::{CLUSTER_STOCKS_MAX, SCAN_COUNT_MAX};
use stockd_model::{Conditional, Quote, Refusal, Reply, Request, Symbol};
use stockd_store::Write;

use crate::committer::Committer;
use crate::counters::{Cells, Totals};
use crate::engine::Engine;
use crate::market::Market;
use crate::overlay::{LogRules, Overlay};
use crate::snapshot::Snapshot;
use crate::transaction::{Outcome, Transaction};
use crate::write_queue::{Answered, Asked, ReplyTo, WriteBatch, WriteQueue};

/// Hashes the bytes of a quote. The same on every machine and in every version.
pub type Hash = fn(&[u8]) -> u64;

/// What a replica begins with.
#[derive(Debug)]
pub struct Replicated {
    /// The quotes that it has already.
    pub catalog: Catalog,
    /// The highest version that any stock had when it was delisted.
    pub version_floor: u64,
    /// Stocks that may be listed at once in the cluster; at most [`CLUSTER_STOCKS_MAX`].
    pub stocks_max: usize,
    /// The epoch of the cluster.
    pub epoch: u64,
    /// How quotes are hashed.
    pub hash: Hash,
}

/// The state of a replica in numbers. Those of two replicas are equal where their quotes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The sum of the hashes of all quotes.
    pub quotes: u64,
    /// Stocks that are listed.
    pub stocks: u64,
    /// The highest version that any stock had when it was delisted.
    pub version_floor: u64,
}

/// A node cannot do what the log says, though others can. It must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node cannot hold what the cluster holds: {0}")]
pub struct ReplicaFault(Refusal);

/// What was asked and is on its way: requests whose clients wait.
#[derive(Debug, Default)]
pub struct Pending(Vec<WriteBatch>);

/// Ends the wait of a replica's thread.
#[derive(Clone, Debug)]
pub struct Interrupter(Arc<WriteQueue>);

/// The side of an engine that a log writes: it decides what the log says, and shows it.
#[derive(Debug)]
pub struct Replica {
    queue: Arc<WriteQueue>,
    market: Arc<Market>,
    cells: Arc<CachePadded<Cells>>,
    overlay: Overlay,
    rules: LogRules,
    tally: Tally,
    /// Asked, and not gathered yet.
    asked: VecDeque<WriteBatch>,
    /// Decided, and answered when the rows show it.
    decided: Vec<(WriteBatch, Vec<(ReplyTo, Answered)>)>,
    done: Totals,
}

/// What the rows show in sum, and which of them have changed.
#[derive(Debug)]
struct Tally {
    hash: Hash,
    /// The sum of the hashes of the quotes in the rows.
    quotes: u64,
    /// Stocks that have changed since somebody took them, where somebody does.
    changed: Option<HashSet<Symbol, RandomState>>,
}

/// How far ahead of what is decided rows are fetched: the processor waits for memory as long as it decides a few.
const FETCHED_AHEAD: usize = 8;

/// Why a transaction is refused that no batch has room for.
const TOO_LARGE: &str =
    "the transaction is larger than a batch of the log, 256 KiB; send smaller ones";

impl Engine {
    /// An engine whose writes are decided by the log of a cluster, which somebody drives with the replica.
    pub fn replicated(replicated: Replicated) -> (Engine, Replica) {
        let Replicated { catalog, version_floor, stocks_max, epoch, hash } = replicated;
        catalog.raise_version_floor(version_floor);
        let market = Market::new(catalog);
        let (committer, queue) = Committer::without_thread();
        let engine = Engine::over(Arc::clone(&market), committer, epoch);
        let rules = LogRules {
            time_ns: 0,
            stocks_max: stocks_max.min(CLUSTER_STOCKS_MAX),
            #[cfg(feature = "simulation")]
            trap: None,
        };
        let mut replica = Replica {
            queue,
            cells: market.registry.register(),
            overlay: Overlay::new(Arc::clone(&market), version_floor),
            tally: Tally::of(&market.catalog, hash),
            market,
            rules,
            asked: VecDeque::new(),
            decided: Vec::new(),
            done: Totals::default(),
        };
        replica.overlay.follow(rules);
        (engine, replica)
    }
}

impl Replica {
    /// Does something wrong from now on.
    #[cfg(feature = "simulation")]
    pub fn set_trap(&mut self, trap: crate::overlay::Trap) {
        self.rules.trap = Some(trap);
    }

    /// The means for other threads to end a [wait](Replica::wait).
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::clone(&self.queue))
    }

    /// Waits until something is asked, or until then, or until it is interrupted. `false` when the engine is
    /// being closed: nothing more will be asked.
    pub fn wait(&mut self, until: Instant) -> bool {
        match self.queue.take(Some(until)) {
            Some(batches) => {
                self.asked.extend(batches);
                true
            }
            None => false,
        }
    }

    /// Whether something was asked that is not gathered yet.
    pub fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Gathers what was asked, as much as fits into one batch. A batch without commands is one of lookups
    /// and the like, whose turn has come when all before them are answered.
    pub fn gather(&mut self) -> (BatchWriter, Pending) {
        let mut writer = BatchWriter::new();
        let mut gathered = Vec::new();
        while let Some(mut batch) = self.asked.pop_front() {
            let too_many = batch.requests.iter_mut().position(|(_, it)| !encode(&mut writer, it));
            let count = too_many.unwrap_or(batch.requests.len());
            if count == batch.requests.len() {
                gathered.push(batch);
                continue;
            }
            if count > 0 {
                let mut part = batch.without_requests();
                part.requests.extend(batch.requests.drain(..count));
                gathered.push(part);
            }
            self.asked.push_front(batch);
            break;
        }
        (writer, Pending(gathered))
    }

    /// Decides a batch of another node.
    ///
    /// # Errors
    ///
    /// [`ReplicaFault`]: nothing more may be decided, shown or answered.
    pub fn decide(&mut self, time_ns: u64, commands: &[Command]) -> Result<(), ReplicaFault> {
        self.overlay.follow(LogRules { time_ns, ..self.rules });
        let market = Arc::clone(&self.market);
        let view = market.catalog.view();
        for (at, command) in commands.iter().enumerate() {
            if let Some(Command::One(later)) = commands.get(at + FETCHED_AHEAD) {
                fetch(&view, &later.request);
            }
            match command {
                Command::One(asked) => _ = self.execute(&view, asked),
                Command::Together(watched, requests) => {
                    let transaction = Transaction::new(watched.clone(), requests.clone());
                    transaction.decide(&mut self.overlay, None);
                }
            }
        }
        self.overlay.no_room().map_or(Ok(()), |refusal| Err(ReplicaFault(refusal)))
    }

    /// Decides a batch of this node, and what goes with it.
    ///
    /// # Errors
    ///
    /// [`ReplicaFault`]: nothing more may be decided, shown or answered.
    pub fn decide_own(&mut self, time_ns: u64, pending: Pending) -> Result<(), ReplicaFault> {
        self.overlay.follow(LogRules { time_ns, ..self.rules });
        let market = Arc::clone(&self.market);
        let view = market.catalog.view();
        for batch in pending.0 {
            let mut answers = Vec::with_capacity(batch.requests.len());
            for (at, (to, asked)) in batch.requests.iter().enumerate() {
                if let Some((_, Asked::Request(later))) = batch.requests.get(at + FETCHED_AHEAD) {
                    fetch(&view, &later.request);
                }
                let answered = match asked {
                    Asked::Request(asked) => {
                        let reply = self.execute(&view, asked);
                        self.done.count(&asked.request, &reply);
                        Answered::Reply(reply)
                    }
                    Asked::Transaction(transaction) => {
                        let outcome = transaction.decide(&mut self.overlay, None);
                        self.done.count_transaction(transaction, &outcome);
                        Answered::Outcome(Box::new(outcome))
                    }
                    Asked::NotPermitted(answered) => {
                        self.done.not_permitted += 1;
                        answered.clone()
                    }
                };
                answers.push((*to, answered));
            }
            self.decided.push((batch.without_requests(), answers));
        }
        self.overlay.no_room().map_or(Ok(()), |refusal| Err(ReplicaFault(refusal)))
    }

    /// Decides a request: in its row where that can be, else over the rows.
    #[inline]
    fn execute(&mut self, view: &View<'_>, asked: &Conditional) -> Reply {
        let mut before = None;
        let edited = self.overlay.edit_row(view, asked, |quote| before = Some(*quote));
        if let Some(Reply::Updated(after)) = &edited {
            self.tally.note(before.as_ref(), Some(after));
        }
        edited.unwrap_or_else(|| self.overlay.execute(asked, None))
    }

    /// Refuses what is on its way. Lookups in it are answered.
    pub fn refuse(&mut self, pending: Pending, refusal: Refusal) {
        for batch in pending.0 {
            let mut answers = Vec::with_capacity(batch.requests.len());
            for (to, asked) in &batch.requests {
                let answered = match asked {
                    Asked::Request(asked) if matches!(asked.request, Request::Lookup(_)) => {
                        Answered::Reply(self.overlay.execute(asked, Some(refusal)))
                    }
                    Asked::Request(asked) => {
                        let reply = Reply::Refused(refusal);
                        self.done.count(&asked.request, &reply);
                        Answered::Reply(reply)
                    }
                    Asked::Transaction(transaction) => {
                        let outcome = match transaction.only_looks_up() {
                            true => transaction.decide(&mut self.overlay, Some(refusal)),
                            false => Outcome::Refused(refusal),
                        };
                        self.done.count_transaction(transaction, &outcome);
                        Answered::Outcome(Box::new(outcome))
                    }
                    Asked::NotPermitted(answered) => answered.clone(),
                };
                answers.push((*to, answered));
            }
            self.decided.push((batch.without_requests(), answers));
        }
    }

    /// Has the rows show all that was decided, as far as they do not yet, and answers it.
    pub fn show(&mut self) {
        let between = self.market.gate.between_transactions();
        let tally = &mut self.tally;
        self.overlay.apply_and_tell(|changed| {
            tally.note(changed.before.as_ref(), changed.after.as_ref());
        });
        self.overlay.clear();
        drop(between);
        // Before the replies: a request is counted when its reply arrives.
        self.cells.add(&std::mem::take(&mut self.done));
        for (batch, answers) in self.decided.drain(..) {
            batch.answer(answers);
        }
    }

    /// Notes from now on which stocks change, for who [takes](Replica::take_changes) them.
    pub fn note_changes(&mut self) {
        self.tally.changed.get_or_insert_default();
    }

    /// Notes no more.
    pub fn forget_changes(&mut self) {
        self.tally.changed = None;
    }

    /// How many stocks have changed since they were taken.
    pub fn changed(&self) -> usize {
        self.tally.changed.as_ref().map_or(0, HashSet::len)
    }

    /// What a store has to write to hold what the rows show, if it has what they showed when this was taken last. What
    /// was decided has to be [shown](Replica::show) before.
    pub fn take_changes(&mut self) -> Vec<Write> {
        debug_assert!(self.overlay.is_empty(), "the rows show all that was decided");
        let Some(changed) = &mut self.tally.changed else { return Vec::new() };
        let catalog = &self.market.catalog;
        let write = |symbol| catalog.get(&symbol).map_or(Write::Remove(symbol), Write::Put);
        changed.drain().map(write).collect()
    }

    /// What the rows show now, to be read while they change: see [`Engine::snapshot`]. What was decided has to be
    /// [shown](Replica::show) before.
    pub fn snapshot(&self, now: Instant) -> Option<Snapshot> {
        debug_assert!(self.overlay.is_empty(), "the rows show all that was decided");
        Snapshot::begin(&self.market, &Access::All, now)
    }

    /// The state that the rows show.
    pub fn holdings(&self) -> Holdings {
        Holdings {
            quotes: self.tally.quotes,
            stocks: self.market.catalog.len() as u64,
            version_floor: self.overlay.version_floor(),
        }
    }
}

impl Tally {
    /// That of all rows. Which of them change is not noted.
    fn of(catalog: &Catalog, hash: Hash) -> Tally {
        let mut tally = Tally { hash, quotes: 0, changed: None };
        let mut next = Some(0);
        while let Some(from) = next {
            let page = catalog.page(from, SCAN_COUNT_MAX);
            page.quotes.iter().for_each(|quote| tally.note(None, Some(quote)));
            next = page.next;
        }
        tally
    }

    /// The row of a stock shows something else.
    #[inline]
    fn note(&mut self, before: Option<&Quote>, after: Option<&Quote>) {
        if let (Some(changed), Some(quote)) = (&mut self.changed, after.or(before)) {
            changed.insert(quote.symbol);
        }
        let hash = |quote: &Quote| (self.hash)(QuoteBytes::of(quote).as_bytes());
        let sum = self.quotes.wrapping_sub(before.map_or(0, hash));
        self.quotes = sum.wrapping_add(after.map_or(0, hash));
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.market.registry.retire(&self.cells);
    }
}

impl Interrupter {
    /// Ends the wait of the replica's thread, or the next one.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

impl Pending {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what is to be answered after it.
    pub fn append(&mut self, later: Pending) {
        self.0.extend(later.0);
    }
}

/// Has the row of what will be decided fetched, without waiting for it.
#[inline]
fn fetch(view: &View<'_>, request: &Request) {
    if let Some(symbol) = request.symbol() {
        view.fetch(symbol);
    }
}

/// Adds what was asked to a batch, where it may change something. Whether there was room for it. What no batch
/// has room for gets its answer.
fn encode(writer: &mut BatchWriter, asked: &mut Asked) -> bool {
    let encoded = match asked {
        Asked::Request(request) => writer.push(request),
        Asked::Transaction(transaction) if transaction.only_looks_up() => Ok(()),
        Asked::Transaction(it) => writer.push_together(it.watched(), it.requests()),
        Asked::NotPermitted(_) => Ok(()),
    };
    if encoded.is_err() && writer.is_empty() {
        let refused = Outcome::Refused(Refusal::ClusterDown { cause: TOO_LARGE });
        *asked = Asked::NotPermitted(Answered::Outcome(Box::new(refused)));
        return true;
    }
    encoded.is_ok()
}

#[cfg(test)]
mod tests;
