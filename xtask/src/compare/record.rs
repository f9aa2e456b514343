//! The record of a comparison: every run, and a summary.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::bench::Bench;
use super::peer::{self, Peer};
use super::running;
use super::scenario::{GOALS, Goal, Measure, SCENARIOS, Scenario};

/// One run of one server.
pub(super) struct Run {
    pub(super) scenario: &'static Scenario,
    pub(super) peer: Peer,
    pub(super) round: usize,
    /// As `stockd load --json` gives it.
    pub(super) report: Value,
    /// Whether its round does not count, because this run or another one in it was disturbed.
    pub(super) round_disturbed: bool,
}

/// All runs that count.
pub(super) struct Record {
    head: Value,
    runs: Vec<Run>,
}

impl Run {
    /// A figure of the only repetition in the report.
    fn figure(&self, path: &[&str]) -> Option<f64> {
        figure(&self.report["points"][0]["repetitions"][0], path)
    }

    /// CPU time of the server for each lookup, or for each write where all are writes.
    fn cpu_ns(&self) -> Option<f64> {
        let key = match self.scenario.updates {
            100 => "server_cpu_ns_per_request",
            _ => "server_cpu_ns_per_lookup",
        };
        self.figure(&[key])
    }

    fn rate(&self) -> Option<f64> {
        let key =
            if self.scenario.updates == 100 { "requests_a_second" } else { "lookups_a_second" };
        self.figure(&[key])
    }

    fn latency_us(&self, percentile: &str) -> Option<f64> {
        self.figure(&["latency", percentile]).map(|ns| ns / 1000.0)
    }

    fn is_saturated(&self) -> bool {
        self.report["points"][0]["repetitions"][0]["load_saturated"] == true
    }

    /// Whether other programs held it up.
    fn is_disturbed(&self) -> bool {
        self.report["points"][0]["repetitions"][0]["disturbed"] == true
    }

    fn measure(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Cpu => self.cpu_ns(),
            Measure::Rate => self.rate(),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9.0} ns  {:>9.0} a second  p99 {:>7.0} us{}",
            self.cpu_ns().unwrap_or(f64::NAN),
            self.rate().unwrap_or(f64::NAN),
            self.latency_us("p99_ns").unwrap_or(f64::NAN),
            if self.is_disturbed() { "  ! disturbed" } else { "" },
        )
    }
}

impl Record {
    pub(super) fn new(bench: &Bench<'_>) -> Result<Record> {
        running::write_echo_names(bench.scratch)?;
        let head = json!({
            "date": first_line("date", &["-u", "+%F"]),
            "command": format!("cargo xtask {}", std::env::args().skip(1).collect::<Vec<_>>().join(" ")),
            "commit": first_line("git", &["rev-parse", "--short", "HEAD"]),
            "kernel": first_line("uname", &["-sr"]),
            "rustc": first_line("rustc", &["--version"]),
            "peers": PEERS
                .map(|program| first_line(program, &["--version"]))
                .into_iter()
                .chain(peer::nats_server(bench).map(|it| first_line(it, &["--version"])))
                .filter(|version| !version.is_empty())
                .collect::<Vec<_>>(),
            "servers": "on core 0, one worker or thread each but for those that say otherwise",
            "load": "stockd load, or redis-benchmark where it says so, on core 1, one thread",
            "rounds": bench.rounds,
            "measured_ms": bench.measured.as_millis() as u64,
        });
        Ok(Record { head, runs: Vec::new() })
    }

    /// Adds the runs of a round, and says whether it was disturbed.
    pub(super) fn add_round(&mut self, mut runs: Vec<Run>) -> bool {
        let is_disturbed = runs.iter().any(Run::is_disturbed);
        runs.iter_mut().for_each(|run| run.round_disturbed = is_disturbed);
        self.runs.append(&mut runs);
        is_disturbed
    }

    /// The rounds of a scenario: how many were disturbed, and of how many.
    fn disturbed_rounds(&self, scenario: &str) -> (usize, usize) {
        let rounds = |disturbed: Option<bool>| -> BTreeSet<usize> {
            let its = self.runs.iter().filter(|run| run.scenario.name == scenario);
            let its = its.filter(|run| disturbed.is_none_or(|it| it == run.round_disturbed));
            its.map(|run| run.round).collect()
        };
        (rounds(Some(true)).len(), rounds(None).len())
    }

    /// Whether too few rounds of a scenario were left alone for a verdict: not more than half of those that
    /// were to be.
    fn is_withheld(&self, scenario: &str) -> bool {
        let (disturbed, all) = self.disturbed_rounds(scenario);
        let wanted = self.head["rounds"].as_u64().unwrap_or(0) as usize;
        (all - disturbed) * 2 <= wanted
    }

    /// The runs of one server under one load that figures are taken from: those of rounds that were not
    /// disturbed, or all where too few are left.
    fn counted(&self, peer: Peer, scenario: &str) -> impl Iterator<Item = &Run> {
        let all = self.is_withheld(scenario);
        self.runs
            .iter()
            .filter(move |run| run.peer == peer && run.scenario.name == scenario)
            .filter(move |run| all || !run.round_disturbed)
    }

    /// The figures of one server under one load, by round.
    fn figures(&self, (peer, scenario): (Peer, &str), measure: Measure) -> Vec<(usize, f64)> {
        let runs = self.counted(peer, scenario);
        runs.filter_map(|run| Some((run.round, run.measure(measure)?))).collect()
    }

    /// The ratios of two, round by round, sorted.
    fn ratios(&self, of: (Peer, &str), to: (Peer, &str), measure: Measure) -> Vec<f64> {
        let to = self.figures(to, measure);
        let mut ratios: Vec<f64> = self
            .figures(of, measure)
            .into_iter()
            .filter_map(|(round, figure)| {
                let (_, base) = to.iter().find(|(other, _)| *other == round)?;
                Some(figure / base)
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    /// The summary, in Markdown.
    pub(super) fn summary(&self) -> String {
        let mut text = String::new();
        self.write_summary(&mut text).expect("a string takes everything");
        text
    }

    fn write_summary(&self, text: &mut String) -> fmt::Result {
        let head = |key: &str| self.head[key].as_str().unwrap_or_default().to_owned();
        writeln!(text, "# {}, {}\n", head("command"), head("date"))?;
        let mut machines = self.runs.iter().map(|run| &run.report["machine"]);
        let Some(machine) = machines.find(|it| it.is_object()) else { return Ok(()) };
        writeln!(
            text,
            "{}, {} cores, {}; {}; commit {}. Servers on core 0, the load generator on core 1. \
             Medians of {} rounds; ratios are taken within a round (lowest to highest).\n",
            machine["cpu"].as_str().unwrap_or("?"),
            std::thread::available_parallelism().map_or(0, usize::from),
            head("kernel"),
            self.head["peers"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join("; "),
            head("commit"),
            self.head["rounds"],
        )?;
        self.write_goals(text)?;
        for scenario in SCENARIOS {
            self.write_scenario(scenario, text)?;
        }
        Ok(())
    }

    fn write_goals(&self, text: &mut String) -> fmt::Result {
        let goals: Vec<(&Goal, Vec<f64>)> = GOALS
            .iter()
            .map(|goal| (goal, self.ratios(goal.of, goal.to, goal.measure)))
            .filter(|(_, ratios)| !ratios.is_empty())
            .collect();
        if goals.is_empty() {
            return Ok(());
        }
        writeln!(text, "| goal | bound | measured | |\n|---|---|---|---|")?;
        for (goal, ratios) in goals {
            let (what, sign, met): (&str, &str, fn(f64, f64) -> bool) = match goal.measure {
                Measure::Cpu => ("server CPU", "at most", |ratio, bound| ratio <= bound),
                Measure::Rate => ("requests a second", "at least", |ratio, bound| ratio >= bound),
            };
            let to = match goal.of.1 == goal.to.1 {
                true => goal.to.0.name(),
                false => format!("{}, {}", goal.to.0.name(), goal.to.1),
            };
            writeln!(
                text,
                "| {}: {what} of {} to {to} | {sign} {:.2} × | {} | {} |",
                goal.of.1,
                goal.of.0.name(),
                goal.bound,
                spread(&ratios),
                match self.is_withheld(goal.of.1) || self.is_withheld(goal.to.1) {
                    true => "withheld: disturbed",
                    false if met(median(&ratios), goal.bound) => "met",
                    false => "**missed**",
                },
            )?;
        }
        writeln!(text)
    }

    fn write_scenario(&self, scenario: &Scenario, text: &mut String) -> fmt::Result {
        let of = |peer: Peer| self.counted(peer, scenario.name);
        let Some(&base) = scenario.peers.iter().find(|&&peer| of(peer).next().is_some()) else {
            return Ok(());
        };
        let unit = scenario.unit();
        writeln!(text, "## {}\n", scenario.name)?;
        writeln!(
            text,
            "| server | CPU ns a {unit} | × {} | {unit}s a second | × {} | p50 µs | p99 µs | |",
            base.name(),
            base.name()
        )?;
        writeln!(text, "|---|---|---|---|---|---|---|---|")?;
        for &peer in scenario.peers {
            if of(peer).next().is_none() {
                continue;
            }
            let middle = |figure: fn(&Run) -> Option<f64>| {
                let mut figures: Vec<f64> = of(peer).filter_map(figure).collect();
                figures.sort_by(f64::total_cmp);
                median(&figures)
            };
            let ratio = |measure| {
                let (of, to) = ((peer, scenario.name), (base, scenario.name));
                spread(&self.ratios(of, to, measure))
            };
            let saturated = of(peer).any(Run::is_saturated);
            writeln!(
                text,
                "| {} | {:.0} | {} | {:.0} | {} | {:.0} | {:.0} | {} |",
                peer.name(),
                middle(Run::cpu_ns),
                ratio(Measure::Cpu),
                middle(Run::rate),
                ratio(Measure::Rate),
                middle(|run| run.latency_us("p50_ns")),
                middle(|run| run.latency_us("p99_ns")),
                match (saturated, &scenario.fan_out) {
                    (true, None) => "the load generator was at its limit",
                    (true, Some(_)) => "it held the publisher up",
                    (false, _) => "",
                },
            )?;
        }
        match self.disturbed_rounds(scenario.name) {
            (0, _) => {}
            (disturbed, all) if self.is_withheld(scenario.name) => writeln!(
                text,
                "\nOther programs disturbed {disturbed} of {all} rounds: these are figures of a busy machine, and no \
                 verdict is given."
            )?,
            (disturbed, all) => writeln!(
                text,
                "\nOther programs disturbed {disturbed} of {all} rounds, which do not count."
            )?,
        }
        writeln!(text)
    }

    /// Writes runs, summary and plots. Returns the directory.
    pub(super) fn write(&self, bench: &Bench<'_>, filters: &[&String]) -> Result<PathBuf> {
        let date = self.head["date"].as_str().unwrap_or("undated");
        let parts: Vec<String> = filters.iter().map(|part| part.replace(' ', "-")).collect();
        let name = [vec![date.to_owned(), "compare".to_owned()], parts].concat().join("-");
        let directory = bench.workspace.absolute("docs/benchmarks/records").join(name);
        fs::create_dir_all(&directory)?;
        // Paths of this machine do not belong in the record.
        let stockd = bench.stockd.display().to_string();
        let scratch = bench.scratch.display().to_string();
        let mut runs = format!("{}\n", self.head);
        for run in &self.runs {
            let mut report = run.report.clone();
            // The whole curve of each run would be most of the record.
            report["points"][0]["repetitions"][0]["percentiles"] = Value::Null;
            let line = json!({
                "scenario": run.scenario.name,
                "peer": run.peer.name(),
                "round": run.round,
                "round_disturbed": run.round_disturbed,
                "report": report,
            });
            let line = line.to_string().replace(&stockd, "stockd").replace(&scratch, "SCRATCH");
            writeln!(runs, "{line}")?;
        }
        fs::write(directory.join("runs.jsonl"), runs).context("cannot write the runs")?;
        fs::write(directory.join("README.md"), self.summary())
            .context("cannot write the summary")?;
        Ok(directory)
    }
}

/// The middle one, and of an even number the lower of the two in the middle, as in reports of `stockd load`.
fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The median, and the lowest and highest in parentheses.
fn spread(sorted: &[f64]) -> String {
    let [lowest, .., highest] = sorted else {
        return format!("{:.2}", median(sorted));
    };
    format!("{:.2} ({lowest:.2} to {highest:.2})", median(sorted))
}

/// Programs whose versions belong to a record.
const PEERS: [&str; 5] = ["redis-server", "memcached", "valkey-server", "pogocache", "dragonfly"];

/// The version that a program prints; empty when it is not installed.
fn first_line(program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

/// A figure of a report of `stockd load`, by its path.
fn figure(report: &Value, path: &[&str]) -> Option<f64> {
    let mut value = report;
    for key in path {
        value = value.get(key)?;
    }
    value.as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "line 50x1";

    /// A record of three rounds wanted, and these rounds: of each server's CPU time a lookup, and whether the run
    /// was disturbed.
    fn record(rounds: &[[(f64, bool); 2]]) -> Record {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.name == NAME).unwrap();
        let mut record = Record { head: json!({ "rounds": 3 }), runs: Vec::new() };
        for (round, runs) in rounds.iter().enumerate() {
            let run = |(&peer, &(cpu, disturbed)): (&Peer, &(f64, bool))| Run {
                scenario,
                peer,
                round: round + 1,
                report: json!({
                    "machine": { "cpu": "some" },
                    "points": [{ "repetitions": [{
                        "server_cpu_ns_per_lookup": cpu,
                        "lookups_a_second": 1000.0,
                        "disturbed": disturbed,
                    }]}],
                }),
                round_disturbed: false,
            };
            let runs = [Peer::ECHO, Peer::LINE].iter().zip(runs).map(run).collect();
            record.add_round(runs);
        }
        record
    }

    #[test]
    fn disturbed_rounds_do_not_count() {
        let quiet = [(1000.0, false), (1000.0, false)];
        let record = record(&[quiet, [(1000.0, false), (9000.0, true)], quiet, quiet]);
        let summary = record.summary();
        assert!(summary.contains("| at most 1.05 × | 1.00 (1.00 to 1.00) | met |"), "{summary}");
        assert!(summary.contains("disturbed 1 of 4 rounds, which do not count"), "{summary}");
        let shown =
            record.runs.iter().map(Run::to_string).filter(|run| run.ends_with("! disturbed"));
        assert_eq!(shown.count(), 1);
        assert_eq!(record.runs.iter().filter(|run| run.round_disturbed).count(), 2);
    }

    #[test]
    fn where_most_rounds_are_disturbed_there_is_no_verdict() {
        let disturbed = [(1000.0, false), (9000.0, true)];
        let record = record(&[[(1000.0, false), (1000.0, false)], disturbed, disturbed, disturbed]);
        let summary = record.summary();
        assert!(summary.contains("| withheld: disturbed |"), "{summary}");
        assert!(!summary.contains("| met |") && !summary.contains("missed"), "{summary}");
        assert!(
            summary.contains("disturbed 3 of 4 rounds: these are figures of a busy machine"),
            "{summary}"
        );
    }
}
