//! What a run of measured lookups amounts to: latencies of each name and of all together.
//!
//! It is told latencies and renders them, as a table for people and as JSON for programs. It
//! knows no clock, no connection and no terminal.
//!
//! Invariant: counts, totals, means and maxima are exact. Percentiles are exact up to
//! [`EXACT_SAMPLES_MAX`] lookups of a name, and beyond that at most 0.1 % too high.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use hdrhistogram::Histogram;
use serde::Serialize;
use stockd_client::Answer;
use stockd_model::escaped;

/// Latencies that are kept one by one, at most. More go to a histogram, whose size does not grow
/// with their number.
const EXACT_SAMPLES_MAX: usize = 4096;

/// Names that the table shows, at most: the slowest.
const TABLE_NAMES_MAX: usize = 50;

/// The latencies of lookups, by name and in total.
#[derive(Debug, Default)]
pub(crate) struct LatencyReport {
    names: HashMap<String, Named>,
    total: Latencies,
    tally: Tally,
}

/// What is known of one name.
#[derive(Debug)]
struct Named {
    /// The answer that came last.
    answer: Answer,
    latencies: Latencies,
}

/// How many lookups got which kind of answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// A price.
    pub(crate) prices: u64,
    /// A `0`: halted, or no volume left.
    pub(crate) not_tradable: u64,
    /// A `-1`.
    pub(crate) not_found: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { prices, not_tradable, not_found } = self;
        let lookups = prices + not_tradable + not_found;
        write!(
            f,
            "lookups: {lookups} ({prices} priced, {not_tradable} not tradable, {not_found} not found)"
        )
    }
}

impl LatencyReport {
    /// Adds one lookup: what was asked, what was answered, and how long that took.
    pub(crate) fn record(&mut self, name: &str, answer: Answer, latency: Duration) {
        let ns = nanoseconds(latency);
        self.total.record(ns);
        match answer {
            Answer::Price(_) => self.tally.prices += 1,
            Answer::NotTradable => self.tally.not_tradable += 1,
            Answer::NotFound => self.tally.not_found += 1,
        }
        match self.names.get_mut(name) {
            Some(named) => {
                named.answer = answer;
                named.latencies.record(ns);
            }
            None => {
                let mut latencies = Latencies::default();
                latencies.record(ns);
                self.names.insert(name.into(), Named { answer, latencies });
            }
        }
    }

    /// How many lookups got which kind of answer.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether no lookup was recorded.
    pub(crate) fn is_empty(&self) -> bool {
        self.total.count == 0
    }

    /// A table in plain text: a line of headings, a line for each name, slowest 99th percentile
    /// first and then by name, and a line for the total. Of more than 50 names it has the slowest
    /// 50, and says how many it has not.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(TABLE_STYLE).set_header(TABLE_HEADINGS);
        let names = self.slowest_first();
        for name in names.iter().take(TABLE_NAMES_MAX) {
            table.add_row(table_row(
                &escaped(name.name).to_string(),
                &wording(name.reply),
                &name.summary,
            ));
        }
        table.add_row(table_row("total", "", &self.total.summary()));
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
            if column.index > 0 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }

        let mut lines: Vec<String> = table.lines().map(|line| line.trim_end().into()).collect();
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
            total: TotalSummary { answers: self.tally, summary: self.total.summary() },
        }
    }

    fn slowest_first(&self) -> Vec<NameSummary<'_>> {
        let summary = |(name, named): (_, &Named)| NameSummary {
            name: String::as_str(name),
            reply: named.answer,
            summary: named.latencies.summary(),
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

/// Latencies in nanoseconds.
#[derive(Debug, Default)]
struct Latencies {
    count: u64,
    total_ns: u64,
    max_ns: u64,
    samples: Samples,
}

#[derive(Debug)]
enum Samples {
    /// Each as it came, at most [`EXACT_SAMPLES_MAX`].
    Few(Vec<u64>),
    Many(Histogram<u64>),
}

impl Default for Samples {
    fn default() -> Samples {
        Samples::Few(Vec::new())
    }
}

impl Latencies {
    fn record(&mut self, ns: u64) {
        self.count += 1;
        self.total_ns = self.total_ns.saturating_add(ns);
        self.max_ns = self.max_ns.max(ns);
        match &mut self.samples {
            Samples::Few(few) if few.len() < EXACT_SAMPLES_MAX => few.push(ns),
            Samples::Few(few) => {
                let mut many = Histogram::new(3).expect("3 digits are possible");
                few.iter().chain([&ns]).for_each(|&ns| count(&mut many, ns));
                self.samples = Samples::Many(many);
            }
            Samples::Many(many) => count(many, ns),
        }
    }

    fn summary(&self) -> Summary {
        let [p50_ns, p90_ns, p99_ns, p999_ns] = self.percentiles([500, 900, 990, 999]);
        Summary {
            count: self.count,
            total_ns: self.total_ns,
            mean_ns: self.total_ns.checked_div(self.count).unwrap_or(0),
            p50_ns,
            p90_ns,
            p99_ns,
            p999_ns,
            max_ns: self.max_ns,
        }
    }

    /// The least latency that so many per mille of all do not exceed, by the nearest rank.
    fn percentiles<const N: usize>(&self, per_mille: [u64; N]) -> [u64; N] {
        let ranks = per_mille.map(|share| (self.count * share).div_ceil(1000));
        match &self.samples {
            _ if self.count == 0 => [0; N],
            Samples::Few(few) => {
                let mut sorted = few.clone();
                sorted.sort_unstable();
                ranks.map(|rank| sorted[rank as usize - 1])
            }
            // Half a rank less, so that no rounding of floats can lead to the next one.
            Samples::Many(many) => ranks.map(|rank| {
                let quantile = (rank as f64 - 0.5) / self.count as f64;
                many.value_at_quantile(quantile).min(self.max_ns)
            }),
        }
    }
}

fn count(many: &mut Histogram<u64>, ns: u64) {
    many.record(ns).expect("a histogram that grows has a place for every value");
}

/// A rule under the headings and nothing else.
const TABLE_STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

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

fn table_row(name: &str, reply: &str, summary: &Summary) -> [String; 10] {
    [
        name.into(),
        reply.into(),
        summary.count.to_string(),
        format!("{:.3}", summary.total_ns as f64 / 1e6),
        microseconds(summary.mean_ns),
        microseconds(summary.p50_ns),
        microseconds(summary.p90_ns),
        microseconds(summary.p99_ns),
        microseconds(summary.p999_ns),
        microseconds(summary.max_ns),
    ]
}

/// A latency in whole nanoseconds; more than 584 years are as good as 584 years.
pub(crate) fn nanoseconds(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds as microseconds with one decimal place, without the unit.
pub(crate) fn microseconds(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1e3)
}

/// An answer in the words of people: the price, `0`, or `not found`.
pub(crate) fn wording(answer: Answer) -> String {
    match answer {
        Answer::NotFound => "not found".into(),
        answer => answer.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        let expected = "\
name          reply  count  total ms  mean µs  p50 µs  p90 µs  p99 µs  p99.9 µs  max µs
────────────────────────────────────────────────────────────────────────────────────────
牛来USDT          0      1     1.000   1000.0  1000.0  1000.0  1000.0    1000.0  1000.0
AAPL          172.5      4     0.100     25.0    20.0    40.0    40.0      40.0    40.0
BRK/A        743500      1     0.035     35.0    35.0    35.0    35.0      35.0    35.0
XYZ       not found      1     0.005      5.0     5.0     5.0     5.0       5.0     5.0
────────────────────────────────────────────────────────────────────────────────────────
total                    7     1.140    162.9    30.0  1000.0  1000.0    1000.0  1000.0";
        assert_eq!(sample().table(), expected);
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
                "prices": 5, "not_tradable": 1, "not_found": 1, "count": 7,
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
        assert_eq!(report.total.summary().max_ns, 0);
        assert_eq!(report.table().lines().count(), 4);
    }

    proptest! {
        /// The oracle sorts all samples and counts off the nearest rank.
        #[test]
        fn percentiles_agree_with_sorting(
            samples in proptest::collection::vec(0..10_000_000_000_u64, 1..300),
            repeats in 1..40_usize,
        ) {
            let mut latencies = Latencies::default();
            let mut sorted = samples.repeat(repeats);
            sorted.iter().for_each(|&ns| latencies.record(ns));
            sorted.sort_unstable();
            let summary = latencies.summary();

            prop_assert_eq!(summary.count, sorted.len() as u64);
            prop_assert_eq!(summary.total_ns, sorted.iter().sum::<u64>());
            prop_assert_eq!(Some(&summary.max_ns), sorted.last());
            for (percentile, per_mille) in [
                (summary.p50_ns, 500),
                (summary.p90_ns, 900),
                (summary.p99_ns, 990),
                (summary.p999_ns, 999),
            ] {
                let rank = (sorted.len() * per_mille).div_ceil(1000);
                let exact = sorted[rank - 1];
                let error = if sorted.len() <= EXACT_SAMPLES_MAX { 0 } else { exact / 1000 };
                prop_assert!(
                    (exact..=exact + error).contains(&percentile),
                    "p{} of {} is {}, not {}", per_mille, sorted.len(), percentile, exact
                );
            }
        }
    }
}
