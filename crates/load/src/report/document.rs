//! The report of runs as one JSON document; docs/load.md describes it field by field.
//!
//! Invariant: within one value of [`SCHEMA`] fields are only added, never changed or removed.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use stockd_latency::{Latencies, median, tells_quantile};

use crate::codec::Protocol;
use crate::counts::Counts;
use crate::disturbance::Disturbance;
use crate::process::Machine;
use crate::run::{Load, Outcome};
use crate::subscribers::Carrier;

/// What `schema` says in documents of this form.
pub const SCHEMA: &str = "stockd-load/1";

/// One command and all that it measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// The label of the runs in tables and plots.
    pub label: String,
    /// When they began, Unix time in seconds.
    pub began_unix_seconds: u64,
    /// The version of the load generator.
    pub version: String,
    /// The machine of the load generator.
    pub machine: Machine,
    /// The command line, word by word.
    pub command: Vec<String>,
    /// What all runs have in common.
    pub parameters: Parameters,
    /// One for each value of the sweep, or one.
    pub points: Vec<Point>,
}

/// What all runs of a document have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parameters {
    /// Address of the server.
    pub server: String,
    /// `line`, `resp`, `memcached`, `memcached-meta`, `http`, `http2`, `websocket` or `grpc`.
    pub protocol: Protocol,
    /// Names that are asked for.
    pub stocks: usize,
    /// Exponent of Zipf's law; uniform without.
    pub zipf: Option<f64>,
    /// Share of lookups of unknown names.
    pub misses_percent: f64,
    /// Names of one lookup.
    pub mget: usize,
    /// Share of writes.
    pub updates_percent: f64,
    /// Subscribers beside the load.
    pub subscribers: usize,
    /// What carries their messages: `resp`, `sse`, `websocket` or `grpc`.
    #[serde(default)]
    pub subscribe_with: Carrier,
    /// Seconds before the window.
    pub warmup_seconds: f64,
    /// Seconds of the window, where it ends by time.
    pub duration_seconds: Option<f64>,
    /// Requests of the window, where it ends by their number.
    pub requests: Option<u64>,
    /// The seed of names and arrivals.
    pub seed: u64,
    /// Whether replies were compared.
    pub verify: bool,
    /// Whether the load generator polled instead of sleeping.
    pub spin: bool,
    /// The server's process, where it was watched.
    pub pid: Option<u32>,
}

/// The runs of one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    /// The value of the sweep, where there is one.
    pub swept: Option<Swept>,
    /// Connections, pipeline, threads, rate, arrivals.
    pub load: Load,
    /// Every run, in order; those that were disturbed, too.
    pub repetitions: Vec<Repetition>,
}

/// The parameter that a sweep changes, and its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Swept {
    /// `connections`, `pipeline`, `threads` or `rate`.
    pub parameter: String,
    /// Its value.
    pub value: f64,
}

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Repetition {
    /// Length of the window.
    pub window_seconds: f64,
    /// Requests of the window, with and without a reply.
    pub requests: u64,
    /// Requests answered within the window, a second.
    pub requests_a_second: f64,
    /// Names looked up and answered, a second; an `MGET` has several.
    pub lookups_a_second: f64,
    /// Requests due in the window, a second. Open loop alone.
    pub offered_a_second: Option<f64>,
    /// The outcomes of the requests.
    #[serde(flatten)]
    pub counts: Counts,
    /// Of all requests.
    pub latency: LatencyFigures,
    /// Of lookups alone, where there are writes, too.
    pub lookup_latency: Option<LatencyFigures>,
    /// Of writes alone, where there are some.
    pub update_latency: Option<LatencyFigures>,
    /// From due to sent: the load generator's own part of the latency. Open loop alone.
    pub send_delay: Option<LatencyFigures>,
    /// The curve of percentiles over all requests.
    pub percentiles: Vec<Percentile>,
    /// CPU time of the server for each request.
    pub server_cpu_ns_per_request: Option<f64>,
    /// The same for each name looked up.
    pub server_cpu_ns_per_lookup: Option<f64>,
    /// Cores that the server used.
    pub server_cores: Option<f64>,
    /// Resident memory of the server at the end.
    pub server_memory_bytes: Option<u64>,
    /// Cores that the load generator used.
    pub load_cores: f64,
    /// The part of the window in which its busiest thread did not wait.
    pub load_busy_share: f64,
    /// Whether the load generator was the bottleneck.
    pub load_saturated: bool,
    /// Messages that subscribers read, a second.
    pub messages_a_second: Option<f64>,
    /// How old what changed in the window was when a subscriber read it.
    #[serde(default)]
    pub message_age: Option<LatencyFigures>,
    /// What came between the run and the processor.
    #[serde(flatten)]
    pub disturbance: Disturbance,
    /// Whether others held it up, so that it says little of the server.
    #[serde(default)]
    pub disturbed: bool,
}

/// Latencies in few numbers; all 0 where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyFigures {
    /// How many.
    pub count: u64,
    /// The mean, exact.
    pub mean_ns: f64,
    /// The standard deviation.
    pub deviation_ns: f64,
    /// The median; percentiles are at most 0.1 % too high.
    pub p50_ns: u64,
    /// 90 %.
    pub p90_ns: u64,
    /// 99 %.
    pub p99_ns: u64,
    /// 99.9 %.
    pub p999_ns: u64,
    /// 99.99 %.
    pub p9999_ns: u64,
    /// The highest, exact.
    pub max_ns: u64,
}

/// One point of the curve of percentiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    /// As a share: 0.99 is the 99th percentile.
    pub quantile: f64,
    /// The latency that this share does not exceed.
    pub latency_ns: u64,
    /// The number of requests up to this latency.
    pub count: u64,
}

/// From this busy share on, the load generator itself was at its limit.
const SATURATED_SHARE: f64 = 0.9;

impl Repetition {
    /// The figures of one run.
    pub fn new(outcome: Outcome, load: &Load, mget: usize) -> Repetition {
        let Outcome { figures, server_cpu_ns_per_request, .. } = outcome;
        let window_seconds = figures.window_ns as f64 / 1e9;
        let a_second = |count: u64| match window_seconds > 0.0 {
            true => count as f64 / window_seconds,
            false => 0.0,
        };
        let mut all = figures.lookups.clone();
        all.add(&figures.updates);
        let answered = all.count() - figures.counts.unanswered;
        let lookups_per_request = match answered {
            0 => 0.0,
            _ => (figures.counts.hits + figures.counts.misses) as f64 / answered as f64,
        };
        let requests_a_second = a_second(figures.answered_in_window);
        let is_open = load.rate.is_some();
        let mixed = figures.updates.count() > 0;
        Repetition {
            window_seconds,
            requests: all.count(),
            requests_a_second,
            lookups_a_second: requests_a_second * lookups_per_request,
            offered_a_second: is_open.then(|| a_second(figures.offered)),
            counts: figures.counts,
            latency: LatencyFigures::of(&all),
            lookup_latency: mixed.then(|| LatencyFigures::of(&figures.lookups)),
            update_latency: mixed.then(|| LatencyFigures::of(&figures.updates)),
            send_delay: is_open.then(|| LatencyFigures::of(&figures.late)),
            percentiles: percentiles(&all),
            server_cpu_ns_per_request,
            server_cpu_ns_per_lookup: server_cpu_ns_per_request
                .filter(|_| !mixed)
                .map(|ns| ns / mget as f64),
            server_cores: outcome.server_cores,
            server_memory_bytes: outcome.server_memory_bytes,
            load_cores: match figures.window_ns {
                0 => 0.0,
                window => figures.cpu_ns as f64 / window as f64,
            },
            load_busy_share: figures.busy_share,
            load_saturated: figures.busy_share > SATURATED_SHARE,
            messages_a_second: outcome.messages_a_second,
            message_age: outcome.message_age.map(|ages| LatencyFigures::of(&ages)),
            disturbance: outcome.disturbance,
            disturbed: outcome.disturbance.is_by_others(),
        }
    }

    /// Whether every request was answered as it should be.
    pub fn is_clean(&self) -> bool {
        self.counts.failures() == 0
    }

    /// Whether fewer requests were answered than an open loop offered.
    pub fn falls_behind(&self) -> bool {
        self.offered_a_second.is_some_and(|offered| self.requests_a_second < 0.98 * offered)
    }

    /// Whether fewer were answered because of the server: nothing else is seen that held the run up.
    pub fn is_overloaded(&self) -> bool {
        let held_up = self.disturbed || self.load_saturated || self.disturbance.waited_for_a_core();
        self.falls_behind() && !held_up
    }
}

impl LatencyFigures {
    /// These latencies in few numbers.
    pub fn of(latencies: &Latencies) -> LatencyFigures {
        let [p50_ns, p90_ns, p99_ns, p999_ns, p9999_ns] =
            latencies.quantiles_ns([0.5, 0.9, 0.99, 0.999, 0.9999]);
        LatencyFigures {
            count: latencies.count(),
            mean_ns: latencies.mean_ns(),
            deviation_ns: latencies.deviation_ns(),
            p50_ns,
            p90_ns,
            p99_ns,
            p999_ns,
            p9999_ns,
            max_ns: latencies.max_ns(),
        }
    }

    /// The percentiles by their quantiles, as far as there were requests enough for them.
    pub fn quantiles(&self) -> impl Iterator<Item = (f64, u64)> {
        let quantiles = [
            (0.5, self.p50_ns),
            (0.9, self.p90_ns),
            (0.99, self.p99_ns),
            (0.999, self.p999_ns),
            (0.9999, self.p9999_ns),
        ];
        let count = self.count;
        quantiles.into_iter().filter(move |(quantile, _)| tells_quantile(count, *quantile))
    }

    /// One of the percentiles; `None` where there were too few requests for it.
    pub fn quantile_ns(&self, quantile: f64) -> Option<f64> {
        let mut quantiles = self.quantiles();
        quantiles.find_map(|(at, ns)| (at == quantile).then_some(ns as f64))
    }
}

/// Steps of the curve for each halving of the distance to 100 %, as in HdrHistogram's files.
const STEPS_PER_HALVING: u32 = 5;

/// The curve of percentiles, ever finer towards 100 %, which is the last.
fn percentiles(latencies: &Latencies) -> Vec<Percentile> {
    let point = |quantile| {
        let latency_ns = latencies.quantile_ns(quantile);
        Percentile { quantile, latency_ns, count: latencies.count_up_to(latency_ns) }
    };
    let mut curve = Vec::new();
    if latencies.count() == 0 {
        return curve;
    }
    for halving in 0..64 {
        let left = 0.5_f64.powi(halving);
        // A finer step than one sample shows nothing new.
        if left * (latencies.count() as f64) < 1.0 {
            break;
        }
        let steps = (0..STEPS_PER_HALVING)
            .map(|step| 1.0 - left * (1.0 - f64::from(step) / f64::from(2 * STEPS_PER_HALVING)));
        curve.extend(steps.map(point));
    }
    curve.push(point(1.0));
    curve
}

impl Point {
    /// The runs that figures are taken from: those that were not disturbed, or all where every one was.
    pub fn counted(&self) -> impl Iterator<Item = &Repetition> + Clone {
        let all = self.is_disturbed();
        self.repetitions.iter().filter(move |run| all || !run.disturbed)
    }

    /// Whether there is no run that says something of the server.
    pub fn is_disturbed(&self) -> bool {
        self.repetitions.iter().all(|run| run.disturbed)
    }

    /// The one median of this report: that of [`stockd_latency::median`] over the runs that count. `None`
    /// where no run has this figure. Tables, charts, pages and assertions take theirs from here.
    pub fn median(&self, figure: impl Fn(&Repetition) -> Option<f64>) -> Option<f64> {
        median(self.counted().filter_map(figure).collect())
    }

    /// The lowest and the highest of a figure over the runs that count, where there are several.
    pub fn range(&self, figure: impl Fn(&Repetition) -> Option<f64>) -> Option<(f64, f64)> {
        let mut figures = self.counted().filter_map(figure);
        let first = figures.next()?;
        let second = figures.next()?;
        let range = (first.min(second), first.max(second));
        Some(figures.fold(range, |(low, high), figure| (low.min(figure), high.max(figure))))
    }

    /// The highest maximum of all runs that count; `None` where no request was counted.
    pub fn max_ns(&self) -> Option<f64> {
        let measured = self.counted().filter(|run| run.latency.count > 0);
        measured.map(|run| run.latency.max_ns as f64).reduce(f64::max)
    }

    /// The curve of percentiles: at each share the median over the runs that count, so that it goes through
    /// the percentiles of the table; and at its end, as there, the highest of all.
    pub fn curve(&self) -> Vec<CurvePoint> {
        let runs: Vec<&Repetition> = self.counted().collect();
        // Curves of more requests go on where others have ended; until there they have the same steps.
        let shortest = runs.iter().min_by_key(|run| run.percentiles.len());
        let steps = shortest.into_iter().flat_map(|run| &run.percentiles);
        let named = shortest.into_iter().flat_map(|run| run.latency.quantiles());
        let quantiles =
            steps.map(|point| point.quantile).chain(named.map(|(quantile, _)| quantile));
        let mut quantiles: Vec<f64> = quantiles.filter(|quantile| *quantile < 1.0).collect();
        quantiles.sort_by(f64::total_cmp);
        quantiles.dedup();
        let mut curve: Vec<CurvePoint> =
            quantiles.into_iter().filter_map(|quantile| CurvePoint::of(&runs, quantile)).collect();
        if let (Some(last), Some((low, high))) = (curve.last(), runs.iter().fold(None, ends)) {
            let share = last
                .share_left
                .min(1.0 / shortest.map_or(1.0, |run| run.latency.count as f64) / 2.0);
            curve.push(CurvePoint { share_left: share, low, median: high, high });
        }
        curve
    }
}

/// The lowest and the highest maximum.
fn ends(ends: Option<(f64, f64)>, run: &&Repetition) -> Option<(f64, f64)> {
    let max = run.latency.max_ns as f64;
    let (low, high) = ends.unwrap_or((max, max));
    Some((low.min(max), high.max(max)))
}

/// A point of the curve of percentiles over several runs, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// The share of requests that were slower: 0.01 is the 99th percentile. Above 0.
    pub share_left: f64,
    /// The lowest of all runs.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The highest.
    pub high: f64,
}

impl CurvePoint {
    fn of(runs: &[&Repetition], quantile: f64) -> Option<CurvePoint> {
        let of_run = |run: &&Repetition| {
            let step = run.percentiles.iter().find(|point| point.quantile == quantile);
            let step = step.map(|point| point.latency_ns as f64);
            run.latency.quantile_ns(quantile).or(step)
        };
        let latencies: Vec<f64> = runs.iter().filter_map(of_run).collect();
        Some(CurvePoint {
            share_left: 1.0 - quantile,
            low: latencies.iter().copied().reduce(f64::min)?,
            high: latencies.iter().copied().reduce(f64::max)?,
            median: median(latencies)?,
        })
    }
}

impl Document {
    /// A document of no runs yet.
    pub fn new(label: String, command: Vec<String>, parameters: Parameters) -> Document {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Document {
            schema: SCHEMA.to_owned(),
            label,
            began_unix_seconds: now.as_secs(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: Machine::this(),
            command,
            parameters,
            points: Vec::new(),
        }
    }

    /// What runs are called that were given no label.
    pub fn default_label(protocol: Protocol, server: &str) -> String {
        format!("{protocol} {server}")
    }

    /// The label, if one was given.
    pub fn own_label(&self) -> Option<&str> {
        let Parameters { protocol, server, .. } = &self.parameters;
        let label = Document::default_label(*protocol, server);
        (self.label != label).then_some(&self.label)
    }

    /// Reads a document that was kept.
    ///
    /// # Errors
    ///
    /// When the text is no document of this schema.
    pub fn parse(text: &str) -> Result<Document, String> {
        let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match document.schema == SCHEMA {
            true => Ok(document),
            false => Err(format!("its schema is '{}', not '{SCHEMA}'", document.schema)),
        }
    }

    /// All runs of all points.
    pub fn repetitions(&self) -> impl Iterator<Item = &Repetition> {
        self.points.iter().flat_map(|point| &point.repetitions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_rises_to_the_maximum_and_ends_where_samples_do() {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|ns| latencies.record(ns * 1000, 1));
        let curve = percentiles(&latencies);
        assert_eq!(curve[0].quantile, 0.0);
        assert!(curve.is_sorted_by(|one, other| one.latency_ns <= other.latency_ns));
        assert!(curve.is_sorted_by(|one, other| one.quantile < other.quantile));
        let last = curve.last().unwrap();
        assert_eq!((last.quantile, last.latency_ns, last.count), (1.0, 1_000_000, 1000));
        assert_eq!(curve.len(), 51);
        assert!(percentiles(&Latencies::default()).is_empty());
    }

    /// A run whose requests took from 1 to 1,000 times this.
    fn run_of(ns: u64, disturbed: bool) -> Repetition {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|times| latencies.record(times * ns, 1));
        Repetition {
            latency: LatencyFigures::of(&latencies),
            percentiles: percentiles(&latencies),
            disturbed,
            ..crate::report::table::tests::run()
        }
    }

    fn point_of(repetitions: Vec<Repetition>) -> Point {
        Point { swept: None, load: crate::report::table::tests::load(), repetitions }
    }

    #[test]
    fn the_curve_goes_through_the_medians() {
        for runs in 1..=6 {
            let point = point_of((1..=runs).map(|run| run_of(run * 100, false)).collect());
            let curve = point.curve();
            for (quantile, _) in run_of(1, false).latency.quantiles() {
                let at = curve.iter().find(|at| at.share_left == 1.0 - quantile).unwrap();
                let figure = |run: &Repetition| run.latency.quantile_ns(quantile);
                assert_eq!(Some(at.median), point.median(figure), "{quantile} of {runs}");
                let range = (runs > 1).then_some((at.low, at.high));
                assert_eq!(range, point.range(figure));
            }
            let last = curve.last().unwrap();
            assert_eq!((last.low, last.high), (100_000.0, runs as f64 * 100_000.0));
            assert!(curve.is_sorted_by(|one, other| one.share_left > other.share_left));
            assert!(curve.is_sorted_by(|one, other| one.median <= other.median));
        }
    }

    #[test]
    fn disturbed_runs_count_where_there_are_no_others() {
        let p50 = |run: &Repetition| run.latency.quantile_ns(0.5);
        let mixed = point_of(vec![run_of(900, true), run_of(1, false), run_of(2, false)]);
        assert_eq!((mixed.median(p50), mixed.is_disturbed()), (Some(500.0), false));
        let disturbed = point_of(vec![run_of(1, true), run_of(2, true), run_of(3, true)]);
        assert_eq!((disturbed.median(p50), disturbed.is_disturbed()), (Some(1000.0), true));
        assert_eq!(point_of(vec![run_of(1, false)]).median(|_| None), None);
    }

    #[test]
    fn only_the_server_is_overloaded() {
        let mut run = Repetition {
            offered_a_second: Some(1000.0),
            requests_a_second: 900.0,
            load_saturated: false,
            ..run_of(1, false)
        };
        assert!(run.falls_behind() && run.is_overloaded());
        run.disturbance.run_delay_share = Some(0.3);
        assert!(run.falls_behind() && !run.is_overloaded());
        run.disturbance.run_delay_share = None;
        for (disturbed, load_saturated) in [(true, false), (false, true)] {
            let held_up = Repetition { disturbed, load_saturated, ..run.clone() };
            assert!(held_up.falls_behind() && !held_up.is_overloaded());
        }
        run.requests_a_second = 999.0;
        assert!(!run.falls_behind());
    }
}
