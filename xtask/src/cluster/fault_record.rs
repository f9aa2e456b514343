//! What became of runs of faults, for who reads it: in a few lines, and as a record with the documents.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::fault_run::Outcome;
use super::machine;
use super::options::Faults;

use crate::workspace::Workspace;

/// A run in a few lines.
pub(super) fn describe(outcome: &Outcome) -> String {
    let mut text = format!("{}\n", row(outcome));
    for planned in &outcome.plan {
        let (from, to) = (planned.from.as_secs_f64(), planned.to.as_secs_f64());
        let _ = writeln!(text, "    {from:>5.1} to {to:>5.1} s  {}", planned.fault);
    }
    for problem in &outcome.problems {
        let _ = writeln!(text, "  BROKEN: {problem}");
    }
    text
}

fn row(outcome: &Outcome) -> String {
    format!(
        "seed {:>4}: {:>2} faults, {:>6} calls, {:>6} writes acknowledged, {:>5} without effect, {:>3} uncertain, \
         {:>5} reads behind a fence, {:>6} messages, {:>4} passed over, {:>2} digests, a snapshot up to {:>5}, level {:>4.1} s, took {:>3.0} s, load {:>4}, {}",
        outcome.seed,
        outcome.plan.len(),
        outcome.calls,
        outcome.acknowledged,
        outcome.without_effect,
        outcome.unknown,
        outcome.fenced,
        outcome.messages,
        outcome.passed_over,
        outcome.digests,
        outcome.snapshot,
        outcome.level.as_secs_f64(),
        outcome.took.as_secs_f64(),
        outcome.load,
        match (outcome.problems.is_empty(), outcome.is_late()) {
            (false, _) => "BROKEN",
            (true, true) => "good, but LATE",
            (true, false) => "good",
        }
    )
}

/// Writes the record of runs.
pub(super) fn write(
    workspace: &Workspace,
    nats: &Path,
    faults: Faults,
    outcomes: &[Outcome],
) -> Result<()> {
    let path = format!("docs/benchmarks/records/{}-cluster-faults.txt", machine::date());
    let seconds = faults.time.as_secs();
    let slowness = outcomes.first().map_or("", |outcome| outcome.slowness);
    let mut text = format!(
        "Three NATS servers, three nodes, nine clients of one node each and three of all; things go wrong for {seconds} s in each run.\n\
         cargo xtask cluster --faults --runs {} --seed {} --seconds {seconds} --record\n\
         {}\n\
         a slow link: {slowness}\n\n",
        faults.runs,
        faults.seed,
        machine::describe(nats),
    );
    let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>();
    let good = outcomes.iter().filter(|outcome| outcome.problems.is_empty()).count();
    let late = outcomes.iter().filter(|outcome| outcome.is_late()).count();
    let level = outcomes.iter().map(|outcome| outcome.level).max().unwrap_or_default();
    let _ = writeln!(
        text,
        "{good} of {} runs good, {late} of them level later than promised: {} faults, {} calls, {} writes acknowledged, {} uncertain, {} reads behind a fence; level after {:.1} s at most\n",
        outcomes.len(),
        sum(|it| it.plan.len()),
        sum(|it| it.calls),
        sum(|it| it.acknowledged),
        sum(|it| it.unknown),
        sum(|it| it.fenced),
        level.as_secs_f64(),
    );
    for outcome in outcomes {
        text.push_str(&describe(outcome));
    }
    fs::write(workspace.absolute(&path), text)?;
    Ok(())
}
