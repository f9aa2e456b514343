//! `stockd import`: lists the stocks of a file on a running server.
//!
//! Invariant: nothing is sent before the whole file is read. If it has a bad row, nothing is sent
//! at all, unless bad rows are skipped.

use std::process::ExitCode;

use anyhow::{Context, bail};
use stockd_client::Write;
use stockd_model::limits::PIPELINE_NAMES_MAX;

use crate::catalog_file::{Loaded, Source};
use crate::output;
use crate::progress;
use crate::quote_server::QuoteServer;
use crate::usage_error::UsageError;
use crate::write_tally::WriteTally;

/// List the stocks of a file on a running server.
///
/// A stock that is listed already gets the price, volume and status of the file, and no volume where
/// the file has none. Others stay as they are. Prints how many were listed and updated; exits with 1 if the server refused any.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// Skip bad rows. Without it nothing is imported if there is one.
    #[arg(long)]
    lenient: bool,

    /// CSV (.csv) or JSON lines (.jsonl, .ndjson) with symbol, price, volume and optionally status;
    /// may be compressed (.gz); '-' is CSV from standard input.
    file: String,
}

/// Stocks between two steps of the progress bar: some chunks, so that requests are sent ahead.
const BATCH: usize = 8 * PIPELINE_NAMES_MAX;

/// Reads the file, writes its stocks, and prints the outcome.
pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let source = Source::parse(&args.file).ok_or_else(|| {
        let file = &args.file;
        UsageError(format!(
            "'{file}' has no ending of a catalog file; name it .csv, .jsonl or .ndjson, and .gz after that if it is compressed"
        ))
    })?;
    let Loaded { rows, bad_rows } = source.read()?;
    bad_rows.report(args.lenient, "nothing is imported")?;
    let writes: Vec<Write> = rows.iter().map(|row| Write::Set(row.symbol, row.fields)).collect();

    let mut client = args.server.connect()?;
    let mut tally = WriteTally::default();
    let progress = progress::bar_of_many(
        writes.len() as u64,
        "{bar:40} {human_pos} of {human_len} stocks, {eta} left",
    );
    for batch in writes.chunks(BATCH) {
        let outcomes = client
            .write_all(batch.iter().copied())
            .with_context(|| format!("after {} of {} stocks", tally.writes(), writes.len()))?;
        batch.iter().zip(outcomes).for_each(|(write, outcome)| tally.record(write, outcome));
        progress.inc(batch.len() as u64);
    }
    drop(progress);
    output::line(format_args!("{tally}"))?;
    if tally.refused() == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    for refused in tally.first_refused() {
        output::problem(format_args!("{refused}"));
    }
    bail!("the server refused {} of {} stocks", tally.refused(), writes.len())
}
