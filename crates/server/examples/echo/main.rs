//! A bare echo server: what a lookup would cost if it were for nothing but the sockets. One thread on
//! the same engine as stockd's workers; for each event one read and one write.
//!
//! ```console
//! $ cargo run --release -p stockd-server --example echo -- 127.0.0.1:7777 --engine uring
//! ```
//!
//! Prints the address it has bound, as `echo 127.0.0.1:7777`, and serves until it is ended. A client
//! with an error is closed.

#[cfg(target_os = "linux")]
mod completion;
mod readiness;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// Bytes of one read, as many as a worker of stockd reads.
const READ_BYTES_MAX: usize = stockd_model::limits::READ_BYTES_MAX;

fn main() -> io::Result<()> {
    let mut address = "127.0.0.1:0".to_owned();
    let mut engine = "mio".to_owned();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--engine" => engine = arguments.next().unwrap_or_default(),
            _ => address = argument,
        }
    }
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    match engine.as_str() {
        "mio" => readiness::serve(address),
        #[cfg(target_os = "linux")]
        "uring" => completion::serve(address),
        _ => Err(io::Error::other("--engine is mio, or on Linux uring")),
    }
}

/// The outcome of a call; `None` when the socket has nothing to give or to take.
fn unless_blocked(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        outcome => outcome.map(Some),
    }
}
