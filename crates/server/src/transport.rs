//! Between a socket and its session: how the bytes of a connection travel.
//!
//! A [`Transport`] is what an endpoint is configured with, a [`Stream`] one connection over it. Here
//! is the place for encryption: a session sees plain bytes whatever the transport. It knows nothing of
//! what bytes mean.
//!
//! Invariant: no call blocks, and none raises a signal when the client is gone.

use std::io::{self, Read};
use std::net::Shutdown;

use rustix::net::SendFlags;
use socket2::{Domain, Socket};
use stockd_model::limits::SUBSCRIBER_UNSENT_BYTES;

/// How bytes travel between a client and an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// As they are.
    #[default]
    Plain,
}

/// The bytes of one connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Socket),
}

impl Transport {
    /// The stream over an accepted socket, which does not block.
    pub(crate) fn accept(self, socket: Socket) -> Stream {
        match self {
            Transport::Plain => Stream::Plain(socket),
        }
    }
}

impl Stream {
    /// The socket beneath, to wait for.
    pub(crate) fn socket(&self) -> &Socket {
        let Stream::Plain(socket) = self;
        socket
    }

    /// Reads as read(2) does of a socket that does not block.
    #[inline]
    pub(crate) fn read(&mut self, input: &mut [u8]) -> io::Result<usize> {
        let Stream::Plain(socket) = self;
        socket.read(input)
    }

    /// Writes as write(2) does to a socket that does not block.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Stream::Plain(socket) = self;
        send(socket, bytes)
    }

    /// Closes the direction to the client.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.socket().shutdown(Shutdown::Write)
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
