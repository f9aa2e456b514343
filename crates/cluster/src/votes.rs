//! Digests of the state, compared between nodes.
//!
//! After every [`DIGEST_INTERVAL`](stockd_model::limits::DIGEST_INTERVAL) messages a node notes the digest of what it
//! holds and tells it to the others through the log. Pure: it is told digests, and says whom to believe.
//!
//! Invariant: a node that agrees with at least as many others as disagree with it is not in the wrong.

use std::collections::VecDeque;

use stockd_model::limits::DIGESTS_REMEMBERED;

/// The digests of a node, and what others say of them.
#[derive(Debug, Default)]
pub(crate) struct Votes(VecDeque<Vote>);

#[derive(Debug)]
struct Vote {
    sequence: u64,
    digest: u64,
    /// Sessions of other nodes that hold the same, and those that do not.
    agree: Vec<u64>,
    differ: Vec<u64>,
}

/// What comparing has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// This node has not noted what it held then, or has forgotten it.
    Unknown,
    /// No other node, or fewer than not, holds something else.
    Undisputed,
    /// As many nodes hold something else as hold the same.
    Disputed,
    /// Most nodes hold something else.
    Wrong,
}

/// Sessions that are counted on each side.
const VOTERS_MAX: usize = 64;

impl Votes {
    /// Notes the digest of this node after a message.
    pub(crate) fn note(&mut self, sequence: u64, digest: u64) {
        self.0.push_back(Vote { sequence, digest, agree: Vec::new(), differ: Vec::new() });
        if self.0.len() > DIGESTS_REMEMBERED {
            self.0.pop_front();
        }
    }

    /// The latest digest of this node, and after which message.
    pub(crate) fn latest(&self) -> Option<(u64, u64)> {
        self.0.back().map(|vote| (vote.sequence, vote.digest))
    }

    /// Another node holds this after that message.
    pub(crate) fn heard(&mut self, session: u64, sequence: u64, digest: u64) -> Judgement {
        let Some(vote) = self.0.iter_mut().find(|vote| vote.sequence == sequence) else {
            return Judgement::Unknown;
        };
        let side = if digest == vote.digest { &mut vote.agree } else { &mut vote.differ };
        if side.len() < VOTERS_MAX && !side.contains(&session) {
            side.push(session);
        }
        // This node agrees with itself.
        match (vote.agree.len() + 1, vote.differ.len()) {
            (_, 0) => Judgement::Undisputed,
            (with, against) if against > with => Judgement::Wrong,
            (with, against) if against == with => Judgement::Disputed,
            _ => Judgement::Undisputed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_differs_finds_out_and_the_others_go_on() {
        let mut good = Votes::default();
        good.note(4096, 1);
        assert_eq!(good.heard(9, 4096, 2), Judgement::Disputed, "two nodes, two digests");
        assert_eq!(good.heard(8, 4096, 1), Judgement::Undisputed);
        assert_eq!(good.latest(), Some((4096, 1)));
        let mut bad = Votes::default();
        bad.note(4096, 2);
        assert_eq!(bad.heard(7, 4096, 1), Judgement::Disputed);
        assert_eq!(bad.heard(7, 4096, 1), Judgement::Disputed, "counted once");
        assert_eq!(bad.heard(8, 4096, 1), Judgement::Wrong);
        assert_eq!(bad.heard(8, 1, 1), Judgement::Unknown, "long ago");
    }
}
