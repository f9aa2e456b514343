//! Reading the whole catalog page by page while it changes.
//!
//! A *place* in the catalog is a hash. Stocks are read in the order of their hashes, which is the
//! order of rows in a block of any size, but for the shifts of probing. So a place stays good while
//! the catalog grows.
//!
//! Invariant: a page misses no stock that is listed throughout. One that moves meanwhile is found
//! in one of the two blocks, because a page reads them in the order in which stocks move.

use stockd_model::{Quote, Symbol};

use crate::block::Block;
use crate::row::{self, Held};
use crate::table::Catalog;

/// A page of the catalog, from [`Catalog::page`].
#[derive(Clone, Debug)]
pub struct Page {
    /// The quotes, in no useful order, each stock once.
    pub quotes: Vec<Quote>,
    /// The place to go on from, never 0; `None` at the end.
    pub next: Option<u64>,
}

impl Catalog {
    /// The quotes in about `rows` rows from a place in the catalog, and the place to go on from.
    /// Place 0 is the beginning. Over a whole round every stock that was listed throughout appears,
    /// however much the catalog changes or grows in between.
    pub fn page(&self, from: u64, rows: usize) -> Page {
        let view = self.view();
        let current: &Block = &view.block;
        let next = current.hash_at(current.home(from).saturating_add(rows.max(1)));
        let in_page = |hash: u64| from <= hash && next.is_none_or(|next| hash < next);
        let last = next.map_or(u64::MAX, |next| next - 1);

        let mut quotes = Vec::new();
        let mut block = Some(current);
        let mut blocks = 0;
        while let Some(here) = block {
            let (first_row, last_row) = (here.home(from), here.home(last));
            for (index, place) in (first_row..).zip(here.places_from(first_row)) {
                match row::get_any(place) {
                    // No stock of this page was shifted further than to here.
                    Held::Empty if index > last_row => break,
                    Held::This(Some(mut quote)) if in_page(self.hash(&quote.symbol)) => {
                        self.feeds().resolve(&mut quote);
                        quotes.push(quote);
                    }
                    _ => {}
                }
            }
            blocks += 1;
            block = here.next();
        }
        if blocks > 1 {
            // A stock that moved meanwhile was seen in both blocks: keep its later version.
            quotes.sort_unstable_by(|a, b| (a.symbol, b.version).cmp(&(b.symbol, a.version)));
            quotes.dedup_by_key(|quote| quote.symbol);
        }
        Page { quotes, next }
    }

    /// The place of a stock in the order of [pages](Catalog::page), listed or not. A page that begins
    /// behind it does not show the stock.
    pub fn place(&self, symbol: &Symbol) -> u64 {
        self.hash(symbol)
    }
}
