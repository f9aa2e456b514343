//! When a worker commits writes itself, in place of the committer.
//!
//! To hand a write over and to be woken for its reply costs two switches of threads, more than all else that a
//! worker does for it. Where writes come one after the other and nothing else is asked, the worker does without.
//! It knows no sockets, no store and no clock.
//!
//! Invariant: a worker that has served anything else a moment ago commits nothing itself.

use std::mem;
use std::time::Instant;

use stockd_model::limits::{OWN_COMMIT_GAP, OWN_COMMIT_QUIET, OWN_COMMIT_REST};

/// What a worker knows of its latest turns.
#[derive(Debug)]
pub(crate) struct OwnCommits {
    /// Whether it may commit at all.
    allowed: bool,
    /// Not before this.
    from: Instant,
    /// When writes were last there to be committed.
    wrote_at: Instant,
}

impl OwnCommits {
    pub(crate) fn new(allowed: bool, now: Instant) -> OwnCommits {
        OwnCommits { allowed, from: now, wrote_at: now }
    }

    /// Something else than a write was served.
    #[inline]
    pub(crate) fn served(&mut self, now: Instant) {
        self.from = self.from.max(now + OWN_COMMIT_QUIET);
    }

    /// A commit took long enough for another thread to take over.
    pub(crate) fn took_long(&mut self, now: Instant) {
        self.from = self.from.max(now + OWN_COMMIT_REST);
    }

    /// Writes are there to be committed: whether the worker does that itself.
    #[inline]
    pub(crate) fn is_next(&mut self, now: Instant) -> bool {
        let gap = now.saturating_duration_since(mem::replace(&mut self.wrote_at, now));
        self.allowed && now >= self.from && gap <= OWN_COMMIT_GAP
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn writes_that_follow_one_another_alone_are_committed() {
        let (start, moment) = (Instant::now(), Duration::from_micros(200));
        let later = start + OWN_COMMIT_GAP * 3;
        let mut commits = OwnCommits::new(true, start);
        assert!(!commits.is_next(later), "the first of them is not");
        assert!(commits.is_next(later + moment));
        commits.served(later + moment);
        for since in [moment, OWN_COMMIT_QUIET / 4, OWN_COMMIT_QUIET / 2] {
            assert!(!commits.is_next(later + moment + since));
        }
        commits.is_next(later + moment + OWN_COMMIT_QUIET - moment);
        assert!(commits.is_next(later + moment + OWN_COMMIT_QUIET));
        commits.took_long(later);
        assert!(!commits.is_next(later + moment + OWN_COMMIT_QUIET + moment));
        commits.is_next(later + OWN_COMMIT_REST - moment);
        assert!(commits.is_next(later + OWN_COMMIT_REST));
        assert!(!OwnCommits::new(false, start).is_next(start));
    }
}
