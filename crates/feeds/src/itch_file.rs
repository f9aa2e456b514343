//! Files of ITCH as Nasdaq publishes them: each message behind its length, two bytes, big endian.
//!
//! Invariant: a length that is not that of the type of its message is an error; a length of 0 ends the session.

use crate::decode::{Decode, FeedError, Step};
use crate::itch;
use crate::pending::Pending;
use crate::read::be16;
use crate::{ItchFeed, Market};

/// A file of messages with their lengths.
#[derive(Debug)]
pub struct ItchFile {
    pending: Pending,
    feed: ItchFeed,
    is_over: bool,
}

const LENGTH_BYTES: usize = 2;

impl ItchFile {
    /// A file of the day that began at this Unix time in nanoseconds, if that is known.
    pub fn new(midnight_ns: Option<u64>) -> ItchFile {
        ItchFile { pending: Pending::default(), feed: ItchFeed::new(midnight_ns), is_over: false }
    }
}

impl Decode for ItchFile {
    fn fill(&mut self, bytes: &[u8]) {
        self.pending.fill(bytes);
    }

    fn step(&mut self, market: &mut Market) -> Result<Step, FeedError> {
        let offset = self.pending.offset();
        let bytes = self.pending.bytes();
        let Some(len) = be16(bytes, 0).map(usize::from) else {
            return Ok(Step::NeedsMore);
        };
        if self.is_over {
            let all = bytes.len();
            self.pending.take(all);
            return Ok(Step::NeedsMore);
        }
        if len == 0 {
            // A message without a length would look like a session without messages.
            if offset == 0
                && bytes.get(LENGTH_BYTES).is_some_and(|kind| itch::message_bytes(*kind).is_some())
            {
                let why = "the lengths before the messages are missing (they are 0); get the file as Nasdaq \
                           publishes it";
                return Err(FeedError::new(offset, why));
            }
            self.pending.take(LENGTH_BYTES);
            self.is_over = true;
            return Ok(Step::Took(None));
        }
        if offset == 0
            && let Some(&kind) = bytes.get(LENGTH_BYTES)
            && itch::message_bytes(kind).is_none()
        {
            let kind = char::from(kind);
            let why = format!("it is no ITCH 5.0: it begins with a message of type {kind:?}");
            return Err(FeedError::new(offset, why));
        }
        let wrong = |kind: u8| {
            let expected = itch::message_bytes(kind).unwrap_or_default();
            let kind = char::from(kind);
            let why = format!("a message of type {kind:?} has {len} bytes, and not {expected}");
            FeedError::new(offset, why)
        };
        let Some(message) = bytes.get(LENGTH_BYTES..LENGTH_BYTES + len) else {
            // A length that is wrong is not waited for.
            return match bytes.get(LENGTH_BYTES) {
                Some(kind) if itch::message_bytes(*kind).is_some_and(|it| it != len) => {
                    Err(wrong(*kind))
                }
                _ => Ok(Step::NeedsMore),
            };
        };
        let took = self.feed.apply(message, market).map_err(wrong)?;
        self.pending.take(LENGTH_BYTES + len);
        Ok(Step::Took(took))
    }

    fn end(&mut self) -> Result<(), FeedError> {
        match self.pending.bytes().len() {
            0 => Ok(()),
            bytes if self.is_over => {
                self.pending.take(bytes);
                Ok(())
            }
            bytes => Err(FeedError::cut(self.pending.offset(), bytes)),
        }
    }
}
