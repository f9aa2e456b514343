//! Every kind of rude client: one table, by name.
//!
//! Each says what was found with it when nothing but bytes was bounded, on a million stocks with
//! one worker, so that a reader knows what it is there for.

mod connections;
mod first_bytes;
mod leaving;
mod memory;
mod stocks;
mod work;

use super::scene::Rude;

/// All kinds, in the order of tables.
pub(super) const KINDS: &[&dyn Rude] = &[
    &work::Keys,
    &work::Docs,
    &work::ClientList,
    &leaving::PatternsLeave,
    &leaving::SharedOut,
    &leaving::SubscriptionsLeave,
    &leaving::HotStocksLeave,
    &leaving::Thrash,
    &memory::OverlappingPatterns,
    &memory::Snapshots,
    &memory::HalfCommands,
    &memory::UnreadReplies,
    &memory::Subscribes,
    &first_bytes::TlsHello,
    &first_bytes::Http,
    &first_bytes::HalfLine,
    &first_bytes::Noise,
    &connections::OpenClose,
    &connections::Reset,
    &connections::Refused,
    &stocks::Listings,
    &stocks::Growth,
];
