//! Clients that subscribe to much and are gone at once.

use std::io;
use std::time::Duration;

use super::super::scene::{Rude, RudeClient, Visit};

/// Patterns of one connection, at most.
const PATTERNS: usize = 1024;

/// Silence after which a server counts as done with what it was asked.
const QUIET: Duration = Duration::from_millis(100);

/// Subscribes each client in the same way, waits for the confirmations, and lets all of them go.
fn subscribe_and_leave(
    visit: &Visit<'_>,
    mut clients: Vec<RudeClient>,
    mut command: impl FnMut(usize) -> String,
) -> io::Result<()> {
    // One that is refused or closed does not keep the others from it.
    for (number, client) in clients.iter_mut().enumerate() {
        let _ = client.exchange(visit, command(number).as_bytes());
    }
    for client in &mut clients {
        let _ = client.drain_until_quiet(visit, QUIET / 10);
    }
    clients.into_iter().for_each(RudeClient::reset);
    visit.rest(QUIET);
    Ok(())
}

/// An array of a command and its names.
fn command(name: &str, arguments: impl ExactSizeIterator<Item = String>) -> String {
    let mut text = format!("*{}\r\n${}\r\n{name}\r\n", arguments.len() + 1, name.len());
    for argument in arguments {
        text += &format!("${}\r\n{argument}\r\n", argument.len());
    }
    text
}

/// 100 clients with 1,024 patterns each, which no stock fits, leave at once: others waited for
/// 9.8 s.
pub(super) struct PatternsLeave;

impl Rude for PatternsLeave {
    fn name(&self) -> &'static str {
        "patterns-leave"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let count = visit.clients(100);
        let clients = visit.resp_clients(count)?;
        let serial = visit.serial();
        subscribe_and_leave(visit, clients, |number| {
            let pattern = |at| format!("P{serial}.{number}.{at}*");
            command("PSUBSCRIBE", (0..PATTERNS).map(pattern))
        })
    }
}

/// One client whose 1,000 patterns share out all stocks leaves before it has read them: SIGTERM
/// took 23.9 s.
pub(super) struct SharedOut;

impl Rude for SharedOut {
    fn name(&self) -> &'static str {
        "shared-out"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let mut client = visit.resp()?;
        // Stocks have seven digits.
        let patterns = command("PSUBSCRIBE", (0..1000).map(|group| format!("S0{group:03}*")));
        client.push(visit, patterns.as_bytes())?;
        visit.rest(Duration::from_secs(1));
        client.drain()?;
        client.reset();
        Ok(())
    }
}

/// 40 clients with 65,535 subscriptions each leave at once: 200 of them made others wait for 10.1 s,
/// and each took 5 to 15 MB.
pub(super) struct SubscriptionsLeave;

impl Rude for SubscriptionsLeave {
    fn name(&self) -> &'static str {
        "subscriptions-leave"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let count = visit.clients(40);
        let clients = visit.resp_clients(count)?;
        let serial = visit.serial();
        let names = command("SUBSCRIBE", (0..65_535).map(|at| format!("Q{serial}.{at}")));
        subscribe_and_leave(visit, clients, |_| names.clone())
    }
}

/// 2,000 clients with the same 100 stocks leave at once: 4,000 of them made others wait for 0.43 s,
/// with the square of their number.
pub(super) struct HotStocksLeave;

impl Rude for HotStocksLeave {
    fn name(&self) -> &'static str {
        "hot-stocks-leave"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let count = visit.clients(2000);
        let clients = visit.resp_clients(count)?;
        let names = command("SUBSCRIBE", (0..100).map(|at| format!("S{at:07}")));
        subscribe_and_leave(visit, clients, |_| names.clone())
    }
}

/// A pattern that comes and goes 560 times in one packet, beside a subscriber to all stocks: others
/// waited for 3.2 s.
pub(super) struct Thrash;

impl Rude for Thrash {
    fn name(&self) -> &'static str {
        "thrash"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let mut everything = visit.resp()?;
        everything.push(visit, b"PSUBSCRIBE *\r\n")?;
        let mut client = visit.resp()?;
        let packet = "PSUBSCRIBE x\r\nPUNSUBSCRIBE x\r\n".repeat(560);
        while visit.goes_on() {
            client.exchange(visit, packet.as_bytes())?;
            everything.drain()?;
        }
        Ok(())
    }
}
