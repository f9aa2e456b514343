//! What a commit does to one stock.
//!
//! It knows neither files nor formats.

use stockd_model::{Quote, Symbol};

/// What a commit does to one stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The stock has this quote, whatever it had before.
    Put(Quote),
    /// The stock is no longer listed.
    Remove(Symbol),
}

impl Write {
    /// The stock that is written.
    pub fn symbol(&self) -> &Symbol {
        match self {
            Write::Put(quote) => &quote.symbol,
            Write::Remove(symbol) => symbol,
        }
    }
}
