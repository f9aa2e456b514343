//! Passing one changed symbol on to all subscribers that want it, in slices.
//!
//! A pass goes over the subscribers to the symbol itself, then over the patterns that may fit it
//! and the subscribers of those that do, and marks each once. It keeps its place by numbers: of the
//! pattern and of the subscriber that were visited last. Subscribers that come or go in between do
//! not disturb it.
//!
//! Invariant: when a pass has come to its end, everybody who was to be told the symbol as it changes
//! when the pass began, and may read it, has it marked, or was told what is passed on or a later version, or has left.

use stockd_catalog::Catalog;
use stockd_model::Symbol;

use super::budget::Budget;
use super::members::Number;
use super::pattern_index::Candidate;
use super::stamp::Stamp;
use super::subscriber::{DIRECT, Subscriber, Way};
use super::subscribers::Subscribers;
use super::topics::{Passing, Patterns, TopicId, Topics};

/// Members that are found at once.
const MEMBERS_TOGETHER: usize = 64;

/// The pass that is under way.
#[derive(Debug)]
pub(crate) struct Pass {
    passing: Passing,
    /// Held while the pass is under way. `None` as long as nobody who wants the symbol was found.
    topic: Option<TopicId>,
    /// The place of the symbol in the catalog.
    place: u64,
    /// Versions that nobody was told.
    passed_over: u64,
    /// It is not listed, and was not when it was last passed on: for trackers alone.
    repeats: bool,
    at: Stage,
    /// The last one that was visited in this stage.
    member: Number,
}

/// Whose members are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Direct,
    /// The pattern fits or not.
    Pattern(Candidate, bool),
}

impl Pass {
    /// Begins to pass a symbol on as it is now. `None` when it has not changed since the last time.
    pub(crate) fn begin(
        symbol: &Symbol,
        serial: u64,
        topics: &mut Topics,
        patterns: &Patterns,
        catalog: &Catalog,
    ) -> Option<Pass> {
        let topic = topics.find(symbol);
        let (stamp, before) = match topic {
            Some(id) => (topics.observe_version(id, catalog), topics.get(id).passed),
            // The writers' look at the patterns errs on the side of too many marks.
            None if patterns.is_empty() => return None,
            None => (Stamp::NEVER.then(catalog.listed_version(symbol)), Stamp::NEVER),
        };
        // A stock may have been listed and delisted since. Nobody was told, but a tracker may have read it.
        let repeats = stamp == before;
        if repeats && stamp.is_listed() {
            return None;
        }
        let passing = Passing { symbol: *symbol, stamp, serial };
        topics.set_passing(Some(passing));
        let mut pass = Pass {
            passing,
            topic: None,
            place: catalog.place(symbol),
            passed_over: before.passed_over(stamp),
            repeats,
            at: Stage::Direct,
            member: 0,
        };
        if let Some(id) = topic {
            pass.take_topic(id, topics);
        }
        Some(pass)
    }

    /// Goes on. Returns whether it has come to its end.
    pub(crate) fn go_on(
        &mut self,
        subscribers: &mut Subscribers,
        topics: &mut Topics,
        patterns: &Patterns,
        budget: &mut Budget,
    ) -> bool {
        // It may have been opened for somebody since.
        if self.topic.is_none()
            && let Some(id) = topics.find(&self.passing.symbol)
        {
            self.take_topic(id, topics);
        }
        if !self.visit_members(subscribers, topics, patterns, budget) {
            return false;
        }
        let symbol = self.passing.symbol;
        let after = match self.at {
            Stage::Direct => Candidate::default(),
            Stage::Pattern(candidate, _) => candidate,
        };
        for (next, pattern) in patterns.candidates(&symbol, after) {
            if budget.is_spent() {
                return false;
            }
            budget.spend(1);
            let fits = pattern.matches(&symbol);
            self.at = Stage::Pattern(next, fits);
            self.member = 0;
            if fits && self.topic.is_none() {
                let id = topics.open(&symbol);
                self.take_topic(id, topics);
            }
            if !self.visit_members(subscribers, topics, patterns, budget) {
                return false;
            }
        }
        true
    }

    /// Ends it.
    pub(crate) fn end(self, topics: &mut Topics, patterns: &Patterns) {
        topics.set_passing(None);
        if let Some(id) = self.topic {
            topics.let_go(id, patterns);
        }
    }

    fn take_topic(&mut self, id: TopicId, topics: &mut Topics) {
        topics.hold(id);
        let topic = topics.get_mut(id);
        topic.seen = topic.seen.max(self.passing.stamp);
        topic.passed = self.passing.stamp;
        self.topic = Some(id);
    }

    /// Visits the members of this stage that are left. Returns whether those were all.
    fn visit_members(
        &mut self,
        subscribers: &mut Subscribers,
        topics: &mut Topics,
        patterns: &Patterns,
        budget: &mut Budget,
    ) -> bool {
        let Some(topic) = self.topic else {
            return true;
        };
        loop {
            let (way, members) = match self.at {
                Stage::Direct => (DIRECT, Some(&topics.get(topic).direct)),
                Stage::Pattern(_, false) => return true,
                Stage::Pattern(Candidate { number, .. }, true) => (number, patterns.note(number)),
            };
            // Enough at once that finding the place of the last one costs little.
            let mut together = [0; MEMBERS_TOGETHER];
            let count = members.map_or(0, |members| members.copy_after(self.member, &mut together));
            if count == 0 {
                return true;
            }
            let together = &together[..count];
            subscribers.fetch(together, topic);
            for &member in together {
                if budget.is_spent() {
                    return false;
                }
                budget.spend(1);
                self.member = member;
                subscribers
                    .visit(member, |subscriber| self.mark(way, subscriber, topics, patterns));
            }
        }
    }

    /// Marks the topic for one subscriber, unless it knows. Returns how many messages that spares it
    /// if it has something to be told.
    fn mark(
        &self,
        way: Way,
        subscriber: &mut Subscriber,
        topics: &mut Topics,
        patterns: &Patterns,
    ) -> Option<u64> {
        let Passing { symbol, stamp, serial } = &self.passing;
        let topic = self.topic?;
        // A pattern tells the symbol itself when its walk comes by.
        if subscriber.visited == *serial
            || !subscriber.access.reads(symbol)
            || (way != DIRECT && !subscriber.walk.has_passed(way, self.place, symbol))
        {
            return None;
        }
        subscriber.visited = *serial;
        if self.repeats {
            return (subscriber.is_tracker() && subscriber.mark(topic, topics)).then_some(0);
        }
        // What is on its way is told as it is by then.
        if subscriber.round.is_some_and(|round| round.topic == topic) {
            return None;
        }
        let early = subscriber.early.get(topic);
        if early.is_some_and(|early| early > *stamp) {
            return None;
        }
        let knows = early == Some(*stamp);
        // An older note stays beside the mark: once that is told, most will have another one in its place.
        if knows || (early.is_some() && subscriber.is_tracker()) {
            subscriber.early.remove(topic);
            topics.let_go(topic, patterns);
        }
        (!knows).then(|| {
            let overtaken = !subscriber.mark(topic, topics);
            match subscriber.is_tracker() {
                true => 0,
                false => self.passed_over + u64::from(overtaken),
            }
        })
    }
}
