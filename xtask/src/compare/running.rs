//! A peer that runs: how it is started, filled and put under load.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::bench::{Bench, on_core};
use super::peer::{self, Peer, Program};
use super::redis_benchmark;
use super::scenario::{FanOut, Keeps, SWEPT_LOAD, Scenario};
use crate::packages;

/// A server that listens.
pub(super) struct Running {
    pub(super) peer: Peer,
    process: Child,
    /// In the form that `stockd load` takes.
    address: String,
    /// The names to ask for; `None` for the names that `stockd load` generates.
    names: Option<PathBuf>,
}

/// How long a server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The part of a run that is measured where subscribers are told: there are many runs, each with thousands of messages.
const FAN_OUT_MEASURED: Duration = Duration::from_secs(1);

/// A server that has used no processor for this long is idle.
const SETTLED_AFTER: Duration = Duration::from_millis(60);

/// How long a server may take to become idle.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time of load before measuring begins.
const WARMUP: &str = "300ms";

impl Running {
    /// Starts it on the first core and gives it its stocks. `None` when it is not on this machine.
    pub(super) fn start(
        peer: Peer,
        bench: &Bench<'_>,
        scenario: &Scenario,
    ) -> Result<Option<Running>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        // Its own, though an earlier server may have had the port.
        let data = tempfile::tempdir_in(bench.scratch)?.keep();
        let socket = peer.unix.then(|| data.join("socket"));
        let address = match &socket {
            Some(path) => format!("unix:{}", path.display()),
            None => format!("127.0.0.1:{port}"),
        };
        let listens = || match &socket {
            Some(path) => UnixStream::connect(path).is_ok(),
            None => TcpStream::connect(&address).is_ok(),
        };
        let launch = Launch { peer, bench, scenario, port, address: &address, data: &data };
        let Some(mut command) = launch.command()? else {
            return Ok(None);
        };
        let log = File::create(data.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().with_context(|| format!("cannot start {}", peer.name()))?;
        let names = match peer.program {
            // What an echo server answers has to look like a price.
            Program::Echo => Some(bench.scratch.join("prices.txt")),
            _ => peer.by_redis_benchmark.then(|| data.join("stocks.csv")),
        };
        let mut running = Running { peer, process, address: address.clone(), names };
        let deadline = Instant::now() + START_TIMEOUT;
        while !listens() {
            if let Some(status) = running.process.try_wait()? {
                let log = fs::read_to_string(data.join("log"))?;
                bail!("{} ended with {status}: {log}", peer.name());
            }
            ensure!(Instant::now() < deadline, "{} does not listen on {address}", peer.name());
            std::thread::sleep(Duration::from_millis(20));
        }
        if scenario.fan_out.is_none() {
            running.fill(bench, scenario)?;
        }
        Ok(Some(running))
    }

    /// Puts it under the load of the scenario once. Returns the report of `stockd load`, or one in
    /// that form.
    pub(super) fn load(&self, bench: &Bench<'_>, scenario: &Scenario) -> Result<Value> {
        if self.peer.by_redis_benchmark {
            return redis_benchmark::load(bench, scenario, self.process.id(), &self.address);
        }
        if let Some(fan_out) = &scenario.fan_out {
            return self.tell_many(bench, scenario, fan_out);
        }
        let writer = scenario.beside_writer.then(|| self.writer(bench, scenario)).transpose()?;
        let mut command = self.generator(bench, scenario);
        command.args(["--connections", &scenario.connections.to_string()]);
        command.args(["--pipeline", &scenario.pipeline.to_string()]);
        command.args(["--mget", &scenario.mget.to_string()]);
        command.args(["--updates", &scenario.updates.to_string()]);
        // Whole rounds are repeated, not runs.
        command.args(["--repeats", "0", "--warmup", WARMUP, "--json", "-"]);
        command.args(["--duration", &format!("{}ms", bench.measured.as_millis())]);
        command.args(["--pid", &self.process.id().to_string()]);
        let report = report(&mut command);
        drop(writer);
        report
    }

    /// Has it tell subscribers of updates.
    fn tell_many(&self, bench: &Bench<'_>, scenario: &Scenario, fan_out: &FanOut) -> Result<Value> {
        let mut command = on_core(1, bench.stockd.with_file_name("examples").join("fan_out"));
        command.arg(match self.peer.program {
            Program::Redis => "redis",
            Program::Nats => "nats",
            _ => "stockd",
        });
        command.arg(&self.address);
        let ms = bench.measured.min(FAN_OUT_MEASURED).as_millis() as usize;
        let pid = self.process.id() as usize;
        let numbers = [pid, fan_out.subscribers, scenario.stocks, fan_out.rate, ms];
        command.args(numbers.map(|number| number.to_string()));
        let report = report(&mut command);
        self.settle();
        report
    }

    /// Waits until the server has done with what the last run has left behind, so that it does not disturb the next
    /// one; but not for ever.
    fn settle(&self) {
        let until = Instant::now() + SETTLE_TIMEOUT;
        let mut before = None;
        while Instant::now() < until {
            let ticks = cpu_ticks(self.process.id());
            if ticks.is_none() || ticks == before {
                return;
            }
            before = ticks;
            std::thread::sleep(SETTLED_AFTER);
        }
    }

    /// Puts it under loads of different size. Returns the report.
    pub(super) fn sweep(&self, bench: &Bench<'_>, values: &str) -> Result<Value> {
        let mut command = self.generator(bench, &SWEPT_LOAD);
        command.args(["--sweep", values, "--warmup", WARMUP, "--json", "-"]);
        command.args(["--duration", &format!("{}ms", bench.measured.as_millis())]);
        command.args(["--pid", &self.process.id().to_string(), "--label", &self.peer.name()]);
        report(&mut command)
    }

    fn fill(&self, bench: &Bench<'_>, scenario: &Scenario) -> Result<()> {
        if !self.peer.wants_filling() {
            return Ok(());
        }
        let mut command = self.generator(bench, scenario);
        command.args(["--fill", "--requests", "1", "--connections", "1", "--json", "-"]);
        report(&mut command).map(|_| ())
    }

    /// A client that updates all the time, one write after the other, beside the load.
    fn writer(&self, bench: &Bench<'_>, scenario: &Scenario) -> Result<Beside> {
        let mut command = self.generator(bench, scenario);
        command.args(["--connections", "1", "--updates", "100", "--duration", "60s"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Beside(command.spawn().context("cannot start a writer beside the load")?))
    }

    /// `stockd load` on the second core, for this server and its stocks.
    fn generator(&self, bench: &Bench<'_>, scenario: &Scenario) -> Command {
        let mut command = on_core(1, &bench.stockd);
        command.args(["load", "--server", &self.address]);
        command.args(self.peer.protocol());
        match &self.names {
            Some(names) => command.arg("--names").arg(names),
            None => command.args(["--stocks", &scenario.stocks.to_string()]),
        };
        command
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How a peer is started: on which address, with which stocks, and where it may write.
struct Launch<'a> {
    peer: Peer,
    bench: &'a Bench<'a>,
    scenario: &'a Scenario,
    port: u16,
    address: &'a str,
    data: &'a Path,
}

impl Launch<'_> {
    /// The command of the peer; `None` when it is not on this machine.
    fn command(&self) -> Result<Option<Command>> {
        let port = self.port.to_string();
        Ok(match self.peer.program {
            Program::Echo => {
                let mut command = self.example("echo");
                command.arg(self.address);
                Some(command)
            }
            Program::ThreadPerConnection => {
                let mut command = self.example("thread_per_connection");
                command.arg(self.address).arg(self.stocks()?);
                Some(command)
            }
            Program::PythonThreadPool => {
                let script = self.bench.workspace.absolute("benchmarks/thread_pool.py");
                let stocks = self.stocks()?;
                installed("python3").map(|mut command| {
                    command.arg(script).arg(&port).arg(stocks);
                    command
                })
            }
            Program::StockdLine => Some(self.stockd("--line", "--resp")?),
            Program::StockdResp => Some(self.stockd("--resp", "--line")?),
            Program::Redis => self.redis("redis-server")?,
            Program::Valkey => self.redis("valkey-server")?,
            Program::Memcached => installed("memcached").map(|mut command| {
                command.args(["-l", "127.0.0.1", "-p", &port, "-t", "1", "-u", "nobody"]);
                command.args(["-m", "512", "-c", "1024"]);
                command
            }),
            Program::Pogocache => installed("pogocache").map(|mut command| {
                command.args(["-h", "127.0.0.1", "-p", &port, "--threads", "1"]);
                command
            }),
            Program::Nats => peer::nats_server(self.bench).map(|program| {
                let mut command = on_core(0, program);
                command.args(["--addr", "127.0.0.1", "--port", &port]);
                command
            }),
            Program::Dragonfly => installed("dragonfly").map(|mut command| {
                command.args(["--bind", "127.0.0.1", "--port", &port, "--proactor_threads", "1"]);
                command.arg("--dir").arg(self.data);
                command
            }),
        })
    }

    fn stockd(&self, own: &str, other: &str) -> Result<Command> {
        let mut command = on_core(0, &self.bench.stockd);
        command.args(["serve", "--workers", "1", "--log", "warn", "--http", "off"]);
        command.args([own, self.address, other, "off"]).arg("--catalog").arg(self.stocks()?);
        let sync = match self.scenario.keeps {
            Keeps::Nothing => {
                command.arg("--ephemeral");
                return Ok(command);
            }
            Keeps::EachWrite => "always",
            Keeps::EachSecond => "interval=1000",
        };
        command.args(["--sync", sync, "--data-dir"]).arg(self.data.join("data"));
        Ok(command)
    }

    fn redis(&self, program: &'static str) -> Result<Option<Command>> {
        let Some(mut command) = installed(program) else { return Ok(None) };
        if self.peer.by_redis_benchmark {
            // The names that it is filled with.
            self.stocks()?;
        }
        command.args(["--save", "", "--bind", "127.0.0.1"]);
        match self.address.strip_prefix("unix:") {
            Some(path) => command.args(["--port", "0", "--unixsocket", path]),
            None => command.args(["--port", &self.port.to_string()]),
        };
        // Subscribers who are behind are not sent away.
        command.args(["--client-output-buffer-limit", "pubsub 0 0 0"]);
        let (keeps, sync) = match self.scenario.keeps {
            Keeps::Nothing => ("no", "no"),
            Keeps::EachWrite => ("yes", "always"),
            Keeps::EachSecond => ("yes", "everysec"),
        };
        command.args(["--appendonly", keeps, "--appendfsync", sync, "--dir"]).arg(self.data);
        Ok(Some(command))
    }

    fn example(&self, name: &str) -> Command {
        on_core(0, self.bench.stockd.with_file_name("examples").join(name))
    }

    /// Writes the stocks of the scenario into a file.
    fn stocks(&self) -> Result<PathBuf> {
        let path = self.data.join("stocks.csv");
        let digits = if self.peer.by_redis_benchmark { 12 } else { 7 };
        write_stocks(&path, self.scenario.stocks, digits)?;
        Ok(path)
    }
}

/// A program on the first core; `None` when it is not on this machine.
fn installed(program: &'static str) -> Option<Command> {
    packages::is_installed(program).then(|| on_core(0, program))
}

/// A process that is killed when this is dropped.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes the names for echo servers, which have the length of stock names.
pub(super) fn write_echo_names(scratch: &Path) -> Result<()> {
    let mut names = String::new();
    for name in 10_000_000..10_010_000 {
        names += &format!("{name}\n");
    }
    fs::write(scratch.join("prices.txt"), names).context("cannot write names")
}

/// The stocks that `stockd load --stocks N` asks for, with numbers of 7 digits, or redis-benchmark
/// with 12.
fn write_stocks(path: &Path, stocks: usize, digits: usize) -> Result<()> {
    let mut file = std::io::BufWriter::new(File::create(path)?);
    writeln!(file, "symbol,price,volume")?;
    for stock in 0..stocks {
        writeln!(file, "S{stock:0digits$},{}.5,1000", 100 + stock % 900)?;
    }
    file.flush().context("cannot write stocks")
}

/// Processor time of a process, in ticks of the system.
fn cpu_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may have spaces: the state is the third field, and the times are the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// Runs the load generator to its end.
fn report(command: &mut Command) -> Result<Value> {
    let output = command.stdin(Stdio::null()).output().context("cannot run the load generator")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the load generator: {}: {said}", output.status);
    serde_json::from_slice(&output.stdout).context("the load generator printed no JSON")
}
