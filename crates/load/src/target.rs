//! The server that is asked, and connections to it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net as unix;
use std::path::PathBuf;
use std::str::FromStr;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use stockd_model::limits::LOAD_PATIENCE;

/// Where a server listens: `HOST:PORT`, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address as it was given, which may have several meanings.
    Tcp(String),
    /// The file of a socket.
    Unix(PathBuf),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("'unix:' names no socket; write unix:PATH".to_owned()),
                path => Ok(Target::Unix(path.into())),
            };
        }
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Target::Tcp(text.to_owned()))
            }
            _ => Err(format!("'{text}' is no address; write HOST:PORT or unix:PATH")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp(address) => f.write_str(address),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Target {
    /// A connection that blocks.
    pub(crate) fn connect(&self) -> io::Result<BlockingStream> {
        match self {
            Target::Tcp(address) => {
                let mut failure = io::ErrorKind::AddrNotAvailable.into();
                for address in address.to_socket_addrs()? {
                    match connect_tcp(&address) {
                        Ok(stream) => return Ok(BlockingStream::Tcp(stream)),
                        Err(error) => failure = error,
                    }
                }
                Err(failure)
            }
            Target::Unix(path) => {
                let stream = unix::UnixStream::connect(path)?;
                stream.set_read_timeout(Some(LOAD_PATIENCE))?;
                stream.set_write_timeout(Some(LOAD_PATIENCE))?;
                Ok(BlockingStream::Unix(stream))
            }
        }
    }
}

fn connect_tcp(address: &SocketAddr) -> io::Result<std::net::TcpStream> {
    let stream = std::net::TcpStream::connect_timeout(address, LOAD_PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOAD_PATIENCE))?;
    stream.set_write_timeout(Some(LOAD_PATIENCE))?;
    Ok(stream)
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
        assert_eq!(parse("127.0.0.1:7878").unwrap(), Target::Tcp("127.0.0.1:7878".into()));
        assert_eq!(parse("[::1]:7878").unwrap().to_string(), "[::1]:7878");
        assert_eq!(parse("unix:/run/s").unwrap(), Target::Unix("/run/s".into()));
        for wrong in ["", "7878", ":7878", "localhost", "host:99999", "unix:"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
