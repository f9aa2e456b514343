//! What a node of a cluster says of itself, for those who show it.
//!
//! The driver of the node says it; the engine keeps whom to ask, so that no protocol has to know clusters.

use std::fmt;
use std::time::Duration;

/// A node at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterReport {
    /// The name of the cluster.
    pub name: String,
    /// `ok`, or why writes are refused: `joining`, `disconnected`, `uncertain`, `disputed`, `read-only` or `stopped`.
    pub state: &'static str,
    /// Whether what it shows is not older than it may be.
    pub is_ready: bool,
    /// The last message of the log that it has applied.
    pub applied: u64,
    /// How old what it shows may be, at most; `None` before it has joined.
    pub staleness: Option<Duration>,
    /// Messages of this node of which it is not known whether they take effect.
    pub uncertain: usize,
    /// Messages of the log that meant nothing, since the start.
    pub passed_over: u64,
    /// How often the log was followed again.
    pub followed: u64,
    /// Sessions of nodes that are open.
    pub sessions: usize,
    /// The latest digest of all that it holds, and after which message.
    pub digest: Option<(u64, u64)>,
    /// The last message of the log that its data directory has; `None` where it has none.
    pub kept: Option<u64>,
    /// The last message of the log that is in a snapshot; 0 before there was one.
    pub snapshot: u64,
}

/// Whom to ask.
pub(crate) struct Reporter(Box<dyn Fn() -> ClusterReport + Send + Sync>);

impl Reporter {
    pub(crate) fn new(report: impl Fn() -> ClusterReport + Send + Sync + 'static) -> Reporter {
        Reporter(Box::new(report))
    }

    pub(crate) fn report(&self) -> ClusterReport {
        (self.0)()
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}
