//! Over io_uring, through the ring of stockd's workers. Clients come through a thread that accepts.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;

use stockd_model::limits;
use stockd_ring::{Receive, Ring, Size, Socket};

use crate::{READ_BYTES_MAX, unless_blocked};

/// As much as a worker of stockd has.
const SIZE: Size = Size {
    operations: limits::RING_OPERATIONS,
    buffers: limits::RING_BUFFERS,
    buffer_bytes: limits::RING_BUFFER_BYTES,
    write_bytes: limits::RING_WRITE_BYTES_MAX,
    batch_bytes: limits::RING_BATCH_BYTES,
    table: 1024,
};

struct Client {
    socket: Socket,
    /// Read and not written yet. While there is something nothing more is read.
    unwritten: Vec<u8>,
}

pub(crate) fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("echo {}", listener.local_addr()?);
    let (mut ring, waker) = Ring::open(&SIZE).map_err(io::Error::other)?;
    let (accepted, new_clients) = mpsc::channel();
    thread::spawn(move || -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            if accepted.send(stream).is_err() {
                return Ok(());
            }
            waker.wake()?;
        }
    });
    let mut clients = Vec::<Option<Client>>::new();
    let mut input = vec![0; READ_BYTES_MAX];
    let mut ready = Vec::new();
    loop {
        if ring.wait(None, &mut ready) {
            for stream in new_clients.try_iter() {
                let socket = ring.add(stream.into(), clients.len(), Receive::Multishot);
                clients.push(Some(Client { socket, unwritten: Vec::new() }));
            }
        }
        for event in ready.drain(..) {
            let Some(client) = &mut clients[event.key] else { continue };
            if turn(&mut ring, client, &mut input).is_err()
                && let Some(client) = clients[event.key].take()
            {
                ring.close(client.socket);
            }
        }
    }
}

/// Writes what waits, and reads and writes until there is nothing, or no room.
fn turn(ring: &mut Ring, client: &mut Client, input: &mut [u8]) -> io::Result<()> {
    loop {
        if !client.unwritten.is_empty() {
            let written = unless_blocked(ring.write(&client.socket, &client.unwritten))?;
            client.unwritten.drain(..written.unwrap_or(0));
            if !client.unwritten.is_empty() {
                return Ok(());
            }
        }
        let bytes = match unless_blocked(ring.read(&client.socket, input))? {
            Some(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Some(bytes) => bytes,
            None => return Ok(()),
        };
        let written = unless_blocked(ring.write(&client.socket, &input[..bytes]))?;
        client.unwritten.extend_from_slice(&input[written.unwrap_or(0)..bytes]);
        if bytes < input.len() && client.unwritten.is_empty() {
            return Ok(());
        }
    }
}
