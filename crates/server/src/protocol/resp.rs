//! A conversation in RESP: what a client that speaks like one of Redis asks, and what it is told.
//!
//! It decodes, has requests executed and encodes their replies. Where a reply waits for the disk, its request is
//! [parked](Parked). Commands that are no requests to the engine are the [`Speaker`]'s.
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
mod parked;
mod source;
mod speaker;
mod stopwatch;
mod subscribe;
mod tracking;
mod transaction;
mod walk;
mod writes;

use std::sync::Arc;

use stockd_access::Identity;
use stockd_engine::{Access, Answered, Batch, Budget, Ended, Feed, Message};
use stockd_model::limits::{
    FEED_TELL_WORK, PARKED_REQUESTS_MAX, TURN_WORK_MIN, WRITTEN_BYTES_PER_WORK,
};
use stockd_model::{Refusal, Reply, Request, Right, Symbol, quote_json};
use stockd_wire::resp::{
    ANSWER_BYTES_MAX, Admits, Command, CommandError, CommandId, Decoder, Encoder, Incoming,
    NotDeferrable, Version,
};

use self::after::After;
use crate::client_list::ClientInfo;
use crate::connection_id::ConnectionId;
use crate::conversation::{Conversation, Definition, Ending, Waits};
use crate::memory::Held;
use crate::metrics::Cells;
use crate::turn::{Replies, Turn};
use hush::Sent;
use parked::Parked;
use speaker::Speaker;

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
        if self.parked.answer(answered, encoder, out) == Sent::No {
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
            speaker: Speaker::new(client),
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
        if !has_room || has_to_tell || self.parked.len() >= PARKED_REQUESTS_MAX {
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
