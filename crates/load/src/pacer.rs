//! When the requests of an open loop are due.
//!
//! The schedule depends on the rate and the seed alone. It knows no clock, no server and no
//! replies, so no event can postpone a request: that is why a stall cannot hide itself. It is also
//! the backlog: the requests that are due and not taken yet.
//!
//! Invariant: due times never go back, and their number per second is the rate in the long run.

use serde::{Deserialize, Serialize};

use crate::chance::Chance;

/// How the requests of an open loop are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Evenly spaced.
    Constant,
    /// As from many independent clients: gaps are exponential.
    Poisson,
}

/// The schedule of one thread. Times are nanoseconds since the run began.
#[derive(Debug)]
pub(crate) struct Pacer {
    arrivals: Arrivals,
    /// The mean gap.
    gap_ns: f64,
    /// When the first request is due.
    offset_ns: f64,
    /// Requests before the next one.
    before: u64,
    chance: Chance,
    next_ns: f64,
}

impl Pacer {
    /// The share of one of `threads` in `rate` requests a second. Together the threads keep one
    /// schedule of that rate: their requests are interleaved.
    pub(crate) fn new(
        rate: f64,
        arrivals: Arrivals,
        thread: usize,
        threads: usize,
        seed: u64,
    ) -> Pacer {
        let gap_ns = 1e9 / rate * threads as f64;
        let mut chance = Chance::new(seed, 0x7061_6365 ^ thread as u64);
        let offset_ns = match arrivals {
            Arrivals::Constant => gap_ns * thread as f64 / threads as f64,
            Arrivals::Poisson => exponential(gap_ns, &mut chance),
        };
        Pacer { arrivals, gap_ns, offset_ns, before: 0, chance, next_ns: offset_ns }
    }

    /// When the next request is due.
    #[inline]
    pub(crate) fn next_due(&self) -> u64 {
        self.next_ns as u64
    }

    /// Takes the next request if it is due by now, and returns when it was due.
    #[inline]
    pub(crate) fn take_due(&mut self, now: u64) -> Option<u64> {
        let due = self.next_due();
        if due > now {
            return None;
        }
        self.before += 1;
        self.next_ns = match self.arrivals {
            // From the beginning each time, so that rounding does not add up.
            Arrivals::Constant => self.offset_ns + self.before as f64 * self.gap_ns,
            Arrivals::Poisson => self.next_ns + exponential(self.gap_ns, &mut self.chance),
        };
        Some(due)
    }
}

fn exponential(mean: f64, chance: &mut Chance) -> f64 {
    -chance.share().ln() * mean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(pacer: &mut Pacer, now: u64) -> Vec<u64> {
        std::iter::from_fn(|| pacer.take_due(now)).collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_whenever_they_are_taken() {
        let pacer = || Pacer::new(1000.0, Arrivals::Constant, 0, 1, 1);
        let at_once = due(&mut pacer(), 9_999_999);
        assert_eq!(at_once, (0..10).map(|n| n * 1_000_000).collect::<Vec<_>>());
        let mut slow = pacer();
        let first = due(&mut slow, 4_500_000);
        assert_eq!(slow.next_due(), 5_000_000);
        assert_eq!([first, due(&mut slow, 9_999_999)].concat(), at_once);
    }

    #[test]
    fn threads_interleave_to_one_schedule() {
        let of = |thread, threads| {
            due(&mut Pacer::new(3000.0, Arrivals::Constant, thread, threads, 1), 99_999_999)
        };
        let mut together: Vec<u64> = (0..3).flat_map(|thread| of(thread, 3)).collect();
        together.sort_unstable();
        assert_eq!(together.len(), 300);
        for (one, other) in together.iter().zip(of(0, 1)) {
            assert!(one.abs_diff(other) <= 1, "{one} {other}");
        }
    }

    #[test]
    fn a_rate_that_divides_no_second_does_not_drift() {
        let mut pacer = Pacer::new(7.0, Arrivals::Constant, 0, 1, 1);
        let hour = 3600 * 1_000_000_000;
        assert_eq!(due(&mut pacer, hour - 1).len(), 7 * 3600);
        assert_eq!(pacer.next_due(), hour);
    }

    #[test]
    fn poisson_arrivals_repeat_by_seed_and_have_mean_and_spread_of_the_law() {
        let of =
            |seed| due(&mut Pacer::new(10_000.0, Arrivals::Poisson, 0, 1, seed), 20_000_000_000);
        let times = of(3);
        assert_eq!(times, of(3));
        assert_ne!(times, of(4));
        assert!(times.is_sorted());
        // 200,000 are expected, with a standard deviation of 447.
        assert!(times.len().abs_diff(200_000) < 5 * 447, "{}", times.len());
        // The gaps of an exponential law exceed their mean in e⁻¹ of all cases, three times it in
        // e⁻³.
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (times_mean, share) in [(1, 0.3679), (3, 0.0498)] {
            let above = gaps.iter().filter(|gap| **gap > times_mean * 100_000).count();
            let above = above as f64 / gaps.len() as f64;
            assert!((above - share).abs() < 0.005, "{times_mean}: {above}");
        }
    }
}
