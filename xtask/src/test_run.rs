//! All tests of the workspace, as many test programs at once as there are processors: most of them wait, for servers,
//! for clocks and for other people's clients.
//!
//! Invariant: what `cargo test --workspace` would run is run, each program once, in the folder of its package; all of its
//! output is printed when it has ended, in one piece.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::workspace::Workspace;
use crate::{build, lanes};

/// A built test program.
pub(crate) struct Program {
    /// Package and target, for people.
    pub(crate) name: String,
    pub(crate) executable: PathBuf,
    /// The folder of its package, where cargo runs it.
    folder: PathBuf,
    /// It is one of those in `tests`, not the unit tests of a crate.
    is_integration: bool,
}

/// Runs all tests, and fails when one does. Every program runs to its end, whatever others find.
///
/// # Errors
///
/// When the tests do not build, or when one fails: the error names the programs.
pub(crate) fn run(workspace: &Workspace, _: &[String]) -> Result<()> {
    let mut programs = built(build::tests(workspace)?)?;
    // Those that take long first, so that none of them is alone at the end.
    programs.sort_by_key(|program| !program.is_integration);
    let failed = run_all(&programs)?;
    let mut examples = workspace.cargo();
    build::run(examples.args(["test", "--workspace", "--doc"]).args(build::TESTED_FEATURES))?;
    ensure!(failed.is_empty(), "tests failed in: {}", failed.join(", "));
    Ok(())
}

/// The test programs that a command of cargo builds.
///
/// # Errors
///
/// When they do not build, or when there are none.
pub(crate) fn built(mut command: Command) -> Result<Vec<Program>> {
    command.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    println!("$ {}", build::shown(&command));
    let output = command.output().context("cannot run cargo test")?;
    ensure!(output.status.success(), "the tests do not build ({})", output.status);
    let text = String::from_utf8(output.stdout).context("cargo test printed no UTF-8")?;
    let mut programs = Vec::new();
    for line in text.lines() {
        let message = serde_json::from_str(line).context("cargo test printed no JSON")?;
        programs.extend(program(&message));
    }
    ensure!(!programs.is_empty(), "cargo built no tests");
    Ok(programs)
}

/// The test program that a message of cargo tells of, if it does.
fn program(message: &Value) -> Option<Program> {
    let is_test = message["profile"]["test"].as_bool()?;
    let executable = message["executable"].as_str()?;
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    let package = folder.file_name()?.to_string_lossy();
    let target = message["target"]["name"].as_str()?;
    is_test.then(|| Program {
        name: format!("{package}/{target}"),
        executable: executable.into(),
        folder: folder.to_owned(),
        is_integration: message["target"]["kind"][0] == "test",
    })
}

/// Runs the programs and says which failed.
fn run_all(programs: &[Program]) -> Result<Vec<String>> {
    // One piece of output after the other.
    let output_of_one = Mutex::new(());
    let failed = lanes::work(lanes::processors(), programs, |program| {
        let began = Instant::now();
        let output = Command::new(&program.executable)
            .current_dir(&program.folder)
            .env("CARGO_MANIFEST_DIR", &program.folder)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", program.executable.display()))?;
        let seconds = began.elapsed().as_secs_f64();
        let _one = output_of_one.lock().unwrap_or_else(PoisonError::into_inner);
        show(&program.name, &output, seconds);
        let status = output.status;
        Ok((!status.success()).then(|| format!("{} ({status})", program.name)))
    })?;
    Ok(failed.into_iter().flatten().collect())
}

fn show(name: &str, output: &Output, seconds: f64) {
    println!("--- {name}: {seconds:.1} s, {}", output.status);
    print!("{}", String::from_utf8_lossy(&output.stdout));
    // Here too, so that it stands beside what it belongs to.
    print!("{}", String::from_utf8_lossy(&output.stderr));
}
