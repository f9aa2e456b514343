//! How far a feed has come: one line a second on standard error, where that is a terminal.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use stockd_feeds::Counts;

use super::counted::Counted;
use super::shared::Shared;
use super::tally::Tally;
use crate::output;

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Progress {
    /// When the next line is due; `None` where it is not shown.
    due: Option<Instant>,
}

impl Progress {
    pub(super) fn begin() -> Progress {
        Progress { due: io::stderr().is_terminal().then(|| Instant::now() + INTERVAL) }
    }

    /// How long until a line is due.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Prints a line if one is due.
    pub(super) fn print(&mut self, shared: &Shared, tally: Option<&Tally>) {
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.due = Some(Instant::now() + INTERVAL);
            output::problem(format_args!("{}", line(&shared.counts(), tally, shared.silence())));
        }
    }
}

fn line(counts: &Counts, tally: Option<&Tally>, silence: Duration) -> String {
    let Counts { records, trades, conflated, gaps, .. } = counts;
    let skipped: u64 = counts.skipped.iter().map(|(_, count)| count).sum();
    let applied = tally.map(|tally| tally.listed + tally.updated);
    let applied = applied.map_or(String::new(), |applied| format!(", {applied} applied"));
    format!(
        "{}, {}{applied}, {conflated} conflated, {skipped} skipped, {}, heard {:.1} s ago",
        Counted(*records, "message"),
        Counted(*trades, "trade"),
        Counted(*gaps, "gap"),
        silence.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_everything() {
        let counts = Counts { records: 10, trades: 3, conflated: 2, gaps: 1, ..Counts::default() };
        let tally = Tally { listed: 1, updated: 2, ..Tally::default() };
        let half = Duration::from_millis(500);
        assert_eq!(
            line(&counts, Some(&tally), half),
            "10 messages, 3 trades, 3 applied, 2 conflated, 0 skipped, 1 gap, heard 0.5 s ago"
        );
        assert!(!line(&counts, None, half).contains("applied"));
    }
}
