//! Clients who ask as fast as they are answered, many questions at a time, and count lines of answers.
//!
//! They are for figures: what is asked has one line of answer each, and only errors are looked at.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::machine;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a connection reads at once.
const ROOM_BYTES: usize = 64 * 1024;

/// What an update of a listed stock is answered.
const USUAL: &[u8] = b":0\r\n";

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
    /// What the clients had of the processors.
    pub(super) processor_ns: u64,
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
            sum.processor_ns += answered.processor_ns;
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
        let mut answered = Answered::default();
        let (mut answers, mut room) = (Answers::new(), vec![0; ROOM_BYTES]);
        // Not all the same at one time.
        let first = if once { 0 } else { number * groups.len() / 7 };
        for (at, (text, count)) in groups.iter().cycle().skip(first).enumerate() {
            if over.load(Ordering::Relaxed) || (once && at == groups.len()) {
                break;
            }
            stream.write_all(text.as_bytes())?;
            let mut missing = *count;
            while missing > 0 {
                let len = stream.read(&mut room)?;
                if len == 0 {
                    bail!("{address} has closed the connection");
                }
                missing = missing.saturating_sub(answers.count(&room[..len]));
            }
            answered.count += *count as u64;
        }
        answered.errors = answers.errors;
        answered.processor_ns =
            machine::processor_ns(Path::new("/proc/thread-self")).unwrap_or_default();
        Ok(answered)
    }
}

/// Counts lines of answers, and errors among them.
#[derive(Debug)]
struct Answers {
    /// The usual answer again and again. What equals it is compared as a whole: so the clients take little of the processors
    /// that they share with what is measured.
    usual: Vec<u8>,
    /// Bytes of a line that has not ended.
    begun: usize,
    errors: u64,
}

impl Answers {
    fn new() -> Answers {
        let usual = USUAL.repeat(ROOM_BYTES / USUAL.len() + 1);
        Answers { usual, begun: 0, errors: 0 }
    }

    /// How many lines end in what has come.
    fn count(&mut self, chunk: &[u8]) -> usize {
        let end = self.begun + chunk.len();
        if self.begun < USUAL.len() && self.usual.get(self.begun..end) == Some(chunk) {
            self.begun = end % USUAL.len();
            return end / USUAL.len();
        }
        let mut ended = 0;
        for byte in chunk {
            self.errors += u64::from(self.begun == 0 && *byte == b'-');
            self.begun += 1;
            if *byte == b'\n' {
                (self.begun, ended) = (0, ended + 1);
            }
        }
        ended
    }
}

/// A command as client libraries send it.
pub(super) fn command(words: &[&str]) -> String {
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), words.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_however_they_are_cut() {
        let said =
            [b":0\r\n".repeat(10), b"-ERR no\r\n:12\r\n".to_vec(), b":0\r\n".repeat(9)].concat();
        for cut in 0..said.len() {
            let mut answers = Answers::new();
            let (one, other) = said.split_at(cut);
            assert_eq!(answers.count(one) + answers.count(other), 21, "{cut}");
            assert_eq!((answers.begun, answers.errors), (0, 1));
        }
        assert_eq!(command(&["GET", "A"]), "*2\r\n$3\r\nGET\r\n$1\r\nA\r\n");
    }
}
