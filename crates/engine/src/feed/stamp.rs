//! What a feed has seen of one stock, as something that only rises.
//!
//! Versions alone do not order a listing, its end and the next listing. All reads of a feed are
//! made by one thread, which never sees a row go back; so the end of a listing comes right behind the
//! last version that was seen of it. And a quote that stays as it is tells something new when the state of
//! the feed changes that it comes from.

use stockd_model::limits::VERSION_MAX;

/// A version and whether it is listed: twice the version, and one more once it was delisted. Then how often
/// the state of its feed has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    serial: u64,
    changes: u32,
}

const _: () = assert!(VERSION_MAX < u64::MAX / 2);

impl Stamp {
    /// Of a stock that has not been seen listed.
    pub(crate) const NEVER: Stamp = Stamp { serial: 0, changes: 0 };

    /// Of a stock that is listed at this version, and has no feed.
    pub(crate) const fn listed(version: u64) -> Stamp {
        Stamp { serial: 2 * version, changes: 0 }
    }

    /// The stamp after this one, when the row is read and is listed at this version, its feed having changed this
    /// often; or not listed at all.
    pub(crate) fn then(self, listed: Option<(u64, u32)>) -> Stamp {
        match listed {
            Some((version, changes)) => Stamp { changes, ..Stamp::listed(version) },
            None if self.is_listed() => Stamp { serial: self.serial + 1, changes: 0 },
            None => self,
        }
    }

    pub(crate) fn is_listed(self) -> bool {
        self.serial > 0 && self.serial.is_multiple_of(2)
    }

    /// Versions between this and a later one, which nobody was told.
    pub(crate) fn passed_over(self, later: Stamp) -> u64 {
        match self.is_listed() && later.is_listed() {
            true => (later.serial / 2).saturating_sub(self.serial / 2 + 1),
            false => 0,
        }
    }
}
