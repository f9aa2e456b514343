//! `stockd set`: lists a stock, or updates it.

use std::process::ExitCode;

use anyhow::bail;
use stockd_model::{Edit, Fields, Price, Status, Symbol, Volume};

use crate::output;
use crate::quote_server::QuoteServer;

/// List a stock, or update a listed one.
///
/// What is not given stays as it is. Listing needs a price; the status is then trading unless given.
/// A stock without a volume is one whose shares are not counted. Prints the quote as it is after
/// that.
#[derive(Debug, clap::Args)]
#[group(id = "fields", required = true, multiple = true, args = ["price", "volume", "status"])]
pub(crate) struct SetArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// The stock; case matters.
    symbol: Symbol,

    /// Its price, a decimal with at most 18 decimal places: 172.5, -37.63 or 1e-5.
    #[arg(long, allow_hyphen_values = true)]
    price: Option<Price>,

    /// Shares that remain, or none where they are not counted.
    #[arg(long, value_name = "VOLUME")]
    volume: Option<Edit<Volume>>,

    /// Whether it can be traded: trading or halted.
    #[arg(long)]
    status: Option<Status>,
}

/// Writes the fields and prints the quote.
pub(crate) fn run(args: &SetArgs) -> anyhow::Result<ExitCode> {
    let SetArgs { symbol, price, volume, status, .. } = *args;
    let mut client = args.server.connect()?;
    client.set(symbol, Fields { price, volume: volume.unwrap_or_default(), status })?;
    let Some(quote) = client.quote(symbol.as_str())? else {
        bail!("stock '{symbol}' was set and has been delisted since");
    };
    let volume = quote.volume.map_or("none".to_owned(), |volume| volume.to_string());
    output::line(format_args!(
        "{symbol} price {} volume {volume} status {} version {}",
        quote.price, quote.status, quote.version
    ))?;
    Ok(ExitCode::SUCCESS)
}
