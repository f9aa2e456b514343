//! The counts of one thread, and their sum over all threads.
//!
//! Only requests of the measured window count: those sent, or in an open loop due, after its
//! beginning. Knows no clock: times are arguments.

use stockd_latency::Latencies;

use crate::counts::Counts;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The price of one name or several.
    Lookup,
    /// A write of a price.
    Update,
}

/// The counts and latencies of one run. Times are nanoseconds since the run began.
#[derive(Debug, Default)]
pub struct Figures {
    /// Requests before this time warm up and do not count.
    pub window_begin: u64,
    /// Replies until here are in the window; `u64::MAX` while it is open.
    pub window_end: u64,
    /// From sent, or due, to the reply.
    pub lookups: Latencies,
    /// The same of writes.
    pub updates: Latencies,
    /// From due to sent: what the load generator itself added. Open loop alone.
    pub late: Latencies,
    /// Requests that were answered before the window ended.
    pub answered_in_window: u64,
    /// When the last counted reply came.
    pub last_reply: u64,
    /// Requests that were due in the window. Open loop alone.
    pub offered: u64,
    /// The outcomes of the requests.
    pub counts: Counts,
    /// CPU time of this thread, or all threads, in the window.
    pub cpu_ns: u64,
    /// The part of the window in which the busiest thread did not wait.
    pub busy_share: f64,
    /// The part of the window that the thread which waited the most waited for a core.
    pub run_delay_share: Option<f64>,
    /// How long the window was.
    pub window_ns: u64,
}

impl Figures {
    /// Figures of a run whose warm-up ends at `window_begin`.
    pub fn new(window_begin: u64) -> Figures {
        Figures {
            window_begin,
            window_end: u64::MAX,
            lookups: Latencies::preallocated(),
            updates: Latencies::preallocated(),
            late: Latencies::preallocated(),
            ..Figures::default()
        }
    }

    /// Counts requests that were sent, or due, at `at` and answered now.
    #[inline]
    pub fn answered(&mut self, kind: Kind, at: u64, now: u64, count: u64) {
        if at < self.window_begin {
            return;
        }
        let latency = now.saturating_sub(at);
        match kind {
            Kind::Lookup => self.lookups.record(latency, count),
            Kind::Update => self.updates.record(latency, count),
        }
        if now <= self.window_end {
            self.answered_in_window += count;
        }
        self.last_reply = now;
    }

    /// Counts requests that got no reply until now.
    pub fn given_up(&mut self, kind: Kind, at: u64, now: u64, count: u64) {
        if at < self.window_begin {
            return;
        }
        self.counts.unanswered += count;
        match kind {
            Kind::Lookup => self.lookups.record(now.saturating_sub(at), count),
            Kind::Update => self.updates.record(now.saturating_sub(at), count),
        }
    }

    /// Counts an error reply.
    pub fn refused(&mut self, why: &[u8]) {
        self.counts.errors += 1;
        if self.counts.first_error.is_none() {
            self.counts.first_error = Some(crate::codec::excerpt(why));
        }
    }

    /// Adds what another thread counted.
    pub fn add(&mut self, other: Figures) {
        self.lookups.add(&other.lookups);
        self.updates.add(&other.updates);
        self.late.add(&other.late);
        self.answered_in_window += other.answered_in_window;
        self.last_reply = self.last_reply.max(other.last_reply);
        self.offered += other.offered;
        self.counts.add(other.counts);
        self.cpu_ns += other.cpu_ns;
        self.busy_share = self.busy_share.max(other.busy_share);
        let delays = [self.run_delay_share, other.run_delay_share].into_iter().flatten();
        self.run_delay_share = delays.reduce(f64::max);
        self.window_ns = self.window_ns.max(other.window_ns);
    }
}
