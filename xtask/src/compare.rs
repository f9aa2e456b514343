//! stockd and its peers under the same load, side by side: `cargo xtask compare`.
//!
//! Every server runs on the first core and the load generator, `stockd load`, on the second. All
//! servers of a scenario run at once, and all but the one under load are idle. In each round every
//! server is under load once, in a random order, so that a machine whose speed drifts treats all
//! alike. Ratios within a round are compared. A round in which other programs disturbed a run is marked, does not
//! count, and is repeated, at most as often as there are rounds; where most rounds stay disturbed, no verdict is
//! given. The steadiest figure is the server's own CPU time for
//! each request, from the scheduler's accounting of its threads.
//!
//! Where subscribers are told of updates the load generator is `fan_out`, an example of `stockd-load`, and what is counted are
//! the messages that they have read.
//!
//! The record is a directory of docs/benchmarks/records: every run as `stockd load` reported it, a
//! summary for people, and plots.
//!
//! Invariant: what the summary says comes from the runs of its own record and from nothing else.

mod bench;
mod peer;
mod record;
mod redis_benchmark;
mod running;
mod scenario;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::build;
use crate::workspace::Workspace;
use bench::Bench;
use record::{Record, Run};
use running::Running;
use scenario::{SCENARIOS, SWEEPS, SWEPT, SWEPT_LOAD, Scenario};

/// Rounds that count. One more before them warms up.
const ROUNDS: usize = 5;

/// The part of a run that is measured.
const MEASURED: Duration = Duration::from_millis(1500);

/// Runs all scenarios, or those whose names contain one of the arguments. `--quick` runs each for a
/// moment, to see that everything works, and keeps no record.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let filters: Vec<&String> = arguments.iter().filter(|it| !it.starts_with("--")).collect();
    if let Some(unknown) = arguments.iter().find(|it| it.starts_with("--") && *it != "--quick") {
        bail!("compare knows no option {unknown}; it takes --quick and parts of scenario names");
    }
    let chosen: Vec<&Scenario> = SCENARIOS
        .iter()
        .filter(|it| filters.is_empty() || filters.iter().any(|part| it.name.contains(*part)))
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        bail!("no scenario is called like that; there are: {}", names.join(", "));
    }
    peer::install()?;
    if chosen.iter().any(|scenario| scenario.fan_out.is_some()) {
        peer::install_nats(workspace)?;
        build::dist_examples(workspace, "stockd-load")?;
    }
    let stockd = build::dist_binary(workspace)?;
    build::dist_examples(workspace, "stockd-server")?;
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let bench = Bench {
        workspace,
        stockd,
        scratch: scratch.path(),
        rounds: if quick { 1 } else { ROUNDS },
        measured: if quick { Duration::from_millis(200) } else { MEASURED },
    };
    let mut record = Record::new(&bench)?;
    for scenario in chosen {
        compare(&bench, scenario, &mut record)
            .with_context(|| format!("scenario '{}'", scenario.name))?;
    }
    print!("{}", record.summary());
    if quick {
        return Ok(());
    }
    let directory = record.write(&bench, &filters)?;
    if filters.is_empty() {
        draw(&bench, &directory)?;
    }
    println!("record: {}", directory.display());
    Ok(())
}

/// Runs one scenario against each of its peers that this machine has.
fn compare(bench: &Bench<'_>, scenario: &'static Scenario, record: &mut Record) -> Result<()> {
    println!("{}", scenario.name);
    let mut servers: Vec<Running> = Vec::new();
    for peer in scenario.peers {
        match Running::start(*peer, bench, scenario)? {
            Some(server) => servers.push(server),
            None => println!("  {}: not on this machine", peer.name()),
        }
    }
    let mut order = Shuffle(bench.rounds as u64 + scenario.name.len() as u64);
    // The first round warms up and does not count.
    let (mut round, mut left) = (0, bench.rounds);
    while round == 0 || (left > 0 && round <= 2 * bench.rounds) {
        order.shuffle(&mut servers);
        let mut runs = Vec::new();
        for server in &servers {
            let report = match server.load(bench, scenario) {
                Ok(report) => report,
                // Some servers send subscribers away that cannot follow.
                Err(error) if scenario.fan_out.is_some() => {
                    println!("  {round} {:<24} failed: {error:#}", server.peer.name());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let run = Run { scenario, peer: server.peer, round, report, round_disturbed: false };
            println!("  {round} {:<24} {run}", server.peer.name());
            runs.push(run);
        }
        if round > 0 && !record.add_round(runs) {
            left -= 1;
        }
        round += 1;
    }
    Ok(())
}

/// Draws the servers under loads of different size into the record, all in one chart.
fn draw(bench: &Bench<'_>, directory: &Path) -> Result<()> {
    for sweep in SWEEPS {
        println!("sweep over {}", sweep.name);
        let mut reports = Vec::new();
        for peer in SWEPT {
            let Some(server) = Running::start(*peer, bench, &SWEPT_LOAD)? else {
                continue;
            };
            let path = bench.scratch.join(format!("{}-{}.json", sweep.name, reports.len()));
            fs::write(&path, server.sweep(bench, sweep.values)?.to_string())?;
            reports.push(path);
        }
        let plots = directory.join(sweep.name);
        let mut command = Command::new(&bench.stockd);
        command.args(["load", "plot", "--out"]).arg(plots).args(reports);
        let status = command.stdout(Stdio::null()).status().context("cannot run stockd load")?;
        ensure!(status.success(), "stockd load plot: {status}");
    }
    Ok(())
}

/// A random order that is the same every time (splitmix64).
struct Shuffle(u64);

impl Shuffle {
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            items.swap(end, ((mixed >> 33) % (end as u64 + 1)) as usize);
        }
    }
}
