//! Several clients that look up at once, measured.
//!
//! Each client is a thread with a connection of its own. It asks for one name once before it is measured, so that
//! it is served when all begin together; then one request at a time.
//!
//! Invariant: only the time from sending a request to having its reply is measured, as for one client.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use stockd_client::{Answer, Client, ClientError, Options, QuoteClient};
use stockd_latency::{Latencies, nanoseconds};

/// What every client does.
#[derive(Debug)]
pub(super) struct Course<'a> {
    pub(super) server: &'a str,
    pub(super) options: Options,
    pub(super) names: &'a [String],
    /// How often each client asks for all names.
    pub(super) runs: u64,
}

/// A number of clients, and what they have measured.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// From the first request to the last reply of all.
    pub(super) elapsed: Duration,
    /// One for each client, in their order.
    pub(super) clients: Vec<Measured>,
}

/// What one client has measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Its end of the connection, over TCP.
    pub(super) address: Option<SocketAddr>,
    /// The worker of the server that served it, if that is known.
    pub(super) worker: Option<usize>,
    /// Of names that are listed, tradable or not.
    pub(super) listed: Latencies,
    /// Of names that are not, or that may not be read.
    pub(super) not_listed: Latencies,
}

impl Measured {
    /// All lookups of the client.
    pub(super) fn all(&self) -> Latencies {
        let mut all = self.listed.clone();
        all.add(&self.not_listed);
        all
    }
}

impl Course<'_> {
    /// Measures this number of clients at once, and asks `list` which worker serves whom. Where that fails, the
    /// error takes its place, the workers are not known, and the figures stand.
    pub(super) fn measure(
        &self,
        clients: usize,
        list: &mut Result<QuoteClient, ClientError>,
    ) -> anyhow::Result<Stage> {
        let connect = |_| Client::connect_with(self.server, self.options.clone());
        let connected: Result<Vec<Client>, ClientError> = (0..clients).map(connect).collect();
        let mut connected = connected.with_context(|| format!("server '{}'", self.server))?;
        for client in &mut connected {
            if let Some(name) = self.names.first() {
                client.lookup(name)?;
            }
        }
        let mut stage = self.together(&mut connected)?;
        for (client, measured) in connected.iter().zip(&mut stage.clients) {
            measured.address = client.local_address();
        }
        let listed = list.as_mut().map_or(Ok(Vec::new()), QuoteClient::clients);
        let listed = listed.unwrap_or_else(|error| {
            *list = Err(error);
            Vec::new()
        });
        for measured in &mut stage.clients {
            measured.worker = worker_of(measured, &listed);
        }
        Ok(stage)
    }

    /// Lets all clients begin at once.
    fn together(&self, connected: &mut [Client]) -> anyhow::Result<Stage> {
        let start = Barrier::new(connected.len() + 1);
        thread::scope(|scope| {
            let ask = |client| scope.spawn(|| self.ask(client, &start));
            let asking: Vec<_> = connected.iter_mut().map(ask).collect();
            start.wait();
            let began = Instant::now();
            let mut clients = Vec::with_capacity(asking.len());
            for client in asking {
                match client.join() {
                    Ok(measured) => clients.push(measured?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok(Stage { elapsed: began.elapsed(), clients })
        })
    }

    fn ask(&self, client: &mut Client, start: &Barrier) -> Result<Measured, ClientError> {
        let mut measured = Measured::default();
        start.wait();
        for _ in 0..self.runs {
            for name in self.names {
                let sent = Instant::now();
                let answer = client.lookup(name)?;
                let ns = nanoseconds(sent.elapsed());
                match answer {
                    Answer::Price(_) | Answer::NotTradable => measured.listed.record(ns, 1),
                    Answer::NotFound | Answer::NotPermitted => measured.not_listed.record(ns, 1),
                }
            }
        }
        Ok(measured)
    }
}

/// The worker of the connection that the server knows by the address of this end.
fn worker_of(measured: &Measured, listed: &[Vec<(String, String)>]) -> Option<usize> {
    let address = measured.address?.to_string();
    let own = listed
        .iter()
        .find(|fields| fields.iter().any(|(name, value)| name == "addr" && *value == address))?;
    own.iter().find(|(name, _)| name == "worker")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_its_address() {
        let line = |text: &str| {
            let field =
                |word: &str| word.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
            text.split(' ').filter_map(field).collect::<Vec<_>>()
        };
        let listed = [
            line("id=1 addr=127.0.0.1:40001 worker=1"),
            line("id=2 addr=127.0.0.1:40002 worker=-1"),
            line("id=3 addr=127.0.0.1:40003"),
        ];
        let worker = |address: &str| {
            let address = address.parse().ok();
            worker_of(&Measured { address, ..Measured::default() }, &listed)
        };
        assert_eq!(worker("127.0.0.1:40001"), Some(1));
        for unknown in ["127.0.0.1:40002", "127.0.0.1:40003", "127.0.0.1:40004", "no address"] {
            assert_eq!(worker(unknown), None, "{unknown}");
        }
    }
}
