//! Three NATS servers and three nodes from one command: to try them, to see what becomes of them when things go wrong, and how
//! fast they are.
//!
//! `cargo xtask cluster` starts them on this machine and says where they are, until Ctrl-C ends all of it; `--quick` writes
//! through each node, reads from each, and runs the commands that are shown. `--faults` has them in a network of namespaces, on
//! disks whose power can fail ([`scene`]), with clients who trade ([`clients`]), and things go wrong as a seed says
//! ([`faults`]); what must be so all the same is in [`fault_run`]. `--measure` is for docs/benchmarks.md, and `--rates` is its
//! part about writes, to compare binaries by turns.
//!
//! Invariants: all traffic is on this machine; every process, namespace and disk is gone when the task has ended; a run of faults
//! fails for a broken promise.

mod clients;
mod disk;
mod fault_record;
mod fault_run;
mod faults;
mod interruption;
mod loader;
mod machine;
mod measure;
mod network;
mod node;
mod options;
mod place;
mod programs;
mod scene;
mod server;
mod trial;
mod watchers;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::disk::Disk;
use self::fault_run::Outcome;
use self::network::Network;
use self::options::{Faults, Options, What};
use self::programs::Programs;
use self::trial::Trial;
use crate::workspace::Workspace;

/// The runs of faults in CI: the same ones each time, and short.
const CI: Faults = Faults { runs: 3, seed: 1, time: Duration::from_secs(10), is_recorded: false };

/// Does what is asked.
///
/// # Errors
///
/// Where a promise is broken: the seed says how to break it again.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    interruption::note_signals()?;
    let is_measured = matches!(options.what, What::Measure { .. } | What::Rates);
    let programs = Programs::get(workspace, &options, is_measured)?;
    match &options.what {
        What::Try => try_it(&programs, false),
        What::Quick => try_it(&programs, true),
        What::Faults(faults) => {
            if let Some(why) = missing()? {
                anyhow::bail!("no runs of faults here: {why}");
            }
            let outcomes = all_runs(&programs, *faults, |outcomes| match faults.is_recorded {
                true => fault_record::write(workspace, &programs.nats, *faults, outcomes),
                false => Ok(()),
            })?;
            judge(&outcomes)?;
            let late = outcomes.iter().filter(|it| it.is_late()).count();
            ensure!(
                late == 0,
                "in {late} runs the nodes were level later than promised; on an idle machine that is a broken promise"
            );
            Ok(())
        }
        What::Measure { stocks } => measure::run(workspace, &programs, *stocks),
        What::Rates => measure::rates(&programs),
    }
}

/// The step of CI: the cluster of one command, and a few runs of faults where they can be made.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn check(workspace: &Workspace, _: &[String]) -> Result<()> {
    interruption::note_signals()?;
    let programs = Programs::get(workspace, &Options { what: What::Quick, binary: None }, false)?;
    try_it(&programs, true)?;
    match missing()? {
        None => judge(&all_runs(&programs, CI, |_| Ok(()))?),
        Some(why) => {
            println!("SKIPPED: runs of faults: {why}");
            Ok(())
        }
    }
}

fn try_it(programs: &Programs, is_quick: bool) -> Result<()> {
    let mut directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let trial = Trial::start(programs, directory.path());
    // The logs of all processes are in there.
    directory.disable_cleanup(trial.is_err());
    let trial = trial?;
    if is_quick {
        trial.check(&programs.stockd)?;
        println!(
            "each of three nodes shows what was written through the others, and the commands that are shown work"
        );
    } else {
        println!("{}", trial.describe(&programs.stockd));
        Trial::wait();
        println!("ending");
    }
    trial.end()
}

/// Why there can be no runs of faults here, if there cannot.
fn missing() -> Result<Option<String>> {
    if let Some(why) = Network::missing() {
        return Ok(Some(why));
    }
    Ok(Disk::missing(tempfile::tempdir()?.path()))
}

/// All runs. What has come of them so far is recorded after each.
fn all_runs(
    programs: &Programs,
    faults: Faults,
    record: impl Fn(&[Outcome]) -> Result<()>,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for seed in faults.seed..faults.seed + faults.runs {
        let mut directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        let outcome = fault_run::run(programs, directory.path(), seed, faults.time);
        if !outcome.as_ref().is_ok_and(|it| it.problems.is_empty()) {
            // The logs of all processes are in there.
            directory.disable_cleanup(true);
            println!("seed {seed}: logs are in {}", directory.path().display());
        }
        let outcome = outcome.with_context(|| format!("seed {seed} could not be run"))?;
        print!("{}", fault_record::describe(&outcome));
        outcomes.push(outcome);
        record(&outcomes)?;
    }
    Ok(outcomes)
}

fn judge(outcomes: &[Outcome]) -> Result<()> {
    let broken: Vec<String> = outcomes
        .iter()
        .filter(|it| !it.problems.is_empty())
        .map(|it| it.seed.to_string())
        .collect();
    ensure!(
        broken.is_empty(),
        "promises were broken with seed {}; the same again: cargo xtask cluster --faults --seed {}",
        broken.join(", "),
        broken[0]
    );
    Ok(())
}
