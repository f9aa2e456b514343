//! The symbols that a feed knows of, and which version of each it has passed on.
//!
//! A *topic* is a symbol that somebody is subscribed to, or that was told by a pattern. It holds no
//! quote and no payload, and it is small, since there may be one for every stock. Others name it by
//! a short number, its [`TopicId`], and hold it while they do ([`Topics::hold`]).
//!
//! Invariant: a topic is there while somebody is subscribed to the symbol or holds it, and while it
//! is listed and a pattern may fit it; [`Topics::sweep`] finds the others by and by.

use std::collections::{BTreeMap, VecDeque};

use stockd_catalog::Catalog;
use stockd_model::limits::INTEREST_PATTERN_BYTES_MAX;
use stockd_model::{Quote, Symbol};

use super::block_table::BlockTable;
use super::budget::Budget;
use super::members::Members;
use super::pattern_index::PatternIndex;
use super::stamp::Stamp;

/// The patterns of a feed's subscribers.
pub(crate) type Patterns = PatternIndex<Members>;

/// The number of a topic. It may name another one once no subscriber holds it.
pub(crate) type TopicId = u32;

/// All topics of a feed.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    ids: BTreeMap<Symbol, TopicId>,
    topics: BlockTable<Topic>,
    /// Topics to be passed on without a writer's mark.
    queue: VecDeque<TopicId>,
    /// The symbol that is being passed on.
    passing: Option<Passing>,
    sweep: Sweep,
    /// How often a topic was looked at whether it is wanted.
    #[cfg(test)]
    pub(crate) looks: u64,
}

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) symbol: Symbol,
    /// The latest that was read.
    pub(crate) seen: Stamp,
    /// What subscribers were last marked for.
    pub(crate) passed: Stamp,
    /// Subscribers to the symbol itself.
    pub(crate) direct: Members,
    holds: u32,
    queued: bool,
}

/// Which symbol is being passed on, and what is passed on of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passing {
    pub(crate) symbol: Symbol,
    pub(crate) stamp: Stamp,
    /// Counts the passes of a feed, from 1.
    pub(crate) serial: u64,
}

/// A look at every topic, for those that nobody wants any more.
#[derive(Debug, Default)]
struct Sweep {
    at: usize,
    left: usize,
}

impl Topic {
    fn note_seen(&mut self, listed: Option<(u64, u32)>) -> Stamp {
        let stamp = self.seen.then(listed);
        debug_assert!(stamp >= self.seen, "a row went back");
        self.seen = stamp;
        stamp
    }
}

impl Topics {
    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }

    pub(crate) fn find(&self, symbol: &Symbol) -> Option<TopicId> {
        self.ids.get(symbol).copied()
    }

    /// The topic of a symbol, a new one if need be.
    pub(crate) fn open(&mut self, symbol: &Symbol) -> TopicId {
        if let Some(id) = self.find(symbol) {
            return id;
        }
        let id = self.topics.insert(Topic {
            symbol: *symbol,
            seen: Stamp::NEVER,
            passed: Stamp::NEVER,
            direct: Members::Nobody,
            holds: 0,
            queued: false,
        });
        self.ids.insert(*symbol, id);
        id
    }

    pub(crate) fn get(&self, id: TopicId) -> &Topic {
        self.topics.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: TopicId) -> &mut Topic {
        self.topics.get_mut(id)
    }

    /// Reads the row of a topic.
    pub(crate) fn observe(&mut self, id: TopicId, catalog: &Catalog) -> (Stamp, Option<Quote>) {
        let topic = self.get_mut(id);
        let quote = catalog.get(&topic.symbol);
        let changes = |quote: &Quote| quote.feed.map_or(0, |feed| feed.changes);
        let listed = quote.as_ref().map(|quote| (quote.version, changes(quote)));
        (topic.note_seen(listed), quote)
    }

    /// Reads the version of a topic's row, and nothing else.
    pub(crate) fn observe_version(&mut self, id: TopicId, catalog: &Catalog) -> Stamp {
        let topic = self.get_mut(id);
        topic.note_seen(catalog.listed_version(&topic.symbol))
    }

    /// Names the topic somewhere.
    pub(crate) fn hold(&mut self, id: TopicId) {
        self.get_mut(id).holds += 1;
    }

    /// Names it there no longer, and forgets it if nobody wants it.
    pub(crate) fn let_go(&mut self, id: TopicId, patterns: &Patterns) {
        self.get_mut(id).holds -= 1;
        self.forget_unwanted(id, patterns);
    }

    /// Forgets a topic that nobody wants.
    ///
    /// One that is not listed is forgotten although a pattern fits it: when it is listed again,
    /// everybody is to be told, as for a new one.
    pub(crate) fn forget_unwanted(&mut self, id: TopicId, patterns: &Patterns) {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        let topic = self.get(id);
        let is_wanted = topic.holds > 0
            || !topic.direct.is_empty()
            || (topic.passed.is_listed()
                && patterns.may_match(&topic.symbol, INTEREST_PATTERN_BYTES_MAX).0);
        if !is_wanted {
            let Topic { symbol, .. } = self.topics.remove(id);
            self.ids.remove(&symbol);
            if self.topics.is_empty() {
                self.topics = BlockTable::default();
                self.queue = VecDeque::new();
                self.sweep = Sweep::default();
            }
        }
    }

    /// Has the topic passed on to all its subscribers, though no writer has left a mark.
    pub(crate) fn queue(&mut self, id: TopicId) {
        let topic = self.get_mut(id);
        if !std::mem::replace(&mut topic.queued, true) {
            topic.holds += 1;
            self.queue.push_back(id);
        }
    }

    /// A queued topic, which is held still.
    pub(crate) fn pop_queued(&mut self) -> Option<TopicId> {
        let id = self.queue.pop_front()?;
        self.get_mut(id).queued = false;
        Some(id)
    }

    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Which symbol is being passed on now.
    pub(crate) fn set_passing(&mut self, passing: Option<Passing>) {
        self.passing = passing;
    }

    /// The serial of the pass that is under way for this topic.
    pub(crate) fn passing(&self, id: TopicId) -> Option<u64> {
        let passing = self.passing.filter(|passing| passing.symbol == self.get(id).symbol);
        passing.map(|passing| passing.serial)
    }

    /// A pattern has ended: topics may be there that nobody wants any more.
    pub(crate) fn begin_sweep(&mut self) {
        self.sweep.left = self.topics.ids_end();
    }

    pub(crate) fn is_swept(&self) -> bool {
        self.sweep.left == 0
    }

    /// Goes on looking for topics that nobody wants.
    pub(crate) fn sweep(&mut self, patterns: &Patterns, budget: &mut Budget) {
        while self.sweep.left > 0 && !budget.is_spent() {
            budget.spend(1);
            self.sweep.left -= 1;
            self.sweep.at += 1;
            if self.sweep.at >= self.topics.ids_end() {
                self.sweep.at = 0;
            }
            let id = self.sweep.at as TopicId;
            if self.topics.contains(id) {
                self.forget_unwanted(id, patterns);
            }
        }
    }

    /// For how many topics there is room: that of topics that are gone is kept for a while.
    pub(crate) fn places(&self) -> usize {
        self.topics.capacity()
    }

    /// About how many bytes all topics hold.
    pub(crate) fn bytes(&self) -> usize {
        /// A symbol and its number in a tree that is two thirds full, here and in the directory.
        const INDEX_BYTES: usize = 2 * (size_of::<Symbol>() + size_of::<TopicId>()) * 3 / 2;
        self.places() * (size_of::<Topic>() + 8)
            + self.ids.len() * INDEX_BYTES
            + self.queue.capacity() * size_of::<TopicId>()
    }
}
