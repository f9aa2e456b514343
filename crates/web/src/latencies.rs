//! How long requests of this plane take until their response begins, as a histogram of few buckets for each
//! protocol and kind.
//!
//! It knows no clock and no requests. Invariant: what is counted is in exactly one bucket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in microseconds; a last one has the rest.
pub(crate) const BOUNDS_US: [u64; 10] =
    [50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 1_000_000, 10_000_000];

/// One for each protocol: HTTP, gRPC.
#[derive(Debug, Default)]
pub(crate) struct Latencies([Histogram; 2]);

/// Requests by how long they took.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

/// What a histogram has at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    /// Requests in each bucket and all before it.
    pub(crate) cumulative: Vec<u64>,
    pub(crate) sum_seconds: f64,
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
}

impl Histogram {
    fn note(&self, latency: Duration) {
        let us = latency.as_micros();
        let bucket = BOUNDS_US.iter().position(|bound| us <= u128::from(*bound));
        if let Some(count) = self.buckets.get(bucket.unwrap_or(BOUNDS_US.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_ns.fetch_add(latency.as_nanos() as u64, Ordering::Relaxed);
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
    }
}
