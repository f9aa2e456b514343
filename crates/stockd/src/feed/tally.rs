//! What became of the writes of a feed.

use stockd_client::{Refused, Write, Written};
use stockd_model::limits::FEED_SKIPPED_NAMED_MAX;

/// What became of the writes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) listed: u64,
    pub(super) updated: u64,
    /// Refused since the server knows something newer.
    pub(super) late: u64,
    pub(super) refused: u64,
    pub(super) first_refused: Vec<String>,
    pub(super) reconnects: u64,
}

impl Tally {
    pub(super) fn record(&mut self, write: &Write, outcome: Result<Written, Refused>) {
        match outcome {
            Ok(Written::Listed) => self.listed += 1,
            Ok(_) => self.updated += 1,
            Err(refused) if refused.text.starts_with("LATE") => self.late += 1,
            Err(refused) => {
                self.refused += 1;
                if self.first_refused.len() < FEED_SKIPPED_NAMED_MAX {
                    self.first_refused.push(format!("'{}' was refused: {refused}", write.symbol()));
                }
            }
        }
    }
}
