//! The outcomes of requests: counted by each thread, summed, and reported.

use serde::{Deserialize, Serialize};

/// Counts of a run; docs/load.md has them under these names. What was found and what got no reply counts in the
/// measured window; what went wrong, and what was compared, from the beginning of the warm-up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Requests due that were never sent, for lack of room. Open loop alone.
    pub unsent: u64,
    /// Requests without a reply, including the unsent. They count with the latency until the end.
    pub unanswered: u64,
    /// Names found.
    pub hits: u64,
    /// Names not found.
    pub misses: u64,
    /// Replies compared with what was expected.
    pub verified: u64,
    /// Replies that differed.
    pub mismatches: u64,
    /// The first of them.
    pub first_mismatch: Option<String>,
    /// Requests that the server refused.
    pub errors: u64,
    /// The first error reply, or why the first connection was lost.
    pub first_error: Option<String>,
    /// Connections that the server closed.
    pub connections_closed: u64,
    /// Bytes of replies, from the beginning of the window on.
    pub bytes_received: u64,
}

impl Counts {
    /// Adds what another thread counted.
    pub fn add(&mut self, other: Counts) {
        self.unsent += other.unsent;
        self.unanswered += other.unanswered;
        self.hits += other.hits;
        self.misses += other.misses;
        self.verified += other.verified;
        self.mismatches += other.mismatches;
        self.first_mismatch = self.first_mismatch.take().or(other.first_mismatch);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.connections_closed += other.connections_closed;
        self.bytes_received += other.bytes_received;
    }

    /// The number of failures.
    pub fn failures(&self) -> u64 {
        self.errors + self.mismatches + self.connections_closed
    }
}
