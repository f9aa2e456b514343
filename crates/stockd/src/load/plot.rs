//! `stockd load plot`: draws what runs have measured.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use stockd_load::report::Document;

/// Draw the reports of earlier runs over each other.
#[derive(Debug, clap::Args)]
pub(super) struct PlotArgs {
    /// Reports, as --json writes them.
    #[arg(value_name = "JSON", required = true)]
    reports: Vec<PathBuf>,
}

pub(super) fn run(_: &PlotArgs) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}

pub(super) fn draw(_: &[Document], _: &Path) -> anyhow::Result<()> {
    Ok(())
}
