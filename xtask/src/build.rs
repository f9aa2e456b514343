//! The steps that are cargo's work: formatting, lints, documentation, the binary.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::workspace::Workspace;

/// The code is formatted as rustfmt.toml says.
pub(crate) fn fmt(workspace: &Workspace, _: &[String]) -> Result<()> {
    run(workspace.cargo().args(["fmt", "--all", "--check"]))
}

/// No warnings from the compiler or clippy.
pub(crate) fn clippy(workspace: &Workspace, _: &[String]) -> Result<()> {
    run(workspace.cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// The binary builds without its optional parts, and with each of them alone, without warnings.
pub(crate) fn smallest(workspace: &Workspace, _: &[String]) -> Result<()> {
    for features in ["", "load", "demo", "web", "feed", "cluster"] {
        run(workspace
            .cargo()
            .args(["clippy", "--package", "stockd", "--no-default-features"])
            .args(["--features", features, "--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// Everything that the tests need is built.
pub(crate) fn build(workspace: &Workspace, _: &[String]) -> Result<()> {
    run(&mut tests(workspace)?)
}

/// The documentation of the code builds, every link in it resolves.
pub(crate) fn rustdoc(workspace: &Workspace, _: &[String]) -> Result<()> {
    run(workspace
        .cargo()
        .args(["doc", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings"))
}

/// The demo plays as README.md says to run it, and finds nothing wrong with itself.
pub(crate) fn demo(workspace: &Workspace, _: &[String]) -> Result<()> {
    run(Command::new(tested_binary(workspace)?).args(["demo", "--once"]))
}

/// The features that tests are built with: the allocator that packages have.
pub(crate) const TESTED_FEATURES: [&str; 2] = ["--features", "stockd/jemalloc"];

/// A command that builds all tests, and the binary that they run.
///
/// # Errors
///
/// When what it needs cannot be installed.
pub(crate) fn tests(workspace: &Workspace) -> Result<Command> {
    install_tools()?;
    let mut command = workspace.cargo();
    command.args(["test", "--workspace", "--no-run"]).args(TESTED_FEATURES);
    Ok(command)
}

/// Builds the binary that tests run, with all assertions, and says where it is: one build serves every step of CI.
///
/// # Errors
///
/// When it does not build.
pub(crate) fn tested_binary(workspace: &Workspace) -> Result<PathBuf> {
    run(&mut tests(workspace)?)?;
    binary_in(workspace, "debug")
}

/// Builds the binary with the profile of a newcomer and says where it is.
///
/// # Errors
///
/// When it does not build.
pub(crate) fn release_binary(workspace: &Workspace) -> Result<PathBuf> {
    binary(workspace, "release")
}

/// Builds the binary as it is packaged and measured and says where it is.
///
/// # Errors
///
/// When it does not build.
pub(crate) fn dist_binary(workspace: &Workspace) -> Result<PathBuf> {
    binary(workspace, "dist")
}

/// Builds the examples of a package; they are in `examples` beside the measured binary.
pub(crate) fn dist_examples(workspace: &Workspace, package: &str) -> Result<()> {
    run(workspace.cargo().args(["build", "--profile=dist", "--package", package, "--examples"]))
}

/// Builds it as a packager does.
fn binary(workspace: &Workspace, profile: &str) -> Result<PathBuf> {
    install_tools()?;
    run(workspace
        .cargo()
        .args(["build", "--profile", profile, "--package", "stockd", "--bin", "stockd"])
        .args(["--features", "jemalloc"]))?;
    binary_in(workspace, profile)
}

/// Installs what jemalloc is built with: its own Makefile.
fn install_tools() -> Result<()> {
    packages::install(&[("make", "make")])
}

/// The binary in this folder of what is built.
fn binary_in(workspace: &Workspace, folder: &str) -> Result<PathBuf> {
    let metadata = workspace.metadata()?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target_directory")?;
    Ok(PathBuf::from(target).join(folder).join("stockd"))
}

/// Runs a command to its end with its output shown.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// A command as it would be typed.
pub(crate) fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    format!("{program} {}", arguments.join(" "))
}
