//! Where a quote comes from: the feed that wrote it, and how that feed is.
//!
//! A quote is copied often, so it does not carry the text of a name but its number in a table of this
//! process. Names are kept until the process ends, and there are at most [`FEEDS_MAX`] of them.
//!
//! Invariant: a [`FeedName`] has a text, the same as long as the process lives.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};

use crate::escaped;
use crate::limits::{EXCERPT_BYTES_MAX, FEED_NAME_BYTES_MAX, FEEDS_MAX};

/// The name of a feed: 1 to 64 letters, digits and marks of ASCII.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedName(NonZeroU16);

/// How a feed is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FeedState {
    /// Nothing was heard of it for longer than it said that it would be silent, or since the server
    /// started.
    #[default]
    Stale,
    /// It writes.
    Live,
    /// It lives, and has nothing to write.
    Quiet,
    /// It lives, and has missed something.
    Gap,
    /// It has come to its end.
    Ended,
}

/// The feed of a quote, as it was when the quote was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuoteFeed {
    /// Its name.
    pub name: FeedName,
    /// How it is.
    pub state: FeedState,
    /// Whether its stocks are halted while it is stale.
    pub halts_when_stale: bool,
    /// Whether its stocks are halted now.
    pub is_halting: bool,
    /// How often its state has changed since the server started.
    pub changes: u32,
}

/// A text is no name of a feed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedNameError {
    /// It has no letters, too many, or others than it may.
    #[error(
        "'{text}' is not a name of a feed: use 1 to {FEED_NAME_BYTES_MAX} letters, digits and . _ : / @ + -"
    )]
    Invalid {
        /// The text, escaped and shortened.
        text: String,
    },
    /// There are as many names as there may be.
    #[error(
        "{FEEDS_MAX} names of feeds were used since the server started, the limit; use one of them again, or restart the server"
    )]
    TooMany,
}

/// The texts, at the places of their numbers less one.
static TEXTS: [OnceLock<Box<str>>; FEEDS_MAX] = [const { OnceLock::new() }; FEEDS_MAX];

/// The numbers of the texts.
static NUMBERS: LazyLock<RwLock<HashMap<&'static str, FeedName>>> = LazyLock::new(RwLock::default);

impl FeedName {
    /// A feed whose name could not be kept, since there were too many: `?`. What is known of others
    /// is never kept under it.
    pub const UNKNOWN: FeedName = FeedName(NonZeroU16::new(FeedName::NUMBER_MAX).unwrap());

    /// The highest number of a name.
    pub const NUMBER_MAX: u16 = (1 << 11) - 1;

    /// Checks that a text can be a name.
    ///
    /// # Errors
    ///
    /// [`FeedNameError::Invalid`].
    pub fn check(text: &[u8]) -> Result<&str, FeedNameError> {
        let is_mark = |byte: &u8| b"._:/@+-".contains(byte);
        let fits = (1..=FEED_NAME_BYTES_MAX).contains(&text.len())
            && text.iter().all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte));
        let invalid = || FeedNameError::Invalid {
            text: escaped(text).at_most(EXCERPT_BYTES_MAX).to_string(),
        };
        str::from_utf8(text).ok().filter(|_| fits).ok_or_else(invalid)
    }

    /// The name of this text, which is kept from now on.
    ///
    /// # Errors
    ///
    /// [`FeedNameError`] when it can be no name, or there are too many.
    pub fn new(text: &str) -> Result<FeedName, FeedNameError> {
        if let Some(name) = FeedName::find(text) {
            return Ok(name);
        }
        FeedName::check(text.as_bytes())?;
        // A name is complete or not there at all, so a poisoned lock guards good names.
        let mut numbers = NUMBERS.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = numbers.get(text) {
            return Ok(*name);
        }
        let place = TEXTS.get(numbers.len()).ok_or(FeedNameError::TooMany)?;
        let text: &'static str = place.get_or_init(|| text.into());
        let number = u16::try_from(numbers.len() + 1).ok().and_then(NonZeroU16::new);
        let name = FeedName(number.ok_or(FeedNameError::TooMany)?);
        numbers.insert(text, name);
        Ok(name)
    }

    /// The name of this text, if it is kept.
    pub fn find(text: &str) -> Option<FeedName> {
        NUMBERS.read().unwrap_or_else(PoisonError::into_inner).get(text).copied()
    }

    /// The name with this number, if it is one that a name has.
    #[inline]
    pub fn from_number(number: u16) -> Option<FeedName> {
        NonZeroU16::new(number).filter(|number| number.get() <= FeedName::NUMBER_MAX).map(FeedName)
    }

    /// Its number in this process, from 1 to [`NUMBER_MAX`](FeedName::NUMBER_MAX).
    #[inline]
    pub fn number(self) -> u16 {
        self.0.get()
    }

    /// All names that are kept, those first that came first.
    pub fn all() -> impl Iterator<Item = FeedName> {
        (1..)
            .map_while(FeedName::from_number)
            .zip(&TEXTS)
            .map_while(|(name, text)| text.get().is_some().then_some(name))
    }

    /// Its text.
    pub fn as_str(self) -> &'static str {
        let place = usize::from(self.number()) - 1;
        TEXTS.get(place).and_then(OnceLock::get).map_or("?", |text| text)
    }
}

impl fmt::Display for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedName({})", self.as_str())
    }
}

impl FeedState {
    /// All states.
    pub const ALL: [FeedState; 5] =
        [FeedState::Stale, FeedState::Live, FeedState::Quiet, FeedState::Gap, FeedState::Ended];

    /// The state as it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            FeedState::Stale => "stale",
            FeedState::Live => "live",
            FeedState::Quiet => "quiet",
            FeedState::Gap => "gap",
            FeedState::Ended => "ended",
        }
    }
}

impl fmt::Display for FeedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text names no state of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no state of a feed: those are live, quiet, stale, gap and ended")]
pub struct NoFeedState;

impl FromStr for FeedState {
    type Err = NoFeedState;

    fn from_str(text: &str) -> Result<FeedState, NoFeedState> {
        FeedState::ALL.into_iter().find(|state| state.as_str() == text).ok_or(NoFeedState)
    }
}

impl QuoteFeed {
    /// A feed of which no more is known than its name, and which is therefore stale.
    #[inline]
    pub const fn of(name: FeedName) -> QuoteFeed {
        QuoteFeed {
            name,
            state: FeedState::Stale,
            halts_when_stale: false,
            is_halting: false,
            changes: 0,
        }
    }

    /// What a server says of the feed of a quote: its name and its state. A name that cannot be kept
    /// is [unknown](FeedName::UNKNOWN), so that the state is.
    pub fn told(name: &str, state: FeedState) -> QuoteFeed {
        let name = FeedName::new(name).unwrap_or(FeedName::UNKNOWN);
        QuoteFeed { state, ..QuoteFeed::of(name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let name = FeedName::new("nasdaq/itch-5.0@a").unwrap();
        assert_eq!(FeedName::new("nasdaq/itch-5.0@a"), Ok(name));
        assert_eq!(FeedName::find("nasdaq/itch-5.0@a"), Some(name));
        assert_eq!(FeedName::from_number(name.number()), Some(name));
        assert_eq!(name.to_string(), "nasdaq/itch-5.0@a");
        assert_ne!(FeedName::new("nasdaq/itch-5.0@b"), Ok(name));
        assert!(FeedName::all().any(|other| other == name));
        assert_eq!((FeedName::UNKNOWN.as_str(), FeedName::find("?")), ("?", None));
        assert_eq!(FeedName::from_number(0), None);
        assert_eq!(size_of::<Option<QuoteFeed>>(), 12);
    }

    #[test]
    fn a_name_needs_no_escape_anywhere() {
        for text in ["", "a b", "a\"", "a\\", "é", "a\n", "?", &"x".repeat(65)] {
            let error = FeedName::new(text).unwrap_err();
            assert!(matches!(error, FeedNameError::Invalid { .. }), "{text}: {error}");
        }
        assert!(FeedName::check("x".repeat(64).as_bytes()).is_ok());
    }

    #[test]
    fn every_state_reads_back_what_it_writes() {
        for state in FeedState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        assert_eq!("LIVE".parse::<FeedState>(), Err(NoFeedState));
        let unknown = QuoteFeed::told("not a name", FeedState::Live);
        assert_eq!((unknown.name, unknown.state), (FeedName::UNKNOWN, FeedState::Live));
    }
}
