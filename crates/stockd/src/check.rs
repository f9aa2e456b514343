//! `stockd check`: verifies a data directory that no server uses.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::output;

/// Verify the data directory of a server that is not running.
///
/// Reads all of it, every checksum and every record, and changes nothing. Prints what was found;
/// exits with 1 if any of it is damaged.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The data directory.
    dir: PathBuf,
}

/// Checks, and says what was found.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let report = stockd_store::check(&args.dir)?;
    output::lines(&report.to_string())?;
    Ok(match report.is_whole() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
