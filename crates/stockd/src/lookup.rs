//! `stockd lookup`: asks a server for prices, and measures how long it takes.
//!
//! This file owns which names are asked and how answers are shown. `report` summarises the
//! latencies, `course` has several clients at once, and the client library moves the bytes.
//!
//! Invariant: only the time from sending a request to having its reply is measured. Names are read
//! before, and results are printed between requests.

mod client_counts;
mod course;
mod course_report;

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
#[cfg(feature = "plots")]
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use anyhow::Context;
use indicatif::ProgressBar;
use serde_json::Value;
use stockd_client::{Address, Answer, Client, Options, QuoteClient};
use stockd_latency::{microseconds, nanoseconds};
use stockd_model::escaped;
use stockd_model::limits::SYMBOL_BYTES_MAX;
use unicode_width::UnicodeWidthStr;

use crate::catalog_file::Form;
use crate::name_list;
use crate::output;
use crate::progress;
use crate::report::{Document, LatencyReport, wording};
use crate::tls_flags::TlsFlags;
use crate::token_flags::TokenFlags;
use client_counts::ClientCounts;
use course::Course;

/// Look up prices on a server, and measure how long it takes.
///
/// Prints a line for each symbol: 'AAPL 172.5', or 'AAPL 0' while it cannot be traded, or 'XYZ not
/// listed'. Exits with 1 if any is not listed or may not be read.
///
/// With --names, --runs, --quiet or --json it measures: one request at a time on one connection,
/// from sending the request to having its reply. It prints each reply with its latency, then a
/// table of the latencies by name, slowest 99th percentile first (of more than 50 names the
/// slowest 50), and in total. A percentile has at least ten lookups beyond it, or a dash.
///
/// With --clients it measures several clients at once, each on a connection and a thread of its own: for each number
/// of clients the latencies of names that are listed and of those that are not, and which worker of the server
/// served whom. A name that is not listed is a part of the measurement then, and no failure.
#[derive(Debug, clap::Args)]
pub(crate) struct LookupArgs {
    /// Address of the server: HOST:PORT, tls:HOST:PORT or unix:PATH [env: STOCKD_SERVER] [default:
    /// 127.0.0.1:7878]; with --token-file that of its RESP listener [env: STOCKD_RESP_SERVER] [default:
    /// 127.0.0.1:7879].
    #[arg(long, value_name = "ADDR")]
    server: Option<String>,

    #[command(flatten)]
    tls: TlsFlags,

    #[command(flatten)]
    token: TokenFlags,

    /// Look up every name of a list: one a line, blank lines and lines that begin with # skipped;
    /// or the symbols of a catalog file; '-' is standard input. Names given as SYMBOL come first.
    #[arg(long, value_name = "FILE")]
    names: Option<String>,

    #[command(flatten)]
    form: Form,

    /// Look up all names this number of times and measure each lookup [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,

    /// Measure this number of clients at once, or each of several: 5, 1..5 or 1,2,10.
    #[arg(long, value_name = "COUNTS")]
    clients: Option<ClientCounts>,

    /// Address of the server's RESP listener, which says which worker serves which client [env: STOCKD_RESP_SERVER]
    /// [default: 127.0.0.1:7879].
    #[arg(long, value_name = "ADDR", requires = "clients")]
    resp: Option<String>,

    /// Write the measurement as one page of HTML with its charts.
    #[cfg(feature = "plots")]
    #[arg(long, value_name = "FILE", requires = "clients")]
    html: Option<PathBuf>,

    /// Print the table alone, not each reply.
    #[arg(long)]
    quiet: bool,

    /// Print one JSON document instead of text.
    ///
    /// It is {"server": ADDR, "runs": N, "requests": [REQUEST…], "names": [NAME…], "total": TOTAL},
    /// without "requests" under --quiet. Times are whole nanoseconds; replies are as on the wire,
    /// "0" for not tradable and "-1" for not listed.
    ///
    /// REQUEST is {"name", "reply", "latency_ns"}, in the order asked. NAME is {"name", "reply",
    /// "count", "total_ns", "mean_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"} with the
    /// last reply, slowest "p99_ns" first. TOTAL has the numbers of a NAME, and how many replies
    /// were "prices", "not_tradable" and "not_listed".
    ///
    /// With --clients it is {"server", "runs", "names", "stages": [STAGE…]}. STAGE is {"clients", "seconds",
    /// "lookups_a_second", "listed", "not_listed", "served": [CLIENT…]}; CLIENT is {"client", "address", "worker",
    /// "latency"}. Each of "listed", "not_listed" and "latency" is {"count", "mean_ns", "deviation_ns", "p50_ns",
    /// "p90_ns", "p99_ns", "p999_ns", "max_ns"}, with null for a percentile of too few lookups.
    #[arg(long)]
    json: bool,

    /// Symbols to look up; case matters.
    #[arg(value_name = "SYMBOL", required_unless_present = "names")]
    symbols: Vec<String>,
}

/// Looks up, prints, and says whether everything was found.
pub(crate) fn run(args: &LookupArgs) -> anyhow::Result<ExitCode> {
    let mut names = args.symbols.clone();
    if let Some(list) = &args.names {
        name_list::read(list, &args.form, |name| names.push(name.to_owned()))?;
    }
    let options = Options { credentials: args.token.load()?, ..args.tls.options()? };
    let server = args.server(options.credentials.is_some());
    if let Some(counts) = &args.clients {
        return measure_clients(args, counts, &names, (&server, options));
    }
    let client =
        Client::connect_with(&*server, options).with_context(|| format!("server '{server}'"))?;
    let all_found = match args.measures() {
        true => measure(client, &names, args),
        false => ask(client, &names),
    };
    match all_found {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        // The client has errors of its own kind.
        Err(error) if error.is::<io::Error>() => {
            output::end(error.context("cannot write to standard output"))
        }
        Err(error) => Err(error),
    }
}

impl LookupArgs {
    /// The address to connect to. Tokens are shown to RESP listeners.
    fn server(&self, shows_token: bool) -> String {
        let (variable, default) = match shows_token {
            true => ("STOCKD_RESP_SERVER", "127.0.0.1:7879"),
            false => ("STOCKD_SERVER", "127.0.0.1:7878"),
        };
        let server = self.server.clone().or_else(|| std::env::var(variable).ok());
        server.unwrap_or_else(|| default.to_owned())
    }

    /// The address to ask which worker serves whom. A server that is shown a token is its RESP listener.
    fn resp(&self, server: &str, shows_token: bool) -> String {
        let resp = self.resp.clone().or_else(|| shows_token.then(|| server.to_owned()));
        let resp = resp.or_else(|| std::env::var("STOCKD_RESP_SERVER").ok());
        resp.unwrap_or_else(|| "127.0.0.1:7879".to_owned())
    }

    fn measures(&self) -> bool {
        self.names.is_some() || self.runs.is_some() || self.quiet || self.json
    }
}

/// Measures several clients at once and reports.
fn measure_clients(
    args: &LookupArgs,
    counts: &ClientCounts,
    names: &[String],
    (server, options): (&str, Options),
) -> anyhow::Result<ExitCode> {
    let resp = args.resp(server, options.credentials.is_some());
    let runs = args.runs.unwrap_or(1);
    let course = Course { server, options: options.clone(), names, runs };
    // Asked for each number of clients while they are connected.
    let mut list = QuoteClient::connect_with(&*resp, options);
    let progress =
        progress::bar(counts.counts().len() as u64, "{bar:40} {pos} of {len} numbers of clients");
    let mut stages = Vec::new();
    for &clients in counts.counts() {
        stages.push(course.measure(clients, &mut list)?);
        progress.inc(1);
    }
    drop(progress);
    let report = course_report::CourseReport { server, runs, names, stages };
    match args.json {
        true => output::line(format_args!("{}", report.json()))?,
        false => output::lines(&report.text())?,
    }
    if !report.knows_workers() {
        let why = match list {
            Err(error) => format!(": {error}"),
            Ok(_) => format!(": {resp} does not list these connections"),
        };
        output::problem(format_args!(
            "which worker served whom is not known{why}; name the RESP listener of the server with --resp ADDR"
        ));
    }
    #[cfg(feature = "plots")]
    if let Some(file) = &args.html {
        let page = report.page().html().map_err(|why| anyhow::anyhow!("cannot draw: {why}"))?;
        std::fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for all names at once and prints the answers.
fn ask(mut client: Client, names: &[String]) -> anyhow::Result<bool> {
    let answers = client.lookup_all(names)?;
    let mut out = stdout();
    for (name, &answer) in names.iter().zip(&answers) {
        let style = style_of(answer);
        writeln!(out, "{} {style}{}{style:#}", escaped(name), wording(answer))?;
    }
    out.flush()?;
    Ok(answers.iter().all(|answer| is_found(*answer)))
}

fn is_found(answer: Answer) -> bool {
    !matches!(answer, Answer::NotFound | Answer::NotPermitted)
}

/// Asks for one name after the other and prints the latencies. If the server fails, those until
/// then are printed.
fn measure(mut client: Client, names: &[String], args: &LookupArgs) -> anyhow::Result<bool> {
    let runs = args.runs.unwrap_or(1);
    let lookups = runs.saturating_mul(names.len() as u64);
    let progress = match args.quiet || !io::stdout().is_terminal() {
        true => progress::bar_of_many(
            lookups,
            "{bar:40} {human_pos} of {human_len} lookups, {eta} left",
        ),
        // The lines that are printed show the progress.
        false => ProgressBar::hidden(),
    };
    let mut report = LatencyReport::default();
    let mut printer = Printer::begin(args, runs, client.server(), names)?;
    let mut lookups = (0..runs).flat_map(|_| names);
    let failure = loop {
        let Some(name) = lookups.next() else {
            break None;
        };
        let sent = Instant::now();
        let answer = client.lookup(name);
        let latency = sent.elapsed();
        match answer {
            Ok(answer) => {
                report.record(name, answer, latency);
                printer.lookup(name, answer, latency)?;
                progress.inc(1);
            }
            Err(error) => break Some(error),
        }
    };
    drop(progress);
    printer.end(&report)?;
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(report.tally().not_listed + report.tally().not_permitted == 0),
    }
}

/// Prints measured lookups, as text or as one JSON document.
struct Printer {
    out: Stdout,
    json: bool,
    quiet: bool,
    /// Width of the names.
    name_width: usize,
    /// Whether every line is flushed, so that it shows at once.
    live: bool,
    /// The separator before the next request in the document.
    separator: &'static str,
}

impl Printer {
    fn begin(
        args: &LookupArgs,
        runs: u64,
        server: &Address,
        names: &[String],
    ) -> io::Result<Printer> {
        let widths = names.iter().map(|name| escaped(name).to_string().width());
        let mut printer = Printer {
            out: stdout(),
            json: args.json,
            quiet: args.quiet,
            name_width: widths.max().unwrap_or(0).clamp(4, SYMBOL_BYTES_MAX),
            live: io::stdout().is_terminal(),
            separator: "",
        };
        if printer.json {
            let server = Value::from(server.to_string());
            write!(printer.out, r#"{{"server":{server},"runs":{runs}"#)?;
        }
        match (printer.json, printer.quiet) {
            (true, false) => write!(printer.out, r#","requests":["#)?,
            (false, false) => {
                let name = padded("name", printer.name_width);
                writeln!(
                    printer.out,
                    "{HEADING}{name} {:>12} {:>13}{HEADING:#}",
                    "reply", "latency"
                )?;
            }
            (_, true) => {}
        }
        Ok(printer)
    }

    fn lookup(&mut self, name: &str, answer: Answer, latency: Duration) -> io::Result<()> {
        let ns = nanoseconds(latency);
        match (self.json, self.quiet) {
            (_, true) => {}
            (true, false) => {
                let name = Value::from(name);
                let separator = self.separator;
                self.separator = ",";
                write!(
                    self.out,
                    r#"{separator}{{"name":{name},"reply":"{answer}","latency_ns":{ns}}}"#
                )?;
            }
            (false, false) => {
                let name = padded(&escaped(name).to_string(), self.name_width);
                let (style, reply) = (style_of(answer), wording(answer));
                let latency = microseconds(ns as f64);
                writeln!(self.out, "{name} {style}{reply:>12}{style:#} {latency:>10} µs")?;
                if self.live {
                    self.out.flush()?;
                }
            }
        }
        Ok(())
    }

    fn end(mut self, report: &LatencyReport) -> io::Result<()> {
        let out = &mut self.out;
        if self.json {
            let Document { names, total } = report.document();
            let bracket = if self.quiet { "" } else { "]" };
            write!(
                out,
                r#"{bracket},"names":{},"total":{}}}"#,
                serde_json::to_string(&names)?,
                serde_json::to_string(&total)?
            )?;
            writeln!(out)?;
        } else if !report.is_empty() {
            if !self.quiet {
                writeln!(out)?;
            }
            let table = report.table();
            let last = table.lines().count() - 1;
            for (at, line) in table.lines().enumerate() {
                let style = if at == 0 || at == last { HEADING } else { Style::new() };
                writeln!(out, "{style}{line}{style:#}")?;
            }
            writeln!(out, "\n{}", report.tally())?;
        }
        out.flush()
    }
}

/// Standard output, without styles where it is no terminal.
type Stdout = BufWriter<AutoStream<StdoutLock<'static>>>;

fn stdout() -> Stdout {
    BufWriter::new(AutoStream::auto(io::stdout().lock()))
}

const HEADING: Style = Style::new().bold();

fn style_of(answer: Answer) -> Style {
    match answer {
        Answer::Price(_) => Style::new(),
        Answer::NotTradable => AnsiColor::Yellow.on_default(),
        Answer::NotFound | Answer::NotPermitted => AnsiColor::Red.on_default(),
    }
}

/// The text, filled up with spaces to this width on a terminal.
fn padded(text: &str, width: usize) -> String {
    let spaces = width.saturating_sub(text.width());
    format!("{text}{:spaces$}", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_padded_to_columns_of_a_terminal() {
        assert_eq!(padded("牛来USDT", 10), "牛来USDT  ");
        assert_eq!(padded("AAPL", 2), "AAPL");
    }
}
