//! A session without its socket, for the benchmarks: bytes in, replies out, exactly as in a
//! worker's turn but for the system calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use stockd_engine::{Access, Engine, Executor};

use crate::connection_id::ConnectionId;
use crate::metrics::Cells;
use crate::server_state::ServerState;
use crate::session::Session;
use crate::subscriptions::Subscriptions;
use crate::turn::{Replies, Turn};
use crate::{Metrics, Protocol};

/// One client's session, and what a worker would lend it.
#[derive(Debug)]
pub struct Unplugged {
    session: Session,
    executor: Executor,
    replies: Vec<u8>,
    subscriptions: Subscriptions,
    server: Arc<ServerState>,
    cells: Cells,
    now: Instant,
}

impl Unplugged {
    /// A new session.
    pub fn new(protocol: Protocol, engine: &Arc<Engine>) -> Unplugged {
        let now = Instant::now();
        let server = ServerState::new(Arc::clone(engine), Metrics::default);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1)).into();
        let client = server.clients.enter(peer, protocol, now);
        Unplugged {
            session: Session::new(protocol, &client),
            executor: engine.executor(),
            replies: Vec::new(),
            subscriptions: Subscriptions::new(engine.watcher(|| {})),
            server,
            cells: Cells::default(),
            now,
        }
    }

    /// The replies to what one read has brought.
    pub fn turn(&mut self, input: &[u8]) -> &[u8] {
        self.replies.clear();
        let mut turn = Turn {
            id: ConnectionId::new(0, 1),
            now: self.now,
            access: &Access::All,
            executor: &mut self.executor,
            writer: None,
            subscriptions: &mut self.subscriptions,
            server: &self.server,
            input: &mut [],
            replies: Replies { out: &mut self.replies, bytes_max: usize::MAX },
            cells: &self.cells,
        };
        let _ = self.session.receive(input, &mut turn);
        &self.replies
    }
}
