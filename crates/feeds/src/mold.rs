//! MoldUDP64: messages in packets, numbered within a session.
//!
//! Source: *MoldUDP64 Protocol Specification*, Nasdaq: session (10 bytes), number of the first message (8), number
//! of messages (2), then each behind its length (2); big endian. 0 messages are a heartbeat, 0xFFFF the end.
//!
//! Invariant: that of [`Sequence`].

use crate::Market;
use crate::read::{array, be16, be64};
use crate::sequence::{Block, Sequence};

/// Where the session is.
#[derive(Debug, Default)]
pub(crate) struct Mold(Sequence<[u8; 10]>);

const HEADER_BYTES: usize = 20;
const END: u16 = 0xffff;

impl Mold {
    /// Whether a payload looks like such a packet.
    pub(crate) fn fits(payload: &[u8]) -> bool {
        let Some(count) = be16(payload, 18) else { return false };
        let mut at = HEADER_BYTES;
        if matches!(count, 0 | END) {
            return payload.len() == HEADER_BYTES;
        }
        for _ in 0..count {
            let Some(len) = be16(payload, at) else { return false };
            at += 2 + usize::from(len);
        }
        at == payload.len()
    }

    /// Hands on the messages of a packet that are new.
    pub(crate) fn packet(
        &mut self,
        payload: &[u8],
        market: &mut Market,
        each: impl FnMut(&[u8], &mut Market),
    ) {
        let (Some(session), Some(first), Some(count)) =
            (array(payload, 0), be64(payload, 10), be16(payload, 18))
        else {
            return;
        };
        let count = if count == END { 0 } else { count };
        let block = Block { payload, begin: HEADER_BYTES, len_at: be16, first, count };
        self.0.take(session, block, market, each);
    }
}
