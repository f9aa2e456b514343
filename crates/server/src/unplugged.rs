//! A session without its socket, for the benchmarks: bytes in, replies out, exactly as in a
//! worker's turn but for the system calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use stockd_engine::{Engine, Executor, Feed, SubscriberId};

use crate::overview::Overview;
use crate::roster::Card;
use crate::session::{Replies, Session};
use crate::{IoEngine, Metrics, Protocol};

/// One client's session, and what a worker would lend it.
#[derive(Debug)]
pub struct Unplugged {
    session: Session,
    executor: Executor,
    replies: Vec<u8>,
    feed: Feed,
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
            feed: Feed::new(engine.watcher(|| {})),
            card: overview.roster.enter(peer, protocol, now),
            overview,
            now,
        }
    }

    /// The replies to what one read has brought.
    pub fn turn(&mut self, input: &[u8]) -> &[u8] {
        self.replies.clear();
        {
            let mut replies = Replies {
                batch: self.executor.batch(),
                writer: None,
                tag: (0, 0),
                out: &mut self.replies,
                out_bytes_max: usize::MAX,
                feed: &mut self.feed,
                subscriber: SubscriberId(0),
                card: &self.card,
                overview: &self.overview,
                now: self.now,
            };
            let _ = self.session.receive(input, &mut replies);
        }
        &self.replies
    }
}
