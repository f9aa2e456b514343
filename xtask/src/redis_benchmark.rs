//! Redis's own load generator against stockd and against Redis, side by side.
//!
//! Both servers run on the first core and redis-benchmark on the second. Runs are interleaved, so
//! that a machine whose speed drifts treats both alike, and compared pair by pair. The steadiest
//! figure is the server's own CPU time for each request, from the scheduler's accounting of its
//! threads; requests a second depend on the load generator too, which is often the slower of the
//! two.
//!
//! Every run is a line of JSON in docs/benchmarks/records, with the machine, the versions and the
//! command; what is printed at the end is the table of docs/benchmarks.md.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::build::release_binary;
use crate::workspace::Workspace;

/// Stocks that both servers know: `S000000000000` and on, as redis-benchmark numbers its keys.
const STOCKS: usize = 10_000;

/// Interleaved pairs of runs of each scenario.
const PAIRS: usize = 5;

/// How long a server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// One way to ask.
struct Scenario {
    name: &'static str,
    clients: usize,
    pipeline: usize,
    commands: usize,
    /// Lookups in one command.
    lookups: usize,
}

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "GET", clients: 50, pipeline: 1, commands: 200_000, lookups: 1 },
    Scenario { name: "GET", clients: 50, pipeline: 16, commands: 2_000_000, lookups: 1 },
    Scenario { name: "GET", clients: 8, pipeline: 256, commands: 4_000_000, lookups: 1 },
    Scenario { name: "MGET of 100", clients: 50, pipeline: 1, commands: 40_000, lookups: 100 },
    // The same with less of the kernel's work in it.
    Scenario { name: "MGET of 100", clients: 50, pipeline: 16, commands: 80_000, lookups: 100 },
];

/// A running server.
struct Server {
    name: &'static str,
    process: Child,
    port: u16,
}

/// What one run has measured.
struct Run {
    lookups_a_second: f64,
    cpu_ns_a_lookup: f64,
}

/// Runs all scenarios and writes the record. Takes about three minutes.
pub(crate) fn run(workspace: &Workspace, _: &[String]) -> Result<()> {
    for tool in ["redis-server", "redis-benchmark", "taskset"] {
        let found = Command::new(tool).arg("--version").stdout(Stdio::null()).status();
        found.with_context(|| format!("{tool} is needed; on Debian: apt-get install redis"))?;
    }
    let directory = tempfile::tempdir()?;
    let ours = Server::stockd(workspace, directory.path())?;
    let theirs = Server::redis(directory.path())?;
    let mut record = record_head()?;
    let mut table = String::from(
        "| command | connections × pipelined | stockd, server CPU ns a lookup | Redis | ratio (min to max of the pairs) | lookups a second, stockd / Redis |\n|---|---|---|---|---|---|\n",
    );
    for scenario in SCENARIOS {
        let mut pairs = Vec::new();
        // The first pair warms up and does not count.
        for pair in 0..=PAIRS {
            let (one, other) = (scenario.run(&ours)?, scenario.run(&theirs)?);
            if pair > 0 {
                record_run(&mut record, scenario, &ours, &one)?;
                record_run(&mut record, scenario, &theirs, &other)?;
                pairs.push((one, other));
            }
        }
        writeln!(table, "{}", row(scenario, &pairs))?;
    }
    let path =
        workspace.absolute(format!("docs/benchmarks/records/{}-redis-benchmark.jsonl", today()?));
    fs::create_dir_all(path.parent().context("a record lies in a directory")?)?;
    fs::write(&path, record).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{table}\nrecord: {}", path.display());
    Ok(())
}

impl Server {
    fn stockd(workspace: &Workspace, directory: &Path) -> Result<Server> {
        let catalog = directory.join("catalog.csv");
        let mut rows = String::from("symbol,price,volume\n");
        for stock in 0..STOCKS {
            writeln!(rows, "S{stock:012},172.5,1000")?;
        }
        fs::write(&catalog, rows)?;
        let port = free_port()?;
        let mut command = on_core(0, release_binary(workspace)?);
        command.args(["serve", "--ephemeral", "--workers", "1", "--line", "off", "--log", "error"]);
        command.args(["--resp", &format!("127.0.0.1:{port}")]).arg("--catalog").arg(catalog);
        Server::start("stockd", command, port)
    }

    fn redis(directory: &Path) -> Result<Server> {
        let port = free_port()?;
        let mut command = on_core(0, "redis-server");
        command.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]);
        command.args(["--port", &port.to_string()]).arg("--dir").arg(directory);
        let server = Server::start("Redis", command, port)?;
        let mut load = TcpStream::connect(("127.0.0.1", port))?;
        let mut commands = String::new();
        for stock in 0..STOCKS {
            write!(commands, "SET S{stock:012} 172.5\r\n")?;
        }
        // The replies are small enough to wait in the socket until it is closed.
        load.write_all(commands.as_bytes())?;
        Ok(server)
    }

    fn start(name: &'static str, mut command: Command, port: u16) -> Result<Server> {
        let process = command.stdout(Stdio::null()).spawn()?;
        let mut server = Server { name, process, port };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.process.try_wait()? {
                bail!("{name} ended with {status}");
            }
            ensure!(Instant::now() < deadline, "{name} does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// CPU time of all its threads so far (Linux: proc(5), `schedstat`).
    fn cpu_ns(&self) -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            sum += text.split(' ').next().context("no CPU time")?.parse::<u64>()?;
        }
        Ok(sum)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Scenario {
    fn run(&self, server: &Server) -> Result<Run> {
        let mut command = on_core(1, "redis-benchmark");
        command.args(["-p", &server.port.to_string(), "-c", &self.clients.to_string()]);
        command.args(["-P", &self.pipeline.to_string(), "-n", &self.commands.to_string()]);
        command.args(["-r", &STOCKS.to_string(), "--csv"]);
        let (name, keys) = match self.lookups {
            1 => ("GET", 1),
            keys => ("MGET", keys),
        };
        command.arg(name).args(std::iter::repeat_n("S__rand_int__", keys));
        let before = server.cpu_ns()?;
        let output = command.stderr(Stdio::inherit()).output()?;
        let cpu_ns = server.cpu_ns()? - before;
        ensure!(output.status.success(), "redis-benchmark: {}", output.status);
        let printed = String::from_utf8_lossy(&output.stdout);
        // "test","rps",… and then the figures, all in quotes.
        let figures = printed.lines().last().context("redis-benchmark printed nothing")?;
        let field = figures.rsplit("\",\"").nth(6).context("redis-benchmark printed no rate")?;
        let commands_a_second: f64 = field.trim_matches('"').parse()?;
        let lookups = (self.commands * self.lookups) as f64;
        Ok(Run {
            lookups_a_second: commands_a_second * self.lookups as f64,
            cpu_ns_a_lookup: cpu_ns as f64 / lookups,
        })
    }
}

/// A program bound to one core.
fn on_core(core: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// One row of the table: medians, and the spread of the ratios within the pairs.
fn row(scenario: &Scenario, pairs: &[(Run, Run)]) -> String {
    let cpu = |run: fn(&(Run, Run)) -> f64| median(pairs.iter().map(run).collect());
    let ratios: Vec<f64> =
        pairs.iter().map(|(one, other)| one.cpu_ns_a_lookup / other.cpu_ns_a_lookup).collect();
    let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = ratios.iter().copied().fold(0.0, f64::max);
    format!(
        "| `{}` | {} × {} | {:.0} | {:.0} | {:.2} ({lowest:.2} to {highest:.2}) | {:.2} M / {:.2} M |",
        scenario.name,
        scenario.clients,
        scenario.pipeline,
        cpu(|(one, _)| one.cpu_ns_a_lookup),
        cpu(|(_, other)| other.cpu_ns_a_lookup),
        median(ratios),
        cpu(|(one, _)| one.lookups_a_second) / 1e6,
        cpu(|(_, other)| other.lookups_a_second) / 1e6,
    )
}

fn record_head() -> Result<String> {
    let first_line = |command: &mut Command| -> Result<String> {
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("").to_owned();
        Ok(text)
    };
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let head = json!({
        "date": today()?,
        "command": "cargo xtask redis-benchmark",
        "commit": first_line(Command::new("git").args(["rev-parse", "--short", "HEAD"]))?,
        "kernel": first_line(Command::new("uname").arg("-sr"))?,
        "cpu": cpu.trim_start_matches([' ', '\t', ':']),
        "redis": first_line(Command::new("redis-server").arg("--version"))?,
        "stocks": STOCKS,
        "stockd": "1 worker on core 0; the load generator on core 1",
    });
    Ok(format!("{head}\n"))
}

fn record_run(record: &mut String, scenario: &Scenario, server: &Server, run: &Run) -> Result<()> {
    let line = json!({
        "server": server.name,
        "command": scenario.name,
        "clients": scenario.clients,
        "pipeline": scenario.pipeline,
        "commands": scenario.commands,
        "lookups_a_second": run.lookups_a_second.round(),
        "server_cpu_ns_a_lookup": (run.cpu_ns_a_lookup * 10.0).round() / 10.0,
    });
    println!("{line}");
    writeln!(record, "{line}")?;
    Ok(())
}

fn today() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%F"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
