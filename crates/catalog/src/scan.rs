//! Reading the whole catalog, piece by piece, while it changes.
//!
//! A place in the catalog is a hash: stocks are read in the order of their hashes, which is the
//! order of rows up to the shifts of probing, in a block of any size. So a place stays good while
//! the catalog grows. A stock that moves while a page is read is found in one block or the other,
//! since the page reads them in the order in which stocks move.

use std::vec;

use stockd_model::{Quote, Symbol};

use crate::block::Block;
use crate::row::Held;
use crate::table::Catalog;

/// A piece of the catalog, from [`Catalog::page`].
#[derive(Clone, Debug)]
pub struct Page {
    /// The quotes, in no useful order, each stock once.
    pub quotes: Vec<Quote>,
    /// The place to go on from, never 0; `None` at the end.
    pub next: Option<u64>,
}

impl Page {
    pub(crate) fn read(
        current: &Block,
        from: u64,
        rows: usize,
        hash: impl Fn(&Symbol) -> u64,
    ) -> Page {
        let next = current.hash_at(current.home(from).saturating_add(rows.max(1)));
        let in_page = |hash: u64| from <= hash && next.is_none_or(|next| hash < next);
        let last = next.map_or(u64::MAX, |next| next - 1);

        let mut quotes = Vec::new();
        let mut block = Some(current);
        let mut blocks = 0;
        while let Some(here) = block {
            let (first_row, last_row) = (here.home(from), here.home(last));
            for (index, row) in (first_row..).zip(here.rows_from(first_row)) {
                match row.get_any() {
                    // Beyond the last stock that could have been shifted out of the page.
                    Held::Empty if index > last_row => break,
                    Held::This(Some(quote)) if in_page(hash(&quote.symbol)) => quotes.push(quote),
                    _ => {}
                }
            }
            blocks += 1;
            block = here.next();
        }
        if blocks > 1 {
            // A stock that moved between the two looks was seen twice.
            quotes.sort_unstable_by(|a, b| (a.symbol, b.version).cmp(&(b.symbol, a.version)));
            quotes.dedup_by_key(|quote| quote.symbol);
        }
        Page { quotes, next }
    }
}

/// Every listed quote, from [`Catalog::iter`].
#[derive(Debug)]
pub struct Iter<'a> {
    catalog: &'a Catalog,
    page: vec::IntoIter<Quote>,
    /// Where the next page begins; `None` after the last.
    next: Option<u64>,
}

impl<'a> Iter<'a> {
    /// Rows read at once.
    const PAGE_ROWS: usize = 512;

    pub(crate) fn new(catalog: &'a Catalog) -> Iter<'a> {
        Iter { catalog, page: Vec::new().into_iter(), next: Some(0) }
    }
}

impl Iterator for Iter<'_> {
    type Item = Quote;

    fn next(&mut self) -> Option<Quote> {
        loop {
            if let Some(quote) = self.page.next() {
                return Some(quote);
            }
            let page = self.catalog.page(self.next?, Self::PAGE_ROWS);
            self.page = page.quotes.into_iter();
            self.next = page.next;
        }
    }
}
