//! When a worker commits writes itself, in place of the committer.
//!
//! To hand a write over and to be woken for its reply costs two switches of threads, more than all else that a
//! worker does for it. Where writes come one after the other and nothing else is asked, the worker does without.
//!
//! A commit costs several times what a request does, however many it is for. So where several clients write, the worker looks
//! once more before it commits: those that it has just answered may have asked again, while it read what the others had
//! asked. It never waits for them. It knows no sockets, no store and no clock.
//!
//! Invariant: a worker that has served anything else a moment ago commits nothing itself; and writes are committed after
//! [`OWN_COMMIT_LOOKS_MAX`] looks, whatever comes.

use std::mem;
use std::time::Instant;

use stockd_model::limits::{
    OWN_COMMIT_GAP, OWN_COMMIT_LOOKS_MAX, OWN_COMMIT_QUIET, OWN_COMMIT_REQUESTS, OWN_COMMIT_REST,
};

/// What a worker knows of its latest turns.
#[derive(Debug)]
pub(crate) struct OwnCommits {
    /// Whether it may commit at all.
    allowed: bool,
    /// Not before this.
    from: Instant,
    /// When writes were last there to be committed.
    wrote_at: Instant,
    /// Requests of its last commit.
    committed: usize,
    /// What was there when it last looked for more, and how often it has.
    seen: usize,
    looks: u32,
}

/// What becomes of requests that are there to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// The committer commits them.
    Elsewhere,
    /// The worker looks whether there are more, without a wait.
    AfterALook,
    /// The worker commits them now.
    Now,
}

impl OwnCommits {
    pub(crate) fn new(allowed: bool, now: Instant) -> OwnCommits {
        OwnCommits { allowed, from: now, wrote_at: now, committed: 0, seen: 0, looks: 0 }
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

    /// So many requests are there to be committed, and the worker has something else to do or not.
    #[inline]
    pub(crate) fn next(&mut self, requests: usize, is_busy: bool, now: Instant) -> Commit {
        let gap = now.saturating_duration_since(mem::replace(&mut self.wrote_at, now));
        let is_own = self.allowed && !is_busy && now >= self.from && gap <= OWN_COMMIT_GAP;
        let are_more = requests > mem::replace(&mut self.seen, requests);
        // One client alone has one request in each commit.
        let are_several = requests + self.committed > 2;
        let may_look = requests < OWN_COMMIT_REQUESTS && self.looks < OWN_COMMIT_LOOKS_MAX;
        if is_own && are_several && are_more && may_look {
            self.looks += 1;
            return Commit::AfterALook;
        }
        (self.committed, self.seen, self.looks) = (requests, 0, 0);
        if is_own { Commit::Now } else { Commit::Elsewhere }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whether a request is committed by the worker, looks apart.
    fn is_next(commits: &mut OwnCommits, now: Instant) -> bool {
        loop {
            match commits.next(1, false, now) {
                Commit::AfterALook => {}
                decided => return decided == Commit::Now,
            }
        }
    }

    #[test]
    fn writes_that_follow_one_another_alone_are_committed() {
        let (start, moment) = (Instant::now(), Duration::from_micros(200));
        let later = start + OWN_COMMIT_GAP * 3;
        let mut commits = OwnCommits::new(true, start);
        assert!(!is_next(&mut commits, later), "the first of them is not");
        assert!(is_next(&mut commits, later + moment));
        commits.served(later + moment);
        for since in [moment, OWN_COMMIT_QUIET / 4, OWN_COMMIT_QUIET / 2] {
            assert!(!is_next(&mut commits, later + moment + since));
        }
        is_next(&mut commits, later + moment + OWN_COMMIT_QUIET - moment);
        assert!(is_next(&mut commits, later + moment + OWN_COMMIT_QUIET));
        commits.took_long(later);
        assert!(!is_next(&mut commits, later + moment + OWN_COMMIT_QUIET + moment));
        is_next(&mut commits, later + OWN_COMMIT_REST - moment);
        assert!(is_next(&mut commits, later + OWN_COMMIT_REST));
        assert!(!is_next(&mut OwnCommits::new(false, start), start));
    }

    #[test]
    fn where_several_write_there_is_a_look_for_more_as_long_as_that_finds_some() {
        let now = Instant::now();
        let mut commits = OwnCommits::new(true, now);
        let mut next = |requests| commits.next(requests, false, now);
        for _ in 0..3 {
            assert_eq!(next(1), Commit::Now, "one client alone");
        }
        for requests in [2, 5, 9] {
            assert_eq!(next(requests), Commit::AfterALook);
        }
        assert_eq!(next(9), Commit::Now);
        assert_eq!(next(7), Commit::AfterALook);
        assert_eq!(next(7), Commit::Now);
        assert_eq!(next(OWN_COMMIT_REQUESTS), Commit::Now, "enough");
        let looks = (1..).find(|requests| next(*requests) == Commit::Now);
        assert_eq!(looks, Some(OWN_COMMIT_LOOKS_MAX as usize + 1), "more come at each look");
    }

    /// What was gathered goes to the committer then, so that nothing else waits for the disk.
    #[test]
    fn who_comes_to_have_something_else_to_do_while_it_looks_commits_nothing() {
        let now = Instant::now();
        let mut commits = OwnCommits::new(true, now);
        assert_eq!(commits.next(3, false, now), Commit::AfterALook);
        assert_eq!(commits.next(4, true, now), Commit::Elsewhere);
        assert_eq!(commits.next(3, false, now), Commit::AfterALook);
        commits.served(now);
        assert_eq!(commits.next(4, false, now), Commit::Elsewhere);
    }
}
