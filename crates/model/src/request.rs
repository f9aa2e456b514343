use crate::{Price, Status, Symbol, SymbolError, Volume};

/// What a client asks of the engine, whichever way it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// What is the price now? A name that no stock can have is a lookup too: it is answered as
    /// not found.
    Lookup(Result<Symbol, SymbolError>),
    /// List the stock, or update the given fields of a listed one, all at once. Listing needs a
    /// price; volume is then 0 and status trading unless given.
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
    /// The new volume.
    pub volume: Option<Volume>,
    /// The new status.
    pub status: Option<Status>,
}
