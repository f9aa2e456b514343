//! One connection of the load generator: its socket, bytes to be sent, and the beginning of an incomplete reply.
//!
//! Knows neither when to send nor what is said.
//!
//! Invariant: its buffers are reused, so in the long run no request allocates.

use std::io::{self, ErrorKind, Read, Write};

use stockd_client::Stream;
use stockd_model::limits::LOAD_READ_BYTES;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::conversation::{Conversation, Misunderstanding, Turn};
use crate::figures::Figures;
use crate::opening::Opened;
use crate::workload::Workload;

/// One connection and its requests.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    conversation: Conversation,
    /// Requests on their way out; those up to `written` are gone.
    output: Vec<u8>,
    written: usize,
    /// The beginning of a reply that is not whole yet.
    tail: Vec<u8>,
    /// Whether the socket took less than it was given. An event says when it takes more.
    blocked: bool,
    /// Whether it is among those that are to be flushed.
    pub(crate) is_queued: bool,
    pub(crate) open: bool,
}

/// Bytes that are read from a connection before others have their turn, but for what the last read brings.
pub(crate) const TURN_BYTES: usize = 2 * LOAD_READ_BYTES;

/// What a turn of reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// All that there was.
    All,
    /// As much as one turn may bring. No event says that there is more.
    Enough,
    /// The end of the stream.
    End,
}

impl Connection {
    pub(crate) fn new(opened: Opened, workload: &Workload) -> io::Result<Connection> {
        let Opened { stream, received } = opened;
        Ok(Connection {
            stream,
            conversation: Conversation::new(workload)?,
            output: Vec::new(),
            written: 0,
            tail: received,
            blocked: false,
            is_queued: false,
            open: true,
        })
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Requests without a reply.
    #[inline]
    pub(crate) fn outstanding(&self) -> usize {
        self.conversation.outstanding()
    }

    /// Draws the next request, sent or due at `at`.
    #[inline]
    pub(crate) fn ask(&mut self, at: u64, workload: &Workload, chance: &mut Chance) {
        self.conversation.ask(at, workload, chance, &mut self.output);
    }

    /// Bytes that wait for room.
    pub(crate) fn unwritten(&self) -> usize {
        self.output.len() - self.written
    }

    /// Records that the socket has room again.
    pub(crate) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Sends what the socket takes.
    pub(crate) fn flush(&mut self, workload: &Workload) -> io::Result<()> {
        self.conversation.write(workload, &mut self.output)?;
        while !self.blocked && (self.written < self.output.len() || self.stream.has_unsent()) {
            let sent = match self.written < self.output.len() {
                true => self.stream.write(&self.output[self.written..]),
                false => self.stream.flush().map(|()| 0),
            };
            match sent {
                Ok(0) if self.written < self.output.len() => {
                    return Err(ErrorKind::WriteZero.into());
                }
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        } else if self.written >= LOAD_READ_BYTES {
            self.output.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }

    /// Reads what there is, or as much as one turn may bring, and counts the replies.
    ///
    /// # Errors
    ///
    /// The outer error when the socket fails, the inner when the replies cannot be understood.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut Vec<u8>,
        clock: Clock,
        workload: &Workload,
        figures: &mut Figures,
    ) -> io::Result<Result<Received, Misunderstanding>> {
        let mut received = 0;
        while received < TURN_BYTES {
            let kept = self.tail.len();
            if scratch.len() < kept + LOAD_READ_BYTES {
                scratch.resize(kept + LOAD_READ_BYTES, 0);
            }
            let room = scratch.len() - kept;
            let read = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => return Ok(Ok(Received::End)),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Ok(Received::All));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            received += read;
            let now = clock.now();
            if now >= figures.window_begin {
                figures.counts.bytes_received += read as u64;
            }
            scratch[..kept].copy_from_slice(&self.tail);
            let replies = &scratch[..kept + read];
            let mut turn = Turn { now, workload, figures, output: &mut self.output };
            let heard = match self.conversation.hear(replies, &mut turn) {
                Ok(heard) => heard,
                Err(misunderstanding) => return Ok(Err(misunderstanding)),
            };
            self.tail.clear();
            self.tail.extend_from_slice(&replies[heard..]);
            // A read that does not fill the buffer has emptied the socket, but for records of TLS.
            if read < room && !self.stream.is_encrypted() {
                return Ok(Ok(Received::All));
            }
        }
        Ok(Ok(Received::Enough))
    }

    /// Gives up the requests in flight, because the connection is lost.
    pub(crate) fn close(&mut self, now: u64, figures: &mut Figures) {
        self.open = false;
        self.give_up(now, figures);
        self.output.clear();
        self.written = 0;
    }

    /// Gives up the requests in flight.
    pub(crate) fn give_up(&mut self, now: u64, figures: &mut Figures) {
        self.conversation.give_up(now, figures);
    }
}
