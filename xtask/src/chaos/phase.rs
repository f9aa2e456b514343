//! One phase of a run: a server, polite clients, writers and a subscriber at work, rude clients of
//! all kinds beside them, and SIGTERM among the rude.
//!
//! Invariant: whatever is not as it is promised is a problem of the outcome; no timing is, but that
//! of the end, which is a promise.

use std::path::Path;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use stockd_witness::Random;

use super::follower::Follower;
use super::ledger::{self, Book, Ledger};
use super::memory::MemoryLimit;
use super::polite::{Percentiles, Polite};
use super::scene::{Party, Scene};
use super::server::{LOOK_INTERVAL, Launch, STOP_PROMISE, Server, Stopped};
use crate::resp::{Dialogue, Reply};

/// How long a server may take to give back what rude clients have used.
const SETTLE_PATIENCE: Duration = Duration::from_secs(20);

/// A server rests when its memory does not shrink by so much in this time.
const REST: Duration = Duration::from_secs(2);
const RESTLESS_BYTES: u64 = 1 << 20;

/// What the store of a data directory may keep of its file in memory.
const STORE_BYTES: u64 = 32 << 20;

/// Milliseconds after which SIGTERM comes at a moment that the seed decides.
const STOP_AFTER_MS: (usize, usize) = (300, 1500);

/// Problems of one sort that are told; the others are counted.
const SHOWN_MAX: usize = 5;

/// Warnings of the server that are shown beside problems.
const WARNINGS_MAX: usize = 20;

/// What one phase does.
pub(super) struct Plan<'a> {
    pub(super) binary: &'a Path,
    /// The catalog file, and how many stocks `S…` are in it.
    pub(super) catalog: &'a Path,
    pub(super) stocks: usize,
    pub(super) workers: usize,
    /// Where a durable server keeps its data; `None` for one that keeps nothing.
    pub(super) data_dir: Option<&'a Path>,
    pub(super) party: Party<'a>,
    /// How long the rude clients stay before the catalog is compared.
    pub(super) time: Duration,
    pub(super) limit: &'a MemoryLimit,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) latencies: Option<Percentiles>,
    pub(super) memory: Memory,
    /// From SIGTERM to the end.
    pub(super) stop: Option<Duration>,
    /// Writes that the writers had acknowledged.
    pub(super) acknowledged: u64,
    pub(super) problems: Vec<String>,
    /// The last of what the server warned of.
    pub(super) warnings: Vec<String>,
}

/// Resident bytes of the server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    pub(super) before: u64,
    pub(super) peak: u64,
    /// After the rude clients have gone.
    pub(super) after: u64,
    /// What the catalog grew by.
    pub(super) grown: u64,
}

/// Runs the phase.
pub(super) fn run(plan: &Plan<'_>, random: &mut Random) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(error) = perform(plan, random, &mut outcome) {
        outcome.problems.push(format!("{error:#}"));
    }
    outcome
}

fn perform(plan: &Plan<'_>, random: &mut Random, outcome: &mut Outcome) -> Result<()> {
    let mut server = Server::start(Launch {
        binary: plan.binary,
        workers: plan.workers,
        catalog: Some(plan.catalog),
        data_dir: plan.data_dir,
        limit: plan.limit,
    })?;
    outcome.memory.before = at_rest(&mut server)?;
    let polite = Polite::start(server.resp, plan.workers, plan.stocks, random)?;
    let mut ledger = Ledger::start(server.resp, random)?;
    let mut follower = Follower::start(server.resp, ledger::symbols())?;
    let mut witness = Dialogue::connect(server.resp)?;
    let catalog_bytes = info(&mut witness, "catalog_bytes")?;

    let scene = Scene::new(server.line, server.resp, plan.stocks, plan.stocks);
    let (watched, experience) =
        scene.beside(&plan.party, random, || (server.watch(plan.time), polite.end()));
    let experience = experience?;
    outcome.latencies = Some(experience.percentiles());
    outcome.memory.peak = server.peak;
    // Of a server that has ended all clients complain.
    watched?;
    outcome.add(experience.complaints);

    settle(&mut server, &mut witness, catalog_bytes, plan, outcome)?;
    {
        let books = ledger.at_rest();
        outcome.add(follower.missing(&mut witness)?);
        outcome.add(follower.complaints());
        outcome.add(books.iter().flat_map(|book| book.complaints.clone()).collect());
        compare(&books, &scene, &mut witness, outcome)?;
    }

    let wait = random.between(STOP_AFTER_MS.0, STOP_AFTER_MS.1) as u64;
    let stopped = scene.beside(&plan.party, random, || {
        server.watch(Duration::from_millis(wait))?;
        server.stop()
    })?;
    ledger.end()?;
    follower.end()?;
    outcome.stop = Some(stopped.took);
    outcome.acknowledged = ledger.at_rest().iter().map(|book| book.acknowledged).sum();
    outcome.add(complaints_of_stop(&stopped));
    outcome.warnings = warnings(&stopped.log);
    if plan.data_dir.is_some() {
        restart(plan, &ledger, &scene, outcome).context("after the restart")?;
    }
    Ok(())
}

impl Outcome {
    /// Notes problems of one sort.
    fn add(&mut self, problems: Vec<String>) {
        let more = problems.len().saturating_sub(SHOWN_MAX);
        self.problems.extend(problems.into_iter().take(SHOWN_MAX));
        if more > 0 {
            self.problems.push(format!("… and {more} more of these"));
        }
    }
}

/// The memory of a server that has just loaded its catalog, once it gives no more of it back.
fn at_rest(server: &mut Server<'_>) -> Result<u64> {
    let deadline = Instant::now() + SETTLE_PATIENCE;
    let (mut least, mut since) = (server.resident_bytes()?, Instant::now());
    while since.elapsed() < REST && Instant::now() < deadline {
        server.watch(REST / 10)?;
        let now = server.resident_bytes()?;
        if now + RESTLESS_BYTES < least {
            (least, since) = (now, Instant::now());
        }
    }
    Ok(least)
}

/// Waits until the server has given back what the rude clients had used.
fn settle(
    server: &mut Server<'_>,
    witness: &mut Dialogue,
    catalog_bytes: u64,
    plan: &Plan<'_>,
    outcome: &mut Outcome,
) -> Result<()> {
    let grown = info(witness, "catalog_bytes")?.saturating_sub(catalog_bytes);
    let before = outcome.memory.before + grown;
    let store = if plan.data_dir.is_some() { STORE_BYTES } else { 0 };
    let bound = before + before / 5 + store;
    let deadline = Instant::now() + SETTLE_PATIENCE;
    let after = loop {
        server.look()?;
        let after = server.resident_bytes()?;
        if after <= bound || Instant::now() > deadline {
            break after;
        }
        std::thread::sleep(LOOK_INTERVAL);
    };
    outcome.memory = Memory { peak: server.peak, after, grown, ..outcome.memory };
    if after > bound {
        let [after, bound] = [after, bound].map(|bytes| bytes >> 20);
        let problem = format!("{after} MiB of memory are left behind; {bound} MiB are allowed");
        outcome.problems.push(problem);
    }
    Ok(())
}

/// Compares the catalog with what it has to be.
fn compare(
    books: &[MutexGuard<'_, Book>],
    scene: &Scene,
    server: &mut Dialogue,
    outcome: &mut Outcome,
) -> Result<()> {
    outcome.add(ledger::compare(books, server)?);
    let mut executed = Vec::new();
    for symbol in scene.never() {
        if server.ask(&format!("EXISTS {symbol}"))? != Reply::Number(0) {
            executed.push(format!("{symbol} is listed: what was no command was executed"));
        }
    }
    outcome.add(executed);
    Ok(())
}

fn complaints_of_stop(stopped: &Stopped) -> Vec<String> {
    let mut complaints = Vec::new();
    let seconds = stopped.took.as_secs_f64();
    match stopped.status {
        None => complaints.push(format!("no end {seconds:.1} s after SIGTERM; it was killed")),
        Some(status) if status.code() != Some(0) => {
            let last = stopped.log.lines().last().unwrap_or("nothing");
            complaints.push(format!("SIGTERM ended it with {status}; its log ends with: {last}"));
        }
        Some(_) if stopped.took > STOP_PROMISE => {
            complaints.push(format!("SIGTERM took {seconds:.1} s; {STOP_PROMISE:?} are promised"));
        }
        Some(_) => {}
    }
    complaints
}

fn warnings(log: &str) -> Vec<String> {
    let warnings = log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR "));
    let mut last: Vec<String> = warnings.rev().take(WARNINGS_MAX).map(str::to_owned).collect();
    last.reverse();
    last
}

/// Starts a server over what the last one has left, and compares it with the books.
fn restart(plan: &Plan<'_>, ledger: &Ledger, scene: &Scene, outcome: &mut Outcome) -> Result<()> {
    let (binary, workers) = (plan.binary, plan.workers);
    let launch =
        Launch { binary, workers, catalog: None, data_dir: plan.data_dir, limit: plan.limit };
    let server = Server::start(launch)?;
    let mut witness = Dialogue::connect(server.resp)?;
    compare(&ledger.at_rest(), scene, &mut witness, outcome)?;
    outcome.add(complaints_of_stop(&server.stop()?));
    Ok(())
}

/// A number of `INFO memory`.
fn info(server: &mut Dialogue, name: &str) -> Result<u64> {
    let Reply::Bulk(text) = server.ask("INFO memory")? else { bail!("INFO gave no text") };
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let line = line.with_context(|| format!("INFO memory has no {name}"))?;
    line.trim().parse().with_context(|| format!("{name}: {line}"))
}
