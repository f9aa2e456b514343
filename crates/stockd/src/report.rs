//! The report of measured lookups: latencies of each name and of all together.
//!
//! It collects latencies and renders them, as a table for people and as JSON for programs. It knows
//! no clock, no connection and no terminal.
//!
//! Invariant: counts, totals, means and maxima are exact; percentiles as those of [`Latencies`], and shown to people
//! where there are lookups enough for them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use stockd_client::Answer;
use stockd_latency::{Latencies, microseconds, nanoseconds, tells_quantile};
use stockd_model::escaped;

/// Names that the table shows, at most: the slowest.
const TABLE_NAMES_MAX: usize = 50;

/// The latencies of lookups, by name and in total.
#[derive(Debug, Default)]
pub(crate) struct LatencyReport {
    names: HashMap<String, Named>,
    total: Latencies,
    tally: Tally,
}

/// The last answer and the latencies of one name.
#[derive(Debug)]
struct Named {
    /// The answer that came last.
    answer: Answer,
    latencies: Latencies,
}

/// The number of lookups by kind of answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// A price.
    pub(crate) prices: u64,
    /// A `0`: halted, or no volume left.
    pub(crate) not_tradable: u64,
    /// A `-1`.
    pub(crate) not_listed: u64,
    /// An error: the stock may not be read.
    #[serde(skip_serializing_if = "is_none")]
    pub(crate) not_permitted: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { prices, not_tradable, not_listed, not_permitted } = self;
        let lookups = prices + not_tradable + not_listed + not_permitted;
        write!(
            f,
            "lookups: {lookups} ({prices} priced, {not_tradable} not tradable, {not_listed} not listed"
        )?;
        match not_permitted {
            0 => f.write_str(")"),
            _ => write!(f, ", {not_permitted} not permitted)"),
        }
    }
}

impl LatencyReport {
    /// Adds one lookup: what was asked, what was answered, and how long that took.
    pub(crate) fn record(&mut self, name: &str, answer: Answer, latency: Duration) {
        let ns = nanoseconds(latency);
        self.total.record(ns, 1);
        match answer {
            Answer::Price(_) => self.tally.prices += 1,
            Answer::NotTradable => self.tally.not_tradable += 1,
            Answer::NotFound => self.tally.not_listed += 1,
            Answer::NotPermitted => self.tally.not_permitted += 1,
        }
        match self.names.get_mut(name) {
            Some(named) => {
                named.answer = answer;
                named.latencies.record(ns, 1);
            }
            None => {
                let mut latencies = Latencies::default();
                latencies.record(ns, 1);
                self.names.insert(name.into(), Named { answer, latencies });
            }
        }
    }

    /// The number of lookups by kind of answer.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether no lookup was recorded.
    pub(crate) fn is_empty(&self) -> bool {
        self.total.count() == 0
    }

    /// A table in plain text: a line of headings, a line for each name, slowest 99th percentile
    /// first and then by name, and a line for the total. Of more than 50 names it shows the slowest
    /// 50, and says how many are left out.
    pub(crate) fn table(&self) -> String {
        let names = self.slowest_first();
        let row = |name: &NameSummary<'_>| {
            table_row(&escaped(name.name).to_string(), &wording(name.reply), &name.summary)
        };
        let total = table_row("total", "", &Summary::of(&self.total));
        let rows = names.iter().take(TABLE_NAMES_MAX).map(row).chain([total]);
        let mut lines = stockd_latency::table(TABLE_HEADINGS, rows, 1);
        let total = lines.pop();
        if let Some(hidden @ 1..) = names.len().checked_sub(TABLE_NAMES_MAX) {
            lines.push(format!("… and {hidden} more names, none slower; --json shows them all"));
        }
        lines.extend(lines.get(1).cloned());
        lines.extend(total);
        lines.join("\n")
    }

    /// The report for programs.
    pub(crate) fn document(&self) -> Document<'_> {
        Document {
            names: self.slowest_first(),
            total: TotalSummary { answers: self.tally, summary: Summary::of(&self.total) },
        }
    }

    fn slowest_first(&self) -> Vec<NameSummary<'_>> {
        let summary = |(name, named): (_, &Named)| NameSummary {
            name: String::as_str(name),
            reply: named.answer,
            summary: Summary::of(&named.latencies),
        };
        let mut names: Vec<_> = self.names.iter().map(summary).collect();
        names.sort_by_key(|name| (Reverse(name.summary.p99_ns), name.name));
        names
    }
}

/// The report for programs: `{"names": […], "total": {…}}`.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    /// In the order of the table, and all of them.
    pub(crate) names: Vec<NameSummary<'a>>,
    /// All lookups together.
    pub(crate) total: TotalSummary,
}

/// The lookups of one name.
#[derive(Debug, Serialize)]
pub(crate) struct NameSummary<'a> {
    name: &'a str,
    /// The last reply, as on the wire.
    #[serde(serialize_with = "as_on_the_wire")]
    reply: Answer,
    #[serde(flatten)]
    summary: Summary,
}

/// All lookups together.
#[derive(Debug, Serialize)]
pub(crate) struct TotalSummary {
    #[serde(flatten)]
    answers: Tally,
    #[serde(flatten)]
    summary: Summary,
}

fn as_on_the_wire<S: serde::Serializer>(answer: &Answer, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(answer)
}

/// Some latencies in few numbers; times in nanoseconds, all 0 where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Summary {
    count: u64,
    total_ns: u64,
    /// Rounded down.
    mean_ns: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    p999_ns: u64,
    max_ns: u64,
}

impl Summary {
    fn of(latencies: &Latencies) -> Summary {
        let [p50_ns, p90_ns, p99_ns, p999_ns] = latencies.quantiles_ns([0.5, 0.9, 0.99, 0.999]);
        let (count, total_ns) = (latencies.count(), latencies.sum_ns());
        Summary {
            count,
            total_ns,
            mean_ns: total_ns.checked_div(count).unwrap_or(0),
            p50_ns,
            p90_ns,
            p99_ns,
            p999_ns,
            max_ns: latencies.max_ns(),
        }
    }
}

const TABLE_HEADINGS: [&str; 10] = [
    "name",
    "reply",
    "count",
    "total ms",
    "mean µs",
    "p50 µs",
    "p90 µs",
    "p99 µs",
    "p99.9 µs",
    "max µs",
];

fn table_row(name: &str, reply: &str, summary: &Summary) -> Vec<String> {
    let microseconds = |ns: u64| microseconds(ns as f64);
    let percentile = |quantile, ns| match tells_quantile(summary.count, quantile) {
        true => microseconds(ns),
        false => "–".to_owned(),
    };
    vec![
        name.into(),
        reply.into(),
        summary.count.to_string(),
        format!("{:.3}", summary.total_ns as f64 / 1e6),
        microseconds(summary.mean_ns),
        percentile(0.5, summary.p50_ns),
        percentile(0.9, summary.p90_ns),
        percentile(0.99, summary.p99_ns),
        percentile(0.999, summary.p999_ns),
        microseconds(summary.max_ns),
    ]
}

/// An answer in the words of people: the price, `0`, `not listed` or `not permitted`.
pub(crate) fn wording(answer: Answer) -> String {
    match answer {
        Answer::NotFound => "not listed".into(),
        Answer::NotPermitted => "not permitted".into(),
        answer => answer.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Answer {
        Answer::Price(text.parse().unwrap())
    }

    fn us(microseconds: u64) -> Duration {
        Duration::from_micros(microseconds)
    }

    fn sample() -> LatencyReport {
        let mut report = LatencyReport::default();
        for latency in [10, 20, 30, 40] {
            report.record("AAPL", price("172.50"), us(latency));
        }
        report.record("BRK/A", price("743500"), us(35));
        report.record("牛来USDT", Answer::NotTradable, us(1000));
        report.record("XYZ", Answer::NotFound, us(5));
        report
    }

    #[test]
    fn the_table_has_the_slowest_first_and_the_total_last() {
        let mut report = sample();
        (0..99).for_each(|_| report.record("XYZ", Answer::NotFound, us(5)));
        (0..893).for_each(|_| report.record("BRK/A", price("743500"), us(35)));
        let expected = "\
name           reply  count  total ms  mean µs  p50 µs  p90 µs  p99 µs  p99.9 µs  max µs
─────────────────────────────────────────────────────────────────────────────────────────
牛来USDT           0      1     1.000   1000.0       –       –       –         –  1000.0
AAPL           172.5      4     0.100     25.0       –       –       –         –    40.0
BRK/A         743500    894    31.290     35.0    35.0    35.0       –         –    35.0
XYZ       not listed    100     0.500      5.0     5.0     5.0       –         –     5.0
─────────────────────────────────────────────────────────────────────────────────────────
total                   999    32.890     32.9    35.0    35.0       –         –  1000.0";
        assert_eq!(report.table(), expected);
        report.record("XYZ", Answer::NotFound, us(5));
        assert!(
            report.table().ends_with("35.0    35.0    35.0         –  1000.0"),
            "{}",
            report.table()
        );
    }

    #[test]
    fn a_long_table_shows_the_slowest_names_and_counts_the_others() {
        let mut report = LatencyReport::default();
        for i in 0..60 {
            report.record(&format!("S{i}"), price("1"), us(i));
        }
        let table = report.table();
        assert!(table.contains("\nS59 ") && table.contains("\nS10 "), "{table}");
        assert!(!table.contains("\nS9 "), "{table}");
        assert!(table.contains("\n… and 10 more names, none slower"), "{table}");
        assert_eq!(report.document().names.len(), 60);
    }

    #[test]
    fn names_of_equal_latency_are_in_the_order_of_names() {
        let mut report = LatencyReport::default();
        for name in ["C", "A", "B"] {
            report.record(name, price("1"), us(1));
        }
        let document = report.document();
        let names: Vec<_> = document.names.iter().map(|name| name.name).collect();
        assert_eq!(names, ["A", "B", "C"]);
    }

    #[test]
    fn the_document_has_exact_nanoseconds_and_replies_as_on_the_wire() {
        let report = sample();
        let document = serde_json::to_value(report.document()).unwrap();
        assert_eq!(
            document["names"][1],
            serde_json::json!({
                "name": "AAPL", "reply": "172.5", "count": 4, "total_ns": 100_000,
                "mean_ns": 25_000, "p50_ns": 20_000, "p90_ns": 40_000, "p99_ns": 40_000,
                "p999_ns": 40_000, "max_ns": 40_000,
            })
        );
        assert_eq!(document["names"][3]["reply"], "-1");
        assert_eq!(
            document["total"],
            serde_json::json!({
                "prices": 5, "not_tradable": 1, "not_listed": 1, "count": 7,
                "total_ns": 1_140_000, "mean_ns": 162_857, "p50_ns": 30_000,
                "p90_ns": 1_000_000, "p99_ns": 1_000_000, "p999_ns": 1_000_000,
                "max_ns": 1_000_000,
            })
        );
    }

    #[test]
    fn a_report_of_nothing_is_all_zeros() {
        let report = LatencyReport::default();
        assert!(report.is_empty());
        assert_eq!(Summary::of(&report.total).max_ns, 0);
        assert_eq!(report.table().lines().count(), 4);
    }
}
