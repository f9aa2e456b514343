//! `stockd delist`: removes stocks from the catalog.

use std::process::ExitCode;

use stockd_client::{Write, Written};
use stockd_model::Symbol;

use crate::output;
use crate::quote_server::QuoteServer;

/// Remove stocks from the catalog.
///
/// Prints a line for each, 'AAPL delisted' or 'XYZ not listed'. Exits with 1 if any is not listed.
#[derive(Debug, clap::Args)]
pub(crate) struct DelistArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// The stocks; case matters.
    #[arg(value_name = "SYMBOL", required = true)]
    symbols: Vec<Symbol>,
}

/// Delists, and says what became of each.
pub(crate) fn run(args: &DelistArgs) -> anyhow::Result<ExitCode> {
    let mut client = args.server.connect()?;
    let outcomes = client.write_all(args.symbols.iter().copied().map(Write::Delist))?;
    let mut exit_code = ExitCode::SUCCESS;
    for (symbol, outcome) in args.symbols.iter().zip(outcomes) {
        match outcome? {
            Written::Delisted => output::line(format_args!("{symbol} delisted"))?,
            _ => {
                output::line(format_args!("{symbol} not listed"))?;
                exit_code = ExitCode::FAILURE;
            }
        }
    }
    Ok(exit_code)
}
