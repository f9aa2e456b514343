//! The socket of one connection, with its bounds in time, and what others may know of it.
//!
//! It knows no HTTP. Invariant: a connection whose client takes nothing for its patience ends with
//! an error, so that nothing waits for it for ever.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use stockd_access::{Authority, Identity};
use stockd_model::Address;
use stockd_model::limits::SUBSCRIBER_UNSENT_BYTES;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

/// What others may know of a connection. It counts as open as long as this is there.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    /// Where it comes from; of a Unix socket that is the socket that it came to.
    pub(crate) peer: Address,
    /// The address that it came to.
    pub(crate) local: Option<SocketAddr>,
    /// Whether it speaks TLS.
    pub(crate) is_encrypted: bool,
    /// Who the client is by its certificate, as of when it connected.
    identity: Identity,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionInfo {
    pub(crate) fn new(
        peer: Address,
        local: Option<SocketAddr>,
        identity: Identity,
        is_encrypted: bool,
        permit: OwnedSemaphorePermit,
    ) -> Arc<ConnectionInfo> {
        Arc::new(ConnectionInfo { peer, local, is_encrypted, identity, _permit: permit })
    }

    /// Who the client is by its certificate, or by having shown none, by the access file of the moment.
    pub(crate) fn identity(&self, authority: &Authority) -> Identity {
        let mut identity = self.identity.clone();
        authority.refresh(&mut identity);
        identity
    }
}

/// Bytes that all connections have moved, and how often the server has closed one.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    closed: [AtomicU64; Closed::ALL.len()],
}

/// Why the server closes a connection that its client would have kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The client took nothing of what was sent.
    Stalled,
    /// It asked nothing, or did not come to the end of a head.
    Idle,
    /// It did not answer the pings of WebSocket.
    Silent,
    /// It had a token to show over WebSocket, and showed none.
    NoToken,
    /// The head of a request was too long.
    HeadTooLong,
    /// A message of WebSocket was too long.
    MessageTooLong,
    /// It gave up too many streams of HTTP/2.
    Resets,
    /// It broke the protocol otherwise.
    ProtocolError,
}

impl Closed {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Closed; 8] = [
        Closed::Stalled,
        Closed::Idle,
        Closed::Silent,
        Closed::NoToken,
        Closed::HeadTooLong,
        Closed::MessageTooLong,
        Closed::Resets,
        Closed::ProtocolError,
    ];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Closed::Stalled => "web_stalled",
            Closed::Idle => "web_idle",
            Closed::Silent => "web_silent",
            Closed::NoToken => "web_no_token",
            Closed::HeadTooLong => "web_head_too_long",
            Closed::MessageTooLong => "web_message_too_long",
            Closed::Resets => "web_resets",
            Closed::ProtocolError => "web_protocol_error",
        }
    }
}

impl Traffic {
    /// Notes that a connection is closed.
    pub(crate) fn note_closed(&self, why: Closed) {
        self.closed[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that were closed for this reason.
    pub(crate) fn closed(&self, why: Closed) -> u64 {
        self.closed[why as usize].load(Ordering::Relaxed)
    }
}

/// An accepted socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Of TCP, over which TLS is spoken.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A socket whose writes do not wait for ever.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    traffic: Arc<Traffic>,
    /// How long a write may wait.
    patience: Duration,
    /// When a write that waits has waited for too long.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    pub(crate) fn new(socket: Socket, traffic: &Arc<Traffic>, patience: Duration) -> Connection {
        socket.keep_few_unsent();
        Connection { socket, traffic: Arc::clone(traffic), patience, stalled: None }
    }

    /// Whether a write waits for the client.
    pub(crate) fn is_waiting(&self) -> bool {
        self.stalled.is_some()
    }

    /// What became of a write: one that waits may do so only for a time.
    fn wrote<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let patience = self.patience;
        let sleep = || Box::pin(tokio::time::sleep(patience));
        ready!(self.stalled.get_or_insert_with(sleep).as_mut().poll(cx));
        self.traffic.note_closed(Closed::Stalled);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }

    fn count_out(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.traffic.bytes_out.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    }
}

impl Socket {
    /// Has the system keep few bytes that it has not sent: what waits there is old by the time it is read.
    /// Where the system has no such bound streams get more of the past, and nothing else is different.
    fn keep_few_unsent(&self) {
        let bounded = match self {
            Socket::Tcp(socket) => bound_unsent_tcp(socket),
            Socket::Tls(stream) => bound_unsent_tcp(stream.get_ref().0),
            Socket::Unix(socket) => {
                SockRef::from(socket).set_send_buffer_size(SUBSCRIBER_UNSENT_BYTES)
            }
        };
        if let Err(error) = bounded {
            tracing::debug!("unsent bytes of a connection are not bounded: {error}");
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
fn bound_unsent_tcp(socket: &TcpStream) -> io::Result<()> {
    let bytes = u32::try_from(SUBSCRIBER_UNSENT_BYTES).unwrap_or(u32::MAX);
    SockRef::from(socket).set_tcp_notsent_lowat(bytes)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
fn bound_unsent_tcp(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Tls(socket) => Pin::new(socket).poll_read(cx, buffer),
        };
        let bytes = buffer.filled().len() - before;
        self.traffic.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Tls(socket) => Pin::new(socket).poll_write(cx, bytes),
        };
        self.count_out(&written);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Socket::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Socket::Tls(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
        };
        self.count_out(&written);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Tls(socket) => Pin::new(socket).poll_flush(cx),
        };
        self.wrote(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        };
        self.wrote(cx, ended)
    }
}
