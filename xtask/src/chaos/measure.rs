//! Each kind of rude client alone, as many of it as there can be, and what polite clients feel of it.
//!
//! Invariant: a row has its own server, and its figures come from that server's time among these
//! rude clients and from nothing else.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use stockd_witness::Random;

use super::memory::MemoryLimit;
use super::polite::{Percentiles, Polite};
use super::scene::{Party, Rude, Scene, Size};
use super::server::{Launch, Server};

/// The bound under which polite clients shall be answered, in 999 of 1,000 cases, in milliseconds.
const P999_GOAL_MS: f64 = 50.0;

/// Stocks that a table is full with.
const STOCKS_MAX: usize = 16_000_000;

/// What all rows share.
pub(super) struct Series<'a> {
    pub(super) binary: &'a Path,
    pub(super) catalog: &'a Path,
    pub(super) stocks: usize,
    /// How long the rude clients stay.
    pub(super) time: Duration,
    pub(super) limit: &'a MemoryLimit,
}

/// What one kind did to a server.
pub(super) struct Row {
    workers: usize,
    /// `none` where polite clients were alone.
    kind: &'static str,
    latencies: Option<Percentiles>,
    peak_bytes: u64,
    /// From SIGTERM to the end, and the exit code; none where it had to be killed.
    stop: Option<(Duration, Option<i32>)>,
    /// Why there are not all figures.
    problem: Option<String>,
}

/// The head of the table.
pub(super) const HEAD: &str = "| workers | rude clients | p50 ms | p99 ms | p99.9 ms | max ms | peak MiB | SIGTERM s | |\n\
                               |---|---|---|---|---|---|---|---|---|";

/// Measures one kind, or polite clients alone.
pub(super) fn row(
    series: &Series<'_>,
    workers: usize,
    kind: Option<&'static dyn Rude>,
    random: &mut Random,
) -> Row {
    let name = kind.map_or("none", Rude::name);
    let mut row =
        Row { workers, kind: name, latencies: None, peak_bytes: 0, stop: None, problem: None };
    if let Err(error) = fill(series, kind, random, &mut row) {
        row.problem = Some(format!("{error:#}"));
    }
    row
}

fn fill(
    series: &Series<'_>,
    kind: Option<&'static dyn Rude>,
    random: &mut Random,
    row: &mut Row,
) -> Result<()> {
    let mut server = Server::start(Launch {
        binary: series.binary,
        workers: row.workers,
        catalog: Some(series.catalog),
        data_dir: None,
        limit: series.limit,
    })?;
    let polite = Polite::start(server.resp, row.workers, series.stocks, random)?;
    let growth_max = STOCKS_MAX.saturating_sub(series.stocks);
    let scene = Scene::new(server.line, server.resp, series.stocks, growth_max);
    let kinds: Vec<&'static dyn Rude> = kind.into_iter().collect();
    let party = Party { kinds: &kinds, threads: kinds.len(), size: Size::Full };
    let stopped = scene.beside(&party, random, || {
        let watched = server.watch(series.time);
        row.peak_bytes = server.peak;
        let experience = polite.end()?;
        row.latencies = Some(experience.percentiles());
        watched?;
        row.problem = experience.complaints.into_iter().next();
        server.stop()
    })?;
    row.stop = Some((stopped.took, stopped.status.and_then(|status| status.code())));
    Ok(())
}

impl Row {
    /// Its line of the table.
    pub(super) fn line(&self) -> String {
        let mut line = format!("| {} | {:<20} |", self.workers, self.kind);
        let mut add = |cell: String| {
            let written = write!(line, " {cell} |");
            debug_assert!(written.is_ok(), "a string takes everything");
        };
        match self.latencies {
            Some(Percentiles { p50, p99, p999, max, .. }) => {
                let mark = if p999 > P999_GOAL_MS { "**" } else { "" };
                add(format!("{p50:.2}"));
                add(format!("{p99:.2}"));
                add(format!("{mark}{p999:.1}{mark}"));
                add(format!("{max:.1}"));
            }
            None => (0..4).for_each(|_| add(String::new())),
        }
        add((self.peak_bytes >> 20).to_string());
        add(match self.stop {
            None => String::new(),
            Some((took, Some(0))) => format!("{:.2}", took.as_secs_f64()),
            Some((took, Some(code))) => format!("{:.2}, exit code {code}", took.as_secs_f64()),
            Some((took, None)) => format!("killed after {:.0}", took.as_secs_f64()),
        });
        add(self.problem.clone().unwrap_or_default());
        line
    }

    fn json(&self) -> Value {
        let latencies = self.latencies.map(|it| {
            json!({
                "count": it.count,
                "p50_ms": it.p50,
                "p99_ms": it.p99,
                "p999_ms": it.p999,
                "max_ms": it.max,
            })
        });
        json!({
            "workers": self.workers,
            "kind": self.kind,
            "polite": latencies,
            "peak_bytes": self.peak_bytes,
            "sigterm_ms": self.stop.map(|(took, _)| took.as_millis() as u64),
            "exit_code": self.stop.and_then(|(_, code)| code),
            "problem": self.problem,
        })
    }
}

/// Writes the record: `runs.jsonl`, and the table for people.
pub(super) fn write(
    directory: &Path,
    series: &Series<'_>,
    rows: &[Row],
    command: &str,
) -> Result<PathBuf> {
    let head = json!({
        "date": date(),
        "command": command,
        "stockd": first_line(Command::new(series.binary).arg("--version")),
        "commit": first_line(Command::new("git").args(["rev-parse", "--short", "HEAD"])),
        "kernel": first_line(Command::new("uname").arg("-sr")),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "stocks": series.stocks,
        "seconds": series.time.as_secs(),
        "memory_limit": series.limit.describe(),
    });
    fs::create_dir_all(directory)?;
    let lines: Vec<String> = rows.iter().map(|row| row.json().to_string()).collect();
    let runs = format!("{head}\n{}\n", lines.join("\n"));
    fs::write(directory.join("runs.jsonl"), runs).context("cannot write the runs")?;
    let table: Vec<String> = rows.iter().map(Row::line).collect();
    let text = |key: &str| head[key].as_str().unwrap_or_default();
    let summary = format!(
        "# {}, {}\n\n{}, {} processors; commit {}; {} stocks; {} s each. Server, polite and rude \
         clients share the processors.\n\n{HEAD}\n{}\n",
        text("command"),
        text("date"),
        text("kernel"),
        head["processors"],
        text("commit"),
        head["stocks"],
        head["seconds"],
        table.join("\n"),
    );
    fs::write(directory.join("README.md"), summary).context("cannot write the summary")?;
    Ok(directory.to_owned())
}

/// Today, as records are named.
pub(super) fn date() -> String {
    first_line(Command::new("date").args(["-u", "+%F"]))
}

/// The first line that a program prints; empty where it is not there.
fn first_line(command: &mut Command) -> String {
    let text = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}
