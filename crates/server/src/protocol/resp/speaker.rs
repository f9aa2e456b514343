//! What a conversation in RESP has come to with its client, and every command that is no request to the engine.
//!
//! It keeps what is particular to this protocol: the version spoken, the snapshot that is being read, the transaction that
//! was begun, and the *walk* of a command that takes more than one turn. It knows no bytes of requests.
//!
//! Invariant: a command is answered whole, or its [walk](Walk) goes on before anything else is answered.

use std::sync::Arc;
use std::time::Instant;

use stockd_engine::{Outcome, Snapshot};
use stockd_model::limits::WRITTEN_BYTES_PER_WORK;
use stockd_wire::resp::{
    Client, Command, CommandError, CommandId, Confirmation, Constant, Encoder, Hello, Version,
};

use super::after::After;
use super::hush::Hush;
use super::parked::{Awaited, Parked};
use super::source::Source;
use super::stopwatch::Stopwatch;
use super::tracking::Tracker;
use super::walk::Walk;
use super::writes::Writes;
use super::{authenticate, browse, client, cost, subscribe, transaction};
use crate::client_list::ClientInfo;
use crate::conversation::Waits;
use crate::info;
use crate::metrics::Cells;
use crate::turn::Turn;

/// What a command may change of the conversation while it is borrowed from the decoder.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) encoder: Encoder,
    pub(super) client: Arc<ClientInfo>,
    /// The catalog at one moment, while the client reads it.
    pub(super) snapshot: Option<Box<Snapshot>>,
    /// The command that is under way. Nothing else is answered before it.
    pub(super) walk: Option<Box<Walk>>,
    pub(super) transaction: transaction::Begun,
    pub(super) source: Source,
    pub(super) writes: Writes,
    pub(super) tracker: Tracker,
    /// A wrong token was shown, which is not said yet.
    pub(super) is_wrong: bool,
    pub(super) hush: Hush,
    pub(super) stopwatch: Stopwatch,
}

impl Speaker {
    /// With a client that has said nothing yet.
    pub(super) fn new(client: Arc<ClientInfo>) -> Speaker {
        Speaker {
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
        }
    }

    /// Counts a command that the client has given this number of times.
    #[inline]
    pub(super) fn count(&self, command: CommandId, times: u64, cells: &Cells) {
        cells.calls.add(command.index(), times);
        self.client.note_command(command);
    }

    /// Performs any command but a request to the engine.
    #[cold]
    pub(super) fn perform(
        &mut self,
        command: Command<'_>,
        parked: &mut Parked,
        turn: &mut Turn<'_>,
    ) -> After {
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
            Command::Subscribe(_)
            | Command::SubscribePattern(_)
            | Command::Unsubscribe(_)
            | Command::UnsubscribePattern(_)
            | Command::UnsubscribeAll
            | Command::UnsubscribeAllPatterns => self.subscribe(command, turn),
            Command::Auth(_)
            | Command::Hello(_)
            | Command::WhoAmI
            | Command::Client(_)
            | Command::Reset
            | Command::Quit => self.introduce(command, turn),
            Command::SetAll(_)
            | Command::Fence
            | Command::Multi
            | Command::Queue(_)
            | Command::Exec
            | Command::Discard
            | Command::Watch(_)
            | Command::Unwatch => self.transact(command, parked, turn),
            command => {
                self.answer(command, turn);
                After::Nothing
            }
        };
        turn.work.spend(turn.replies.out.len().saturating_sub(before) / WRITTEN_BYTES_PER_WORK);
        self.describe();
        after
    }

    /// Performs a command about subscriptions.
    fn subscribe(&mut self, command: Command<'_>, turn: &mut Turn<'_>) -> After {
        match command {
            Command::Subscribe(symbol) => subscribe::symbol(symbol, &self.encoder, turn),
            Command::SubscribePattern(pattern) => subscribe::pattern(pattern, &self.encoder, turn),
            Command::Unsubscribe(name) => subscribe::end_symbol(name, &self.encoder, turn),
            Command::UnsubscribePattern(name) => subscribe::end_pattern(name, &self.encoder, turn),
            Command::UnsubscribeAll => {
                return self.end_all(Confirmation::Unsubscribed, Walk::EndSymbols, turn);
            }
            Command::UnsubscribeAllPatterns => {
                return self.end_all(Confirmation::UnsubscribedPattern, Walk::EndPatterns, turn);
            }
            command => debug_assert!(false, "{command:?} is performed elsewhere"),
        }
        self.confirmed(turn)
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

    /// Performs a command about who the client is, or how it is answered.
    fn introduce(&mut self, command: Command<'_>, turn: &mut Turn<'_>) -> After {
        let Speaker { encoder, client, tracker, is_wrong, hush, .. } = self;
        let out = &mut *turn.replies.out;
        match command {
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
            Command::Reset => {
                self.reset(turn);
                return After::Identified;
            }
            Command::Quit => {
                encoder.ok(out);
                return After::Quit;
            }
            command => debug_assert!(false, "{command:?} is performed elsewhere"),
        }
        After::Nothing
    }

    /// Is as at the beginning, but for the protocol and what a certificate has shown.
    fn reset(&mut self, turn: &mut Turn<'_>) {
        self.snapshot = None;
        self.transaction = transaction::Begun::default();
        self.source = Source::default();
        self.tracker.end(turn);
        self.hush.reset();
        client::reset(&self.client, &mut self.encoder, turn);
        *turn.identity = turn.server.authority.forget_token(turn.identity);
    }

    /// Performs a command that is about writes as one.
    fn transact(
        &mut self,
        command: Command<'_>,
        parked: &mut Parked,
        turn: &mut Turn<'_>,
    ) -> After {
        let Speaker { encoder, client, transaction, source, tracker, writes, hush, .. } = self;
        let mut note = |outcome: &Outcome| writes.note_all(outcome, client);
        let out = &mut *turn.replies.out;
        match command {
            Command::SetAll(prices) => {
                let set = transaction::set_all(prices, source, encoder, turn, &mut note);
                if let Some(set) = set {
                    parked.push(Awaited::SetAll(set, hush.sent()));
                }
                return After::Nothing;
            }
            Command::Fence => {
                if let Some(fence) = transaction::fence(encoder, turn, &mut note) {
                    parked.push(Awaited::SetAll(fence, hush.sent()));
                }
                return After::Nothing;
            }
            Command::Multi => transaction.multi(encoder, out),
            Command::Queue(command) => {
                transaction.queue(command, encoder, turn);
                return After::Nothing;
            }
            Command::Exec => {
                let queue = transaction.exec(encoder, (&*tracker, &*source), turn, &mut note);
                if let Some(queue) = queue {
                    parked.push(Awaited::Outcome(Box::new(queue), hush.sent()));
                }
            }
            Command::Discard => transaction.discard(encoder, out),
            Command::Watch(names) => {
                transaction.watch(names, encoder, turn);
                return After::Nothing;
            }
            Command::Unwatch => {
                transaction.unwatch(encoder, out);
                return After::Nothing;
            }
            command => debug_assert!(false, "{command:?} is performed elsewhere"),
        }
        // Whether commands are queued may have changed.
        After::Admit
    }

    /// Answers a command that changes nothing but what is counted, or is about a feed of market data.
    fn answer(&mut self, command: Command<'_>, turn: &mut Turn<'_>) {
        let Speaker { encoder, client, snapshot, transaction, source, tracker, writes, .. } = self;
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
            Command::Feed(command) => source.perform(&command, encoder, turn),
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
    pub(super) fn walk_on(&mut self, turn: &mut Turn<'_>) -> Option<Waits> {
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
