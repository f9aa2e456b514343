//! How the feeds are that stocks come from, for those who read stocks.
//!
//! A row holds the number of its feed and nothing else of it, so a feed that falls silent changes one word
//! here and no row. Who writes the words is the engine's business. It knows no names beyond their numbers,
//! no clocks and no subscribers.
//!
//! Invariant: `changes` of a feed only rises, with every change of its state; and as many feeds halt their
//! stocks as `halting` says, or a change is under way.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU64, AtomicUsize};

use stockd_model::{FeedName, FeedState, Quote, QuoteFeed};

/// The states of all feeds, and how many stocks each has.
#[derive(Debug, Default)]
pub struct FeedStates {
    /// At the places of their numbers. There are none before the first stock or state of a feed.
    cells: OnceLock<Box<[Cell]>>,
    /// Feeds that halt their stocks now.
    halting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Cell {
    word: AtomicU64,
    stocks: AtomicUsize,
}

/// Bits of a word: the state in the lowest three, then these; the upper half counts changes.
const STATE: u64 = 7;
const HALTS_WHEN_STALE: u64 = 1 << 3;
const HALTS: u64 = 1 << 4;
/// Somebody has said how the feed is.
const KNOWN: u64 = 1 << 5;
const ONE_CHANGE: u64 = 1 << 32;

impl FeedStates {
    /// The feed as it is now.
    #[inline]
    pub fn now(&self, name: FeedName) -> QuoteFeed {
        let word = self.cell(name).map_or(0, |cell| cell.word.load(SeqCst));
        QuoteFeed {
            name,
            state: state_of(word),
            halts_when_stale: word & HALTS_WHEN_STALE != 0,
            is_halting: word & HALTS != 0,
            changes: (word >> 32) as u32,
        }
    }

    /// Makes what a quote says of its feed what is so now.
    #[inline]
    pub fn resolve(&self, quote: &mut Quote) {
        if let Some(feed) = &mut quote.feed {
            *feed = self.now(feed.name);
        }
    }

    /// Says how a feed is. Returns whether readers see a change. One caller at a time.
    pub fn set(
        &self,
        name: FeedName,
        state: FeedState,
        halts_when_stale: bool,
        is_halting: bool,
    ) -> bool {
        let Some(cell) = self.made_cells().get(usize::from(name.number())) else { return false };
        let before = cell.word.load(Relaxed);
        let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
        let low = bits_of(state)
            | flag(halts_when_stale, HALTS_WHEN_STALE)
            | flag(is_halting, HALTS)
            | KNOWN;
        let seen = |word: u64| word & (STATE | HALTS);
        let has_changed = seen(before) != seen(low);
        let changes = before & !(ONE_CHANGE - 1);
        let changes = if has_changed { changes.wrapping_add(ONE_CHANGE) } else { changes };
        // Before the word, so that a lookup that finds a halting feed looks at it.
        let halted = before & HALTS != 0;
        if is_halting && !halted {
            self.halting.fetch_add(1, SeqCst);
        }
        cell.word.store(changes | low, SeqCst);
        if halted && !is_halting {
            self.halting.fetch_sub(1, SeqCst);
        }
        has_changed
    }

    /// How many listed stocks a feed has.
    pub fn stocks(&self, name: FeedName) -> usize {
        self.cell(name).map_or(0, |cell| cell.stocks.load(Relaxed))
    }

    /// Whether any feed halts its stocks.
    #[inline]
    pub(crate) fn is_any_halting(&self) -> bool {
        self.halting.load(Relaxed) > 0
    }

    /// Notes a stock that was kept with a feed somewhere, which has not been heard of since.
    pub(crate) fn remember(&self, feed: QuoteFeed) {
        let is_known =
            self.cell(feed.name).is_some_and(|cell| cell.word.load(Relaxed) & KNOWN != 0);
        let now = self.now(feed.name);
        if !is_known || (feed.halts_when_stale && !now.halts_when_stale) {
            let halts = feed.halts_when_stale;
            self.set(feed.name, FeedState::Stale, halts, halts);
        }
    }

    /// Counts a stock that had the feed of one quote and has that of another.
    #[inline]
    pub(crate) fn count(&self, before: Option<&Quote>, after: Option<&Quote>) {
        let name = |quote: Option<&Quote>| Some(quote?.feed?.name);
        let (before, after) = (name(before), name(after));
        if before != after {
            self.count_moved(before, after);
        }
    }

    #[cold]
    fn count_moved(&self, before: Option<FeedName>, after: Option<FeedName>) {
        let cells = self.made_cells();
        let cell = |name: FeedName| cells.get(usize::from(name.number()));
        if let Some(cell) = before.and_then(cell) {
            cell.stocks.fetch_sub(1, Relaxed);
        }
        if let Some(cell) = after.and_then(cell) {
            cell.stocks.fetch_add(1, Relaxed);
        }
    }

    #[inline]
    fn cell(&self, name: FeedName) -> Option<&Cell> {
        self.cells.get()?.get(usize::from(name.number()))
    }

    fn made_cells(&self) -> &[Cell] {
        let numbers = usize::from(FeedName::NUMBER_MAX) + 1;
        self.cells.get_or_init(|| (0..numbers).map(|_| Cell::default()).collect())
    }
}

fn bits_of(state: FeedState) -> u64 {
    match state {
        FeedState::Stale => 0,
        FeedState::Live => 1,
        FeedState::Quiet => 2,
        FeedState::Gap => 3,
        FeedState::Ended => 4,
    }
}

fn state_of(word: u64) -> FeedState {
    let is = |state: &FeedState| bits_of(*state) == word & STATE;
    FeedState::ALL.into_iter().find(is).unwrap_or_default()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_with_how_often_it_has_changed() {
        let states = FeedStates::default();
        let name = FeedName::new("a").unwrap();
        assert_eq!(states.now(name), QuoteFeed::of(name));
        let mut changes = 0;
        for state in [FeedState::Live, FeedState::Quiet, FeedState::Gap, FeedState::Ended] {
            assert!(states.set(name, state, true, false));
            assert!(!states.set(name, state, false, false), "readers see no difference");
            changes += 1;
            let now = states.now(name);
            assert_eq!((now.state, now.changes, now.halts_when_stale), (state, changes, false));
        }
        assert!(!states.is_any_halting());
        assert!(states.set(name, FeedState::Stale, true, true));
        assert!(states.is_any_halting() && states.now(name).is_halting);
        assert!(states.set(name, FeedState::Live, true, false));
        assert!(!states.is_any_halting());
    }

    #[test]
    fn what_was_kept_with_a_feed_is_stale_and_halted_where_it_was_to_be() {
        let states = FeedStates::default();
        let name = FeedName::new("b").unwrap();
        states.remember(QuoteFeed::of(name));
        assert!(!states.is_any_halting());
        states.remember(QuoteFeed { halts_when_stale: true, ..QuoteFeed::of(name) });
        states.remember(QuoteFeed::of(name));
        let now = states.now(name);
        assert_eq!((now.state, now.is_halting), (FeedState::Stale, true));
    }
}
