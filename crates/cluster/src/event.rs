//! What passes between a node and who runs it: what has happened goes in, what is to be done comes out.
//!
//! It owns the words alone. Invariant: an effect that gets lost is wanted again, or nothing rests on it.

use std::time::Instant;

use crate::origin::Outgoing;

/// What time it is.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// By a clock that never goes back.
    pub instant: Instant,
    /// Unix time in nanoseconds.
    pub unix_ns: u64,
}

/// What has happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A message of the log was delivered.
    Message {
        /// Its sequence.
        sequence: u64,
        /// Its bytes.
        message: &'a [u8],
    },
    /// The log says that it has a message.
    Acked {
        /// Its session.
        session: u64,
        /// Its number.
        number: u64,
        /// The sequence that it has.
        sequence: u64,
    },
    /// What the node held after a message was kept as a snapshot, or could not be.
    Kept {
        /// The message.
        sequence: u64,
        /// Whether it is kept.
        is_kept: bool,
    },
    /// There is a connection to the log.
    Connected,
    /// There is none.
    Disconnected,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Send this message, once.
    Send(Outgoing),
    /// Deliver the log from this sequence on, and nothing that was on its way before.
    Follow {
        /// The first message.
        from: u64,
        /// Through another server than before.
        elsewhere: bool,
    },
    /// Keep what the node holds as a snapshot, and say what became of that.
    Keep(Box<Taken>),
    /// A snapshot is kept, and all know of it: the log and the snapshots before the last but one may go.
    Tidy,
}

/// What a node held at one place in the log, to be read while it goes on.
#[derive(Debug)]
pub struct Taken {
    /// The last message that is in it.
    pub sequence: u64,
    /// The session that has taken it.
    pub session: u64,
    /// The place, encoded.
    pub(crate) place: Vec<u8>,
    pub(crate) quotes: stockd_engine::Snapshot,
}
