//! How the demo looks: colours and a line that refreshes on a terminal, plain text in a pipe.
//!
//! Every write is flushed, so that a pipe shows the demo as it goes.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use stockd_client::Answer;
use stockd_latency::microseconds;
use unicode_width::UnicodeWidthStr;

use crate::report::LatencyReport;

const STRONG: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default();

/// Columns that names take.
const NAME_COLUMNS: usize = 14;

/// Where the demo is shown.
pub(crate) struct Screen {
    out: AutoStream<io::Stdout>,
    /// Whether a line can be written over.
    refreshes: bool,
}

/// One lookup as it is shown.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// The last day of the history that was being applied when the reply came.
    pub(crate) date: &'a str,
    /// The name as it was sent.
    pub(crate) name: &'a str,
    /// The answer.
    pub(crate) answer: Answer,
    /// Its meaning, or the reply that would have been correct.
    pub(crate) meaning: Result<&'static str, String>,
    /// From sending the request to having the reply.
    pub(crate) latency_ns: u64,
}

impl Screen {
    pub(crate) fn new() -> Screen {
        Screen { out: anstream::stdout(), refreshes: io::stdout().is_terminal() }
    }

    /// Whether [`status`](Screen::status) shows anything.
    pub(crate) fn refreshes(&self) -> bool {
        self.refreshes
    }

    pub(crate) fn title(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.out, "{STRONG}{title}{STRONG:#}\n")
    }

    /// One thing a line, each with its name.
    pub(crate) fn facts(&mut self, lines: &[(&str, String)]) -> io::Result<()> {
        for (name, text) in lines {
            writeln!(self.out, "  {DIM}{name:<9}{DIM:#} {text}")?;
        }
        self.out.flush()
    }

    /// The headings of the rows that follow.
    pub(crate) fn headings(&mut self) -> io::Result<()> {
        let name = padded("name", NAME_COLUMNS);
        writeln!(
            self.out,
            "\n{STRONG}{:<10}  {name}  {:>8}  {:<10}  {:>11}{STRONG:#}",
            "replay at", "reply", "meaning", "latency"
        )
    }

    pub(crate) fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let colour = match (&row.meaning, row.answer) {
            (Err(_), _) => RED,
            (_, Answer::Price(_)) => GREEN,
            (_, Answer::NotTradable) => YELLOW,
            (_, Answer::NotFound | Answer::NotPermitted) => DIM,
        };
        let meaning = match &row.meaning {
            Ok(meaning) => (*meaning).to_owned(),
            Err(right) => format!("wrong: should be {right}"),
        };
        let Row { date, answer, .. } = row;
        let name = padded(&quoted_where_padded(row.name), NAME_COLUMNS);
        let latency = microseconds(row.latency_ns as f64);
        writeln!(
            self.out,
            "{DIM}{date:<10}{DIM:#}  {name}  {colour}{answer:>8}  {meaning:<10}{colour:#}  {latency:>8} µs",
        )?;
        self.out.flush()
    }

    /// An empty line.
    pub(crate) fn gap(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// The latencies by name and in total.
    pub(crate) fn report(&mut self, report: &LatencyReport) -> io::Result<()> {
        writeln!(self.out, "\n{}\n", report.table())
    }

    /// Good news, a sentence by itself.
    pub(crate) fn good(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n{GREEN}{text}{GREEN:#}")?;
        self.out.flush()
    }

    /// Says that the demo goes on, and how to try the server from another terminal.
    pub(crate) fn invitation(
        &mut self,
        address: SocketAddr,
        resp: SocketAddr,
        dashboard: Option<&str>,
    ) -> io::Result<()> {
        let (ip, port, resp_port) = (address.ip(), address.port(), resp.port());
        writeln!(self.out, "\nStill serving, the history begins again; stop with Ctrl-C.")?;
        if let Some(page) = dashboard {
            writeln!(self.out, "See the prices move: {STRONG}{page}{STRONG:#}")?;
        }
        writeln!(
            self.out,
            "Try from another terminal:\n\n  \
             {STRONG}stockd lookup AAPL GOOG --server {address}{STRONG:#}\n  \
             {STRONG}printf 'AAPL\\nXYZ\\n' | nc -w 1 {ip} {port}{STRONG:#}\n  \
             {STRONG}redis-cli -p {resp_port} SUBSCRIBE AAPL{STRONG:#}\n"
        )?;
        self.out.flush()
    }

    /// A line that replaces the one before it. Prints nothing where a line cannot be replaced.
    pub(crate) fn status(&mut self, text: &str) -> io::Result<()> {
        if self.refreshes {
            write!(self.out, "\r\x1b[2K{DIM}{text}{DIM:#}")?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// The last line, below the status.
    pub(crate) fn farewell(&mut self, text: &str) -> io::Result<()> {
        let end_of_status = if self.refreshes { "\n" } else { "" };
        writeln!(self.out, "{end_of_status}{text}")?;
        self.out.flush()
    }
}

/// A name that shows where it begins and ends, in quotes if it would not otherwise.
pub(crate) fn quoted_where_padded(name: &str) -> String {
    match name.trim() == name {
        true => name.to_owned(),
        false => format!("'{name}'"),
    }
}

/// A text with spaces behind it up to this width on a terminal, where some characters take two
/// columns.
fn padded(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(spaces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(padded("牛来", 6), "牛来  ");
        assert_eq!(padded("AAPL", 6), "AAPL  ");
        assert_eq!(padded("AAPL", 2), "AAPL");
    }
}
