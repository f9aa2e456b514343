//! The sockets of one thread: what has come for each, what is on its way, and when it says so.
//!
//! Invariants:
//!
//! - A slot is used again only when no operation of it is in flight, so a completion always belongs
//!   to the socket that it names.
//! - Bytes of a socket are read in the order they came: what was set aside, then the buffers, then
//!   the end or the error.
//! - At most one send of a socket is in flight, so its bytes leave in order.
//! - When the ring waits, the kernel has all buffers: what was not read since the last wait is set
//!   aside, and that socket does not receive until it is read. So nobody can keep buffers from
//!   others, and what one socket holds is bounded by what all buffers hold.

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::Shutdown;
use slab::Slab;

use crate::kernel::{Buffer, Completion, Kernel};
use crate::probe::apart;
use crate::slot::{Aside, End, Receiving, Slot};
use crate::{Unavailable, Waker};

/// How much of everything a ring has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Operations that are submitted at once. More are submitted in several system calls.
    pub operations: u32,
    /// Buffers for received bytes, rounded up to a power of two; at most 32,768.
    pub buffers: u16,
    /// Bytes of each.
    pub buffer_bytes: usize,
    /// Bytes that one write takes, at most.
    pub write_bytes: usize,
    /// Bytes that are written between two waits; for more, operations are submitted in between.
    pub batch_bytes: usize,
    /// Sockets that are kept in a table of the ring, and not among the files of the process; at most
    /// as many as it may have open. Further ones are files of the process.
    pub table: u32,
}

/// What a socket is taken to have received that cannot be asked, since no file can be opened: more than
/// it ever may.
const UNCOUNTED_BYTES: u64 = 8 * 1024 * 1024;

/// The sockets of one thread. It may be made in another thread than the one that uses it.
pub struct Ring {
    kernel: Kernel,
    slots: Slab<Slot>,
    /// Sockets that have received since the last wait.
    fresh: Vec<u32>,
    /// Sockets that are to receive again, unless something speaks against it by then.
    pausing: Vec<u32>,
    /// What has happened and has not been told.
    ready: Vec<Ready>,
    waker: Waker,
    woken: bool,
    /// The waker is watched.
    watching: bool,
    /// What came of a question, [once it is complete](Ring::ask).
    answer: Option<Result<Option<OwnedFd>, Errno>>,
    write_bytes: usize,
}

/// How a socket receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// One operation receives again and again: for TCP.
    Multishot,
    /// Each operation receives once, and the next wait submits another: for Unix sockets, of which a
    /// multishot operation loses an end of stream that comes with the last bytes (Linux 6.18).
    Single,
}

/// A socket of a ring, to be given back with [`Ring::close`].
#[derive(Debug)]
pub struct Socket(u32);

/// What has happened to a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The key that it was added under.
    pub key: usize,
    /// A read finds something: bytes, the end or an error.
    pub readable: bool,
    /// A write is taken, after one was not or [`Ring::is_writing`] said yes.
    pub writable: bool,
    /// The other side has closed its direction; the end is behind what it has sent.
    pub hung_up: bool,
    /// The next read or write, behind what was received, is an error.
    pub failed: bool,
}

impl Ring {
    /// A ring, and what ends its waits.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] with the first thing that the system does not give.
    pub fn open(size: &Size) -> Result<(Ring, Waker), Unavailable> {
        // The kernel interrupts the thread that made a ring when the ring is closed, and a blocking
        // call of it then fails. So that is a thread which is gone by then.
        let kernel = apart(|| Kernel::open(size))?;
        let waker = Waker::new().map_err(Unavailable::memory)?;
        let ring = Ring {
            kernel,
            slots: Slab::new(),
            fresh: Vec::new(),
            pausing: Vec::new(),
            ready: Vec::new(),
            waker: waker.clone(),
            woken: false,
            watching: false,
            answer: None,
            write_bytes: size.write_bytes,
        };
        Ok((ring, waker))
    }

    /// How many sockets it keeps without a file of the process each: [`Size::table`], or none
    /// before Linux 6.15 and where the system does not give the table.
    pub fn table(&self) -> u32 {
        self.kernel.table()
    }

    /// Takes a socket on. What happens to it is told under the key.
    pub fn add(&mut self, file: OwnedFd, key: usize, receive: Receive) -> Socket {
        let entry = self.slots.vacant_entry();
        let slot = u32::try_from(entry.key()).expect("fewer sockets than 2³²");
        let file = (!self.kernel.install(file.as_fd(), slot)).then_some(file);
        entry.insert(Slot::new(file, key, receive));
        self.receive(slot);
        Socket(slot)
    }

    /// Submits what was written and waits, this long at most, until something happens to a socket
    /// or the waker is used. Adds what happened, and tells whether the waker was used.
    ///
    /// # Panics
    ///
    /// When another thread has waited before.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> bool {
        self.set_unread_aside();
        self.receive_again();
        if !mem::replace(&mut self.watching, true) {
            self.kernel.watch(self.waker.as_fd());
        }
        // What was written leaves with this call, which also takes what has come meanwhile. Only
        // when that is nothing there is anything to wait for, in a second call.
        self.kernel.wait(Some(Duration::ZERO));
        self.take_completions();
        if self.ready.is_empty() && !self.woken && timeout != Some(Duration::ZERO) {
            self.receive_again();
            self.kernel.wait(timeout);
            self.take_completions();
        }
        ready.append(&mut self.ready);
        mem::take(&mut self.woken)
    }

    /// Reads what has come. A read that fills less than its input has found everything.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing is there; otherwise that of the socket.
    pub fn read(&mut self, socket: &Socket, input: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.read_received(socket.0, input);
        let slot = &self.slots[socket.0 as usize];
        if bytes == 0 && slot.draining && slot.end.is_none() {
            self.look(socket.0);
            bytes = self.read_received(socket.0, input);
        }
        if bytes > 0 || input.is_empty() {
            return Ok(bytes);
        }
        let slot = &self.slots[socket.0 as usize];
        match slot.end {
            Some(End::OfStream) => Ok(0),
            Some(End::Error(errno)) => Err(errno.into()),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes up to [`Size::write_bytes`]. They leave with the next wait; until they have, nothing
    /// more is taken.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when earlier bytes are on their way; otherwise that of the socket.
    pub fn write(&mut self, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
        let wanted = bytes.len().min(self.write_bytes);
        if self.kernel.batch_room() < wanted {
            self.kernel.submit();
            self.take_completions();
        }
        let slot = &mut self.slots[socket.0 as usize];
        if let Some(End::Error(errno)) = slot.end {
            return Err(errno.into());
        }
        let taken = match slot.writing {
            true => 0,
            false => self.kernel.send(slot.place(socket.0), socket.0, &bytes[..wanted]),
        };
        if taken == 0 && wanted > 0 {
            slot.tell_writable = slot.writing;
            if !slot.writing {
                // The batch of all sockets is full. The next wait sends it.
                let key = slot.key;
                self.ready.push(Ready { key, writable: true, ..Ready::default() });
            }
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if taken > 0 {
            slot.writing = true;
            slot.operations += 1;
        }
        Ok(taken)
    }

    /// Whether written bytes are on their way to the kernel. If so it is told when they are there.
    pub fn is_writing(&mut self, socket: &Socket) -> bool {
        let slot = &mut self.slots[socket.0 as usize];
        slot.tell_writable |= slot.writing;
        slot.writing
    }

    /// Closes the direction to the other side. What is [on its way](Ring::is_writing) is lost.
    ///
    /// # Errors
    ///
    /// That of the socket, or that of opening a file of the process for it.
    pub fn end(&mut self, socket: &Socket) -> io::Result<()> {
        // Not by an operation, which the kernel would give to a thread, to be looked through by each
        // cancellation meanwhile.
        let end = |file: BorrowedFd<'_>| rustix::net::shutdown(file, Shutdown::Write);
        Ok(self.with_file(socket.0, end)?)
    }

    /// From now on reads find all that the kernel has, without a wait in between. Returns how many
    /// bytes have come and have not been read.
    pub fn drain(&mut self, socket: &Socket) -> u64 {
        self.settle();
        let unhanded = self.with_file(socket.0, |file| rustix::io::ioctl_fionread(file));
        let slot = &mut self.slots[socket.0 as usize];
        slot.draining = true;
        slot.unread() as u64 + unhanded.unwrap_or(UNCOUNTED_BYTES)
    }

    /// Does with the file of a socket what only a file of the process can be asked for. One in the
    /// table is opened for the moment.
    fn with_file<T>(
        &mut self,
        index: u32,
        act: impl FnOnce(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let slot = &mut self.slots[index as usize];
        if let Some(file) = &slot.file {
            return act(file.as_fd());
        }
        slot.operations += 1;
        self.kernel.open_again(index);
        match self.ask()? {
            Some(file) => act(file.as_fd()),
            None => Err(Errno::BADF),
        }
    }

    /// Closes a socket. Nothing more is told of it. What was written and fits into the socket is
    /// still sent.
    #[expect(clippy::needless_pass_by_value, reason = "the socket is given up")]
    pub fn close(&mut self, socket: Socket) {
        let index = socket.0;
        let slot = &mut self.slots[index as usize];
        slot.closed = true;
        self.ready.retain(|ready| ready.key != slot.key);
        slot.aside = Aside::default();
        for buffer in slot.buffers.drain(..) {
            self.kernel.give_back(buffer);
        }
        // By their names, since the kernel would look through the operations of all sockets for those
        // of one.
        if slot.receiving == Receiving::On {
            self.kernel.cancel_receive(index);
            slot.operations += 1;
        }
        if let Some(late) = slot.late {
            self.kernel.cancel_late(late, index);
            slot.operations += 1;
        }
        if slot.file.is_none() {
            self.kernel.close(index);
            slot.operations += 1;
        }
        self.free_if_done(index);
    }

    /// Copies what was set aside and what is in buffers.
    fn read_received(&mut self, index: u32, input: &mut [u8]) -> usize {
        let slot = &mut self.slots[index as usize];
        let mut filled = 0;
        if slot.aside.len() > 0 {
            filled = slot.aside.read(input);
            if slot.aside.len() == 0 {
                self.pausing.push(index);
            }
        }
        while filled < input.len()
            && let Some(buffer) = slot.buffers.front_mut()
        {
            let bytes = self.kernel.bytes(buffer);
            let taken = bytes.len().min(input.len() - filled);
            input[filled..filled + taken].copy_from_slice(&bytes[..taken]);
            filled += taken;
            buffer.consume(taken);
            if buffer.len() == 0
                && let Some(buffer) = slot.buffers.pop_front()
            {
                self.kernel.give_back(buffer);
            }
        }
        filled
    }

    /// Receives what the kernel has and has not handed over. It hands over only within waits and
    /// submissions, so that is behind everything that it has.
    fn look(&mut self, index: u32) {
        self.settle();
        while self.slots[index as usize].unread() == 0 {
            self.set_unread_aside();
            let slot = &mut self.slots[index as usize];
            slot.operations += 1;
            self.kernel.look(slot.place(index), index);
            // Others may have come first and taken all buffers.
            if !matches!(self.ask(), Err(Errno::NOBUFS)) {
                break;
            }
        }
    }

    /// Submits an operation that does not wait, and returns what came of it: the file, of one that
    /// opens a file.
    fn ask(&mut self) -> Result<Option<OwnedFd>, Errno> {
        loop {
            self.kernel.submit();
            self.settle();
            if let Some(answer) = self.answer.take() {
                return answer;
            }
        }
    }

    /// Takes all completions that were made, also those for which there was no room.
    fn settle(&mut self) {
        self.take_completions();
        while self.kernel.has_overflown() {
            self.kernel.wait(Some(Duration::ZERO));
            self.take_completions();
        }
    }

    /// What was not read since the last wait makes room for others.
    fn set_unread_aside(&mut self) {
        for index in self.fresh.drain(..) {
            let Some(slot) = self.slots.get_mut(index as usize) else {
                continue;
            };
            if slot.buffers.is_empty() {
                continue;
            }
            for buffer in slot.buffers.drain(..) {
                slot.aside.add(self.kernel.bytes(&buffer));
                self.kernel.give_back(buffer);
            }
            if slot.receiving == Receiving::On {
                slot.receiving = Receiving::Ending;
                self.kernel.cancel_receive(index);
                slot.operations += 1;
            }
        }
    }

    fn receive_again(&mut self) {
        while let Some(index) = self.pausing.pop() {
            let slot = self.slots.get(index as usize);
            let may_receive = |slot: &Slot| {
                let unread = slot.aside.len() > 0 || slot.end.is_some();
                slot.receiving == Receiving::Off && !unread && !slot.closed
            };
            if slot.is_some_and(may_receive) {
                self.receive(index);
            }
        }
    }

    fn receive(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.receiving = Receiving::On;
        slot.operations += 1;
        self.kernel.receive(slot.place(index), index, slot.receive);
    }

    fn take_completions(&mut self) {
        while let Some(completion) = self.kernel.next() {
            match completion {
                Completion::Received(index, outcome, goes_on) => {
                    self.received(index, outcome, goes_on);
                }
                Completion::Sent(index, outcome) => self.sent(index, outcome),
                Completion::Looked(index, outcome) => {
                    self.slots[index as usize].operations -= 1;
                    self.answer = Some(outcome.as_ref().map(|_| None).map_err(errno));
                    self.arrived(index, outcome);
                }
                Completion::Opened(index, outcome) => {
                    self.slots[index as usize].operations -= 1;
                    self.answer = Some(outcome.map(Some).map_err(|error| errno(&error)));
                }
                Completion::Done(index) => {
                    self.slots[index as usize].operations -= 1;
                    self.free_if_done(index);
                }
                Completion::Readable(goes_on) => {
                    self.woken = true;
                    self.watching = goes_on;
                }
            }
        }
    }

    /// A receive that goes on by itself has brought something.
    fn received(&mut self, index: u32, outcome: io::Result<Option<Buffer>>, goes_on: bool) {
        let slot = &mut self.slots[index as usize];
        if !goes_on {
            slot.operations -= 1;
            slot.receiving = Receiving::Off;
            // Whether it may is decided when the ring waits.
            self.pausing.push(index);
        }
        self.arrived(index, outcome);
    }

    /// Something has come from a socket.
    fn arrived(&mut self, index: u32, outcome: io::Result<Option<Buffer>>) {
        let slot = &mut self.slots[index as usize];
        if slot.closed {
            if let Ok(Some(buffer)) = outcome {
                self.kernel.give_back(buffer);
            }
            return self.free_if_done(index);
        }
        let mut ready = Ready { key: slot.key, readable: true, ..Ready::default() };
        match outcome {
            Ok(Some(buffer)) => {
                if slot.buffers.is_empty() {
                    self.fresh.push(index);
                }
                slot.buffers.push_back(buffer);
            }
            Ok(None) => {
                slot.end = Some(End::OfStream);
                ready.hung_up = true;
            }
            Err(error) => match errno(&error) {
                // No buffer was left, or it was told to end. It goes on at the next wait.
                Errno::NOBUFS | Errno::CANCELED | Errno::INTR | Errno::AGAIN => return,
                errno => {
                    slot.end = Some(End::Error(errno));
                    ready.failed = true;
                }
            },
        }
        self.ready.push(ready);
    }

    fn sent(&mut self, index: u32, outcome: io::Result<Vec<u8>>) {
        let slot = &mut self.slots[index as usize];
        slot.operations -= 1;
        slot.late = None;
        if slot.closed {
            return self.free_if_done(index);
        }
        let mut ready = Ready { key: slot.key, writable: true, ..Ready::default() };
        match outcome {
            Ok(rest) if !rest.is_empty() => {
                slot.operations += 1;
                slot.late = Some(self.kernel.send_late(slot.place(index), index, rest));
                return;
            }
            Ok(_) => {}
            Err(error) => {
                slot.end = Some(End::Error(errno(&error)));
                ready.failed = true;
            }
        }
        slot.writing = false;
        if mem::take(&mut slot.tell_writable) || ready.failed {
            self.ready.push(ready);
        }
        slot.check_invariants();
    }

    fn free_if_done(&mut self, index: u32) {
        let slot = &self.slots[index as usize];
        slot.check_invariants();
        if slot.closed && slot.operations == 0 {
            self.slots.remove(index as usize);
        }
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("sockets", &self.slots.len()).finish_non_exhaustive()
    }
}
