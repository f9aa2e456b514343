//! Clients that make the server keep something for them.

use std::io;
use std::time::Duration;

use super::super::scene::{Rude, Visit};
use super::stocks::{delist, list};

/// The pause between two attempts to make the server keep more.
const PAUSE: Duration = Duration::from_millis(20);

/// One client with 1,000 patterns that all fit the same stocks reads nothing, while 8,000 of these
/// are listed one after the other: 5 MB became 1.2 GB and went on rising.
pub(super) struct OverlappingPatterns;

impl Rude for OverlappingPatterns {
    fn name(&self) -> &'static str {
        "overlapping-patterns"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let prefix = format!("O{}.XXXXXXXX", visit.serial());
        let patterns: String = (1..=125).map(|stars| overlapping(&prefix, stars)).collect();
        let count = visit.clients(1);
        let mut subscribers = visit.resp_clients(count)?;
        for subscriber in &mut subscribers {
            // One that is refused or closed does not keep the others from it.
            let _ = subscriber.push(visit, patterns.as_bytes());
        }
        let mut writer = visit.resp()?;
        let count = visit.count(8000);
        while visit.goes_on() {
            list(visit, &mut writer, &prefix, 0..count)?;
            delist(visit, &mut writer, &prefix, 0..count)?;
        }
        Ok(())
    }
}

/// Eight patterns that fit every name that begins like this, unlike those with more or fewer stars.
fn overlapping(prefix: &str, stars: usize) -> String {
    let stars = "*".repeat(stars);
    let pattern = |less: usize| format!(" {}{stars}", &prefix[..prefix.len() - less]);
    format!("PSUBSCRIBE{}\r\n", (0..8).map(pattern).collect::<String>())
}

/// 4 snapshots are held at their first page while names are listed and delisted: 13 MB became
/// 1.8 GB, and `stockd export` was refused for ever.
pub(super) struct Snapshots;

impl Rude for Snapshots {
    fn name(&self) -> &'static str {
        "snapshots"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let count = visit.clients(4);
        let mut holders = visit.resp_clients(count)?;
        for holder in &mut holders {
            holder.push(visit, b"SNAPSHOT\r\n")?;
        }
        let mut writer = visit.resp()?;
        while visit.goes_on() {
            let prefix = format!("N{}.", visit.serial());
            list(visit, &mut writer, &prefix, 0..1000)?;
            delist(visit, &mut writer, &prefix, 0..1000)?;
        }
        Ok(())
    }
}

/// 2,000 clients send half a command of 128 KiB and wait: 130 KiB each, for ever.
pub(super) struct HalfCommands;

impl Rude for HalfCommands {
    fn name(&self) -> &'static str {
        "half-commands"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let part = "x".repeat(64_000);
        let half = format!("*4\r\n$4\r\nHSET\r\n$64000\r\n{part}\r\n$64000\r\n{}", &part[..63_000]);
        let count = visit.clients(2000);
        let mut clients = visit.resp_clients(count)?;
        for client in &mut clients {
            // One that is refused or closed does not keep the others from it.
            let _ = client.push(visit, half.as_bytes());
        }
        while visit.goes_on() {
            visit.rest(PAUSE);
        }
        Ok(())
    }
}

/// 500 clients ask for quotes as fast as they can and read none: 1 MiB each in the server and up to
/// 4 MB in the kernel.
pub(super) struct UnreadReplies;

impl Rude for UnreadReplies {
    fn name(&self) -> &'static str {
        "unread-replies"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let packet = format!("HGETALL {}\r\n", visit.stock()).repeat(600);
        let count = visit.clients(500);
        let mut clients = visit.resp_clients(count)?;
        while visit.goes_on() {
            clients.retain_mut(|client| client.offer(packet.as_bytes()).is_ok());
            if clients.is_empty() {
                return Ok(());
            }
            visit.rest(PAUSE);
        }
        Ok(())
    }
}

/// 6 clients send 65,536 SUBSCRIBEs one after the other: at 20,000 the server was killed for 48 MB.
pub(super) struct Subscribes;

impl Rude for Subscribes {
    fn name(&self) -> &'static str {
        "subscribes"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let serial = visit.serial();
        let count = visit.clients(6);
        let mut clients = visit.resp_clients(count)?;
        for from in (0..65_536).step_by(1024) {
            let subscribe = |at| format!("SUBSCRIBE U{serial}.{at}\r\n");
            let commands: String = (from..from + 1024).map(subscribe).collect();
            clients.retain_mut(|client| client.exchange(visit, commands.as_bytes()).is_ok());
        }
        while visit.goes_on() {
            clients.retain_mut(|client| client.drain().is_ok());
            visit.rest(PAUSE);
        }
        Ok(())
    }
}
