//! The feeds that clients open, and whether each is alive.
//!
//! A *source* is a feed of market data as `FEED OPEN` names it; within this crate the word feed is
//! taken. This file owns the table of them: who opened each, when it was heard of last, and which have
//! changed since their stocks were marked. It knows no threads, no clock and no catalog; what is done with it is
//! in [`feeding`](crate::feeding).
//!
//! Invariant: how a source is follows from when it was heard of and what it has said, and from the time that is
//! handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use stockd_model::{FeedName, FeedNameError, FeedState, Problem, QuoteFeed};

/// How a feed is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening<'a> {
    /// What it is called.
    pub name: &'a str,
    /// How long it may be silent before it is stale.
    pub ttl: Duration,
    /// Whether its stocks are halted while it is stale.
    pub halts_when_stale: bool,
    /// Whether its stocks are halted after it has missed something.
    pub halts_on_gap: bool,
}

/// Why a feed was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// It cannot have this name.
    #[error("{0}")]
    Name(#[from] FeedNameError),
    /// Another user has opened it first.
    #[error("feed '{0}' belongs to another user; use another name, or ask an administrator")]
    NotYours(FeedName),
    /// The log of a cluster does not carry feeds.
    #[error("the writes of a cluster do not carry their feed; open it at a server of its own")]
    Replicated,
}

impl NotOpened {
    /// Its kind.
    pub fn problem(&self) -> Problem {
        match self {
            NotOpened::Name(FeedNameError::Invalid { .. }) => Problem::InvalidFeed,
            NotOpened::Name(FeedNameError::TooMany) => Problem::TooManyFeeds,
            NotOpened::NotYours(_) => Problem::NotYourFeed,
            NotOpened::Replicated => Problem::NoFeeds,
        }
    }
}

/// What is told of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedReport {
    /// The feed as its quotes tell it.
    pub feed: QuoteFeed,
    /// How long it may be silent; `None` where it was not opened since the server started.
    pub ttl: Option<Duration>,
    /// How long ago it was heard of, in data or beats.
    pub age: Option<Duration>,
    /// How long ago it wrote.
    pub data_age: Option<Duration>,
    /// Listed stocks whose latest quote is from it.
    pub stocks: usize,
    /// Connections that have opened it.
    pub connections: usize,
    /// How often it said that it has missed something.
    pub gaps: u64,
    /// Whether its stocks are halted after it has missed something.
    pub halts_on_gap: bool,
}

/// All sources of an engine.
#[derive(Debug)]
pub(crate) struct Sources {
    table: Mutex<Table>,
    /// Times are kept as nanoseconds since then.
    pub(crate) started: Instant,
    /// Wakes who looks after the sources.
    wake: OnceLock<Wake>,
}

struct Wake(Box<dyn Fn() + Send + Sync>);

#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) sources: BTreeMap<FeedName, Source>,
    /// Those whose stocks are still to be marked.
    pub(crate) changed: BTreeSet<FeedName>,
    pub(crate) walk: Option<Walk>,
}

/// Marking the stocks of sources, up to a place in the catalog.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) names: BTreeSet<FeedName>,
    pub(crate) place: u64,
}

#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) ttl: Duration,
    pub(crate) halts_when_stale: bool,
    pub(crate) halts_on_gap: bool,
    pub(crate) has_gap: bool,
    pub(crate) gaps: u64,
    pub(crate) has_ended: bool,
    pub(crate) connections: usize,
    /// The user that opened it first, where users are known.
    pub(crate) owner: Option<Box<str>>,
    pub(crate) heard: Arc<Heard>,
}

/// When a source was heard of last.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) data_ns: AtomicU64,
    pub(crate) life_ns: AtomicU64,
}

impl Default for Sources {
    fn default() -> Sources {
        Sources { table: Mutex::default(), started: Instant::now(), wake: OnceLock::new() }
    }
}

impl Sources {
    /// From now on `wake` is called when there is something to look after. It must be quick.
    pub(crate) fn wake_with(&self, wake: impl Fn() + Send + Sync + 'static) {
        // Who looks after them first goes on to.
        let _ = self.wake.set(Wake(Box::new(wake)));
    }

    pub(crate) fn wake(&self) {
        if let Some(Wake(wake)) = self.wake.get() {
            wake();
        }
    }

    pub(crate) fn since(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Table> {
        // Each change of the table is made of one value, so a poisoned lock guards good sources.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// How it is at this time, and when that may change if nothing is heard of it.
    pub(crate) fn at(&self, now_ns: u64) -> (FeedState, Option<u64>) {
        let ttl_ns = u64::try_from(self.ttl.as_nanos()).unwrap_or(u64::MAX);
        let until = |heard: &AtomicU64| match heard.load(SeqCst) {
            0 => 0,
            heard_ns => heard_ns.saturating_add(ttl_ns),
        };
        let quiet_at = until(&self.heard.data_ns);
        let stale_at = until(&self.heard.life_ns).max(quiet_at);
        if self.has_ended {
            (FeedState::Ended, None)
        } else if now_ns >= stale_at {
            (FeedState::Stale, None)
        } else if self.has_gap {
            (FeedState::Gap, Some(stale_at))
        } else if now_ns >= quiet_at {
            (FeedState::Quiet, Some(stale_at))
        } else {
            (FeedState::Live, Some(quiet_at))
        }
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wake")
    }
}
