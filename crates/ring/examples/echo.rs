//! A bare echo server over a [`Ring`]: what a lookup would cost if it were for nothing but the
//! sockets. One thread; the twin of the echo server in `crates/server/examples`, which is over mio.
//!
//! ```console
//! $ cargo run --release -p stockd-ring --example echo -- 127.0.0.1:7777
//! ```
//!
//! Prints the address it has bound, as `echo 127.0.0.1:7777`, and serves until it is ended. A client
//! with an error is closed.

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    echo::serve()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("echo: only Linux has io_uring");
}

#[cfg(target_os = "linux")]
mod echo {
    use std::io::{self, ErrorKind};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    use stockd_ring::{Ring, Size, Socket};

    const SIZE: Size = Size {
        operations: 1024,
        buffers: 256,
        buffer_bytes: 4 * 1024,
        write_bytes: 64 * 1024,
        batch_bytes: 64 * 1024,
    };

    struct Client {
        socket: Socket,
        /// Read and not written yet. While there is something nothing more is read.
        unwritten: Vec<u8>,
    }

    pub(super) fn serve() -> io::Result<()> {
        let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
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
        let mut input = vec![0; 16 * 1024];
        let mut ready = Vec::new();
        loop {
            if ring.wait(None, &mut ready) {
                for stream in new_clients.try_iter() {
                    let socket = ring.add(stream.into(), clients.len());
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

    /// The outcome of a call; `None` when the socket has nothing to give or to take.
    fn unless_blocked(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
        match outcome {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            outcome => outcome.map(Some),
        }
    }
}
