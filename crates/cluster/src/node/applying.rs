//! What a message of the log does at a node: it is decided, and who waits for it is answered.
//!
//! Invariant: every node decides the same, its own messages and those of others. What is its own has somebody who waits for it,
//! and that is all in which it differs.

use stockd_engine::Pending;
use stockd_model::Refusal;
use stockd_model::batch::Head;
use stockd_model::limits::{COMMANDS_TOGETHER_MAX, DIGEST_INTERVAL};

use super::Node;
use crate::event::{Effect, Now};
use crate::log_state::{Fault, Meaning};
use crate::origin::CameBack;
use crate::votes::Judgement;

const DEAD: &str =
    "a later message of this node came first, so it never takes effect; send it again";

impl Node {
    pub(super) fn apply(
        &mut self,
        head: Option<Head>,
        meaning: &Meaning,
        is_awaited: bool,
        now: Now,
    ) {
        self.link.stirs(now.instant);
        self.listen(head, meaning, now);
        let own = head.filter(|head| head.session == self.origin.session());
        let mut waiting = None;
        if let Some(Head { number, .. }) = own {
            let fresh = self.origin.fresh_at();
            let came = match meaning {
                Meaning::Repeated => CameBack::default(),
                Meaning::Unknown => {
                    self.begun += 1;
                    self.origin.begin_again((self.options.draw_session)())
                }
                _ => self.origin.came_back(number, is_awaited),
            };
            if self.origin.fresh_at() > fresh {
                self.link.is_proven();
            }
            waiting = self.settle(came);
        }
        debug_assert!(*meaning != Meaning::Own || waiting.is_some(), "what is awaited has come");
        let time_ns = head.map_or(0, |head| head.time_ns);
        let decided = match (waiting, meaning) {
            (Some(own), _) => self.replica.decide_own(time_ns, own),
            (None, Meaning::Commands(commands)) => self.replica.decide(time_ns, commands),
            (None, _) => Ok(()),
        };
        if let Err(fault) = decided {
            return self.stop(Fault::NoRoom(fault.to_string()));
        }
        self.unshown += match meaning {
            Meaning::Commands(_) | Meaning::Own => head.map_or(1, |head| head.count.into()),
            _ => 1,
        };
        if own.is_some() && matches!(meaning, Meaning::Snapshot { .. }) {
            self.effects.push(Effect::Tidy);
        }
        if let (Meaning::Digest { sequence, digest }, None, Some(head)) = (meaning, own, head) {
            self.hear(head.session, *sequence, *digest);
        }
        let sequence = self.log.seen().sequence;
        let is_due = sequence.is_multiple_of(DIGEST_INTERVAL) || *meaning == Meaning::Compare;
        if own.is_some() && *meaning == Meaning::Opened {
            // What it has begun with may be something else than others hold.
            self.is_to_ask = true;
        }
        if is_due && self.fault.is_none() {
            self.show();
            let digest = self.digest();
            self.votes.note(sequence, digest);
            self.digest_due = Some((sequence, digest));
        } else if self.unshown >= COMMANDS_TOGETHER_MAX {
            self.show();
        }
    }

    /// Refuses what is dead, and says what became of what was given up. Returns who waits for what came.
    fn settle(&mut self, came: CameBack) -> Option<Pending> {
        let CameBack { dead, own, took_effect, without_effect } = came;
        for number in took_effect {
            tracing::warn!(number, "a write that was answered UNCERTAIN has taken effect");
        }
        for number in without_effect {
            tracing::warn!(number, "a write that was answered UNCERTAIN has had no effect");
        }
        for pending in dead {
            self.replica.refuse(pending, Refusal::ClusterDown { cause: DEAD });
        }
        own
    }

    /// A node that says nothing itself goes by what others say of the time.
    fn listen(&mut self, head: Option<Head>, meaning: &Meaning, now: Now) {
        let counts = !matches!(meaning, Meaning::Repeated | Meaning::Unknown);
        if let (false, true, Some(head)) = (self.options.writes, counts, head) {
            self.link.hears(head.time_ns, now);
        }
    }

    /// Another node holds this.
    fn hear(&mut self, session: u64, sequence: u64, digest: u64) {
        match self.votes.heard(session, sequence, digest) {
            Judgement::Unknown => {}
            Judgement::Wrong => self.stop(Fault::Diverged { sequence }),
            Judgement::Disputed => {
                if self.disputed.is_none() {
                    tracing::error!(sequence, "another node holds something else; writes stop");
                }
                self.disputed = self.disputed.max(Some(sequence));
            }
            // What was agreed about before does not end it.
            Judgement::Undisputed if self.disputed.is_some_and(|at| at <= sequence) => {
                tracing::warn!(sequence, "most nodes hold what this one does; writes go on");
                self.disputed = None;
            }
            Judgement::Undisputed => {}
        }
    }
}
