//! `stockd feed`: market data of exchanges and vendors, on a running server.
//!
//! This file owns the commands and how a feed ends; `feed/source.rs` opens files, `feed/reader.rs` decodes them and
//! keeps to their times, `feed/live.rs` follows connections, which `feed/gateway.rs` and `feed/broker.rs` make, and
//! `feed/writer.rs` writes what has changed, `feed/writes.rs` says what a stock is written as.
//! What messages mean is known by `stockd_feeds`.
//!
//! ```text
//!  file ──► reader (this thread) ──► Market ◄── writer (a thread) ──► server
//!                                    one pending change a stock
//! ```
//!
//! Invariant: nothing queues up between reader and writer but the marks of changed stocks. What came before
//! damage is written before the command ends with its error.

mod broker;
mod counted;
mod freshness;
mod gateway;
mod live;
mod outcome;
mod progress;
mod reader;
mod shared;
mod source;
mod symbols;
mod tally;
mod writer;
mod writes;

use std::io::{Error, ErrorKind};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::{Context, bail};
use stockd_client::Symbol;
use stockd_feeds::{
    AlpacaFeed, Capture, Date, DbnFeed, Decode, FeedError, ItchFile, Market, Rules, midnight_ns,
};

use self::broker::{Broker, Keys};
use self::freshness::Freshness;
use self::gateway::{Gateway, Key};
use self::live::{Live, LiveReader};
use self::outcome::Outcome;
use self::progress::Progress;
use self::reader::Reader;
use self::shared::Shared;
use self::source::Source;
use self::symbols::Symbols;
use self::tally::Tally;
use self::writer::Writer;
use self::writes::{PriceOf, Writes};
use crate::interruption::{Interruption, Stopping};
use crate::output;
use crate::quote_server::QuoteServer;
use crate::speed::Speed;
use crate::usage_error::UsageError;

/// Bring market data of an exchange or a vendor to a running server.
///
/// The last trade of a stock becomes its price, trades that are broken are taken back, halts halt it; bid, ask,
/// their sizes and times are taken where the feed has them, and its volume is left alone. A server that is
/// slow gets fewer and newer quotes. Ends after the last message, or with Ctrl-C, and prints what was done.
#[derive(Debug, clap::Args)]
pub(crate) struct FeedArgs {
    #[command(subcommand)]
    feed: FeedCommand,
}

#[derive(Debug, clap::Subcommand)]
enum FeedCommand {
    /// Databento's binary encoding: versions 1 to 3, with metadata or fragments, also compressed with zstd.
    ///
    /// Or Databento's live gateway, with the key in DATABENTO_API_KEY.
    Dbn {
        #[command(flatten)]
        common: Box<Common>,
        /// What to ask a gateway for.
        #[arg(
            long,
            value_name = "SCHEMA,…",
            value_delimiter = ',',
            default_value = "trades,bbo-1s,status"
        )]
        schema: Vec<String>,
        /// Which symbols to ask a gateway for: A,B or @FILE or ALL.
        #[arg(long, value_name = "A,B|@FILE|ALL", default_value = "ALL")]
        symbols: Symbols,
        /// The file; '-' is standard input. Or a gateway: lsg:DATASET@HOST:PORT.
        file: String,
    },
    /// NASDAQ TotalView-ITCH 5.0: a file as Nasdaq publishes it, or a capture (pcap, pcapng) of MoldUDP64.
    Itch {
        /// The day of the file in New York, as in 2019-12-30. Without it quotes have no time.
        #[arg(long, value_name = "DATE")]
        date: Option<Date>,
        #[command(flatten)]
        common: Box<Common>,
        /// The file, also compressed with gzip; '-' is standard input.
        file: String,
    },
    /// IEX TOPS 1.6: a capture (pcap, pcapng) as IEX publishes it.
    Iex {
        #[command(flatten)]
        common: Box<Common>,
        /// The file, also compressed with gzip; '-' is standard input.
        file: String,
    },
    /// Alpaca's stream of market data, with the keys in APCA_API_KEY_ID and APCA_API_SECRET_KEY.
    Alpaca {
        #[command(flatten)]
        common: Box<Common>,
        /// Which symbols to ask for: A,B or @FILE or ALL.
        #[arg(long, value_name = "A,B|@FILE|ALL", default_value = "ALL")]
        symbols: Symbols,
        /// The stream: ws://HOST:PORT/PATH or wss://…. Or a file with its messages, one a line.
        #[arg(value_name = "URL")]
        file: String,
    },
}

/// What all feeds have in common.
#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    server: QuoteServer,

    #[command(flatten)]
    freshness: Freshness,

    /// What the price is: the last trade, the bid, the ask, or what lies in the middle of the two.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = PriceOf::Last)]
    price: PriceOf,

    /// Round prices to this number of decimal places, half to even. Without it they are exact.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=18))]
    decimals: Option<u8>,

    /// Let every trade set the price, those of extended hours and odd lots too.
    #[arg(long)]
    all_trades: bool,

    /// Take stocks too that are listed for tests alone.
    #[arg(long)]
    test_symbols: bool,

    /// Halt stocks when their market closes.
    #[arg(long)]
    closed_is_halted: bool,

    /// Put this before every symbol, as in XNAS:
    #[arg(
        long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = prefix
    )]
    prefix: String,

    /// How fast the time of the feed passes: 1x is as fast as it did, 10x ten times; max does not wait at all.
    #[arg(long, value_name = "SPEED", default_value = "max")]
    speed: Speed,

    /// End with exit code 0 after a damaged or cut file, and after refused writes. They are reported all the same.
    #[arg(long)]
    lenient: bool,

    /// Write nothing and need no server: count what the feed brings.
    #[arg(long)]
    count_only: bool,

    /// Print what was done as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What a feed is read from.
enum Input {
    Bytes(Source, Box<dyn Decode>),
    Live(Box<dyn Live>),
}

/// Reads the feed to its end, and prints what was done.
pub(crate) fn run(FeedArgs { feed }: &FeedArgs) -> anyhow::Result<ExitCode> {
    let (format, common, file) = feed.parts();
    let interruption = Interruption::watch().context("cannot watch for signals")?;
    let input = feed.input(interruption.stopping()).map_err(|wrong| match wrong {
        NoInput::Wrong(wrong) => anyhow::Error::from(UsageError(wrong)),
        NoInput::Unreadable(error) => {
            anyhow::Error::from(error).context(format!("cannot read {file}"))
        }
        NoInput::Other(error) => anyhow::Error::from(error).context(file.to_owned()),
    })?;
    let shared = Arc::new(Shared::new(Market::new(common.rules())));
    let writer = if common.count_only { None } else { Some(common.writer(format, &shared)?) };
    let begun = Instant::now();
    let (ends_on_gap, stale_after) =
        (common.freshness.ends_on_gap(), common.freshness.stale_after());
    let read = match input {
        Input::Bytes(source, decoder) => {
            let progress = common.count_only.then(Progress::begin);
            let (speed, name) = (common.speed, file);
            let reader = Reader {
                source,
                decoder,
                interruption,
                speed,
                name,
                ends_on_gap,
                stale_after,
                progress,
            };
            reader.read(&shared)
        }
        Input::Live(source) => {
            let reader = LiveReader { source, interruption, name: file, stale_after, ends_on_gap };
            reader.read(&shared)
        }
    };
    let tally = match writer {
        Some(writer) => {
            writer.join().map_err(|_| anyhow::anyhow!("the writing thread has panicked"))?
        }
        None => Ok(Tally::default()),
    };
    let outcome = Outcome {
        counts: shared.counts(),
        stocks: shared.stocks(),
        tally: tally.as_ref().ok(),
        seconds: begun.elapsed().as_secs_f64(),
        error: read.as_ref().err(),
        wrote: !common.count_only,
    };
    outcome.print(common.json)?;
    let refused = tally?.refused;
    match read {
        Err(error) if common.lenient => output::problem(format_args!("{error:#}")),
        read => read?,
    }
    if refused > 0 && !common.lenient {
        bail!("the server refused {refused} writes");
    }
    Ok(ExitCode::SUCCESS)
}

/// Why there is nothing to read.
enum NoInput {
    Wrong(String),
    Unreadable(std::io::Error),
    /// It begins with something else than such a feed.
    Other(FeedError),
}

impl FeedCommand {
    /// What the feed is called unless it is named, its options, and what it is read from.
    fn parts(&self) -> (&'static str, &Common, &str) {
        match self {
            FeedCommand::Dbn { common, file, .. } => ("dbn", common, file),
            FeedCommand::Itch { common, file, .. } => ("itch", common, file),
            FeedCommand::Iex { common, file } => ("iex", common, file),
            FeedCommand::Alpaca { common, file, .. } => ("alpaca", common, file),
        }
    }

    /// What a file that begins like this is, where another command reads it.
    fn instead_of_this(&self, start: &[u8]) -> Option<&'static str> {
        match self {
            FeedCommand::Iex { .. } if DbnFeed::fits(start) => {
                Some("it is no capture, but DBN; read it with 'stockd feed dbn'")
            }
            FeedCommand::Itch { .. } | FeedCommand::Alpaca { .. } if DbnFeed::fits(start) => {
                Some("it is DBN; read it with 'stockd feed dbn'")
            }
            FeedCommand::Dbn { .. } | FeedCommand::Alpaca { .. } if Capture::fits(start) => {
                Some("it is a capture; read it with 'stockd feed itch' or 'stockd feed iex'")
            }
            _ => None,
        }
    }

    fn input(&self, stopping: &Stopping) -> Result<Input, NoInput> {
        match self {
            FeedCommand::Dbn { common, schema, symbols, file } => {
                if let Some(place) = file.strip_prefix("lsg:") {
                    return Ok(Input::Live(Box::new(Gateway {
                        place: place.parse().map_err(NoInput::Wrong)?,
                        key: Key::from_environment().map_err(NoInput::Wrong)?,
                        schemas: schema.clone(),
                        symbols: symbols.clone(),
                        heartbeat: common.freshness.heartbeat(),
                    })));
                }
            }
            FeedCommand::Alpaca { symbols, file, .. } => {
                if file.contains("://") {
                    return Ok(Input::Live(Box::new(Broker {
                        url: file.parse().map_err(NoInput::Wrong)?,
                        keys: Keys::from_environment().map_err(NoInput::Wrong)?,
                        symbols: symbols.clone(),
                    })));
                }
            }
            FeedCommand::Itch { .. } | FeedCommand::Iex { .. } => {}
        }
        let (_, _, file) = self.parts();
        let source = Source::open(file, stopping).map_err(NoInput::Unreadable)?;
        let start = source.start();
        if let Some(why) = self.instead_of_this(start) {
            return Err(NoInput::Unreadable(Error::new(ErrorKind::InvalidData, why)));
        }
        // Before a server hears of the feed.
        let mut probe = self.decoder(start);
        probe.fill(start);
        probe.step(&mut Market::default()).map_err(NoInput::Other)?;
        let decoder = self.decoder(start);
        Ok(Input::Bytes(source, decoder))
    }

    /// What decodes a file that begins like this.
    fn decoder(&self, start: &[u8]) -> Box<dyn Decode> {
        match self {
            FeedCommand::Dbn { .. } => Box::new(DbnFeed::new()),
            FeedCommand::Alpaca { .. } => Box::new(AlpacaFeed::new()),
            FeedCommand::Iex { .. } => Box::new(Capture::of_tops()),
            FeedCommand::Itch { date, .. } => {
                let midnight = date.map(midnight_ns);
                match Capture::fits(start) {
                    true => Box::new(Capture::of_itch(midnight)),
                    false => Box::new(ItchFile::new(midnight)),
                }
            }
        }
    }
}

/// What may stand before a symbol.
fn prefix(text: &str) -> Result<String, String> {
    let probe = format!("{text}A");
    match Symbol::parse(probe.as_bytes()) {
        Ok(symbol) if symbol.as_str() == probe => Ok(text.to_owned()),
        Ok(_) => Err("a symbol does not begin with a space".to_owned()),
        Err(error) => Err(format!("it cannot stand before a symbol: with one letter more {error}")),
    }
}

impl Common {
    fn rules(&self) -> Rules {
        Rules {
            all_trades: self.all_trades,
            test_symbols: self.test_symbols,
            closed_is_halted: self.closed_is_halted,
            prefix: self.prefix.clone(),
        }
    }

    /// Connects, and starts to write what changes.
    fn writer(
        &self,
        format: &str,
        shared: &Arc<Shared>,
    ) -> anyhow::Result<thread::JoinHandle<anyhow::Result<Tally>>> {
        let client = self.server.connect()?;
        let writes = Writes { price: self.price, decimals: self.decimals };
        let feed = self.freshness.options(format);
        let writer = Writer::open(client, writes, Arc::clone(shared), feed)?;
        let thread = thread::Builder::new().name("stockd-feed".to_owned());
        thread.spawn(move || writer.run()).context("cannot start a thread")
    }
}
