//! Opening feeds of market data, renewing them, and looking after them.
//!
//! The writes and beats of a connection renew its [source](crate::sources), and when none came for as long as it
//! said, it is stale. What follows is a word of the catalog that readers look at
//! ([`FeedStates`](stockd_catalog::FeedStates)), and a walk over the catalog, in slices, which marks the
//! stocks of sources that have changed, so that their subscribers are told. It knows no threads, and the
//! time is handed in; who looks after the sources is [`freshness`](crate::freshness)'s business.
//!
//! Invariant: a state that has changed is in the catalog before the walk begins that marks its stocks, so
//! the one that takes such a mark reads that state or a later one. A change that comes while a walk is under way
//! is walked for again.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use stockd_model::limits::FEED_WALK_ROWS;
use stockd_model::{Edit, FeedName, FeedState, QuoteFeed, Request};

use crate::market::Market;
use crate::sources::{FeedReport, Heard, NotOpened, Opening, Source, Table, Walk};

/// A connection's share in a source. When the last is dropped, the source falls silent and is stale after its
/// time.
#[derive(Debug)]
pub struct FeedHandle {
    market: Arc<Market>,
    name: FeedName,
    heard: Arc<Heard>,
}

/// When to look after the sources again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// At once: the walk goes on.
    Now,
    /// By then.
    At(Instant),
    /// When woken.
    Never,
}

impl Market {
    /// Opens a source for a connection, of a user where users are known. An administrator may open those of
    /// others.
    pub(crate) fn open_source(
        self: &Arc<Self>,
        opening: &Opening<'_>,
        user: Option<&str>,
        is_admin: bool,
        now: Instant,
    ) -> Result<FeedHandle, NotOpened> {
        let now_ns = self.sources.since(now);
        let name = FeedName::new(opening.name)?;
        let mut table = self.sources.lock();
        let source = table.sources.entry(name).or_insert_with(|| Source {
            ttl: opening.ttl,
            halts_when_stale: false,
            halts_on_gap: false,
            has_gap: false,
            gaps: 0,
            has_ended: false,
            connections: 0,
            owner: user.map(Into::into),
            heard: Arc::default(),
        });
        if source.owner.as_deref() != user && !is_admin {
            return Err(NotOpened::NotYours(name));
        }
        source.ttl = opening.ttl;
        (source.halts_when_stale, source.halts_on_gap) =
            (opening.halts_when_stale, opening.halts_on_gap);
        (source.has_gap, source.has_ended) = (false, false);
        source.connections += 1;
        source.heard.life_ns.fetch_max(now_ns.max(1), SeqCst);
        let heard = Arc::clone(&source.heard);
        self.settle(&mut table, name, now_ns);
        drop(table);
        self.sources.wake();
        Ok(FeedHandle { market: Arc::clone(self), name, heard })
    }

    /// What is told of all feeds that were opened, or that stocks have: those first that were first.
    pub(crate) fn feed_reports(&self, now: Instant) -> Vec<FeedReport> {
        let (now_ns, table) = (self.sources.since(now), self.sources.lock());
        let report = |name: FeedName| {
            let (source, stocks) = (table.sources.get(&name), self.catalog.feeds().stocks(name));
            let age = |heard: &AtomicU64| match heard.load(SeqCst) {
                0 => None,
                ns => Some(Duration::from_nanos(now_ns.saturating_sub(ns))),
            };
            (source.is_some() || stocks > 0).then(|| FeedReport {
                feed: self.catalog.feeds().now(name),
                ttl: source.map(|source| source.ttl),
                age: source.and_then(|source| {
                    let ages = [age(&source.heard.life_ns), age(&source.heard.data_ns)];
                    ages.into_iter().flatten().min()
                }),
                data_age: source.and_then(|source| age(&source.heard.data_ns)),
                stocks,
                connections: source.map_or(0, |source| source.connections),
                gaps: source.map_or(0, |source| source.gaps),
                halts_on_gap: source.is_some_and(|source| source.halts_on_gap),
            })
        };
        FeedName::all().filter_map(report).collect()
    }

    /// Lets sources grow stale, and marks the stocks of some rows. Says when to do so again.
    pub(crate) fn look_after_sources(&self, now: Instant) -> Look {
        let now_ns = self.sources.since(now);
        let mut table = self.sources.lock();
        let names: Vec<FeedName> = table.sources.keys().copied().collect();
        let deadlines = names.into_iter().filter_map(|name| self.settle(&mut table, name, now_ns));
        let next = deadlines.min();
        let walk = match table.walk.take() {
            Some(walk) => walk,
            None if table.changed.is_empty() => {
                let after = |ns: u64| self.sources.started.checked_add(Duration::from_nanos(ns));
                return next.and_then(after).map_or(Look::Never, Look::At);
            }
            None => Walk { names: std::mem::take(&mut table.changed), place: 0 },
        };
        // There is no other walk meanwhile: one thread looks after the sources.
        drop(table);
        let walk = self.walk_on(walk);
        self.sources.lock().walk = walk;
        Look::Now
    }

    /// Marks the stocks of some rows.
    fn walk_on(&self, mut walk: Walk) -> Option<Walk> {
        let page = self.catalog.page(walk.place, FEED_WALK_ROWS);
        for quote in page.quotes {
            if quote.feed.is_some_and(|feed| walk.names.contains(&feed.name)) {
                self.watchers.mark(&quote.symbol);
            }
        }
        walk.place = page.next?;
        Some(walk)
    }

    /// Puts the state of a source where readers look. Says when that may change.
    fn settle(&self, table: &mut Table, name: FeedName, now_ns: u64) -> Option<u64> {
        let feeds = self.catalog.feeds();
        let mut source = table.sources.get(&name)?;
        let (mut state, mut until) = source.at(now_ns);
        loop {
            let halts = match state {
                FeedState::Stale => source.halts_when_stale,
                FeedState::Gap => source.halts_on_gap,
                FeedState::Live | FeedState::Quiet | FeedState::Ended => false,
            };
            if feeds.set(name, state, source.halts_when_stale, halts) && feeds.stocks(name) > 0 {
                table.changed.insert(name);
                source = table.sources.get(&name)?;
            }
            // It may have been renewed by somebody who saw the state that it had before.
            let latest = source.at(now_ns);
            if latest.0 == state {
                return until;
            }
            (state, until) = latest;
        }
    }
}

impl FeedHandle {
    /// Its name.
    pub fn name(&self) -> FeedName {
        self.name
    }

    /// Ties a write to the feed, and renews it. Other requests are left as they are.
    #[inline]
    pub fn tie(&self, request: &mut Request, now: Instant) {
        if let Request::Set(_, fields) | Request::Update(_, fields) = request {
            let feed = self.renew(now);
            fields.feed = Edit::Set(feed);
        }
    }

    /// The feed writes. Returns how it is now.
    #[inline]
    pub fn renew(&self, now: Instant) -> QuoteFeed {
        // In this order: who settles the state looks at this again after it.
        self.heard.data_ns.store(self.market.sources.since(now).max(1), SeqCst);
        let feed = self.market.catalog.feeds().now(self.name);
        match feed.state {
            FeedState::Live | FeedState::Gap => feed,
            _ => self.change(now, |source| source.has_ended = false),
        }
    }

    /// The feed lives, and has nothing to write.
    pub fn beat(&self, now: Instant) {
        self.heard.life_ns.fetch_max(self.market.sources.since(now).max(1), SeqCst);
        let feed = self.market.catalog.feeds().now(self.name);
        if !matches!(feed.state, FeedState::Live | FeedState::Quiet | FeedState::Gap) {
            self.change(now, |source| source.has_ended = false);
        }
    }

    /// The feed has missed something. It is so until it is opened again.
    pub fn gap(&self, now: Instant) {
        self.heard.life_ns.fetch_max(self.market.sources.since(now).max(1), SeqCst);
        self.change(now, |source| {
            source.has_gap = true;
            source.gaps += 1;
        });
    }

    /// The feed has come to its end.
    pub fn end(&self, now: Instant) {
        self.change(now, |source| source.has_ended = true);
    }

    #[cold]
    fn change(&self, now: Instant, change: impl FnOnce(&mut Source)) -> QuoteFeed {
        let sources = &self.market.sources;
        let mut table = sources.lock();
        if let Some(source) = table.sources.get_mut(&self.name) {
            change(source);
        }
        self.market.settle(&mut table, self.name, sources.since(now));
        drop(table);
        sources.wake();
        self.market.catalog.feeds().now(self.name)
    }
}

impl Drop for FeedHandle {
    fn drop(&mut self) {
        if let Some(source) = self.market.sources.lock().sources.get_mut(&self.name) {
            source.connections -= 1;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
