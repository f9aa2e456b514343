//! The report of runs as one JSON document; docs/load.md describes it field by field.
//!
//! Invariant: within one value of [`SCHEMA`] fields are only added, never changed or removed.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use stockd_latency::Latencies;

use crate::counts::Counts;
use crate::process::Machine;
use crate::run::{Load, Outcome};

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
    /// `line`, `resp`, `memcached` or `memcached-meta`.
    pub protocol: crate::codec::Protocol,
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
    /// Every run, in order.
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
        }
    }

    /// Whether every request was answered as it should be.
    pub fn is_clean(&self) -> bool {
        self.counts.failures() == 0
    }

    /// Whether the server answered fewer requests than an open loop offered.
    pub fn is_overloaded(&self) -> bool {
        self.offered_a_second.is_some_and(|offered| self.requests_a_second < 0.98 * offered)
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
    /// The median over the repetitions of a figure.
    pub fn median(&self, figure: impl Fn(&Repetition) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.repetitions.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        match figures.len() {
            0 => 0.0,
            count if count % 2 == 1 => figures[count / 2],
            count => f64::midpoint(figures[count / 2 - 1], figures[count / 2]),
        }
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
}
