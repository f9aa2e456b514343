use std::borrow::Cow;
use std::fmt;

use crate::Market;

/// A feed that is being decoded. Bytes go in as they come; each step applies one message.
pub trait Decode {
    /// Takes the next bytes of the feed. Call it when [`step`](Decode::step) needs more.
    fn fill(&mut self, bytes: &[u8]);

    /// Decodes one message and applies it.
    ///
    /// # Errors
    ///
    /// [`FeedError`] when the bytes are not what the format says. What came before was applied; further steps
    /// fail too.
    fn step(&mut self, market: &mut Market) -> Result<Step, FeedError>;

    /// Says that no further bytes come, after the last step needed more.
    ///
    /// # Errors
    ///
    /// [`FeedError`] when the feed ends within a message.
    fn end(&mut self) -> Result<(), FeedError>;
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the message has not come whole.
    NeedsMore,
    /// It applied a message of this time (Unix time in nanoseconds), if that is known, or passed over
    /// something that is none.
    Took(Option<u64>),
}

/// Why a feed cannot be decoded any further, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FeedError {
    /// Where the message begins, in bytes from the beginning of the feed, after decompression.
    pub offset: u64,
    /// What is wrong.
    pub why: Cow<'static, str>,
}

impl FeedError {
    pub(crate) fn new(offset: u64, why: impl Into<Cow<'static, str>>) -> FeedError {
        FeedError { offset, why: why.into() }
    }

    /// The feed ends within a message of which these bytes are there.
    pub(crate) fn cut(offset: u64, bytes: usize) -> FeedError {
        FeedError::new(offset, format!("the feed ends within a message, {bytes} bytes into it"))
    }
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.why)
    }
}
