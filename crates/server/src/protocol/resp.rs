//! A conversation in RESP: what a client that speaks like one of Redis asks, and what it is told.
//!
//! It decodes, has requests executed, encodes, and keeps what is particular to this protocol: the
//! version spoken, the requests that are *parked* until the disk has them, and the snapshot that is
//! being read. Commands that are no requests to the engine are performed in the files beneath.
//!
//! Invariant: while requests are parked, all further ones are parked behind them, lookups too, so
//! that replies keep their order and a client reads what it has written. A command that is no
//! request to the engine waits until none is parked.

mod browse;
mod client;
mod subscribe;
mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;

use stockd_engine::{Access, Answered, Budget, Message, Snapshot, WriteHandle};
use stockd_model::Request;
use stockd_model::limits::{FEED_TELL_WORK, PARKED_REQUESTS_MAX};
use stockd_wire::resp::{
    ANSWER_BYTES_MAX, Admits, Command, CommandError, Decoder, Encoder, Hello, Incoming,
    NotDeferrable, Shape, Version,
};

use crate::client_list::ClientInfo;
use crate::connection_id::ConnectionId;
use crate::conversation::{Conversation, Definition, Ending, Waits};
use crate::info;
use crate::turn::Turn;

pub(super) const DEFINITION: Definition = Definition {
    begin: |client| Box::new(RespConversation::new(Arc::clone(client))),
    encode_error: |error, out| Encoder::new().error(&format_args!("ERR {error}"), out),
};

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
    transaction: transaction::Begun,
}

/// What the committer is to answer, in order.
#[derive(Debug, Default)]
struct Parked(VecDeque<Awaited>);

/// What an answer of the committer is encoded as.
#[derive(Debug)]
enum Awaited {
    Reply(Shape<'static>),
    Outcome(Box<transaction::Queue>),
}

/// What a command leaves to be done when it is no longer borrowed from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Nothing,
    /// Which commands are admitted may have changed.
    Admit,
    Quit,
}

impl Conversation for RespConversation {
    fn answer(&mut self, input: &[u8], turn: &mut Turn<'_>) -> (usize, Waits) {
        let mut taken = 0;
        let mut batch = turn.executor.batch(turn.access);
        let waits = loop {
            let together = turn.replies.lookups_together(ANSWER_BYTES_MAX);
            if together == 0 {
                break Waits::Room;
            }
            let before = input.get(taken..).unwrap_or_default();
            let mut rest = before;
            if !self.parked.is_empty() {
                let waits =
                    self.park_next(&mut rest, turn.writer.as_deref_mut(), turn.access, turn.id);
                taken += before.len() - rest.len();
                match waits {
                    Some(waits) => break waits,
                    None => continue,
                }
            }
            self.decoder.lookups(&mut rest, together, |symbol| batch.begin(&symbol));
            if batch.begun() > 0 {
                batch.answer(|answer| self.speaker.encoder.answer(answer, turn.replies.out));
                taken += before.len() - rest.len();
                match rest {
                    // Lookups that are taken leave nothing to be decoded without input.
                    [] => break Waits::Input,
                    _ => continue,
                }
            }
            let after = match self.decoder.decode(&mut rest) {
                Ok(Some(Incoming::Request(request, shape))) => {
                    match batch.execute_now(&request) {
                        Some(reply) => {
                            self.speaker.encoder.reply(&reply, &shape, turn.replies.out);
                        }
                        None => {
                            self.parked.park(
                                request,
                                &shape,
                                turn.writer.as_deref_mut(),
                                turn.access,
                                turn.id,
                            );
                        }
                    }
                    After::Nothing
                }
                Ok(Some(Incoming::Command(command))) => {
                    // What is performed may need the executor for itself.
                    drop(batch);
                    let after = self.speaker.perform(command, &mut self.parked, turn);
                    batch = turn.executor.batch(turn.access);
                    after
                }
                Ok(None) => {
                    taken += before.len() - rest.len();
                    break Waits::Input;
                }
                Err(error) => {
                    self.speaker.encoder.error(&error, turn.replies.out);
                    break Waits::Nothing(Ending::ProtocolError);
                }
            };
            taken += before.len() - rest.len();
            match after {
                After::Nothing => {}
                After::Admit => self.admit(turn.feed.len(turn.id.into()) > 0),
                After::Quit => break Waits::Nothing(Ending::Quit),
            }
        };
        (taken, waits)
    }

    fn end(&mut self, _: &[u8], _: &mut Turn<'_>) {
        // Half a command asks for nothing.
    }

    fn awaits_commit(&self) -> bool {
        !self.parked.is_empty()
    }

    fn committed(&mut self, answered: &Answered, out: &mut Vec<u8>) {
        let encoder = &mut self.speaker.encoder;
        match (self.parked.0.pop_front(), answered) {
            (Some(Awaited::Reply(shape)), Answered::Reply(reply)) => {
                encoder.reply(reply, &shape, out);
            }
            (Some(Awaited::Outcome(queue)), Answered::Outcome(outcome)) => {
                queue.answer(outcome, encoder, out);
            }
            (awaited, _) => debug_assert!(awaited.is_none(), "answers come in order, in kind"),
        }
    }

    fn tell(&mut self, turn: &mut Turn<'_>, bytes_max: usize) -> u64 {
        let encoder = &self.speaker.encoder;
        let subscriber = turn.id.into();
        let out = &mut *turn.replies.out;
        let mut budget = Budget::new(FEED_TELL_WORK);
        let mut messages = 0;
        let _ = turn.feed.tell(subscriber, &mut budget, |Message { pattern, symbol, payload }| {
            let symbol = symbol.as_bytes();
            match pattern {
                None => encoder.message(symbol, payload, out),
                Some(pattern) => {
                    encoder.pattern_message(pattern.as_bytes(), symbol, payload, out);
                }
            }
            messages += 1;
            out.len() < bytes_max
        });
        messages
    }
}

impl RespConversation {
    fn new(client: Arc<ClientInfo>) -> RespConversation {
        RespConversation {
            decoder: Decoder::default(),
            speaker: Speaker {
                encoder: Encoder::default(),
                client,
                snapshot: None,
                transaction: transaction::Begun::default(),
            },
            parked: Parked::default(),
        }
    }

    /// Parks the next request behind those that are parked. Says what the conversation waits for if
    /// there is none, or none that can be parked now.
    fn park_next(
        &mut self,
        rest: &mut &[u8],
        writer: Option<&mut WriteHandle>,
        access: &Access,
        id: ConnectionId,
    ) -> Option<Waits> {
        let has_room = writer.as_ref().is_some_and(|writer| writer.has_room());
        if !has_room || self.parked.0.len() >= PARKED_REQUESTS_MAX {
            return Some(Waits::Commit);
        }
        match self.decoder.decode_deferrable(rest) {
            Ok(Some((request, shape))) => {
                self.parked.park(request, &shape, writer, access, id);
                None
            }
            Ok(None) => Some(Waits::Input),
            Err(NotDeferrable) => Some(Waits::Commit),
        }
    }

    /// A subscribed client that speaks RESP2 could not tell replies from messages, and begins no
    /// transaction.
    fn admit(&mut self, subscribed: bool) {
        let takes_messages_for_replies = self.speaker.encoder.version() == Version::Resp2;
        self.decoder.admit(match subscribed && takes_messages_for_replies {
            true => Admits::Subscription,
            false if self.speaker.transaction.is_queueing() => Admits::Transaction,
            false => Admits::All,
        });
    }
}

impl Parked {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands a request to the committer, which answers it later.
    #[cold]
    fn park(
        &mut self,
        request: Request,
        shape: &Shape<'_>,
        writer: Option<&mut WriteHandle>,
        access: &Access,
        id: ConnectionId,
    ) {
        if let (Some(writer), Some(shape)) = (writer, shape.lasting()) {
            writer.submit(access, id.into(), request);
            self.0.push_back(Awaited::Reply(shape));
        } else {
            debug_assert!(false, "every write can be parked where there is a committer");
        }
    }
}

impl Speaker {
    /// Performs any command but a request to the engine.
    #[cold]
    fn perform(&mut self, command: Command<'_>, parked: &mut Parked, turn: &mut Turn<'_>) -> After {
        let Speaker { encoder, client, snapshot, transaction } = self;
        let out = &mut *turn.replies.out;
        match command {
            Command::Array(elements) => encoder.array(elements, out),
            Command::Count => {
                encoder.integer(turn.executor.engine().count(turn.access) as u64, out);
            }
            Command::Snapshot { next } => {
                browse::snapshot(next, snapshot, encoder, turn);
            }
            Command::Scan(scan) => browse::scan(&scan, encoder, turn),
            Command::Keys(pattern) => browse::keys(pattern, encoder, turn),
            Command::Subscribe(symbol) => {
                subscribe::symbol(&symbol, encoder, turn);
                return After::Admit;
            }
            Command::SubscribePattern(pattern) => {
                subscribe::pattern(pattern.as_bytes(), encoder, turn);
                return After::Admit;
            }
            Command::Unsubscribe(name) => {
                subscribe::end_symbol(name, encoder, turn);
                return After::Admit;
            }
            Command::UnsubscribePattern(name) => {
                subscribe::end_pattern(name, encoder, turn);
                return After::Admit;
            }
            Command::UnsubscribeAll => {
                subscribe::end_all_symbols(encoder, turn);
                return After::Admit;
            }
            Command::UnsubscribeAllPatterns => {
                subscribe::end_all_patterns(encoder, turn);
                return After::Admit;
            }
            Command::Ping(message) => {
                let subscribed = turn.feed.len(turn.id.into()) > 0;
                encoder.pong(message, subscribed, out);
            }
            Command::Echo(message) => encoder.text(message, out),
            Command::Hello(Hello { credentials: Some(_), .. }) | Command::Auth(_) => {
                encoder.error(&CommandError::NoPasswordConfigured, out);
            }
            Command::Hello(hello) => {
                client::hello(&hello, client, encoder, out);
                return After::Admit;
            }
            Command::Client(command) => client::perform(command, client, encoder, turn),
            Command::Describe(describe) => encoder.describe(&describe, out),
            Command::Settings(patterns) => {
                turn.server.with_settings(|settings| encoder.settings(patterns, settings, out));
            }
            Command::Info(sections) => {
                encoder.lines(&info::text(turn.server, sections, turn.now), out);
            }
            Command::Time => encoder.time(stockd_engine::now_ns(), out),
            Command::Nothing => encoder.ok(out),
            Command::Multi => {
                transaction.multi(encoder, out);
                return After::Admit;
            }
            Command::Queue(command) => transaction.queue(command, encoder, out),
            Command::Exec => {
                let queue = transaction.exec(encoder, turn);
                parked.0.extend(queue.map(|queue| Awaited::Outcome(Box::new(queue))));
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
                client::reset(client, encoder, turn);
                return After::Admit;
            }
            Command::Quit => {
                encoder.ok(out);
                return After::Quit;
            }
            Command::Refused(error) => transaction.refuse(&error, encoder, out),
        }
        After::Nothing
    }
}
