//! What is said on a connection before it is used: the token where RESP is spoken, the handshake of WebSocket.
//!
//! Invariant: what the server has said beyond its answer is handed on, and nothing is lost.

use std::io::{self, Read, Write};

use stockd_client::{Credentials, Stream};
use stockd_model::escaped;
use stockd_wire::resp::frame;

use crate::codec::Protocol;
#[cfg(feature = "web")]
use crate::codec::{Caller, websocket};
use crate::target::Target;

/// A connection that can be used.
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    /// What the server has said already.
    pub(crate) received: Vec<u8>,
}

/// Connects and says what comes first. Reads and writes wait for a bounded time.
pub(crate) fn open(target: &Target, protocol: Protocol) -> io::Result<Opened> {
    let mut stream = target.connect()?;
    let received = match (protocol, target.credentials()) {
        (Protocol::Resp, Some(credentials)) => {
            authenticate(&mut stream, credentials)?;
            Vec::new()
        }
        #[cfg(feature = "web")]
        (Protocol::Websocket, _) => upgrade(&mut stream, &target.caller())?,
        _ => Vec::new(),
    };
    Ok(Opened { stream, received })
}

/// The same, for a readiness loop: nothing waits from then on.
pub(crate) fn open_nonblocking(target: &Target, protocol: Protocol) -> io::Result<Opened> {
    let opened = open(target, protocol)?;
    opened.stream.set_nonblocking()?;
    Ok(opened)
}

/// Shows the token, and waits until the server has taken it.
fn authenticate(stream: &mut Stream, credentials: &Credentials) -> io::Result<()> {
    /// Bytes of the answer, at most.
    const ANSWER_BYTES_MAX: usize = 1024;
    let mut command = Vec::new();
    frame::command(&credentials.command(), &mut command);
    stream.write_all(&command)?;
    stream.flush()?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") && answer.len() < ANSWER_BYTES_MAX {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    match answer.as_slice() {
        b"+OK\r\n" => Ok(()),
        other => Err(io::Error::other(escaped(other.trim_ascii()).to_string())),
    }
}

/// Opens a WebSocket. Returns what came behind the answer.
#[cfg(feature = "web")]
fn upgrade(stream: &mut Stream, caller: &Caller) -> io::Result<Vec<u8>> {
    let key = tungstenite::handshake::client::generate_key();
    stream.write_all(&websocket::opening(caller, &key))?;
    stream.flush()?;
    let mut received = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        received.extend_from_slice(&bytes[..read]);
        match websocket::opened(&received, &key) {
            Ok(None) => {}
            Ok(Some(length)) => return Ok(received.split_off(length)),
            Err(said) => {
                let why = format!("it opened no WebSocket and answered '{said}'");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
    }
}
