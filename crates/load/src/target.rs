//! The server that is asked, and connections to it.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net as unix;
use std::path::Path;
use std::str::FromStr;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use stockd_model::limits::LOAD_PATIENCE;
use stockd_model::{Address, AddressError, ToAddresses};

/// Where a server listens, as it was given: `HOST:PORT`, which may have several meanings, or
/// `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let is_named = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
        match text.parse::<Address>() {
            Ok(_) => Ok(Target(text.to_owned())),
            Err(AddressError::NoAddress) if text.rsplit_once(':').is_some_and(is_named) => {
                Ok(Target(text.to_owned()))
            }
            Err(AddressError::NoAddress) => {
                Err(format!("'{text}' is no address; write HOST:PORT or unix:PATH"))
            }
            Err(error) => Err(format!("'{text}' is no address: {error}")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Target {
    /// A connection that blocks, to the first address that takes it.
    pub(crate) fn connect(&self) -> io::Result<BlockingStream> {
        let mut failure = io::ErrorKind::AddrNotAvailable.into();
        for address in self.0.to_addresses()? {
            match connect(&address) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

fn connect(address: &Address) -> io::Result<BlockingStream> {
    match address {
        Address::Tcp(address) => {
            let stream = std::net::TcpStream::connect_timeout(address, LOAD_PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LOAD_PATIENCE))?;
            stream.set_write_timeout(Some(LOAD_PATIENCE))?;
            Ok(BlockingStream::Tcp(stream))
        }
        Address::Unix(path) => {
            let stream = unix::UnixStream::connect::<&Path>(path)?;
            stream.set_read_timeout(Some(LOAD_PATIENCE))?;
            stream.set_write_timeout(Some(LOAD_PATIENCE))?;
            Ok(BlockingStream::Unix(stream))
        }
    }
}

/// A connection whose reads and writes wait, for at most [`LOAD_PATIENCE`].
#[derive(Debug)]
pub(crate) enum BlockingStream {
    Tcp(std::net::TcpStream),
    Unix(unix::UnixStream),
}

impl BlockingStream {
    /// The same connection for a readiness loop.
    pub(crate) fn into_stream(self) -> io::Result<Stream> {
        Ok(match self {
            BlockingStream::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                Stream::Tcp(mio::net::TcpStream::from_std(stream))
            }
            BlockingStream::Unix(stream) => {
                stream.set_nonblocking(true)?;
                Stream::Unix(mio::net::UnixStream::from_std(stream))
            }
        })
    }
}

impl Read for BlockingStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            BlockingStream::Tcp(stream) => stream.read(buffer),
            BlockingStream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for BlockingStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            BlockingStream::Tcp(stream) => stream.write(bytes),
            BlockingStream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that never waits.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
}

impl Stream {
    /// Tells the loop of everything that happens on it.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Stream::Tcp(stream) => stream.register(registry, token, interest),
            Stream::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_sockets_and_from_neither() {
        let parse = |text: &str| text.parse::<Target>();
        for right in ["127.0.0.1:7878", "[::1]:7878", "localhost:7878", "unix:/run/s"] {
            assert_eq!(parse(right).unwrap().to_string(), right);
        }
        for wrong in ["", "7878", ":7878", "localhost", "host:99999", "unix:"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
