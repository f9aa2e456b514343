//! IEX-TP: messages in segments, numbered within a session.
//!
//! Source: *IEX Transport Specification*, version 1.25: version (1 byte), reserved (1), protocol of the messages
//! (2), channel (4), session (4), bytes of the payload (2), number of messages (2), offset in the stream (8), number
//! of the first message (8), time (8), then each message behind its length (2); little endian.
//!
//! Invariant: that of [`Sequence`].

use crate::read::{byte, le16, le32, le64};
use crate::sequence::{Block, Sequence};
use crate::{Cause, Market};

/// Where the session is.
#[derive(Debug, Default)]
pub(crate) struct IexTp(Sequence<u32>);

const HEADER_BYTES: usize = 40;
const VERSION: u8 = 1;

/// TOPS 1.5 and 1.6.
const TOPS: [u16; 2] = [0x8002, 0x8003];

impl IexTp {
    /// Whether a payload looks like such a segment.
    pub(crate) fn fits(payload: &[u8]) -> bool {
        let len = le16(payload, 12).map(usize::from);
        byte(payload, 0) == Some(VERSION)
            && len.is_some_and(|len| HEADER_BYTES + len == payload.len())
            && le16(payload, 2).is_some_and(|protocol| protocol & 0xfff0 == 0x8000)
    }

    /// Hands on the messages of a segment of TOPS that are new.
    pub(crate) fn segment(
        &mut self,
        payload: &[u8],
        market: &mut Market,
        each: impl FnMut(&[u8], &mut Market),
    ) {
        let (Some(protocol), Some(session), Some(count), Some(first)) =
            (le16(payload, 2), le32(payload, 8), le16(payload, 14), le64(payload, 24))
        else {
            return;
        };
        if !TOPS.contains(&protocol) {
            return market
                .skip(Cause::OtherPacket, || format!("IEX-TP with protocol {protocol:#06x}"));
        }
        let block = Block { payload, begin: HEADER_BYTES, len_at: le16, first, count };
        self.0.take(session, block, market, each);
    }
}
