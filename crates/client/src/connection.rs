//! One TCP connection that asks and waits.
//!
//! It owns the socket and its timeouts. It does not know which names are sendable, and what
//! becomes of it after an error is decided above it.
//!
//! Invariant: between two calls no reply is owed. At most two chunks of requests are in flight,
//! so few replies that any server can hold them while it reads on: a server that writes before
//! it reads and a client that does the same never wait for each other.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::error::shown;
use crate::line::{NoAnswer, Replies, encode_chunk};
use crate::{Answer, ClientError, Options};

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    server: SocketAddr,
    timeout: Duration,
    /// The chunk of requests being sent.
    chunk: Vec<u8>,
    replies: Replies,
}

impl Connection {
    pub(crate) fn open(server: SocketAddr, options: &Options) -> Result<Connection, ClientError> {
        let open = || {
            let stream = TcpStream::connect_timeout(&server, options.connect_timeout)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(options.timeout))?;
            stream.set_write_timeout(Some(options.timeout))?;
            Ok(stream)
        };
        let stream = open().map_err(|cause: std::io::Error| match cause.kind() {
            ErrorKind::TimedOut => ClientError::TimedOut {
                server,
                awaited: "accept the connection".into(),
                timeout: options.connect_timeout,
            },
            _ => ClientError::NotConnected { server, cause },
        })?;
        Ok(Connection {
            stream,
            server,
            timeout: options.timeout,
            chunk: Vec::new(),
            replies: Replies::new(),
        })
    }

    pub(crate) fn server(&self) -> SocketAddr {
        self.server
    }

    pub(crate) fn lookup(&mut self, name: &str) -> Result<Answer, ClientError> {
        self.expect_silence()?;
        self.send(&[name])?;
        self.receive(name)
    }

    pub(crate) fn lookup_all<N: AsRef<str>>(
        &mut self,
        names: &[N],
    ) -> Result<Vec<Answer>, ClientError> {
        self.expect_silence()?;
        let mut answers = Vec::with_capacity(names.len());
        let mut sent = 0;
        while answers.len() < names.len() {
            // The replies to one chunk are read while the server works on the next.
            let due = sent;
            sent += self.send(&names[sent..])?;
            while answers.len() < due {
                answers.push(self.receive(names[answers.len()].as_ref())?);
            }
        }
        Ok(answers)
    }

    /// Nothing is owed, so nothing may have come: it would pass for the next reply.
    fn expect_silence(&mut self) -> Result<(), ClientError> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let unasked = match self.replies.next() {
            Some(Ok(answer)) => NoAnswer::Rubbish(answer.to_string()),
            Some(Err(no_answer)) => no_answer,
            None => NoAnswer::Rubbish("a part of a line".into()),
        };
        Err(self.no_answer(unasked))
    }

    /// Sends as many of the names as one chunk holds, in one write, and says how many.
    fn send<N: AsRef<str>>(&mut self, names: &[N]) -> Result<usize, ClientError> {
        let count = encode_chunk(names, &mut self.chunk);
        match self.stream.write_all(&self.chunk) {
            Ok(()) => Ok(count),
            // The server has closed. Its reason may have arrived before; reading tells.
            Err(cause) if is_disconnect(cause.kind()) => Ok(count),
            Err(cause) if is_timeout(cause.kind()) => {
                let first = names.first().map_or("", AsRef::as_ref);
                Err(self.timed_out(format!("read the request '{}'", shown(first))))
            }
            Err(cause) => Err(self.failed(cause)),
        }
    }

    /// Waits for the reply to `name`, the oldest that is owed.
    fn receive(&mut self, name: &str) -> Result<Answer, ClientError> {
        if let Some(reply) = self.replies.next() {
            return reply.map_err(|no_answer| self.no_answer(no_answer));
        }
        // The socket's timeout bounds one read, this the drips of a reply that never ends.
        let since = Instant::now();
        loop {
            self.fill(name)?;
            if let Some(reply) = self.replies.next() {
                return reply.map_err(|no_answer| self.no_answer(no_answer));
            }
            if since.elapsed() >= self.timeout {
                return Err(self.timed_out(awaited(name)));
            }
        }
    }

    /// Reads once.
    fn fill(&mut self, name: &str) -> Result<(), ClientError> {
        match self.stream.read(self.replies.room()) {
            Ok(0) => Err(self.closed(name)),
            Ok(bytes) => {
                self.replies.received(bytes);
                Ok(())
            }
            Err(cause) if cause.kind() == ErrorKind::Interrupted => Ok(()),
            Err(cause) if is_disconnect(cause.kind()) => Err(self.closed(name)),
            Err(cause) if is_timeout(cause.kind()) => Err(self.timed_out(awaited(name))),
            Err(cause) => Err(self.failed(cause)),
        }
    }

    fn no_answer(&self, no_answer: NoAnswer) -> ClientError {
        let server = self.server;
        match no_answer {
            NoAnswer::Refusal(text) => ClientError::Refused { server, text },
            NoAnswer::Rubbish(reply) => ClientError::NotAReply { server, reply },
        }
    }

    fn timed_out(&self, awaited: String) -> ClientError {
        ClientError::TimedOut { server: self.server, awaited, timeout: self.timeout }
    }

    fn closed(&self, name: &str) -> ClientError {
        ClientError::Closed { server: self.server, name: shown(name) }
    }

    fn failed(&self, cause: std::io::Error) -> ClientError {
        ClientError::Failed { server: self.server, cause }
    }
}

fn awaited(name: &str) -> String {
    format!("answer '{}'", shown(name))
}

fn is_disconnect(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}

/// A blocking socket reports its timeout as either kind, by platform.
fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
