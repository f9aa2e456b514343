//! What is left out for a client that may not read everything.
//!
//! Every use of the engine (lookups, writes, browsing, counting, snapshots, subscriptions) is made with
//! the [`Access`] of the client that it is for, and does nothing that this does not allow. Who the client
//! is, and how it showed that, is not known here.
//!
//! Invariant: a stock that an access does not read is refused or left out whether it is listed or not.

use stockd_access::Access;
use stockd_model::Quote;

/// Leaves out what an access does not read.
pub(crate) fn retain(access: &Access, quotes: &mut Vec<Quote>) {
    if !access.reads_all() {
        quotes.retain(|quote| access.reads(&quote.symbol));
    }
}
