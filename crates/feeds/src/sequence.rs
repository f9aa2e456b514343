//! Messages that are numbered within a session, and come in packets that may be lost, doubled or late.
//!
//! It knows neither what a message means nor how a packet says its numbers.
//!
//! Invariant: a message that had come before is handed on once; missing ones are counted, those too that a packet announces
//! and does not have.

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
        for nth in 0..u64::from(count) {
            let number = first.saturating_add(nth);
            let len = len_at(payload, at).map(usize::from);
            let Some(message) = len.and_then(|len| payload.get(at + 2..at + 2 + len)) else {
                market.gap(u64::from(count) - nth);
                break;
            };
            at += 2 + message.len();
            if self.next != 0 && number < self.next {
                market.skip(Cause::Duplicate, || format!("message {number}"));
                continue;
            }
            each(message, market);
        }
        self.next = self.next.max(first.saturating_add(count.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::be16;
    use crate::{Counts, Rules};

    /// Packets of a session, each with the number of its first message, how many it announces, and the messages in it. What
    /// was handed on, and what was counted.
    fn take(packets: &[(u64, u16, &[&[u8]])]) -> (Vec<Vec<u8>>, Counts) {
        let (mut sequence, mut market) = (Sequence::<u8>::default(), Market::new(Rules::default()));
        let mut taken = Vec::new();
        for &(first, count, messages) in packets {
            let with_length = |it: &&[u8]| [&(it.len() as u16).to_be_bytes()[..], it].concat();
            let payload = messages.iter().map(with_length).collect::<Vec<_>>().concat();
            let block = Block { payload: &payload, begin: 0, len_at: be16, first, count };
            sequence.take(1, block, &mut market, |message, _| taken.push(message.to_vec()));
        }
        (taken, market.counts().clone())
    }

    #[test]
    fn messages_come_once_and_missing_ones_are_counted() {
        let (taken, counts) =
            take(&[(1, 2, &[b"a", b"b"]), (2, 2, &[b"b", b"c"]), (6, 1, &[b"f"])]);
        assert_eq!(taken, [b"a", b"b", b"c", b"f"]);
        assert_eq!((counts.gaps, counts.missing, counts.skipped_for(Cause::Duplicate)), (1, 2, 1));
    }

    #[test]
    fn what_a_packet_announces_and_does_not_have_is_missing() {
        let (taken, counts) = take(&[(1, 5, &[b"a", b"b"]), (6, 1, &[b"f"])]);
        assert_eq!(taken, [b"a", b"b", b"f"]);
        assert_eq!((counts.gaps, counts.missing), (1, 3));
    }

    #[test]
    fn the_last_numbers_are_no_trap() {
        let (taken, counts) = take(&[(u64::MAX, 3, &[b"a", b"b", b"c"]), (1, 1, &[b"d"])]);
        assert_eq!(taken.first().map(Vec::as_slice), Some(&b"a"[..]));
        assert!(counts.skipped_for(Cause::Duplicate) > 0);
    }
}
