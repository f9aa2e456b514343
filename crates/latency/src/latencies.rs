//! Many latencies in little memory.
//!
//! Invariant: count, sum, mean and maximum are exact. Percentiles are exact up to
//! [`EXACT_LATENCIES_MAX`] latencies, and beyond that at most 0.1 % too high.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use stockd_model::limits::{EXACT_LATENCIES_MAX, LATENCY_MAX, PERCENTILE_LATENCIES_BEYOND_MIN};

/// Latencies in nanoseconds.
#[derive(Clone, Default)]
pub struct Latencies {
    count: u64,
    sum_ns: u128,
    max_ns: u64,
    samples: Samples,
}

#[derive(Clone)]
enum Samples {
    /// Each as it came, at most [`EXACT_LATENCIES_MAX`].
    Few(Vec<u64>),
    Many(Histogram<u64>),
}

impl Default for Samples {
    fn default() -> Samples {
        Samples::Few(Vec::new())
    }
}

const HIGHEST_NS: u64 = LATENCY_MAX.as_nanos() as u64;

/// Digits of a latency that a histogram tells apart.
const DIGITS: u8 = 3;

impl Latencies {
    /// No latencies, and all the memory that any number of them takes.
    pub fn preallocated() -> Latencies {
        let histogram = Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS);
        let samples = Samples::Many(histogram.expect("an hour with 3 digits is possible"));
        Latencies { samples, ..Latencies::default() }
    }

    /// Adds the same latency several times.
    #[inline]
    pub fn record(&mut self, ns: u64, count: u64) {
        self.count += count;
        self.sum_ns += u128::from(ns) * u128::from(count);
        self.max_ns = self.max_ns.max(ns);
        match &mut self.samples {
            Samples::Many(histogram) => record(histogram, ns, count),
            Samples::Few(few) if self.count <= EXACT_LATENCIES_MAX as u64 => {
                few.extend(std::iter::repeat_n(ns, count as usize));
            }
            Samples::Few(_) => record(self.histogram(), ns, count),
        }
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Latencies) {
        match &other.samples {
            Samples::Few(few) => few.iter().for_each(|ns| self.record(*ns, 1)),
            Samples::Many(many) => {
                self.histogram().add(many).expect("no latency is above the bound of all");
                self.count += other.count;
                self.sum_ns += other.sum_ns;
                self.max_ns = self.max_ns.max(other.max_ns);
            }
        }
    }

    /// The histogram, which takes over the few samples that were kept one by one.
    fn histogram(&mut self) -> &mut Histogram<u64> {
        if let Samples::Few(few) = &mut self.samples {
            // It grows with its highest value, so that many of them are small.
            let mut histogram = Histogram::new(DIGITS).expect("3 digits are possible");
            few.iter().for_each(|ns| record(&mut histogram, *ns, 1));
            self.samples = Samples::Many(histogram);
        }
        match &mut self.samples {
            Samples::Many(histogram) => histogram,
            Samples::Few(_) => unreachable!("they were taken over above"),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All together; more than 584 years are as good as 584 years.
    pub fn sum_ns(&self) -> u64 {
        u64::try_from(self.sum_ns).unwrap_or(u64::MAX)
    }

    /// The mean, 0 of none.
    pub fn mean_ns(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_ns as f64 / self.count as f64 }
    }

    /// The highest, 0 of none.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The least latency that this share of all does not exceed, by the nearest rank: 0.99 is the 99th
    /// percentile. 0 of none.
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        let [ns] = self.quantiles_ns([quantile]);
        ns
    }

    /// Several quantiles at once.
    pub fn quantiles_ns<const N: usize>(&self, quantiles: [f64; N]) -> [u64; N] {
        let rank = |quantile: f64| {
            // A little less, so that no rounding of floats leads to the next rank.
            let rank = (quantile * self.count as f64 * (1.0 - 1e-12)).ceil();
            rank.clamp(1.0, self.count as f64)
        };
        match &self.samples {
            _ if self.count == 0 => [0; N],
            Samples::Few(few) => {
                let mut sorted = few.clone();
                sorted.sort_unstable();
                quantiles.map(|quantile| sorted[rank(quantile) as usize - 1])
            }
            Samples::Many(_) if self.count == 1 => [self.max_ns; N],
            Samples::Many(many) => quantiles.map(|quantile| match quantile {
                1.0.. => self.max_ns,
                // Half a rank less, for the same reason.
                _ => {
                    let quantile = (rank(quantile) - 0.5) / self.count as f64;
                    many.value_at_quantile(quantile).min(self.max_ns)
                }
            }),
        }
    }

    /// How many are at most this long.
    pub fn count_up_to(&self, ns: u64) -> u64 {
        match &self.samples {
            _ if ns >= self.max_ns => self.count,
            Samples::Few(few) => few.iter().filter(|sample| **sample <= ns).count() as u64,
            Samples::Many(many) => many.count_between(0, ns),
        }
    }

    /// The standard deviation, as exact as percentiles are.
    pub fn deviation_ns(&self) -> f64 {
        match &self.samples {
            _ if self.count == 0 => 0.0,
            Samples::Few(few) => {
                let mean = self.mean_ns();
                let squares = few.iter().map(|ns| (*ns as f64 - mean).powi(2));
                (squares.sum::<f64>() / self.count as f64).sqrt()
            }
            Samples::Many(many) => many.stdev(),
        }
    }
}

/// Counts in a histogram; what is beyond its bound counts as the bound.
#[inline]
fn record(histogram: &mut Histogram<u64>, ns: u64, count: u64) {
    let recorded = histogram.record_n(ns.min(HIGHEST_NS), count);
    recorded.expect("a histogram has a place for every value up to the bound");
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} latencies up to {} ns", self.count, self.max_ns)
    }
}

/// A latency in whole nanoseconds; more than 584 years are as good as 584 years.
pub fn nanoseconds(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether this number of latencies is enough for a quantile: at least
/// [`PERCENTILE_LATENCIES_BEYOND_MIN`] of them lie beyond it. A median takes 20, a 99th percentile 1,000.
pub fn tells_quantile(count: u64, quantile: f64) -> bool {
    // A little more, so that no rounding of floats takes one away.
    count as f64 * (1.0 - quantile) >= PERCENTILE_LATENCIES_BEYOND_MIN as f64 - 1e-6
}

/// The median of figures that were measured again and again: the middle one, and of an even number the
/// lower of the two in the middle, so that it is always one that was measured. `None` of none.
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_percentile_takes_ten_latencies_beyond_it() {
        for (quantile, enough) in [(0.5, 20), (0.9, 100), (0.99, 1000), (0.999, 10_000)] {
            assert!(tells_quantile(enough, quantile), "{quantile}");
            assert!(!tells_quantile(enough - 1, quantile), "{quantile}");
        }
    }

    #[test]
    fn a_median_was_measured() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![9.0]), Some(9.0));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn more_than_an_hour_is_kept_as_maximum() {
        for mut latencies in [Latencies::default(), Latencies::preallocated()] {
            latencies.record(u64::MAX, 5000);
            assert_eq!((latencies.count(), latencies.max_ns()), (5000, u64::MAX));
            assert_eq!(latencies.sum_ns(), u64::MAX);
            assert!(latencies.quantile_ns(0.5) >= HIGHEST_NS);
        }
    }

    #[test]
    fn of_none_all_is_zero() {
        for latencies in [Latencies::default(), Latencies::preallocated()] {
            assert_eq!(latencies.quantiles_ns([0.5, 1.0]), [0, 0]);
            assert_eq!((latencies.mean_ns(), latencies.deviation_ns()), (0.0, 0.0));
            assert_eq!((latencies.max_ns(), latencies.count_up_to(1)), (0, 0));
        }
    }

    const PER_MILLE: [usize; 6] = [0, 500, 900, 990, 999, 1000];

    proptest! {
        /// The oracle sorts all samples and counts off the nearest rank.
        #[test]
        fn figures_agree_with_sorting(
            samples in proptest::collection::vec(0..10_000_000_000_u64, 1..300),
            repeats in 1..40_usize,
            parts in 1..4_usize,
            preallocated in any::<bool>(),
        ) {
            let mut latencies = match preallocated {
                true => Latencies::preallocated(),
                false => Latencies::default(),
            };
            let mut sorted = samples.repeat(repeats);
            for part in samples.chunks(samples.len().div_ceil(parts)) {
                let mut of_part = Latencies::default();
                part.iter().for_each(|&ns| of_part.record(ns, repeats as u64));
                latencies.add(&of_part);
            }
            sorted.sort_unstable();
            let is_exact = !preallocated && sorted.len() <= EXACT_LATENCIES_MAX;

            prop_assert_eq!(latencies.count(), sorted.len() as u64);
            prop_assert_eq!(latencies.sum_ns(), sorted.iter().sum::<u64>());
            prop_assert_eq!(Some(&latencies.max_ns()), sorted.last());
            let quantiles = latencies.quantiles_ns(PER_MILLE.map(|share| share as f64 / 1000.0));
            for (quantile, per_mille) in quantiles.into_iter().zip(PER_MILLE) {
                let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
                let exact = sorted[rank - 1];
                let error = if is_exact { 0 } else { exact / 1000 + 1 };
                prop_assert!(
                    (exact..=exact + error).contains(&quantile),
                    "p{} of {} is {}, not {}", per_mille, sorted.len(), quantile, exact
                );
                let up_to = sorted.partition_point(|ns| *ns <= quantile) as u64;
                prop_assert!(latencies.count_up_to(quantile) >= up_to);
            }
            let mean = latencies.mean_ns();
            let squares = sorted.iter().map(|ns| (*ns as f64 - mean).powi(2)).sum::<f64>();
            let deviation = (squares / sorted.len() as f64).sqrt();
            prop_assert!((latencies.deviation_ns() - deviation).abs() <= 1.0 + mean / 500.0);
        }
    }
}
