//! Messages that are numbered within a session, and come in packets that may be lost, doubled or late.
//!
//! It knows neither what a message means nor how a packet says its numbers.
//!
//! Invariant: a message that had come before is handed on once; missing ones are counted.

use crate::{Cause, Market};

/// How far a session has come.
#[derive(Debug, Default)]
pub(crate) struct Sequence<Session> {
    session: Session,
    /// The number of the next message; 0 before the first packet.
    next: u64,
}

/// The messages of one packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    pub(crate) payload: &'a [u8],
    /// Where the length of the first message stands.
    pub(crate) begin: usize,
    /// Reads a length of two bytes, behind which the message stands.
    pub(crate) len_at: fn(&[u8], usize) -> Option<u16>,
    /// The number of the first message.
    pub(crate) first: u64,
    pub(crate) count: u16,
}

impl<Session: PartialEq> Sequence<Session> {
    /// Hands on the messages of a packet that are new.
    pub(crate) fn take(
        &mut self,
        session: Session,
        block: Block<'_>,
        market: &mut Market,
        mut each: impl FnMut(&[u8], &mut Market),
    ) {
        let Block { payload, begin: mut at, len_at, first, count } = block;
        if session != self.session {
            (self.session, self.next) = (session, 0);
        }
        if self.next != 0 && first > self.next {
            market.gap(first - self.next);
        }
        for number in (first..).take(count.into()) {
            let Some(len) = len_at(payload, at).map(usize::from) else { break };
            let Some(message) = payload.get(at + 2..at + 2 + len) else { break };
            at += 2 + len;
            if self.next != 0 && number < self.next {
                market.skip(Cause::Duplicate, || format!("message {number}"));
                continue;
            }
            each(message, market);
        }
        self.next = self.next.max(first.saturating_add(count.into()));
    }
}
