//! Rude clients of every kind beside polite ones: `cargo xtask chaos`.
//!
//! A run has phases. Each starts the real `stockd serve`, in memory or over a data directory, with
//! one worker or two, in a cgroup with a limit of memory where one can be made. Rude clients come,
//! stay and leave as the seed says ([`rude`]). Beside them polite clients count how long their
//! answers take ([`polite`]), writers keep books of what was acknowledged ([`ledger`]), and a
//! subscriber has to end with the latest ([`follower`]). After each phase all of that is compared,
//! SIGTERM comes among the rude, and a durable server is started again and compared once more.
//!
//! `--crowd` has one phase for each kind, with two thousand clients of it at once. `--measure` lets each kind in alone and prints what polite clients feel of it, for
//! docs/benchmarks.md.
//!
//! Invariants: all traffic is on the loopback interface; every thread and process has ended when the
//! task has; a run fails for a broken promise and never for a latency.

mod follower;
mod ledger;
mod measure;
mod memory;
mod options;
mod phase;
mod polite;
mod rude;
mod scene;
mod server;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stockd_witness::Random;

use crate::build;
use crate::workspace::Workspace;
use measure::Series;
use memory::MemoryLimit;
use options::Options;
use phase::{Outcome, Plan};
use scene::{Party, Size};

/// What a run takes unless it is asked for another time: that of the step of CI.
const RUN_TIME: Duration = Duration::from_secs(60);

/// How long the rude clients of one phase stay, at most.
const PHASE_TIME: Duration = Duration::from_secs(10);

/// Visits of rude clients at once.
const RUDE_THREADS: usize = 4;

/// How long each kind stays while it is measured, and with `--quick`.
const MEASURED: Duration = Duration::from_secs(5);
const MEASURED_QUICKLY: Duration = Duration::from_secs(2);

/// Stocks of a run, and of a measurement.
const STOCKS: usize = 100_000;
const STOCKS_MEASURED: usize = 1_000_000;

/// The memory of a server in a run.
const MEMORY_BYTES: u64 = 512 << 20;

/// The memory of a server that is measured: a guard of the machine.
const MEMORY_GUARD_BYTES: u64 = 6 << 30;

/// Runs phases until the time is over, or measures each kind alone.
///
/// # Errors
///
/// Where a promise is broken: the seed says how to break it again.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    raise_file_limit();
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None if options.measures => build::dist_binary(workspace)?,
        None => build::tested_binary(workspace)?,
    };
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    match options.measures {
        true => measure_all(workspace, &options, &binary, scratch.path()),
        false => play(&options, &binary, scratch.path()),
    }
}

/// Phases of all sorts in turn, until the time is over.
fn play(options: &Options, binary: &Path, scratch: &Path) -> Result<()> {
    let stocks = options.stocks.unwrap_or(STOCKS);
    let catalog = write_stocks(scratch, stocks)?;
    let limit = MemoryLimit::new(options.memory_bytes.unwrap_or(MEMORY_BYTES));
    let seed = options.seed;
    println!("seed {seed}; {stocks} stocks; memory limit {}", limit.describe());
    let (began, time) = (Instant::now(), options.time.unwrap_or(RUN_TIME));
    let mut random = Random::new(seed);
    let mut broken = 0;
    for number in 0.. {
        let left = time.saturating_sub(began.elapsed());
        let party = match options.is_crowd {
            true if number == options.kinds.len() => break,
            true => Party { kinds: &options.kinds[number..=number], threads: 1, size: Size::Crowd },
            false if number > 0 && left < PHASE_TIME / 2 => break,
            false => Party { kinds: &options.kinds, threads: RUDE_THREADS, size: Size::Seeded },
        };
        let data = tempfile::tempdir_in(scratch)?;
        let data_dir = data.path().join("data");
        let is_durable = number % 2 == 1;
        let plan = Plan {
            binary,
            catalog: &catalog,
            stocks,
            workers: options.workers.unwrap_or([1, 2, 2, 1][number % 4]),
            data_dir: is_durable.then_some(data_dir.as_path()),
            time: if options.is_crowd { PHASE_TIME } else { left.min(PHASE_TIME) },
            party,
            limit: &limit,
        };
        let outcome = phase::run(&plan, &mut random.fork());
        print_phase(number, &plan, &outcome);
        broken += outcome.problems.len();
    }
    ensure!(broken == 0, "{broken} promises broken; the same again: --seed {seed}");
    Ok(())
}

fn print_phase(number: usize, plan: &Plan<'_>, outcome: &Outcome) {
    let kept = if plan.data_dir.is_some() { "data directory" } else { "ephemeral" };
    let kinds = match plan.party.kinds {
        [kind] => kind.name().to_owned(),
        kinds => format!("{} kinds", kinds.len()),
    };
    println!("phase {number}: {kept}, workers {}, {kinds}", plan.workers);
    if let Some(it) = outcome.latencies {
        println!(
            "  polite: {} requests, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.1} ms, max {:.1} ms",
            it.count, it.p50, it.p99, it.p999, it.max
        );
    }
    let memory = outcome.memory;
    let [before, peak, after, grown] =
        [memory.before, memory.peak, memory.after, memory.grown].map(|bytes| bytes >> 20);
    println!("  memory: {before} MiB, peak {peak}, after {after}, catalog grew by {grown}");
    if let Some(stop) = outcome.stop {
        let (seconds, writes) = (stop.as_secs_f64(), outcome.acknowledged);
        println!("  SIGTERM: {seconds:.2} s; {writes} writes acknowledged and compared");
    }
    for problem in &outcome.problems {
        println!("  BROKEN: {problem}");
    }
    if !outcome.problems.is_empty() {
        for warning in &outcome.warnings {
            println!("  the server: {warning}");
        }
    }
}

/// Each kind alone, one worker and two.
fn measure_all(
    workspace: &Workspace,
    options: &Options,
    binary: &Path,
    scratch: &Path,
) -> Result<()> {
    let quick = options.is_quick;
    let stocks = options.stocks.unwrap_or(if quick { STOCKS } else { STOCKS_MEASURED });
    let catalog = write_stocks(scratch, stocks)?;
    let limit = match options.memory_bytes {
        Some(bytes) => MemoryLimit::new(bytes),
        None => MemoryLimit::Watched(MEMORY_GUARD_BYTES),
    };
    let time = options.time.unwrap_or(if quick { MEASURED_QUICKLY } else { MEASURED });
    let series = Series { binary, catalog: &catalog, stocks, time, limit: &limit };
    let mut random = Random::new(options.seed);
    println!("{}", measure::HEAD);
    let mut rows = Vec::new();
    for &workers in options.workers.as_ref().map_or(&[1, 2][..], std::slice::from_ref) {
        let kinds = options.kinds.iter().map(|kind| Some(*kind));
        for kind in [None].into_iter().chain(kinds) {
            let row = measure::row(&series, workers, kind, &mut random.fork());
            println!("{}", row.line());
            rows.push(row);
        }
    }
    if quick {
        return Ok(());
    }
    let directory = record_directory(workspace, options);
    let directory = measure::write(&directory, &series, &rows, &command(options))?;
    println!("record: {}", directory.display());
    Ok(())
}

fn record_directory(workspace: &Workspace, options: &Options) -> PathBuf {
    let mut name = format!("{}-chaos", measure::date());
    if options.is_selected {
        for kind in &options.kinds {
            name += &format!("-{}", kind.name());
        }
    }
    if options.binary.is_some() {
        name += "-of-a-binary";
    }
    workspace.absolute("docs/benchmarks/records").join(name)
}

/// As it was typed, but for paths of this machine.
fn command(options: &Options) -> String {
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let path = options.binary.as_ref().map(|path| path.display().to_string());
    let command = path.map_or(command.clone(), |path| command.replace(&path, "stockd"));
    format!("cargo xtask {command}")
}

/// The catalog file: `S0000000` and so on, and the stocks of the writers.
fn write_stocks(scratch: &Path, stocks: usize) -> Result<PathBuf> {
    let path = scratch.join("stocks.csv");
    let mut file = BufWriter::new(File::create(&path)?);
    writeln!(file, "symbol,price,volume")?;
    for stock in 0..stocks {
        writeln!(file, "S{stock:07},{},1000", polite::price(stock))?;
    }
    for line in ledger::stocks() {
        writeln!(file, "{line}")?;
    }
    file.flush().context("cannot write stocks")?;
    Ok(path)
}

/// Rude clients are many.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        println!("the limit of open files stays as it is: {error}");
    }
}
