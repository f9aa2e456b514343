//! Transactions: what a connection has queued since `MULTI`, and what it watches.
//!
//! Commands are queued as the bytes that they came in and decoded again when they are executed: first
//! for the requests that the engine executes as one, then for the shapes of their replies. So whatever
//! a command means is known in one place.
//!
//! Invariant: a connection that is neither queueing nor watching holds no memory for it. What is queued
//! is whole and within its limits, so it can be decoded and executed.

use std::fmt;

use stockd_engine::{Access, Outcome, Transaction};
use stockd_model::limits::{
    TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX, TRANSACTION_PARTS_MAX, WATCHED_STOCKS_MAX,
};
use stockd_model::{Condition, Refusal, Reply, Symbol, Watched};
use stockd_wire::resp::{
    Arguments, Command, CommandError, CommandId, Decoder, Encoder, Incoming, Prices, Queued,
};

use super::source::Source;
use super::tracking::Tracker;
use crate::metrics::Cells;
use crate::turn::Turn;

/// The transaction that a connection has begun, if it has.
#[derive(Debug, Default)]
pub(super) struct Begun(Option<Box<State>>);

#[derive(Debug, Default)]
struct State {
    /// Stocks that must be as they were.
    watched: Vec<Watched>,
    /// What is queued, after `MULTI`.
    queue: Option<Queue>,
}

/// Commands that are executed as one.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Arrays, one after the other.
    bytes: Vec<u8>,
    commands: usize,
    /// Parts of all commands.
    parts: usize,
    /// A command could not be queued, so none is executed.
    aborted: bool,
}

impl Begun {
    /// Whether commands are queued instead of executed.
    pub(super) fn is_queueing(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.queue.is_some())
    }

    /// Commands that are queued, if they are; bytes of those; stocks that are watched.
    pub(super) fn describe(&self) -> (Option<usize>, usize, usize) {
        let Some(state) = &self.0 else { return (None, 0, 0) };
        let queue = state.queue.as_ref();
        let bytes = queue.map_or(0, Queue::held_bytes);
        (queue.map(|queue| queue.commands), bytes, state.watched.len())
    }

    /// Bytes that are held for it.
    pub(super) fn held_bytes(&self) -> usize {
        let held = |state: &State| {
            let queued = state.queue.as_ref().map_or(0, Queue::held_bytes);
            size_of::<State>() + state.watched.capacity() * size_of::<Watched>() + queued
        };
        self.0.as_deref().map_or(0, held)
    }

    /// `MULTI`.
    pub(super) fn multi(&mut self, encoder: &Encoder, out: &mut Vec<u8>) {
        let state = self.0.get_or_insert_default();
        if state.queue.is_some() {
            return encoder.error(&CommandError::NestedMulti, out);
        }
        state.queue = Some(Queue::default());
        encoder.ok(out);
    }

    /// Queues a command.
    pub(super) fn queue(&mut self, command: Queued<'_>, encoder: &Encoder, turn: &mut Turn<'_>) {
        let out = &mut *turn.replies.out;
        if let Err(refused) = check(command.bytes, turn.identity.access()) {
            refused.count(turn.cells);
            return self.refuse(&refused, encoder, out);
        }
        let queue = self.0.get_or_insert_default().queue.get_or_insert_default();
        match queue.push(command) {
            Ok(()) => encoder.queued(out),
            Err(error) => self.refuse(&error, encoder, out),
        }
    }

    /// Answers a command that is refused. A transaction that was to have it is not executed.
    pub(super) fn refuse(
        &mut self,
        error: &dyn fmt::Display,
        encoder: &Encoder,
        out: &mut Vec<u8>,
    ) {
        if let Some(queue) = self.0.as_mut().and_then(|state| state.queue.as_mut()) {
            *queue = Queue { aborted: true, ..Queue::default() };
        }
        encoder.error(error, out);
    }

    /// `DISCARD`.
    pub(super) fn discard(&mut self, encoder: &Encoder, out: &mut Vec<u8>) {
        if !self.is_queueing() {
            return encoder.error(&CommandError::DiscardWithoutMulti, out);
        }
        self.0 = None;
        encoder.ok(out);
    }

    /// `WATCH`.
    pub(super) fn watch(&mut self, names: Arguments<'_>, encoder: &Encoder, turn: &mut Turn<'_>) {
        if self.is_queueing() {
            return encoder.error(&CommandError::WatchInsideMulti, turn.replies.out);
        }
        let watched = &mut self.0.get_or_insert_default().watched;
        // A name that no stock can have is never listed.
        for symbol in names.filter_map(|name| Symbol::parse(name).ok()) {
            if watched.iter().any(|(other, _)| *other == symbol) {
                continue;
            }
            if watched.len() >= WATCHED_STOCKS_MAX {
                return encoder.error(&CommandError::TooManyWatched, turn.replies.out);
            }
            match turn.executor.engine().watch(turn.identity.access(), &symbol) {
                Ok(stock) => watched.push(stock),
                Err(refusal) => {
                    turn.cells.count_refusal(&refusal);
                    return encoder.refusal(&refusal, turn.replies.out);
                }
            }
        }
        encoder.ok(turn.replies.out);
    }

    /// `UNWATCH`.
    pub(super) fn unwatch(&mut self, encoder: &Encoder, out: &mut Vec<u8>) {
        debug_assert!(!self.is_queueing(), "then it is queued");
        self.0 = None;
        encoder.ok(out);
    }

    /// `EXEC`. What is returned has been handed to the committer, whose answer it
    /// [encodes](Queue::answer).
    pub(super) fn exec(
        &mut self,
        encoder: &mut Encoder,
        (tracker, source): (&Tracker, &Source),
        turn: &mut Turn<'_>,
        note: Note<'_>,
    ) -> Option<Queue> {
        let out = &mut *turn.replies.out;
        let Some(State { watched, queue: Some(queue) }) =
            self.0.take_if(|state| state.queue.is_some()).map(|state| *state)
        else {
            encoder.error(&CommandError::ExecWithoutMulti, out);
            return None;
        };
        if queue.aborted {
            encoder.error(&CommandError::TransactionAborted, out);
            return None;
        }
        let access = turn.identity.access();
        // It may do less than when it queued this.
        if let Err(refused) = check(&queue.bytes, access) {
            refused.count(turn.cells);
            encoder.error(&refused, out);
            return None;
        }
        let mut requests = queue.requests(turn.cells);
        for request in &mut requests {
            source.tie(request, turn.now);
            tracker.reads(request, turn.id.into(), access, turn.feed, &turn.server.memory);
        }
        let transaction = Transaction::new(watched, requests);
        match execute(transaction, turn) {
            Some(outcome) => {
                note(&outcome);
                queue.answer(&outcome, encoder, turn.replies.out);
                None
            }
            None => Some(queue),
        }
    }
}

/// Why a command may not be part of a transaction of this client.
enum NotQueued {
    NotPermitted(Refusal),
    Count,
}

/// Checks that queued commands may be given by a client.
fn check(bytes: &[u8], access: &Access) -> Result<(), NotQueued> {
    if *access == Access::All {
        return Ok(());
    }
    let mut checked = Ok(());
    each(
        bytes,
        |incoming| {
            let next = match incoming {
                Incoming::Request(request, _) => {
                    access.check(&request).map_err(NotQueued::NotPermitted)
                }
                Incoming::Command(Command::SetAll(prices)) => prices
                    .updates()
                    .try_for_each(|(_, update)| access.check(&update))
                    .map_err(NotQueued::NotPermitted),
                Incoming::Command(Command::Count) if !access.reads_all() => Err(NotQueued::Count),
                Incoming::Command(_) => Ok(()),
            };
            if checked.is_ok() {
                checked = next;
            }
        },
        |_| {},
    );
    checked
}

impl NotQueued {
    fn count(&self, cells: &Cells) {
        if let NotQueued::NotPermitted(refusal) = self {
            cells.count_refusal(refusal);
        }
    }
}

impl fmt::Display for NotQueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotQueued::NotPermitted(refusal) => write!(f, "NOPERM {refusal}"),
            NotQueued::Count => CommandError::CountInTransaction.fmt(f),
        }
    }
}

/// Is told what became of a transaction that was executed at once.
type Note<'a> = &'a mut dyn FnMut(&Outcome);

/// `MSET` is a transaction of its own. What is returned has been handed to the committer.
pub(super) fn set_all(
    prices: Prices<'_>,
    source: &Source,
    encoder: &mut Encoder,
    turn: &mut Turn<'_>,
    note: Note<'_>,
) -> Option<SetAll> {
    let (stocks, mut updates): (Vec<_>, Vec<_>) = prices.updates().unzip();
    updates.iter_mut().for_each(|update| source.tie(update, turn.now));
    let listed = stocks.into_iter().map(|symbol| (symbol, Condition::Listed)).collect();
    match execute(Transaction::new(listed, updates), turn) {
        Some(outcome) => {
            note(&outcome);
            SetAll.answer(&outcome, encoder, turn.replies.out);
            None
        }
        None => Some(SetAll),
    }
}

/// `FENCE` is a transaction of nothing, which has its turn in the log of the cluster; where there is none, all is shown
/// that was acknowledged. What is returned has been handed on, and is answered like an `MSET`.
pub(super) fn fence(encoder: &mut Encoder, turn: &mut Turn<'_>, note: Note<'_>) -> Option<SetAll> {
    if !turn.executor.engine().is_replicated() {
        encoder.ok(turn.replies.out);
        return None;
    }
    match execute(Transaction::default(), turn) {
        Some(outcome) => {
            note(&outcome);
            SetAll.answer(&outcome, encoder, turn.replies.out);
            None
        }
        None => Some(SetAll),
    }
}

/// Executes a transaction. `None` where it has been handed to the committer.
fn execute(transaction: Transaction, turn: &mut Turn<'_>) -> Option<Outcome> {
    let access = turn.identity.access();
    if let Err(refusal) = transaction.check(access) {
        turn.cells.count_refusal(&refusal);
    }
    match turn.executor.transact_now(access, transaction) {
        Ok(outcome) => Some(outcome),
        Err(transaction) => {
            let writer = turn.writer.as_deref_mut();
            debug_assert!(writer.is_some(), "where there is a committer there is a way to it");
            writer?.submit_transaction(access, turn.id.into(), transaction);
            None
        }
    }
}

/// The reply to an `MSET`.
#[derive(Clone, Copy, Debug)]
pub(super) struct SetAll;

impl SetAll {
    /// Encodes what became of it.
    pub(super) fn answer(self, outcome: &Outcome, encoder: &mut Encoder, out: &mut Vec<u8>) {
        match outcome {
            Outcome::Executed { replies, .. } => self.answer_replies(replies.iter(), encoder, out),
            Outcome::Conflict(why) | Outcome::Refused(why) => encoder.refusal(why, out),
        }
    }

    /// The first refusal, if there is one. Only within another transaction there can be.
    fn answer_replies<'a>(
        self,
        mut replies: impl Iterator<Item = &'a Reply>,
        encoder: &mut Encoder,
        out: &mut Vec<u8>,
    ) {
        let refused = replies.find_map(|reply| match reply {
            Reply::Refused(why) => Some(why),
            _ => None,
        });
        match refused {
            Some(why) => encoder.refusal(why, out),
            None => encoder.ok(out),
        }
    }
}

impl Queue {
    /// Bytes that are held for the commands.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn push(&mut self, Queued { bytes, parts }: Queued<'_>) -> Result<(), CommandError<'static>> {
        if self.aborted {
            // It is answered like any other, and not kept.
            return Ok(());
        }
        if self.commands >= TRANSACTION_COMMANDS_MAX {
            return Err(CommandError::TransactionCommands);
        }
        if self.parts + parts > TRANSACTION_PARTS_MAX {
            return Err(CommandError::TransactionParts);
        }
        if self.bytes.len() + bytes.len() > TRANSACTION_BYTES_MAX {
            return Err(CommandError::TransactionBytes);
        }
        self.bytes.extend_from_slice(bytes);
        self.commands += 1;
        self.parts += parts;
        Ok(())
    }

    /// Encodes what became of it.
    pub(super) fn answer(&self, outcome: &Outcome, encoder: &mut Encoder, out: &mut Vec<u8>) {
        let (replies, mut stocks) = match outcome {
            Outcome::Executed { replies, stocks } => (replies, *stocks),
            Outcome::Conflict(_) => return encoder.nil_array(out),
            Outcome::Refused(why) => return encoder.refusal(why, out),
        };
        encoder.array(self.commands, out);
        let mut replies = replies.iter();
        self.each(
            |incoming| match incoming {
                Incoming::Request(_, shape) => {
                    let Some(reply) = replies.next() else { return };
                    match reply {
                        Reply::Listed(_) => stocks += 1,
                        Reply::Delisted(_) => stocks = stocks.saturating_sub(1),
                        _ => {}
                    }
                    encoder.reply(reply, &shape, out);
                }
                Incoming::Command(Command::SetAll(prices)) => {
                    let own = replies.by_ref().take(prices.updates().count());
                    SetAll.answer_replies(own.collect::<Vec<_>>().into_iter(), encoder, out);
                }
                Incoming::Command(Command::Array(elements)) => encoder.array(elements, out),
                Incoming::Command(Command::Count) => encoder.integer(stocks as u64, out),
                Incoming::Command(Command::Ping(message)) => encoder.pong(message, false, out),
                Incoming::Command(Command::Echo(message)) => encoder.text(message, out),
                Incoming::Command(Command::Time) => encoder.time(stockd_engine::now_ns(), out),
                Incoming::Command(Command::BadRow { error, last }) => {
                    encoder.bad_row(&error, last, out);
                }
                Incoming::Command(Command::Refused(error)) => encoder.error(&error, out),
                Incoming::Command(Command::Constant(constant)) => encoder.constant(constant, out),
                Incoming::Command(Command::Unwatch) => encoder.ok(out),
                Incoming::Command(other) => {
                    debug_assert!(false, "{other:?} may not be queued");
                    encoder.error(&CommandError::Syntax, out);
                }
            },
            |_| {},
        );
    }

    /// What is to be executed. Its commands are counted.
    fn requests(&self, cells: &Cells) -> Vec<stockd_model::Request> {
        let mut requests = Vec::new();
        self.each(
            |incoming| match incoming {
                Incoming::Request(request, _) => requests.push(request),
                Incoming::Command(Command::SetAll(prices)) => {
                    requests.extend(prices.updates().map(|(_, update)| update));
                }
                Incoming::Command(_) => {}
            },
            |command| cells.calls.add(command.index(), 1),
        );
        requests
    }

    /// Decodes all commands, in order, and says which each was.
    fn each(&self, act: impl FnMut(Incoming<'_>), done: impl FnMut(CommandId)) {
        each(&self.bytes, act, done);
    }
}

/// Decodes commands that were queued, in order, and says which each was.
fn each(bytes: &[u8], mut act: impl FnMut(Incoming<'_>), mut done: impl FnMut(CommandId)) {
    let mut decoder = Decoder::new();
    let mut rest = bytes;
    while let Ok(Some(incoming)) = decoder.decode(&mut rest) {
        act(incoming);
        decoder.take_decoded().into_iter().for_each(&mut done);
    }
    debug_assert!(rest.is_empty(), "only whole commands are queued");
}
