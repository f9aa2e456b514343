//! One connection of the load generator: bytes to be sent, the beginning of an incomplete reply,
//! and the requests in flight.
//!
//! Knows neither when to send nor what a name is.
//!
//! Invariant: its buffers are reused, so in the long run no request allocates.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use stockd_client::Stream;
use stockd_model::limits::LOAD_READ_BYTES;

use crate::clock::Clock;
use crate::codec::{Foreign, Item};
use crate::figures::{Figures, Kind};
use crate::ledger::Ledger;
use crate::workload::Workload;

/// One connection and its requests.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    pub(crate) ledger: Ledger,
    /// The names looked up, in order, where replies are compared.
    pub(crate) asked: VecDeque<u32>,
    /// Requests on their way out; those up to `written` are gone.
    pub(crate) output: Vec<u8>,
    written: usize,
    /// The beginning of a reply that is not whole yet.
    tail: Vec<u8>,
    /// Items that are still missing in the reply to one request.
    parts_left: usize,
    /// Whether the socket took less than it was given. An event says when it takes more.
    blocked: bool,
    pub(crate) open: bool,
}

/// Why replies cannot be understood.
#[derive(Debug)]
pub(crate) enum Misunderstanding {
    /// Not of this protocol.
    Foreign(Foreign),
    /// Not asked for.
    Unasked(String),
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Connection {
        Connection {
            stream,
            ledger: Ledger::default(),
            asked: VecDeque::new(),
            output: Vec::new(),
            written: 0,
            tail: Vec::new(),
            parts_left: 0,
            blocked: false,
            open: true,
        }
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
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
    pub(crate) fn flush(&mut self) -> io::Result<()> {
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

    /// Reads what there is and counts the replies. `false` at the end of the stream.
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
    ) -> io::Result<Result<bool, Misunderstanding>> {
        loop {
            let kept = self.tail.len();
            if scratch.len() < kept + LOAD_READ_BYTES {
                scratch.resize(kept + LOAD_READ_BYTES, 0);
            }
            let room = scratch.len() - kept;
            let read = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => return Ok(Ok(false)),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Ok(true)),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let now = clock.now();
            if now >= figures.window_begin {
                figures.counts.bytes_received += read as u64;
            }
            scratch[..kept].copy_from_slice(&self.tail);
            let replies = &scratch[..kept + read];
            let decoded = match self.count(replies, now, workload, figures) {
                Ok(decoded) => decoded,
                Err(misunderstanding) => return Ok(Err(misunderstanding)),
            };
            self.ledger.settle(now, figures);
            self.tail.clear();
            self.tail.extend_from_slice(&replies[decoded..]);
            // A read that does not fill the buffer has emptied the socket, but for records of TLS.
            if read < room && !self.stream.is_encrypted() {
                return Ok(Ok(true));
            }
        }
    }

    /// Counts the whole replies among these bytes and says where they end.
    #[inline]
    fn count(
        &mut self,
        bytes: &[u8],
        now: u64,
        workload: &Workload,
        figures: &mut Figures,
    ) -> Result<usize, Misunderstanding> {
        let mut at = 0;
        while let Some((item, length)) =
            workload.protocol().decode(&bytes[at..]).map_err(Misunderstanding::Foreign)?
        {
            self.item(item, now, workload, figures)?;
            at += length;
        }
        Ok(at)
    }

    #[inline]
    fn item(
        &mut self,
        item: Item<'_>,
        now: u64,
        workload: &Workload,
        figures: &mut Figures,
    ) -> Result<(), Misunderstanding> {
        let Some((kind, since)) = self.ledger.next() else {
            // A server that is full says so before it is asked.
            if let Item::Error(why) = item {
                figures.refused(why);
                return Ok(());
            }
            return Err(Misunderstanding::Unasked(item.to_string()));
        };
        let counts = since >= figures.window_begin;
        match (kind, item, workload.parts()) {
            (_, Item::Error(why), _) => {
                figures.refused(why);
                if kind == Kind::Lookup && workload.verifies() {
                    let names = workload.parts().unwrap_or(1).min(self.asked.len());
                    self.asked.drain(..names);
                }
                self.parts_left = 0;
                self.ledger.answer(now, figures);
            }
            (Kind::Lookup, Item::Array(parts), Some(expected))
                if parts == expected && self.parts_left == 0 =>
            {
                self.parts_left = parts;
            }
            (Kind::Lookup, Item::Value(_) | Item::Missing, parts)
                if parts.is_none() || self.parts_left > 0 =>
            {
                if let Some(name) = self.asked.pop_front() {
                    workload.verify(name, item, figures);
                }
                if counts {
                    match item {
                        Item::Missing => figures.counts.misses += 1,
                        _ => figures.counts.hits += 1,
                    }
                }
                self.parts_left = self.parts_left.saturating_sub(1);
                if self.parts_left == 0 {
                    self.ledger.answer(now, figures);
                }
            }
            (Kind::Update, Item::Done, _) => self.ledger.answer(now, figures),
            _ => return Err(Misunderstanding::Unasked(item.to_string())),
        }
        Ok(())
    }

    /// Gives up the requests in flight, because the connection is lost.
    pub(crate) fn close(&mut self, now: u64, figures: &mut Figures) {
        self.open = false;
        self.ledger.give_up(now, figures);
        self.asked.clear();
        self.output.clear();
        self.written = 0;
    }
}
