//! Many latencies in little memory.
//!
//! Invariant: count, sum, mean and maximum are exact; percentiles are at most 0.1 % too high.

use std::fmt;

use hdrhistogram::Histogram;
use stockd_model::limits::LOAD_LATENCY_MAX;

/// Latencies in nanoseconds.
#[derive(Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Latencies {
    fn default() -> Latencies {
        let highest = LOAD_LATENCY_MAX.as_nanos() as u64;
        let histogram = Histogram::new_with_bounds(1, highest, 3);
        Latencies {
            histogram: histogram.expect("an hour with 3 digits is possible"),
            sum_ns: 0,
            max_ns: 0,
        }
    }
}

impl Latencies {
    /// Adds the same latency several times.
    #[inline]
    pub fn record(&mut self, ns: u64, count: u64) {
        self.histogram.saturating_record_n(ns, count);
        self.sum_ns += u128::from(ns) * u128::from(count);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Latencies) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The mean, 0 of none.
    pub fn mean_ns(&self) -> f64 {
        if self.count() == 0 { 0.0 } else { self.sum_ns as f64 / self.count() as f64 }
    }

    /// The highest, 0 of none.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The latency that so many of all do not exceed, where 0.99 is the 99th percentile.
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        match quantile {
            1.0.. => self.max_ns,
            _ => self.histogram.value_at_quantile(quantile).min(self.max_ns),
        }
    }

    /// How many are at most so long.
    pub fn count_up_to(&self, ns: u64) -> u64 {
        if ns >= self.max_ns {
            return self.count();
        }
        self.histogram.count_between(0, ns)
    }

    /// The standard deviation, from the histogram.
    pub fn deviation_ns(&self) -> f64 {
        self.histogram.stdev()
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} latencies up to {} ns", self.count(), self.max_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_extremes_are_exact_and_percentiles_close() {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|n| latencies.record(n * 1_000_003, 2));
        assert_eq!((latencies.count(), latencies.max_ns()), (2000, 1_000_003_000));
        assert_eq!(latencies.mean_ns(), 500.5 * 1_000_003.0);
        let p99 = latencies.quantile_ns(0.99) as f64;
        assert!((990.0 * 1_000_003.0..991.0 * 1_000_003.0).contains(&p99), "{p99}");
        assert_eq!(latencies.quantile_ns(1.0), 1_000_003_000);
    }

    #[test]
    fn more_than_an_hour_is_kept_as_maximum() {
        let mut latencies = Latencies::default();
        latencies.record(u64::MAX, 1);
        assert_eq!((latencies.count(), latencies.max_ns()), (1, u64::MAX));
    }
}
