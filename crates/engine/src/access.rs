//! What a client may see.
//!
//! Every use of the engine (lookups, browsing, counting, snapshots) is given the access of the
//! client that it is for, and shows nothing that this access does not read. Who the client is, and
//! how it proved that, is not known here. Writes are not restricted yet.
//!
//! Invariant: a stock that an access does not read looks to it exactly like one that is not listed.

use stockd_model::{Quote, Request, Symbol, SymbolError};

/// What a client may see. Today that is always everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Everything.
    #[default]
    All,
    /// Nothing. Tests use it to show that every use of the engine asks.
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

    /// The request as it is executed for this access: a lookup of a stock that it does not read
    /// becomes a lookup of a name that no stock has.
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
