//! A session without its socket, for the benchmarks: bytes in, replies out, exactly as in a
//! worker's turn but for the system calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use rustls::server::UnbufferedServerConnection;
use stockd_access::{Authority, Identity};
use stockd_engine::{Budget, Engine, Executor, Feed, WriteHandle};
use stockd_model::limits::{READ_BYTES_MAX, TLS_RECORD_BYTES_MAX};
use stockd_tls::ServerTls;

use crate::connection_id::ConnectionId;
use crate::memory::Memory;
use crate::metrics::Cells;
use crate::protocol;
use crate::server_state::ServerState;
use crate::session::Session;
use crate::tls_stream::{TlsBuffers, TlsStream};
use crate::turn::{Replies, Turn};
use crate::turn_queue::Pace;
use crate::{Metrics, Protocol};

/// One client's session, and what a worker would lend it. It belongs to the thread that made it.
#[derive(Debug)]
pub struct Unplugged {
    session: Session,
    executor: Executor,
    /// To the committer, where the engine keeps its quotes on a disk.
    writer: Option<WriteHandle>,
    replies: Vec<u8>,
    feed: Feed,
    server: Arc<ServerState>,
    identity: Identity,
    tls: TlsBuffers,
    cells: Cells,
    now: Instant,
}

impl Unplugged {
    /// A new session of a client that may do everything.
    pub fn new(protocol: Protocol, engine: &Arc<Engine>) -> Unplugged {
        Unplugged::identified(protocol, engine, Arc::default(), Identity::default())
    }

    /// A new session of a client that this authority knows.
    pub fn identified(
        protocol: Protocol,
        engine: &Arc<Engine>,
        authority: Arc<Authority>,
        identity: Identity,
    ) -> Unplugged {
        let now = Instant::now();
        let owner = thread::current();
        let memory = Memory::new(usize::MAX, 0);
        let server = ServerState::new(Arc::clone(engine), memory, authority, Metrics::default);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1)).into();
        let client = server.clients.enter(peer, protocol, now, None);
        Unplugged {
            session: Session::new((protocol::of(protocol).begin)(&client, &identity)),
            executor: engine.executor(),
            writer: engine.write_handle(move || owner.unpark()),
            replies: Vec::new(),
            feed: engine.feed(|| {}),
            server,
            identity,
            tls: TlsBuffers::default(),
            cells: Cells::default(),
            now,
        }
    }

    /// The replies to what one read has brought, but for those that wait for the disk.
    pub fn turn(&mut self, input: &[u8]) -> &[u8] {
        self.replies.clear();
        let (session, mut turn) = self.lend();
        let _ = session.receive(input, &mut turn);
        &self.replies
    }

    /// The replies to what one read has brought, those that wait for the disk too.
    pub fn turn_until_committed(&mut self, input: &[u8]) -> &[u8] {
        self.turn(input);
        while self.session.awaits_commit() {
            self.take_committed();
            if self.session.is_held_back() {
                let (session, mut turn) = self.lend();
                let _ = session.resume(&mut turn);
            }
        }
        &self.replies
    }

    /// The session, and what a worker lends it in a turn.
    #[inline(always)]
    fn lend(&mut self) -> (&mut Session, Turn<'_>) {
        let turn = Turn {
            id: ConnectionId::new(0, 1),
            now: self.now,
            pace: Pace::Heavy,
            is_timed: false,
            work: Budget::new(usize::MAX),
            identity: &mut self.identity,
            executor: &mut self.executor,
            writer: self.writer.as_mut(),
            feed: &mut self.feed,
            server: &self.server,
            input: &mut [],
            tls: &mut self.tls,
            replies: Replies { out: &mut self.replies, bytes_max: usize::MAX },
            cells: &self.cells,
        };
        (&mut self.session, turn)
    }

    /// Has all that waits for the disk answered.
    fn take_committed(&mut self) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        writer.flush();
        while !writer.is_answered() {
            for (_, reply) in writer.take(Vec::new()) {
                self.session.committed(&reply, &mut self.replies);
            }
            if !writer.is_answered() {
                thread::park();
            }
        }
    }
}

/// A session behind TLS, without its socket: records go in and come out.
#[derive(Debug)]
pub struct UnpluggedTls {
    session: Unplugged,
    stream: TlsStream,
    buffers: TlsBuffers,
    plain: Box<[u8]>,
}

impl UnpluggedTls {
    /// A new session, whose client has yet to shake hands.
    ///
    /// # Errors
    ///
    /// Those of rustls.
    pub fn new(session: Unplugged, tls: &ServerTls) -> Result<UnpluggedTls, rustls::Error> {
        let connection = UnbufferedServerConnection::new(tls.config())?;
        let plain = vec![0; TLS_RECORD_BYTES_MAX].into_boxed_slice();
        let (stream, buffers) = (TlsStream::new(connection), TlsBuffers::default());
        Ok(UnpluggedTls { session, stream, buffers, plain })
    }

    /// What the server sends when one read has brought this, in a record or less.
    ///
    /// # Errors
    ///
    /// When the client breaks the protocol.
    pub fn turn(&mut self, records: &[u8]) -> Result<&[u8], rustls::Error> {
        let UnpluggedTls { session, stream, buffers, plain } = self;
        stream.room(buffers, READ_BYTES_MAX)[..records.len()].copy_from_slice(records);
        let opened = stream.open(records.len(), buffers, plain)?;
        if opened > 0 {
            let replies = session.turn(&plain[..opened]);
            stream.seal(replies, &mut buffers.outgoing);
        }
        Ok(&buffers.outgoing)
    }
}
