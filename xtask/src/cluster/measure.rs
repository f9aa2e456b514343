//! How fast a cluster is, for docs/benchmarks.md: three servers, three nodes and the clients on one machine, with the
//! processor time of the servers and the nodes told apart.
//!
//! Each figure stands beside the goal that it is compared with. Only ratios within one run mean anything on a machine that has other
//! work; the record says its load.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use stockd_witness::Nats;

use super::fault_run::level;
use super::loader::{Answered, Load, command};
use super::machine;
use super::node::{Node, Running, info};
use super::place::Place;
use super::programs::Programs;
use super::scene::{STREAM, becomes};
use super::trial::Trial;
use crate::resp::Reply;
use crate::workspace::Workspace;

/// How long each rate is measured.
const RATE_TIME: Duration = Duration::from_secs(8);

/// How long lookups are measured, and how often on each side, in turns.
const LOOKUP_TIME: Duration = Duration::from_secs(3);
const LOOKUP_TURNS: usize = 4;

/// Writes that are asked one after the other.
const WRITES: usize = 1000;

/// Stocks that are updated.
const UPDATED: usize = 10_000;

/// How long a node is away while stocks are updated.
const MISSED_TIME: Duration = Duration::from_secs(15);

/// How long a leader is away, and what is watched then.
const AWAY: Duration = Duration::from_secs(15);

/// What is measured.
struct Measurement<'a> {
    programs: &'a Programs,
    directory: &'a Path,
    trial: Trial,
    text: String,
}

/// Measures all of it, and writes the record.
pub(super) fn run(workspace: &Workspace, programs: &Programs, stocks: usize) -> Result<()> {
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut it = Measurement::start(programs, directory.path())?;
    it.line(&format!("cargo xtask cluster --measure --stocks {stocks}"));
    it.line(&machine::describe(&programs.nats));
    it.line("Servers, nodes and clients share the processors. With a load above their number only what is measured in turns counts.\n");
    it.latencies()?;
    it.rates()?;
    it.lookups()?;
    it.leader()?;
    it.late_nodes(stocks)?;
    let path = format!("docs/benchmarks/records/{}-cluster.txt", machine::date());
    fs::write(workspace.absolute(&path), &it.text)?;
    println!("record: {path}");
    it.trial.end()
}

/// Measures writes alone, and writes no record.
pub(super) fn rates(programs: &Programs) -> Result<()> {
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut it = Measurement::start(programs, directory.path())?;
    it.line(&machine::describe(&programs.nats));
    it.latencies()?;
    it.rates()?;
    it.trial.end()
}

impl<'a> Measurement<'a> {
    fn start(programs: &'a Programs, directory: &'a Path) -> Result<Measurement<'a>> {
        let trial = Trial::start(programs, directory)?;
        Ok(Measurement { programs, directory, trial, text: String::new() })
    }

    fn line(&mut self, line: &str) {
        println!("{line}");
        let _ = writeln!(self.text, "{line}");
    }

    fn addresses(&self, protocol: usize) -> Vec<String> {
        self.trial.addresses.iter().map(|it| it[protocol].clone()).collect()
    }

    /// One write at a time, beside one acknowledgement of NATS at a time.
    fn latencies(&mut self) -> Result<()> {
        let mut nats =
            Nats::connect(self.trial.servers[0].place.address(self.trial.servers[0].port))?;
        let made = nats.api(&format!("STREAM.INFO.{STREAM}"), &json!(null))?;
        let mut config = made["config"].clone();
        (config["name"], config["subjects"]) = (json!("ALONE"), json!(["alone"]));
        nats.api("STREAM.CREATE.ALONE", &config)?;
        let mut node = self.trial.nodes[0].connect()?;
        node.ask("HSET ONE price 1 volume 1000000000")?;
        let (mut alone, mut writes) = (Vec::new(), Vec::new());
        // In turns, so that both have the same machine.
        for _ in 0..WRITES {
            let began = Instant::now();
            nats.publish("alone", &[7; 100])?;
            alone.push(began.elapsed());
            let began = Instant::now();
            node.ask("HINCRBY ONE volume -1")?;
            writes.push(began.elapsed());
        }
        nats.api("STREAM.DELETE.ALONE", &json!(null))?;
        let [ack, write] = [&mut alone, &mut writes].map(|it| milliseconds(median(it)));
        self.line(&format!(
            "write, one at a time          p50 {write:.2} ms; NATS ack alone {ack:.2} ms: {:.2} times (goal: 3 at most)",
            write / ack
        ));
        Ok(())
    }

    /// Trades of one stock, and updates of many.
    fn rates(&mut self) -> Result<()> {
        let addresses = self.addresses(1);
        self.trial.nodes[0].connect()?.ask("HSET HOT price 1 volume 1000000000000")?;
        let trades = vec![command(&["HINCRBY", "HOT", "volume", "-1"]); 2000];
        let load = Load { addresses: &addresses, connections: 2, lines: &trades, together: 1000 };
        self.rate("trades of one stock", &load, 200_000)?;
        let updates = updates();
        let load = Load { addresses: &addresses, connections: 2, lines: &updates, together: 1000 };
        self.rate("updates of 10,000 stocks", &load, 400_000)?;
        // More is asked at once, so more goes into a message.
        self.rate("the same, 8 clients a node", &Load { connections: 8, ..load }, 400_000)
    }

    fn rate(&mut self, what: &str, load: &Load<'_>, goal: u64) -> Result<()> {
        load.run(RATE_TIME / 8)?;
        let (before, applied) = (self.processor_time()?, self.applied()?);
        let answered = load.run(RATE_TIME)?;
        let (after, messages) = (self.processor_time()?, self.applied()? - applied);
        let each = |time_ns: u64| time_ns as f64 / 1000.0 / answered.count.max(1) as f64;
        self.line(&format!(
            "{what:<29} {:.0}/s (goal: {goal}); {} errors; {:.0} in a message; {:.2} µs of processor each at the servers, {:.2} at the nodes, {:.2} at the clients",
            answered.a_second(),
            answered.errors,
            answered.count as f64 / messages.max(1) as f64,
            each(after[0] - before[0]),
            each(after[1] - before[1]),
            each(answered.processor_ns),
        ));
        Ok(())
    }

    /// The last message of the log.
    fn applied(&self) -> Result<u64> {
        let said = info(&mut self.trial.nodes[0].connect()?)?("cluster_applied");
        said.and_then(|it| it.parse().ok()).context("the node does not say what it has applied")
    }

    /// Nanoseconds of all servers, and of all nodes.
    fn processor_time(&self) -> Result<[u64; 2]> {
        let servers = self.trial.servers.iter().filter_map(|it| Some(it.process()?.id()));
        let nodes = self.trial.running.iter().map(|it| it.process.id());
        Ok([
            servers.map(processor_ns).sum::<Result<u64>>()?,
            nodes.map(processor_ns).sum::<Result<u64>>()?,
        ])
    }

    /// Lookups at a node and at a server that is alone, in turns.
    fn lookups(&mut self) -> Result<()> {
        let symbols: Vec<String> = (0..UPDATED).map(|it| format!("U{it}\n")).collect();
        let alone = Node::alone(&self.programs.stockd, self.directory);
        let (running, addresses) = alone.start_and_wait(&["line", "resp"])?;
        let listing: Vec<String> = (0..UPDATED).map(|it| update(it, &it.to_string())).collect();
        Load { addresses: &addresses[1..], connections: 1, lines: &listing, together: 1000 }
            .once()?;
        let sides = [
            (vec![self.trial.addresses[0][0].clone()], self.trial.running[0].process.id()),
            (vec![addresses[0].clone()], running.process.id()),
        ];
        let mut costs = [Vec::new(), Vec::new()];
        for turn in 0..2 * LOOKUP_TURNS {
            let (addresses, process) = &sides[turn % 2];
            let load = Load { addresses, connections: 4, lines: &symbols, together: 100 };
            let before = processor_ns(*process)?;
            let answered: Answered = load.run(LOOKUP_TIME)?;
            costs[turn % 2]
                .push((processor_ns(*process)? - before) as f64 / answered.count.max(1) as f64);
        }
        let [node, single] = costs.map(|mut it| {
            it.sort_by(f64::total_cmp);
            it[it.len() / 2]
        });
        self.line(&format!(
            "a lookup                      {node:.0} ns of processor at a node, {single:.0} at a server alone: {:.3} times (goal: 1.05 at most)",
            node / single
        ));
        Ok(())
    }

    /// The leader is killed, and comes back.
    fn leader(&mut self) -> Result<()> {
        let status = self.status()?;
        let leader = status.lines().find_map(|line| line.strip_prefix("leader      "));
        let leader = leader.context("the stream has no leader")?.to_owned();
        let over = AtomicBool::new(false);
        let (writes, lookups) = (AtomicU64::new(0), AtomicU64::new(0));
        let server = self.trial.servers.iter_mut().find(|it| it.name == leader).context(leader)?;
        let nodes = &self.trial.nodes;
        thread::scope(|scope| -> Result<()> {
            for node in nodes {
                scope.spawn(|| longest_gap(node, "HINCRBY ONE volume -1", &over, &writes));
                scope.spawn(|| longest_gap(node, "HGET ONE price", &over, &lookups));
            }
            thread::sleep(Duration::from_secs(1));
            server.kill();
            thread::sleep(AWAY);
            over.store(true, Ordering::Relaxed);
            Ok(())
        })?;
        let server = self.trial.servers.iter_mut().find(|it| it.process().is_none());
        server.context("a server was killed")?.start()?;
        let level = level(&self.trial.nodes)?;
        let gap = |of: &AtomicU64| of.load(Ordering::Relaxed) as f64 / 1000.0;
        let (writes, lookups) = (gap(&writes), gap(&lookups));
        self.line(&format!(
            "the leader is killed          longest wait of a write {writes:.1} s (goal: 10 at most), of a lookup {lookups:.3} s"
        ));
        self.line(&format!(
            "it comes back                 level after {:.1} s (goal: 15 at most)",
            level.as_secs_f64()
        ));
        Ok(())
    }

    fn status(&self) -> Result<String> {
        let server = &self.trial.servers[0];
        let mut command = server.place.command(&self.programs.stockd);
        command.args(["cluster", "status", "--cluster", &server.url()]).stderr(Stdio::null());
        Ok(String::from_utf8_lossy(&command.output()?.stdout).into_owned())
    }

    /// Nodes come to a cluster with many stocks: new ones, by the log and by a snapshot, and one that was away.
    fn late_nodes(&mut self, stocks: usize) -> Result<()> {
        let listing: Vec<String> = (0..stocks).map(listed).collect();
        let addresses = self.addresses(1);
        let load =
            Load { addresses: &addresses[..1], connections: 1, lines: &listing, together: 4000 };
        let listed = load.once()?;
        self.line(&format!(
            "{stocks} stocks are listed       in {:.1} s",
            listed.time.as_secs_f64()
        ));
        let away = self.late_node(8).with("--data-dir", &self.path("away"));
        let running = self.comes("a new node", &away)?;
        is_kept(&away)?;
        ensure!(running.stop().is_none(), "the node does not end");
        let updates = updates();
        let load = Load { addresses: &addresses, connections: 2, lines: &updates, together: 1000 };
        let missed = load.run(MISSED_TIME)?;
        self.comes(&format!("back after {} updates", missed.count), &away)?;
        let began = Instant::now();
        let server = &self.trial.servers[0];
        let mut command = server.place.command(&self.programs.stockd);
        command.args(["cluster", "snapshot", "--cluster", &server.url()]);
        let taken = command.stdout(Stdio::null()).status()?;
        ensure!(taken.success(), "no snapshot is kept: {taken}");
        self.line(&format!(
            "a snapshot is kept            in {:.1} s, with the joining of who keeps it",
            began.elapsed().as_secs_f64()
        ));
        self.comes("a new node", &self.late_node(9)).map(drop)
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn late_node(&self, number: usize) -> Node {
        let urls: Vec<String> = self.trial.servers.iter().map(super::server::Server::url).collect();
        let (stockd, place) = (&self.programs.stockd, Place::here());
        Node::new(stockd, self.directory, number, place, &urls.join(","))
            .with("--line", "off")
            .with("--http", "off")
    }

    /// A node is started: how long it takes until it serves, and what it has begun with.
    fn comes(&mut self, what: &str, node: &Node) -> Result<Running> {
        let snapshots = node.snapshots_begun_with()?;
        let began = Instant::now();
        let (running, _) = node.start_and_wait(&["resp"])?;
        let took = began.elapsed();
        let held = match node.connect()?.ask("DBSIZE")? {
            Reply::Number(number) => number,
            _ => 0,
        };
        let by = match node.snapshots_begun_with()? > snapshots {
            true => "a snapshot",
            false => "the log",
        };
        self.line(&format!(
            "{what:<29} serves {held} stocks after {:.1} s (goal: 10 at most), by {by}",
            took.as_secs_f64()
        ));
        Ok(running)
    }
}

/// Waits until the directory of a node has all that it shows now.
fn is_kept(node: &Node) -> Result<()> {
    let mut dialogue = node.connect()?;
    let number = |said: Option<String>| said.and_then(|it| it.parse::<u64>().ok());
    let applied = number(info(&mut dialogue)?("cluster_applied"));
    becomes("the node has kept what it shows", || {
        let kept = number(info(&mut dialogue).ok()?("cluster_kept"));
        (kept >= applied).then_some(())
    })
}

/// Updates of [`UPDATED`] stocks.
fn updates() -> Vec<String> {
    (0..2 * UPDATED).map(|it| update(it % UPDATED, &it.to_string())).collect()
}

fn update(stock: usize, price: &str) -> String {
    command(&["HSET", &format!("U{stock}"), "price", price])
}

/// Lists a stock.
fn listed(stock: usize) -> String {
    command(&["HSET", &format!("N{stock}"), "price", "1.5", "volume", "100"])
}

/// Asks again and again: the longest time between two answers that are no errors, in milliseconds.
fn longest_gap(node: &Node, command: &str, over: &AtomicBool, longest: &AtomicU64) {
    let mut latest = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let Ok(mut dialogue) = node.connect() else { continue };
        while let Ok(reply) = dialogue.ask(command) {
            if !matches!(reply, Reply::Error(_)) {
                longest.fetch_max(latest.elapsed().as_millis() as u64, Ordering::Relaxed);
                latest = Instant::now();
            }
            if over.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Nanoseconds that the threads of a process have had a processor.
fn processor_ns(process: u32) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        // One may have ended by now.
        sum += machine::processor_ns(&task?.path()).unwrap_or(0);
    }
    Ok(sum)
}
