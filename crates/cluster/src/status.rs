//! What a node says of itself, and why it refuses writes.
//!
//! It owns the words alone; the node decides which of them hold.

use std::time::Duration;

use stockd_model::batch::Seen;

use crate::log_state::Fault;

/// Why a node refuses writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It has not caught up with the log.
    Joining,
    /// It has no connection.
    Disconnected,
    /// A write was given up, and what became of it is not known yet.
    Uncertain,
    /// Other nodes hold something else, and it is not known who is right.
    Disputed,
    /// It only follows.
    ReadOnly,
    /// It has stopped.
    Stopped(Fault),
}

/// What a node says of itself.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// The last message that was applied.
    pub seen: Seen,
    /// Why writes are refused, if they are.
    pub closed: Option<Closed>,
    /// How old what it shows may be, at most; `None` before anything of its own has come back.
    pub staleness: Option<Duration>,
    /// Messages that were given up and are not known yet.
    pub uncertain: usize,
    /// Messages that were passed over.
    pub passed_over: u64,
    /// Sessions that are open.
    pub sessions: usize,
    /// How often the log was followed again.
    pub followed: u64,
    /// The latest digest that was compared, and after which message.
    pub digest: Option<(u64, u64)>,
    /// Sessions that this node has begun.
    pub begun: u64,
    /// The last message that is in a snapshot; 0 before there was one.
    pub snapshot: u64,
}

impl Closed {
    /// What a client is told.
    pub(crate) fn cause(&self) -> &'static str {
        match self {
            Closed::Joining => {
                "this node has not caught up with the log yet; try again in a moment, or another node"
            }
            Closed::Disconnected => {
                "there is no connection to the log; try again in a moment, or another node; lookups go on"
            }
            Closed::Uncertain => {
                "the log does not answer, and it is not known yet what became of an earlier write; try another node; \
                 lookups go on"
            }
            Closed::Disputed => {
                "nodes hold different quotes, so writes have stopped; compare cluster_digest in INFO cluster of all"
            }
            Closed::ReadOnly => "this node only follows; write through another one",
            Closed::Stopped(_) => STOPPED,
        }
    }
}

/// What is told at a node that has stopped, or ends.
pub(crate) const STOPPED: &str =
    "this node has stopped following the log; its log says why; write through another one";
