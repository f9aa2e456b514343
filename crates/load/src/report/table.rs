//! The report on a terminal: a row for each load, and notes.

use stockd_latency::{Column, duration, grouped, tables};

use super::{Document, Point, Repetition};

/// Letters of a line, at most.
const WIDTH: usize = 100;

/// What stands where nothing was measured.
pub(super) const NOTHING: &str = "–";

/// A row for each point: medians over its repetitions, and the highest maximum. Columns without a
/// measurement are left out, and those that have no room follow below.
pub fn table(document: &Document) -> String {
    let keys = usize::from(swept(document).is_some());
    tables(&columns(document), keys, WIDTH).join("\n")
}

fn swept(document: &Document) -> Option<&str> {
    Some(&document.points.first()?.swept.as_ref()?.parameter)
}

/// The columns that this document has figures for, with a cell for each point.
pub(super) fn columns(document: &Document) -> Vec<Column> {
    let mut columns = Columns { points: &document.points, columns: Vec::new() };
    if let Some(swept) = swept(document) {
        columns.add(swept, |point| Some(point.swept.as_ref()?.value.to_string()));
    }
    let any = |has: fn(&Repetition) -> bool| document.repetitions().any(has);
    let percentile = |quantile| {
        move |point: &Point| point.median(|run| run.latency.quantile_ns(quantile)).map(duration)
    };
    columns.add("requests", |point| Some(total(point, |run| run.requests)));
    if any(|run| run.offered_a_second.is_some()) {
        columns.add("offered/s", |point| point.median(|run| run.offered_a_second).map(whole));
    }
    columns.add("requests/s", |point| point.median(|run| Some(run.requests_a_second)).map(whole));
    if document.points.iter().any(|point| point.counted().nth(1).is_some()) {
        columns.add("min … max", |point| {
            let (low, high) = point.range(|run| Some(run.requests_a_second))?;
            Some(format!("{} … {}", whole(low), whole(high)))
        });
    }
    if document.parameters.mget > 1 {
        columns.add("lookups/s", |point| point.median(|run| Some(run.lookups_a_second)).map(whole));
    }
    columns.add("mean", |point| {
        let mean = |run: &Repetition| (run.latency.count > 0).then_some(run.latency.mean_ns);
        point.median(mean).map(duration)
    });
    for (heading, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        columns.add(heading, percentile(quantile));
    }
    columns.add("max", |point| point.max_ns().map(duration));
    if any(|run| run.send_delay.is_some()) {
        columns.add("sent late p99", |point| {
            point.median(|run| run.send_delay?.quantile_ns(0.99)).map(duration)
        });
    }
    if any(|run| run.server_cpu_ns_per_request.is_some()) {
        let per_request = |point: &Point| point.median(|run| run.server_cpu_ns_per_request);
        columns.add("server CPU/request", move |point| per_request(point).map(duration));
        let cores = |point: &Point| point.median(|run| run.server_cores);
        columns.add("server cores", move |point| cores(point).map(two_places));
    }
    columns.add("own cores", |point| {
        let cores = |run: &Repetition| (run.window_seconds > 0.0).then_some(run.load_cores);
        point.median(cores).map(two_places)
    });
    if any(|run| run.disturbed) {
        columns.add("disturbed", |point| {
            let disturbed = point.repetitions.iter().filter(|run| run.disturbed).count();
            Some(format!("{disturbed} of {}", point.repetitions.len()))
        });
    }
    // Of all runs: a disturbed one has no excuse for a wrong reply.
    columns.add("errors", |point| {
        Some(grouped(point.repetitions.iter().map(|run| run.counts.failures()).sum()))
    });
    columns.columns
}

/// Columns that are being put together.
struct Columns<'a> {
    points: &'a [Point],
    columns: Vec<Column>,
}

impl Columns<'_> {
    fn add(&mut self, heading: &str, cell: impl Fn(&Point) -> Option<String>) {
        let cells = self.points.iter().map(|point| cell(point).unwrap_or_else(|| NOTHING.into()));
        self.columns.push(Column { heading: heading.to_owned(), cells: cells.collect() });
    }
}

fn total(point: &Point, count: fn(&Repetition) -> u64) -> String {
    grouped(point.counted().map(count).sum())
}

/// What a reader of the table has to know, a line each; failures come last.
pub fn notes(document: &Document) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(bytes) = document.repetitions().filter_map(|run| run.server_memory_bytes).max() {
        notes.push(format!("server memory {:.1} MiB", bytes as f64 / 1_048_576.0));
    }
    let touched =
        document.points.iter().filter(|it| it.repetitions.iter().any(|run| run.disturbed));
    let (withheld, counted): (Vec<_>, Vec<_>) = touched.partition(|point| point.is_disturbed());
    for points in [withheld, counted] {
        notes.extend(disturbance_note(&points));
    }
    for point in &document.points {
        let mut noted = Vec::new();
        request_notes(point, &mut noted);
        trust_notes(point, &mut noted);
        failure_notes(point, &mut noted);
        let place = place_of(&[point]);
        notes.extend(noted.into_iter().map(|note| format!("{place}{note}")));
    }
    notes
}

/// Which loads of a sweep these are.
fn place_of(points: &[&Point]) -> String {
    let swept: Vec<_> = points.iter().filter_map(|point| point.swept.as_ref()).collect();
    let values: Vec<String> = swept.iter().map(|swept| swept.value.to_string()).collect();
    swept
        .first()
        .map_or_else(String::new, |first| format!("{} {}: ", first.parameter, values.join(", ")))
}

/// That runs were disturbed, once for all loads: all runs of each of these, or some.
fn disturbance_note(points: &[&Point]) -> Option<String> {
    let runs = || points.iter().flat_map(|point| &point.repetitions);
    let disturbed = || runs().filter(|run| run.disturbed);
    let delay = |run: &&Repetition| run.disturbance.run_delay();
    let why = why(disturbed().max_by(|one, other| delay(one).total_cmp(&delay(other)))?);
    let (place, some, all) = (place_of(points), disturbed().count(), runs().count());
    let in_all = match all {
        1 => "the run".to_owned(),
        all => format!("each of the {all} runs, at worst"),
    };
    Some(match some == all {
        true => format!(
            "{place}disturbed: in {in_all} {why}; these are figures of a busy machine, and no verdict on the server is \
             given: repeat it when the machine is idle, or bind both sides to cores of their own"
        ),
        false => format!("{place}disturbed: {some} of {all} runs do not count: {why}"),
    })
}

/// What was asked and answered.
fn request_notes(point: &Point, notes: &mut Vec<String>) {
    let sum = |count: fn(&Repetition) -> u64| point.counted().map(count).sum::<u64>();
    let misses = sum(|run| run.counts.misses);
    if misses > 0 {
        notes.push(format!(
            "{} names listed, {} not listed",
            grouped(sum(|run| run.counts.hits)),
            grouped(misses)
        ));
    }
    let of_kind = |kind: fn(&Repetition) -> Option<super::LatencyFigures>, quantile| {
        let latency = point.median(|run| kind(run)?.quantile_ns(quantile));
        latency.map_or_else(|| NOTHING.to_owned(), duration)
    };
    if point.counted().any(|run| run.update_latency.is_some()) {
        notes.push(format!(
            "lookups p50 {} p99 {}, updates p50 {} p99 {}",
            of_kind(|run| run.lookup_latency, 0.5),
            of_kind(|run| run.lookup_latency, 0.99),
            of_kind(|run| run.update_latency, 0.5),
            of_kind(|run| run.update_latency, 0.99),
        ));
    }
    if let Some(messages) = point.median(|run| run.messages_a_second) {
        let age = |quantile| of_kind(|run| run.message_age, quantile);
        let ages = match point.counted().any(|run| run.message_age.is_some_and(|it| it.count > 0)) {
            true => format!(", which were p50 {} p99 {} old", age(0.5), age(0.99)),
            false => String::new(),
        };
        notes.push(format!("subscribers read {} messages/s{ages}", whole(messages)));
    }
    let verified = sum(|run| run.counts.verified);
    if verified > 0 {
        notes.push(format!(
            "{} replies compared, {} wrong",
            grouped(verified),
            grouped(sum(|run| run.counts.mismatches))
        ));
    }
    let unanswered = sum(|run| run.counts.unanswered);
    if unanswered > 0 {
        notes.push(format!(
            "{} requests had no reply in the end, {} of them were never sent",
            grouped(unanswered),
            grouped(sum(|run| run.counts.unsent)),
        ));
    }
}

/// How far the figures can be trusted, and whose they are.
fn trust_notes(point: &Point, notes: &mut Vec<String>) {
    // That is said already, and no more can be.
    if point.is_disturbed() {
        return;
    }
    let counted = || point.counted();
    let behind = counted().any(Repetition::falls_behind).then(|| {
        let median = |figure: fn(&Repetition) -> Option<f64>| {
            point.median(figure).map_or_else(String::new, whole)
        };
        format!(
            "{} requests/s were offered and {} answered",
            median(|run| run.offered_a_second),
            median(|run| Some(run.requests_a_second)),
        )
    });
    if counted().any(|run| run.load_saturated) {
        let busy = counted().map(|run| run.load_busy_share).fold(0.0, f64::max);
        notes.push(format!(
            "the load generator was the bottleneck: its busiest thread was busy for {:.0} % of the time; give it more \
             --threads or another core, and do not take these figures for the server's",
            100.0 * busy
        ));
    }
    let delay = counted().map(|run| run.disturbance.run_delay()).fold(0.0, f64::max);
    if counted().any(|run| run.disturbance.waited_for_a_core()) {
        notes.push(format!(
            "load generator and server had to share cores: a thread of theirs waited for one for {:.0} % of the time, \
             which is part of the latencies; give each its own",
            100.0 * delay
        ));
    }
    match behind {
        Some(behind) if counted().any(Repetition::is_overloaded) => {
            notes.push(format!("overload: {behind}"));
        }
        Some(behind) => {
            notes.push(format!("{behind}, which is not known to be the server's fault"));
        }
        None => {}
    }
}

/// What disturbed a run.
fn why(run: &Repetition) -> String {
    let disturbance = &run.disturbance;
    let delay = match disturbance.run_delay() {
        0.0 => String::new(),
        delay => format!("a thread waited for a core for {:.0} % of the time, ", 100.0 * delay),
    };
    let others =
        disturbance.others_cores.map(|cores| format!("other processes used {cores:.2} cores"));
    let stolen = disturbance.stolen_share.filter(|share| *share >= 0.01);
    let stolen = stolen.map(|share| format!("the host took {:.0} % of all cores", 100.0 * share));
    let causes: Vec<String> = others.into_iter().chain(stolen).collect();
    format!("{delay}{}", causes.join(" and "))
}

fn failure_notes(point: &Point, notes: &mut Vec<String>) {
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
            notes.push(format!("{} {what}, the first: {text}", grouped(count)));
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
    use crate::disturbance::Disturbance;
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
            message_age: None,
            disturbance: Disturbance::default(),
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
            subscribe_with: crate::Carrier::Resp,
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

    fn point(repetitions: Vec<Repetition>) -> Point {
        Point { swept: None, load: load(), repetitions }
    }

    #[test]
    fn a_row_is_the_medians_of_a_point() {
        let runs = [1000, 123_456, 2000].map(|rate| Repetition::new(outcome(rate), &load(), 1));
        let swept = Some(Swept { parameter: "connections".into(), value: 50.0 });
        let point = Point { swept, load: load(), repetitions: runs.to_vec() };
        assert_eq!(
            table(&document(vec![point])),
            "\
connections  requests  requests/s        min … max     mean      p50      p90      p99    p99.9
────────────────────────────────────────────────────────────────────────────────────────────────
         50   126,456       2,000  1,000 … 123,456  50.0 µs  50.0 µs  50.0 µs  50.0 µs  50.0 µs

connections      max  server CPU/request  server cores  own cores  errors
──────────────────────────────────────────────────────────────────────────
         50  50.0 µs             6.50 µs          0.65       0.00       0"
        );
    }

    /// As wide as figures get: an open loop of a sweep with everything that can be measured, disturbed.
    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let mut run = run();
        run.requests = 1_234_567_890;
        run.offered_a_second = Some(123_456_789.4);
        run.requests_a_second = 123_456_789.4;
        run.lookups_a_second = 1_234_567_894.0;
        run.send_delay = Some(run.latency);
        run.latency.max_ns = 3_600_000_000_000;
        run.counts.errors = 1_234_567_890;
        run.disturbed = true;
        let swept = Some(Swept { parameter: "connections".into(), value: 50_000.0 });
        let point = Point { swept, load: load(), repetitions: vec![run; 3] };
        let mut document = document(vec![point]);
        document.parameters.mget = 100;
        let table = table(&document);
        for heading in
            ["offered/s", "min … max", "lookups/s", "p99.9", "sent late p99", "server cores"]
        {
            assert!(table.contains(heading), "{heading}: {table}");
        }
        assert!(table.contains("3 of 3") && table.contains("3,600 s"), "{table}");
        for line in table.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn what_was_not_measured_has_a_dash_and_no_zero() {
        let mut few = Figures::new(0);
        (few.window_end, few.window_ns) = (1_000_000_000, 1_000_000_000);
        few.answered(Kind::Lookup, 0, 50_000, 99);
        let run = |figures| {
            let outcome = Outcome {
                figures,
                server_cpu_ns_per_request: None,
                server_cores: None,
                ..outcome(1)
            };
            Repetition::new(outcome, &load(), 1)
        };
        let of_few = table(&document(vec![point(vec![run(few)])]));
        let cells: Vec<&str> = of_few.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(
            cells,
            ["99", "99", "50.0", "µs", "50.0", "µs", "–", "–", "–", "50.0", "µs", "0.00", "0"],
            "{of_few}"
        );
        let of_none = table(&document(vec![point(vec![run(Figures::new(0))])]));
        let cells: Vec<&str> = of_none.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(cells, ["0", "0", "–", "–", "–", "–", "–", "–", "–", "0"], "{of_none}");
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
        let said = notes(&document(vec![point(vec![run.clone()])]));
        assert_eq!(said[0], "server memory 8.0 MiB");
        assert_eq!(said[1], "7 requests had no reply in the end, 0 of them were never sent");
        assert!(said[2].starts_with(
            "the load generator was the bottleneck: its busiest thread was busy for 97 %"
        ));
        let behind = "2,000 requests/s were offered and 1,000 answered";
        assert_eq!(said[3], format!("{behind}, which is not known to be the server's fault"));
        assert_eq!(said[4], "2 error replies, the first: ERR no");
        run.load_saturated = false;
        let said = notes(&document(vec![point(vec![run.clone()])]));
        assert_eq!(said[2], format!("overload: {behind}"));
        run.disturbance.run_delay_share = Some(0.2);
        let said = notes(&document(vec![point(vec![run])])).join("\n");
        assert!(
            said.contains("had to share cores: a thread of theirs waited for one for 20 %"),
            "{said}"
        );
        assert!(!said.contains("overload"), "{said}");
    }

    #[test]
    fn disturbed_runs_are_marked_and_verdicts_withheld() {
        let quiet = run();
        let mut disturbed = run();
        disturbed.offered_a_second = Some(2000.0);
        disturbed.load_saturated = true;
        disturbed.disturbed = true;
        disturbed.disturbance = Disturbance {
            run_delay_share: Some(0.48),
            server_run_delay_share: Some(0.1),
            others_cores: Some(1.95),
            stolen_share: Some(0.002),
        };
        let why =
            "a thread waited for a core for 48 % of the time, other processes used 1.95 cores";
        let some = document(vec![point(vec![quiet.clone(), disturbed.clone(), quiet])]);
        assert_eq!(notes(&some)[1..], [format!("disturbed: 1 of 3 runs do not count: {why}")],);
        assert!(table(&some).contains("1 of 3"), "{}", table(&some));
        let all = document(vec![point(vec![disturbed.clone(), disturbed.clone()])]);
        let said = notes(&all)[1..].join("\n");
        let begin = format!("disturbed: in each of the 2 runs, at worst {why}; ");
        assert!(said.starts_with(&begin) && said.contains("no verdict on the server"), "{said}");
        assert!(!said.contains("overload") && !said.contains("bottleneck"), "{said}");
        assert!(table(&all).contains("2 of 2"), "{}", table(&all));
        let one = notes(&document(vec![point(vec![disturbed])]))[1].clone();
        assert!(one.starts_with("disturbed: in the run a thread waited"), "{one}");
    }

    /// A sweep on a busy machine once said the same of each of its loads.
    #[test]
    fn of_a_sweep_it_is_said_once_which_loads_were_disturbed() {
        let disturbed = || Repetition { disturbed: true, ..run() };
        let loads = [
            (1.0, vec![disturbed(), disturbed()]),
            (2.0, vec![run(), disturbed()]),
            (3.0, vec![run(), run()]),
            (4.0, vec![disturbed()]),
            (5.0, vec![run(), disturbed(), run()]),
        ];
        let swept = |value| Some(Swept { parameter: "rate".into(), value });
        let point = |(value, repetitions)| Point { swept: swept(value), load: load(), repetitions };
        let said = notes(&document(loads.map(point).into()));
        let of_disturbance: Vec<_> =
            said.iter().filter(|note| note.contains("disturbed: ")).collect();
        assert_eq!(of_disturbance.len(), 2, "{said:?}");
        assert!(of_disturbance[0].starts_with("rate 1, 4: disturbed: in each of the 3 runs, "));
        assert!(of_disturbance[1].starts_with("rate 2, 5: disturbed: 2 of 5 runs do not count: "));
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
