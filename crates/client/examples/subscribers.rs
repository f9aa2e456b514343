//! Many subscribers, one of them asleep, beside a writer at a given rate: does anybody lose the last
//! quote, does the sleeper cost the server memory, do the others notice it?
//!
//! ```console
//! $ cargo build --profile dist -p stockd
//! $ cargo run --profile dist -p stockd-client --example subscribers -- target/dist/stockd
//! ```
//!
//! Arguments after the server's program, in order, all optional: subscribers (100), stocks (1000),
//! updates a second (200000), seconds (10). One subscriber stops reading for half of that time,
//! after a fifth of it. Ends with 1 when a final quote is missing or a version went back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stockd_model::rfc3339;

/// Updates that are sent and not answered yet, at most.
const IN_FLIGHT_MAX: u64 = 20_000;

/// How long subscribers may take to catch up when the writer is done.
const CATCH_UP: Duration = Duration::from_secs(30);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What is to be staged.
#[derive(Clone, Copy)]
struct Plan {
    subscribers: usize,
    stocks: usize,
    rate: u64,
    time: Duration,
}

/// What one subscriber has seen: before the sleep, during it, and after.
#[derive(Default)]
struct Seen {
    messages: [u64; 3],
    /// Ages of every 64th message, in nanoseconds.
    ages: [Vec<u64>; 3],
    /// Whether it ended with the last version of every stock.
    complete: bool,
    went_back: u64,
    /// From the end of the writing until it had all.
    behind: Duration,
}

/// What all threads look at.
struct Stage {
    plan: Plan,
    address: String,
    began: OnceLock<Instant>,
    /// The last version of each stock, once the writer is done; and since when.
    last: OnceLock<(Instant, Vec<u64>)>,
    done: AtomicBool,
}

/// A server of our own.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> ExitCode {
    match play() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("subscribers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> Result<bool, Error> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().ok_or("name the stockd program to serve")?;
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let plan = Plan {
        subscribers: number(100)? as usize,
        stocks: number(1000)? as usize,
        rate: number(200_000)?,
        time: Duration::from_secs(number(10)?),
    };
    let (server, address) = serve(&program)?;
    let stage = Stage {
        plan,
        address,
        began: OnceLock::new(),
        last: OnceLock::new(),
        done: AtomicBool::new(false),
    };
    list(&stage)?;
    let resident_idle = resident_kib(&server)?;

    let outcome = thread::scope(|scope| -> Result<_, Error> {
        let readers: Vec<_> = (0..plan.subscribers)
            .map(|index| {
                let stream = subscribe(&stage)?;
                let stage = &stage;
                Ok(scope.spawn(move || read(stream, stage, index == 0)))
            })
            .collect::<Result<_, Error>>()?;
        let _ = stage.began.set(Instant::now());
        let memory = scope.spawn(|| watch_memory(&server, &stage));
        let written = write(&stage);
        if written.is_err() {
            // Nobody is to wait for a writer that failed.
            let _ = stage.last.set((Instant::now(), vec![0; plan.stocks]));
        }
        let seen: Vec<Seen> =
            readers.into_iter().map(|it| it.join().expect("it does not panic")).collect();
        stage.done.store(true, Relaxed);
        let resident = memory.join().expect("it does not panic")?;
        Ok((written?, seen, resident))
    });
    let (updates, seen, resident) = outcome?;
    let info = ask(&stage, "INFO stats")?;
    let conflated =
        info.lines().find_map(|line| line.strip_prefix("conflated_messages:")).unwrap_or("?");
    report(&stage, updates, &seen, resident_idle, &resident, conflated.trim());
    Ok(seen.iter().all(|seen| seen.complete && seen.went_back == 0))
}

fn report(
    stage: &Stage,
    updates: u64,
    seen: &[Seen],
    resident_idle: u64,
    resident: &[u64],
    conflated: &str,
) {
    let Plan { subscribers, stocks, rate, time } = stage.plan;
    let seconds = time.as_secs_f64();
    let (sleeper, others) = (&seen[0], &seen[1..]);
    println!("{subscribers} subscribers to {stocks} stocks each, {seconds:.0} s");
    println!(
        "updates           {updates} ({:.0} a second, asked for {rate})",
        updates as f64 / seconds
    );
    println!("conflated         {conflated} messages spared");
    for (phase, (name, share)) in
        [("before the sleep", 0.2), ("while one sleeps", 0.5), ("after it", 0.3)].iter().enumerate()
    {
        let rates: Vec<u64> = others
            .iter()
            .map(|seen| (seen.messages[phase] as f64 / (seconds * share)) as u64)
            .collect();
        let ages: Vec<u64> =
            others.iter().flat_map(|seen| seen.ages[phase].iter().copied()).collect();
        println!(
            "{name:<17} {:>7} messages a second each (median); age of a message: median {:.1} ms, p99 {:.1} ms",
            percentile(rates, 50),
            percentile(ages.clone(), 50) as f64 / 1e6,
            percentile(ages, 99) as f64 / 1e6,
        );
    }
    println!(
        "the sleeper       {} messages; had the last of all {:.0} ms after the last update",
        sleeper.messages.iter().sum::<u64>(),
        sleeper.behind.as_secs_f64() * 1e3
    );
    let slowest = others.iter().map(|seen| seen.behind).max().unwrap_or_default();
    println!("the others        the slowest had it after {:.0} ms", slowest.as_secs_f64() * 1e3);
    let mib = |kib: u64| kib as f64 / 1024.0;
    let third = resident.len() / 3;
    println!(
        "server memory     {:.1} MiB without subscribers; {:.1} to {:.1} MiB in the first third, {:.1} to {:.1} MiB in the last",
        mib(resident_idle),
        mib(resident[..third].iter().copied().min().unwrap_or(0)),
        mib(resident[..third].iter().copied().max().unwrap_or(0)),
        mib(resident[2 * third..].iter().copied().min().unwrap_or(0)),
        mib(resident[2 * third..].iter().copied().max().unwrap_or(0)),
    );
    let incomplete = seen.iter().filter(|seen| !seen.complete).count();
    let went_back: u64 = seen.iter().map(|seen| seen.went_back).sum();
    println!("lost final quotes {incomplete} subscribers; versions that went back: {went_back}");
}

fn percentile(mut figures: Vec<u64>, percent: usize) -> u64 {
    figures.sort_unstable();
    figures.get(figures.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0)
}

fn serve(program: &str) -> Result<(Server, String), Error> {
    let mut command = Command::new(program);
    command.args([
        "serve",
        "--ephemeral",
        "--line",
        "off",
        "--resp",
        "127.0.0.1:0",
        "--log",
        "error",
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take();
    let server = Server(child);
    let mut line = String::new();
    BufReader::new(output.ok_or("no output")?).read_line(&mut line)?;
    let address = line.trim().strip_prefix("resp ").ok_or("the server names no address")?;
    Ok((server, address.to_owned()))
}

fn list(stage: &Stage) -> Result<(), Error> {
    let mut stream = TcpStream::connect(&stage.address)?;
    for stock in 0..stage.plan.stocks {
        write!(stream, "HSET S{stock} price 1 volume 1\r\n")?;
    }
    let mut replies = BufReader::new(stream).lines();
    for _ in 0..stage.plan.stocks {
        let reply = replies.next().ok_or("the server has closed")??;
        if reply != ":2" {
            return Err(format!("a stock was not listed: {reply}").into());
        }
    }
    Ok(())
}

/// Sends one command and returns all lines of its reply that come with it.
fn ask(stage: &Stage, command: &str) -> Result<String, Error> {
    let mut stream = TcpStream::connect(&stage.address)?;
    write!(stream, "{command}\r\nQUIT\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

fn subscribe(stage: &Stage) -> Result<TcpStream, Error> {
    let mut stream = TcpStream::connect(&stage.address)?;
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    let symbols: Vec<String> = (0..stage.plan.stocks).map(|stock| format!("S{stock}")).collect();
    write!(stream, "SUBSCRIBE {}\r\n", symbols.join(" "))?;
    Ok(stream)
}

/// Reads until it has the last version of every stock, or time is up.
fn read(mut stream: TcpStream, stage: &Stage, sleeps: bool) -> Seen {
    let mut seen = Seen::default();
    let mut versions = vec![0; stage.plan.stocks];
    let mut buffer = vec![0; 64 * 1024];
    let mut kept = 0;
    let mut slept = false;
    loop {
        let elapsed = stage.began.get().map_or(Duration::ZERO, Instant::elapsed);
        let phase = phase(elapsed, stage.plan.time);
        if sleeps && phase == 1 && !slept {
            slept = true;
            thread::sleep(stage.plan.time / 2);
            continue;
        }
        match stream.read(&mut buffer[kept..]) {
            Ok(0) => return seen,
            Ok(bytes) => {
                let filled = kept + bytes;
                let end =
                    buffer[..filled].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                for line in buffer[..end].split(|&byte| byte == b'\n') {
                    if line.first() == Some(&b'{') {
                        note(line, phase, &mut versions, &mut seen);
                    }
                }
                buffer.copy_within(end..filled, 0);
                kept = filled - end;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return seen,
        }
        if let Some((since, last)) = stage.last.get() {
            seen.behind = since.elapsed();
            seen.complete = versions == *last;
            if seen.complete || seen.behind > CATCH_UP {
                return seen;
            }
        }
    }
}

/// 0 before the sleep, 1 during it, 2 after it.
fn phase(elapsed: Duration, time: Duration) -> usize {
    match elapsed.as_secs_f64() / time.as_secs_f64() {
        ..0.2 => 0,
        0.2..0.7 => 1,
        _ => 2,
    }
}

/// Notes a message: `{"symbol":"S17","price":…,"version":5,"updated":"2026-09-21T…Z"}`.
fn note(line: &[u8], phase: usize, versions: &mut [u64], seen: &mut Seen) {
    let number_after = |key: &[u8]| {
        let at = line.windows(key.len()).position(|window| window == key)? + key.len();
        let digits = line[at..].iter().take_while(|byte| byte.is_ascii_digit());
        Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
    };
    let (Some(stock), Some(version)) = (number_after(b"\"S"), number_after(b"\"version\":")) else {
        seen.went_back += 1;
        return;
    };
    seen.messages[phase] += 1;
    if let Some(before) = versions.get_mut(stock as usize) {
        seen.went_back += u64::from(version <= *before);
        *before = version;
    }
    if seen.messages[phase].is_multiple_of(64) {
        let key = b"\"updated\":\"";
        let at = line.windows(key.len()).position(|window| window == key).map(|at| at + key.len());
        let text = at.and_then(|at| line.get(at..at + rfc3339::BYTES)).unwrap_or_default();
        let updated = rfc3339::parse(text).and_then(|ns| ns.try_into().ok()).unwrap_or(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        seen.ages[phase].push((now.as_nanos() as u64).saturating_sub(updated));
    }
}

/// Updates stocks in turn at the planned rate, or as near to it as the server answers. Then tells
/// everybody the last version of each. Returns how many updates that were.
fn write(stage: &Stage) -> Result<u64, Error> {
    let mut stream = TcpStream::connect(&stage.address)?;
    let answered = AtomicU64::new(0);
    let replies = stream.try_clone()?;
    let sent = thread::scope(|scope| -> Result<u64, Error> {
        scope.spawn(|| count_replies(replies, &answered));
        let began = Instant::now();
        let mut sent = 0;
        let mut commands = Vec::new();
        while began.elapsed() < stage.plan.time {
            let due = (began.elapsed().as_secs_f64() * stage.plan.rate as f64) as u64;
            let room = IN_FLIGHT_MAX - (sent - answered.load(Relaxed)).min(IN_FLIGHT_MAX);
            commands.clear();
            let until = due.min(sent + room);
            for update in sent..until {
                let stock = update % stage.plan.stocks as u64;
                let symbol = format!("S{stock}");
                write!(
                    commands,
                    "*4\r\n$4\r\nHSET\r\n${}\r\n{symbol}\r\n$5\r\nprice\r\n$5\r\n{:05}\r\n",
                    symbol.len(),
                    update % 90_000 + 10_000
                )?;
            }
            sent = until.max(sent);
            stream.write_all(&commands)?;
            thread::sleep(Duration::from_millis(1));
        }
        stream.write_all(b"QUIT\r\n")?;
        Ok(sent)
    })?;
    let ended = Instant::now();
    let asked: String =
        (0..stage.plan.stocks).map(|stock| format!("HGET S{stock} version\r\n")).collect();
    let reply = ask(stage, asked.trim_end())?;
    let last = reply.lines().filter(|line| line.starts_with(|it: char| it.is_ascii_digit()));
    let last: Vec<u64> = last.map(str::parse).collect::<Result<_, _>>()?;
    if last.len() != stage.plan.stocks {
        return Err("the server does not name every version".into());
    }
    let _ = stage.last.set((ended, last));
    Ok(sent)
}

/// Each update is answered with a line.
fn count_replies(mut stream: TcpStream, answered: &AtomicU64) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        let lines = buffer[..bytes].iter().filter(|&&byte| byte == b'\n').count();
        answered.fetch_add(lines as u64, Relaxed);
    }
}

/// Resident memory of the server, five times a second (Linux: proc(5)).
fn watch_memory(server: &Server, stage: &Stage) -> Result<Vec<u64>, Error> {
    let mut resident = Vec::new();
    while !stage.done.load(Relaxed) && stage.last.get().is_none() {
        resident.push(resident_kib(server)?);
        thread::sleep(Duration::from_millis(200));
    }
    Ok(resident)
}

fn resident_kib(server: &Server) -> Result<u64, Error> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.0.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
