//! A bare echo server: what a lookup would cost if it were for nothing but the sockets. One thread over
//! epoll, as stockd's workers; for each event one read and one write.
//!
//! ```console
//! $ cargo run --profile dist -p stockd-server --example echo -- 127.0.0.1:7777
//! ```
//!
//! Prints the address it has bound, as `echo 127.0.0.1:7777`, and serves until it is ended. A client
//! with an error is closed.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// Bytes of one read, as many as a worker of stockd reads.
const READ_BYTES_MAX: usize = stockd_model::limits::READ_BYTES_MAX;

const LISTENER: Token = Token(usize::MAX);

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    serve(address.parse().map_err(io::Error::other)?)
}

struct Client {
    stream: TcpStream,
    /// Read and not written yet. While there is something nothing more is read.
    unwritten: Vec<u8>,
}

/// What a client waits for.
enum Waits {
    ForEvent,
    /// For another turn: more may be in the socket than one read takes.
    ForTurn,
}

impl Client {
    /// Writes what waits, or reads once and writes that.
    fn turn(&mut self, input: &mut [u8]) -> io::Result<Waits> {
        if !self.unwritten.is_empty() {
            let written = unless_blocked(self.stream.write(&self.unwritten))?.unwrap_or(0);
            self.unwritten.drain(..written);
            return Ok(if self.unwritten.is_empty() { Waits::ForTurn } else { Waits::ForEvent });
        }
        let bytes = match unless_blocked(self.stream.read(input))? {
            Some(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Some(bytes) => bytes,
            None => return Ok(Waits::ForEvent),
        };
        let written = unless_blocked(self.stream.write(&input[..bytes]))?.unwrap_or(0);
        self.unwritten.extend_from_slice(&input[written..bytes]);
        // A short read has emptied the socket, as in stockd's connections.
        let full = bytes == input.len() && self.unwritten.is_empty();
        Ok(if full { Waits::ForTurn } else { Waits::ForEvent })
    }
}

fn serve(address: SocketAddr) -> io::Result<()> {
    let mut listener = TcpListener::bind(address)?;
    println!("echo {}", listener.local_addr()?);

    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(stockd_model::limits::EVENTS_MAX);
    let mut clients = Slab::<Client>::new();
    let mut turns = VecDeque::new();
    let mut input = vec![0; READ_BYTES_MAX];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                LISTENER => accept(&listener, &poll, &mut clients)?,
                Token(key) => turns.push_back(key),
            }
        }
        while let Some(key) = turns.pop_front() {
            let Some(client) = clients.get_mut(key) else { continue };
            match client.turn(&mut input) {
                Ok(Waits::ForEvent) => {}
                Ok(Waits::ForTurn) => turns.push_back(key),
                Err(_) => drop(clients.remove(key)),
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, clients: &mut Slab<Client>) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        let entry = clients.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(entry.key()), interest)?;
        entry.insert(Client { stream, unwritten: Vec::new() });
    }
}

/// The outcome of a call; `None` when the socket has nothing to give or to take.
fn unless_blocked(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        outcome => outcome.map(Some),
    }
}
