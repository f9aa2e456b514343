//! Time since a run began, in nanoseconds.

use std::time::{Duration, Instant};

use stockd_latency::nanoseconds;

/// Counts from a moment, which may be yet to come: until then it stands at 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    begin: Instant,
}

impl Clock {
    pub(crate) fn starting_in(pause: Duration) -> Clock {
        Clock { begin: Instant::now() + pause }
    }

    #[inline]
    pub(crate) fn now(self) -> u64 {
        nanoseconds(Instant::now().saturating_duration_since(self.begin))
    }

    /// Sleeps until it begins to count.
    pub(crate) fn wait(self) {
        std::thread::sleep(self.begin.saturating_duration_since(Instant::now()));
    }
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
