//! A problem that a check has found, and its place.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Where, relative to the root of the workspace.
    pub(crate) file: PathBuf,
    /// Which line, from 1; `None` for the whole file.
    pub(crate) line: Option<usize>,
    /// What is wrong, and the remedy.
    pub(crate) problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.problem)
    }
}

/// Prints the findings.
///
/// # Errors
///
/// When there are any.
pub(crate) fn report(findings: impl IntoIterator<Item = Finding>) -> Result<()> {
    let count = findings.into_iter().inspect(|finding| println!("{finding}")).count();
    match count {
        0 => Ok(()),
        1 => bail!("1 problem found"),
        _ => bail!("{count} problems found"),
    }
}
