//! What commands cost the turn in which they are performed, in the units of
//! [`TURN_WORK`](stockd_model::limits::TURN_WORK): 50 ns, about a row of the catalog.
//!
//! The costs need not be exact: they keep a turn from being longer than a millisecond or so, whatever
//! a client asks. Lookups that are answered together count by the bytes read alone.

use stockd_model::Request;
use stockd_model::limits::QUICK_WORK;
use stockd_wire::resp::{Client, Command, FeedCommand};

/// A walk, besides its steps: more than a quick turn has, so that it begins in a heavy one.
pub(super) const WALK: usize = QUICK_WORK;

/// A request that is handed to the committer.
pub(super) const PARKED: usize = 1;

/// A subscription that begins or ends.
pub(super) const SUBSCRIPTION: usize = 32;

/// A connection in `CLIENT LIST`.
pub(super) const CLIENT_LINE: usize = 16;

/// Connections that are looked up together, with the list locked.
pub(super) const CLIENTS_TOGETHER: usize = 64;

/// A command in `COMMAND`, with its subcommands.
pub(super) const DESCRIPTION: usize = 32;

/// A write: a stock may be listed for it, with two rows, or forgotten.
const WRITE: usize = 16;

/// A text of many numbers, some of which the system is asked for.
const INFO: usize = 512;

/// What needs some formatting.
const TEXT: usize = 16;

/// What is answered at once.
const LITTLE: usize = 2;

/// A request to the engine that is not among the lookups that are answered together.
#[inline]
pub(super) fn request(request: &Request) -> usize {
    match request {
        Request::Lookup(_) => 1,
        _ => WRITE,
    }
}

/// A row of the catalog, whose symbol is compared with a pattern of this length.
pub(super) fn row(pattern_bytes: usize) -> usize {
    1 + pattern_bytes / 8
}

/// A command, apart from what its [walk](super::walk) costs, if it is one, and from the bytes of its
/// reply.
pub(super) fn of(command: &Command<'_>) -> usize {
    match command {
        Command::Subscribe(_)
        | Command::SubscribePattern(_)
        | Command::Unsubscribe(_)
        | Command::UnsubscribePattern(_) => SUBSCRIPTION,
        Command::Info(_) => INFO,
        Command::Settings(patterns) => (1 + patterns.len()) * TEXT,
        Command::Feed(FeedCommand::List) => INFO,
        Command::Describe(_)
        | Command::Feed(_)
        | Command::BadRow { .. }
        | Command::Refused(_)
        | Command::Hello(_)
        | Command::Auth(_)
        | Command::Reset
        | Command::Client(
            Client::Info
            | Client::List(_)
            | Client::Kill(_)
            | Client::Tracking(_)
            | Client::TrackingInfo
            | Client::Interval(_)
            | Client::SetName(_)
            | Client::SetLibraryName(_)
            | Client::SetLibraryVersion(_),
        ) => TEXT,
        // As dear as what it holds, which is bounded by a transaction's limits.
        Command::Queue(_) => TEXT,
        Command::Watch(names) | Command::SubscriberCounts(names) => (1 + names.len()) * LITTLE,
        Command::SetAll(prices) => prices.updates().count() * WRITE,
        Command::Multi
        | Command::Exec
        | Command::Discard
        | Command::Unwatch
        | Command::Fence
        | Command::Array(_)
        | Command::Count
        | Command::Snapshot { .. }
        | Command::Scan(_)
        | Command::Keys(_)
        | Command::UnsubscribeAll
        | Command::UnsubscribeAllPatterns
        | Command::Ping(_)
        | Command::Echo(_)
        | Command::Client(
            Client::Id | Client::Name | Client::Reply(_) | Client::Caching(_) | Client::Redirection,
        )
        | Command::Time
        | Command::WhoAmI
        | Command::Constant(_)
        | Command::MemoryUsage(_)
        | Command::RandomKey
        | Command::Channels(_)
        | Command::PatternCount
        | Command::Quit => LITTLE,
    }
}
