//! The one name of a connection within its worker.
//!
//! The readiness queue, the deadlines, the feed and the committer all know a connection by this number
//! and nothing else, and give it back with what they have for it.
//!
//! Invariant: no two connections of a worker ever have the same number. A slot is used again after its
//! connection is closed, a serial is not, so that what comes late reaches nobody else.

use std::fmt;

use mio::Token;
use stockd_engine::{ReplyTo, SubscriberId};
use stockd_model::limits::CONNECTIONS_CEILING;

/// Bits of the slot. The other 43 are the serial: a worker that takes a million new connections a
/// second has enough for a hundred days.
const SLOT_BITS: u32 = 21;

// A token of the readiness queue is as wide as a pointer.
const _: () = assert!(usize::BITS >= u64::BITS, "stockd needs a 64-bit system");
const _: () = assert!(CONNECTIONS_CEILING < 1 << SLOT_BITS, "every connection has a slot");

/// Names one connection of a worker.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId(u64);

impl ConnectionId {
    /// The connection in this slot that was the worker's `serial`th.
    pub(crate) fn new(slot: usize, serial: u64) -> ConnectionId {
        debug_assert!(slot < 1 << SLOT_BITS, "{slot}");
        ConnectionId(serial << SLOT_BITS | slot as u64)
    }

    /// Its place among the connections of the worker.
    #[inline]
    pub(crate) fn slot(self) -> usize {
        (self.0 & ((1 << SLOT_BITS) - 1)) as usize
    }
}

impl From<ConnectionId> for Token {
    fn from(id: ConnectionId) -> Token {
        Token(id.0 as usize)
    }
}

impl From<Token> for ConnectionId {
    #[inline]
    fn from(token: Token) -> ConnectionId {
        ConnectionId(token.0 as u64)
    }
}

impl From<ConnectionId> for SubscriberId {
    #[inline]
    fn from(id: ConnectionId) -> SubscriberId {
        SubscriberId(id.0)
    }
}

impl From<SubscriberId> for ConnectionId {
    fn from(id: SubscriberId) -> ConnectionId {
        ConnectionId(id.0)
    }
}

impl From<ConnectionId> for ReplyTo {
    fn from(id: ConnectionId) -> ReplyTo {
        ReplyTo(id.0)
    }
}

impl From<ReplyTo> for ConnectionId {
    fn from(id: ReplyTo) -> ConnectionId {
        ConnectionId(id.0)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {} serial {}", self.slot(), self.0 >> SLOT_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_is_used_again_has_another_name() {
        let first = ConnectionId::new(7, 1);
        let second = ConnectionId::new(7, 2);
        assert_ne!(first, second);
        assert_eq!((first.slot(), second.slot()), (7, 7));
        for id in [first, second, ConnectionId::new(CONNECTIONS_CEILING, 1 << 40)] {
            assert_eq!(ConnectionId::from(Token::from(id)), id);
            assert_eq!(ConnectionId::from(SubscriberId::from(id)), id);
            assert_eq!(ConnectionId::from(ReplyTo::from(id)), id);
        }
    }
}
