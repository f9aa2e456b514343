//! Clients that come and go.

use std::io;
use std::time::Duration;

use super::super::scene::{Rude, Visit};

/// How long a client waits for the answer to its PING before it comes again.
const PATIENCE: Duration = Duration::from_millis(200);

/// Opens, pings and closes as fast as it can: two processes that did it 30,000 times a second raised
/// the median of polite clients to 28 ms.
pub(super) struct OpenClose;

impl Rude for OpenClose {
    fn name(&self) -> &'static str {
        "open-close"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        while visit.goes_on() {
            let mut client = visit.resp()?;
            client.push(visit, b"PING\r\n")?;
            let mut waited = Duration::ZERO;
            while client.drain()? == 0 && visit.goes_on() && waited < PATIENCE {
                std::thread::yield_now();
                waited += Duration::from_micros(10);
            }
            // One that closes first keeps its port for a minute, so most leave with a reset.
            if visit.random.below(8) > 0 {
                client.reset();
            }
        }
        Ok(())
    }
}

/// Leaves with a reset in the middle of a request, or of its reply.
pub(super) struct Reset;

impl Rude for Reset {
    fn name(&self) -> &'static str {
        "reset"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let names: Vec<String> = (0..1000).map(|_| visit.stock()).collect();
        let request = format!("MGET {}\r\n", names.join(" "));
        while visit.goes_on() {
            let mut client = visit.resp()?;
            let cut = visit.random.between(1, request.len());
            client.offer(&request.as_bytes()[..cut])?;
            if visit.random.below(2) == 0 {
                visit.rest(Duration::from_millis(1));
            }
            client.reset();
        }
        Ok(())
    }
}

/// More connections than the limit, where one leaves, one comes and one is refused again and again: a
/// warning for each of 605 had filled the pipe of the log, which stopped the server and its SIGTERM.
pub(super) struct Refused;

impl Rude for Refused {
    fn name(&self) -> &'static str {
        "refused"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        // The limit of the server and a thousand more, unless others are there as well.
        let mut clients = visit.resp_clients(5000)?;
        let count = visit.count(2000);
        for _ in 0..count {
            if !visit.goes_on() {
                break;
            }
            clients.swap_remove(visit.random.below(clients.len())).reset();
            visit.rest(Duration::from_millis(1));
            clients.push(visit.resp()?);
            visit.resp()?.reset();
        }
        Ok(())
    }
}
