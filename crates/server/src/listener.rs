//! The listener: one thread that accepts connections and puts them on the work queue.
//!
//! It owns the listening sockets and the decision who is let in. It knows nothing of requests.
//!
//! Invariant: a listener that may have connections waiting is marked ready until the system says
//! that none is left, so that no edge of readiness is lost to a bounded batch or a pause.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, TcpKeepalive, Type};
use stockd_model::limits::{
    ACCEPT_BACKLOG, ACCEPT_BATCH, ACCEPT_RETRY, KEEPALIVE_AFTER, KEEPALIVE_INTERVAL,
    KEEPALIVE_RETRIES, WORK_QUEUE_PATIENCE,
};
use stockd_model::{Address, SocketPath};

use crate::admission::{Accepted, Admission, Refused};
use crate::metrics::Cells;
use crate::pool::Pool;
use crate::reactor::wait;
use crate::socket_file::SocketFile;
use crate::transport::send;
use crate::{Endpoint, StartError, protocol};

/// Events of one wait, at most: others come with the next.
const LISTENER_EVENTS: usize = 16;

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Bound {
    /// Its address is where it really listens, the port never 0.
    pub(crate) endpoint: Arc<Endpoint>,
    /// Of a Unix socket, while new clients may come. It goes before the socket, which keeps the number
    /// of its inode from being used again.
    file: Option<SocketFile>,
    socket: Socket,
    /// Connections may wait to be accepted.
    ready: bool,
}

impl Bound {
    /// Listens.
    ///
    /// # Errors
    ///
    /// [`StartError::Listen`] with the address as it was given.
    pub(crate) fn listen(endpoint: Endpoint) -> Result<Bound, StartError> {
        match Listening::open(&endpoint.address) {
            Ok(Listening { address, _file: file, socket }) => {
                let endpoint = Arc::new(Endpoint { address, ..endpoint });
                Ok(Bound { endpoint, socket, file, ready: false })
            }
            Err(source) => {
                let Endpoint { address, protocol, .. } = endpoint;
                Err(StartError::Listen { protocol, address, source })
            }
        }
    }

    /// Accepts a connection, which does not block: it and where it comes from.
    fn accept(&self) -> io::Result<(Socket, Address)> {
        let (socket, peer) = accept(&self.socket)?;
        // A client of a Unix socket has no address of its own.
        let peer = peer.map_or_else(|| self.endpoint.address.clone(), Address::Tcp);
        Ok((socket, peer))
    }
}

/// A socket that listens, for a plane that accepts by means of its own. It does not block. The file of a
/// Unix socket goes when this is dropped.
#[derive(Debug)]
pub struct Listening {
    /// Where it really listens, the port never 0.
    pub address: Address,
    // Before the socket, as in `Bound`.
    _file: Option<SocketFile>,
    /// The socket. What it accepts takes over that replies leave at once and that it is kept alive.
    pub socket: Socket,
}

impl Listening {
    /// Listens as the listeners of a [`Server`](crate::Server) do.
    ///
    /// # Errors
    ///
    /// What the system said. [`listen_reason`](crate::listen_reason) has the remedy.
    pub fn open(address: &Address) -> io::Result<Listening> {
        let (address, socket, _file) = match address {
            Address::Tcp(address) | Address::Tls { address, .. } => open_tcp(*address),
            Address::Unix(path) => open_unix(path),
        }?;
        Ok(Listening { address, _file, socket })
    }
}

/// Where it really listens, the socket that does, and its file if it has one.
type Opened = (Address, Socket, Option<SocketFile>);

fn open_tcp(address: SocketAddr) -> io::Result<Opened> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A server that restarts takes its port although old connections linger on it.
    socket.set_reuse_address(true)?;
    // Replies leave at once: connections have this from their listener.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        // Its own port, and not that of IPv4 too: one may listen on both.
        socket.set_only_v6(true)?;
    }
    keep_alive(&socket)?;
    socket.bind(&address.into())?;
    listen(&socket)?;
    let bound = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((bound.into(), socket, None))
}

/// Has the system find out when clients are gone that did not say so. Connections take this over from
/// the socket that they came to.
fn keep_alive(socket: &Socket) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)
}

fn open_unix(path: &SocketPath) -> io::Result<Opened> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let file = SocketFile::bind(&socket, path)?;
    listen(&socket)?;
    Ok((Address::Unix(path.clone()), socket, Some(file)))
}

/// Accepts a connection that does not block, with one call where the system has one for it.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn accept(socket: &Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    let (accepted, peer) = acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    Ok((accepted.into(), peer.and_then(|peer| peer.try_into().ok())))
}

/// Accepts a connection that does not block.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn accept(socket: &Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
    let (accepted, peer) = socket.accept()?;
    accepted.set_nonblocking(true)?;
    Ok((accepted, peer.as_socket()))
}

fn listen(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.listen(i32::try_from(ACCEPT_BACKLOG).unwrap_or(i32::MAX))
}

/// The acceptor thread.
#[derive(Debug)]
pub(crate) struct Acceptor {
    poll: Poll,
    listeners: Vec<Bound>,
    admission: Arc<Admission>,
    pool: Arc<Pool>,
    cells: Arc<Cells>,
    stopping: Arc<AtomicBool>,
    /// Until when accepting pauses, since the system has no file or memory left.
    paused_until: Option<Instant>,
    /// Why the latest client was refused. Each spell of refusals is logged once.
    refusing: Option<Refused>,
}

impl Acceptor {
    /// # Errors
    ///
    /// When the readiness queue does not take a listener.
    pub(crate) fn new(
        poll: Poll,
        listeners: Vec<Bound>,
        admission: Arc<Admission>,
        pool: Arc<Pool>,
        cells: Arc<Cells>,
        stopping: Arc<AtomicBool>,
    ) -> io::Result<Acceptor> {
        for (index, bound) in listeners.iter().enumerate() {
            let mut source = SourceFd(&bound.socket.as_raw_fd());
            poll.registry().register(&mut source, Token(index), Interest::READABLE)?;
        }
        Ok(Acceptor {
            poll,
            listeners,
            admission,
            pool,
            cells,
            stopping,
            paused_until: None,
            refusing: None,
        })
    }

    /// Accepts until told to stop, then what has come by then, and closes the listeners.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(LISTENER_EVENTS);
        while !self.stopping.load(Ordering::Acquire) {
            let timeout = self.timeout();
            wait(&mut self.poll, &mut events, timeout);
            for event in &events {
                if let Some(bound) = self.listeners.get_mut(event.token().0) {
                    bound.ready = true;
                }
            }
            if self.paused_until.is_none_or(|until| Instant::now() >= until) {
                self.accept_batches(ACCEPT_BATCH);
            }
        }
        for bound in &mut self.listeners {
            // Before the last look at those that have come: nobody finds the socket after it.
            bound.file = None;
            bound.ready = true;
        }
        self.accept_batches(ACCEPT_BACKLOG);
    }

    fn timeout(&self) -> Option<Duration> {
        if let Some(until) = self.paused_until {
            return Some(until.saturating_duration_since(Instant::now()));
        }
        let ready = self.listeners.iter().any(|bound| bound.ready);
        ready.then_some(Duration::ZERO)
    }

    /// Accepts a bounded number of connections from each listener that is ready.
    fn accept_batches(&mut self, batch: usize) {
        for index in 0..self.listeners.len() {
            for _ in 0..batch {
                let bound = &mut self.listeners[index];
                if !bound.ready {
                    break;
                }
                match bound.accept() {
                    Ok((socket, peer)) => {
                        let endpoint = Arc::clone(&bound.endpoint);
                        self.let_in(socket, peer, endpoint);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => bound.ready = false,
                    Err(error) if concerns_one_client(&error) => {
                        tracing::debug!("a client was gone before it was accepted: {error}");
                    }
                    Err(error) => return self.pause(&error),
                }
                self.resume();
            }
        }
    }

    /// Puts a connection on the work queue, or tells the client why not.
    fn let_in(&mut self, socket: Socket, peer: Address, endpoint: Arc<Endpoint>) {
        self.cells.accepted.add(1);
        let permit = match self.admission.admit() {
            Ok(permit) => permit,
            Err(refused) => return self.refuse(socket, &endpoint, refused),
        };
        // A burst is waited for. While the queue stays full everybody is told without delay.
        let patience = match self.refusing {
            Some(Refused::QueueFull(_)) => Duration::ZERO,
            _ => WORK_QUEUE_PATIENCE,
        };
        let accepted = Accepted { socket, peer, endpoint, permit };
        match self.pool.push(accepted, patience) {
            Ok(()) => self.refusing = None,
            Err(accepted) => {
                let refused = Refused::QueueFull(self.pool.queue().len_max());
                self.refuse(accepted.socket, &accepted.endpoint, refused);
            }
        }
    }

    /// Tells a client why it is not served, and closes.
    fn refuse(&mut self, mut socket: Socket, endpoint: &Endpoint, refused: Refused) {
        match refused {
            Refused::AtLimit(_) => self.cells.refused_at_limit.add(1),
            Refused::QueueFull(_) => self.cells.refused_queue_full.add(1),
        }
        if self.refusing.replace(refused) != Some(refused) {
            tracing::warn!("refusing new clients: {refused}");
        }
        let mut text = Vec::new();
        if endpoint.transport.is_plain() {
            (protocol::of(endpoint.protocol).encode_error)(&refused.to_string(), &mut text);
        }
        // All best effort and without waiting: a fresh socket has room for the text. What the
        // client has sent already is read, since closing on unread bytes destroys the text.
        let _ = send(&socket, &text);
        let _ = socket.shutdown(Shutdown::Write);
        let _ = socket.read(&mut [0; 4096]);
    }

    /// The system cannot give another connection now. The clients wait in the backlog.
    fn pause(&mut self, error: &io::Error) {
        if self.paused_until.is_none() {
            self.cells.accept_pauses.add(1);
            tracing::warn!(
                "accepting pauses, {} connections are open: {error}; raise the limit of open files",
                self.admission.open()
            );
        }
        self.paused_until = Some(Instant::now() + ACCEPT_RETRY);
    }

    fn resume(&mut self) {
        if self.paused_until.take().is_some() {
            tracing::info!("accepting again");
        }
    }
}

/// Whether an error of accept(2) says something of the one client alone. Such errors are passed
/// over; any other would come again at once.
fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::Interrupted
            | Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::PermissionDenied
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::HostUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;
    use mio::Waker;
    use std::thread;

    /// What the kernel says of the keepalive of an accepted socket.
    #[test]
    fn accepted_connections_are_kept_alive_and_ipv6_leaves_ipv4_its_port() {
        let plain = |address: SocketAddr| Bound::listen(Endpoint::plain(Protocol::Line, address));
        let bound = plain(([0, 0, 0, 0], 0).into()).unwrap();
        let port = bound.endpoint.address.tcp().unwrap().port();
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        bound.socket.set_nonblocking(false).unwrap();
        let (accepted, peer) = bound.accept().unwrap();
        assert_eq!(peer.tcp(), client.local_addr().ok());
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        match plain((std::net::Ipv6Addr::UNSPECIFIED, port).into()) {
            Ok(both) => assert!(both.socket.only_v6().unwrap()),
            Err(error) => assert!(!error.to_string().contains("in use"), "{error}"),
        }
    }

    /// The workers of this pool are away, so the queue stays as full as it gets.
    #[test]
    fn a_full_queue_tells_the_client_and_closes() {
        const WAKE: Token = Token(usize::MAX);
        let pool_poll = Poll::new().unwrap();
        let pool_waker = Waker::new(pool_poll.registry(), WAKE).unwrap();
        let pool = Pool::new(vec![pool_waker], 2);
        let cells = Arc::new(Cells::default());
        let stopping = Arc::new(AtomicBool::new(false));
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = Bound::listen(Endpoint::plain(Protocol::Line, any_port)).unwrap();
        let address = bound.endpoint.address.tcp().unwrap();
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), WAKE).unwrap();
        let acceptor = Acceptor::new(
            poll,
            vec![bound],
            Admission::new(100),
            Arc::clone(&pool),
            Arc::clone(&cells),
            Arc::clone(&stopping),
        )
        .unwrap();
        let thread = thread::spawn(|| acceptor.run());

        let told = || {
            let mut text = String::new();
            let mut client = std::net::TcpStream::connect(address).unwrap();
            client.read_to_string(&mut text).unwrap();
            text
        };
        let connect = || std::net::TcpStream::connect(address).unwrap();
        let _queued = [connect(), connect()];
        for _ in 0..3 {
            assert_eq!(told(), "ERR 2 connections wait for a worker, the limit; try again later\n");
        }
        pool.take_all(0, &mut Vec::new());
        let _queued = connect();
        while pool.queue().len() != 1 {
            thread::yield_now();
        }
        stopping.store(true, Ordering::Release);
        waker.wake().unwrap();
        thread.join().unwrap();
        let counted = (cells.accepted.get(), cells.refused_queue_full.get());
        assert_eq!(counted, (6, 3));
    }
}
