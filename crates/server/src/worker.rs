//! A worker: one thread that serves many connections with one readiness loop.
//!
//! It owns its connections, one input buffer and one reply buffer that they share, and the
//! deadlines. It shares with other workers only the [`Pool`]; while it answers it takes no lock.
//!
//! Invariant: a connection that has something to do is in the turn queue, once. Each pass of the
//! loop gives every connection in the queue one turn, so that one that always has more to do waits
//! for all others before its next.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;
use stockd_engine::{
    Answered, Budget, Executor, Feed, Progress, ReplyTo, SubscriberId, WriteHandle,
};
use stockd_model::limits::{
    FEED_PASS_WORK, FEED_TIDY_WORK, LINGER_TIMEOUT, READ_BYTES_MAX, SWEEP_INTERVAL,
    UNTERMINATED_AFTER,
};

use crate::admission::Accepted;
use crate::connection::{Closed, Connection, Delay};
use crate::connection_id::ConnectionId;
use crate::endpoint::Endpoint;
use crate::pool::Pool;
use crate::reactor::{Event, Reactor};
use crate::server_state::ServerState;
use crate::timers::Timers;
use crate::turn::{Replies, Turn};

/// One worker of the pool.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    pool: Arc<Pool>,
    reactor: Reactor,
    server: Arc<ServerState>,
    executor: Executor,
    /// To the committer, if there is one.
    writer: Option<WriteHandle>,
    feed: Feed,
    /// Marks wait to be passed on to subscribers.
    marks_wait: bool,
    /// Not before this: see [`Worker::rest_from_marks`].
    marks_at: Option<Instant>,
    /// Empty but while subscribers are given turns.
    awake: Vec<SubscriberId>,
    /// Where every read goes.
    input: Box<[u8]>,
    /// Where every reply is encoded.
    replies: Vec<u8>,
    connections: Slab<Slot>,
    /// The serial of the latest connection.
    serial: u64,
    turns: VecDeque<ConnectionId>,
    silences: Timers,
    lingers: Timers,
    sweep: Sweep,
    /// Whether it looks again and again instead of waiting.
    spins: bool,
    draining: bool,
    bytes_unsent: u64,
    /// Empty but while connections are taken from the queue.
    taken: Vec<Accepted>,
    /// Empty but while the committer's replies are passed on.
    answers: Vec<(ReplyTo, Answered)>,
}

/// A connection and its place among the others.
#[derive(Debug)]
struct Slot {
    connection: Connection,
    id: ConnectionId,
    /// Where the client has come to.
    endpoint: Arc<Endpoint>,
    /// Whether a turn is queued.
    has_turn: bool,
}

/// When to look for clients that have let a timeout pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    idle_timeout: Option<Duration>,
    stalled_timeout: Duration,
    interval: Duration,
    /// `None` while no client can have let one pass.
    at: Option<Instant>,
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        reactor: Reactor,
        pool: Arc<Pool>,
        server: Arc<ServerState>,
        sweep: Sweep,
        spins: bool,
    ) -> Worker {
        let feed = {
            let pool = Arc::clone(&pool);
            server.engine.feed(move || pool.wake(index))
        };
        let writer = {
            let pool = Arc::clone(&pool);
            server.engine.write_handle(move || pool.wake(index))
        };
        Worker {
            index,
            pool,
            reactor,
            executor: server.engine.executor(),
            writer,
            server,
            feed,
            marks_wait: false,
            marks_at: None,
            awake: Vec::new(),
            input: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            replies: Vec::new(),
            connections: Slab::new(),
            serial: 0,
            turns: VecDeque::new(),
            silences: Timers::new(UNTERMINATED_AFTER),
            lingers: Timers::new(LINGER_TIMEOUT),
            sweep,
            spins,
            draining: false,
            bytes_unsent: 0,
            taken: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Serves until the pool is drained. Returns how many clients had not taken all their replies
    /// by then.
    pub(crate) fn run(mut self) -> usize {
        let mut events = Vec::new();
        loop {
            let timeout = self.timeout();
            let woken = self.reactor.wait(timeout, &mut events);
            let now = Instant::now();
            for event in events.drain(..) {
                self.note(event);
            }
            if woken {
                self.take_from_queue(now);
                self.take_answers(now);
            }
            self.marks_wait |= woken;
            let passes_on = self.marks_wait && self.marks_at.is_none_or(|at| now >= at);
            if passes_on {
                self.pass_on_marks();
            }
            let drain_until = self.pool.drain_until();
            if drain_until.is_some() {
                self.drain(now);
            }
            self.pass_deadlines(now);
            self.give_turns(now);
            if let Some(writer) = &mut self.writer {
                writer.flush();
            }
            if passes_on {
                self.rest_from_marks(now);
            }
            self.tidy_feed();
            self.sweep(now);
            if drain_until.is_some_and(|until| self.connections.is_empty() || now >= until) {
                break;
            }
        }
        let unfinished = |(_, slot): &(usize, &Slot)| !slot.connection.is_lingering();
        self.connections.iter().filter(unfinished).count()
    }

    /// How long nothing can be due.
    fn timeout(&self) -> Option<Duration> {
        if self.spins || !self.turns.is_empty() || !self.feed.is_tidy() {
            return Some(Duration::ZERO);
        }
        let drain_until = self.pool.drain_until();
        let marks_at = self.marks_wait.then(|| self.marks_at.unwrap_or_else(Instant::now));
        let deadlines =
            [self.silences.next(), self.lingers.next(), self.sweep.at, drain_until, marks_at];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    #[inline]
    fn note(&mut self, event: Event) {
        if let Some(slot) = live(&mut self.connections, event.id)
            && slot.connection.note(event)
        {
            slot.queue_turn(&mut self.turns);
        }
    }

    /// Gives every connection in the turn queue one turn. In between it looks after new ones,
    /// since a pass over many busy connections is long.
    fn give_turns(&mut self, now: Instant) {
        for _ in 0..self.turns.len() {
            let Some(id) = self.turns.pop_front() else {
                break;
            };
            self.give_turn(id, now);
            if self.pool.offers(self.index) {
                self.take_from_queue(now);
            }
        }
    }

    #[inline]
    fn give_turn(&mut self, id: ConnectionId, now: Instant) {
        let Some(slot) = live(&mut self.connections, id) else {
            return;
        };
        slot.has_turn = false;
        let unsent_before = slot.connection.unsent_bytes();
        let mut turn = Turn {
            id,
            now,
            access: &slot.endpoint.access,
            executor: &mut self.executor,
            writer: self.writer.as_mut(),
            feed: &mut self.feed,
            server: &self.server,
            input: &mut self.input,
            replies: Replies { out: &mut self.replies, bytes_max: 0 },
            cells: self.pool.cells(self.index),
        };
        let outcome = slot.connection.turn(&mut turn);
        let unsent = slot.connection.unsent_bytes();
        if let Ok(next) = &outcome {
            if next.again {
                slot.queue_turn(&mut self.turns);
            }
            if slot.connection.awaits_client() {
                self.sweep.start(now);
            }
            match next.start {
                None => {}
                // Measured from here, not from the start of a pass that may have been long.
                Some(Delay::Silence) => self.silences.start(Instant::now(), id),
                Some(Delay::Linger) => self.lingers.start(Instant::now(), id),
            }
        }
        let subscriber = SubscriberId::from(id);
        if self.feed.has(subscriber) {
            let client = slot.connection.client();
            client.subscriptions.set(self.feed.len(subscriber) as u64);
            client.marks.set(self.feed.backlog(subscriber) as u64);
            // What it was told may have to be passed on to others.
            self.marks_wait |= self.feed.has_to_pass_on();
        }
        if unsent != unsent_before {
            slot.connection.client().unsent.set(unsent as u64);
            self.count_unsent(unsent_before, unsent);
        }
        if let Err(closed) = outcome {
            self.close(id, &closed);
        }
        self.wake_subscribers();
    }

    /// Passes the committer's replies on to those who wait for them, and gives each a turn.
    fn take_answers(&mut self, now: Instant) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        let mut answers = writer.take(mem::take(&mut self.answers));
        for (id, answered) in answers.drain(..) {
            // The client may be gone.
            let Some(slot) = live(&mut self.connections, id.into()) else {
                continue;
            };
            let unsent_before = slot.connection.unsent_bytes();
            slot.connection.committed(&answered, &mut self.replies, now);
            let unsent = slot.connection.unsent_bytes();
            slot.queue_turn(&mut self.turns);
            self.count_unsent(unsent_before, unsent);
        }
        self.answers = answers;
    }

    /// Passes some of the marks that writers have left on to subscribers.
    fn pass_on_marks(&mut self) {
        let mut budget = Budget::new(FEED_PASS_WORK);
        self.marks_wait = self.feed.pass_on(&mut budget) == Progress::More;
        self.wake_subscribers();
    }

    /// Takes apart some of what subscribers have left behind.
    #[inline]
    fn tidy_feed(&mut self) {
        if !self.feed.is_tidy() {
            let _ = self.feed.tidy(&mut Budget::new(FEED_TIDY_WORK));
        }
    }

    /// After a round of marks and messages, as long as it took is for others alone: however many
    /// subscribers there are, at least half of the worker's time is left to lookups and writes, and
    /// what changes meanwhile is told once.
    fn rest_from_marks(&mut self, began: Instant) {
        let ended = Instant::now();
        self.marks_at = Some(ended + ended.saturating_duration_since(began));
    }

    /// Gives a turn to every subscriber that has come to have something to be told.
    #[inline]
    fn wake_subscribers(&mut self) {
        if self.feed.is_quiet() {
            return;
        }
        self.feed.take_awake(&mut self.awake);
        for subscriber in self.awake.drain(..) {
            if let Some(slot) = live(&mut self.connections, subscriber.into()) {
                slot.connection.client().marks.set(self.feed.backlog(subscriber) as u64);
                slot.queue_turn(&mut self.turns);
            }
        }
        self.count_subscribers();
        self.pool.cells(self.index).conflated.add(self.feed.take_conflated());
    }

    fn count_subscribers(&self) {
        let cells = self.pool.cells(self.index);
        let (subscribers, subscriptions) = self.feed.counts();
        cells.subscribers.set(subscribers as u64);
        cells.subscriptions.set(subscriptions as u64);
    }

    fn pass_deadlines(&mut self, now: Instant) {
        while let Some(id) = self.silences.pop_passed(now) {
            if let Some(slot) = live(&mut self.connections, id) {
                slot.connection.fall_silent();
                slot.queue_turn(&mut self.turns);
            }
        }
        while let Some(id) = self.lingers.pop_passed(now) {
            self.close(id, &Closed::Ended);
        }
    }

    fn sweep(&mut self, now: Instant) {
        if self.sweep.at.is_none_or(|at| now < at) {
            return;
        }
        self.sweep.at = None;
        let mut overdue = Vec::new();
        let mut unsent = false;
        for (_, slot) in &self.connections {
            let connection = &slot.connection;
            let Sweep { stalled_timeout, idle_timeout, .. } = self.sweep;
            match connection.overdue(now, stalled_timeout, idle_timeout) {
                Some(closed) => overdue.push((slot.id, closed)),
                None => unsent |= connection.awaits_client(),
            }
        }
        for (id, closed) in overdue {
            self.close(id, &closed);
        }
        if unsent || (self.sweep.idle_timeout.is_some() && !self.connections.is_empty()) {
            self.sweep.start(now);
        }
    }

    fn take_from_queue(&mut self, now: Instant) {
        let mut taken = mem::take(&mut self.taken);
        if self.draining {
            self.pool.take_all(self.index, &mut taken);
        } else {
            self.pool.take(self.index, &mut taken);
        }
        for accepted in taken.drain(..) {
            self.add(accepted, now);
        }
        self.taken = taken;
        self.check_invariants();
    }

    fn add(&mut self, accepted: Accepted, now: Instant) {
        let Accepted { socket, peer, endpoint, permit } = accepted;
        let entry = self.connections.vacant_entry();
        self.serial += 1;
        let id = ConnectionId::new(entry.key(), self.serial);
        if let Err(error) = self.reactor.add(&socket, id) {
            tracing::warn!("{peer}: cannot be served: {error}");
            self.pool.cells(self.index).closed_failed.add(1);
            self.pool.closed_one(self.index);
            return;
        }
        let stream = endpoint.transport.accept(socket);
        let client = self.server.clients.enter(peer, endpoint.protocol, now);
        let connection = Connection::new(stream, endpoint.protocol, permit, client, now);
        let slot = entry.insert(Slot { connection, id, endpoint, has_turn: false });
        if self.draining {
            slot.connection.drain();
            slot.queue_turn(&mut self.turns);
        }
        if self.sweep.idle_timeout.is_some() {
            self.sweep.start(now);
        }
    }

    /// The server shuts down: every connection is to end when what it has asked is answered.
    fn drain(&mut self, now: Instant) {
        if self.draining {
            return;
        }
        self.draining = true;
        self.take_from_queue(now);
        for (_, slot) in &mut self.connections {
            slot.connection.drain();
            slot.queue_turn(&mut self.turns);
        }
    }

    /// Closes a connection.
    fn close(&mut self, id: ConnectionId, closed: &Closed) {
        if live(&mut self.connections, id).is_none() {
            return;
        }
        let Slot { connection, .. } = self.connections.remove(id.slot());
        self.server.clients.leave(connection.client());
        let subscriber = SubscriberId::from(id);
        if self.feed.has(subscriber) {
            self.feed.leave(subscriber);
            self.count_subscribers();
        }
        let cells = self.pool.cells(self.index);
        let peer = connection.client().peer();
        match closed {
            Closed::Ended => tracing::trace!("{peer}: closed"),
            Closed::Failed(error) => {
                cells.closed_failed.add(1);
                tracing::debug!("{peer}: closed: {error}");
            }
            Closed::Idle => {
                cells.closed_idle.add(1);
                tracing::debug!("{peer}: closed: idle for longer than the timeout");
            }
            Closed::Stalled => {
                cells.closed_stalled.add(1);
                let unsent = connection.unsent_bytes();
                tracing::debug!("{peer}: closed: left {unsent} bytes of replies unread");
            }
        }
        self.count_unsent(connection.unsent_bytes(), 0);
        self.pool.closed_one(self.index);
    }

    fn count_unsent(&mut self, before: usize, now: usize) {
        self.bytes_unsent = self.bytes_unsent + now as u64 - before as u64;
        let cells = self.pool.cells(self.index);
        cells.bytes_unsent.set(self.bytes_unsent);
    }

    fn check_invariants(&self) {
        let open = self.pool.open_per_worker().nth(self.index);
        debug_assert_eq!(open, Some(self.connections.len()));
    }
}

impl Slot {
    #[inline]
    fn queue_turn(&mut self, turns: &mut VecDeque<ConnectionId>) {
        if !mem::replace(&mut self.has_turn, true) {
            turns.push_back(self.id);
        }
    }
}

/// The connection of this name, unless it is closed.
#[inline]
fn live(connections: &mut Slab<Slot>, id: ConnectionId) -> Option<&mut Slot> {
    connections.get_mut(id.slot()).filter(|slot| slot.id == id)
}

impl Sweep {
    pub(crate) fn new(idle_timeout: Option<Duration>, stalled_timeout: Duration) -> Sweep {
        let shortest = stalled_timeout.min(idle_timeout.unwrap_or(stalled_timeout));
        Sweep {
            idle_timeout,
            stalled_timeout,
            interval: shortest.clamp(Duration::from_millis(1), SWEEP_INTERVAL),
            at: None,
        }
    }

    fn start(&mut self, now: Instant) {
        self.at.get_or_insert(now + self.interval);
    }
}
