//! Whether a client's writes come to anything.
//!
//! A feed whose every write is refused looks well from outside, while its prices stand still. This
//! counts what became of the writes of one connection, and names it in the log when all were refused.
//! It knows no requests.
//!
//! Invariant: a connection is named at most once, and not when any of its writes was taken.

use std::fmt;

use stockd_engine::Outcome;
use stockd_model::Reply;
use stockd_model::limits::REFUSED_WRITES_NAMED;

use crate::client_list::ClientInfo;

/// What became of the writes of one client.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// Whether any was taken.
    taken: bool,
    refused: u32,
}

impl Writes {
    /// Notes a reply.
    #[inline]
    pub(super) fn note(&mut self, reply: &Reply, client: &ClientInfo) {
        match reply {
            Reply::Found(_) | Reply::NotFound => {}
            Reply::Listed(_) | Reply::Updated(_) | Reply::Cleared(..) | Reply::Delisted(_) => {
                self.taken = true;
            }
            Reply::Refused(refusal) => self.note_refused(refusal, client),
        }
    }

    /// Notes what became of a transaction.
    pub(super) fn note_all(&mut self, outcome: &Outcome, client: &ClientInfo) {
        match outcome {
            Outcome::Executed { replies, .. } => {
                replies.iter().for_each(|reply| self.note(reply, client));
            }
            // Who watches stocks tries again.
            Outcome::Conflict(_) => {}
            Outcome::Refused(refusal) => self.note_refused(refusal, client),
        }
    }

    /// Notes a write that was refused.
    #[cold]
    pub(super) fn note_refused(&mut self, why: &dyn fmt::Display, client: &ClientInfo) {
        if self.taken || self.refused > REFUSED_WRITES_NAMED {
            return;
        }
        self.refused += 1;
        if self.refused == REFUSED_WRITES_NAMED {
            let name = client.names().client;
            let name = if name.is_empty() { name } else { format!(" ({name})") };
            tracing::warn!(
                "all of the first {REFUSED_WRITES_NAMED} writes of {}{name} were refused, the last one: {why}",
                client.peer()
            );
        }
    }
}
