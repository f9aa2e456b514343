//! The socket of one connection, of TCP or Unix.
//!
//! It owns how they are made and with which timeouts. It knows nothing of what is sent.
//!
//! Invariant: nothing on it waits without end.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use stockd_model::{Address, SocketPath};

use crate::Options;

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Connects, and sets the timeouts.
    pub(crate) fn connect(server: &Address, options: &Options) -> io::Result<Stream> {
        match server {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, options.connect_timeout)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(options.timeout))?;
                stream.set_write_timeout(Some(options.timeout))?;
                Ok(Stream::Tcp(stream))
            }
            Address::Unix(path) => {
                let stream = connect_unix(path, options.connect_timeout)?;
                stream.set_read_timeout(Some(options.timeout))?;
                stream.set_write_timeout(Some(options.timeout))?;
                Ok(Stream::Unix(stream))
            }
        }
    }

    pub(crate) fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(timeout)),
        }
    }
}

/// A server that does not accept lets clients wait once its backlog is full: for as long as a write
/// may (unix(7)).
fn connect_unix(path: &SocketPath, timeout: Duration) -> io::Result<UnixStream> {
    let socket = OwnedFd::from(Socket::new(Domain::UNIX, Type::STREAM, None)?);
    let stream = UnixStream::from(socket);
    stream.set_write_timeout(Some(timeout))?;
    SockRef::from(&stream).connect(&SockAddr::unix(&**path)?)?;
    Ok(stream)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
