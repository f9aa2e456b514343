//! What several clients at once have measured: as tables, as JSON and as a page.
//!
//! Knows no clock and no connection.

use std::collections::BTreeMap;

use serde_json::{Value, json};
#[cfg(feature = "plots")]
use stockd_latency::{Axis, Block, Chart, Line, Page};
use stockd_latency::{Column, Latencies, duration, grouped, tables, tells_quantile};

use super::course::{Measured, Stage};

/// Letters of a line, at most.
const WIDTH: usize = 100;

/// What stands where nothing was measured.
const NOTHING: &str = "–";

/// What the tables do not say of themselves.
const LEGEND: &str =
    "spread is the standard deviation; a percentile has at least ten lookups beyond it, or a dash";

/// The measurements of one command.
#[derive(Debug)]
pub(super) struct CourseReport<'a> {
    pub(super) server: &'a str,
    pub(super) runs: u64,
    pub(super) names: &'a [String],
    /// In the order measured.
    pub(super) stages: Vec<Stage>,
}

/// A row of latencies, behind what it is about.
struct Row {
    keys: Vec<String>,
    /// Lookups a second, where that means something.
    rate: Option<f64>,
    latencies: Latencies,
}

impl Stage {
    /// The lookups of all clients: of listed names, and of the others.
    fn kinds(&self) -> [(&'static str, Latencies); 2] {
        let sum = |of: fn(&Measured) -> &Latencies| {
            let mut sum = Latencies::default();
            self.clients.iter().for_each(|client| sum.add(of(client)));
            sum
        };
        [("listed", sum(|client| &client.listed)), ("not listed", sum(|client| &client.not_listed))]
    }

    fn a_second(&self, latencies: &Latencies) -> f64 {
        latencies.count() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn all(&self) -> Latencies {
        let mut all = Latencies::default();
        self.clients.iter().for_each(|client| all.add(&client.all()));
        all
    }
}

impl CourseReport<'_> {
    /// Whether it is known of every client which worker served it.
    pub(super) fn knows_workers(&self) -> bool {
        self.stages.iter().flat_map(|stage| &stage.clients).all(|client| client.worker.is_some())
    }

    /// The tables for a terminal.
    pub(super) fn text(&self) -> String {
        let mut lines = tables(&columns(&["clients", "names"], &self.latency_rows()), 2, WIDTH);
        if self.knows_workers() {
            lines.push(String::new());
            let columns = columns(&["clients", "worker", "serves"], &self.worker_rows());
            lines.extend(tables(&columns, 3, WIDTH));
        }
        lines.extend([String::new(), LEGEND.to_owned()]);
        lines.join("\n")
    }

    /// For each number of clients the latencies of names that are listed, and of those that are not.
    fn latency_rows(&self) -> Vec<Row> {
        let rows = self.stages.iter().flat_map(|stage| {
            let kinds = stage.kinds().into_iter().filter(|(_, latencies)| latencies.count() > 0);
            kinds.map(|(kind, latencies)| Row {
                keys: vec![stage.clients.len().to_string(), kind.to_owned()],
                rate: Some(stage.a_second(&latencies)),
                latencies,
            })
        });
        rows.collect()
    }

    /// For each number of clients and each worker, whom it served, and how fast that was.
    fn worker_rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for stage in &self.stages {
            let mut workers: BTreeMap<Option<usize>, (Vec<String>, Latencies)> = BTreeMap::new();
            for (at, client) in stage.clients.iter().enumerate() {
                let (served, latencies) = workers.entry(client.worker).or_default();
                served.push((at + 1).to_string());
                latencies.add(&client.all());
            }
            rows.extend(workers.into_iter().map(|(worker, (served, latencies))| Row {
                keys: vec![
                    stage.clients.len().to_string(),
                    worker.map_or_else(|| NOTHING.to_owned(), |worker| worker.to_string()),
                    listed(&served),
                ],
                rate: None,
                latencies,
            }));
        }
        rows
    }

    /// One document.
    pub(super) fn json(&self) -> Value {
        let client = |(at, client): (usize, &Measured)| {
            json!({
                "client": at + 1,
                "address": client.address.map(|address| address.to_string()),
                "worker": client.worker,
                "latency": figures(&client.all()),
            })
        };
        let stage = |stage: &Stage| {
            let [(_, listed), (_, not_listed)] = stage.kinds();
            json!({
                "clients": stage.clients.len(),
                "seconds": stage.elapsed.as_secs_f64(),
                "lookups_a_second": stage.a_second(&stage.all()),
                "listed": figures(&listed),
                "not_listed": figures(&not_listed),
                "served": stage.clients.iter().enumerate().map(client).collect::<Vec<_>>(),
            })
        };
        json!({
            "server": self.server,
            "runs": self.runs,
            "names": self.names,
            "stages": self.stages.iter().map(stage).collect::<Vec<_>>(),
        })
    }
}

/// Clients that are named, at most; the others are counted.
const SHOWN_MAX: usize = 8;

fn listed(clients: &[String]) -> String {
    let mut shown = clients[..clients.len().min(SHOWN_MAX)].join(", ");
    if let Some(more @ 1..) = clients.len().checked_sub(SHOWN_MAX) {
        shown.push_str(&format!(" and {more} more"));
    }
    shown
}

fn quantile_ns(latencies: &Latencies, quantile: f64) -> Option<u64> {
    let is_told = tells_quantile(latencies.count(), quantile);
    is_told.then(|| latencies.quantile_ns(quantile))
}

fn figures(latencies: &Latencies) -> Value {
    json!({
        "count": latencies.count(),
        "mean_ns": latencies.mean_ns(),
        "deviation_ns": latencies.deviation_ns(),
        "p50_ns": quantile_ns(latencies, 0.5),
        "p90_ns": quantile_ns(latencies, 0.9),
        "p99_ns": quantile_ns(latencies, 0.99),
        "p999_ns": quantile_ns(latencies, 0.999),
        "max_ns": latencies.max_ns(),
    })
}

/// The columns of a table of rows. Percentiles that no row has lookups enough for are left out.
fn columns(keys: &[&str], rows: &[Row]) -> Vec<Column> {
    let mut columns = Vec::new();
    let mut add = |heading: &str, cell: &dyn Fn(&Row) -> Option<String>| {
        let cells: Vec<Option<String>> = rows.iter().map(cell).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| NOTHING.to_owned()));
            columns.push(Column { heading: heading.to_owned(), cells: cells.collect() });
        }
    };
    for (at, key) in keys.iter().enumerate() {
        add(key, &|row| row.keys.get(at).cloned());
    }
    add("count", &|row| Some(grouped(row.latencies.count())));
    add("count/s", &|row| Some(grouped(row.rate?.round() as u64)));
    add("mean", &|row| Some(duration(row.latencies.mean_ns())));
    add("spread", &|row| Some(duration(row.latencies.deviation_ns())));
    for (heading, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        add(heading, &|row| Some(duration(quantile_ns(&row.latencies, quantile)? as f64)));
    }
    add("max", &|row| Some(duration(row.latencies.max_ns() as f64)));
    columns
}

#[cfg(feature = "plots")]
impl CourseReport<'_> {
    /// The page: what was done, both tables, charts, and every client.
    pub(super) fn page(&self) -> Page {
        let table = |keys: &[&str], rows: &[Row]| {
            let columns = columns(keys, rows);
            let row = |at: usize| columns.iter().map(|column| column.cells[at].clone()).collect();
            Block::Table {
                headings: columns.iter().map(|column| column.heading.clone()).collect(),
                rows: (0..rows.len()).map(row).collect(),
                left: keys.len(),
            }
        };
        let client_rows: Vec<Row> = self
            .stages
            .iter()
            .flat_map(|stage| {
                stage.clients.iter().enumerate().map(|(at, client)| Row {
                    keys: vec![
                        stage.clients.len().to_string(),
                        (at + 1).to_string(),
                        client
                            .worker
                            .map_or_else(|| NOTHING.to_owned(), |worker| worker.to_string()),
                    ],
                    rate: None,
                    latencies: client.all(),
                })
            })
            .collect();
        let mut blocks = vec![
            Block::Text(format!(
                "Server {}. Each client has a connection and a thread of its own, and asks {} times for {} names, one \
                 request at a time. A latency is the time from sending a request to having its reply.",
                self.server,
                grouped(self.runs),
                grouped(self.names.len() as u64)
            )),
            Block::Heading("Latency by number of clients".to_owned()),
            table(&["clients", "names"], &self.latency_rows()),
            Block::Text(LEGEND.to_owned()),
        ];
        if self.stages.len() > 1 {
            blocks.extend([Block::Chart(self.latency_chart()), Block::Chart(self.rate_chart())]);
        }
        if self.knows_workers() {
            blocks.push(Block::Heading("Which worker served whom".to_owned()));
            blocks.push(table(&["clients", "worker", "serves"], &self.worker_rows()));
        }
        blocks.push(Block::Heading("Every client".to_owned()));
        blocks.push(table(&["clients", "client", "worker"], &client_rows));
        Page { title: "Lookups by several clients at once".to_owned(), blocks }
    }

    fn clients_axis(&self) -> Axis {
        let counts: Vec<f64> = self.stages.iter().map(|stage| stage.clients.len() as f64).collect();
        Axis::steps("clients at once", &counts)
    }

    /// Medians, or means where there are too few for them, and what eight of ten lookups took.
    fn latency_chart(&self) -> Chart {
        let mut lines: Vec<Line> = Vec::new();
        for kind in 0..2 {
            let mut line = Line { colour: kind, marked: true, ..Line::default() };
            for stage in &self.stages {
                let (label, latencies) = &stage.kinds()[kind];
                if latencies.count() == 0 {
                    continue;
                }
                line.label = (*label).to_owned();
                let clients = stage.clients.len() as f64;
                let median = quantile_ns(latencies, 0.5).map(|ns| ns as f64);
                line.points.push((clients, median.unwrap_or_else(|| latencies.mean_ns())));
                if let Some(high) = quantile_ns(latencies, 0.9) {
                    line.band.push((clients, latencies.quantile_ns(0.1) as f64, high as f64));
                }
            }
            line.points.sort_by(|one, other| one.0.total_cmp(&other.0));
            line.band.sort_by(|one, other| one.0.total_cmp(&other.0));
            if !line.points.is_empty() {
                lines.push(line);
            }
        }
        let heights = lines.iter().flat_map(|line| {
            let bands = line.band.iter().map(|(_, _, high)| *high);
            line.points.iter().map(|(_, height)| *height).chain(bands)
        });
        Chart {
            name: "latency-by-clients".to_owned(),
            title: "Latency by clients at once".to_owned(),
            subtitle: "medians, bands from the 10th to the 90th percentile".to_owned(),
            x: self.clients_axis(),
            y: Axis::time("latency", heights),
            lines,
        }
    }

    fn rate_chart(&self) -> Chart {
        let point = |stage: &Stage| (stage.clients.len() as f64, stage.a_second(&stage.all()));
        let mut points: Vec<(f64, f64)> = self.stages.iter().map(point).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        Chart {
            name: "rate-by-clients".to_owned(),
            title: "Lookups a second by clients at once".to_owned(),
            subtitle: "of all clients together".to_owned(),
            x: self.clients_axis(),
            y: Axis::linear("lookups a second", points.iter().map(|(_, rate)| *rate)),
            lines: vec![Line { marked: true, points, ..Line::default() }],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn latencies(count: u64, us: u64) -> Latencies {
        let mut latencies = Latencies::default();
        latencies.record(us * 1000, count);
        latencies
    }

    fn client(worker: usize, us: u64) -> Measured {
        Measured {
            address: format!("127.0.0.1:4000{worker}").parse().ok(),
            worker: Some(worker),
            listed: latencies(100, us),
            not_listed: latencies(10, us / 2),
        }
    }

    fn report(names: &[String]) -> CourseReport<'_> {
        let stage = |clients| Stage { elapsed: Duration::from_millis(10), clients };
        CourseReport {
            server: "127.0.0.1:7878",
            runs: 10,
            names,
            stages: vec![
                stage(vec![client(0, 40)]),
                stage(vec![client(1, 50), client(0, 60), client(1, 70)]),
            ],
        }
    }

    #[test]
    fn tables_show_latency_by_clients_and_who_served_whom() {
        let names = ["AAPL".to_owned(), "NOPE".to_owned()];
        let expected = "\
clients       names  count  count/s     mean   spread      p50      p90      max
─────────────────────────────────────────────────────────────────────────────────
      1      listed    100   10,000  40.0 µs     0 ns  40.0 µs  40.0 µs  40.0 µs
      1  not listed     10    1,000  20.0 µs     0 ns        –        –  20.0 µs
      3      listed    300   30,000  60.0 µs  8.16 µs  60.0 µs  70.0 µs  70.0 µs
      3  not listed     30    3,000  30.0 µs  4.08 µs  30.0 µs        –  35.0 µs

clients  worker  serves  count     mean   spread      p50      p90      max
────────────────────────────────────────────────────────────────────────────
      1       0       1    110  38.2 µs  5.75 µs  40.0 µs  40.0 µs  40.0 µs
      3       0       2    110  57.3 µs  8.62 µs  60.0 µs  60.0 µs  60.0 µs
      3       1    1, 3    220  57.3 µs  12.9 µs  50.0 µs  70.0 µs  70.0 µs

spread is the standard deviation; a percentile has at least ten lookups beyond it, or a dash";
        assert_eq!(report(&names).text(), expected);
    }

    /// As wide as figures get in a first hour: five clients, two thousand times.
    #[test]
    fn a_table_of_a_first_hour_is_one_table() {
        let names = ["AAPL".to_owned(), "NOPE".to_owned()];
        let measured = |worker| Measured {
            listed: latencies(20_000, 7_123),
            not_listed: latencies(10_000, 1_234),
            ..client(worker, 1)
        };
        let clients = vec![measured(0), measured(1)];
        let stages = vec![Stage { elapsed: Duration::from_millis(600), clients }];
        let text = CourseReport { stages, ..report(&names) }.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("p99.9      max"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn without_workers_the_figures_stand() {
        let names = ["AAPL".to_owned()];
        let mut report = report(&names);
        report.stages[1].clients[2].worker = None;
        assert!(!report.knows_workers());
        let text = report.text();
        assert!(text.contains("not listed") && !text.contains("worker"), "{text}");
        assert_eq!(report.json()["stages"][1]["served"][2]["worker"], Value::Null);
    }

    #[test]
    fn the_document_has_every_client() {
        let names = ["AAPL".to_owned(), "NOPE".to_owned()];
        let document = report(&names).json();
        assert_eq!((&document["runs"], &document["names"][1]), (&10.into(), &"NOPE".into()));
        let stage = &document["stages"][1];
        assert_eq!((&stage["clients"], &stage["lookups_a_second"]), (&3.into(), &33_000.0.into()));
        assert_eq!(stage["not_listed"]["p50_ns"], 30_000);
        assert_eq!(stage["not_listed"]["p99_ns"], Value::Null);
        let served = &stage["served"][2];
        assert_eq!((&served["client"], &served["worker"]), (&3.into(), &1.into()));
        assert_eq!(served["latency"]["count"], 110);
    }

    #[test]
    fn many_clients_are_counted() {
        let clients: Vec<String> = (1..=10).map(|client| client.to_string()).collect();
        assert_eq!(listed(&clients[..8]), "1, 2, 3, 4, 5, 6, 7, 8");
        assert_eq!(listed(&clients), "1, 2, 3, 4, 5, 6, 7, 8 and 2 more");
    }

    #[cfg(feature = "plots")]
    #[test]
    fn the_page_has_both_tables_and_charts() {
        let names = ["AAPL".to_owned(), "NOPE".to_owned()];
        let page = report(&names).page().html().unwrap();
        for part in [
            "Latency by clients at once",
            "Lookups a second by clients at once",
            "Which worker served whom",
            "<td class=\"left\">1, 3</td>",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg ").count(), 4);
        assert_eq!(page.matches("<polygon").count(), 2, "bands of listed names alone: {page}");
    }
}
