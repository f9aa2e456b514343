//! `stockd import`: lists the stocks of a file on a running server.
//!
//! Invariant: nothing is sent before the whole file is read. If it has a bad row, nothing is sent
//! at all, unless bad rows are skipped. A stock that is as the file says is not written.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use stockd_client::{Quote, Write};
use stockd_model::limits::PIPELINE_NAMES_MAX;

use crate::batches::batches;
use crate::catalog_file::{Form, Loaded, Row, Source};
use crate::output;
use crate::progress;
use crate::quote_server::QuoteServer;
use crate::restore;
use crate::write_tally::WriteTally;

/// List the stocks of a file on a running server.
///
/// A stock that is listed already gets what the file says of it, and is without what the file is without.
/// Others stay as they are. Prints how many were listed and updated; exits with 1 if the server refused any.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// Skip bad rows. Without it nothing is imported if there is one.
    #[arg(long)]
    lenient: bool,

    /// Restore what 'stockd export --exact' has written: versions, times and feeds as they were, into a data directory
    /// that no server has open. Refused where that has newer versions.
    #[arg(long, requires = "data_dir", conflicts_with = "lenient")]
    exact: bool,

    /// The data directory to restore into; it is made if it is not there.
    #[arg(long, value_name = "DIR", requires = "exact")]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    form: Form,

    /// CSV with a header, JSON lines, or JSON, with symbol, price and what else is known; also compressed
    /// with gzip, and as exchanges and data services write them. '-' is standard input.
    file: String,
}

/// Stocks between two steps of the progress bar: some chunks, so that requests are sent ahead.
const BATCH: usize = 8 * PIPELINE_NAMES_MAX;

/// Reads the file, writes its stocks, and prints the outcome.
pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let source = Source::new(&args.file, args.form.clone());
    if let Some(directory) = &args.data_dir {
        restore::run(&source, directory)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Loaded { rows, bad_rows } = source.read()?;
    bad_rows.report(args.lenient, "nothing is imported")?;

    let mut client = args.server.connect()?;
    let mut tally = WriteTally::default();
    let progress = progress::bar_of_many(
        rows.len() as u64,
        "{bar:40} {human_pos} of {human_len} stocks, {eta} left",
    );
    for batch in batches(rows.iter(), BATCH) {
        let after = || format!("after {} of {} stocks", tally.writes(), rows.len());
        let known =
            client.quotes(batch.iter().map(|row| row.symbol.as_str())).with_context(after)?;
        let is_new = |(row, known): &(&Row, Option<Quote>)| !says_the_same(row, known.as_ref());
        let changed = batch.iter().zip(known).filter(is_new);
        let writes: Vec<Write> =
            changed.map(|(row, _)| Write::Set(row.symbol, row.fields)).collect();
        let outcomes = client.write_all(writes.iter().copied()).with_context(after)?;
        writes.iter().zip(outcomes).for_each(|(write, outcome)| tally.record(write, outcome));
        tally.record_unchanged(batch.len() - writes.len());
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
    bail!("the server refused {} of {} stocks", tally.refused(), rows.len())
}

/// Whether a stock is already what the row says.
fn says_the_same(row: &Row, known: Option<&Quote>) -> bool {
    known.is_some_and(|known| row.is_name_alone || row.outcome(known) == *known)
}
