//! What CI runs. Two lanes of steps go side by side, since they only build and check, each in folders of build output of
//! its own, so that neither waits for the lock of the other. Then come the steps that run what was built, one by one.
//!
//! Invariant: every step is a process of its own, `cargo xtask STEP`, so that it does here what it does when it is run
//! alone.

use std::io::{self, Read};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::task::{Task, When};

/// A step that has passed, and how long it took.
struct Passed {
    name: &'static str,
    seconds: f64,
}

/// Runs the steps of CI. In each lane the first that fails is the last.
///
/// # Errors
///
/// When a step fails: the error names it, and the command that runs it alone.
pub(crate) fn run(tasks: &[Task]) -> Result<()> {
    let began = Instant::now();
    let has_failed = AtomicBool::new(false);
    let lane = |when, run_step: fn(&Task) -> Result<Passed>| -> Result<Vec<Passed>> {
        let steps = tasks.iter().filter(|task| task.in_ci == Some(when));
        let steps = steps.take_while(|_| !has_failed.load(Ordering::Relaxed));
        let outcomes = steps
            .map(|step| run_step(step).inspect_err(|_| has_failed.store(true, Ordering::Relaxed)));
        outcomes.collect()
    };
    let mut passed = thread::scope(|scope| -> Result<Vec<Passed>> {
        let beside = scope.spawn(|| lane(When::Beside, kept));
        let first = lane(When::First, shown);
        let beside = beside.join().expect("a lane does not panic");
        Ok(first?.into_iter().chain(beside?).collect())
    })?;
    passed.extend(lane(When::Then, shown)?);
    println!("\nall steps passed in {:.1} s", began.elapsed().as_secs_f64());
    for Passed { name, seconds } in passed {
        println!("  {name:<14} {seconds:>7.1} s");
    }
    Ok(())
}

/// Runs a step and shows what it prints as it comes.
fn shown(step: &Task) -> Result<Passed> {
    println!("\n=== {}: {}", step.name, step.about);
    let passed = timed(step, |mut command| Ok(command.status()?.success()))?;
    println!("=== {}: passed in {:.1} s", passed.name, passed.seconds);
    Ok(passed)
}

/// Runs a step and shows in one piece what it has printed.
fn kept(step: &Task) -> Result<Passed> {
    let mut printed = Vec::new();
    let outcome = timed(step, |mut command| {
        let (mut reader, writer) = io::pipe()?;
        let mut child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
        // It holds the end that is written to, and reading ends when all of those are closed.
        drop(command);
        reader.read_to_end(&mut printed)?;
        Ok(child.wait()?.success())
    });
    let printed = String::from_utf8_lossy(&printed);
    let end = match &outcome {
        Ok(passed) => format!("passed in {:.1} s", passed.seconds),
        Err(_) => "failed".to_owned(),
    };
    let name = step.name;
    print!("\n=== {name}, beside: {}\n{printed}=== {name}, beside: {end}\n", step.about);
    outcome
}

fn timed(step: &Task, passes: impl FnOnce(Command) -> io::Result<bool>) -> Result<Passed> {
    let name = step.name;
    let began = Instant::now();
    let mut command = Command::new(std::env::current_exe()?);
    // What is built once gains nothing from what makes the next build quicker.
    command.arg(name).env("CARGO_INCREMENTAL", "0");
    let has_passed = passes(command).with_context(|| format!("cannot run step '{name}'"))?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(
        has_passed,
        "step '{name}' failed after {seconds:.1} s; run it alone with: cargo xtask {name}"
    );
    Ok(Passed { name, seconds })
}
