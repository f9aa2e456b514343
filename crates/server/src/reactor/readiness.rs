//! Sockets by readiness: the system says which are ready (epoll, kqueue, through mio), and each
//! read and write is a call of its own. Works everywhere.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use stockd_model::limits::EVENTS_MAX;

use super::{Event, Key, Reactor, Waker};
use crate::IoEngine;
use crate::listener::wait;

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

    type Socket = TcpStream;

    fn open(_: usize) -> io::Result<(Readiness, Waker)> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKE)?;
        let events = Events::with_capacity(EVENTS_MAX);
        Ok((Readiness { poll, events }, Waker::Readiness(waker)))
    }

    fn keeps(&self) -> usize {
        0
    }

    fn add(&mut self, mut stream: TcpStream, key: Key) -> io::Result<TcpStream> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(key), interest)?;
        Ok(stream)
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
    fn read(&mut self, socket: &mut TcpStream, input: &mut [u8]) -> io::Result<usize> {
        socket.read(input)
    }

    #[inline]
    fn write(&mut self, socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        socket.write(bytes)
    }

    #[inline]
    fn is_writing(&mut self, _: &TcpStream) -> bool {
        false
    }

    fn end(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        socket.shutdown(Shutdown::Write)
    }

    fn drain(&mut self, socket: &mut TcpStream) -> u64 {
        rustix::io::ioctl_fionread(socket).unwrap_or(0)
    }

    fn close(&mut self, socket: TcpStream) {
        // It leaves the readiness queue as it is closed.
        drop(socket);
    }
}
