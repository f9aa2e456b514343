//! How long requests of this plane take until their response begins: for each protocol a histogram of few buckets, for
//! metrics, and one of many, for percentiles.
//!
//! It knows no clock and no requests. Invariant: what is counted is in exactly one bucket of each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stockd_server::{TIME_BUCKETS, longest_ns, time_bucket};

/// The upper bounds of the buckets, in microseconds; a last one has the rest.
pub(crate) const BOUNDS_US: [u64; 10] =
    [50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 1_000_000, 10_000_000];

/// One for each protocol: HTTP, gRPC.
#[derive(Debug, Default)]
pub(crate) struct Latencies([Histogram; 2]);

/// Requests by how long they took.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
    fine: [AtomicU64; TIME_BUCKETS],
}

impl Default for Histogram {
    fn default() -> Histogram {
        let fine = std::array::from_fn(|_| AtomicU64::default());
        Histogram { buckets: Default::default(), sum_ns: AtomicU64::default(), fine }
    }
}

/// What a histogram has at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    /// Requests in each bucket and all before it.
    pub(crate) cumulative: Vec<u64>,
    pub(crate) sum_seconds: f64,
}

impl Counted {
    /// What is in the buckets of [`longest_ns`], each of which is counted as long as its longest time.
    pub(crate) fn of_fine(buckets: &[u64], sum_ns: u64) -> Counted {
        let within = |bound_us: u64| {
            let counts = buckets.iter().enumerate();
            let counts = counts.filter(|(bucket, _)| longest_ns(*bucket) / 1000 <= bound_us);
            counts.map(|(_, count)| count).sum()
        };
        let cumulative = BOUNDS_US.into_iter().chain([u64::MAX]).map(within).collect();
        Counted { cumulative, sum_seconds: sum_ns as f64 / 1e9 }
    }
}

impl Latencies {
    /// Notes a request. Streams, health and metrics are none whose latency means something.
    pub(crate) fn note(&self, is_grpc: bool, route: &str, latency: Duration) {
        let counts = is_grpc || (route.starts_with("/v1/") && route != "/v1/stream");
        if counts {
            self.0[usize::from(is_grpc)].note(latency);
        }
    }

    /// The histograms by the name of their protocol.
    pub(crate) fn counted(&self) -> [(&'static str, Counted); 2] {
        [("http", self.0[0].counted()), ("grpc", self.0[1].counted())]
    }

    /// Requests in each bucket of [`stockd_server::longest_ns`], by the name of their protocol.
    pub(crate) fn fine(&self) -> [(&'static str, Vec<u64>); 2] {
        let of = |at: usize| self.0[at].fine.iter().map(|it| it.load(Ordering::Relaxed)).collect();
        [("http", of(0)), ("grpc", of(1))]
    }
}

impl Histogram {
    fn note(&self, latency: Duration) {
        let us = latency.as_micros();
        let bucket = BOUNDS_US.iter().position(|bound| us <= u128::from(*bound));
        if let Some(count) = self.buckets.get(bucket.unwrap_or(BOUNDS_US.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        if let Some(count) = self.fine.get(time_bucket(ns)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted(&self) -> Counted {
        let mut sum = 0;
        let add = |bucket: &AtomicU64| {
            sum += bucket.load(Ordering::Relaxed);
            sum
        };
        let cumulative = self.buckets.iter().map(add).collect();
        Counted { cumulative, sum_seconds: self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_in_the_first_bucket_that_holds_it_and_in_all_behind() {
        let latencies = Latencies::default();
        latencies.note(false, "/v1/stocks/{symbol}", Duration::from_micros(50));
        latencies.note(false, "/v1/stocks/{symbol}", Duration::from_micros(51));
        latencies.note(false, "/v1/stocks/{symbol}", Duration::from_secs(60));
        latencies.note(false, "/v1/stream", Duration::from_secs(60));
        latencies.note(true, "", Duration::ZERO);
        let [(_, http), (_, grpc)] = latencies.counted();
        assert_eq!(http.cumulative, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3]);
        assert_eq!(grpc.cumulative.last(), Some(&1));
        assert!(http.sum_seconds > 60.0);
        let [(_, http), (_, grpc)] = latencies.fine();
        assert_eq!((http.iter().sum::<u64>(), grpc.iter().sum::<u64>()), (3, 1));
        assert_eq!(http[time_bucket(51_000)], 2, "the first two share a bucket");
        let of_fine = Counted::of_fine(&http, 60_000_000_000);
        assert_eq!(of_fine.cumulative, [0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3], "at most 1/16 too long");
    }
}
