//! A conversation in RESP: what a client that speaks like one of Redis asks, and what it is told.
//!
//! It decodes, has requests executed, encodes, and keeps what is particular to this protocol: the
//! version spoken, the requests that are *parked* until the disk has them, the snapshot that is
//! being read, and the *walk* of a command that takes more than one turn. Commands that are no requests to the engine are performed in the files beneath.
//!
//! Invariant: while requests are parked, all further ones are parked behind them, lookups too, so
//! that replies keep their order and a client reads what it has written. A command that is no
//! request to the engine waits until none is parked.

mod after;
mod authenticate;
mod browse;
mod client;
mod cost;
mod hush;
mod source;
mod stopwatch;
mod subscribe;
mod tracking;
mod transaction;
mod walk;
mod writes;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use stockd_access::Identity;
use stockd_engine::{
    Access, Answered, Batch, Budget, Ended, Feed, Message, Outcome, Snapshot, WriteHandle,
};
use stockd_model::limits::{
    FEED_TELL_WORK, PARKED_REQUESTS_MAX, TURN_WORK_MIN, WRITTEN_BYTES_PER_WORK,
};
use stockd_model::{Refusal, Reply, Request, Right, Symbol, quote_json};
use stockd_wire::resp::{
    ANSWER_BYTES_MAX, Admits, Client, Command, CommandError, CommandId, Confirmation, Constant,
    Decoder, Encoder, Hello, Incoming, NotDeferrable, Shape, Version,
};

use self::after::After;
use crate::client_list::ClientInfo;
use crate::connection_id::ConnectionId;
use crate::conversation::{Conversation, Definition, Ending, Waits};
use crate::info;
use crate::memory::Held;
use crate::metrics::Cells;
use crate::turn::{Replies, Turn};
use hush::{Hush, Sent};
use source::Source;
use stopwatch::Stopwatch;
use tracking::Tracker;
use walk::Walk;
use writes::Writes;

pub(super) const DEFINITION: Definition = Definition {
    begin: |client, identity| Box::new(RespConversation::new(Arc::clone(client), identity)),
    encode_error: |error, out| Encoder::new().error(&format_args!("ERR {error}"), out),
};

/// What the names of channels begin with that client libraries subscribe to on their own, such as
/// `__sentinel__:hello`. They wait for no stock there, and take no message before the reply to their next
/// command.
const CLIENT_CHANNELS: &[u8] = b"__";

/// One client's conversation.
#[derive(Debug)]
struct RespConversation {
    decoder: Decoder,
    speaker: Speaker,
    parked: Parked,
}

/// What a command may change of the conversation while it is borrowed from the decoder.
#[derive(Debug)]
struct Speaker {
    encoder: Encoder,
    client: Arc<ClientInfo>,
    /// The catalog at one moment, while the client reads it.
    snapshot: Option<Box<Snapshot>>,
    /// The command that is under way. Nothing else is answered before it.
    walk: Option<Box<Walk>>,
    transaction: transaction::Begun,
    source: Source,
    writes: Writes,
    tracker: Tracker,
    /// A wrong token was shown, which is not said yet.
    is_wrong: bool,
    hush: Hush,
    stopwatch: Stopwatch,
}

/// What the committer is to answer, in order.
#[derive(Debug, Default)]
struct Parked(VecDeque<Awaited>);

/// What an answer of the committer is encoded as.
#[derive(Debug)]
enum Awaited {
    Reply(Shape<'static>, Sent),
    Outcome(Box<transaction::Queue>, Sent),
    /// Of `MSET`.
    SetAll(transaction::SetAll, Sent),
}

impl Conversation for RespConversation {
    fn answer(&mut self, input: &[u8], turn: &mut Turn<'_>) -> (usize, Waits) {
        self.speaker.hush.keep(turn.replies.out);
        self.speaker.stopwatch.begin_turn(turn.is_timed);
        let answered = self.answer_all(input, turn);
        self.settle(turn.id, turn.feed, turn.cells, turn.replies.out);
        if self.speaker.stopwatch.is_running() {
            self.speaker.stopwatch.end_turn();
        }
        answered
    }

    fn end(&mut self, _: &[u8], _: &mut Turn<'_>) {
        // Half a command asks for nothing.
    }

    fn identified(&mut self, turn: &mut Turn<'_>) {
        self.speaker.snapshot = None;
        self.speaker.client.set_user(turn.identity.user());
        turn.feed.change_access(turn.id.into(), turn.identity.access());
        self.admit(turn.feed.len(turn.id.into()) > 0, turn.identity);
    }

    fn awaits_commit(&self) -> bool {
        !self.parked.is_empty()
    }

    fn committed(&mut self, answered: &Answered, out: &mut Vec<u8>) {
        let Speaker { encoder, client, writes, .. } = &mut self.speaker;
        match answered {
            Answered::Reply(reply) => writes.note(reply, client),
            Answered::Outcome(outcome) => writes.note_all(outcome, client),
        }
        let before = out.len();
        let sent = match (self.parked.0.pop_front(), answered) {
            (Some(Awaited::Reply(shape, sent)), Answered::Reply(reply)) => {
                encoder.reply(reply, &shape, out);
                sent
            }
            (Some(Awaited::Outcome(queue, sent)), Answered::Outcome(outcome)) => {
                queue.answer(outcome, encoder, out);
                sent
            }
            (Some(Awaited::SetAll(set, sent)), Answered::Outcome(outcome)) => {
                set.answer(outcome, encoder, out);
                sent
            }
            (awaited, _) => {
                debug_assert!(awaited.is_none(), "answers come in order, in kind");
                Sent::Yes
            }
        };
        if sent == Sent::No {
            out.truncate(before);
        }
    }

    fn add_held(&self, held: &mut Held) {
        let names = self.speaker.client.conversation.names_bytes.get() as usize;
        held.requests += self.decoder.held_bytes() + self.speaker.transaction.held_bytes() + names;
        held.subscriptions += self.speaker.tracker.held_bytes();
        held.walks += self.speaker.walk.as_ref().map_or(0, |walk| walk.bytes());
        held.parked += self.parked.bytes();
    }

    fn has_messages(&self, id: ConnectionId, feed: &Feed) -> bool {
        let has_some = feed.has_messages(id.into())
            || feed.has_forbidden(id.into())
            || (self.parked.is_empty() && feed.has_invalidations(id.into()));
        // Nothing comes within a reply.
        has_some && self.speaker.walk.is_none() && !self.decoder.is_within_reply()
    }

    fn tell(&mut self, turn: &mut Turn<'_>, bytes_max: usize) -> u64 {
        let mut messages = self.tell_invalidations(turn, bytes_max);
        messages += self.tell_forbidden(turn, bytes_max);
        let encoder = &self.speaker.encoder;
        let out = &mut *turn.replies.out;
        if out.len() >= bytes_max {
            return messages;
        }
        let work = turn.work.left().clamp(TURN_WORK_MIN, FEED_TELL_WORK);
        let mut budget = Budget::new(work);
        let _ = turn.feed.tell(turn.id.into(), &mut budget, |message| {
            let Message { pattern, symbol, payload, is_unlisted, framed, .. } = message;
            let symbol = symbol.as_bytes();
            if is_unlisted && symbol.starts_with(CLIENT_CHANNELS) {
                return true;
            }
            match (pattern, framed) {
                (Some(pattern), _) => {
                    encoder.pattern_message(pattern.as_bytes(), symbol, payload, out);
                }
                (None, Some(framed)) => {
                    let framed =
                        framed.or_frame(|out| Encoder::new().message(symbol, payload, out));
                    encoder.made_message(framed, out);
                }
                (None, None) => encoder.message(symbol, payload, out),
            }
            messages += 1;
            out.len() < bytes_max
        });
        turn.work.spend(work - budget.left());
        messages
    }
}

impl RespConversation {
    fn new(client: Arc<ClientInfo>, identity: &Identity) -> RespConversation {
        client.set_user(identity.user());
        let mut conversation = RespConversation {
            decoder: Decoder::default(),
            speaker: Speaker {
                encoder: Encoder::default(),
                client,
                snapshot: None,
                walk: None,
                transaction: transaction::Begun::default(),
                source: Source::default(),
                writes: Writes::default(),
                tracker: Tracker::default(),
                is_wrong: false,
                hush: Hush::default(),
                stopwatch: Stopwatch::new(Instant::now()),
            },
            parked: Parked::default(),
        };
        conversation.admit(false, identity);
        conversation
    }

    /// Answers the input, as [`Conversation::answer`] does.
    fn answer_all(&mut self, input: &[u8], turn: &mut Turn<'_>) -> (usize, Waits) {
        if self.speaker.walk.is_some()
            && let Some(waits) = self.walk_on(turn)
        {
            return (0, waits);
        }
        // Now, while nothing is parked: soon something may be, again and again.
        if self.speaker.tracker.is_on() && !self.decoder.is_within_reply() {
            let bytes_max = turn.replies.bytes_max;
            turn.cells.messages.add(self.tell_invalidations(turn, bytes_max));
            self.speaker.hush.keep(turn.replies.out);
        }
        if std::mem::take(&mut self.speaker.is_wrong) {
            self.speaker.encoder.error(&CommandError::WrongUser, turn.replies.out);
        }
        let mut rest = input;
        let waits = 'answer: loop {
            while !self.parked.is_empty() {
                if turn.work.is_spent() {
                    break 'answer Waits::Turn;
                }
                turn.work.spend(cost::PARKED);
                self.settle(turn.id, turn.feed, turn.cells, turn.replies.out);
                if let Some(waits) = self.park_next(&mut rest, turn) {
                    break 'answer waits;
                }
            }
            // What is performed may need the executor for itself, so the batch ends before it.
            let command = {
                let mut batch = turn.executor.batch(turn.identity.access());
                loop {
                    self.settle(turn.id, turn.feed, turn.cells, turn.replies.out);
                    match self.answer_lookups(&mut rest, &mut batch, &mut turn.replies, turn.cells)
                    {
                        Some(waits) => break 'answer waits,
                        None if turn.work.is_spent() => break 'answer Waits::Turn,
                        None => {}
                    }
                    let access = batch.access();
                    let mut decoded = self.decoder.decode(&mut rest);
                    // Requests and replies stay where they are made: they are large.
                    if let Ok(Some(Incoming::Request(request, shape))) = &mut decoded {
                        self.speaker.hush.begin();
                        self.speaker.source.tie(request, turn.now);
                        turn.work.spend(cost::request(request));
                        let tracker = &self.speaker.tracker;
                        let (id, memory) = (turn.id.into(), &turn.server.memory);
                        tracker.reads(request, id, access, turn.feed, memory);
                        let executed = batch.execute_now(request);
                        let Some(reply) = &executed else {
                            let writer = turn.writer.as_deref_mut();
                            count_denied(access, request, turn.cells);
                            let sent = self.speaker.hush.sent();
                            self.parked.park(*request, shape, sent, writer, access, turn.id);
                            continue 'answer;
                        };
                        if let Reply::Refused(refusal) = reply {
                            turn.cells.count_refusal(refusal);
                        }
                        tracker.wrote(reply, id, turn.feed);
                        let before = turn.replies.out.len();
                        let (encoder, client) = (&mut self.speaker.encoder, &self.speaker.client);
                        self.speaker.writes.note(reply, client);
                        encoder.reply(reply, shape, turn.replies.out);
                        let made = turn.replies.out.len() - before;
                        turn.work.spend(made / WRITTEN_BYTES_PER_WORK);
                        continue;
                    }
                    match decoded {
                        Ok(Some(Incoming::Command(command))) => break command,
                        Ok(Some(Incoming::Request(..)) | None) => break 'answer Waits::Input,
                        Err(error) => {
                            self.speaker.encoder.error(&error, turn.replies.out);
                            break 'answer Waits::Nothing(Ending::ProtocolError);
                        }
                    }
                }
            };
            self.speaker.hush.begin();
            if !matches!(command, Command::Array(_)) {
                self.speaker.stopwatch.begin_command();
            }
            match self.speaker.perform(command, &mut self.parked, turn) {
                After::Nothing => {}
                After::Admit => self.admit(turn.feed.len(turn.id.into()) > 0, turn.identity),
                After::Identified => self.identified(turn),
                After::Wait(waits) => break waits,
                After::Quit => break Waits::Nothing(Ending::Quit),
            }
        };
        (input.len() - rest.len(), waits)
    }

    /// Counts the command that was decoded last, and errors. Where reads are tracked, sees to its end.
    #[inline(always)]
    fn settle(&mut self, id: ConnectionId, feed: &mut Feed, cells: &Cells, out: &mut Vec<u8>) {
        let command = self.decoder.take_decoded();
        if let Some(command) = command {
            self.speaker.count(command, 1, cells);
        }
        if let Some(errors) = self.speaker.encoder.take_errors() {
            errors.counts().enumerate().for_each(|(code, count)| cells.errors.add(code, count));
        }
        let Speaker { tracker, stopwatch, hush, .. } = &self.speaker;
        if tracker.is_on() | stopwatch.is_running() | hush.is_on() {
            self.settle_rarely(command, id, feed, cells, out);
        }
    }

    /// Sees to what few conversations, or few turns, have.
    #[cold]
    #[inline(never)]
    fn settle_rarely(
        &mut self,
        command: Option<CommandId>,
        id: ConnectionId,
        feed: &mut Feed,
        cells: &Cells,
        out: &mut Vec<u8>,
    ) {
        if self.speaker.tracker.is_on() {
            self.settle_reads(command, id, feed);
        }
        let has_ended = !self.decoder.is_streaming() && self.speaker.walk.is_none();
        if self.speaker.stopwatch.is_running() {
            self.speaker.stopwatch.lap_command(command, has_ended, cells);
        }
        if self.speaker.hush.is_on() {
            self.speaker.hush.settle(has_ended, out);
        }
    }

    /// Notes the time of lookups that were answered together: `GET`s, or parts of an `MGET`.
    #[cold]
    #[inline(never)]
    fn lap_lookups(&mut self, are_gets: bool, lookups: u64, cells: &Cells) {
        let Speaker { stopwatch, .. } = &mut self.speaker;
        match are_gets {
            true => stopwatch.lap_lookups(CommandId::GET, lookups, cells),
            false => stopwatch.lap_command(None, !self.decoder.is_streaming(), cells),
        }
    }

    fn settle_reads(&mut self, command: Option<CommandId>, id: ConnectionId, feed: &mut Feed) {
        let Speaker { tracker, transaction, .. } = &mut self.speaker;
        if command.is_some_and(|command| command != CommandId::CLIENT_CACHING) {
            tracker.begun();
        }
        if self.decoder.take_misnamed() {
            tracker.misnamed();
        }
        if !self.decoder.is_streaming() && !transaction.is_queueing() {
            tracker.ended(id.into(), feed);
        }
    }

    /// Tells which stocks the client has to forget, unless replies are to come that may be older than what
    /// has changed. Returns how many messages that were.
    fn tell_invalidations(&mut self, turn: &mut Turn<'_>, bytes_max: usize) -> u64 {
        if !self.parked.is_empty() || !turn.feed.has_invalidations(turn.id.into()) {
            return 0;
        }
        let encoder = &self.speaker.encoder;
        let out = &mut *turn.replies.out;
        let work = turn.work.left().clamp(TURN_WORK_MIN, FEED_TELL_WORK);
        let mut budget = Budget::new(work);
        let mut messages = 0;
        let _ = turn.feed.tell_invalidations(turn.id.into(), &mut budget, |symbol| {
            encoder.invalidate(symbol.map(Symbol::as_bytes), out);
            messages += 1;
            out.len() < bytes_max
        });
        turn.work.spend(work - budget.left());
        messages
    }

    /// Ends the subscriptions that are not allowed any more, and says so. Returns how many messages that
    /// were.
    fn tell_forbidden(&mut self, turn: &mut Turn<'_>, bytes_max: usize) -> u64 {
        if !turn.feed.has_forbidden(turn.id.into()) {
            return 0;
        }
        let encoder = &self.speaker.encoder;
        let out = &mut *turn.replies.out;
        let work = turn.work.left().clamp(TURN_WORK_MIN, FEED_TELL_WORK);
        let mut budget = Budget::new(work);
        let (mut messages, mut payload) = (0, Vec::new());
        let _ = turn.feed.end_forbidden(turn.id.into(), &mut budget, |ended| {
            payload.clear();
            match ended {
                Ended::Symbol(symbol) => {
                    quote_json::encode_forbidden(Some(symbol), &mut payload);
                    encoder.message(symbol.as_bytes(), &payload, out);
                }
                Ended::Pattern(pattern) => {
                    let pattern = pattern.as_bytes();
                    quote_json::encode_forbidden(None, &mut payload);
                    encoder.pattern_message(pattern, pattern, &payload, out);
                }
            }
            messages += 1;
            out.len() < bytes_max
        });
        turn.work.spend(work - budget.left());
        self.admit(turn.feed.len(turn.id.into()) > 0, turn.identity);
        messages
    }

    /// Goes on with the command that is under way. Says what it waits for, unless it has come to its
    /// end.
    #[cold]
    fn walk_on(&mut self, turn: &mut Turn<'_>) -> Option<Waits> {
        let waits = self.speaker.walk_on(turn);
        if waits.is_none() {
            self.admit(turn.feed.len(turn.id.into()) > 0, turn.identity);
        }
        waits
    }

    /// Answers the lookups that come next. Says what the conversation waits for when they were all, or
    /// there is no room for more; `None` when something else comes.
    #[inline(always)]
    fn answer_lookups(
        &mut self,
        rest: &mut &[u8],
        batch: &mut Batch<'_>,
        replies: &mut Replies<'_>,
        cells: &Cells,
    ) -> Option<Waits> {
        if self.speaker.hush.is_on() {
            return (replies.room() == 0).then_some(Waits::Room);
        }
        let mut input = *rest;
        loop {
            let are_gets = !self.decoder.is_streaming();
            let together = replies.lookups_together(ANSWER_BYTES_MAX);
            if together == 0 {
                *rest = input;
                return Some(Waits::Room);
            }
            self.decoder.lookups(&mut input, together, |symbol| batch.begin(&symbol));
            if batch.begun() == 0 {
                *rest = input;
                return None;
            }
            if are_gets {
                self.speaker.count(CommandId::GET, batch.begun() as u64, cells);
            }
            let begun = batch.begun() as u64;
            let (encoder, out) = (&self.speaker.encoder, &mut *replies.out);
            let denied = batch.denied();
            batch.answer(|answer| encoder.answer(answer, out));
            if batch.denied() != denied {
                cells.count_refused_resp(Right::Read, batch.denied() - denied);
            }
            if self.speaker.stopwatch.is_running() {
                self.lap_lookups(are_gets, begun, cells);
            }
            // Lookups that are taken leave nothing to be decoded without input.
            if input.is_empty() {
                *rest = input;
                return Some(Waits::Input);
            }
        }
    }

    /// Parks the next request behind those that are parked. Says what the conversation waits for if
    /// there is none, or none that can be parked now. What is to be forgotten is told when none is parked,
    /// so that no reply with what is out of date comes after it.
    fn park_next(&mut self, rest: &mut &[u8], turn: &mut Turn<'_>) -> Option<Waits> {
        let has_room = turn.writer.as_ref().is_some_and(|writer| writer.has_room());
        let has_to_tell = turn.feed.has_invalidations(turn.id.into());
        if !has_room || has_to_tell || self.parked.0.len() >= PARKED_REQUESTS_MAX {
            return Some(Waits::Commit);
        }
        match self.decoder.decode_deferrable(rest) {
            Ok(Some((mut request, shape))) => {
                self.speaker.source.tie(&mut request, turn.now);
                let (memory, access) = (&turn.server.memory, turn.identity.access());
                self.speaker.tracker.reads(&request, turn.id.into(), access, turn.feed, memory);
                let writer = turn.writer.as_deref_mut();
                count_denied(access, &request, turn.cells);
                self.speaker.hush.begin();
                let sent = self.speaker.hush.sent();
                self.parked.park(request, &shape, sent, writer, access, turn.id);
                None
            }
            Ok(None) => Some(Waits::Input),
            Err(NotDeferrable) => Some(Waits::Commit),
        }
    }

    /// A subscribed client that speaks RESP2 could not tell replies from messages, and begins no
    /// transaction. One that is no user yet says first who it is.
    fn admit(&mut self, subscribed: bool, identity: &Identity) {
        let takes_messages_for_replies = self.speaker.encoder.version() == Version::Resp2;
        self.decoder.admit(match subscribed && takes_messages_for_replies {
            _ if !identity.is_known() => Admits::Entrance,
            true => Admits::Subscription,
            false if self.speaker.transaction.is_queueing() => Admits::Transaction,
            false => Admits::All,
        });
        self.decoder.permit(identity.access().rights());
        self.decoder.track(self.speaker.tracker.is_on());
    }
}

/// Counts a request that will be refused when its turn comes.
fn count_denied(access: &Access, request: &Request, cells: &Cells) {
    if let Err(Refusal::NotPermitted { right, .. }) = access.check(request) {
        cells.count_refused_resp(right, 1);
    }
}

impl Parked {
    /// About how many bytes they take, here and on the way to the committer and back.
    fn bytes(&self) -> usize {
        const REQUEST_BYTES: usize = 256;
        let outcomes = self.0.iter().map(|awaited| match awaited {
            Awaited::Reply(..) | Awaited::SetAll(..) => 0,
            Awaited::Outcome(queue, _) => queue.held_bytes(),
        });
        self.0.capacity() * size_of::<Awaited>()
            + self.0.len() * REQUEST_BYTES
            + outcomes.sum::<usize>()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands a request to the committer, which answers it later.
    #[cold]
    fn park(
        &mut self,
        request: Request,
        shape: &Shape<'_>,
        sent: Sent,
        writer: Option<&mut WriteHandle>,
        access: &Access,
        id: ConnectionId,
    ) {
        if let (Some(writer), Some(shape)) = (writer, shape.lasting()) {
            writer.submit(access, id.into(), request);
            self.0.push_back(Awaited::Reply(shape, sent));
        } else {
            debug_assert!(false, "every write can be parked where there is a committer");
        }
    }
}

impl Speaker {
    /// Counts a command that the client has given this number of times.
    #[inline]
    fn count(&self, command: CommandId, times: u64, cells: &Cells) {
        cells.calls.add(command.index(), times);
        self.client.note_command(command);
    }

    /// Performs any command but a request to the engine.
    #[cold]
    fn perform(&mut self, command: Command<'_>, parked: &mut Parked, turn: &mut Turn<'_>) -> After {
        let before = turn.replies.out.len();
        turn.work.spend(cost::of(&command));
        let after = match command {
            Command::Keys(pattern) => self.begin(Walk::keys(pattern), turn),
            Command::Client(Client::List(filter)) => {
                self.client.note_command(CommandId::CLIENT_LIST);
                self.begin(Walk::clients(&filter, self.client.id, turn), turn)
            }
            Command::Client(Client::Kill(kill)) => match Walk::kill(&kill, &self.client, turn) {
                Ok(walk) => self.begin(walk, turn),
                Err(error) => {
                    self.encoder.error(&error, turn.replies.out);
                    After::Nothing
                }
            },
            Command::Channels(pattern) => self.begin(Walk::channels(pattern), turn),
            Command::Count if turn.executor.engine().count(turn.identity.access()).is_none() => {
                self.begin(Walk::count(), turn)
            }
            Command::RandomKey => self.begin(Walk::random(), turn),
            Command::Scan(scan) => self.begin(Walk::scan(&scan), turn),
            Command::Describe(describe) => {
                let description = self.encoder.describe(&describe, turn.replies.out);
                self.begin(Walk::Describe(description), turn)
            }
            Command::UnsubscribeAll => {
                self.end_all(Confirmation::Unsubscribed, Walk::EndSymbols, turn)
            }
            Command::UnsubscribeAllPatterns => {
                self.end_all(Confirmation::UnsubscribedPattern, Walk::EndPatterns, turn)
            }
            Command::Subscribe(symbol) => {
                subscribe::symbol(symbol, &self.encoder, turn);
                self.confirmed(turn)
            }
            Command::SubscribePattern(pattern) => {
                subscribe::pattern(pattern, &self.encoder, turn);
                self.confirmed(turn)
            }
            Command::Unsubscribe(name) => {
                subscribe::end_symbol(name, &self.encoder, turn);
                self.confirmed(turn)
            }
            Command::UnsubscribePattern(name) => {
                subscribe::end_pattern(name, &self.encoder, turn);
                self.confirmed(turn)
            }
            command => self.perform_at_once(command, parked, turn),
        };
        turn.work.spend(turn.replies.out.len().saturating_sub(before) / WRITTEN_BYTES_PER_WORK);
        self.describe();
        after
    }

    /// Lets others know how the conversation stands.
    fn describe(&self) {
        let told = &self.client.conversation;
        let (queued, queued_bytes, watched) = self.transaction.describe();
        told.queued.set(queued.map_or(0, |commands| commands as u64 + 1));
        told.queued_bytes.set(queued_bytes as u64);
        told.watched.set(watched as u64);
        told.tracking.set(u64::from(self.tracker.is_on()) + u64::from(self.tracker.is_broadcast()));
        told.is_resp3.set(u64::from(self.encoder.version() == Version::Resp3));
    }

    /// Performs a command that is neither a walk nor about subscriptions.
    fn perform_at_once(
        &mut self,
        command: Command<'_>,
        parked: &mut Parked,
        turn: &mut Turn<'_>,
    ) -> After {
        let Speaker {
            encoder,
            client,
            snapshot,
            transaction,
            source,
            tracker,
            writes,
            is_wrong,
            hush,
            ..
        } = self;
        let mut note = |outcome: &Outcome| writes.note_all(outcome, client);
        let out = &mut *turn.replies.out;
        match command {
            Command::Array(elements) => encoder.array(elements, out),
            Command::Count => {
                let count = turn.executor.engine().count(turn.identity.access());
                encoder.integer(count.unwrap_or_default() as u64, out);
            }
            Command::Snapshot { next } => browse::snapshot(next, snapshot, encoder, turn),
            Command::Ping(message) => {
                let subscribed = turn.feed.len(turn.id.into()) > 0;
                encoder.pong(message, subscribed, out);
            }
            Command::Echo(message) => encoder.text(message, out),
            Command::Auth(credentials) => {
                return match authenticate::check(&credentials, client, turn) {
                    Ok(after) => {
                        encoder.ok(turn.replies.out);
                        after
                    }
                    Err(refused) => refused.answer(encoder, is_wrong, turn),
                };
            }
            Command::Hello(Hello { version: Some(Version::Resp2), .. }) if tracker.is_on() => {
                encoder.error(&CommandError::Resp2WhileTracking, out);
            }
            Command::Hello(hello) => {
                return match authenticate::check_hello(&hello, client, turn) {
                    Ok(after) => {
                        client::hello(&hello, client, encoder, turn.replies.out);
                        after
                    }
                    Err(refused) => refused.answer(encoder, is_wrong, turn),
                };
            }
            Command::WhoAmI => {
                encoder.text(turn.identity.user().unwrap_or("default").as_bytes(), out);
            }
            Command::Client(Client::Tracking(tracking)) => {
                tracker.switch(tracking, encoder, turn);
                return After::Admit;
            }
            Command::Client(Client::Reply(mode)) => hush.switch(mode, encoder, out),
            Command::Client(Client::Caching(yes)) => tracker.caching(yes, encoder, out),
            Command::Client(Client::TrackingInfo) => tracker.describe(encoder, out),
            Command::Client(Client::Redirection) => {
                encoder.constant(Constant::Integer(i64::from(tracker.is_on()) - 1), out);
            }
            Command::Client(command) => client::perform(command, client, encoder, turn),
            Command::Settings(patterns) => {
                turn.server.with_settings(|settings| encoder.settings(patterns, settings, out));
            }
            Command::Info(sections) => {
                let access = turn.identity.access();
                encoder.lines(&info::text(turn.server, access, sections, turn.now), out);
            }
            Command::Time => encoder.time(stockd_engine::now_ns(), out),
            Command::Constant(constant) => encoder.constant(constant, out),
            Command::MemoryUsage(symbol) => browse::memory_usage(&symbol, encoder, turn),
            Command::PatternCount => {
                encoder.integer(turn.executor.engine().directory().patterns() as u64, out);
            }
            Command::SubscriberCounts(names) => subscribe::count(names, encoder, turn),
            Command::SetAll(prices) => {
                let set = transaction::set_all(prices, source, encoder, turn, &mut note);
                if let Some(set) = set {
                    parked.0.push_back(Awaited::SetAll(set, hush.sent()));
                }
            }
            Command::Fence => {
                if let Some(fence) = transaction::fence(encoder, turn, &mut note) {
                    parked.0.push_back(Awaited::SetAll(fence, hush.sent()));
                }
            }
            Command::Feed(command) => source.perform(&command, encoder, turn),
            Command::Multi => {
                transaction.multi(encoder, out);
                return After::Admit;
            }
            Command::Queue(command) => transaction.queue(command, encoder, turn),
            Command::Exec => {
                let queue = transaction.exec(encoder, (&*tracker, &*source), turn, &mut note);
                if let Some(queue) = queue {
                    parked.0.push_back(Awaited::Outcome(Box::new(queue), hush.sent()));
                }
                return After::Admit;
            }
            Command::Discard => {
                transaction.discard(encoder, out);
                return After::Admit;
            }
            Command::Watch(names) => transaction.watch(names, encoder, turn),
            Command::Unwatch => transaction.unwatch(encoder, out),
            Command::Reset => {
                *snapshot = None;
                *transaction = transaction::Begun::default();
                *source = Source::default();
                tracker.end(turn);
                hush.reset();
                client::reset(client, encoder, turn);
                *turn.identity = turn.server.authority.forget_token(turn.identity);
                return After::Identified;
            }
            Command::Quit => {
                encoder.ok(out);
                return After::Quit;
            }
            Command::BadRow { error, last } => {
                turn.cells.refused_invalid.add(1);
                writes.note_refused(&error, client);
                encoder.bad_row(&error, last, out);
            }
            Command::Refused(error) => {
                tracker.begun();
                authenticate::count(&error, turn.cells);
                if error.is_of_a_write() {
                    turn.cells.refused_invalid.add(1);
                    writes.note_refused(&error, client);
                }
                transaction.refuse(&error, encoder, out);
            }
            command => debug_assert!(false, "{command:?} is performed elsewhere"),
        }
        After::Nothing
    }

    /// Ends all subscriptions of a kind, and confirms each.
    fn end_all(&mut self, confirmation: Confirmation, walk: Walk, turn: &mut Turn<'_>) -> After {
        match subscribe::has_some_to_end(confirmation, &self.encoder, turn) {
            true => self.begin(walk, turn),
            false => self.confirmed(turn),
        }
    }

    /// A confirmation is sent in any mode.
    fn confirmed(&mut self, turn: &Turn<'_>) -> After {
        self.hush.keep(turn.replies.out);
        After::Admit
    }

    fn begin(&mut self, walk: Walk, turn: &mut Turn<'_>) -> After {
        turn.work.spend(cost::WALK);
        self.walk = Some(Box::new(walk));
        self.walk_on(turn).map_or(After::Admit, After::Wait)
    }

    /// Goes on with the command that is under way, and forgets it at its end.
    fn walk_on(&mut self, turn: &mut Turn<'_>) -> Option<Waits> {
        let walk = self.walk.as_mut();
        let confirms = walk.as_ref().is_some_and(|walk| walk.confirms());
        let waits = walk.and_then(|walk| walk.go_on(&self.encoder, turn));
        if confirms {
            self.hush.keep(turn.replies.out);
        }
        if waits.is_none() {
            self.walk = None;
        }
        waits
    }
}
