//! What whoever asks may see.
//!
//! Every door of the engine (lookups, browsing, counting, snapshots) is given the access of whoever
//! asks, and shows nothing that this access does not read. It knows neither who that is nor how
//! they proved it.
//!
//! Invariant: a stock that an access does not read looks to it exactly like one that is not listed.

use stockd_model::{Quote, Request, Symbol, SymbolError};

/// What whoever asks may see and do. Today that is always everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Everything.
    #[default]
    All,
    /// Nothing: shows in tests that every door asks.
    #[cfg(test)]
    Nothing,
}

impl Access {
    /// Whether it reads the quote of this stock.
    #[inline(always)]
    pub fn reads(&self, _symbol: &Symbol) -> bool {
        self.reads_all()
    }

    /// Whether it reads the quote of every stock, so that nothing has to be left out.
    #[inline(always)]
    pub fn reads_all(&self) -> bool {
        match self {
            Access::All => true,
            #[cfg(test)]
            Access::Nothing => false,
        }
    }

    /// Leaves out what it does not read.
    pub(crate) fn retain(&self, quotes: &mut Vec<Quote>) {
        if !self.reads_all() {
            quotes.retain(|quote| self.reads(&quote.symbol));
        }
    }

    /// The request as it is executed for this access: a lookup of what it does not read is one of a
    /// name that no stock has.
    #[inline(always)]
    pub(crate) fn limit(&self, request: Request) -> Request {
        match request {
            Request::Lookup(Ok(symbol)) if !self.reads(&symbol) => {
                Request::Lookup(Err(SymbolError::Empty))
            }
            request => request,
        }
    }
}
