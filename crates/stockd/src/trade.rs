//! `stockd buy` and `stockd sell`: trades, which take volume from a stock or give it back.

use std::process::ExitCode;

use stockd_model::{Shares, Symbol, Volume};

use crate::output;
use crate::quote_server::QuoteServer;

/// Buy shares of a stock, which takes them from its volume.
///
/// Prints the volume left. Exits with 1 and changes nothing if fewer shares are left, or the stock
/// is halted or not listed.
#[derive(Debug, clap::Args)]
pub(crate) struct BuyArgs {
    #[command(flatten)]
    trade: TradeArgs,
}

/// Sell shares of a stock, which gives them back to its volume.
///
/// Prints the volume left. Exits with 1 and changes nothing if the stock is halted or not listed.
#[derive(Debug, clap::Args)]
pub(crate) struct SellArgs {
    #[command(flatten)]
    trade: TradeArgs,
}

#[derive(Debug, clap::Args)]
struct TradeArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// The stock; case matters.
    symbol: Symbol,

    /// How many shares: an exact decimal above 0.
    #[arg(value_name = "N", value_parser = some_shares)]
    shares: Volume,
}

/// Takes shares and prints the volume left.
pub(crate) fn buy(args: &BuyArgs) -> anyhow::Result<ExitCode> {
    let BuyArgs { trade } = args;
    trade.run(Shares::Take(trade.shares))
}

/// Gives shares back and prints the volume left.
pub(crate) fn sell(args: &SellArgs) -> anyhow::Result<ExitCode> {
    let SellArgs { trade } = args;
    trade.run(Shares::Add(trade.shares))
}

/// Reads a number of shares that is not 0.
fn some_shares(text: &str) -> Result<Volume, String> {
    match text.parse::<Volume>() {
        Ok(shares) if shares.is_exhausted() => Err("a trade is of more than 0 shares".to_owned()),
        Ok(shares) => Ok(shares),
        Err(error) => Err(error.to_string()),
    }
}

impl TradeArgs {
    fn run(&self, shares: Shares) -> anyhow::Result<ExitCode> {
        let left = self.server.connect()?.trade(self.symbol, shares)?;
        output::line(format_args!("{} volume {left}", self.symbol))?;
        Ok(ExitCode::SUCCESS)
    }
}
