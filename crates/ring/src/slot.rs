//! One socket of a ring: where its file is, what it has received, and what is on its way.
//!
//! It makes no operations, it counts them, and knows no other socket. Its invariants are in
//! [`Slot::check_invariants`]: no operation is forgotten, and one that is closed holds no bytes.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use crate::Receive;
use crate::kernel::{Buffer, Place};

#[derive(Debug)]
pub(crate) struct Slot {
    /// Its file, unless that is in the table of the ring, at the index of the slot.
    pub(crate) file: Option<OwnedFd>,
    pub(crate) key: usize,
    /// Operations in flight.
    pub(crate) operations: u32,
    pub(crate) receive: Receive,
    pub(crate) receiving: Receiving,
    /// Received and not read, oldest first.
    pub(crate) buffers: VecDeque<Buffer>,
    /// Received before that, and set aside.
    pub(crate) aside: Aside,
    /// What is behind all that.
    pub(crate) end: Option<End>,
    /// A send is in flight.
    pub(crate) writing: bool,
    /// It waits for room, under this index.
    pub(crate) late: Option<usize>,
    /// Somebody waits for it.
    pub(crate) tell_writable: bool,
    /// Reads also look for what the kernel has and has not handed over.
    pub(crate) draining: bool,
    pub(crate) closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    Off,
    On,
    Ending,
}

/// Bytes that were moved out of the buffers. Holds no memory while it is empty.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    bytes: Vec<u8>,
    read: usize,
}

/// What is behind the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    OfStream,
    Error(Errno),
}

impl Slot {
    pub(crate) fn new(file: Option<OwnedFd>, key: usize, receive: Receive) -> Slot {
        Slot {
            file,
            key,
            operations: 0,
            receive,
            receiving: Receiving::Off,
            buffers: VecDeque::new(),
            aside: Aside::default(),
            end: None,
            writing: false,
            late: None,
            tell_writable: false,
            draining: false,
            closed: false,
        }
    }

    /// Where its file is, if this is the index of the slot.
    #[inline]
    pub(crate) fn place(&self, index: u32) -> Place<'_> {
        self.file.as_ref().map_or(Place::Table(index), |file| Place::Process(file.as_fd()))
    }

    /// Bytes that have come and have not been read.
    pub(crate) fn unread(&self) -> usize {
        let buffered: usize = self.buffers.iter().map(Buffer::len).sum();
        self.aside.len() + buffered
    }

    pub(crate) fn check_invariants(&self) {
        let receiving = u32::from(self.receiving != Receiving::Off);
        debug_assert!(self.closed || self.operations >= receiving + u32::from(self.writing));
        debug_assert!(!self.closed || self.unread() == 0);
        debug_assert!(self.writing || !self.tell_writable);
    }
}

impl Aside {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.read
    }

    pub(crate) fn read(&mut self, input: &mut [u8]) -> usize {
        let unread = &self.bytes[self.read..];
        let taken = unread.len().min(input.len());
        input[..taken].copy_from_slice(&unread[..taken]);
        self.read += taken;
        if self.len() == 0 {
            *self = Aside::default();
        }
        taken
    }
}
