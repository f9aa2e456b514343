//! What a feed has seen of one stock, as a number that only rises.
//!
//! Versions alone do not order a listing, its end and the next listing. All reads of a feed are
//! made by one thread, which never sees a row go back; so the end of a listing comes right behind the
//! last version that was seen of it.

use stockd_model::limits::VERSION_MAX;

/// A version and whether it is listed: twice the version, and one more once it was delisted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

const _: () = assert!(VERSION_MAX < u64::MAX / 2);

impl Stamp {
    /// Of a stock that has not been seen listed.
    pub(crate) const NEVER: Stamp = Stamp(0);

    /// Of a stock that is listed at this version.
    pub(crate) const fn listed(version: u64) -> Stamp {
        Stamp(2 * version)
    }

    /// The stamp after this one, when the row is read and is listed at this version, or not at all.
    pub(crate) fn then(self, version: Option<u64>) -> Stamp {
        match version {
            Some(version) => Stamp::listed(version),
            None => Stamp(self.0 + u64::from(self.is_listed())),
        }
    }

    pub(crate) fn is_listed(self) -> bool {
        self.0 > 0 && self.0.is_multiple_of(2)
    }

    /// Versions between this and a later one, which nobody was told.
    pub(crate) fn passed_over(self, later: Stamp) -> u64 {
        match self.is_listed() && later.is_listed() {
            true => (later.0 / 2).saturating_sub(self.0 / 2 + 1),
            false => 0,
        }
    }
}
