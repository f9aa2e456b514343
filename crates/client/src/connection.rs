//! One connection that asks and waits, in either protocol.
//!
//! It owns the socket and its timeouts. It does not know what is asked, and what becomes of it
//! after an error is decided above it.
//!
//! Invariant: between two exchanges no reply is owed. At most two chunks of requests are in
//! flight, so few replies that any server can hold them while it reads on: a server that writes
//! before it reads and a client that does the same never wait for each other.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stockd_model::limits::SUBSCRIBER_UNREAD_BYTES;

use crate::error::excerpt;
use crate::protocol::{NoAnswer, Question, Replies, Request, encode_chunk};
use crate::stream::Stream;
use crate::{Address, ClientError, Options};

#[derive(Debug)]
pub(crate) struct Connection<R> {
    stream: Stream,
    server: Address,
    timeout: Duration,
    /// The chunk of requests being sent.
    chunk: Vec<u8>,
    replies: R,
}

/// What one read came to.
enum Filled {
    Bytes,
    TimedOut,
    Closed,
}

impl<R: Replies> Connection<R> {
    pub(crate) fn open(server: &Address, options: &Options) -> Result<Connection<R>, ClientError> {
        let server = server.clone();
        let opened = Stream::connect_with(&server, options.connect_timeout, options.tls.as_ref());
        let opened = opened.and_then(|stream| {
            stream.set_timeout(options.timeout)?;
            Ok(stream)
        });
        let stream = match opened {
            Ok(stream) => stream,
            Err(cause) if is_timeout(cause.kind()) => {
                return Err(ClientError::TimedOut {
                    server,
                    awaited: "accept the connection".into(),
                    timeout: options.connect_timeout,
                });
            }
            Err(cause) => return Err(ClientError::NotConnected { server, cause }),
        };
        let timeout = options.timeout;
        Ok(Connection { stream, server, timeout, chunk: Vec::new(), replies: R::default() })
    }

    /// What waits unread is old by the time it is read: from now on little does. Where the system has
    /// no such bound, more of the past is read, and nothing else is different.
    pub(crate) fn keep_few_unread(&self) {
        let _ = self.stream.set_receive_buffer(SUBSCRIBER_UNREAD_BYTES);
    }

    pub(crate) fn server(&self) -> &Address {
        &self.server
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.stream.ends().map(|(own, _)| own)
    }

    /// Sends one request and waits for its answer.
    pub(crate) fn ask<Q: Question<R>>(&mut self, request: &Q) -> Result<Q::Answer, ClientError> {
        self.expect_silence()?;
        self.send(std::slice::from_ref(request))?;
        self.receive(request)
    }

    /// Sends all requests ahead of their replies, and waits for all answers.
    pub(crate) fn ask_all<Q: Question<R>>(
        &mut self,
        requests: &[Q],
    ) -> Result<Vec<Q::Answer>, ClientError> {
        self.expect_silence()?;
        let mut answers = Vec::with_capacity(requests.len());
        let mut sent = 0;
        while answers.len() < requests.len() {
            // The replies to one chunk are read while the server works on the next.
            let due = sent;
            sent += self.send(&requests[sent..])?;
            while answers.len() < due {
                answers.push(self.receive(&requests[answers.len()])?);
            }
        }
        Ok(answers)
    }

    /// Sends as many of the requests as one chunk holds, in one write, and says how many.
    pub(crate) fn send(&mut self, requests: &[impl Request]) -> Result<usize, ClientError> {
        let count = encode_chunk(requests, &mut self.chunk);
        match self.stream.write_all(&self.chunk) {
            Ok(()) => Ok(count),
            // The server has closed. Its reason may have arrived before; reading tells.
            Err(cause) if is_disconnect(cause.kind()) => Ok(count),
            Err(cause) if is_timeout(cause.kind()) => {
                let first = requests.first().map(Request::name).unwrap_or_default();
                Err(self.timed_out(format!("read the request '{}'", excerpt(&*first))))
            }
            Err(cause) => Err(self.failed(cause)),
        }
    }

    /// Waits for a reply that answers no request, for `patience` at most; `None` if none comes. It reads at
    /// least once, so that even without patience what has come is seen. From then on the connection is for
    /// such replies alone.
    pub(crate) fn listen(&mut self, patience: Duration) -> Result<Option<R::Reply>, ClientError> {
        let since = Instant::now();
        // A timeout of zero would be none.
        let mut left = patience.max(Duration::from_micros(1));
        loop {
            if let Some(reply) = self.replies.next() {
                return reply.map(Some).map_err(|no_answer| self.no_answer(no_answer));
            }
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(left).map_err(|cause| self.failed(cause))?;
            match self.fill()? {
                Filled::Bytes => {}
                Filled::TimedOut => return Ok(None),
                Filled::Closed => return Err(ClientError::Ended { server: self.server.clone() }),
            }
            left = patience.saturating_sub(since.elapsed());
        }
    }

    /// Nothing is owed, so nothing may have come: it would pass for the next reply.
    fn expect_silence(&mut self) -> Result<(), ClientError> {
        if self.replies.buffer().waiting().is_empty() {
            return Ok(());
        }
        let unasked = match self.replies.next() {
            Some(Ok(reply)) => NoAnswer::rubbish(&reply),
            Some(Err(no_answer)) => no_answer,
            None => NoAnswer::Rubbish("a part of a reply".into()),
        };
        Err(self.no_answer(unasked))
    }

    /// Waits for the reply to the request, the oldest that is owed.
    fn receive<Q: Question<R>>(&mut self, request: &Q) -> Result<Q::Answer, ClientError> {
        let reply = match self.replies.next() {
            Some(reply) => reply,
            None => self.await_reply(&request.name())?,
        };
        let answer = reply.and_then(|reply| request.answer(reply));
        answer.map_err(|no_answer| self.no_answer(no_answer))
    }

    fn await_reply(&mut self, name: &str) -> Result<Result<R::Reply, NoAnswer>, ClientError> {
        // The socket's timeout bounds one read, this the drips of a reply that never ends.
        let since = Instant::now();
        loop {
            match self.fill()? {
                Filled::Bytes => {}
                Filled::TimedOut => return Err(self.no_reply_in_time(name)),
                Filled::Closed => {
                    return Err(ClientError::Closed {
                        server: self.server.clone(),
                        name: excerpt(name),
                    });
                }
            }
            if let Some(reply) = self.replies.next() {
                return Ok(reply);
            }
            if since.elapsed() >= self.timeout {
                return Err(self.no_reply_in_time(name));
            }
        }
    }

    /// A server of another make may answer without the end that replies have.
    fn no_reply_in_time(&mut self, name: &str) -> ClientError {
        let awaited = match self.replies.buffer().waiting() {
            [] => format!("answer '{}'", excerpt(name)),
            begun => format!("end its reply '{}' to '{}'", excerpt(begun), excerpt(name)),
        };
        self.timed_out(awaited)
    }

    /// Reads once.
    fn fill(&mut self) -> Result<Filled, ClientError> {
        let buffer = self.replies.buffer();
        match self.stream.read(buffer.room()) {
            Ok(0) => Ok(Filled::Closed),
            Ok(bytes) => {
                buffer.received(bytes);
                Ok(Filled::Bytes)
            }
            Err(cause) if cause.kind() == ErrorKind::Interrupted => Ok(Filled::Bytes),
            Err(cause) if is_disconnect(cause.kind()) => Ok(Filled::Closed),
            Err(cause) if is_timeout(cause.kind()) => Ok(Filled::TimedOut),
            Err(cause) => Err(self.failed(cause)),
        }
    }

    pub(crate) fn no_answer(&self, no_answer: NoAnswer) -> ClientError {
        let server = self.server.clone();
        match no_answer {
            NoAnswer::TurnedAway(text) => ClientError::TurnedAway { server, text },
            NoAnswer::Rubbish(reply) => {
                ClientError::NotAReply { server, reply, protocol: R::PROTOCOL }
            }
        }
    }

    pub(crate) fn timed_out(&self, awaited: String) -> ClientError {
        ClientError::TimedOut { server: self.server.clone(), awaited, timeout: self.timeout }
    }

    fn failed(&self, cause: std::io::Error) -> ClientError {
        ClientError::Failed { server: self.server.clone(), cause }
    }
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
