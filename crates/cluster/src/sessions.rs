//! Who has said what in the log: each message counts once, however often it was sent.
//!
//! A node draws a random session when it starts and numbers its messages. Its *hello* opens the session; from then on a
//! message counts if its number is above the last one that counted. So a message that comes twice counts once, and one that
//! comes after a later one of its session never does: when a number has come back, what was sent before it and has not
//! come is dead for ever.
//!
//! Pure, and a function of the log alone: all nodes have the same sessions after the same messages.
//!
//! Invariant: a message that has counted does not count again, not even when its session was forgotten.

use std::collections::BTreeMap;

use stockd_model::batch::{Head, Kind};
use stockd_model::limits::{CLUSTER_SESSION_TIMEOUT, CLUSTER_SESSIONS_MAX};

/// The sessions of a log up to a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sessions {
    open: BTreeMap<u64, Session>,
    /// The latest time of any message that counted.
    time_ns: u64,
    /// A hello whose sender had seen less may be one of a session that was forgotten.
    forgotten: u64,
}

/// What is known of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// The sequence of its hello.
    pub(crate) opened: u64,
    /// The number of the last message that counted, and its sequence.
    pub(crate) number: u64,
    pub(crate) sequence: u64,
    /// The time of the log then.
    pub(crate) time_ns: u64,
}

/// Whether a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It does.
    Counts,
    /// It is of a session that has not begun, or was forgotten; or it begins one too late.
    Unknown,
    /// It, or a later one of its session, has come before.
    Repeated,
}

impl Sessions {
    /// As they were: the latest time, what was forgotten, and those that are open.
    pub(crate) fn restored(
        time_ns: u64,
        forgotten: u64,
        open: impl IntoIterator<Item = (u64, Session)>,
    ) -> Sessions {
        Sessions { open: open.into_iter().collect(), time_ns, forgotten }
    }

    /// The latest time of any message that counted.
    pub(crate) fn time_ns(&self) -> u64 {
        self.time_ns
    }

    /// Hellos of senders that had seen less do not count.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Those that are open, in the order of their numbers.
    pub(crate) fn open(&self) -> impl ExactSizeIterator<Item = (u64, Session)> {
        self.open.iter().map(|(id, session)| (*id, *session))
    }

    /// Admits a message, or does not.
    pub(crate) fn admit(&mut self, head: &Head, sequence: u64) -> Admission {
        match (head.kind, self.open.get(&head.session)) {
            (Kind::Hello, Some(_)) => return Admission::Repeated,
            (Kind::Hello, None) if head.seen.sequence < self.forgotten => {
                return Admission::Unknown;
            }
            (Kind::Hello, None) => self.make_room(head.time_ns),
            (_, None) => return Admission::Unknown,
            (_, Some(session)) if head.number <= session.number => {
                #[cfg(test)]
                if crate::traps::no_session_rule() {
                    return Admission::Counts;
                }
                return Admission::Repeated;
            }
            (_, Some(_)) => {}
        }
        self.time_ns = self.time_ns.max(head.time_ns);
        let (number, time_ns) = (head.number, self.time_ns);
        let of_now = Session { opened: sequence, number, sequence, time_ns };
        let session = self.open.entry(head.session).or_insert(of_now);
        *session = Session { opened: session.opened, ..of_now };
        Admission::Counts
    }

    /// The number of the last message of a session that counted; `None` when it is not open.
    #[cfg(test)]
    pub(crate) fn last(&self, session: u64) -> Option<u64> {
        self.open.get(&session).map(|session| session.number)
    }

    /// Whether a session is open.
    pub(crate) fn is_open(&self, session: u64) -> bool {
        self.open.contains_key(&session)
    }

    /// Sessions that are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// All that they are, in numbers, in one order.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        let of_session = |(&id, session): (&u64, &Session)| {
            [id, session.opened, session.number, session.sequence, session.time_ns]
        };
        [self.time_ns, self.forgotten].into_iter().chain(self.open.iter().flat_map(of_session))
    }

    /// Forgets those that have been silent for long, and one more where there are too many.
    fn make_room(&mut self, time_ns: u64) {
        let now_ns = self.time_ns.max(time_ns);
        let timeout_ns = CLUSTER_SESSION_TIMEOUT.as_nanos() as u64;
        let is_silent = |session: &Session| now_ns.saturating_sub(session.time_ns) > timeout_ns;
        let silent = self.open.iter().filter(|(_, session)| is_silent(session));
        let mut leaving: Vec<u64> = silent.map(|(id, _)| *id).collect();
        if self.open.len() - leaving.len() >= CLUSTER_SESSIONS_MAX {
            let others = self.open.iter().filter(|(_, session)| !is_silent(session));
            leaving.extend(others.min_by_key(|(_, session)| session.sequence).map(|(id, _)| *id));
        }
        for id in leaving {
            if let Some(session) = self.open.remove(&id) {
                self.forgotten = self.forgotten.max(session.opened);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use stockd_model::batch::Seen;

    use super::Admission::{Counts, Repeated, Unknown};
    use super::*;

    fn head(kind: Kind, session: u64, number: u64) -> Head {
        Head { kind, count: 0, session, number, time_ns: 0, seen: Seen::default() }
    }

    #[test]
    fn a_message_counts_once_and_never_after_a_later_one() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.admit(&head(Kind::Batch, 7, 1), 1), Unknown);
        assert_eq!(sessions.admit(&head(Kind::Hello, 7, 0), 2), Counts);
        for (number, admission) in
            [(1, Counts), (1, Repeated), (3, Counts), (2, Repeated), (3, Repeated), (4, Counts)]
        {
            assert_eq!(sessions.admit(&head(Kind::Batch, 7, number), 3), admission);
        }
        assert_eq!(sessions.admit(&head(Kind::Hello, 7, 0), 9), Repeated, "the number stays");
        assert_eq!((sessions.last(7), sessions.last(8)), (Some(4), None));
    }

    #[test]
    fn a_session_that_was_forgotten_does_not_come_back_to_life() {
        let mut sessions = Sessions::default();
        let old = head(Kind::Hello, 7, 0);
        assert_eq!(sessions.admit(&old, 1), Counts);
        assert_eq!(sessions.admit(&head(Kind::Batch, 7, 1), 2), Counts);
        let time_ns = CLUSTER_SESSION_TIMEOUT.as_nanos() as u64 + 1;
        let seen = Seen { sequence: 2, chain: 0 };
        let later = Head { time_ns, seen, ..head(Kind::Hello, 8, 0) };
        assert_eq!(sessions.admit(&later, 3), Counts);
        assert_eq!((sessions.last(7), sessions.len()), (None, 1));
        assert_eq!(sessions.admit(&old, 4), Unknown, "sent before it was forgotten");
        assert_eq!(sessions.admit(&head(Kind::Batch, 7, 1), 5), Unknown);
    }

    #[test]
    fn the_session_that_was_silent_the_longest_makes_room() {
        let mut sessions = Sessions::default();
        for id in 0..CLUSTER_SESSIONS_MAX as u64 {
            assert_eq!(sessions.admit(&head(Kind::Hello, id, 0), id + 1), Counts);
        }
        assert_eq!(sessions.admit(&head(Kind::Tick, 0, 1), 5000), Counts);
        let seen = Seen { sequence: 5000, chain: 0 };
        assert_eq!(sessions.admit(&Head { seen, ..head(Kind::Hello, 9999, 0) }, 5001), Counts);
        assert_eq!((sessions.last(0), sessions.last(1)), (Some(1), None));
        assert_eq!(sessions.len(), CLUSTER_SESSIONS_MAX);
    }
}
