//! What all parts of a comparison need, and which core each program gets.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::workspace::Workspace;

/// What all parts of a comparison need.
pub(super) struct Bench<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) stockd: PathBuf,
    /// A directory for data and start files of servers.
    pub(super) scratch: &'a Path,
    pub(super) rounds: usize,
    pub(super) measured: Duration,
}

/// A program bound to one core.
pub(super) fn on_core(core: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}
