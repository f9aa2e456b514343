//! What a message of the log of a cluster is made of, whether it is written or read.
//!
//! It knows no bytes but the first one and the length of the head.

use crate::{Conditional, Request, Watched};

/// The first byte of every message. A message of a later format stops a node that cannot read it.
pub const FORMAT: u8 = 1;

/// Bytes of the head of a message.
pub const HEAD_BYTES: usize = 48;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session begins.
    Hello,
    /// Commands.
    Batch,
    /// Nothing but that its sender lives, and that what it has sent before and no node has seen is dead.
    Tick,
    /// What its sender holds after a message of the log, as a number: 8 bytes its sequence, 8 the digest.
    Digest,
    /// A snapshot has been kept: 8 bytes, the sequence of the last message in it.
    SnapshotDone,
    /// Every node is to say what it holds after this message.
    Compare,
}

/// What every message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub kind: Kind,
    /// Commands in it.
    pub count: u16,
    /// A random number that a node draws when it starts.
    pub session: u64,
    /// Counts the messages of a session, from 0.
    pub number: u64,
    /// When it was made: Unix time in nanoseconds, by the clock of its sender.
    pub time_ns: u64,
    /// What its sender had applied by then.
    pub seen: Seen,
}

/// A place in the log, and the hash of all that lies before and there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The sequence of the message, from 1; 0 before the first.
    pub sequence: u64,
    /// The chain of hashes up to it.
    pub chain: u64,
}

/// What is decided as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A write, if its condition holds.
    One(Conditional),
    /// Writes of a transaction, if all of these conditions hold.
    Together(Vec<Watched>, Vec<Request>),
}

/// A message whose body has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Of a hello, a tick or a question for what nodes hold.
    Nothing,
    /// Of a batch.
    Commands(Vec<Command>),
    /// Of a digest.
    Digest {
        /// After the message of this sequence.
        sequence: u64,
        /// The digest.
        digest: u64,
    },
    /// Of a snapshot that has been kept.
    Snapshot {
        /// The sequence of the last message in it.
        sequence: u64,
    },
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A later stockd has written it.
    #[error("its format is {0}, and this stockd reads formats up to {FORMAT}; update stockd")]
    Format(u8),
    /// It ends early, goes on behind its end, or holds what no message holds.
    #[error("it is not a message of a cluster: {what} at byte {at}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where.
        at: usize,
    },
}
