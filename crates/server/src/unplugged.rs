//! A session without its socket, for the benchmarks: bytes in, replies out, exactly as in a
//! worker's turn but for the system calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use stockd_engine::{Engine, Executor, Writer};

use crate::overview::Overview;
use crate::roster::Card;
use crate::session::{Replies, Session, Waits};
use crate::subscriptions::Subscriptions;
use crate::{IoEngine, Metrics, Protocol};

/// One client's session, and what a worker would lend it. It belongs to the thread that made it.
#[derive(Debug)]
pub struct Unplugged {
    session: Session,
    executor: Executor,
    /// To the journal, if the engine is durable.
    writer: Option<Writer>,
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
        let owner = thread::current();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1)).into();
        Unplugged {
            session: Session::new(protocol),
            executor: engine.executor(),
            writer: engine.writer(move || owner.unpark()),
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
        self.with(|session, replies| session.receive(input, replies));
        &self.replies
    }

    /// As [`turn`](Unplugged::turn), and waits for the disk as often as is needed to answer all.
    pub fn turn_to_disk(&mut self, input: &[u8]) -> &[u8] {
        self.turn(input);
        while let Some(writer) = &mut self.writer
            && self.session.is_parked()
        {
            writer.flush();
            for (_, reply) in writer.take(Vec::new()) {
                self.session.answered(&reply, &mut self.replies);
            }
            if self.session.is_parked() {
                thread::park();
            } else if self.session.is_held_back() {
                self.with(Session::resume);
            }
        }
        &self.replies
    }

    /// Lends the session what a worker does, for as long as it acts.
    #[inline(always)]
    fn with(&mut self, act: impl FnOnce(&mut Session, &mut Replies<'_>) -> Waits) {
        let mut replies = Replies {
            batch: self.executor.batch(),
            writer: self.writer.as_mut(),
            tag: (0, 0),
            out: &mut self.replies,
            out_bytes_max: usize::MAX,
            subscriptions: &mut self.subscriptions,
            key: 0,
            card: &self.card,
            overview: &self.overview,
            now: self.now,
        };
        let _ = act(&mut self.session, &mut replies);
    }
}
