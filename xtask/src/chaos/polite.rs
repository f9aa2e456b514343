//! Polite clients: one small request at a time, each when it is due, and how long the answers take.
//!
//! Invariant: a latency counts from when its request was due, whether it could be sent by then or
//! not; requests that were due and have no answer at the end count with the time they have waited.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use rustix::process::setpriority_process;
use stockd_witness::Random;

use crate::resp::{Dialogue, Reply};

/// Clients for each worker.
const CLIENTS_PER_WORKER: usize = 2;

/// From one request of a client to its next.
const PERIOD: Duration = Duration::from_millis(4);

/// How long a client waits before it looks whether all is over.
const LOOK: Duration = Duration::from_millis(100);

/// The longest latency that is told apart, in microseconds: 10 minutes.
const HIGHEST_US: u64 = 600_000_000;

/// Clients at work, some of them at each worker.
#[derive(Debug)]
pub(super) struct Polite {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Experience>>,
}

/// What polite clients have met.
#[derive(Debug)]
pub(super) struct Experience {
    latencies_us: Histogram<u64>,
    pub(super) complaints: Vec<String>,
}

/// Percentiles of their latencies in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Percentiles {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl Polite {
    /// Connects all of them before the rude ones come, so that each worker gets the same number;
    /// then begins.
    pub(super) fn start(
        address: SocketAddr,
        workers: usize,
        stocks: usize,
        random: &mut Random,
    ) -> Result<Polite> {
        let connect = |_| {
            let mut dialogue = Dialogue::connect(address)?;
            // It has its worker when it has been answered.
            dialogue.ask("PING")?;
            Ok(dialogue)
        };
        let count = workers * CLIENTS_PER_WORKER;
        let dialogues: Vec<Dialogue> = (0..count).map(connect).collect::<Result<_>>()?;
        let over = Arc::new(AtomicBool::new(false));
        let start = |dialogue| {
            let client =
                Client { dialogue, stocks, random: random.fork(), over: Arc::clone(&over) };
            thread::spawn(move || client.run())
        };
        let threads = dialogues.into_iter().map(start).collect();
        Ok(Polite { over, threads })
    }

    /// Ends them.
    pub(super) fn end(self) -> Result<Experience> {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Experience::new();
        for thread in self.threads {
            let one = thread.join().ok().context("a polite client panicked")?;
            all.latencies_us.add(one.latencies_us)?;
            all.complaints.extend(one.complaints);
        }
        Ok(all)
    }
}

/// One of them.
struct Client {
    dialogue: Dialogue,
    stocks: usize,
    random: Random,
    over: Arc<AtomicBool>,
}

impl Client {
    fn run(mut self) -> Experience {
        // Where it may: what is measured is the server, not the turn of this thread.
        let _ = setpriority_process(None, -10);
        let mut experience = Experience::new();
        let mut due = Instant::now();
        let mut answered = 0_u64;
        while !self.is_over() {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            match self.request() {
                Ok(true) => {
                    answered += 1;
                    experience.record(due);
                }
                Ok(false) => break,
                Err(error) => {
                    experience.complaints.push(format!("a polite client: {error:#}"));
                    break;
                }
            }
            due += PERIOD;
        }
        if answered == 0 {
            experience.complaints.push("a polite client was not answered once".to_owned());
        }
        while due < Instant::now() {
            experience.record(due);
            due += PERIOD;
        }
        experience
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Asks and waits for the answer; `false` when all was over before it came.
    fn request(&mut self) -> Result<bool> {
        let (command, expected) = match self.random.below(2) {
            0 => ("PING\r\n".to_owned(), Reply::Simple("PONG".to_owned())),
            _ => {
                let stock = self.random.below(self.stocks);
                (format!("GET S{stock:07}\r\n"), Reply::Bulk(price(stock)))
            }
        };
        self.dialogue.send(&command)?;
        loop {
            match self.dialogue.next(LOOK)? {
                Some(reply) if reply == expected => return Ok(true),
                Some(reply) => anyhow::bail!("{} answered {reply:?}", command.trim_end()),
                None if self.is_over() => return Ok(false),
                None => {}
            }
        }
    }
}

/// The price of stock `S0000000` and so on, which is never changed.
pub(super) fn price(stock: usize) -> String {
    format!("{}.5", 100 + stock % 900)
}

impl Experience {
    fn new() -> Experience {
        let latencies_us = Histogram::new_with_bounds(1, HIGHEST_US, 3);
        let latencies_us = latencies_us.expect("ten minutes with 3 digits are possible");
        Experience { latencies_us, complaints: Vec::new() }
    }

    fn record(&mut self, due: Instant) {
        let us = u64::try_from(due.elapsed().as_micros()).unwrap_or(HIGHEST_US);
        self.latencies_us.saturating_record(us);
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        let ms = |us: u64| us as f64 / 1000.0;
        let at = |quantile| ms(self.latencies_us.value_at_quantile(quantile));
        Percentiles {
            count: self.latencies_us.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(self.latencies_us.max()),
        }
    }
}
