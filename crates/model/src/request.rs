use std::str::FromStr;

use crate::{Price, Status, Symbol, SymbolError, Volume, VolumeError};

/// What a client asks of the engine, whichever way it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// What is the price now? A name that no stock can have is a lookup too: it is answered as
    /// not found.
    Lookup(Result<Symbol, SymbolError>),
    /// List the stock, or update the given fields of a listed one, all at once. Listing needs a
    /// price; the status is then trading unless given, and what else is not given is absent.
    Set(Symbol, Fields),
    /// Update the given fields of a stock that must be listed.
    Update(Symbol, Fields),
    /// Add shares to the volume of a listed stock that trades, or take them where negative.
    Trade(Symbol, i64),
    /// Remove the stock from the catalog.
    Delist(Symbol),
}

/// The fields of a quote that a write gives; the others stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The new price.
    pub price: Option<Price>,
    /// The new volume, or that there is none.
    pub volume: Edit<Volume>,
    /// The new status.
    pub status: Option<Status>,
}

/// What a write does with a field that a quote need not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// Leaves it as it is.
    #[default]
    Keep,
    /// Takes it away.
    Clear,
    /// Gives it this value.
    Set(T),
}

impl<T> Edit<T> {
    /// The field after this, given what it was before.
    pub fn outcome(self, before: Option<T>) -> Option<T> {
        match self {
            Edit::Keep => before,
            Edit::Clear => None,
            Edit::Set(value) => Some(value),
        }
    }

    /// Whether it gives the field a value.
    pub fn sets(&self) -> bool {
        matches!(self, Edit::Set(_))
    }
}

/// Makes a field exactly this: a value, or none.
impl<T> From<Option<T>> for Edit<T> {
    fn from(value: Option<T>) -> Edit<T> {
        value.map_or(Edit::Clear, Edit::Set)
    }
}

impl Edit<Volume> {
    /// Reads a volume, or the word that takes it away: `none`, as in `HSET X volume none`.
    ///
    /// # Errors
    ///
    /// As of [`Volume::parse`].
    pub fn parse(text: &[u8]) -> Result<Edit<Volume>, VolumeError> {
        match text.trim_ascii() {
            b"none" => Ok(Edit::Clear),
            text => Volume::parse(text).map(Edit::Set),
        }
    }
}

impl FromStr for Edit<Volume> {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Edit<Volume>, VolumeError> {
        Edit::parse(text.as_bytes())
    }
}
