//! Operations handed to the kernel, and the memory that it may touch until they are complete.
//!
//! This is the one file of the crate with `unsafe` in it. It knows nothing of what sockets are used
//! for; [`Ring`](crate::Ring) decides which operations are made. Whatever that asks for, in any
//! order, is sound:
//!
//! - Bytes to be sent are copied here and stay until the operation that sends them is complete.
//! - A buffer for received bytes is the kernel's, or it is named by one [`Buffer`], which cannot be
//!   copied and is given up to give the buffer back.
//! - When the kernel cannot be made to complete its operations, the memory is leaked.
//!
//! Invariant: `in_flight` operations are made and not complete. While that is not 0, no memory that
//! they name is freed, moved or used again.

use std::io;
use std::mem::{self, ManuallyDrop};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use io_uring::types::{BufRingEntry, CancelBuilder, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use memmap2::MmapMut;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use slab::Slab;

use crate::batch::Batch;
use crate::tag::{Kind, Tag};
use crate::{Receive, Size, Unavailable};

/// The one group of provided buffers.
const GROUP: u16 = 0;

/// Sends to a socket that is gone are errors, not signals.
const SEND: SendFlags = SendFlags::NOSIGNAL;

/// Threads of the kernel that do for one worker what may block.
const IOWQ_WORKERS_MAX: u32 = 1;

/// How often a ring that is dropped waits for its operations to end, for [`DROP_WAIT`] each.
const DROP_WAITS: usize = 50;
const DROP_WAIT: Duration = Duration::from_millis(10);

/// A submission and a completion queue shared with the kernel.
pub(crate) struct Kernel {
    uring: IoUring,
    /// Operations may be submitted. From then on only by the thread that started it.
    started: bool,
    in_flight: usize,
    /// Places in the table of files.
    table: u32,
    /// Dropped only when the kernel does not use it any more.
    memory: ManuallyDrop<Memory>,
}

/// What the kernel reads from and writes to.
struct Memory {
    buffers: Buffers,
    batch: Batch,
    /// Bytes of sends that wait for room in their sockets.
    late: Slab<Vec<u8>>,
}

/// The buffers that the kernel puts received bytes into, and the queue through which it gets them.
struct Buffers {
    /// `count` entries, a power of two. The tail of the queue lies in the first.
    queue: MmapMut,
    bytes: MmapMut,
    count: u16,
    buffer_bytes: usize,
    tail: u16,
}

/// Where the file of an operation is.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// In the table of the ring, where it costs the process none of the files that it may have open.
    Table(u32),
    /// Among those of the process.
    Process(BorrowedFd<'a>),
}

/// A buffer with received bytes.
#[derive(Debug)]
pub(crate) struct Buffer {
    id: u16,
    start: usize,
    end: usize,
}

/// What became of an operation.
#[derive(Debug)]
pub(crate) enum Completion {
    /// Bytes have come, or (`None`) the end of the stream. Whether receiving goes on.
    Received(u32, io::Result<Option<Buffer>>, bool),
    /// The same, once.
    Looked(u32, io::Result<Option<Buffer>>),
    /// A file of the table is open in the process, too.
    Opened(u32, io::Result<OwnedFd>),
    /// A send is over. What is left of it comes back, where there was no room or not for all.
    Sent(u32, io::Result<Vec<u8>>),
    /// Another operation is over.
    Done(u32),
    /// The file that is [watched](Kernel::watch) is readable. Whether watching goes on.
    Readable(bool),
}

impl Kernel {
    /// Makes the queues and the buffers. Nothing is done before the first
    /// submission, so that may be in another thread.
    pub(crate) fn open(size: &Size) -> Result<Kernel, Unavailable> {
        let uring = IoUring::builder()
            // One thread submits, and completions are made only while that thread waits for them.
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            // An operation that is refused does not hold up those behind it.
            .setup_submit_all()
            .setup_r_disabled()
            .setup_cqsize(size.operations.saturating_mul(4))
            .setup_clamp()
            .build(size.operations)
            .map_err(Unavailable::setup)?;
        let mut buffers = Buffers::new(size).map_err(Unavailable::memory)?;
        // SAFETY: the address is that of `count` entries, aligned to a page, which live in `Memory`
        // for as long as any operation is in flight.
        unsafe {
            uring.submitter().register_buf_ring_with_flags(
                buffers.queue.as_mut_ptr() as u64,
                buffers.count,
                GROUP,
                0,
            )
        }
        .map_err(Unavailable::register)?;
        // Ends of streams are rare, and all that has to be done by a thread of the kernel.
        uring
            .submitter()
            .register_iowq_max_workers(&mut [IOWQ_WORKERS_MAX; 2])
            .map_err(Unavailable::register)?;
        // In older kernels a file that leaves the table is not closed while any operation that began
        // before goes on, which receiving does. The rule was lifted by 6.13; this tells 6.15.
        let keeps_files = uring.params().is_feature_no_iowait();
        let table = match keeps_files && size.table > 0 {
            true if uring.submitter().register_files_sparse(size.table).is_ok() => size.table,
            _ => 0,
        };
        for id in 0..buffers.count {
            buffers.give(id);
        }
        let batch = Batch::new(size.batch_bytes);
        Ok(Kernel {
            uring,
            started: false,
            in_flight: 0,
            table,
            memory: ManuallyDrop::new(Memory { buffers, batch, late: Slab::new() }),
        })
    }

    /// Places in the table of files, 0 if there is none.
    pub(crate) fn table(&self) -> u32 {
        self.table
    }

    /// Puts a file into the table. It stays open there when it is closed elsewhere.
    pub(crate) fn install(&mut self, file: BorrowedFd<'_>, slot: u32) -> bool {
        let install = |fd| self.uring.submitter().register_files_update(slot, &[fd]);
        slot < self.table && install(file.as_raw_fd()).is_ok()
    }

    /// Closes a file of the table, behind the operations that were made before.
    pub(crate) fn close(&mut self, slot: u32) {
        let entry = opcode::Close::new(Fixed(slot)).build();
        self.push(entry, Tag::new(Kind::Plain, 0, slot));
    }

    /// Receives on a socket: again and again, until told otherwise, or once into one buffer.
    pub(crate) fn receive(&mut self, place: Place<'_>, slot: u32, receive: Receive) {
        let entry = match receive {
            Receive::Multishot => opcode::RecvMulti::new(place.fd(), GROUP).build(),
            Receive::Single => receive_once(place, RecvFlags::empty()),
        };
        self.push_at(place, entry, Tag::new(Kind::Receive, 0, slot));
    }

    /// Receives what a socket has now, as much as one buffer holds. Complete once it is submitted.
    pub(crate) fn look(&mut self, place: Place<'_>, slot: u32) {
        self.memory.buffers.publish();
        let entry = receive_once(place, RecvFlags::DONTWAIT);
        self.push_at(place, entry, Tag::new(Kind::Look, 0, slot));
    }

    /// Opens a file of the table among those of the process, too. Complete once it is submitted.
    pub(crate) fn open_again(&mut self, slot: u32) {
        let entry = opcode::FixedFdInstall::new(Fixed(slot), 0).build();
        self.push(entry, Tag::new(Kind::OpenAgain, 0, slot));
    }

    /// Sends as many of the bytes as there is room for in the batch, and tells how many that are.
    /// The send does not wait for room in its socket.
    pub(crate) fn send(&mut self, place: Place<'_>, slot: u32, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.batch_room());
        if taken > 0 {
            let (start, index) = self.memory.batch.put(&bytes[..taken]);
            let flags = SEND | SendFlags::DONTWAIT;
            self.push_send(place, Tag::new(Kind::Send, index, slot), start, taken, flags);
        }
        taken
    }

    /// Sends as soon as the socket has room. Returns under which index that can be
    /// [cancelled](Kernel::cancel_late).
    pub(crate) fn send_late(&mut self, place: Place<'_>, slot: u32, bytes: Vec<u8>) -> usize {
        let (start, len) = (bytes.as_ptr(), bytes.len());
        let index = self.memory.late.insert(bytes);
        self.push_send(place, Tag::new(Kind::LateSend, index, slot), start, len, SEND);
        index
    }

    /// Bytes that [`send`](Kernel::send) takes.
    pub(crate) fn batch_room(&self) -> usize {
        self.memory.batch.room()
    }

    /// Ends the receiving on a socket.
    pub(crate) fn cancel_receive(&mut self, slot: u32) {
        let entry = opcode::AsyncCancel::new(Tag::new(Kind::Receive, 0, slot).0).build();
        self.push(entry, Tag::new(Kind::Plain, 0, slot));
    }

    /// Ends a send that waits for room.
    pub(crate) fn cancel_late(&mut self, index: usize, slot: u32) {
        let entry = opcode::AsyncCancel::new(Tag::new(Kind::LateSend, index, slot).0).build();
        self.push(entry, Tag::new(Kind::Plain, 0, slot));
    }

    /// Tells again and again when a file becomes readable.
    pub(crate) fn watch(&mut self, file: BorrowedFd<'_>) {
        let events = u32::from(PollFlags::IN.bits());
        let entry = opcode::PollAdd::new(Fd(file.as_raw_fd()), events).multi(true).build();
        self.push(entry, Tag::new(Kind::Watch, 0, 0));
    }

    /// Submits all operations. What the kernel has to do for earlier ones waits.
    ///
    /// # Panics
    ///
    /// When the kernel refuses, as it does in another thread than the first.
    pub(crate) fn submit(&mut self) {
        self.start();
        let operations = self.uring.submission().len() as u32;
        // SAFETY: it submits what is in the queue, and hands over no argument.
        let entered = unsafe { self.uring.submitter().enter::<()>(operations, 0, 0, None) };
        if let Err(errno) = entered.map(drop).or_else(passes) {
            panic!("cannot enter the ring: {errno}");
        }
    }

    /// Submits all operations and waits, this long at most, until one is complete.
    ///
    /// # Panics
    ///
    /// When the kernel refuses, as it does in another thread than the first.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) {
        if let Err(errno) = self.try_wait(timeout) {
            panic!("cannot enter the ring: {errno}");
        }
    }

    fn try_wait(&mut self, timeout: Option<Duration>) -> Result<(), Errno> {
        self.start();
        self.memory.buffers.publish();
        let entered = match timeout {
            Some(Duration::ZERO) => {
                let queue = self.uring.submission();
                if queue.is_empty() && !queue.taskrun() && !queue.cq_overflow() {
                    return Ok(());
                }
                drop(queue);
                self.uring.submit()
            }
            Some(timeout) => {
                let timeout = Timespec::from(timeout);
                let arguments = SubmitArgs::new().timespec(&timeout);
                self.uring.submitter().submit_with_args(1, &arguments)
            }
            None => self.uring.submit_and_wait(1),
        };
        entered.map(drop).or_else(passes)
    }

    fn start(&mut self) {
        if !self.started {
            // It fails only for a ring that was started before.
            self.started = self.uring.submitter().register_enable_rings().is_ok();
        }
    }

    /// Whether the kernel keeps completions for which there was no room in their queue.
    pub(crate) fn has_overflown(&mut self) -> bool {
        self.uring.submission().cq_overflow()
    }

    /// The next completion that is there.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Completion> {
        let entry = self.uring.completion().next()?;
        let goes_on = cqueue::more(entry.flags());
        if !goes_on {
            self.in_flight -= 1;
        }
        let outcome = match usize::try_from(entry.result()) {
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(io::Error::from_raw_os_error(-entry.result())),
        };
        let tag = Tag(entry.user_data());
        Some(match tag.kind() {
            Kind::Receive | Kind::Look => {
                let bytes = *outcome.as_ref().unwrap_or(&0);
                let buffer = self.memory.buffers.take(entry.flags(), bytes);
                let outcome = outcome.map(|_| buffer);
                match tag.kind() {
                    Kind::Receive => Completion::Received(tag.slot(), outcome, goes_on),
                    _ => Completion::Looked(tag.slot(), outcome),
                }
            }
            Kind::OpenAgain => {
                // SAFETY: this operation has opened the file, and only its completion tells of it.
                let owned = |_| unsafe { OwnedFd::from_raw_fd(entry.result()) };
                Completion::Opened(tag.slot(), outcome.map(owned))
            }
            Kind::Send => {
                let rest = self.memory.batch.sent(tag.index(), &outcome);
                Completion::Sent(tag.slot(), unless_full(outcome).map(|_| rest))
            }
            Kind::LateSend => {
                let mut rest = self.memory.late.remove(tag.index());
                let sent = unless_full(outcome).map(|sent| {
                    rest.drain(..sent);
                    rest
                });
                Completion::Sent(tag.slot(), sent)
            }
            Kind::Plain => Completion::Done(tag.slot()),
            Kind::Watch => Completion::Readable(goes_on),
        })
    }

    /// The bytes of a buffer that have not been [consumed](Buffer::consume).
    #[inline]
    pub(crate) fn bytes(&self, buffer: &Buffer) -> &[u8] {
        let buffers = &self.memory.buffers;
        let first = usize::from(buffer.id) * buffers.buffer_bytes;
        assert!(buffer.end <= buffers.buffer_bytes && first < buffers.bytes.len());
        // SAFETY: within the memory, as asserted, and the kernel does not write to the buffer while
        // there is a `Buffer` of it.
        unsafe {
            let first = buffers.bytes.as_ptr().add(first);
            std::slice::from_raw_parts(first.add(buffer.start), buffer.end - buffer.start)
        }
    }

    /// Gives a buffer back to the kernel.
    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "the buffer is given up")]
    pub(crate) fn give_back(&mut self, buffer: Buffer) {
        self.memory.buffers.give(buffer.id);
    }

    fn push_send(
        &mut self,
        place: Place<'_>,
        tag: Tag,
        start: *const u8,
        len: usize,
        flags: SendFlags,
    ) {
        let len = u32::try_from(len).expect("a part of a batch is short");
        let entry = opcode::Send::new(place.fd(), start, len);
        self.push_at(place, entry.flags(flags.bits().cast_signed()).build(), tag);
    }

    fn push_at(&mut self, place: Place<'_>, entry: squeue::Entry, tag: Tag) {
        let flags = match place {
            Place::Table(_) => squeue::Flags::FIXED_FILE,
            Place::Process(_) => squeue::Flags::empty(),
        };
        self.push(entry.flags(flags), tag);
    }

    fn push(&mut self, entry: squeue::Entry, tag: Tag) {
        let entry = entry.user_data(tag.0);
        self.in_flight += 1;
        // SAFETY: whatever memory the entry names is in `Memory`, where it stays as it is until the
        // completion with this tag has come.
        while unsafe { self.uring.submission().push(&entry) }.is_err() {
            self.submit();
        }
    }
}

impl Drop for Kernel {
    /// Ends all operations. The kernel does that too when the queues are closed, but not at once.
    fn drop(&mut self) {
        if self.started && self.in_flight > 0 {
            let everything = opcode::AsyncCancel2::new(CancelBuilder::any().all()).build();
            let _ = self.try_wait(Some(Duration::ZERO));
            // SAFETY: the entry names no memory.
            if unsafe { self.uring.submission().push(&everything) }.is_ok() {
                self.in_flight += 1;
            }
            for _ in 0..DROP_WAITS {
                while self.next().is_some() {}
                if self.in_flight == 0 || self.try_wait(Some(DROP_WAIT)).is_err() {
                    break;
                }
            }
        }
        if self.table > 0 {
            // What is left in the table is closed now, and not when the kernel gets round to it.
            let _ = self.uring.submitter().unregister_files();
        }
        if !self.started || self.in_flight == 0 {
            // SAFETY: this is the only place where it is dropped, and nothing uses it after this.
            // The kernel has not been told of any operation that names it, or all are complete.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}

impl Place<'_> {
    /// The number that names the file there.
    fn fd(self) -> Fd {
        match self {
            Place::Table(index) => Fd(index.cast_signed()),
            Place::Process(file) => Fd(file.as_raw_fd()),
        }
    }
}

impl Buffers {
    fn new(size: &Size) -> io::Result<Buffers> {
        let count = size.buffers.next_power_of_two();
        let buffer_bytes = size.buffer_bytes.max(1);
        Ok(Buffers {
            queue: MmapMut::map_anon(usize::from(count) * mem::size_of::<BufRingEntry>())?,
            bytes: MmapMut::map_anon(usize::from(count) * buffer_bytes)?,
            count,
            buffer_bytes,
            tail: 0,
        })
    }

    /// Puts a buffer into the queue. The kernel finds it there once it is published.
    #[inline]
    fn give(&mut self, id: u16) {
        let first = usize::from(id) * self.buffer_bytes;
        let address = &raw const self.bytes[first];
        let place = usize::from(self.tail & (self.count - 1));
        // SAFETY: the queue has `count` entries, which are plain numbers and aligned, since it
        // begins at a page. The kernel reads this one only after the tail has passed it.
        let entry = unsafe { &mut *self.queue.as_mut_ptr().cast::<BufRingEntry>().add(place) };
        entry.set_addr(address as u64);
        entry.set_len(u32::try_from(self.buffer_bytes).unwrap_or(u32::MAX));
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    #[inline]
    fn publish(&mut self) {
        // SAFETY: the first entry is there, as zeros at least, and the tail in it is an aligned
        // u16 that the kernel reads atomically and `give` does not touch.
        let tail = unsafe {
            let tail = BufRingEntry::tail(self.queue.as_ptr().cast());
            AtomicU16::from_ptr(tail.cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }

    /// The buffer that a completion names. One without bytes goes back at once.
    #[inline]
    fn take(&mut self, flags: u32, bytes: usize) -> Option<Buffer> {
        let id = cqueue::buffer_select(flags)?;
        if bytes == 0 {
            self.give(id);
            return None;
        }
        Some(Buffer { id, start: 0, end: bytes })
    }
}

impl Buffer {
    /// Bytes that have not been consumed.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// So many bytes have been used.
    #[inline]
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + bytes);
    }
}

/// Without an address of its own a receive takes a provided buffer, and all of that.
fn receive_once(place: Place<'_>, flags: RecvFlags) -> squeue::Entry {
    opcode::Recv::new(place.fd(), ptr::null_mut(), 0)
        .buf_group(GROUP)
        .flags(flags.bits().cast_signed())
        .build()
        .flags(squeue::Flags::BUFFER_SELECT)
}

/// Errors of entering the ring that are none, or pass by themselves.
#[expect(clippy::needless_pass_by_value, reason = "as errors are mapped")]
fn passes(error: io::Error) -> Result<(), Errno> {
    match Errno::from_io_error(&error).unwrap_or(Errno::IO) {
        Errno::TIME | Errno::INTR => Ok(()),
        // No memory just now, or completions to be looked at first. What was not submitted waits in
        // the queue.
        Errno::AGAIN | Errno::BUSY => {
            thread::yield_now();
            Ok(())
        }
        errno => Err(errno),
    }
}

/// A socket without room has taken nothing, which is no failure.
fn unless_full(outcome: io::Result<usize>) -> io::Result<usize> {
    match outcome {
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::AGAIN | Errno::INTR)) => {
            Ok(0)
        }
        outcome => outcome,
    }
}
