//! The socket of one connection, of TCP or Unix.
//!
//! It owns how sockets are made, how long they wait, and how they are written to. It knows nothing of
//! what is sent.
//!
//! Invariant: no call waits longer than the timeout that was set, and no write raises a signal.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use rustix::net::SendFlags;
use socket2::{Domain, SockAddr, Socket, Type};
use stockd_model::Address;

/// A connection to a server, for programs that speak a protocol themselves.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use std::time::Duration;
///
/// use stockd_client::Stream;
///
/// let mut stream = Stream::connect(&"127.0.0.1:7878".parse()?, Duration::from_secs(5))?;
/// stream.write_all(b"AAPL\n")?;
/// let mut reply = [0; 32];
/// let bytes = stream.read(&mut reply)?;
/// println!("{}", reply[..bytes].escape_ascii());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
}

/// A write to a server that is gone is an error and not a signal, whatever the process does with
/// signals. Where there is no such flag, the socket itself is made so.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SEND_FLAGS: SendFlags = SendFlags::empty();

impl Stream {
    /// Connects within `timeout`, which then also bounds each read and each write.
    ///
    /// # Errors
    ///
    /// When the server does not take the connection; `TimedOut` or `WouldBlock` when not in time.
    pub fn connect(server: &Address, timeout: Duration) -> io::Result<Stream> {
        let stream = match server {
            Address::Tcp(address) => {
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
                socket.connect_timeout(&(*address).into(), timeout)?;
                socket.set_tcp_nodelay(true)?;
                let stream = Stream { socket };
                stream.set_timeout(timeout)?;
                stream
            }
            Address::Unix(path) => {
                let stream = Stream { socket: Socket::new(Domain::UNIX, Type::STREAM, None)? };
                // A server with a full backlog lets clients wait for as long as a write may (unix(7)).
                stream.set_timeout(timeout)?;
                stream.socket.connect(&SockAddr::unix(&**path)?)?;
                stream
            }
        };
        Ok(stream)
    }

    /// Sets how long one read or write may wait. It then fails with `TimedOut` or `WouldBlock`.
    ///
    /// # Errors
    ///
    /// Those of the system, and `InvalidInput` for 0.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(timeout)?;
        self.socket.set_write_timeout(possible(timeout)?)
    }

    /// Sets how long one read may wait.
    ///
    /// # Errors
    ///
    /// Those of the system, and `InvalidInput` for 0.
    pub fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(possible(timeout)?)
    }

    /// From now on the system keeps about this many bytes that have come and were not read, and the
    /// server waits with the rest. For live quotes, which are better fewer and newer.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        self.socket.set_recv_buffer_size(bytes)
    }

    /// Makes reads and writes return at once, for a readiness loop.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }
}

/// A timeout as the system takes it, in whole microseconds and above 0, which would mean none.
fn possible(timeout: Duration) -> io::Result<Option<Duration>> {
    match timeout.is_zero() {
        true => Err(io::Error::new(ErrorKind::InvalidInput, "a timeout of 0 is not possible")),
        false => Ok(Some(timeout.max(Duration::from_micros(1)))),
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&self.socket, bytes, SEND_FLAGS)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_write_to_a_server_that_is_gone_is_an_error_and_no_signal() {
        let signalled = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::clone(&signalled)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let address = format!("unix:{}", path.display()).parse().unwrap();
        let mut stream = Stream::connect(&address, Duration::from_secs(60)).unwrap();
        drop(listener.accept().unwrap());
        assert_eq!(stream.write(b"AAPL\n").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert!(!signalled.load(Ordering::Relaxed));
    }

    #[test]
    fn a_timeout_is_never_taken_for_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let address = format!("unix:{}", path.display()).parse().unwrap();
        let mut stream = Stream::connect(&address, Duration::from_secs(60)).unwrap();
        stream.set_read_timeout(Duration::from_nanos(1)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let refused = stream.set_read_timeout(Duration::ZERO).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
}
