//! A session without its socket, for the benchmarks: bytes in, replies out, exactly as in a
//! worker's turn but for the system calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use stockd_engine::{Engine, Executor, Writer};

use crate::overview::Overview;
use crate::roster::Card;
use crate::session::{Replies, Session};
use crate::subscriptions::Subscriptions;
use crate::{IoEngine, Metrics, Protocol};

/// One client's session, and what a worker would lend it.
#[derive(Debug)]
pub struct Unplugged {
    session: Session,
    executor: Executor,
    replies: Vec<u8>,
    subscriptions: Subscriptions,
    overview: Arc<Overview>,
    card: Arc<Card>,
    now: Instant,
}

impl Unplugged {
    /// A new session.
    pub fn new(protocol: Protocol, engine: &Arc<Engine>) -> Unplugged {
        let now = Instant::now();
        let overview = Overview::new(Arc::clone(engine), IoEngine::Mio, Metrics::default);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1)).into();
        Unplugged {
            session: Session::new(protocol),
            executor: engine.executor(),
            replies: Vec::new(),
            subscriptions: Subscriptions::new(engine.watcher(|| {})),
            card: overview.roster.enter(peer, protocol, now),
            overview,
            now,
        }
    }

    /// The replies to what one read has brought.
    pub fn turn(&mut self, input: &[u8]) -> &[u8] {
        self.replies.clear();
        let (session, mut replies) = self.lend(None);
        let _ = session.receive(input, &mut replies);
        drop(replies);
        &self.replies
    }

    /// The session, and what a worker lends it in a turn.
    #[inline(always)]
    fn lend<'a>(&'a mut self, writer: Option<&'a mut Writer>) -> (&'a mut Session, Replies<'a>) {
        let replies = Replies {
            batch: self.executor.batch(),
            writer,
            tag: (0, 0),
            out: &mut self.replies,
            out_bytes_max: usize::MAX,
            subscriptions: &mut self.subscriptions,
            key: 0,
            card: &self.card,
            overview: &self.overview,
            now: self.now,
        };
        (&mut self.session, replies)
    }
}

/// As [`Unplugged`], over an engine that keeps its quotes on a disk. It belongs to the thread that
/// made it.
#[derive(Debug)]
pub struct UnpluggedDurable {
    unplugged: Unplugged,
    writer: Writer,
}

impl UnpluggedDurable {
    /// A new session; `None` when the engine is not durable.
    pub fn new(protocol: Protocol, engine: &Arc<Engine>) -> Option<UnpluggedDurable> {
        let owner = thread::current();
        let writer = engine.writer(move || owner.unpark())?;
        Some(UnpluggedDurable { unplugged: Unplugged::new(protocol, engine), writer })
    }

    /// The replies to what one read has brought, those to parked requests too.
    pub fn turn(&mut self, input: &[u8]) -> &[u8] {
        self.unplugged.replies.clear();
        {
            let (session, mut replies) = self.unplugged.lend(Some(&mut self.writer));
            let _ = session.receive(input, &mut replies);
        }
        while self.unplugged.session.is_parked() {
            self.take_answers();
            if self.unplugged.session.is_held_back() {
                let (session, mut replies) = self.unplugged.lend(Some(&mut self.writer));
                let _ = session.resume(&mut replies);
            }
        }
        &self.unplugged.replies
    }

    /// Has all that is parked answered.
    fn take_answers(&mut self) {
        let Unplugged { session, replies, .. } = &mut self.unplugged;
        self.writer.flush();
        while !self.writer.is_answered() {
            for (_, reply) in self.writer.take(Vec::new()) {
                session.answered(&reply, replies);
            }
            if !self.writer.is_answered() {
                thread::park();
            }
        }
    }
}
