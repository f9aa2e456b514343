//! What a change makes of a quote, and why it may be impossible.
//!
//! Pure: it knows no rows and no locks. A change is applied to a row, or to what a row will be once
//! the disk has it; both ask [`Change::outcome`], so the rule stands here alone.
//!
//! Invariant: a change that changes anything raises the version of the stock.

use stockd_model::{Quote, Symbol};

/// What to do with a stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// List it, or give it what this quote says, but for the version, which goes up by one, and the time
    /// of the change.
    Put(Quote),
    /// Give it exactly this quote, with the version and the time in it. The version must be above
    /// that of any quote the stock has had.
    Restore(Quote),
    /// Remove it; its version goes up by one. A stock that is not listed stays as it is.
    Delist,
    /// Remove it, as it was removed elsewhere at this version, which must be above that of any quote it
    /// has had. A stock that is not listed and has a row has reached this version, too.
    DelistAt(u64),
    /// Leave it as it is.
    Keep,
}

/// The quote of a stock before and after a change; `None` where it was not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The quote that was replaced.
    pub before: Option<Quote>,
    /// The quote that replaced it.
    pub after: Option<Quote>,
}

impl Changed {
    /// Whether anything has changed: the version, or whether the stock is listed.
    #[inline]
    pub fn is_any(&self) -> bool {
        let version = |quote: &Option<Quote>| quote.as_ref().map(|quote| quote.version);
        version(&self.before) != version(&self.after)
    }
}

/// A stock could not be listed. Everything else goes on as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogFull {
    /// The stock limit is reached.
    #[error("the catalog is full: {stocks_max} stocks are listed, the limit; delist some first")]
    AtLimit {
        /// The limit.
        stocks_max: usize,
    },
    /// The system has no memory for a larger table.
    #[error("the catalog cannot grow beyond {stocks} stocks: no memory for {rows} rows")]
    NoMemory {
        /// Stocks listed now.
        stocks: usize,
        /// Rows of 64 bytes that were asked for.
        rows: usize,
    },
}

impl Change {
    /// The quote of a stock after this change; `None` when it is not listed then.
    ///
    /// `before` is its quote now and `version` its latest version, which a stock has even while it
    /// is not listed. `now_ns` becomes the time of the update, unless the last one was later.
    #[inline]
    pub fn outcome(
        &self,
        symbol: &Symbol,
        before: Option<&Quote>,
        version: u64,
        now_ns: u64,
    ) -> Option<Quote> {
        match *self {
            Change::Put(quote) => {
                // The clock may have been set back.
                let updated_ns = before.map_or(now_ns, |before| now_ns.max(before.updated_ns));
                Some(Quote { symbol: *symbol, version: version + 1, updated_ns, ..quote })
            }
            Change::Restore(quote) => Some(quote),
            Change::Delist | Change::DelistAt(_) => None,
            Change::Keep => before.copied(),
        }
    }
}
