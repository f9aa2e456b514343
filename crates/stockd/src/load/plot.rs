//! `stockd load plot`: draws the results of runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, ensure};
use stockd_load::report::{self, Document};

use crate::output;
use crate::usage_error::UsageError;

/// Draw the reports of earlier runs in the same charts.
///
/// Writes the curve of percentiles. For a sweep it also writes latency, throughput and the server's
/// CPU time over the values of the sweep. Each chart is written as SVG and PNG, light and dark.
#[derive(Debug, clap::Args)]
pub(super) struct PlotArgs {
    /// Reports, as --json writes them.
    #[arg(value_name = "JSON", required = true)]
    reports: Vec<PathBuf>,

    /// Directory to write into.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// Label of a report, instead of its own: once for each report, in order.
    #[arg(long = "label", value_name = "TEXT")]
    labels: Vec<String>,
}

pub(super) fn run(args: &PlotArgs) -> anyhow::Result<ExitCode> {
    let (labels, reports) = (args.labels.len(), args.reports.len());
    ensure!(
        labels == 0 || labels == reports,
        UsageError(format!("{labels} labels for {reports} reports; give one --label for each"))
    );
    let mut documents = Vec::new();
    for path in &args.reports {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let document = Document::parse(&text).map_err(|why| {
            anyhow!("{}: not a report of stockd load: {why}; write one with --json", path.display())
        })?;
        documents.push(document);
    }
    for (document, label) in documents.iter_mut().zip(&args.labels) {
        document.label.clone_from(label);
    }
    for path in draw(&documents, &args.out)? {
        output::line(format_args!("{}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes all charts of these reports into a directory and says where they are.
pub(super) fn draw(documents: &[Document], directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let drawings = report::plot(documents).map_err(|why| anyhow!("cannot draw: {why}"))?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    let mut paths = Vec::new();
    for drawing in drawings {
        let path = directory.join(&drawing.name);
        fs::write(&path, &drawing.bytes)
            .with_context(|| format!("cannot write {}", path.display()))?;
        paths.push(path);
    }
    Ok(paths)
}
