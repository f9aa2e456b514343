//! The catalog, and what a change to it sets in motion.
//!
//! What all threads of an engine share. Workers in memory, and the committer on disk, change stocks
//! through [`Market::change`]. It knows no requests and no store.
//!
//! Invariant: before a row changes, the snapshots being read have saved its quote; after it has
//! changed, its watchers are told.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use stockd_catalog::{Catalog, CatalogFull, Change, Changed, View};
use stockd_model::{Quote, Refusal, Symbol};

use crate::counters::Registry;
use crate::feed::{Directory, Watchers};
use crate::gate::Gate;
use crate::saved::SavedQuotes;
use crate::sources::Sources;

/// The catalog, and whom its changes concern.
#[derive(Debug, Default)]
pub(crate) struct Market {
    pub(crate) catalog: Catalog,
    pub(crate) registry: Registry,
    pub(crate) watchers: Arc<Watchers>,
    /// Who is subscribed to what.
    pub(crate) directory: Arc<Directory>,
    pub(crate) saved: SavedQuotes,
    /// Keeps writes and transactions apart.
    pub(crate) gate: Gate,
    /// The feeds that clients have opened.
    pub(crate) sources: Sources,
}

/// A [`Refusal`] on its way through the catalog, whose own error becomes one too.
pub(crate) struct Refused(pub(crate) Refusal);

impl Market {
    pub(crate) fn new(catalog: Catalog) -> Arc<Market> {
        Arc::new(Market { catalog, ..Market::default() })
    }

    /// Changes one stock, and tells those whom it concerns.
    pub(crate) fn change(
        &self,
        symbol: &Symbol,
        decide: impl FnOnce(Option<&Quote>) -> Result<Change, Refusal>,
    ) -> Result<Changed, Refused> {
        self.change_at(symbol, now_ns(), decide)
    }

    /// Makes a change of one stock that was decided before. A quote that is restored has its time, so the clock is not
    /// read for it.
    pub(crate) fn apply(&self, symbol: &Symbol, change: Change) -> Result<Changed, Refused> {
        let now_ns = if matches!(change, Change::Restore(_)) { 0 } else { now_ns() };
        self.change_at(symbol, now_ns, |_| Ok(change))
    }

    fn change_at(
        &self,
        symbol: &Symbol,
        now_ns: u64,
        decide: impl FnOnce(Option<&Quote>) -> Result<Change, Refusal>,
    ) -> Result<Changed, Refused> {
        let changed = self.catalog.change(symbol, now_ns, |quote| {
            let change = decide(quote).map_err(Refused)?;
            if !matches!(change, Change::Keep) {
                let place = || self.catalog.place(symbol);
                self.saved.save(symbol, place, quote, matches!(change, Change::Delist));
            }
            Ok::<_, Refused>(change)
        })?;
        if changed.is_any() {
            self.watchers.mark(symbol);
        }
        Ok(changed)
    }

    /// Changes one listed stock, and tells those whom it concerns: as [`View::edit`] of a view of this catalog.
    #[inline]
    pub(crate) fn edit(
        &self,
        view: &View<'_>,
        symbol: &Symbol,
        now_ns: u64,
        edit: impl FnOnce(&Quote, &mut Quote) -> Result<(), Refusal>,
    ) -> Result<Option<Quote>, Refusal> {
        let edited = view.edit(symbol, now_ns, |before, quote| {
            edit(before, quote)?;
            self.saved.save(symbol, || self.catalog.place(symbol), Some(before), false);
            Ok(())
        })?;
        if edited.is_some() {
            self.watchers.mark(symbol);
        }
        Ok(edited)
    }

    /// A quote that was read before, with its feed as it is now.
    pub(crate) fn resolved(&self, quote: Option<Quote>) -> Option<Quote> {
        let mut quote = quote?;
        self.catalog.feeds().resolve(&mut quote);
        Some(quote)
    }
}

impl From<CatalogFull> for Refused {
    fn from(full: CatalogFull) -> Refused {
        Refused(match full {
            CatalogFull::AtLimit { stocks_max } => Refusal::CatalogFull { stocks_max },
            CatalogFull::NoMemory { stocks, .. } => Refusal::NoMemory { stocks },
        })
    }
}

/// Unix time in nanoseconds, as in [`Quote::updated_ns`]; 0 if the clock is set before 1970.
pub fn now_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
