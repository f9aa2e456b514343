//! The servers that are compared: how each is started, filled and put under load.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::scenario::{SWEPT_LOAD, Scenario};
use super::{Bench, redis_benchmark};
use crate::packages;

/// A server, how it is reached, and who asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    program: Program,
    /// Whether it listens on a Unix socket.
    unix: bool,
    /// Whether redis-benchmark asks it, and not `stockd load`.
    by_redis_benchmark: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// A bare echo server, one thread: what sockets cost alone.
    Echo,
    StockdLine,
    StockdResp,
    Redis,
    Memcached,
    Valkey,
    Pogocache,
    Dragonfly,
    /// A blocking server with a thread for each connection.
    ThreadPerConnection,
    /// A pool of ten threads in Python: the textbook.
    PythonThreadPool,
}

/// A server that listens.
pub(super) struct Running {
    pub(super) peer: Peer,
    process: Child,
    /// As `stockd load` takes it.
    address: String,
    /// The names that it is asked for, where they are not those that `stockd load` makes up.
    names: Option<PathBuf>,
}

/// How long a server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Before what is measured.
const WARMUP: &str = "300ms";

/// Installs the peers that Debian has, where that is possible.
pub(super) fn install() -> Result<()> {
    packages::install(&[
        ("redis-server", "redis-server"),
        ("redis-benchmark", "redis-tools"),
        ("memcached", "memcached"),
        ("taskset", "util-linux"),
        ("python3", "python3"),
    ])
}

impl Peer {
    pub(super) const ECHO: Peer = Peer::of(Program::Echo);
    pub(super) const LINE: Peer = Peer::of(Program::StockdLine);
    pub(super) const RESP: Peer = Peer::of(Program::StockdResp);
    pub(super) const REDIS: Peer = Peer::of(Program::Redis);
    pub(super) const MEMCACHED: Peer = Peer::of(Program::Memcached);
    pub(super) const VALKEY: Peer = Peer::of(Program::Valkey);
    pub(super) const POGOCACHE: Peer = Peer::of(Program::Pogocache);
    pub(super) const DRAGONFLY: Peer = Peer::of(Program::Dragonfly);
    pub(super) const THREAD_PER_CONNECTION: Peer = Peer::of(Program::ThreadPerConnection);
    pub(super) const PYTHON_THREAD_POOL: Peer = Peer::of(Program::PythonThreadPool);

    const fn of(program: Program) -> Peer {
        Peer { program, unix: false, by_redis_benchmark: false }
    }

    pub(super) const fn over_unix(self) -> Peer {
        Peer { unix: true, ..self }
    }

    pub(super) const fn by_redis_benchmark(self) -> Peer {
        Peer { by_redis_benchmark: true, ..self }
    }

    pub(super) fn name(self) -> String {
        let program = match self.program {
            Program::Echo => "bare echo",
            Program::StockdLine | Program::StockdResp => "stockd",
            Program::Redis => "Redis",
            Program::Memcached => "memcached, mg",
            Program::Valkey => "Valkey",
            Program::Pogocache => "Pogocache, 1 thread",
            Program::Dragonfly => "Dragonfly, 1 thread",
            Program::ThreadPerConnection => "a thread a connection",
            Program::PythonThreadPool => "Python, 10 threads",
        };
        let socket = if self.unix { ", Unix" } else { "" };
        let generator = if self.by_redis_benchmark { ", by redis-benchmark" } else { "" };
        [program, socket, generator].concat()
    }

    /// Starts it on the first core and gives it its stocks. `None` when it is not on this machine.
    pub(super) fn start(self, bench: &Bench<'_>, scenario: &Scenario) -> Result<Option<Running>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        // Its own, though an earlier server may have had the port.
        let data = tempfile::tempdir_in(bench.scratch)?.keep();
        let socket = self.unix.then(|| data.join("socket"));
        let address = match &socket {
            Some(path) => format!("unix:{}", path.display()),
            None => format!("127.0.0.1:{port}"),
        };
        let listens = || match &socket {
            Some(path) => UnixStream::connect(path).is_ok(),
            None => TcpStream::connect(&address).is_ok(),
        };
        let Some(mut command) = self.command(bench, scenario, port, &address, &data)? else {
            return Ok(None);
        };
        let log = File::create(data.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().with_context(|| format!("cannot start {}", self.name()))?;
        let names = match self.program {
            // What an echo server answers has to look like a price.
            Program::Echo => Some(bench.scratch.join("prices.txt")),
            _ => self.by_redis_benchmark.then(|| data.join("stocks.csv")),
        };
        let mut running = Running { peer: self, process, address: address.clone(), names };
        let deadline = Instant::now() + START_TIMEOUT;
        while !listens() {
            if let Some(status) = running.process.try_wait()? {
                let log = fs::read_to_string(data.join("log"))?;
                bail!("{} ended with {status}: {log}", self.name());
            }
            ensure!(Instant::now() < deadline, "{} does not listen on {address}", self.name());
            std::thread::sleep(Duration::from_millis(20));
        }
        running.fill(bench, scenario)?;
        Ok(Some(running))
    }

    fn command(
        self,
        bench: &Bench<'_>,
        scenario: &Scenario,
        port: u16,
        address: &str,
        data: &Path,
    ) -> Result<Option<Command>> {
        let found = |program: &'static str| packages::is_installed(program).then_some(program);
        let port = port.to_string();
        let example = |name: &str| bench.stockd.with_file_name("examples").join(name);
        let stocks = || -> Result<PathBuf> {
            let path = data.join("stocks.csv");
            write_stocks(&path, scenario.stocks, if self.by_redis_benchmark { 12 } else { 7 })?;
            Ok(path)
        };
        let durable = scenario.durable;
        Ok(Some(match self.program {
            Program::Echo => {
                let mut command = on_core(0, example("echo"));
                command.arg(address);
                command
            }
            Program::ThreadPerConnection => {
                let mut command = on_core(0, example("thread_per_connection"));
                command.arg(address).arg(stocks()?);
                command
            }
            Program::PythonThreadPool => {
                let Some(python) = found("python3") else { return Ok(None) };
                let script = bench.workspace.absolute("benchmarks/thread_pool.py");
                let mut command = on_core(0, python);
                command.arg(script).arg(&port).arg(stocks()?);
                command
            }
            Program::StockdLine | Program::StockdResp => {
                let (own, other) = match self.program {
                    Program::StockdResp => ("--resp", "--line"),
                    _ => ("--line", "--resp"),
                };
                let mut command = on_core(0, &bench.stockd);
                command.args(["serve", "--workers", "1", "--log", "warn"]);
                command.args([own, address, other, "off"]).arg("--catalog").arg(stocks()?);
                match durable {
                    true => command.args(["--sync", "always", "--data-dir"]).arg(data.join("data")),
                    false => command.arg("--ephemeral"),
                };
                command
            }
            Program::Redis | Program::Valkey => {
                let program = match self.program {
                    Program::Valkey => "valkey-server",
                    _ => "redis-server",
                };
                let Some(program) = found(program) else { return Ok(None) };
                if self.by_redis_benchmark {
                    // The names that it is filled with.
                    stocks()?;
                }
                let mut command = on_core(0, program);
                command.args(["--save", "", "--bind", "127.0.0.1"]);
                match address.strip_prefix("unix:") {
                    Some(path) => command.args(["--port", "0", "--unixsocket", path]),
                    None => command.args(["--port", &port]),
                };
                command.args(["--appendonly", if durable { "yes" } else { "no" }]);
                command.args(["--appendfsync", "always", "--dir"]).arg(data);
                command
            }
            Program::Memcached => {
                let Some(program) = found("memcached") else { return Ok(None) };
                let mut command = on_core(0, program);
                command.args(["-l", "127.0.0.1", "-p", &port, "-t", "1", "-u", "nobody"]);
                command.args(["-m", "512", "-c", "1024"]);
                command
            }
            Program::Pogocache => {
                let Some(program) = found("pogocache") else { return Ok(None) };
                let mut command = on_core(0, program);
                command.args(["-h", "127.0.0.1", "-p", &port, "--threads", "1"]);
                command
            }
            Program::Dragonfly => {
                let Some(program) = found("dragonfly") else { return Ok(None) };
                let mut command = on_core(0, program);
                command.args(["--bind", "127.0.0.1", "--port", &port, "--proactor_threads", "1"]);
                command.arg("--dir").arg(data);
                command
            }
        }))
    }

    /// How the load generator speaks with it.
    fn protocol(self) -> &'static [&'static str] {
        match self.program {
            Program::Echo
            | Program::StockdLine
            | Program::ThreadPerConnection
            | Program::PythonThreadPool => &["--protocol", "line"],
            Program::StockdResp => &["--protocol", "resp"],
            Program::Redis | Program::Valkey | Program::Pogocache | Program::Dragonfly => {
                &["--protocol", "resp", "--fill-with", "set"]
            }
            Program::Memcached => &["--protocol", "memcached", "--memcached-meta"],
        }
    }

    /// Whether it knows its stocks only when it is told.
    fn wants_filling(self) -> bool {
        self.protocol().contains(&"--fill-with") || self.program == Program::Memcached
    }
}

impl Running {
    /// Puts it under the load of the scenario once: what `stockd load` reports, or as it would.
    pub(super) fn load(&self, bench: &Bench<'_>, scenario: &Scenario) -> Result<Value> {
        if self.peer.by_redis_benchmark {
            return redis_benchmark::load(bench, scenario, self.process.id(), &self.address);
        }
        let writer = scenario.beside_writer.then(|| self.writer(bench, scenario)).transpose()?;
        let mut command = self.generator(bench, scenario);
        command.args(["--connections", &scenario.connections.to_string()]);
        command.args(["--pipeline", &scenario.pipeline.to_string()]);
        command.args(["--mget", &scenario.mget.to_string()]);
        command.args(["--updates", &scenario.updates.to_string()]);
        command.args(["--warmup", WARMUP, "--json", "-"]);
        command.args(["--duration", &format!("{}ms", bench.measured.as_millis())]);
        command.args(["--pid", &self.process.id().to_string()]);
        let report = report(&mut command);
        drop(writer);
        report
    }

    /// Puts it under loads of different size: the whole report.
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

/// A process that is ended when the load has.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes the names that echo servers are asked, as long as those of stocks.
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

/// Runs the load generator to its end.
fn report(command: &mut Command) -> Result<Value> {
    let output = command.stdin(Stdio::null()).output().context("cannot run stockd load")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "stockd load: {}: {said}", output.status);
    serde_json::from_slice(&output.stdout).context("stockd load printed no JSON")
}

/// A program bound to one core.
pub(super) fn on_core(core: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}
