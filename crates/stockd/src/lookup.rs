//! `stockd lookup`: asks a server for prices, and measures how long it takes.
//!
//! This file owns which names are asked and how answers are shown. What the latencies amount to
//! is the business of `report`, and how bytes travel that of the client library.
//!
//! Invariant: only the time from sending a request to having its reply is measured; names are
//! read before, and printing is done between the requests.

use std::fs::File;
use std::io::{
    self, BufRead, BufReader, BufWriter, ErrorKind, IsTerminal, Read, StdoutLock, Write,
};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use anyhow::{Context, anyhow, ensure};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::Value;
use stockd_client::{Address, Answer, Client};
use stockd_model::limits::{LINE_BYTES_MAX, STOCKS_MAX, SYMBOL_BYTES_MAX};
use unicode_width::UnicodeWidthStr;

use crate::report::{Document, LatencyReport, microseconds, nanoseconds, one_line, wording};

/// Look up prices on a server, and measure how long it takes.
///
/// Prints a line for each symbol: 'AAPL 172.5', or 'AAPL 0' while it cannot be traded, or 'XYZ not
/// found'. Exits with 1 if any was not found.
///
/// With --names, --runs, --quiet or --json it measures: one request at a time on one connection,
/// from sending the request to having its reply. It prints each reply with its latency, then a
/// table of the latencies by name, slowest 99th percentile first (of more than 50 names the
/// slowest 50), and in total.
#[derive(Debug, clap::Args)]
pub(crate) struct LookupArgs {
    /// Address of the server: HOST:PORT or unix:PATH.
    #[arg(
        long,
        value_name = "ADDR",
        env = "STOCKD_SERVER",
        hide_env_values = true,
        default_value = "127.0.0.1:7878"
    )]
    server: String,

    /// Look up every name of a list: one a line, blank lines and lines that begin with # skipped;
    /// '-' is standard input. Names given as SYMBOL come first.
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,

    /// Look up all names so many times and measure each lookup [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,

    /// Print the table alone, not each reply.
    #[arg(long)]
    quiet: bool,

    /// Print one JSON document instead of text.
    ///
    /// It is {"server": ADDR, "runs": N, "requests": [REQUEST…], "names": [NAME…], "total": TOTAL},
    /// without "requests" under --quiet. Times are whole nanoseconds; replies are as on the wire,
    /// "0" for not tradable and "-1" for not found.
    ///
    /// REQUEST is {"name", "reply", "latency_ns"}, in the order asked. NAME is {"name", "reply",
    /// "count", "total_ns", "mean_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"} with the
    /// last reply, slowest "p99_ns" first. TOTAL has the numbers of a NAME, and how many replies
    /// were "prices", "not_tradable" and "not_found".
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
        names.extend(read_list(list)?);
    }
    let client =
        Client::connect(&*args.server).with_context(|| format!("server '{}'", args.server))?;
    let all_found = match args.measures() {
        true => measure(client, &names, args),
        false => ask(client, &names),
    };
    match all_found {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(error) => match error.downcast::<io::Error>() {
            // Whoever reads the output has seen enough, as `head` does.
            Ok(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Ok(cause) => Err(cause).context("cannot write to standard output"),
            Err(error) => Err(error),
        },
    }
}

impl LookupArgs {
    fn measures(&self) -> bool {
        self.names.is_some() || self.runs.is_some() || self.quiet || self.json
    }
}

/// Asks for all names at once and prints the answers.
fn ask(mut client: Client, names: &[String]) -> anyhow::Result<bool> {
    let answers = client.lookup_all(names)?;
    let mut out = stdout();
    for (name, &answer) in names.iter().zip(&answers) {
        let style = style_of(answer);
        writeln!(out, "{} {style}{}{style:#}", one_line(name), wording(answer))?;
    }
    out.flush()?;
    Ok(!answers.contains(&Answer::NotFound))
}

/// Asks for one name after the other and prints what was measured; where the server fails, what
/// was measured until then.
fn measure(mut client: Client, names: &[String], args: &LookupArgs) -> anyhow::Result<bool> {
    let runs = args.runs.unwrap_or(1);
    let progress = progress_bar(args, runs.saturating_mul(names.len() as u64));
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
        None => Ok(report.tally().not_found == 0),
    }
}

/// Prints measured lookups, as text or as one JSON document.
struct Printer {
    out: Stdout,
    json: bool,
    quiet: bool,
    /// Columns that names take.
    name_width: usize,
    /// Whether every line is to be seen at once.
    live: bool,
    /// What separates the next request from what is before it in the document.
    separator: &'static str,
}

impl Printer {
    fn begin(
        args: &LookupArgs,
        runs: u64,
        server: &Address,
        names: &[String],
    ) -> io::Result<Printer> {
        let widths = names.iter().map(|name| one_line(name).width());
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
                let name = padded(&one_line(name), self.name_width);
                let (style, reply) = (style_of(answer), wording(answer));
                let latency = microseconds(ns);
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

/// Standard output, without its styles where they do not belong.
type Stdout = BufWriter<AutoStream<StdoutLock<'static>>>;

fn stdout() -> Stdout {
    BufWriter::new(AutoStream::auto(io::stdout().lock()))
}

const HEADING: Style = Style::new().bold();

fn style_of(answer: Answer) -> Style {
    match answer {
        Answer::Price(_) => Style::new(),
        Answer::NotTradable => AnsiColor::Yellow.on_default(),
        Answer::NotFound => AnsiColor::Red.on_default(),
    }
}

/// The text and the spaces that fill it up to so many columns of a terminal.
fn padded(text: &str, width: usize) -> String {
    let spaces = width.saturating_sub(text.width());
    format!("{text}{:spaces$}", "")
}

/// A bar on standard error, for a long run that prints nothing on the terminal meanwhile.
/// It shows on a terminal only.
fn progress_bar(args: &LookupArgs, lookups: u64) -> ProgressBar {
    let silent = args.quiet || !io::stdout().is_terminal();
    if !silent || lookups < PROGRESS_LOOKUPS_MIN {
        return ProgressBar::hidden();
    }
    let style = "{bar:40} {human_pos} of {human_len} lookups, {eta} left";
    ProgressBar::new(lookups)
        .with_style(ProgressStyle::with_template(style).expect("the template is well formed"))
        .with_finish(ProgressFinish::AndClear)
}

/// Lookups that are worth a progress bar, at least: some tenths of a second.
const PROGRESS_LOOKUPS_MIN: u64 = 10_000;

/// Reads a list of names.
fn read_list(path: &Path) -> anyhow::Result<Vec<String>> {
    if path == Path::new("-") {
        return parse_list(io::stdin().lock(), "standard input");
    }
    let source = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot read {source}"))?;
    parse_list(BufReader::new(file), &source)
}

/// Reads a list of names, whose errors name `source` and the line.
fn parse_list(mut list: impl BufRead, source: &str) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        // With its line end, and one byte that tells when it is too long.
        let mut bounded = list.by_ref().take(LINE_BYTES_MAX as u64 + 2);
        let bytes = bounded.read_until(b'\n', &mut line);
        if bytes.with_context(|| format!("cannot read {source}"))? == 0 {
            break;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        ensure!(
            text.len() <= LINE_BYTES_MAX,
            "{source}:{number}: the line is longer than {LINE_BYTES_MAX} bytes, the limit; write one name a line"
        );
        let text = std::str::from_utf8(text).map_err(|error| {
            let at = error.valid_up_to();
            anyhow!("{source}:{number}: not UTF-8 at byte {at}; save the list as UTF-8")
        })?;
        let name = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
        if name.is_empty() || name.starts_with('#') {
            continue;
        }
        ensure!(
            names.len() < STOCKS_MAX,
            "{source}:{number}: more than {STOCKS_MAX} names, the limit; split the list"
        );
        names.push(name.to_owned());
    }
    ensure!(!names.is_empty(), "{source} has no names; write one a line");
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(bytes: &[u8]) -> Result<Vec<String>, String> {
        parse_list(bytes, "names.txt").map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_list_is_names_between_blank_lines_and_comments() {
        let names = list("\u{feff}AAPL\n\n # more\r\n BRK/A \r\n#\n牛来USDT\nNA".as_bytes());
        assert_eq!(names.unwrap(), ["AAPL", "BRK/A", "牛来USDT", "NA"]);
    }

    #[test]
    fn a_bad_list_is_named_with_its_line() {
        let why = |bytes: &[u8]| list(bytes).unwrap_err();
        assert_eq!(
            why(b"AAPL\nAA\xffPL\n"),
            "names.txt:2: not UTF-8 at byte 2; save the list as UTF-8"
        );
        assert_eq!(why(b"# nothing\n\n"), "names.txt has no names; write one a line");
        assert_eq!(why(b""), "names.txt has no names; write one a line");
        let longest = [&b"A".repeat(LINE_BYTES_MAX)[..], b"\nB\n"].concat();
        assert_eq!(list(&longest).unwrap().len(), 2);
        let too_long = [&b"A"[..], &longest].concat();
        assert_eq!(
            why(&too_long),
            "names.txt:1: the line is longer than 65536 bytes, the limit; write one name a line"
        );
    }

    #[test]
    fn names_are_padded_to_columns_of_a_terminal() {
        assert_eq!(padded("牛来USDT", 10), "牛来USDT  ");
        assert_eq!(padded("AAPL", 2), "AAPL");
    }
}
