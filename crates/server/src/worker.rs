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
use stockd_engine::{Budget, Executor, Feed, Progress, SubscriberId, Tag, Writer};
use stockd_model::Reply;
use stockd_model::limits::{
    FEED_PASS_WORK, FEED_TIDY_WORK, LINGER_TIMEOUT, READ_BYTES_MAX, SWEEP_INTERVAL,
    UNTERMINATED_AFTER,
};

use crate::admission::Accepted;
use crate::connection::{Closed, Connection, Delay, Workspace};
use crate::overview::Overview;
use crate::pool::Pool;
use crate::reactor::{Event, Reactor};
use crate::timers::{Ticket, Timers};

/// One worker of the pool.
#[derive(Debug)]
pub(crate) struct Worker<R: Reactor> {
    index: usize,
    pool: Arc<Pool>,
    reactor: R,
    overview: Arc<Overview>,
    executor: Executor,
    /// To the journal, if there is one.
    writer: Option<Writer>,
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
    connections: Slab<Seat<R>>,
    /// The serial of the latest connection.
    serial: u64,
    turns: VecDeque<Ticket>,
    silences: Timers,
    lingers: Timers,
    sweep: Sweep,
    /// Whether it looks again and again instead of waiting.
    spins: bool,
    draining: bool,
    bytes_unsent: u64,
    /// Empty but while connections are taken from the queue.
    taken: Vec<Accepted>,
    /// Empty but while the journal's replies are passed on.
    answers: Vec<(Tag, Reply)>,
}

/// A connection and its place among the others.
#[derive(Debug)]
struct Seat<R: Reactor> {
    connection: Connection<R>,
    serial: u64,
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

impl<R: Reactor> Worker<R> {
    pub(crate) fn new(
        index: usize,
        reactor: R,
        pool: Arc<Pool>,
        overview: Arc<Overview>,
        sweep: Sweep,
        spins: bool,
    ) -> Worker<R> {
        let watcher = {
            let pool = Arc::clone(&pool);
            overview.engine.watcher(move || pool.wake(index))
        };
        let writer = {
            let pool = Arc::clone(&pool);
            overview.engine.writer(move || pool.wake(index))
        };
        Worker {
            index,
            pool,
            reactor,
            executor: overview.engine.executor(),
            writer,
            overview,
            feed: Feed::new(watcher),
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
        let unfinished = |(_, seat): &(usize, &Seat<R>)| !seat.connection.is_lingering();
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
        if let Some(seat) = self.connections.get_mut(event.key)
            && seat.connection.note(event)
        {
            seat.queue_turn(event.key, &mut self.turns);
        }
    }

    /// Gives every connection in the turn queue one turn. In between it looks after new ones,
    /// since a pass over many busy connections is long.
    fn give_turns(&mut self, now: Instant) {
        for _ in 0..self.turns.len() {
            let Some(ticket) = self.turns.pop_front() else {
                break;
            };
            self.give_turn(ticket, now);
            if self.pool.offers(self.index) {
                self.take_from_queue(now);
            }
        }
    }

    #[inline]
    fn give_turn(&mut self, ticket: Ticket, now: Instant) {
        let Some(seat) = live(&mut self.connections, ticket) else {
            return;
        };
        seat.has_turn = false;
        let unsent_before = seat.connection.unsent_bytes();
        let mut work = Workspace {
            reactor: &mut self.reactor,
            executor: &mut self.executor,
            writer: self.writer.as_mut(),
            feed: &mut self.feed,
            overview: &self.overview,
            subscriber: subscriber(ticket.key),
            tag: (ticket.key, ticket.serial),
            input: &mut self.input,
            replies: &mut self.replies,
            cells: self.pool.cells(self.index),
            now,
        };
        let outcome = seat.connection.turn(&mut work);
        let unsent = seat.connection.unsent_bytes();
        if let Ok(next) = &outcome {
            if next.again {
                seat.queue_turn(ticket.key, &mut self.turns);
            }
            if seat.connection.awaits_client() {
                self.sweep.start(now);
            }
            match next.start {
                None => {}
                // Measured from here, not from the start of a pass that may have been long.
                Some(Delay::Silence) => self.silences.start(Instant::now(), ticket),
                Some(Delay::Linger) => self.lingers.start(Instant::now(), ticket),
            }
        }
        let subscriber = subscriber(ticket.key);
        if self.feed.has(subscriber) {
            let card = seat.connection.card();
            card.subscriptions.set(self.feed.len(subscriber) as u64);
            card.marks.set(self.feed.backlog(subscriber) as u64);
            // What it was told may be to be passed on to others.
            self.marks_wait |= self.feed.has_to_pass_on();
        }
        if unsent != unsent_before {
            seat.connection.card().unsent.set(unsent as u64);
            self.count_unsent(unsent_before, unsent);
        }
        if let Err(closed) = outcome {
            self.close(ticket.key, &closed);
        }
        self.wake_subscribers();
    }

    /// Passes the journal's replies on to those who wait for them, and gives each a turn.
    fn take_answers(&mut self, now: Instant) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        let mut answers = writer.take(mem::take(&mut self.answers));
        for ((key, serial), reply) in answers.drain(..) {
            // Nobody may be there any more.
            let Some(seat) = live(&mut self.connections, Ticket { key, serial }) else {
                continue;
            };
            let unsent_before = seat.connection.unsent_bytes();
            seat.connection.answered(&reply, &mut self.replies, now);
            let unsent = seat.connection.unsent_bytes();
            seat.queue_turn(key, &mut self.turns);
            self.count_unsent(unsent_before, unsent);
        }
        self.answers = answers;
    }

    /// Passes some of the marks that writers have left on to subscribers.
    fn pass_on_marks(&mut self) {
        let catalog = self.executor.engine().catalog();
        let mut budget = Budget::new(FEED_PASS_WORK);
        self.marks_wait = self.feed.pass_on(catalog, &mut budget) == Progress::More;
        self.wake_subscribers();
    }

    /// Tidies some of what subscribers have left behind.
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
            let key = subscriber.0 as usize;
            if let Some(seat) = self.connections.get_mut(key) {
                seat.connection.card().marks.set(self.feed.backlog(subscriber) as u64);
                seat.queue_turn(key, &mut self.turns);
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
        while let Some(ticket) = self.silences.pop_passed(now) {
            if let Some(seat) = live(&mut self.connections, ticket) {
                seat.connection.fall_silent();
                seat.queue_turn(ticket.key, &mut self.turns);
            }
        }
        while let Some(ticket) = self.lingers.pop_passed(now) {
            if live(&mut self.connections, ticket).is_some() {
                self.close(ticket.key, &Closed::Ended);
            }
        }
    }

    fn sweep(&mut self, now: Instant) {
        if self.sweep.at.is_none_or(|at| now < at) {
            return;
        }
        self.sweep.at = None;
        let mut overdue = Vec::new();
        let mut unsent = false;
        for (key, seat) in &self.connections {
            let connection = &seat.connection;
            let Sweep { stalled_timeout, idle_timeout, .. } = self.sweep;
            match connection.overdue(now, stalled_timeout, idle_timeout) {
                Some(closed) => overdue.push((key, closed)),
                None => unsent |= connection.awaits_client(),
            }
        }
        for (key, closed) in overdue {
            self.close(key, &closed);
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
        let Accepted { socket, peer, protocol, permit } = accepted;
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let socket = match self.reactor.add(socket, key) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!("{peer}: cannot be served: {error}");
                self.pool.cells(self.index).closed_failed.add(1);
                self.pool.closed_one(self.index);
                return;
            }
        };
        self.serial += 1;
        let card = self.overview.roster.enter(peer, protocol, now);
        let seat = entry.insert(Seat {
            connection: Connection::new(socket, protocol, permit, card, now),
            serial: self.serial,
            has_turn: false,
        });
        if self.draining {
            seat.connection.drain(&mut self.reactor);
            seat.queue_turn(key, &mut self.turns);
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
        for (key, seat) in &mut self.connections {
            seat.connection.drain(&mut self.reactor);
            seat.queue_turn(key, &mut self.turns);
        }
    }

    /// Closes a connection.
    fn close(&mut self, key: usize, closed: &Closed) {
        let Some(Seat { connection, .. }) = self.connections.try_remove(key) else {
            return;
        };
        self.overview.roster.leave(connection.card());
        if self.feed.has(subscriber(key)) {
            self.feed.leave(subscriber(key));
            self.count_subscribers();
        }
        let cells = self.pool.cells(self.index);
        let peer = connection.card().peer();
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
        self.reactor.close(connection.into_socket());
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

impl<R: Reactor> Seat<R> {
    #[inline]
    fn queue_turn(&mut self, key: usize, turns: &mut VecDeque<Ticket>) {
        if !mem::replace(&mut self.has_turn, true) {
            let serial = self.serial;
            turns.push_back(Ticket { key, serial });
        }
    }
}

/// The name of a connection among the subscribers of its worker's feed.
#[inline]
fn subscriber(key: usize) -> SubscriberId {
    SubscriberId(key as u64)
}

/// The connection that the ticket names, unless it is closed.
#[inline]
fn live<R: Reactor>(connections: &mut Slab<Seat<R>>, ticket: Ticket) -> Option<&mut Seat<R>> {
    let seat = connections.get_mut(ticket.key)?;
    (seat.serial == ticket.serial).then_some(seat)
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
