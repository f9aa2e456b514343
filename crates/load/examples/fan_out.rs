//! What one update costs a server that tells it to many: stockd, Redis or NATS, under the same load.
//!
//! ```console
//! $ cargo build --profile dist -p stockd-load --examples
//! $ target/dist/examples/fan_out stockd 127.0.0.1:7879 PID 100 100 2000 1500
//! ```
//!
//! Arguments: the server (`stockd`, `redis` or `nats`), its address and the number of its process, subscribers, stocks that
//! each of them wants, updates a second, and milliseconds that are measured. `cargo xtask compare` runs it.
//! Prints JSON in the form of `stockd load`: CPU time of the server for each *message that a subscriber has read*,
//! messages a second, and their ages.
//!
//! An age counts from when the update was due to when the message is read, so a server that holds the publisher up
//! gets no younger messages by it. Redis and NATS pass every message on; stockd tells a subscriber that is behind the
//! latest of each stock, so where a server is not quick enough it makes fewer messages than they, and newer ones.
//! All messages have about the same bytes: the JSON of stockd, and its like.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};
use stockd_load::{Machine, ServerProcess};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Load before the measured part.
const WARMUP: Duration = Duration::from_millis(500);

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// The ages of one update in this number are kept.
const AGES_ONE_OF: u64 = 8;

/// How long subscribers may take to be subscribed.
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(30);

/// Updates that are written at once, at most.
const WRITTEN_TOGETHER_MAX: u64 = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Stockd,
    Redis,
    Nats,
}

struct Plan {
    program: Program,
    address: SocketAddr,
    server: ServerProcess,
    subscribers: usize,
    stocks: usize,
    rate: u64,
    measured: Duration,
}

/// What the threads know of each other.
struct Stage {
    plan: Plan,
    /// Since when updates are due.
    began: OnceLock<Instant>,
    /// Updates that were sent.
    sent: AtomicU64,
    /// Confirmations that were read.
    confirmed: AtomicU64,
    /// Messages that were read while that was measured.
    messages: AtomicU64,
    measures: AtomicBool,
    ended: AtomicBool,
}

/// What a server sends.
enum Item<'a> {
    Message(&'a [u8]),
    Confirmation,
    Other,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Plan::read(&arguments).and_then(measure) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fan_out: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Plan {
    fn read(arguments: &[String]) -> Result<Plan, Error> {
        let [program, address, pid, subscribers, stocks, rate, ms] = arguments else {
            return Err("give SERVER ADDRESS PID SUBSCRIBERS STOCKS RATE MS".into());
        };
        Ok(Plan {
            program: match program.as_str() {
                "stockd" => Program::Stockd,
                "redis" => Program::Redis,
                "nats" => Program::Nats,
                other => return Err(format!("'{other}' is none of stockd, redis, nats").into()),
            },
            address: address.parse()?,
            server: ServerProcess { pid: pid.parse()? },
            subscribers: subscribers.parse()?,
            stocks: stocks.parse()?,
            rate: rate.parse::<u64>()?.max(1),
            measured: Duration::from_millis(ms.parse()?),
        })
    }

    /// When an update is due, counted from 1.
    fn due(&self, update: u64) -> Duration {
        Duration::from_nanos((update - 1) * 1_000_000_000 / self.rate)
    }

    /// Updates that are due by then.
    fn due_by(&self, time: Duration) -> u64 {
        (time.as_nanos() * u128::from(self.rate) / 1_000_000_000) as u64 + 1
    }

    /// How many confirmations there are once all is subscribed to.
    fn confirmations(&self) -> u64 {
        let each = if self.program == Program::Nats { 1 } else { self.stocks };
        (self.subscribers * each) as u64
    }

    fn subscription(&self) -> Vec<u8> {
        let mut out = String::new();
        let names = (0..self.stocks).map(name);
        if self.program == Program::Nats {
            out += "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";
            names.enumerate().for_each(|(sid, name)| out += &format!("SUB {name} {sid}\r\n"));
            out += "PING\r\n";
        } else {
            out += &format!("*{}\r\n$9\r\nSUBSCRIBE\r\n", self.stocks + 1);
            names.for_each(|name| out += &format!("${}\r\n{name}\r\n", name.len()));
        }
        out.into_bytes()
    }

    /// Appends one update. Its number is the price.
    fn publish(&self, update: u64, out: &mut Vec<u8>) -> io::Result<()> {
        let name = name(update as usize % self.stocks);
        let price = update.to_string();
        if self.program == Program::Stockd {
            let length = price.len();
            return write!(
                out,
                "*4\r\n$4\r\nHSET\r\n${}\r\n{name}\r\n$5\r\nprice\r\n${length}\r\n{price}\r\n",
                name.len()
            );
        }
        let payload = format!(
            "{{\"symbol\":\"{name}\",\"price\":\"{price}\",\"volume\":\"1000\",\"status\":\"trading\",\
             \"version\":{update},\"updated\":\"2026-09-21T14:13:20.123456789Z\"}}"
        );
        let (length, bytes) = (name.len(), payload.len());
        match self.program {
            Program::Nats => write!(out, "PUB {name} {bytes}\r\n{payload}\r\n"),
            _ => write!(
                out,
                "*3\r\n$7\r\nPUBLISH\r\n${length}\r\n{name}\r\n${bytes}\r\n{payload}\r\n"
            ),
        }
    }
}

fn name(stock: usize) -> String {
    format!("S{stock:07}")
}

/// Runs the load once. Returns the report.
fn measure(plan: Plan) -> Result<Value, Error> {
    let mut poll = Poll::new()?;
    let subscribers = subscribe(&plan, &poll)?;
    let publisher = TcpStream::connect(plan.address)?;
    publisher.set_nodelay(true)?;
    let stage = Stage {
        plan,
        began: OnceLock::new(),
        sent: AtomicU64::new(0),
        confirmed: AtomicU64::new(0),
        messages: AtomicU64::new(0),
        measures: AtomicBool::new(false),
        ended: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(&mut poll, subscribers, &stage));
        let answers = publisher.try_clone()?;
        scope.spawn(move || io::copy(&mut &answers, &mut io::sink()));
        let figures = subscribed(&stage).and_then(|()| {
            scope.spawn(|| publish_all(&publisher, &stage));
            run(&stage)
        });
        stage.ended.store(true, Relaxed);
        // Neither the publisher nor who reads its answers waits any longer.
        publisher.shutdown(Shutdown::Both)?;
        let ages = reader.join().expect("it does not panic");
        Ok(report(&stage.plan, &figures?, ages?))
    })
}

fn subscribe(plan: &Plan, poll: &Poll) -> Result<Vec<(mio::net::TcpStream, Vec<u8>)>, Error> {
    let request = plan.subscription();
    let mut subscribers = Vec::with_capacity(plan.subscribers);
    for number in 0..plan.subscribers {
        let mut stream = TcpStream::connect(plan.address)?;
        stream.write_all(&request)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        subscribers.push((stream, Vec::new()));
    }
    Ok(subscribers)
}

/// Waits until all is subscribed to.
fn subscribed(stage: &Stage) -> Result<(), Error> {
    let until = Instant::now() + SUBSCRIBED_WITHIN;
    while stage.confirmed.load(Relaxed) < stage.plan.confirmations() {
        if Instant::now() > until {
            return Err("the subscriptions were not confirmed".into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// What was measured: CPU time of the server in nanoseconds, messages, updates, and the time it took.
struct Figures {
    cpu_ns: u64,
    messages: u64,
    updates: u64,
    late_updates: u64,
    time: Duration,
}

fn run(stage: &Stage) -> Result<Figures, Error> {
    thread::sleep(WARMUP);
    let now = || -> Result<_, Error> {
        let sent = stage.sent.load(Relaxed);
        Ok((Instant::now(), stage.plan.server.cpu_ns()?, stage.messages.load(Relaxed), sent))
    };
    stage.measures.store(true, Relaxed);
    let (began, cpu_before, messages_before, sent_before) = now()?;
    thread::sleep(stage.plan.measured);
    let (ended, cpu, messages, sent) = now()?;
    stage.measures.store(false, Relaxed);
    let due = stage.began.get().map_or(0, |since| stage.plan.due_by(ended - *since));
    Ok(Figures {
        cpu_ns: cpu - cpu_before,
        messages: messages - messages_before,
        updates: sent - sent_before,
        late_updates: due.saturating_sub(sent),
        time: ended - began,
    })
}

fn report(plan: &Plan, figures: &Figures, mut ages: Vec<u64>) -> Value {
    ages.sort_unstable();
    let age = |percent: usize| ages.get(ages.len().saturating_sub(1) * percent / 100);
    let a_second = |count: u64| count as f64 / figures.time.as_secs_f64();
    json!({
        "machine": serde_json::to_value(Machine::this()).unwrap_or_default(),
        "points": [{ "repetitions": [{
            "server_cpu_ns_per_lookup": figures.cpu_ns as f64 / figures.messages.max(1) as f64,
            "lookups_a_second": a_second(figures.messages),
            "updates_a_second": a_second(figures.updates),
            "server_cores": figures.cpu_ns as f64 / figures.time.as_nanos() as f64,
            "latency": { "p50_ns": age(50), "p99_ns": age(99) },
            // A tenth of a second of updates waits to be sent.
            "load_saturated": figures.late_updates > plan.rate / 10,
        }] }],
    })
}

/// Sends each update once it is due, with all others that are.
fn publish_all(mut stream: &TcpStream, stage: &Stage) -> io::Result<()> {
    let plan = &stage.plan;
    let mut out = Vec::new();
    if plan.program == Program::Nats {
        stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")?;
    }
    let began = *stage.began.get_or_init(Instant::now);
    let mut sent = 0;
    while !stage.ended.load(Relaxed) {
        let due = plan.due_by(began.elapsed());
        if sent >= due {
            thread::sleep(plan.due(sent + 1).saturating_sub(began.elapsed()));
            continue;
        }
        let last = due.min(sent + WRITTEN_TOGETHER_MAX);
        out.clear();
        for update in sent + 1..=last {
            plan.publish(update, &mut out)?;
        }
        stream.write_all(&out)?;
        sent = last;
        stage.sent.store(sent, Relaxed);
    }
    Ok(())
}

/// Reads what all subscribers are told. Returns ages, in nanoseconds.
fn read_all(
    poll: &mut Poll,
    mut subscribers: Vec<(mio::net::TcpStream, Vec<u8>)>,
    stage: &Stage,
) -> io::Result<Vec<u64>> {
    let mut events = Events::with_capacity(1024);
    let mut scratch = vec![0; READ_BYTES];
    let mut ages = Vec::new();
    while !stage.ended.load(Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(20)))?;
        for event in &events {
            let (stream, tail) = &mut subscribers[event.token().0];
            loop {
                let read = match stream.read(&mut scratch) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(read) => read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                };
                let (bytes, came) = (&scratch[..read], Instant::now());
                let rest = if tail.is_empty() {
                    take_items(bytes, came, stage, &mut ages)
                } else {
                    tail.extend_from_slice(bytes);
                    let whole = std::mem::take(tail);
                    let rest = take_items(&whole, came, stage, &mut ages);
                    tail.extend_from_slice(&whole[whole.len() - rest..]);
                    0
                };
                tail.extend_from_slice(&bytes[bytes.len() - rest..]);
                if read < READ_BYTES {
                    break;
                }
            }
        }
    }
    Ok(ages)
}

/// Takes note of all whole items. Returns how many bytes are left.
fn take_items(mut bytes: &[u8], came: Instant, stage: &Stage, ages: &mut Vec<u64>) -> usize {
    let is_nats = stage.plan.program == Program::Nats;
    let measures = stage.measures.load(Relaxed);
    let (mut messages, mut confirmed) = (0, 0);
    while let Some((item, rest)) = if is_nats { nats_item(bytes) } else { resp_item(bytes) } {
        bytes = rest;
        match item {
            Item::Message(payload) if measures => {
                let (Some(update), Some(began)) = (update_of(payload), stage.began.get()) else {
                    continue;
                };
                messages += 1;
                if update.is_multiple_of(AGES_ONE_OF) {
                    let age = came.saturating_duration_since(*began + stage.plan.due(update));
                    ages.push(age.as_nanos() as u64);
                }
            }
            Item::Confirmation => confirmed += 1,
            _ => {}
        }
    }
    stage.messages.fetch_add(messages, Relaxed);
    stage.confirmed.fetch_add(confirmed, Relaxed);
    bytes.len()
}

/// The number of an update, which is the price; none of what was told before the first.
fn update_of(payload: &[u8]) -> Option<u64> {
    const BEFORE: usize = "{\"symbol\":\"S0000000\",\"price\":\"".len();
    let digits = payload.get(BEFORE..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    let number = str::from_utf8(&digits[..end]).ok()?.parse().ok();
    number.filter(|_| digits[end] == b'"')
}

/// A line without its end, and what follows it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..end.checked_sub(1)?)?, &bytes[end + 1..]))
}

/// This number of bytes before the end of a line, and what follows.
fn sized(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    Some((bytes.get(..size)?, bytes.get(size + 2..)?))
}

fn number(digits: &[u8]) -> Option<usize> {
    str::from_utf8(digits).ok()?.parse().ok()
}

fn resp_item(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let bulk = |bytes| {
        let (head, rest) = line(bytes)?;
        sized(rest, number(head.strip_prefix(b"$")?)?)
    };
    let (_, rest) = line(bytes)?;
    let (kind, rest) = bulk(rest)?;
    let (_, rest) = bulk(rest)?;
    if kind == b"subscribe" {
        let (_, rest) = line(rest)?;
        return Some((Item::Confirmation, rest));
    }
    let (payload, rest) = bulk(rest)?;
    Some((Item::Message(payload), rest))
}

fn nats_item(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (head, rest) = line(bytes)?;
    if !head.starts_with(b"MSG ") {
        let item = if head == b"PONG" { Item::Confirmation } else { Item::Other };
        return Some((item, rest));
    }
    let size = head.rsplit(|byte| *byte == b' ').next()?;
    let (payload, rest) = sized(rest, number(size)?)?;
    Some((Item::Message(payload), rest))
}
