//! `stockd ping`: whether a server answers, for scripts and health checks.

use std::process::ExitCode;
use std::time::Instant;

use stockd_latency::microseconds;

use crate::output;
use crate::quote_server::QuoteServer;

/// Ask a server whether it answers.
///
/// Prints how long that took. Needs no stock. Exits with 1 if the server does not answer.
#[derive(Debug, clap::Args)]
pub(crate) struct PingArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// Print nothing: the exit code tells.
    #[arg(long)]
    quiet: bool,
}

/// Asks once.
pub(crate) fn run(args: &PingArgs) -> anyhow::Result<ExitCode> {
    let mut client = args.server.connect()?;
    let began = Instant::now();
    client.ping()?;
    let took = began.elapsed().as_nanos() as f64;
    if !args.quiet {
        output::line(format_args!("{} answers in {} µs", client.server(), microseconds(took)))?;
    }
    Ok(ExitCode::SUCCESS)
}
