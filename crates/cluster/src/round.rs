//! When the next snapshot is due, and whose turn it is to keep it.
//!
//! A snapshot is due when the log has grown and the last one is a minute ago, or when that is long ago. The nodes that
//! have said something lately take turns, in an order by hash that is another one in every round; a message that says
//! that it was kept ends the round. Pure, and a function of the log and what it has led to: all nodes know whose turn it is.
//!
//! Invariant: at any moment it is the turn of one node at most.

use std::time::Duration;

use stockd_model::limits::{
    SNAPSHOT_INTERVAL, SNAPSHOT_LOG_BYTES, SNAPSHOT_LOG_BYTES_MAX, SNAPSHOT_PAUSE,
    SNAPSHOT_STOCK_BYTES, SNAPSHOT_TAKER_SILENCE, SNAPSHOT_TURN,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::sessions::Sessions;

/// What the log has had since the last snapshot. Times are of the log, Unix time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// The last message that is in the snapshot; 0 before there was one.
    pub(crate) sequence: u64,
    /// When it was said that it is kept; 0 before any message counted.
    pub(crate) began_ns: u64,
    /// Since when the next one is due; 0 while it is not.
    pub(crate) due_ns: u64,
    /// Bytes of messages since.
    pub(crate) bytes: u64,
}

/// A turn of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The snapshot before the one that is due.
    pub(crate) round: u64,
    /// Which turn it is in this round.
    pub(crate) number: u64,
    /// Whose it is.
    pub(crate) session: u64,
}

impl Round {
    /// The log has had a message of this length.
    pub(crate) fn note(&mut self, message: usize, time_ns: u64) {
        self.bytes += message as u64;
        if self.began_ns == 0 {
            self.began_ns = time_ns;
        }
        // The time of the log stands still for long where a clock was ahead.
        let has_grown = self.bytes >= SNAPSHOT_LOG_BYTES && self.is_ago(SNAPSHOT_PAUSE, time_ns)
            || self.bytes >= SNAPSHOT_LOG_BYTES_MAX;
        if self.due_ns == 0 && (has_grown || self.is_ago(SNAPSHOT_INTERVAL, time_ns)) {
            self.due_ns = time_ns;
        }
    }

    /// Whether the last snapshot is this long ago.
    fn is_ago(&self, long: Duration, time_ns: u64) -> bool {
        time_ns.saturating_sub(self.began_ns) >= nanoseconds(long)
    }

    /// A snapshot up to this message is kept. One that is older than the last one changes nothing.
    pub(crate) fn kept(&mut self, sequence: u64, time_ns: u64) {
        if sequence > self.sequence {
            *self = Round { sequence, began_ns: time_ns, due_ns: 0, bytes: 0 };
        }
    }

    /// Whose turn it is, when a snapshot is due and worth it: one of many stocks takes longer to read than a little of the log.
    pub(crate) fn turn(&self, sessions: &Sessions, stocks: u64) -> Option<Turn> {
        let now_ns = sessions.time_ns();
        let is_worth_it = self.bytes / 2 >= stocks.saturating_mul(SNAPSHOT_STOCK_BYTES)
            || self.is_ago(SNAPSHOT_INTERVAL, now_ns);
        if self.due_ns == 0 || !is_worth_it {
            return None;
        }
        let number = now_ns.saturating_sub(self.due_ns) / nanoseconds(SNAPSHOT_TURN)
            + self.bytes / SNAPSHOT_LOG_BYTES_MAX;
        let silence = nanoseconds(SNAPSHOT_TAKER_SILENCE);
        let speaks = |since_ns: u64| now_ns.saturating_sub(since_ns) <= silence;
        let mut takers: Vec<(u64, u64)> = sessions
            .open()
            .filter(|(_, session)| speaks(session.time_ns))
            .map(|(id, _)| (xxh3_64_with_seed(&id.to_le_bytes(), self.sequence), id))
            .collect();
        takers.sort_unstable();
        let at = number.checked_rem(takers.len() as u64)?;
        let (_, session) = takers.get(usize::try_from(at).ok()?)?;
        Some(Turn { round: self.sequence, number, session: *session })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use stockd_model::batch::{Head, Kind, Seen};

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const BEGIN: u64 = 1_790_000_000 * SECOND;

    fn sessions(at: u64) -> Sessions {
        let mut sessions = Sessions::default();
        for session in [7, 8, 9] {
            let time_ns = BEGIN + at * SECOND;
            let seen = Seen::default();
            let head = Head { kind: Kind::Hello, count: 0, session, number: 0, time_ns, seen };
            sessions.admit(&head, session);
        }
        sessions
    }

    #[test]
    fn it_is_due_after_a_time_or_many_bytes() {
        let mut round = Round::default();
        round.note(100, BEGIN);
        round.note(100, BEGIN + 599 * SECOND);
        assert_eq!((round.due_ns, round.turn(&sessions(599), 0)), (0, None));
        round.note(100, BEGIN + 600 * SECOND);
        assert_eq!(round.due_ns, BEGIN + 600 * SECOND);
        round.note(100, BEGIN + 700 * SECOND);
        assert_eq!((round.due_ns, round.bytes), (BEGIN + 600 * SECOND, 400), "since when it is");
        round.kept(3, BEGIN + 700 * SECOND);
        let next = Round { sequence: 3, began_ns: BEGIN + 700 * SECOND, due_ns: 0, bytes: 0 };
        assert_eq!(round, next);
        round.kept(2, BEGIN + 800 * SECOND);
        assert_eq!(round, next, "an older one");
        round.note(SNAPSHOT_LOG_BYTES as usize, BEGIN + 701 * SECOND);
        assert_eq!(round.due_ns, 0, "the last one is a moment ago");
        let mut at_once = round;
        round.note(100, BEGIN + 760 * SECOND);
        assert_eq!(round.due_ns, BEGIN + 760 * SECOND);
        at_once.note(SNAPSHOT_LOG_BYTES_MAX as usize, BEGIN + 702 * SECOND);
        assert_eq!(at_once.due_ns, BEGIN + 702 * SECOND, "much, whatever the clock says");
    }

    #[test]
    fn many_stocks_are_not_kept_for_a_little_of_the_log() {
        let mut round = Round::default();
        round.note(100, BEGIN);
        round.note(SNAPSHOT_LOG_BYTES as usize, BEGIN + 60 * SECOND);
        assert_eq!(round.due_ns, BEGIN + 60 * SECOND);
        let few = SNAPSHOT_LOG_BYTES / 2 / SNAPSHOT_STOCK_BYTES;
        let is_turn = |stocks, at| round.turn(&sessions(at), stocks).is_some();
        assert_eq!([is_turn(few, 60), is_turn(2 * few, 60)], [true, false]);
        assert!(is_turn(2 * few, 600), "after a while, whatever it takes");
    }

    #[test]
    fn all_who_speak_have_their_turn_and_one_at_a_time() {
        let round = Round { due_ns: BEGIN + 600 * SECOND, ..Round::default() };
        let turn = |round: Round, at| round.turn(&sessions(at), 0).unwrap();
        let takers: Vec<u64> = (0..3).map(|at| turn(round, 600 + at * 60).session).collect();
        let mut all = takers.clone();
        all.sort_unstable();
        assert_eq!(all, [7, 8, 9]);
        assert_eq!(turn(round, 600 + 59), turn(round, 600), "for a minute");
        assert_eq!(turn(round, 600 + 180).session, takers[0], "and again");
        let much = Round { bytes: SNAPSHOT_LOG_BYTES_MAX, ..round };
        assert_eq!(turn(much, 600).session, takers[1], "or for much of the log");
        let firsts = (0..20).map(|sequence| turn(Round { sequence, ..round }, 600).session);
        assert!(
            firsts.collect::<std::collections::BTreeSet<_>>().len() == 3,
            "not always the same"
        );

        let mut silent = sessions(600);
        let seen = Seen { sequence: 9, chain: 0 };
        let time_ns = BEGIN + 620 * SECOND;
        let head = Head { kind: Kind::Hello, count: 0, session: 1, number: 0, time_ns, seen };
        silent.admit(&head, 10);
        let turn = round.turn(&silent, 0).map(|turn| turn.session);
        assert_eq!(turn, Some(1), "the others are silent");
    }
}
