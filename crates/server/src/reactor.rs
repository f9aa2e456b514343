//! The seam between a worker and the system: how it waits for its sockets, and how bytes come from
//! them and go to them.
//!
//! A [`Reactor`] belongs to one worker. There are two: [`Readiness`] asks the system which sockets
//! are ready and then calls it for each of them; [`Completion`] hands it everything at once and is
//! told what is done. Connections and sessions do not know which reactor they are on;
//! workers are generic over it, so nothing is dispatched at run time.
//!
//! Invariant: after a read that found nothing, or less than it had room for, an event tells when
//! there is more: bytes, the end or an error. After a write that was refused, an event tells when
//! the socket takes bytes again.

#[cfg(target_os = "linux")]
mod completion;
mod readiness;

use std::fmt;
use std::io;
use std::time::Duration;

use socket2::Socket;

use crate::IoEngine;

#[cfg(target_os = "linux")]
pub(crate) use completion::Completion;
pub(crate) use readiness::Readiness;

/// Names a socket in the events of its reactor.
pub(crate) type Key = usize;

/// One worker's way to its sockets.
pub(crate) trait Reactor: fmt::Debug + Send + 'static {
    /// What it is called.
    const ENGINE: IoEngine;

    /// What a connection holds of its socket, and gives back with [`close`](Reactor::close).
    type Socket: fmt::Debug + Send;

    /// A reactor for so many sockets, and what ends its waits.
    fn open(sockets: usize) -> io::Result<(Self, Waker)>
    where
        Self: Sized;

    /// How many sockets it keeps that are not among the files which the process has open. It takes
    /// more, and they are.
    fn keeps(&self) -> usize;

    /// Takes a socket on, which does not block. Its events will name the key.
    fn add(&mut self, socket: Socket, key: Key) -> io::Result<Self::Socket>;

    /// Waits until something happens, for this long at most, and adds it to the events. Returns
    /// whether the reactor's [`Waker`] was used.
    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> bool;

    /// Reads as read(2) does of a socket that does not block.
    fn read(&mut self, socket: &mut Self::Socket, input: &mut [u8]) -> io::Result<usize>;

    /// Writes as write(2) does to a socket that does not block.
    fn write(&mut self, socket: &mut Self::Socket, bytes: &[u8]) -> io::Result<usize>;

    /// Whether bytes that were written have yet to reach the system. An event tells when they have.
    fn is_writing(&mut self, socket: &Self::Socket) -> bool;

    /// Closes the direction to the client. No bytes may be on their way.
    fn end(&mut self, socket: &mut Self::Socket) -> io::Result<()>;

    /// The server shuts down: from now on reads find, without an event, whatever the system has
    /// received. Returns how many bytes that is by now.
    fn drain(&mut self, socket: &mut Self::Socket) -> u64;

    /// Closes a socket. No later event is for it.
    fn close(&mut self, socket: Self::Socket);
}

/// What has happened to a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) key: Key,
    /// Bytes may have come, or the end.
    pub(crate) readable: bool,
    /// It may take bytes.
    pub(crate) writable: bool,
    /// The client has closed its direction; the end waits behind what it has sent.
    pub(crate) hung_up: bool,
    /// There is an error, which the next read or write returns.
    pub(crate) failed: bool,
}

/// Ends the wait of a reactor, from any thread.
#[derive(Debug)]
pub(crate) enum Waker {
    Readiness(mio::Waker),
    #[cfg(target_os = "linux")]
    Completion(stockd_ring::Waker),
}

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        match self {
            Waker::Readiness(waker) => waker.wake(),
            #[cfg(target_os = "linux")]
            Waker::Completion(waker) => waker.wake(),
        }
    }
}
