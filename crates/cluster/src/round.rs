//! When the next snapshot is due, and whose turn it is to keep it.
//!
//! A snapshot is due when the log has grown, or the last one is long ago. The nodes that have said something lately take
//! turns, in an order by hash that is another one in every round; a message that says that it was kept ends the
//! round. Pure, and a function of the log alone: all nodes know whose turn it is.
//!
//! Invariant: at any moment it is the turn of one node at most.

use stockd_model::limits::{
    SNAPSHOT_INTERVAL, SNAPSHOT_LOG_BYTES, SNAPSHOT_TAKER_SILENCE, SNAPSHOT_TURN,
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
        let is_long_ago = time_ns.saturating_sub(self.began_ns) >= nanoseconds(SNAPSHOT_INTERVAL);
        if self.due_ns == 0 && (is_long_ago || self.bytes >= SNAPSHOT_LOG_BYTES) {
            self.due_ns = time_ns;
        }
    }

    /// A snapshot up to this message is kept. One that is older than the last one changes nothing.
    pub(crate) fn kept(&mut self, sequence: u64, time_ns: u64) {
        if sequence > self.sequence {
            *self = Round { sequence, began_ns: time_ns, due_ns: 0, bytes: 0 };
        }
    }

    /// Whose turn it is, when a snapshot is due.
    pub(crate) fn turn(&self, sessions: &Sessions) -> Option<Turn> {
        if self.due_ns == 0 {
            return None;
        }
        let now_ns = sessions.time_ns();
        let number = now_ns.saturating_sub(self.due_ns) / nanoseconds(SNAPSHOT_TURN);
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

fn nanoseconds(duration: std::time::Duration) -> u64 {
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
        assert_eq!((round.due_ns, round.turn(&sessions(599))), (0, None));
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
        assert_eq!(round.due_ns, BEGIN + 701 * SECOND);
    }

    #[test]
    fn all_who_speak_have_their_turn_and_one_at_a_time() {
        let round = Round { due_ns: BEGIN + 600 * SECOND, ..Round::default() };
        let turn = |round: Round, at| round.turn(&sessions(at)).unwrap();
        let takers: Vec<u64> = (0..3).map(|at| turn(round, 600 + at * 60).session).collect();
        let mut all = takers.clone();
        all.sort_unstable();
        assert_eq!(all, [7, 8, 9]);
        assert_eq!(turn(round, 600 + 59), turn(round, 600), "for a minute");
        assert_eq!(turn(round, 600 + 180).session, takers[0], "and again");
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
        assert_eq!(round.turn(&silent).map(|turn| turn.session), Some(1), "the others are silent");
    }
}
