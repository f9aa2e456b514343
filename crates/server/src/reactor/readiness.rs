//! Sockets by readiness: the system says which are ready (epoll, kqueue, through mio), and each
//! read and write is a call of its own. Works everywhere.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::Socket;
use stockd_model::limits::EVENTS_MAX;

use super::{Event, Key, Reactor, Waker};
use crate::IoEngine;
use crate::listener::{send, wait};

/// The token of the event that ends a wait for the sake of the waker.
const WAKE: Token = Token(usize::MAX);

/// A readiness queue.
#[derive(Debug)]
pub(crate) struct Readiness {
    poll: Poll,
    events: Events,
}

impl Reactor for Readiness {
    const ENGINE: IoEngine = IoEngine::Mio;

    type Socket = Socket;

    fn open(_: usize) -> io::Result<(Readiness, Waker)> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKE)?;
        let events = Events::with_capacity(EVENTS_MAX);
        Ok((Readiness { poll, events }, Waker::Readiness(waker)))
    }

    fn keeps(&self) -> usize {
        0
    }

    fn add(&mut self, socket: Socket, key: Key) -> io::Result<Socket> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let mut source = SourceFd(&socket.as_raw_fd());
        self.poll.registry().register(&mut source, Token(key), interest)?;
        Ok(socket)
    }

    #[inline]
    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> bool {
        wait(&mut self.poll, &mut self.events, timeout);
        let mut woken = false;
        for event in &self.events {
            match event.token() {
                WAKE => woken = true,
                Token(key) => events.push(Event {
                    key,
                    readable: event.is_readable(),
                    writable: event.is_writable(),
                    hung_up: event.is_read_closed(),
                    failed: event.is_error(),
                }),
            }
        }
        woken
    }

    #[inline]
    fn read(&mut self, socket: &mut Socket, input: &mut [u8]) -> io::Result<usize> {
        socket.read(input)
    }

    #[inline]
    fn write(&mut self, socket: &mut Socket, bytes: &[u8]) -> io::Result<usize> {
        send(socket, bytes)
    }

    #[inline]
    fn is_writing(&mut self, _: &Socket) -> bool {
        false
    }

    fn end(&mut self, socket: &mut Socket) -> io::Result<()> {
        socket.shutdown(Shutdown::Write)
    }

    fn drain(&mut self, socket: &mut Socket) -> u64 {
        rustix::io::ioctl_fionread(socket).unwrap_or(0)
    }

    fn close(&mut self, socket: Socket) {
        // It leaves the readiness queue as it is closed.
        drop(socket);
    }
}
