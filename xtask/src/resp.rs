//! A connection over RESP2 that asks and waits, for those who check what the server answers.
//!
//! It uses nothing of the server's own codec, so that a mistake there is not made here as well.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long an answer may take before it counts as missing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long one read of the socket waits before it looks whether the time is over.
const READ_TIMEOUT: Duration = Duration::from_millis(50);

/// One reply or message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Simple(String),
    Error(String),
    Number(i64),
    Bulk(String),
    Nil,
    Array(Vec<Reply>),
}

/// A connection on which commands are typed.
#[derive(Debug)]
pub(crate) struct Dialogue {
    stream: Box<dyn Stream>,
    /// What has come and is not a whole reply yet.
    received: Vec<u8>,
}

/// A connection of any kind.
trait Stream: Read + Write + Send + fmt::Debug {}

impl<T: Read + Write + Send + fmt::Debug> Stream for T {}

impl Dialogue {
    pub(crate) fn connect(address: SocketAddr) -> Result<Dialogue> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Dialogue { stream: Box::new(stream), received: Vec::new() })
    }

    /// Connects to a Unix socket.
    pub(crate) fn connect_unix(path: &Path) -> io::Result<Dialogue> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Dialogue { stream: Box::new(stream), received: Vec::new() })
    }

    pub(crate) fn send(&mut self, commands: &str) -> io::Result<()> {
        self.stream.write_all(commands.as_bytes())
    }

    /// The next reply, or `None` where it has not come in this time.
    ///
    /// # Errors
    ///
    /// When the connection has ended, or what came is no RESP.
    pub(crate) fn next(&mut self, patience: Duration) -> io::Result<Option<Reply>> {
        let deadline = Instant::now() + patience;
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some((reply, len)) = parse(&self.received)? {
                self.received.drain(..len);
                return Ok(Some(reply));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.received.extend_from_slice(&chunk[..len]),
                Err(error) if is_timeout(&error) && Instant::now() < deadline => {}
                Err(error) if is_timeout(&error) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks one thing and waits for the answer.
    pub(crate) fn ask(&mut self, command: &str) -> Result<Reply> {
        self.send(&format!("{command}\r\n")).with_context(|| format!("cannot ask {command}"))?;
        match self.next(PATIENCE).with_context(|| format!("no answer to {command}"))? {
            Some(reply) => Ok(reply),
            None => bail!("no answer to {command} in {PATIENCE:?}"),
        }
    }

    /// The texts of an array; `-` stands for nil.
    pub(crate) fn texts(&mut self, command: &str) -> Result<Vec<String>> {
        match self.ask(command)? {
            Reply::Array(parts) => parts
                .into_iter()
                .map(|part| match part {
                    Reply::Bulk(text) => Ok(text),
                    Reply::Nil => Ok("-".to_owned()),
                    other => bail!("{command} answered {other:?} within its array"),
                })
                .collect(),
            other => bail!("{command} answered {other:?}, not an array"),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The first whole reply among these bytes and its length.
fn parse(bytes: &[u8]) -> io::Result<Option<(Reply, usize)>> {
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let Some((&kind, line)) = bytes[..end].split_first() else {
        return Err(no_resp(bytes));
    };
    let line = String::from_utf8_lossy(line).into_owned();
    let number = || line.parse::<i64>().map_err(|_| no_resp(bytes));
    let mut len = end + 2;
    let reply = match kind {
        b'+' => Reply::Simple(line),
        b'-' => Reply::Error(line),
        b':' => Reply::Number(number()?),
        b'$' | b'*' if number()? < 0 => Reply::Nil,
        b'$' => {
            let bulk = number()? as usize;
            let Some(text) = bytes.get(len..len + bulk) else { return Ok(None) };
            if bytes.len() < len + bulk + 2 {
                return Ok(None);
            }
            len += bulk + 2;
            Reply::Bulk(String::from_utf8_lossy(text).into_owned())
        }
        b'*' => {
            let mut parts = Vec::new();
            for _ in 0..number()? {
                let Some((part, part_len)) = parse(&bytes[len..])? else { return Ok(None) };
                parts.push(part);
                len += part_len;
            }
            Reply::Array(parts)
        }
        _ => return Err(no_resp(bytes)),
    };
    Ok(Some((reply, len)))
}

fn no_resp(bytes: &[u8]) -> io::Error {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
    io::Error::new(ErrorKind::InvalidData, format!("this is no RESP: {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_whole_or_not_there_wherever_they_are_cut() {
        let bytes = b"*3\r\n$3\r\na\r\n\r\n:-5\r\n*2\r\n$-1\r\n+OK\r\n-ERR no\r\n";
        let inner = Reply::Array(vec![Reply::Nil, Reply::Simple("OK".into())]);
        let whole = Reply::Array(vec![Reply::Bulk("a\r\n".into()), Reply::Number(-5), inner]);
        let whole_len = bytes.len() - b"-ERR no\r\n".len();
        for cut in 0..whole_len {
            assert_eq!(parse(&bytes[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(parse(bytes).unwrap(), Some((whole, whole_len)));
        let error = Reply::Error("ERR no".into());
        assert_eq!(parse(&bytes[whole_len..]).unwrap(), Some((error, 9)));
        assert!(parse(b"HTTP\r\n").is_err());
        assert!(parse(b"\r\n").is_err());
    }
}
