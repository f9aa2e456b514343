//! Few bytes that ask for much work.

use std::io;
use std::time::Duration;

use super::super::scene::{Rude, Visit};

/// Bytes of requests that a server may read from one connection at once.
const PACKET_BYTES: usize = 16 * 1024;

/// The pause of one who has asked for more than it will read.
const PAUSE: Duration = Duration::from_millis(50);

/// As many of this command as one packet holds.
fn packet(command: &str) -> Vec<u8> {
    command.repeat(PACKET_BYTES / command.len()).into_bytes()
}

/// Packets of `KEYS a`, each a walk over all stocks that finds none: the next client of the worker
/// waited for 94 s, and SIGTERM for 9.3 s.
pub(super) struct Keys;

impl Rude for Keys {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let packet = packet("KEYS a\n");
        let count = visit.clients(4);
        let mut clients = visit.resp_clients(count)?;
        while visit.goes_on() {
            // What does not fit now is for the next round; half a command is rude as well.
            clients.retain_mut(|client| client.drain().is_ok() && client.offer(&packet).is_ok());
            visit.rest(PAUSE);
        }
        Ok(())
    }
}

/// `COMMAND DOCS` on 300 connections at once, tens of kilobytes each: others waited for 6.7 s.
pub(super) struct Docs;

impl Rude for Docs {
    fn name(&self) -> &'static str {
        "docs"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let commands = "COMMAND DOCS\r\n".repeat(20);
        let count = visit.clients(300);
        let mut clients = visit.resp_clients(count)?;
        while visit.goes_on() {
            clients.retain_mut(|client| {
                client.drain().is_ok() && client.offer(commands.as_bytes()).is_ok()
            });
            visit.rest(PAUSE);
        }
        Ok(())
    }
}

/// `CLIENT LIST` on 3,000 connections at once, each of which tells of all: others waited for 3.4 s,
/// and the replies took 2.6 GB, growing with the square.
pub(super) struct ClientList;

impl Rude for ClientList {
    fn name(&self) -> &'static str {
        "client-list"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let count = visit.clients(3000);
        let mut clients = visit.resp_clients(count)?;
        while visit.goes_on() {
            clients.retain_mut(|client| client.offer(b"CLIENT LIST\r\n").is_ok());
            // All of them have their replies unread for a while.
            visit.rest(PAUSE * 10);
            clients.retain_mut(|client| client.drain().is_ok());
        }
        Ok(())
    }
}
