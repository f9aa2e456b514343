//! `stockd buy` and `stockd sell`: trades, which take volume from a stock or give it back.

use std::process::ExitCode;

use stockd_model::Symbol;

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

    /// How many shares, at least 1.
    #[arg(value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    shares: i64,
}

/// Takes shares and prints the volume left.
pub(crate) fn buy(args: &BuyArgs) -> anyhow::Result<ExitCode> {
    let BuyArgs { trade } = args;
    trade.run(-trade.shares)
}

/// Gives shares back and prints the volume left.
pub(crate) fn sell(args: &SellArgs) -> anyhow::Result<ExitCode> {
    let SellArgs { trade } = args;
    trade.run(trade.shares)
}

impl TradeArgs {
    fn run(&self, delta: i64) -> anyhow::Result<ExitCode> {
        let left = self.server.connect()?.trade(self.symbol, delta)?;
        output::line(format_args!("{} volume {left}", self.symbol))?;
        Ok(ExitCode::SUCCESS)
    }
}
