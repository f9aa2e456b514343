//! `stockd set`: lists a stock, or updates it.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use stockd_client::ClientError;
use stockd_model::{
    Edit, Field, FieldError, Fields, Price, Quote, Status, Symbol, Volume, rfc3339,
};

use crate::output;
use crate::quote_server::QuoteServer;

/// List a stock, or update a listed one.
///
/// What is not given stays as it is, and none takes a field away. Listing needs a price, a bid, an ask
/// or a status; the status is then trading unless given. A stock without a volume is one whose shares
/// are not counted. Prints the quote as it is after that, as far as it may be read.
#[derive(Debug, clap::Args)]
#[group(id = "fields", required = true, multiple = true, args = ["price", "volume", "bid", "ask", "bid_size", "ask_size", "status"])]
pub(crate) struct SetArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// The stock; case matters.
    symbol: Symbol,

    /// Its price, a decimal with at most 18 decimal places: 172.5, -37.63 or 1e-5.
    #[arg(long, allow_hyphen_values = true)]
    price: Option<Edit<Price>>,

    /// Shares that remain, or none where they are not counted.
    #[arg(long, value_name = "VOLUME")]
    volume: Option<Edit<Volume>>,

    /// The highest price that somebody would buy at.
    #[arg(long, value_name = "PRICE", allow_hyphen_values = true)]
    bid: Option<Edit<Price>>,

    /// The lowest price that somebody would sell at.
    #[arg(long, value_name = "PRICE", allow_hyphen_values = true)]
    ask: Option<Edit<Price>>,

    /// How much would be bought at the bid.
    #[arg(long, value_name = "VOLUME")]
    bid_size: Option<Edit<Volume>>,

    /// How much would be sold at the ask.
    #[arg(long, value_name = "VOLUME")]
    ask_size: Option<Edit<Volume>>,

    /// Whether it can be traded: trading or halted.
    #[arg(long)]
    status: Option<Status>,

    /// When it happened: Unix time in ns, or as 2026-09-21T14:13:20.123456789Z. Refused where the stock
    /// has a later time.
    #[arg(long, value_parser = time)]
    time: Option<u64>,
}

fn time(text: &str) -> Result<u64, FieldError> {
    stockd_model::parse_time(text.as_bytes())
}

/// Writes the fields and prints the quote.
pub(crate) fn run(args: &SetArgs) -> anyhow::Result<ExitCode> {
    let symbol = args.symbol;
    let fields = Fields {
        price: args.price.unwrap_or_default(),
        volume: args.volume.unwrap_or_default(),
        bid: args.bid.unwrap_or_default(),
        ask: args.ask.unwrap_or_default(),
        bid_size: args.bid_size.unwrap_or_default(),
        ask_size: args.ask_size.unwrap_or_default(),
        status: args.status,
        time_ns: args.time.map_or(Edit::Keep, Edit::Set),
        feed: Edit::Keep,
    };
    let mut client = args.server.connect()?;
    client.set(symbol, fields)?;
    let quote = match client.quote(symbol.as_str()) {
        // Who may write a stock need not be allowed to read it.
        Err(ClientError::Refused(refused)) if refused.is_not_permitted() => {
            output::line(format_args!("{symbol} set"))?;
            return Ok(ExitCode::SUCCESS);
        }
        quote => quote?,
    };
    let Some(quote) = quote else {
        bail!("stock '{symbol}' was set and has been delisted since");
    };
    output::line(format_args!("{}", line(&quote)?))?;
    Ok(ExitCode::SUCCESS)
}

/// The fields of a quote by name. Price and volume are named where there is none, too.
fn line(quote: &Quote) -> Result<String, std::fmt::Error> {
    let mut line = quote.symbol.as_str().to_owned();
    for field in Field::WRITABLE.into_iter().chain([Field::Version]) {
        let name = field.name();
        match (quote.text_of(field), field, quote.time_ns) {
            (_, Field::Time, Some(time_ns)) => {
                let time = rfc3339::encode(time_ns);
                write!(line, " {name} {}", String::from_utf8_lossy(&time))?;
            }
            (Some(text), ..) => write!(line, " {name} {}", text.as_str())?,
            (None, Field::Price | Field::Volume, _) => write!(line, " {name} none")?,
            _ => {}
        }
    }
    Ok(line)
}
