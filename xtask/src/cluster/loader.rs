//! Clients who ask as fast as they are answered, many questions at a time, and count lines of answers.
//!
//! They are for figures: what is asked has one line of answer each, and only errors are looked at.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked, and how.
#[derive(Clone, Debug)]
pub(super) struct Load<'a> {
    /// Where; each has as many connections.
    pub(super) addresses: &'a [String],
    pub(super) connections: usize,
    /// Lines that a connection asks in turn.
    pub(super) lines: &'a [String],
    /// Lines that are asked at once.
    pub(super) together: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answered {
    pub(super) count: u64,
    pub(super) errors: u64,
    pub(super) time: Duration,
}

impl Answered {
    pub(super) fn a_second(&self) -> f64 {
        self.count as f64 / self.time.as_secs_f64().max(1e-9)
    }
}

impl Load<'_> {
    /// Asks for this time.
    pub(super) fn run(&self, time: Duration) -> Result<Answered> {
        self.work(Some(time))
    }

    /// Asks every line once, on one connection to each address.
    pub(super) fn once(&self) -> Result<Answered> {
        self.work(None)
    }

    fn work(&self, time: Option<Duration>) -> Result<Answered> {
        let (began, over) = (Instant::now(), AtomicBool::new(false));
        let connections =
            self.addresses.iter().flat_map(|it| std::iter::repeat_n(it, self.connections));
        let results: Result<Vec<Answered>> = thread::scope(|scope| {
            let over = &over;
            let threads: Vec<_> = connections
                .enumerate()
                .map(|(number, address)| {
                    scope.spawn(move || self.connection(address, number, over, time.is_none()))
                })
                .collect();
            if let Some(time) = time {
                thread::sleep(time);
                over.store(true, Ordering::Relaxed);
            }
            threads.into_iter().map(|it| it.join().ok().context("a client panicked")?).collect()
        });
        let mut sum = Answered { time: began.elapsed(), ..Answered::default() };
        for answered in results? {
            sum.count += answered.count;
            sum.errors += answered.errors;
        }
        Ok(sum)
    }

    fn connection(
        &self,
        address: &str,
        number: usize,
        over: &AtomicBool,
        once: bool,
    ) -> Result<Answered> {
        let mut stream = TcpStream::connect(address).with_context(|| address.to_owned())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let groups: Vec<(String, usize)> =
            self.lines.chunks(self.together).map(|group| (group.concat(), group.len())).collect();
        let (mut answered, mut room) = (Answered::default(), vec![0; 64 * 1024]);
        // Not all the same at one time.
        let first = if once { 0 } else { number * groups.len() / 7 };
        for (at, (text, count)) in groups.iter().cycle().skip(first).enumerate() {
            if over.load(Ordering::Relaxed) || (once && at == groups.len()) {
                break;
            }
            stream.write_all(text.as_bytes())?;
            let (mut missing, mut is_start) = (*count, true);
            while missing > 0 {
                let len = stream.read(&mut room)?;
                if len == 0 {
                    bail!("{address} has closed the connection");
                }
                for byte in &room[..len] {
                    answered.errors += u64::from(is_start && *byte == b'-');
                    is_start = *byte == b'\n';
                    missing = missing.saturating_sub(usize::from(is_start));
                }
            }
            answered.count += *count as u64;
        }
        Ok(answered)
    }
}
