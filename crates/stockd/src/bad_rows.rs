//! Bad rows of a file that a command reads: refused together, or skipped and counted.

use anyhow::bail;
use stockd_model::limits::CATALOG_BAD_ROWS_SHOWN_MAX;

use crate::output;

/// Bad rows, and the first of them with file, line and reason.
#[derive(Debug, Default)]
pub(crate) struct BadRows {
    pub(crate) count: u64,
    pub(crate) first: Vec<String>,
}

impl BadRows {
    /// Adds one, with its place.
    pub(crate) fn add(&mut self, located: String) {
        self.count += 1;
        if self.first.len() < CATALOG_BAD_ROWS_SHOWN_MAX {
            self.first.push(located);
        }
    }

    /// Shows them on standard error.
    ///
    /// # Errors
    ///
    /// When there are bad rows and `lenient` is false. `stopped` says the consequence, as in
    /// `nothing is imported`.
    pub(crate) fn report(&self, lenient: bool, stopped: &str) -> anyhow::Result<()> {
        let BadRows { count, first } = self;
        let skipped = if lenient { "skipped " } else { "" };
        for row in first {
            output::problem(format_args!("{skipped}{row}"));
        }
        let rows = if *count == 1 { "row" } else { "rows" };
        match count {
            0 => {}
            _ if lenient => {
                output::problem(format_args!("skipped {count} bad {rows} in all"));
            }
            _ => bail!(
                "{count} bad {rows} in all, {stopped}; correct them, or skip them with --lenient"
            ),
        }
        Ok(())
    }
}
