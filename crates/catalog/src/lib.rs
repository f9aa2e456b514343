//! The table of all quotes: lock-free lookups beside concurrent writers and growth.
//!
//! The [`Catalog`] owns the rows and the protocols by which readers and writers share them. It
//! knows no requests, connections or clocks: the time of a change is handed in.
//!
//! # What a concurrent reader may observe
//!
//! - **Whole quotes.** [`View::get`] returns all fields as one writer left them, never a mixture.
//! - **Versions never go back.** Once a thread has seen version *v* of a stock, it never sees an
//!   earlier one: not while the table grows, and not when the stock is delisted and listed again.
//! - **Its own writes, and all that happened before.** A change that has returned is seen by
//!   every lookup that begins after it, through any view.
//! - **No waiting but for one row.** A reader takes no lock. It retries only while the row that it
//!   asks for is being written, which takes nanoseconds (or until the writer runs again, if the
//!   system has paused it). Writes to other stocks, listings and growth never delay it.
//!
//! Writers that race on one stock take turns; the last one wins and no quote is torn. A change may
//! depend on the quote that it replaces ([`Catalog::change`]), so a trade never oversells.
//!
//! # How
//!
//! An open-addressed table with linear probing. What a lookup needs of a quote is one row of 64
//! bytes, a cache line, under a sequence counter (a *seqlock*); the rest, and the end of a long symbol,
//! is a side row, which is touched only where there is any (`stockd-rows` draws both). Rows lie in one
//! block without pointers, side rows in another.
//! When a block fills up a larger one is put behind it and each later write moves a few rows over,
//! so that no single write pays for the whole; nor for its memory, where a thread
//! [prepares it](Catalog::grow_ahead). docs/concurrency.md spells out the
//! orderings; the models in `src/models.rs` check them under every interleaving (run with
//! `--cfg loom`).
//!
//! ```
//! use stockd_catalog::{Catalog, CatalogFull, Change};
//! use stockd_model::{Quote, Symbol};
//!
//! let catalog = Catalog::new();
//! let apple: Symbol = "AAPL".parse()?;
//! let quote = Quote { price: "172.50".parse().ok(), ..Quote::new(apple) };
//! let listed = catalog.change::<CatalogFull>(&apple, 0, |_| Ok(Change::Put(quote)))?;
//! assert_eq!(listed.after, catalog.view().get(&apple));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

mod block;
mod change;
mod feed_states;
mod growth;
mod listing;
#[cfg(all(test, loom))]
mod models;
mod row;
mod scan;
mod sync;
mod table;

pub use change::{CatalogFull, Change, Changed};
pub use feed_states::FeedStates;
pub use growth::Growth;
pub use scan::Page;
pub use table::{BareQuote, Catalog, Options, Sought, View};
