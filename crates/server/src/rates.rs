//! How much the server does in a second, of late.
//!
//! A worker takes a sample of the counters now and then; a rate is what was counted since a
//! sample of about a second ago. While none has work nothing is counted, and no sample is missing.
//!
//! Invariant: samples are in the order of their times, at most [`SAMPLES`] of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time between two samples, at least.
const INTERVAL: Duration = Duration::from_millis(100);

/// What a rate is measured over, at least, where there has been as much.
const SPAN: Duration = Duration::from_secs(1);

/// Samples that are kept: those of the span, and the one before it.
const SAMPLES: usize = 12;

/// Counters that only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) requests: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// The samples of a server.
#[derive(Debug)]
pub(crate) struct Rates {
    started: Instant,
    /// When the next sample is due, in nanoseconds since the start.
    due_ns: AtomicU64,
    samples: Mutex<VecDeque<(Instant, Counted)>>,
}

impl Rates {
    pub(crate) fn new(started: Instant) -> Rates {
        let samples = VecDeque::from([(started, Counted::default())]);
        Rates { started, due_ns: AtomicU64::new(0), samples: Mutex::new(samples) }
    }

    /// Takes a sample if one is due. One of several threads that ask at once takes it.
    #[inline]
    pub(crate) fn sample(&self, now: Instant, read: impl FnOnce() -> Counted) {
        let due = self.due_ns.load(Ordering::Relaxed);
        let now_ns = now.saturating_duration_since(self.started).as_nanos() as u64;
        if now_ns >= due {
            self.take(due, now_ns, now, read);
        }
    }

    #[cold]
    fn take(&self, due: u64, now_ns: u64, now: Instant, read: impl FnOnce() -> Counted) {
        let next = now_ns + INTERVAL.as_nanos() as u64;
        let (relaxed, due_ns) = (Ordering::Relaxed, &self.due_ns);
        if due_ns.compare_exchange(due, next, relaxed, relaxed).is_ok() {
            let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
            if samples.len() == SAMPLES {
                samples.pop_front();
            }
            samples.push_back((now, read()));
        }
    }

    /// What was counted a second of late, given what is counted by now.
    pub(crate) fn per_second(&self, now: Instant, counted: Counted) -> Counted {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |at: Instant| now.saturating_duration_since(at);
        let since = samples.iter().rev().find(|(at, _)| age(*at) >= SPAN);
        let Some((at, before)) = since.or(samples.front()) else { return Counted::default() };
        let nanoseconds = age(*at).as_nanos().max(1);
        let rate = |now: u64, before: u64| {
            let counted = u128::from(now.saturating_sub(before));
            u64::try_from(counted * 1_000_000_000 / nanoseconds).unwrap_or(u64::MAX)
        };
        Counted {
            requests: rate(counted.requests, before.requests),
            bytes_in: rate(counted.bytes_in, before.bytes_in),
            bytes_out: rate(counted.bytes_out, before.bytes_out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(requests: u64) -> Counted {
        Counted { requests, ..Counted::default() }
    }

    #[test]
    fn a_rate_is_what_was_counted_in_the_last_second() {
        let started = Instant::now();
        let at = |ms: u64| started + Duration::from_millis(ms);
        let rates = Rates::new(started);
        // A thousand a second for five seconds, looked at every 10 ms.
        for ms in (10..=5000).step_by(10) {
            rates.sample(at(ms), || requests(ms));
        }
        assert_eq!(rates.per_second(at(5000), requests(5000)).requests, 1000);
        // Nothing for nine seconds: the sample of a second ago is the last one.
        let later = rates.per_second(at(14_000), requests(5000)).requests;
        assert!(later <= 12, "{later}");
        assert!(rates.samples.lock().unwrap().len() <= SAMPLES);
    }

    #[test]
    fn before_a_second_has_passed_the_start_is_what_counts() {
        let started = Instant::now();
        let rates = Rates::new(started);
        let soon = started + Duration::from_millis(500);
        assert_eq!(rates.per_second(soon, requests(100)).requests, 200);
        assert_eq!(rates.per_second(started, requests(0)).requests, 0);
    }
}
