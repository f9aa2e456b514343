//! Whether moments by the clock of this server can be compared: a clock may be set back.
//!
//! Quotes carry the moment of their last change, and an id of a stream one up to which all was told. What has changed since
//! can be found by them as long as the clock has not gone back in between, in this life of the server or before it. It owns
//! what is known of that. Invariant: a moment that is trusted is not later than the moment of any change after it, but for
//! [`TOLERANCE`].

use std::sync::Mutex;
use std::time::{Duration, Instant};

use stockd_engine::now_ns;

use crate::door::lock;

/// What the clock may be behind without being taken for set back: less than streams are told twice.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The clock, beside one that never goes back.
#[derive(Debug)]
pub(crate) struct Clock {
    /// When this life of the server began, by the clock. Lives are told apart by it.
    pub(crate) began_ns: u64,
    began: Instant,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// What the clock was before the other, at most, in nanoseconds.
    ahead_ns: i128,
    /// Moments above the first and up to the second may be from before the clock was set back.
    doubted: Option<(u64, u64)>,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock::at(now_ns(), Instant::now())
    }

    fn at(began_ns: u64, began: Instant) -> Clock {
        let seen = Seen { ahead_ns: began_ns.into(), doubted: None };
        Clock { began_ns, began, seen: Mutex::new(seen) }
    }

    /// Looks whether the clock was set back. What happens between two looks and is undone is not seen.
    pub(crate) fn look(&self) {
        self.look_at(now_ns(), Instant::now());
    }

    fn look_at(&self, now_ns: u64, now: Instant) {
        let passed_ns = now.duration_since(self.began).as_nanos() as i128;
        let ahead_ns = i128::from(now_ns) - passed_ns;
        let mut seen = lock(&self.seen);
        if ahead_ns + (TOLERANCE.as_nanos() as i128) < seen.ahead_ns {
            // What the clock would have been.
            let was_ns = u64::try_from(seen.ahead_ns + passed_ns).unwrap_or(u64::MAX);
            let (from, to) = seen.doubted.unwrap_or((now_ns, was_ns));
            seen.doubted = Some((from.min(now_ns), to.max(was_ns)));
            seen.ahead_ns = ahead_ns;
        }
        seen.ahead_ns = seen.ahead_ns.max(ahead_ns);
    }

    /// Whether every change after this moment, of the life that began then, has a later one.
    pub(crate) fn trusts(&self, moment_ns: u64, life_began_ns: u64) -> bool {
        let is_earlier = moment_ns <= self.began_ns;
        let doubted = lock(&self.seen).doubted;
        (life_began_ns == self.began_ns || is_earlier)
            && !doubted.is_some_and(|(from, to)| from < moment_ns && moment_ns <= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const BEGAN: u64 = 1_000_000 * SECOND;

    #[test]
    fn a_moment_of_an_earlier_life_is_not_later_than_this_one() {
        let clock = Clock::at(BEGAN, Instant::now());
        for (moment, life, trusted) in [
            (BEGAN + 10 * SECOND, BEGAN, true),
            (BEGAN - SECOND, BEGAN - 5 * SECOND, true),
            // The clock was set back before this life began.
            (BEGAN + 10 * SECOND, BEGAN - 5 * SECOND, false),
            // By a server that did not say in which life.
            (BEGAN - SECOND, 0, true),
            (BEGAN + SECOND, 0, false),
        ] {
            assert_eq!(clock.trusts(moment, life), trusted, "{moment} {life}");
        }
    }

    #[test]
    fn moments_from_before_the_clock_was_set_back_are_doubted() {
        let began = Instant::now();
        let clock = Clock::at(BEGAN, began);
        let look = |passed: u64, now_ns| clock.look_at(now_ns, began + Duration::from_secs(passed));
        let trusts = |moment_ns| clock.trusts(moment_ns, BEGAN);
        look(10, BEGAN + 10 * SECOND);
        // Set forward an hour, and a little back.
        look(20, BEGAN + 3620 * SECOND);
        look(30, BEGAN + 3630 * SECOND - SECOND / 2);
        assert!(trusts(BEGAN + 3630 * SECOND) && trusts(BEGAN + 5 * SECOND));
        // Back to what it should have been.
        look(40, BEGAN + 40 * SECOND);
        let doubted = [41, 100, 3630, 3640];
        assert!(doubted.iter().all(|seconds| !trusts(BEGAN + seconds * SECOND)));
        assert!([5, 40, 3641].iter().all(|seconds| trusts(BEGAN + seconds * SECOND)));
        // Once more, further back: all of it together.
        look(50, BEGAN + 50 * SECOND);
        look(60, BEGAN - 100 * SECOND);
        assert!([-99, 0, 5, 3640].iter().all(|seconds: &i64| {
            !trusts(BEGAN.saturating_add_signed(seconds * SECOND as i64))
        }));
        assert!(trusts(BEGAN - 100 * SECOND));
        // Many small steps are one large one.
        let clock = Clock::at(BEGAN, began);
        for step in 1..=4 {
            clock.look_at(BEGAN + step * SECOND * 7 / 10, began + Duration::from_secs(step));
        }
        assert!(!clock.trusts(BEGAN + 4 * SECOND, BEGAN));
    }
}
