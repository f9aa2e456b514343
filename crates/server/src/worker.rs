//! A worker: one thread that serves many connections with one readiness loop.
//!
//! It owns its connections, one input buffer and one reply buffer that they share, and the
//! deadlines. It shares with other workers only the [`Pool`]; while it answers it takes no lock.
//! Its passes and turns are here. How connections come and go, what timeouts, memory and the feed ask of it is in the
//! files beneath.
//!
//! Invariant: a connection that has something to do is in the [`TurnQueue`]. Each pass
//! gives every quick connection one turn, and heavy ones a slice of time.

mod fan_out;
mod lifecycle;
mod memory_limit;
mod timeouts;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;
use stockd_engine::{Answered, Budget, Executor, Feed, ReplyTo, SubscriberId, WriteHandle};
use stockd_model::limits::{REPLY_BUFFER_BYTES, TLS_RECORD_BYTES_MAX, TURNS_PER_TIMED};

use crate::access_review::AccessReview;
use crate::admission::Accepted;
use crate::connection_id::ConnectionId;
use crate::deadlines::Deadlines;
use crate::endings::Endings;
use crate::mark_rounds::MarkRounds;
use crate::own_commits::{Commit, OwnCommits};
use crate::pool::Pool;
use crate::reactor::{Event, Reactor};
use crate::relief::Relief;
use crate::server_state::ServerState;
use crate::slot::{Slot, Sums, live};
use crate::sweep::Sweep;
use crate::tls_stream::TlsBuffers;
use crate::turn::{Replies, Turn};
use crate::turn_queue::{Pace, TurnQueue};

/// What is next after a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// Another pass.
    On,
    /// What was handed over is to be [committed](stockd_engine::CommitRole::commit), and then another pass.
    Commit,
    /// Nothing: the pool is drained.
    Ended {
        /// Clients that had not taken all their replies.
        unfinished: usize,
    },
}

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
    mark_rounds: MarkRounds,
    /// Empty but while subscribers are given turns.
    awake: Vec<SubscriberId>,
    /// Where every read goes.
    input: Box<[u8]>,
    /// Where records of TLS are opened and made.
    tls: TlsBuffers,
    /// Those that were in the handshake of TLS when they were put here, the first one first.
    handshakes: VecDeque<ConnectionId>,
    /// Where every reply is encoded.
    replies: Vec<u8>,
    connections: Slab<Slot>,
    /// The serial of the latest connection.
    serial: u64,
    turns: TurnQueue,
    turns_given: u32,
    deadlines: Deadlines,
    access: AccessReview,
    sweep: Sweep,
    /// Connections that other workers want closed.
    endings: Arc<Endings>,
    /// Whether some of those are left.
    has_endings: bool,
    /// Whether it looks again and again instead of waiting.
    spins: bool,
    own_commits: OwnCommits,
    /// It has committed itself: the replies are there, unless another thread did it.
    has_committed: bool,
    /// Empty but while they are noted.
    events: Vec<Event>,
    draining: bool,
    sums: Sums,
    relief: Relief,
    /// Empty but while connections are taken from the queue.
    taken: Vec<Accepted>,
    /// Empty but while the committer's replies are passed on.
    answers: Vec<(ReplyTo, Answered)>,
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
        let endings = {
            let pool = Arc::clone(&pool);
            Endings::new(move || pool.wake(index))
        };
        let commits = server.engine.commit_role().is_some();
        Worker {
            index,
            pool,
            reactor,
            executor: server.engine.executor(),
            writer,
            server,
            feed,
            mark_rounds: MarkRounds::default(),
            awake: Vec::new(),
            input: vec![0; TLS_RECORD_BYTES_MAX].into_boxed_slice(),
            tls: TlsBuffers::default(),
            replies: Vec::new(),
            connections: Slab::new(),
            serial: 0,
            turns: TurnQueue::default(),
            turns_given: 0,
            deadlines: Deadlines::default(),
            access: AccessReview::default(),
            sweep,
            endings,
            has_endings: false,
            spins,
            own_commits: OwnCommits::new(commits && !spins, Instant::now()),
            has_committed: false,
            events: Vec::new(),
            draining: false,
            sums: Sums::default(),
            relief: Relief::default(),
            taken: Vec::new(),
            handshakes: VecDeque::new(),
            answers: Vec::new(),
        }
    }

    /// Waits until there is something to do, and does it.
    pub(crate) fn pass(&mut self) -> Passed {
        // Replies leave before anything else is read: while that is, clients may ask again, and what they write
        // is committed with the rest.
        if mem::take(&mut self.has_committed) {
            self.take_answers(Instant::now());
        }
        let mut events = mem::take(&mut self.events);
        let woken = self.reactor.wait(self.timeout(), &mut events);
        let now = Instant::now();
        for event in events.drain(..) {
            self.note(event);
        }
        self.events = events;
        if woken {
            self.pool.passes(self.index);
            self.take_from_queue(now);
            self.take_answers(now);
        }
        if woken || self.has_endings {
            self.close_killed();
        }
        self.mark_rounds.note(woken);
        if self.mark_rounds.begin(now) {
            self.pass_on_marks();
        }
        let drain_until = self.pool.drain_until();
        if drain_until.is_some() {
            self.drain(now);
        }
        self.pass_deadlines(now);
        self.give_turns(now);
        self.mark_rounds.turns_given(now, &self.turns, Instant::now);
        self.pace_feed();
        self.server.sample(now);
        self.tidy_feed();
        self.review_access();
        self.sweep(now);
        self.relieve_memory(now);
        let commits = self.hand_writes_over(now);
        if drain_until.is_some_and(|until| self.connections.is_empty() || now >= until) {
            let is_unfinished = |(_, slot): &(usize, &Slot)| !slot.connection.is_lingering();
            let unfinished = self.connections.iter().filter(is_unfinished).count();
            return Passed::Ended { unfinished };
        }
        if commits { Passed::Commit } else { Passed::On }
    }

    /// Another thread drives it from now on, since a commit takes long.
    pub(crate) fn is_taken_over(&mut self, now: Instant) {
        self.own_commits.took_long(now);
    }

    /// Hands the writes over that were gathered, unless it looks for more of them first. Whether they are to be
    /// committed before the next pass.
    #[inline]
    fn hand_writes_over(&mut self, now: Instant) -> bool {
        let is_busy = self.has_work() || self.draining;
        let Some(writer) = self.writer.as_mut().filter(|writer| writer.gathered() > 0) else {
            return false;
        };
        match self.own_commits.next(writer.gathered(), is_busy, now) {
            Commit::Elsewhere => writer.flush(),
            Commit::AfterALook => {}
            Commit::Now => {
                writer.hand_over_for_role();
                self.has_committed = true;
            }
        }
        self.has_committed
    }

    /// Whether there is something to do without an event.
    #[inline]
    fn has_work(&self) -> bool {
        !self.turns.is_empty()
            || !self.feed.is_tidy()
            || self.sweep.is_under_way()
            || self.access.is_under_way()
            || self.deadlines.is_near()
            || self.has_endings
            || self.relief.more
    }

    /// How long nothing can be due.
    fn timeout(&self) -> Option<Duration> {
        let has_gathered = self.writer.as_ref().is_some_and(|writer| writer.gathered() > 0);
        if self.spins || has_gathered || self.has_work() {
            return Some(Duration::ZERO);
        }
        let drain_until = self.pool.drain_until();
        let deadlines = [
            self.deadlines.next(),
            self.mark_rounds.at(),
            self.feed.paces_at(),
            self.sweep.at(),
            drain_until,
        ];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    #[inline]
    fn note(&mut self, event: Event) {
        if let Some(slot) = live(&mut self.connections, event.id)
            && slot.connection.note(event)
        {
            if event.failed {
                // Nobody waits for it, and many may fail at once.
                slot.places.make_heavy();
            }
            slot.queue_turn(&mut self.turns);
        }
    }

    /// Gives every quick connection one turn, and then heavy ones as long as there is time for them.
    fn give_turns(&mut self, now: Instant) {
        let mut pass = self.turns.pass(now);
        while let Some((pace, id)) = self.turns.next(&mut pass, Instant::now) {
            self.give_turn(pace, id, now);
            if self.draining && self.pool.drain_until().is_some_and(|at| Instant::now() >= at) {
                break;
            }
        }
    }

    #[inline]
    fn give_turn(&mut self, pace: Pace, id: ConnectionId, now: Instant) {
        let Some(slot) = live(&mut self.connections, id) else {
            return;
        };
        slot.places.left(pace);
        let cells = self.pool.cells(self.index);
        let work = Budget::new(pace.work());
        self.replies.clear();
        self.turns_given = self.turns_given.wrapping_add(1);
        let is_timed = self.turns_given.is_multiple_of(TURNS_PER_TIMED);
        let mut turn = Turn {
            id,
            now,
            pace,
            is_timed,
            work,
            identity: &mut slot.identity,
            executor: &mut self.executor,
            writer: self.writer.as_mut(),
            feed: &mut self.feed,
            server: &self.server,
            input: &mut self.input,
            tls: &mut self.tls,
            replies: Replies { out: &mut self.replies, bytes_max: 0 },
            cells,
        };
        let outcome = slot.connection.turn(&mut turn);
        let done = work.left() - turn.work.left();
        if let Ok(next) = &outcome {
            slot.places.had_turn(done, next.again);
            if next.again {
                slot.queue_turn(&mut self.turns);
            }
            if slot.connection.may_be_late() {
                self.sweep.start(now);
            }
            if let Some(delay) = next.start {
                self.deadlines.start(delay, id);
            }
        }
        if !self.replies.is_empty() {
            self.own_commits.served(now);
        }
        // What it was told may have to be passed on to others.
        self.mark_rounds.note(self.feed.has_to_pass_on());
        self.sums.note(slot, &self.feed, cells);
        if let Err(closed) = outcome {
            self.close(id, &closed);
        }
        for buffer in [&mut self.replies, &mut self.tls.outgoing] {
            if buffer.capacity() > REPLY_BUFFER_BYTES {
                *buffer = Vec::new();
            }
        }
        self.tell_memory();
        self.wake_subscribers();
    }

    /// Tells those who wait for the committer what it has answered, each all that it has come to know. Gives a turn to
    /// those that have something to do then.
    fn take_answers(&mut self, now: Instant) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        let mut answers = writer.take(mem::take(&mut self.answers));
        let mut all = answers.drain(..).peekable();
        while let Some((to, first)) = all.next() {
            let of_the_same = |next: &(ReplyTo, Answered)| next.0 == to;
            let id = ConnectionId::from(to);
            // The client may be gone.
            let Some(slot) = live(&mut self.connections, id) else {
                continue;
            };
            self.replies.clear();
            slot.connection.committed(&first, &mut self.replies);
            while let Some((_, more)) = all.next_if(of_the_same) {
                slot.connection.committed(&more, &mut self.replies);
            }
            let cells = self.pool.cells(self.index);
            match slot.connection.tell_committed(&self.replies, &mut self.tls, now, cells) {
                Ok(has_work) => {
                    // It may have waited to be told what has changed, too.
                    if has_work || self.feed.has(id.into()) {
                        slot.queue_turn(&mut self.turns);
                    }
                    self.sums.note(slot, &self.feed, cells);
                }
                Err(closed) => self.close(id, &closed),
            }
        }
        drop(all);
        self.answers = answers;
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use stockd_access::Identity;
    use stockd_model::Address;

    use super::*;
    use crate::client_list::{ClientInfo, ClientList};
    use crate::{Protocol, protocol};

    /// What a connection takes that asks nothing: its place here, its conversation, and what others may know of it.
    #[test]
    fn an_idle_connection_takes_less_than_a_kib() {
        // The counts of an `Arc`, and a place in the list with the part of its tree that is empty.
        const LISTED: usize = 2 * size_of::<usize>() + 2 * size_of::<(u64, Arc<ClientInfo>)>();
        let peer = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 1)));
        for protocol in [Protocol::Resp, Protocol::Line] {
            let now = Instant::now();
            let client = ClientList::default().enter(peer.clone(), protocol, now, None);
            let conversation = (protocol::of(protocol).begin)(&client, &Identity::default());
            let parts =
                [size_of::<Slot>(), size_of_val(&*conversation), size_of_val(&*client), LISTED];
            assert!(parts.iter().sum::<usize>() <= 1000, "{protocol}: {parts:?}");
        }
    }
}
