//! What one subscriber wants, and what it has still to be told.
//!
//! One *mark* a symbol, however many of its patterns fit: which of them do is found when it is
//! told. Beside its marks it may have notes of what it was told *early*, newer than what was passed
//! on by then; without those it would be told twice.
//!
//! Invariant: the marks, early notes, new symbols and the round name topics that it holds.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use stockd_access::Access;
use stockd_model::{Pattern, Symbol};

use super::early::Early;
use super::members::Number;
use super::pace::Pace;
use super::pattern_index::FIRST_PATTERN;
use super::stamp::Stamp;
use super::topic_set::TopicSet;
use super::topics::{TopicId, Topics};
use super::walk::Walk;

/// A subscriber, as its server knows it: a connection, a stream. One number names one
/// subscriber until that has [left](super::Feed::leave).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId(pub u64);

/// How a symbol is told: by the subscription to itself, or by the pattern of this number.
pub(crate) type Way = u64;

/// The way of a subscription to the symbol itself.
pub(crate) const DIRECT: Way = 1;

const _: () = assert!(DIRECT < FIRST_PATTERN);

/// What a pass looks at comes first, in as few lines of the cache as it takes: a pass visits many.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Subscriber {
    pub(crate) number: Number,
    /// The serial of the last pass that came by.
    pub(crate) visited: u64,
    /// What it may be told.
    pub(crate) access: Access,
    /// What was told of a topic, where it is not what was last passed on of it. Beside a mark it may be older.
    pub(crate) early: Early,
    pub(crate) marks: TopicSet,
    /// The topic that is being told.
    pub(crate) round: Option<Round>,
    /// Of a [tracker](super::tracking): in which order it has read its symbols.
    pub(crate) ages: Option<Box<Ages>>,
    /// Messages that it was spared, because a newer quote took their place.
    pub(crate) conflated: u64,
    /// The bytes that are in the sum of all.
    pub(crate) accounted_bytes: usize,
    pub(crate) awake: bool,
    /// Of a tracker: it is to forget all that it has read.
    pub(crate) flush: bool,
    /// Where its last message came from: see [`Subscriber::next_source`].
    source: Source,
    /// The mark that was told last: the next is the one behind it.
    last_mark: TopicId,
    pub(crate) id: SubscriberId,
    /// At which [interval](super::pace) marks are told, if not as soon as there is room.
    pub(crate) pace: Option<Pace>,
    pub(crate) symbols: TopicSet,
    /// Symbols that were subscribed to and of which nothing was told since.
    pub(crate) new: TopicSet,
    pub(crate) patterns: BTreeMap<Way, Arc<Pattern>>,
    pub(crate) walk: Walk,
    /// The look at its symbols that is under way since its access has [changed](super::review).
    pub(crate) review: Option<Review>,
}

/// A look at all symbols of a subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Review {
    /// The symbol that was looked at last.
    pub(crate) at: Option<TopicId>,
    /// Whether what it goes on to be subscribed to is told again: the access has changed before a look had
    /// come to its end, and what changed meanwhile may not have been told.
    pub(crate) tells_again: bool,
}

/// Topics in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    by_age: BTreeMap<u64, TopicId>,
    ages: BTreeMap<TopicId, u64>,
    latest: u64,
}

impl Ages {
    pub(crate) fn add(&mut self, topic: TopicId) {
        self.remove(topic);
        self.latest += 1;
        self.by_age.insert(self.latest, topic);
        self.ages.insert(topic, self.latest);
    }

    pub(crate) fn remove(&mut self, topic: TopicId) {
        if let Some(age) = self.ages.remove(&topic) {
            self.by_age.remove(&age);
        }
    }

    pub(crate) fn earliest(&self) -> Option<TopicId> {
        self.by_age.first_key_value().map(|(_, topic)| *topic)
    }

    fn bytes(&self) -> usize {
        /// A number of either kind in a tree that is two thirds full, twice.
        const BYTES: usize = 36;
        self.ages.len() * BYTES
    }
}

/// One topic on its way to a subscriber, by each of its ways in turn.
///
/// Where there is no room for all of them it goes on later; and when the quote has changed by then,
/// it starts over at the way where it stopped and goes once round, so that each way is told one
/// version once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) topic: TopicId,
    pub(crate) stamp: Stamp,
    /// The way that was visited last; 0 before the first.
    pub(crate) visited: Way,
    /// The way behind which it started.
    start: Way,
    /// Whether it goes through the ways up to the start.
    wrapped: bool,
}

/// Where messages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Marks,
    New,
    Walk,
}

impl Subscriber {
    pub(crate) fn new(id: SubscriberId, number: Number) -> Subscriber {
        Subscriber {
            number,
            visited: 0,
            access: Access::All,
            early: Early::default(),
            marks: TopicSet::default(),
            round: None,
            ages: None,
            conflated: 0,
            accounted_bytes: 0,
            awake: false,
            flush: false,
            source: Source::Walk,
            last_mark: 0,
            id,
            pace: None,
            symbols: TopicSet::default(),
            new: TopicSet::default(),
            patterns: BTreeMap::new(),
            walk: Walk::default(),
            review: None,
        }
    }

    pub(crate) fn tracker(id: SubscriberId, number: Number) -> Subscriber {
        Subscriber { ages: Some(Box::default()), ..Subscriber::new(id, number) }
    }

    /// Whether it is told that symbols have changed, instead of how.
    pub(crate) fn is_tracker(&self) -> bool {
        self.ages.is_some()
    }

    /// Symbols and patterns.
    pub(crate) fn len(&self) -> usize {
        self.symbols.len() + self.patterns.len()
    }

    pub(crate) fn has_messages(&self) -> bool {
        self.round.is_some()
            || self.has(Source::Marks)
            || self.has(Source::New)
            || self.has(Source::Walk)
    }

    /// Where the next message comes from. They take turns, so that none waits for ever.
    pub(crate) fn next_source(&mut self) -> Option<Source> {
        for _ in 0..3 {
            self.source = match self.source {
                Source::Marks => Source::New,
                Source::New => Source::Walk,
                Source::Walk => Source::Marks,
            };
            if self.has(self.source) {
                return Some(self.source);
            }
        }
        None
    }

    fn has(&self, source: Source) -> bool {
        match source {
            Source::Marks => !self.marks.is_empty() && !self.rests(),
            Source::New => !self.new.is_empty(),
            Source::Walk => !self.walk.is_over(),
        }
    }

    /// Whether what it is marked for is not told yet, because of its interval.
    pub(crate) fn rests(&self) -> bool {
        self.pace.is_some_and(|pace| pace.rests())
    }

    /// Sets a mark. Returns whether it was not set before.
    pub(crate) fn mark(&mut self, topic: TopicId, topics: &mut Topics) -> bool {
        let is_new = self.marks.insert(topic);
        if is_new {
            topics.hold(topic);
        }
        is_new
    }

    /// Takes the next mark, which holds its topic still. Each comes before any comes again.
    pub(crate) fn take_mark(&mut self) -> Option<TopicId> {
        let mark = self.marks.after(self.last_mark).or_else(|| self.marks.first())?;
        if let Some(pace) = &mut self.pace {
            pace.take_mark(self.marks.len());
        }
        self.marks.remove(mark);
        self.last_mark = mark;
        Some(mark)
    }

    /// Takes a mark away that is not to be told. Returns whether it was set: then its topic is held still.
    pub(crate) fn forget_mark(&mut self, topic: TopicId) -> bool {
        let was_set = self.marks.remove(topic);
        if was_set && let Some(pace) = &mut self.pace {
            pace.forget_mark();
        }
        was_set
    }

    /// Whether it has been told all of a round of its [pace](super::pace), and rests from now on.
    pub(crate) fn ends_round(&mut self) -> bool {
        self.round.is_none() && self.pace.as_mut().is_some_and(Pace::end_round)
    }

    /// What all ways that have been told this topic were last told of it; `None` when that is
    /// older than what is passed on, or not the same for all.
    pub(crate) fn told(&self, topic: TopicId, topics: &Topics) -> Option<Stamp> {
        if self.marks.contains(topic) || self.round.is_some_and(|round| round.topic == topic) {
            return None;
        }
        self.early.get(topic).or_else(|| self.passed_to(topic, topics))
    }

    /// What was last passed on to it of a topic; `None` while that is under way and has not come by.
    pub(crate) fn passed_to(&self, topic: TopicId, topics: &Topics) -> Option<Stamp> {
        match topics.passing(topic) {
            Some(serial) if serial != self.visited => None,
            _ => Some(topics.get(topic).passed),
        }
    }

    /// The first way behind this one.
    pub(crate) fn way_after(&self, way: Way) -> Option<Way> {
        if way < DIRECT {
            return Some(DIRECT);
        }
        self.patterns.range((Excluded(way), Unbounded)).next().map(|(way, _)| *way)
    }

    /// Whether the symbol is told by this way as it changes.
    pub(crate) fn is_told_by(&self, way: Way, topic: TopicId, symbol: &Symbol, place: u64) -> bool {
        if !self.access.reads(symbol) {
            return false;
        }
        match self.patterns.get(&way) {
            Some(pattern) => pattern.matches(symbol) && self.walk.has_passed(way, place, symbol),
            None => way == DIRECT && self.symbols.contains(topic) && !self.new.contains(topic),
        }
    }

    /// The part of its [bytes](Subscriber::bytes) that a pass may change.
    pub(crate) fn noted_bytes(&self) -> usize {
        self.marks.bytes() + self.early.bytes()
    }

    /// About how many bytes it holds: a number in a tree that is two thirds full takes half as much again.
    pub(crate) fn bytes(&self) -> usize {
        // Among the members of its topic.
        const SYMBOL_BYTES: usize = 18;
        const PATTERN_BYTES: usize = 48;
        size_of::<Subscriber>()
            + self.symbols.len() * SYMBOL_BYTES
            + self.patterns.len() * PATTERN_BYTES
            + self.symbols.bytes()
            + self.new.bytes()
            + self.noted_bytes()
            + self.walk.bytes()
            + self.ages.as_ref().map_or(0, |ages| ages.bytes())
    }
}

impl Round {
    pub(crate) fn new(topic: TopicId) -> Round {
        Round { topic, stamp: Stamp::NEVER, visited: 0, start: 0, wrapped: false }
    }

    /// The quote has changed: every way is visited again, this one last.
    pub(crate) fn restart(&mut self, stamp: Stamp) {
        self.stamp = stamp;
        self.start = self.visited;
        self.wrapped = false;
    }

    /// The way to visit next, among those of this subscriber. `None` when it has come round.
    pub(crate) fn next(&mut self, subscriber: &Subscriber) -> Option<Way> {
        if !self.wrapped {
            if let Some(way) = subscriber.way_after(self.visited) {
                return Some(way);
            }
            self.wrapped = true;
            self.visited = 0;
        }
        subscriber.way_after(self.visited).filter(|way| *way <= self.start)
    }
}
