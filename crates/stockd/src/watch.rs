//! `stockd watch`: live quotes, as a table on a terminal and as JSON lines in a pipe.
//!
//! This file owns where and when events are shown. `board` draws the table, and the client library
//! keeps the connection.

mod board;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anstream::AutoStream;
use stockd_client::{Event, Subscription};
use stockd_model::{Symbol, escaped, quote_json};
use terminal_size::{Height, Width, terminal_size};

use crate::interruption::Interruption;
use crate::output;
use crate::quote_server::QuoteServer;
use crate::usage_error::UsageError;
use board::{Board, cut};

/// Watch quotes as they change.
///
/// On a terminal it shows a table that is kept up to date, until Ctrl-C. In a pipe it prints a
/// line for each change, with the quote as a JSON object; a stock that is delisted has
/// "status":"delisted" and nothing else, and one that is not listed to begin with has "unlisted".
/// Where changes come faster than they can be shown, each shows the latest quote. A lost connection is
/// opened again, however long it takes.
#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// End after this number of messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Stocks to watch; case matters. One with *, ? or [ is a pattern: put it in quotes.
    #[arg(value_name = "SYMBOL", required = true)]
    symbols: Vec<String>,
}

/// How often the table is redrawn and signals are checked.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);

/// Watches until it is interrupted.
pub(crate) fn run(args: &WatchArgs) -> anyhow::Result<ExitCode> {
    watch(args).map_or_else(output::end, |()| Ok(ExitCode::SUCCESS))
}

fn watch(args: &WatchArgs) -> anyhow::Result<()> {
    let (symbols, patterns) = args.topics()?;
    let interruption = Interruption::watch()?;
    let mut subscription = args.server.open(|address, options| {
        Subscription::open_with(address, symbols.iter().copied(), &patterns, options)
    })?;
    let mut view = match io::stdout().is_terminal() {
        true => View::Table(Table::new(&symbols)),
        false => View::Lines,
    };
    let mut messages = 0;
    while !interruption.within(Duration::ZERO) {
        if let Some(event) = subscription.next_timeout(REDRAW_INTERVAL) {
            let is_message = !matches!(event, Event::Disconnected { .. } | Event::Reconnected);
            messages += u64::from(is_message);
            view.show(&event)?;
        }
        if args.count.is_some_and(|count| messages >= count) {
            break;
        }
        view.redraw_if_due()?;
    }
    view.end()?;
    Ok(())
}

impl WatchArgs {
    /// What was given as symbols and what as patterns.
    fn topics(&self) -> Result<(Vec<Symbol>, Vec<String>), UsageError> {
        let is_pattern = |name: &&String| name.contains(['*', '?', '[']);
        let (patterns, names): (Vec<_>, Vec<_>) = self.symbols.iter().partition(is_pattern);
        let symbol = |name: &String| {
            name.parse().map_err(|error| UsageError(format!("'{name}' is no symbol: {error}")))
        };
        let symbols = names.into_iter().map(symbol).collect::<Result<_, _>>()?;
        Ok((symbols, patterns.into_iter().cloned().collect()))
    }
}

/// Where events are shown.
enum View {
    Table(Table),
    /// JSON, a line for each message.
    Lines,
}

impl View {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        match self {
            View::Table(table) => {
                table.take(event);
                Ok(())
            }
            View::Lines => print_line(event),
        }
    }

    fn redraw_if_due(&mut self) -> io::Result<()> {
        match self {
            View::Table(table) if table.drawn_at.elapsed() >= REDRAW_INTERVAL => table.draw(),
            _ => Ok(()),
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            View::Table(mut table) => table.draw(),
            View::Lines => Ok(()),
        }
    }
}

fn print_line(event: &Event) -> io::Result<()> {
    let mut line = Vec::new();
    match event {
        Event::Quote(quote) => quote_json::encode_quote(quote, &mut line),
        Event::Delisted(symbol) => quote_json::encode_delisted(symbol, &mut line),
        Event::Unlisted(symbol) => quote_json::encode_unlisted(symbol, &mut line),
        Event::Forbidden(symbol) => quote_json::encode_forbidden(Some(symbol), &mut line),
        Event::AllForbidden => quote_json::encode_forbidden(None, &mut line),
        // Standard output is for messages alone.
        Event::Disconnected { .. } | Event::Reconnected => {
            output::problem(format_args!("{}", connection_news(event)));
            return Ok(());
        }
    }
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

/// The state of the connection, in words.
fn connection_news(event: &Event) -> String {
    match event {
        Event::Disconnected { reason, retry_in } => {
            format!("{reason}; trying again in {:.1} s", retry_in.as_secs_f64())
        }
        _ => "connected again".to_owned(),
    }
}

/// A table on the terminal, drawn over itself.
struct Table {
    out: AutoStream<io::Stdout>,
    board: Board,
    /// The line below the table.
    news: String,
    /// Lines of the last drawing; the next one begins above them.
    lines: usize,
    drawn_at: Instant,
}

/// The size of a terminal that does not tell it.
const USUAL_COLUMNS: usize = 80;
const USUAL_ROWS: usize = 24;

impl Table {
    fn new(symbols: &[Symbol]) -> Table {
        let mut board = Board::default();
        symbols.iter().for_each(|symbol| board.expect(*symbol));
        let drawn_at = Instant::now();
        Table { out: anstream::stdout(), board, news: String::new(), lines: 0, drawn_at }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Quote(quote) => self.board.update(*quote),
            Event::Delisted(symbol) | Event::Unlisted(symbol) | Event::Forbidden(symbol) => {
                self.board.delist(*symbol);
            }
            Event::AllForbidden => self.news = "nothing may be read any more".to_owned(),
            Event::Disconnected { .. } => self.news = escaped(&connection_news(event)).to_string(),
            Event::Reconnected => self.news.clear(),
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let (columns, rows) = terminal_size()
            .map_or((USUAL_COLUMNS, USUAL_ROWS), |(Width(columns), Height(rows))| {
                (usize::from(columns), usize::from(rows))
            });
        // The news and the line that the cursor stands on need a row each.
        let mut lines = self.board.draw(columns, rows.saturating_sub(2), now_ns());
        lines.push(cut(&self.news, columns).to_owned());
        // One write, so that no half of it is seen: move up, write each line over the old one, and
        // clear what is left of the old table below.
        let mut frame = String::new();
        if self.lines > 0 {
            frame.push_str(&format!("\x1b[{}A\r", self.lines));
        }
        for line in &lines {
            frame.push_str(line);
            frame.push_str("\x1b[K\n");
        }
        frame.push_str("\x1b[J");
        self.lines = lines.len();
        self.drawn_at = Instant::now();
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }
}

/// Unix time in nanoseconds, by this machine's clock.
fn now_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
