//! How a worker waits for its sockets: the system says which are ready (epoll on Linux, its like
//! elsewhere, through mio), and each read and write is a call of its own.
//!
//! It owns the readiness queue and knows no socket but by its [`ConnectionId`].
//!
//! Invariant: after a read that found nothing, or less than it had room for, an event tells when
//! there is more: bytes, the end or an error. After a write that was refused, an event tells when
//! the socket takes bytes again.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec};
use socket2::Socket;
use stockd_model::limits::EVENTS_MAX;

use crate::connection_id::ConnectionId;

/// The token of the event that ends a wait for the sake of the waker. No connection has it.
const WAKE: Token = Token(usize::MAX);

/// Shorter waits are precise.
#[cfg(target_os = "linux")]
const SHORT: Duration = Duration::from_millis(10);

/// A readiness queue.
#[derive(Debug)]
pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
}

/// What has happened to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: ConnectionId,
    /// Bytes may have come, or the end.
    pub(crate) readable: bool,
    /// It may take bytes.
    pub(crate) writable: bool,
    /// The client has closed its direction; the end waits behind what it has sent.
    pub(crate) hung_up: bool,
    /// There is an error, which the next read or write returns.
    pub(crate) failed: bool,
}

impl Reactor {
    /// A reactor, and what ends its waits from any thread.
    pub(crate) fn open() -> io::Result<(Reactor, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        Ok((Reactor { poll, events: Events::with_capacity(EVENTS_MAX) }, waker))
    }

    /// Watches a socket, which does not block. It leaves the queue when it is closed.
    pub(crate) fn add(&mut self, socket: &Socket, id: ConnectionId) -> io::Result<()> {
        let mut source = SourceFd(&socket.as_raw_fd());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut source, id.into(), interest)
    }

    /// Waits until something happens, for `timeout` at most, and adds it to the events. Returns
    /// whether the waker was used.
    #[inline]
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> bool {
        let timeout = self.wait_precisely(timeout);
        wait(&mut self.poll, &mut self.events, timeout);
        let mut woken = false;
        for event in &self.events {
            match event.token() {
                WAKE => woken = true,
                token => events.push(Event {
                    id: token.into(),
                    readable: event.is_readable(),
                    writable: event.is_writable(),
                    hung_up: event.is_read_closed(),
                    failed: event.is_error(),
                }),
            }
        }
        woken
    }
}

impl Reactor {
    /// Waits for a short time to the microsecond, and returns how long is left to wait. mio rounds up to whole
    /// milliseconds, which is more than messages are [gathered](stockd_model::limits::FEED_GATHER) for.
    #[cfg(target_os = "linux")]
    fn wait_precisely(&self, timeout: Option<Duration>) -> Option<Duration> {
        let short = timeout.filter(|timeout| (Duration::from_nanos(1)..SHORT).contains(timeout));
        let Some(nanoseconds) = short.map(|timeout| timeout.subsec_nanos()) else {
            return timeout;
        };
        let registry = self.poll.registry();
        let mut readiness = [PollFd::new(registry, PollFlags::IN)];
        let timeout = Timespec { tv_sec: 0, tv_nsec: nanoseconds.into() };
        // An error is one that the wait behind it finds too, or a signal.
        let _ = rustix::event::poll(&mut readiness, Some(&timeout));
        Some(Duration::ZERO)
    }

    #[cfg(not(target_os = "linux"))]
    fn wait_precisely(&self, timeout: Option<Duration>) -> Option<Duration> {
        timeout
    }
}

/// Waits for readiness. Only a programming error can make that fail, a signal apart.
pub(crate) fn wait(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) {
    match poll.poll(events, timeout) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
        Err(error) => panic!("cannot wait for readiness: {error}"),
    }
}
