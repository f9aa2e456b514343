//! What `cargo xtask` can do is a list of tasks.

use anyhow::Result;

use crate::workspace::Workspace;

/// One thing that `cargo xtask` can do.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    /// What it is for, in a line of the list.
    pub(crate) about: &'static str,
    /// When CI runs it, if it does.
    pub(crate) in_ci: Option<When>,
    pub(crate) run: fn(&Workspace, &[String]) -> Result<()>,
}

/// When CI runs a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// From the start, one after the other: what is built in `target/debug`.
    First,
    /// Beside those, one after the other: what is built elsewhere.
    Beside,
    /// When all of those have passed, one after the other, with the machine for themselves.
    Then,
}
