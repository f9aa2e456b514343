//! The outcomes of many writes.

use std::fmt;

use stockd_client::{Refused, Write, Written};

/// Refused writes that are shown one by one, at most. The others are counted.
const REFUSED_SHOWN_MAX: usize = 10;

/// The number of writes by outcome.
#[derive(Debug, Default)]
pub(crate) struct WriteTally {
    listed: u64,
    updated: u64,
    delisted: u64,
    /// Stocks to delist that were not listed.
    not_listed: u64,
    /// Stocks that were as they should be, and were not written.
    unchanged: u64,
    refused: u64,
    first_refused: Vec<String>,
}

impl WriteTally {
    /// Adds one write and its outcome.
    pub(crate) fn record(&mut self, write: &Write, outcome: Result<Written, Refused>) {
        match outcome {
            Ok(Written::Listed) => self.listed += 1,
            Ok(Written::Updated | Written::Traded(_)) => self.updated += 1,
            Ok(Written::Delisted) => self.delisted += 1,
            Ok(Written::NotListed) => self.not_listed += 1,
            Err(refused) => {
                self.refused += 1;
                if self.first_refused.len() < REFUSED_SHOWN_MAX {
                    self.first_refused.push(format!("'{}' was refused: {refused}", write.symbol()));
                }
            }
        }
    }

    /// Adds stocks that were as they should be.
    pub(crate) fn record_unchanged(&mut self, stocks: usize) {
        self.unchanged += stocks as u64;
    }

    /// Writes recorded, and those that were not needed.
    pub(crate) fn writes(&self) -> u64 {
        let WriteTally { listed, updated, delisted, not_listed, unchanged, refused, .. } = self;
        listed + updated + delisted + not_listed + unchanged + refused
    }

    /// Writes that the server refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// The first refused writes and why, a line each.
    pub(crate) fn first_refused(&self) -> &[String] {
        &self.first_refused
    }
}

/// As in `3 listed, 5 updated`; what did not happen is left out, but for these two.
impl fmt::Display for WriteTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listed, {} updated", self.listed, self.updated)?;
        let others = [
            (self.delisted, "delisted"),
            (self.not_listed, "to delist that were not listed"),
            (self.unchanged, "unchanged"),
            (self.refused, "refused"),
        ];
        others
            .iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}
