//! `stockd set`: lists a stock, or updates it.

use std::process::ExitCode;

use anyhow::bail;
use stockd_model::{Fields, Price, Status, Symbol, Volume};

use crate::output;
use crate::quote_server::QuoteServer;

/// List a stock, or update a listed one.
///
/// What is not given stays as it is. Listing needs a price; volume is then 0 and status trading
/// unless given. Prints the quote as it is after that.
#[derive(Debug, clap::Args)]
#[group(id = "fields", required = true, multiple = true, args = ["price", "volume", "status"])]
pub(crate) struct SetArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// The stock; case matters.
    symbol: Symbol,

    /// Its price, a decimal above 0 with at most 9 decimal places.
    #[arg(long)]
    price: Option<Price>,

    /// Shares that remain.
    #[arg(long)]
    volume: Option<Volume>,

    /// Whether it can be traded: trading or halted.
    #[arg(long)]
    status: Option<Status>,
}

/// Writes the fields and prints the quote.
pub(crate) fn run(args: &SetArgs) -> anyhow::Result<ExitCode> {
    let SetArgs { symbol, price, volume, status, .. } = *args;
    let mut client = args.server.connect()?;
    client.set(symbol, Fields { price, volume, status })?;
    let Some(quote) = client.quote(symbol.as_str())? else {
        bail!("stock '{symbol}' was set and has been delisted since");
    };
    output::line(format_args!(
        "{symbol} price {} volume {} status {} version {}",
        quote.price, quote.volume, quote.status, quote.version
    ))?;
    Ok(ExitCode::SUCCESS)
}
