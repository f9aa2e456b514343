//! Between a socket and its session: how the bytes of a connection travel.
//!
//! A [`Transport`] is what an endpoint is configured with, a [`Stream`] one connection over it. A session
//! sees plain bytes whatever the transport. It knows nothing of what bytes mean.
//!
//! ```text
//!   socket ── receive ──► plain bytes ──► session ──► replies ── seal ──► output ── write ──► socket
//!              TLS: records are opened                 TLS: records are made
//! ```
//!
//! Invariant: no call blocks, and none raises a signal when the client is gone.

use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::Arc;

use rustix::net::SendFlags;
use rustls::server::UnbufferedServerConnection;
use socket2::{Domain, Socket};
use stockd_model::limits::SUBSCRIBER_UNSENT_BYTES;
use stockd_tls::ServerTls;

use crate::tls_stream::{TlsBuffers, TlsStream};

/// How bytes travel between a client and an endpoint.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Transport {
    /// As they are.
    #[default]
    Plain,
    /// Encrypted, with this certificate.
    Tls(Arc<ServerTls>),
}

/// The bytes of one connection.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
    /// Where they are encrypted.
    tls: Option<Box<TlsStream>>,
}

/// What a read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes that came.
    pub(crate) raw: usize,
    /// Bytes for the session among them.
    pub(crate) plain: usize,
    /// Whether there was room for more than came.
    pub(crate) is_short: bool,
}

impl Transport {
    /// The stream over an accepted socket, which does not block.
    pub(crate) fn accept(&self, socket: Socket) -> io::Result<Stream> {
        let tls = match self {
            Transport::Plain => None,
            Transport::Tls(tls) => {
                let connection = UnbufferedServerConnection::new(tls.config());
                Some(Box::new(TlsStream::new(connection.map_err(io::Error::other)?)))
            }
        };
        Ok(Stream { socket, tls })
    }

    /// Whether an error may be told to a client that is not let in, without a conversation.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Transport::Plain)
    }
}

impl PartialEq for Transport {
    fn eq(&self, other: &Transport) -> bool {
        match (self, other) {
            (Transport::Plain, Transport::Plain) => true,
            (Transport::Tls(tls), Transport::Tls(other)) => Arc::ptr_eq(tls, other),
            _ => false,
        }
    }
}

impl Eq for Transport {}

impl Stream {
    /// The socket beneath, to wait for.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The TLS of it, if there is any.
    #[inline]
    pub(crate) fn tls(&self) -> Option<&TlsStream> {
        self.tls.as_deref()
    }

    /// Reads once from a socket that does not block, at most `bytes_max` bytes. Plain ones come to the front
    /// of `input`, which has room for a record of TLS; what is to be told to the client at once is in
    /// `buffers.outgoing`.
    ///
    /// # Errors
    ///
    /// Those of read(2); and `InvalidData` when the client breaks the protocol of the transport.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        input: &mut [u8],
        bytes_max: usize,
        buffers: &mut TlsBuffers,
    ) -> io::Result<Received> {
        match &mut self.tls {
            None => {
                let input = &mut input[..bytes_max];
                let raw = self.socket.read(input)?;
                let is_short = raw < input.len();
                Ok(Received { raw, plain: raw, is_short })
            }
            Some(tls) => receive_records(&mut self.socket, tls, input, bytes_max, buffers),
        }
    }

    /// The bytes for the socket that tell the client these plain ones.
    #[inline]
    pub(crate) fn seal<'a>(&mut self, plain: &'a [u8], buffers: &'a mut TlsBuffers) -> &'a [u8] {
        match &mut self.tls {
            None => plain,
            Some(tls) => {
                tls.seal(plain, &mut buffers.outgoing);
                &buffers.outgoing
            }
        }
    }

    /// Writes as write(2) does to a socket that does not block: bytes for the socket.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        send(&self.socket, bytes)
    }

    /// All is written: ends the direction to the client. What it still sends is read as it comes.
    pub(crate) fn end(&mut self, buffers: &mut TlsBuffers) -> io::Result<()> {
        self.say_end(buffers);
        self.socket.shutdown(Shutdown::Write)
    }

    /// Tells the client that nothing more comes, where the transport has a word for it.
    pub(crate) fn say_end(&mut self, buffers: &mut TlsBuffers) {
        if let Some(mut tls) = self.tls.take() {
            tls.seal_end(&mut buffers.outgoing);
            // A socket that is empty has room for it.
            let _ = send(&self.socket, &buffers.outgoing);
        }
    }

    /// Bytes that the system has received and the server has not read yet.
    pub(crate) fn received_bytes(&self) -> u64 {
        rustix::io::ioctl_fionread(self.socket()).unwrap_or(0)
    }

    /// From now on the system keeps few bytes that it has not sent: the client is a subscriber, and
    /// what waits in the system is old by the time it is read. Where the system has no such bound the
    /// client gets more of the past, and nothing else is different.
    pub(crate) fn keep_few_unsent(&self) {
        let socket = self.socket();
        let bounded = match socket.domain() {
            Ok(Domain::UNIX) => socket.set_send_buffer_size(SUBSCRIBER_UNSENT_BYTES),
            _ => bound_unsent_tcp(socket),
        };
        if let Err(error) = bounded {
            tracing::debug!("a subscriber's unsent bytes are not bounded: {error}");
        }
    }
}

fn receive_records(
    socket: &mut Socket,
    tls: &mut TlsStream,
    input: &mut [u8],
    bytes_max: usize,
    buffers: &mut TlsBuffers,
) -> io::Result<Received> {
    buffers.outgoing.clear();
    let (raw, is_short) = if tls.is_closed_by_peer() {
        (0, false)
    } else {
        let room = tls.room(buffers, bytes_max);
        let raw = socket.read(room)?;
        (raw, raw < room.len())
    };
    let plain = match raw {
        0 => 0,
        raw => tls
            .open(raw, buffers, input)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
    };
    Ok(Received { raw, plain, is_short })
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
fn bound_unsent_tcp(socket: &Socket) -> io::Result<()> {
    let bytes = u32::try_from(SUBSCRIBER_UNSENT_BYTES).unwrap_or(u32::MAX);
    socket.set_tcp_notsent_lowat(bytes)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
fn bound_unsent_tcp(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Writes to a socket. That the client is gone is an error and not a signal, whatever the process
/// does with signals; where there is no such flag the socket itself is made so.
#[inline]
pub(crate) fn send(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const FLAGS: SendFlags = SendFlags::NOSIGNAL;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const FLAGS: SendFlags = SendFlags::empty();
    Ok(rustix::net::send(socket, bytes, FLAGS)?)
}
