//! The report on a terminal: a row for each load, and notes.

use stockd_latency::{grouped, microseconds};

use super::{Document, Point, Repetition};

/// A row for each point: medians over its repetitions, and the highest maximum. Columns without a
/// measurement are left out.
pub fn table(document: &Document) -> String {
    let columns = columns(document);
    let rows =
        document.points.iter().map(|point| columns.iter().map(|(_, cell)| cell(point)).collect());
    stockd_latency::table(columns.iter().map(|(heading, _)| heading.as_str()), rows, 0).join("\n")
}

/// The columns that this document has figures for.
fn columns(document: &Document) -> Vec<Column> {
    let swept = document.points.first().and_then(|point| point.swept.as_ref());
    let is_open = document.points.iter().any(|point| point.load.rate.is_some());
    let mut columns: Vec<Column> = Vec::new();
    let mut column = |heading: &str, cell: Cell| columns.push((heading.to_owned(), cell));
    if let Some(swept) = swept {
        let value = |point: &Point| point.swept.as_ref().map(|swept| swept.value.to_string());
        column(&swept.parameter, Box::new(move |point| value(point).unwrap_or_default()));
    }
    column("requests", total(|run| run.requests));
    if is_open {
        column("offered/s", median(|run| run.offered_a_second.unwrap_or(0.0), whole));
    }
    column("requests/s", median(|run| run.requests_a_second, whole));
    if document.points.iter().any(|point| point.repetitions.len() > 1) {
        column("min … max", Box::new(range_of_rates));
    }
    if document.parameters.mget > 1 {
        column("lookups/s", median(|run| run.lookups_a_second, whole));
    }
    column("mean µs", median(|run| run.latency.mean_ns, microseconds));
    column("p50 µs", median(|run| run.latency.p50_ns as f64, microseconds));
    column("p90 µs", median(|run| run.latency.p90_ns as f64, microseconds));
    column("p99 µs", median(|run| run.latency.p99_ns as f64, microseconds));
    column("p99.9 µs", median(|run| run.latency.p999_ns as f64, microseconds));
    let highest = |point: &Point| point.repetitions.iter().map(|run| run.latency.max_ns).max();
    column(
        "max µs",
        Box::new(move |point| microseconds(highest(point).unwrap_or_default() as f64)),
    );
    if is_open {
        let late = |run: &Repetition| run.send_delay.unwrap_or_default().p99_ns as f64;
        column("sent late p99 µs", median(late, microseconds));
    }
    if document.repetitions().any(|run| run.server_cpu_ns_per_request.is_some()) {
        let per_request = |run: &Repetition| run.server_cpu_ns_per_request.unwrap_or(0.0);
        column("server CPU ns/request", median(per_request, whole));
        column("server cores", median(|run| run.server_cores.unwrap_or(0.0), two_places));
    }
    column("own cores", median(|run| run.load_cores, two_places));
    column("errors", total(|run| run.counts.failures()));
    columns
}

type Cell = Box<dyn Fn(&Point) -> String>;
type Column = (String, Cell);

fn total(count: fn(&Repetition) -> u64) -> Cell {
    Box::new(move |point| grouped(point.repetitions.iter().map(count).sum()))
}

fn range_of_rates(point: &Point) -> String {
    let rates = || point.repetitions.iter().map(|run| run.requests_a_second);
    let (low, high) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    format!("{} … {}", whole(low), whole(high))
}

fn median(figure: fn(&Repetition) -> f64, show: fn(f64) -> String) -> Cell {
    Box::new(move |point| show(point.median(figure)))
}

/// What a reader of the table has to know, a line each; failures come last.
pub fn notes(document: &Document) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(bytes) = document.repetitions().filter_map(|run| run.server_memory_bytes).max() {
        notes.push(format!("server memory {:.1} MiB", bytes as f64 / 1_048_576.0));
    }
    for point in &document.points {
        let place = match &point.swept {
            Some(swept) => format!("{} {}: ", swept.parameter, swept.value),
            None => String::new(),
        };
        point_notes(point, &place, &mut notes);
    }
    notes
}

fn point_notes(point: &Point, place: &str, notes: &mut Vec<String>) {
    let runs = &point.repetitions;
    let sum = |count: fn(&Repetition) -> u64| runs.iter().map(count).sum::<u64>();
    let shown = |ns: fn(&Repetition) -> f64| microseconds(point.median(ns));
    let mut note = |text: String| notes.push(format!("{place}{text}"));
    let misses = sum(|run| run.counts.misses);
    if misses > 0 {
        note(format!(
            "{} names listed, {} not listed",
            grouped(sum(|run| run.counts.hits)),
            grouped(misses)
        ));
    }
    if runs.iter().any(|run| run.update_latency.is_some()) {
        note(format!(
            "lookups p50 {} p99 {} µs, updates p50 {} p99 {} µs",
            shown(|run| run.lookup_latency.unwrap_or_default().p50_ns as f64),
            shown(|run| run.lookup_latency.unwrap_or_default().p99_ns as f64),
            shown(|run| run.update_latency.unwrap_or_default().p50_ns as f64),
            shown(|run| run.update_latency.unwrap_or_default().p99_ns as f64),
        ));
    }
    if runs.iter().any(|run| run.messages_a_second.is_some()) {
        let messages = point.median(|run| run.messages_a_second.unwrap_or(0.0));
        note(format!("subscribers read {} messages/s", whole(messages)));
    }
    let verified = sum(|run| run.counts.verified);
    if verified > 0 {
        note(format!(
            "{} replies compared, {} wrong",
            grouped(verified),
            grouped(sum(|run| run.counts.mismatches))
        ));
    }
    if runs.iter().any(Repetition::is_overloaded) {
        note(format!(
            "overload: {} requests/s were offered and {} answered; {} had no reply in the end, {} of them were never sent",
            whole(point.median(|run| run.offered_a_second.unwrap_or(0.0))),
            whole(point.median(|run| run.requests_a_second)),
            grouped(sum(|run| run.counts.unanswered)),
            grouped(sum(|run| run.counts.unsent)),
        ));
    } else if sum(|run| run.counts.unanswered) > 0 {
        note(format!(
            "{} requests had no reply in the end",
            grouped(sum(|run| run.counts.unanswered))
        ));
    }
    if runs.iter().any(|run| run.load_saturated) {
        note(format!(
            "the load generator was the bottleneck: its busiest thread was busy for {:.0} % of the time; give it more --threads or another core, and do not take these figures for the server's",
            100.0 * runs.iter().map(|run| run.load_busy_share).fold(0.0, f64::max)
        ));
    }
    failure_notes(point, place, notes);
}

fn failure_notes(point: &Point, place: &str, notes: &mut Vec<String>) {
    let runs = &point.repetitions;
    let sum = |count: fn(&Repetition) -> u64| runs.iter().map(count).sum::<u64>();
    let first = |text: fn(&Repetition) -> &Option<String>| {
        runs.iter().find_map(|run| text(run).clone()).unwrap_or_default()
    };
    for (count, what, text) in [
        (
            sum(|run| run.counts.mismatches),
            "wrong replies",
            first(|run| &run.counts.first_mismatch),
        ),
        (sum(|run| run.counts.errors), "error replies", first(|run| &run.counts.first_error)),
        (
            sum(|run| run.counts.connections_closed),
            "connections lost",
            first(|run| &run.counts.first_error),
        ),
    ] {
        if count > 0 {
            let count = grouped(count);
            notes.push(format!("{place}{count} {what}, the first: {text}"));
        }
    }
}

/// A rate without its fraction.
fn whole(number: f64) -> String {
    grouped(number.round() as u64)
}

fn two_places(number: f64) -> String {
    format!("{number:.2}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::figures::{Figures, Kind};
    use crate::report::{Document, Parameters, Swept};
    use crate::run::{Load, Outcome};
    use crate::{Arrivals, Protocol};

    pub(in crate::report) fn load() -> Load {
        Load { connections: 50, pipeline: 1, threads: 1, rate: None, arrivals: Arrivals::Constant }
    }

    fn outcome(rate: u64) -> Outcome {
        let mut figures = Figures::new(0);
        figures.window_end = 1_000_000_000;
        figures.window_ns = 1_000_000_000;
        figures.answered(Kind::Lookup, 0, 50_000, rate);
        figures.counts.hits = rate;
        Outcome {
            figures,
            server_cpu_ns_per_request: Some(6_500.0),
            server_cores: Some(0.65),
            server_memory_bytes: Some(8 << 20),
            messages_a_second: None,
        }
    }

    pub(in crate::report) fn run() -> Repetition {
        Repetition::new(outcome(1000), &load(), 1)
    }

    pub(in crate::report) fn document(points: Vec<Point>) -> Document {
        let parameters = Parameters {
            server: "127.0.0.1:7878".into(),
            protocol: Protocol::Line,
            stocks: 10_000,
            zipf: None,
            misses_percent: 0.0,
            mget: 1,
            updates_percent: 0.0,
            subscribers: 0,
            warmup_seconds: 1.0,
            duration_seconds: Some(1.0),
            requests: None,
            seed: 1,
            verify: false,
            spin: false,
            pid: Some(1),
        };
        Document { points, ..Document::new("stockd".into(), vec!["stockd".into()], parameters) }
    }

    #[test]
    fn a_row_is_the_medians_of_a_point() {
        let runs = [1000, 123_456, 2000].map(|rate| Repetition::new(outcome(rate), &load(), 1));
        let swept = Some(Swept { parameter: "connections".into(), value: 50.0 });
        let point = Point { swept, load: load(), repetitions: runs.to_vec() };
        assert_eq!(
            table(&document(vec![point])),
            "\
connections  requests  requests/s        min … max  mean µs  p50 µs  p90 µs  p99 µs  p99.9 µs  max µs  server CPU ns/request  server cores  own cores  errors
──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
         50   126,456       2,000  1,000 … 123,456     50.0    50.0    50.0    50.0      50.0    50.0                  6,500          0.65       0.00       0"
        );
    }

    #[test]
    fn what_went_wrong_is_said() {
        let mut run = run();
        run.offered_a_second = Some(2000.0);
        run.counts.unanswered = 7;
        run.load_saturated = true;
        run.load_busy_share = 0.97;
        run.counts.errors = 2;
        run.counts.first_error = Some("ERR no".into());
        let point = Point { swept: None, load: load(), repetitions: vec![run] };
        let notes = notes(&document(vec![point]));
        assert_eq!(notes[0], "server memory 8.0 MiB");
        assert!(
            notes[1].starts_with("overload: 2,000 requests/s were offered and 1,000 answered; 7")
        );
        assert!(notes[2].starts_with(
            "the load generator was the bottleneck: its busiest thread was busy for 97 %"
        ));
        assert_eq!(notes[3], "2 error replies, the first: ERR no");
    }

    #[test]
    fn documents_are_read_back_as_they_were_written() {
        let point = Point { swept: None, load: load(), repetitions: vec![run()] };
        let text = serde_json::to_string(&document(vec![point])).unwrap();
        let back = Document::parse(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        let other = text.replace("stockd-load/1", "stockd-load/9");
        assert!(Document::parse(&other).unwrap_err().contains("stockd-load/9"));
        assert!(Document::parse("{}").is_err());
    }
}
