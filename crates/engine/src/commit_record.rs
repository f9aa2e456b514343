//! What the committer records for others to read.
//!
//! The commit thread writes, any thread reads. It knows no stores.
//!
//! Invariant: each number is one that the commit thread has told; together they may be of two moments.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use stockd_model::Refusal;
use stockd_store::{LogReport, StoreError};

use crate::market::now_ns;
use crate::read_only::ReadOnly;

/// Up to how many microseconds a commit took, for each count of
/// [`commits_by_time`](CommitReport::commits_by_time) but the last.
pub const COMMIT_TIMES_US: [u64; 14] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000,
];

const TIMES: usize = COMMIT_TIMES_US.len() + 1;

/// What the committer has done, and whether it still writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitReport {
    /// Why every write is refused since a commit failed; `None` while writes are taken.
    pub failed: Option<&'static str>,
    /// Commits so far.
    pub commits: u64,
    /// Stocks written by all of them together.
    pub stocks_written: u64,
    /// How long the latest of them took, in nanoseconds.
    pub last_commit_ns: u64,
    /// How long the longest of them took, in nanoseconds.
    pub longest_commit_ns: u64,
    /// How long all of them took together, in nanoseconds.
    pub commits_ns: u64,
    /// How many took up to each of [`COMMIT_TIMES_US`], and longer than the one before it; and how many
    /// longer than all of them.
    pub commits_by_time: [u64; TIMES],
    /// Bytes of the log behind the last checkpoint.
    pub log_bytes: u64,
    /// Segments of the log.
    pub log_segments: u64,
    /// Checkpoints written since the start.
    pub checkpoints: u64,
    /// Stocks written by all of them together.
    pub checkpoint_stocks: u64,
    /// How long the last of them took, in nanoseconds.
    pub last_checkpoint_ns: u64,
    /// How long ago the last of them was written, or the start where there was none.
    pub checkpoint_age: Duration,
}

impl CommitReport {
    /// Within how many microseconds this share of all commits was done, rounded up to one of
    /// [`COMMIT_TIMES_US`] or to the longest.
    pub fn commit_time_us(&self, share: f64) -> u64 {
        let wanted = share * self.commits as f64;
        let mut sum = 0;
        for (commits, time_us) in self.commits_by_time.iter().zip(COMMIT_TIMES_US) {
            sum += commits;
            if sum as f64 >= wanted {
                return time_us.min(self.longest_commit_ns.div_ceil(1000));
            }
        }
        self.longest_commit_ns.div_ceil(1000)
    }
}

/// See [`CommitReport`].
#[derive(Debug)]
pub(crate) struct CommitRecord {
    pub(crate) read_only: ReadOnly,
    commits: AtomicU64,
    stocks_written: AtomicU64,
    last_commit_ns: AtomicU64,
    longest_commit_ns: AtomicU64,
    commits_ns: AtomicU64,
    commits_by_time: [AtomicU64; TIMES],
    log_bytes: AtomicU64,
    log_segments: AtomicU64,
    checkpoints: AtomicU64,
    checkpoint_stocks: AtomicU64,
    last_checkpoint_ns: AtomicU64,
    checkpoint_at_ns: AtomicU64,
}

impl Default for CommitRecord {
    fn default() -> CommitRecord {
        CommitRecord {
            read_only: ReadOnly::default(),
            commits: AtomicU64::default(),
            stocks_written: AtomicU64::default(),
            last_commit_ns: AtomicU64::default(),
            longest_commit_ns: AtomicU64::default(),
            commits_ns: AtomicU64::default(),
            commits_by_time: Default::default(),
            log_bytes: AtomicU64::default(),
            log_segments: AtomicU64::default(),
            checkpoints: AtomicU64::default(),
            checkpoint_stocks: AtomicU64::default(),
            last_checkpoint_ns: AtomicU64::default(),
            checkpoint_at_ns: AtomicU64::new(now_ns()),
        }
    }
}

impl CommitRecord {
    pub(crate) fn report(&self) -> CommitReport {
        let number = |cell: &AtomicU64| cell.load(Relaxed);
        let age_ns = now_ns().saturating_sub(number(&self.checkpoint_at_ns));
        CommitReport {
            failed: self.read_only.cause(),
            commits: number(&self.commits),
            stocks_written: number(&self.stocks_written),
            last_commit_ns: number(&self.last_commit_ns),
            longest_commit_ns: number(&self.longest_commit_ns),
            commits_ns: number(&self.commits_ns),
            commits_by_time: self.commits_by_time.each_ref().map(number),
            log_bytes: number(&self.log_bytes),
            log_segments: number(&self.log_segments),
            checkpoints: number(&self.checkpoints),
            checkpoint_stocks: number(&self.checkpoint_stocks),
            last_checkpoint_ns: number(&self.last_checkpoint_ns),
            checkpoint_age: Duration::from_nanos(age_ns),
        }
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.read_only.cause().map(|cause| Refusal::ReadOnly { cause })
    }

    /// Notes a commit.
    pub(crate) fn count(&self, stocks: usize, took: Duration) {
        let took_ns = nanoseconds(took);
        self.commits.fetch_add(1, Relaxed);
        self.stocks_written.fetch_add(stocks as u64, Relaxed);
        self.last_commit_ns.store(took_ns, Relaxed);
        self.longest_commit_ns.fetch_max(took_ns, Relaxed);
        self.commits_ns.fetch_add(took_ns, Relaxed);
        let time = COMMIT_TIMES_US.partition_point(|time_us| time_us * 1000 < took_ns);
        self.commits_by_time[time].fetch_add(1, Relaxed);
    }

    /// Notes a checkpoint.
    pub(crate) fn count_checkpoint(&self, stocks: usize, took: Duration) {
        self.checkpoints.fetch_add(1, Relaxed);
        self.checkpoint_stocks.fetch_add(stocks as u64, Relaxed);
        self.last_checkpoint_ns.store(nanoseconds(took), Relaxed);
        self.checkpoint_at_ns.store(now_ns(), Relaxed);
    }

    /// Notes how long the log is.
    pub(crate) fn note_log(&self, log: LogReport) {
        self.log_bytes.store(log.bytes, Relaxed);
        self.log_segments.store(log.segments as u64, Relaxed);
    }

    /// Notes the first failure; it is the cause of all that follow.
    pub(crate) fn fail(&self, error: &StoreError) -> &'static str {
        self.read_only.cause().unwrap_or_else(|| {
            tracing::error!("read-only from now on: {error}; lookups go on");
            self.read_only.begin(error)
        })
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_within_their_bounds() {
        let record = CommitRecord::default();
        assert_eq!(record.report().commit_time_us(0.5), 0);
        for (commits, took_us) in [(90, 40), (9, 700), (1, 3_000_000)] {
            for _ in 0..commits {
                record.count(2, Duration::from_micros(took_us));
            }
        }
        let report = record.report();
        assert_eq!((report.commits, report.stocks_written), (100, 200));
        assert_eq!(report.commits_by_time.iter().sum::<u64>(), 100);
        let times = [0.5, 0.9, 0.99, 1.0].map(|share| report.commit_time_us(share));
        assert_eq!(times, [50, 50, 1000, 3_000_000]);
        record.count(1, Duration::from_micros(50));
        assert_eq!(record.report().commits_by_time[0], 91);
    }
}
