//! How long commands take, as `INFO` tells it: for each the sum and a histogram.
//!
//! Few of them are measured. A *sample* is the time of one call, and stands for a number of calls: the sums are
//! those of all calls, and grow as calls are made. One thread writes, any thread reads.
//!
//! Invariant: no number is told of a command that was never measured. A percentile is at most 1/16 too high.

use std::sync::OnceLock;

use stockd_wire::resp::CommandId;

use crate::cell::Cell;
use crate::time_buckets::{TIME_BUCKETS, longest_ns, time_bucket};

/// The times of all commands that one thread has measured.
#[derive(Debug)]
pub(crate) struct CommandTimes([OnceLock<Box<Times>>; CommandId::COUNT]);

#[derive(Debug)]
struct Times {
    /// Calls that the samples stand for.
    calls: Cell,
    sum_ns: Cell,
    buckets: [Cell; TIME_BUCKETS],
}

/// What the samples of one command say, of all threads together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimesSum {
    calls: u64,
    sum_ns: u64,
    buckets: Vec<u64>,
}

impl Default for CommandTimes {
    fn default() -> CommandTimes {
        CommandTimes([const { OnceLock::new() }; CommandId::COUNT])
    }
}

impl CommandTimes {
    /// Calls that the samples of this command stand for. Only the one writer may call this.
    pub(crate) fn calls(&self, command: CommandId) -> u64 {
        let times = self.0.get(command.index()).and_then(OnceLock::get);
        times.map_or(0, |times| times.calls.get())
    }

    /// Adds a sample that stands for this many calls. Only the one writer may call this.
    pub(crate) fn sample(&self, command: CommandId, ns: u64, calls: u64) {
        let Some(times) = self.0.get(command.index()) else { return };
        let times = times.get_or_init(Box::default);
        times.calls.add(calls);
        times.sum_ns.add(ns.saturating_mul(calls));
        if let Some(bucket) = times.buckets.get(time_bucket(ns)) {
            bucket.add(calls);
        }
    }

    /// Adds what the thread has measured of each command, in their order.
    pub(crate) fn add_to(&self, sums: &mut Vec<TimesSum>) {
        sums.resize(CommandId::COUNT, TimesSum::default());
        for (sum, times) in sums.iter_mut().zip(&self.0) {
            let Some(times) = times.get() else { continue };
            sum.calls += times.calls.get();
            sum.sum_ns = sum.sum_ns.wrapping_add(times.sum_ns.get());
            sum.buckets.resize(TIME_BUCKETS, 0);
            for (sum, bucket) in sum.buckets.iter_mut().zip(&times.buckets) {
                *sum += bucket.get();
            }
        }
    }
}

impl Default for Times {
    fn default() -> Times {
        let buckets = std::array::from_fn(|_| Cell::default());
        Times { calls: Cell::default(), sum_ns: Cell::default(), buckets }
    }
}

impl TimesSum {
    /// Nanoseconds of all calls, and of one; `None` where none was measured.
    pub(crate) fn sum_and_mean_ns(&self) -> Option<(u64, f64)> {
        (self.calls > 0).then(|| (self.sum_ns, self.sum_ns as f64 / self.calls as f64))
    }

    /// The calls that its samples stand for, by the bucket of their time; empty where none was measured.
    pub(crate) fn buckets(&self) -> &[u64] {
        &self.buckets
    }

    /// The time in nanoseconds that this many of a thousand calls do not exceed; `None` where none was measured.
    pub(crate) fn per_mille_ns(&self, per_mille: u64) -> Option<u64> {
        let all: u64 = self.buckets.iter().sum();
        let rank = (all * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        let at = self.buckets.iter().position(|calls| {
            seen += calls;
            seen >= rank
        });
        at.map(longest_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_stands_for_many_calls() {
        let times = CommandTimes::default();
        times.sample(CommandId::GET, 1000, 64);
        times.sample(CommandId::GET, 3000, 35);
        times.sample(CommandId::GET, 100_000, 1);
        let mut sums = Vec::new();
        times.add_to(&mut sums);
        times.add_to(&mut sums);
        let get = &sums[CommandId::GET.index()];
        assert_eq!(get.sum_and_mean_ns(), Some((2 * 269_000, 2690.0)));
        let close = |ns, to: u64| (to..=to + to / 16).contains(&ns);
        assert!(close(get.per_mille_ns(500).unwrap(), 1000), "{get:?}");
        assert!(close(get.per_mille_ns(990).unwrap(), 3000), "{get:?}");
        assert!(close(get.per_mille_ns(999).unwrap(), 100_000), "{get:?}");
        let other = &sums[CommandId::CLIENT_LIST.index()];
        assert_eq!((other.sum_and_mean_ns(), other.per_mille_ns(500)), (None, None));
        assert_eq!(times.calls(CommandId::GET), 100);
    }
}
