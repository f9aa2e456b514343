//! The socket of one connection, of TCP or Unix.
//!
//! It owns how sockets are made, how long they wait, how they are written to, and TLS where the address
//! says so. It knows nothing of what is sent.
//!
//! Invariant: no call waits much longer than the timeout that was set, though what comes over TLS comes in drips,
//! and no write raises a signal.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use rustix::net::SendFlags;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::{Domain, SockAddr, Socket, Type};
use stockd_model::Address;
use stockd_tls::{ClientFiles, ClientTls};

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
    /// Where they are encrypted.
    tls: Option<Box<ClientConnection>>,
}

/// The socket alone, as what TLS reads and writes.
struct Socketed<'a>(&'a Socket);

/// The same during the handshake, which takes several reads.
struct Handshaking<'a> {
    socket: Socketed<'a>,
    since: Instant,
    timeout: Duration,
}

/// A write to a server that is gone is an error and not a signal, whatever the process does with
/// signals. Where there is no such flag, the socket itself is made so.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SEND_FLAGS: SendFlags = SendFlags::empty();

impl Stream {
    /// Connects within `timeout`, which then also bounds each read and each write. An address with TLS is
    /// believed if its certificate comes from an authority that the system trusts.
    ///
    /// # Errors
    ///
    /// When the server does not take the connection; `TimedOut` or `WouldBlock` when not in time;
    /// `InvalidData` when its certificate is not believed.
    pub fn connect(server: &Address, timeout: Duration) -> io::Result<Stream> {
        Stream::connect_with(server, timeout, None)
    }

    /// As [`connect`](Stream::connect); an address with TLS is believed as `tls` says.
    ///
    /// # Errors
    ///
    /// As [`connect`](Stream::connect).
    pub fn connect_with(
        server: &Address,
        timeout: Duration,
        tls: Option<&ClientTls>,
    ) -> io::Result<Stream> {
        match server {
            Address::Tcp(address) => Stream::connect_tcp(*address, timeout),
            Address::Tls { address, host } => {
                let tls = match tls {
                    Some(tls) => tls.clone(),
                    None => ClientTls::load(&ClientFiles::default()).map_err(io::Error::other)?,
                };
                let mut stream = Stream::connect_tcp(*address, timeout)?;
                stream.shake_hands(&tls, host, timeout)?;
                Ok(stream)
            }
            Address::Unix(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                let stream = Stream { socket, tls: None };
                // A server with a full backlog lets clients wait for as long as a write may (unix(7)).
                stream.set_timeout(timeout)?;
                stream.socket.connect(&SockAddr::unix(&**path)?)?;
                Ok(stream)
            }
        }
    }

    fn connect_tcp(address: SocketAddr, timeout: Duration) -> io::Result<Stream> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.connect_timeout(&address.into(), timeout)?;
        socket.set_tcp_nodelay(true)?;
        let stream = Stream { socket, tls: None };
        stream.set_timeout(timeout)?;
        Ok(stream)
    }

    /// Begins TLS with the server of this name.
    fn shake_hands(&mut self, tls: &ClientTls, host: &str, timeout: Duration) -> io::Result<()> {
        let invalid = |error: rustls::pki_types::InvalidDnsNameError| {
            io::Error::new(ErrorKind::InvalidInput, format!("{host}: {error}"))
        };
        let name = ServerName::try_from(host.to_owned()).map_err(invalid)?;
        let connection = ClientConnection::new(tls.config(), name).map_err(io::Error::other)?;
        let mut tls = Box::new(connection);
        let (socket, since) = (Socketed(&self.socket), Instant::now());
        tls.complete_io(&mut Handshaking { socket, since, timeout })?;
        self.tls = Some(tls);
        Ok(())
    }

    /// Whether it speaks TLS. A read may then bring less than has come.
    #[inline]
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether bytes that were written are still on their way to the socket: [`flush`](Write::flush)
    /// brings them on. Only over TLS, and only where calls do not wait.
    pub fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
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

    /// Its own end and the server's, where it goes over TCP and is connected.
    pub fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let own = self.socket.local_addr().ok()?.as_socket()?;
        Some((own, self.socket.peer_addr().ok()?.as_socket()?))
    }

    /// The process of the server, where it goes over a Unix socket and the system tells.
    pub fn peer_process(&self) -> Option<u32> {
        #[cfg(target_os = "linux")]
        return match self.socket.peer_addr().ok()?.is_unix() {
            true => {
                let peer = rustix::net::sockopt::socket_peercred(&self.socket).ok()?;
                u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
            }
            false => None,
        };
        #[cfg(not(target_os = "linux"))]
        None
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
        match &mut self.tls {
            None => self.socket.read(buffer),
            Some(tls) => read_records(tls, &self.socket, buffer),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => Socketed(&self.socket).write(bytes),
            Some(tls) => write_records(tls, &self.socket, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => send_records(tls, &self.socket),
        }
    }
}

fn read_records(
    tls: &mut ClientConnection,
    socket: &Socket,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let since = Instant::now();
    let mut is_begun = false;
    loop {
        match tls.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // An end without a word, as of a server that was killed, is an end.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
            read => return read,
        }
        // The socket's timeout bounds one read, this those of a whole record.
        if is_begun && socket.read_timeout()?.is_some_and(|timeout| since.elapsed() >= timeout) {
            return Err(ErrorKind::TimedOut.into());
        }
        is_begun = true;
        tls.read_tls(&mut Socketed(socket))?;
        let processed = tls.process_new_packets();
        // An alert, or the new key that the server has asked for. The error says more.
        let sent = send_records(tls, socket);
        processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        match sent {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}

fn write_records(tls: &mut ClientConnection, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    send_records(tls, socket)?;
    let written = tls.writer().write(bytes)?;
    match send_records(tls, socket) {
        // What the socket has not taken is sent with the next write, or when it is flushed.
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(written),
        Err(error) => Err(error),
        Ok(()) => Ok(written),
    }
}

/// Sends all records that were made.
fn send_records(tls: &mut ClientConnection, socket: &Socket) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut Socketed(socket))?;
    }
    Ok(())
}

impl Read for Socketed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.0;
        socket.read(buffer)
    }
}

impl Write for Socketed<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, bytes, SEND_FLAGS)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Handshaking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.since.elapsed() < self.timeout {
            true => self.socket.read(buffer),
            false => Err(ErrorKind::TimedOut.into()),
        }
    }
}

impl Write for Handshaking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Drop for Stream {
    /// Tells the server that nothing more comes, if that does not have to wait.
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = self.socket.set_nonblocking(true);
            let _ = send_records(tls, &self.socket);
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use rustls::ServerConnection;

    use super::*;

    /// Sends the beginning of a record of 16 KiB, byte by byte, each in time for one read, until the client goes.
    fn drip(mut stream: &TcpStream, record: &[u8], pace: Duration) {
        stream.set_nodelay(true).unwrap();
        for byte in record {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(pace);
        }
    }

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

    /// A timeout for the tests that reach it.
    const SHORT: Duration = Duration::from_millis(40);

    #[test]
    fn a_handshake_in_endless_drips_times_out() {
        let directory = tempfile::tempdir().unwrap();
        let (_, tls) = stockd_tls::development::pair(directory.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address =
            Address::Tls { address: listener.local_addr().unwrap(), host: "localhost".into() };
        let server = thread::spawn(move || {
            let record = [&[0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc][..], &[0; 1000]].concat();
            drip(&listener.accept().unwrap().0, &record, SHORT / 4);
        });
        let error = Stream::connect_with(&address, SHORT, Some(&tls)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn a_record_in_endless_drips_times_out() {
        let directory = tempfile::tempdir().unwrap();
        let (server, tls) = stockd_tls::development::pair(directory.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address =
            Address::Tls { address: listener.local_addr().unwrap(), host: "localhost".into() };
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut tls = ServerConnection::new(server.config()).unwrap();
            while tls.is_handshaking() {
                tls.complete_io(&mut stream).unwrap();
            }
            let mut records = Vec::new();
            tls.writer().write_all(&[b'1'; 1000]).unwrap();
            tls.write_tls(&mut records).unwrap();
            drip(&stream, &records, SHORT / 4);
        });
        // The handshake has all the time that it needs.
        let mut stream =
            Stream::connect_with(&address, Duration::from_secs(60), Some(&tls)).unwrap();
        stream.set_read_timeout(SHORT).unwrap();
        let error = stream.read(&mut [0; 10]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock), "{error}");
        drop(stream);
        server.join().unwrap();
    }
}
