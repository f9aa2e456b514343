//! Sockets by completion: whole batches of operations are handed to the system, which tells when they
//! are done (io_uring). One system call serves all sockets that have something to do. Linux alone.

use std::io;
use std::time::Duration;

use rustix::net::{AddressFamily, sockopt};
use stockd_model::limits::{
    RING_BATCH_BYTES, RING_BUFFER_BYTES, RING_BUFFERS, RING_OPERATIONS, RING_WRITE_BYTES_MAX,
};
use stockd_ring::{Receive, Ring, Size, Socket};

use super::{Event, Key, Reactor, Waker};
use crate::IoEngine;

const SIZE: Size = Size {
    operations: RING_OPERATIONS,
    buffers: RING_BUFFERS,
    buffer_bytes: RING_BUFFER_BYTES,
    write_bytes: RING_WRITE_BYTES_MAX,
    batch_bytes: RING_BATCH_BYTES,
    table: 0,
};

/// A ring, and room for what it tells.
#[derive(Debug)]
pub(crate) struct Completion {
    ring: Ring,
    ready: Vec<stockd_ring::Ready>,
}

impl Reactor for Completion {
    const ENGINE: IoEngine = IoEngine::Uring;

    type Socket = Socket;

    fn open(sockets: usize) -> io::Result<(Completion, Waker)> {
        let table = u32::try_from(sockets).unwrap_or(u32::MAX);
        let (ring, waker) = Ring::open(&Size { table, ..SIZE }).map_err(io::Error::other)?;
        Ok((Completion { ring, ready: Vec::new() }, Waker::Completion(waker)))
    }

    fn keeps(&self) -> usize {
        self.ring.table() as usize
    }

    fn add(&mut self, socket: socket2::Socket, key: Key) -> io::Result<Socket> {
        let receive = match sockopt::socket_domain(&socket)? {
            AddressFamily::UNIX => Receive::Single,
            _ => Receive::Multishot,
        };
        Ok(self.ring.add(socket.into(), key, receive))
    }

    #[inline]
    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> bool {
        let woken = self.ring.wait(timeout, &mut self.ready);
        events.extend(self.ready.drain(..).map(|ready| Event {
            key: ready.key,
            readable: ready.readable,
            writable: ready.writable,
            hung_up: ready.hung_up,
            failed: ready.failed,
        }));
        woken
    }

    #[inline]
    fn read(&mut self, socket: &mut Socket, input: &mut [u8]) -> io::Result<usize> {
        self.ring.read(socket, input)
    }

    #[inline]
    fn write(&mut self, socket: &mut Socket, bytes: &[u8]) -> io::Result<usize> {
        self.ring.write(socket, bytes)
    }

    #[inline]
    fn is_writing(&mut self, socket: &Socket) -> bool {
        self.ring.is_writing(socket)
    }

    fn end(&mut self, socket: &mut Socket) -> io::Result<()> {
        self.ring.end(socket)
    }

    fn drain(&mut self, socket: &mut Socket) -> u64 {
        self.ring.drain(socket)
    }

    fn close(&mut self, socket: Socket) {
        self.ring.close(socket);
    }
}
