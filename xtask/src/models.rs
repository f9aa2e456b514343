//! The models of loom: what threads do to the catalog and the engine, in every order.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{build, test_run};

/// All models of the catalog and of the engine pass, in every interleaving that loom explores.
///
/// # Errors
///
/// When a model fails, or when a crate has none: a filter that matches nothing must not pass.
pub(crate) fn explore(workspace: &Workspace, _: &[String]) -> Result<()> {
    let mut tests = workspace.cargo();
    tests.args(["test", "--no-run", "--profile", "models", "--lib"]).env("RUSTFLAGS", "--cfg loom");
    tests.args(["--package", "stockd-catalog", "--package", "stockd-engine"]);
    for program in test_run::built(tests)? {
        let models = || {
            let mut command = Command::new(&program.executable);
            command.arg("models");
            command
        };
        let listed = models().arg("--list").output().context("cannot list the models")?;
        if !String::from_utf8_lossy(&listed.stdout).contains(": test") {
            bail!("{} has no models: no test in src/models.rs", program.name);
        }
        build::run(&mut models())?;
    }
    Ok(())
}
