//! Whether the log reaches a node, and what the node says reaches the log.
//!
//! Only messages prove it. Where none comes, or where those of others come and the node's own do not arrive, the log is
//! followed again: first at its leader, then through another server, with more patience each time. Pure: it is told what
//! came and what time it is.
//!
//! Invariant: between two attempts lies at least the patience, however much is wrong.

use std::time::{Duration, Instant};

use stockd_model::limits::{CLUSTER_DOWN_AFTER, REFOLLOW_AFTER, REFOLLOW_AFTER_MAX};

use crate::event::Now;

/// The way between a node and the log.
#[derive(Debug)]
pub(crate) struct Link {
    /// Since when there is no connection.
    down_since: Option<Instant>,
    /// When a message came, or the log was followed.
    stirred: Instant,
    /// When the log was followed last.
    followed_at: Instant,
    /// How often it was followed in vain since something of the node's own came back.
    attempts: u32,
    /// Whether it is being followed again, and nothing has come yet.
    is_anew: bool,
    followed: u64,
    /// What was sent until then has come, by the clocks of the senders: for a node that says nothing itself.
    heard: Option<Instant>,
}

/// What a node knows of the way, when it looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sign {
    /// What was sent before has come back.
    pub(crate) fresh: Option<Instant>,
    /// Since when the node has sent something of which the log says nothing.
    pub(crate) unanswered: Option<Instant>,
}

impl Link {
    /// No connection yet.
    pub(crate) fn new(now: Instant) -> Link {
        Link {
            down_since: Some(now),
            stirred: now,
            followed_at: now,
            attempts: 0,
            is_anew: true,
            followed: 0,
            heard: None,
        }
    }

    /// Whether there is a connection.
    pub(crate) fn is_up(&self) -> bool {
        self.down_since.is_none()
    }

    /// Whether there has been none for so long that writes do not wait for it any more.
    pub(crate) fn is_down(&self, now: Instant) -> bool {
        self.down_since.is_some_and(|since| since + CLUSTER_DOWN_AFTER <= now)
    }

    pub(crate) fn connected(&mut self) {
        self.down_since = None;
    }

    pub(crate) fn disconnected(&mut self, now: Instant) {
        self.down_since.get_or_insert(now);
    }

    /// Whether the log is being followed again, and nothing has come yet.
    pub(crate) fn is_anew(&self) -> bool {
        self.is_anew
    }

    /// How often the log was followed.
    pub(crate) fn followed(&self) -> u64 {
        self.followed
    }

    /// A message has come.
    pub(crate) fn stirs(&mut self, now: Instant) {
        self.stirred = now;
        self.is_anew = false;
    }

    /// Something of the node's own has come back.
    pub(crate) fn is_proven(&mut self) {
        self.attempts = 0;
    }

    /// Somebody else has sent something at this time, by its own clock.
    pub(crate) fn hears(&mut self, time_ns: u64, now: Now) {
        let age = Duration::from_nanos(now.unix_ns.saturating_sub(time_ns));
        self.heard = self.heard.max(now.instant.checked_sub(age));
        self.attempts = 0;
    }

    /// All that was sent before has come, by the clocks of the senders.
    pub(crate) fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// The log is being followed from now on.
    pub(crate) fn follow(&mut self, now: Instant) {
        (self.stirred, self.followed_at) = (now, now);
        self.is_anew = true;
        self.followed += 1;
    }

    /// Whether the log is to be followed again, and then whether through another server.
    pub(crate) fn is_in_vain(&mut self, sign: Sign, now: Instant) -> Option<bool> {
        if !self.is_up() || now < self.next_look(sign, now) {
            return None;
        }
        let elsewhere = self.attempts % 2 == 1;
        self.attempts += 1;
        Some(elsewhere)
    }

    /// When to look again, if nothing happens.
    pub(crate) fn next_look(&self, Sign { fresh, unanswered }: Sign, now: Instant) -> Instant {
        if let Some(since) = self.down_since {
            return (since + CLUSTER_DOWN_AFTER).max(now + REFOLLOW_AFTER);
        }
        // Nothing comes, or nothing arrives since this server is asked.
        let mute = unanswered.map(|since| since.max(self.followed_at));
        let since = mute.map_or(self.stirred, |mute| mute.min(self.stirred));
        let due = since + self.patience();
        fresh.map_or(due, |fresh| due.max(fresh + REFOLLOW_AFTER))
    }

    /// How long nothing has to come before the log is followed again.
    fn patience(&self) -> Duration {
        let doubled = REFOLLOW_AFTER * (1 << (self.attempts / 2).min(4));
        doubled.min(REFOLLOW_AFTER_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn where_nothing_comes_the_log_is_followed_here_and_then_elsewhere_with_patience() {
        let mut now = Instant::now();
        let mut link = Link::new(now);
        let sign = Sign { fresh: None, unanswered: None };
        assert_eq!(link.is_in_vain(sign, now + 10 * SECOND), None, "there is no connection");
        link.connected();
        link.follow(now);
        let mut pauses = Vec::new();
        for attempt in 0..12 {
            let due = link.next_look(sign, now);
            assert_eq!(link.is_in_vain(sign, due - Duration::from_millis(1)), None);
            assert_eq!(link.is_in_vain(sign, due), Some(attempt % 2 == 1));
            link.follow(due);
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [1, 1, 2, 2, 4, 4, 5, 5, 5, 5, 5, 5]);
        link.is_proven();
        assert_eq!(link.next_look(sign, now), now + SECOND);
    }

    #[test]
    fn messages_of_others_do_not_prove_that_those_of_this_node_arrive() {
        let began = Instant::now();
        let mut link = Link::new(began);
        link.connected();
        link.follow(began);
        let sent = began + Duration::from_millis(100);
        let sign = Sign { fresh: Some(began), unanswered: Some(sent) };
        let now = sent + SECOND;
        link.stirs(now);
        assert_eq!(link.is_in_vain(Sign { unanswered: None, ..sign }, now), None, "all arrive");
        assert_eq!(link.is_in_vain(sign, now), Some(false));
        link.follow(now);
        link.stirs(now + SECOND);
        assert_eq!(link.is_in_vain(sign, now + SECOND / 2), None, "patience");
        assert_eq!(link.is_in_vain(sign, now + SECOND), Some(true));
    }
}
