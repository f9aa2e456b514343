//! What all subscribers of a feed want together: each symbol and pattern once, with who wants it.
//!
//! The first subscriber of a symbol or pattern has the writers told of it, the last one has that
//! taken back.
//!
//! Invariant: the writers are told of exactly the symbols and patterns that have a member.

use std::sync::Arc;

use stockd_model::{Pattern, Symbol};

use super::budget::Budget;
use super::directory::Directory;
use super::interest::{TooManyUnindexed, Watcher};
use super::members::{Members, Number};
use super::subscriber::{Subscriber, Way};
use super::topics::{Patterns, TopicId, Topics};

/// The topics and patterns of a feed.
#[derive(Debug)]
pub(crate) struct Wants {
    pub(crate) watcher: Watcher,
    directory: Arc<Directory>,
    pub(crate) topics: Topics,
    pub(crate) patterns: Patterns,
}

impl Wants {
    pub(crate) fn new(watcher: Watcher, directory: Arc<Directory>) -> Wants {
        Wants { watcher, directory, topics: Topics::default(), patterns: Patterns::default() }
    }

    /// A subscriber wants a symbol from now on.
    pub(crate) fn join(&mut self, symbol: &Symbol, number: Number) -> TopicId {
        let id = self.topics.open(symbol);
        let direct = &mut self.topics.get_mut(id).direct;
        if direct.is_empty() {
            self.watcher.watch(symbol);
        }
        direct.insert(number);
        id
    }

    /// A subscriber wants a symbol no longer.
    pub(crate) fn end(&mut self, topic: TopicId, number: Number) {
        let Wants { watcher, topics, patterns, .. } = self;
        let wanted = topics.get_mut(topic);
        wanted.direct.remove(number);
        if wanted.direct.is_empty() {
            watcher.unwatch(&wanted.symbol);
            topics.forget_unwanted(topic, patterns);
        }
    }

    /// A subscriber wants a pattern from now on.
    pub(crate) fn join_pattern(
        &mut self,
        pattern: &Pattern,
        number: Number,
    ) -> Result<(Way, Arc<Pattern>), TooManyUnindexed> {
        let way = match self.patterns.number(pattern) {
            Some(way) => way,
            None => {
                let pattern = Arc::new(pattern.clone());
                self.watcher.watch_pattern(&pattern)?;
                self.patterns.insert(pattern, Members::Nobody)
            }
        };
        let (pattern, members) = self.patterns.get_mut(way).expect("it is there by now");
        members.insert(number);
        Ok((way, Arc::clone(pattern)))
    }

    /// A subscriber wants a pattern no longer.
    pub(crate) fn end_pattern(&mut self, way: Way, number: Number) {
        let Some((pattern, members)) = self.patterns.get_mut(way) else {
            return;
        };
        members.remove(number);
        if members.is_empty() {
            self.watcher.unwatch_pattern(pattern);
            self.patterns.remove(way);
            self.topics.begin_sweep();
        }
    }

    /// Takes apart what a subscriber held that has left. Returns whether that was all.
    pub(crate) fn dismantle(&mut self, left: &mut Subscriber, budget: &mut Budget) -> bool {
        while !budget.is_spent() {
            budget.spend(1);
            // What the writers are told of is dearer to take back.
            const WATCHED_WORK: usize = 15;
            let held = left.round.take().map(|round| round.topic);
            let held = held.or_else(|| left.marks.pop_first()).or_else(|| left.new.pop_first());
            let held = held.or_else(|| left.early.pop());
            if let Some(topic) = held {
                self.topics.let_go(topic, &self.patterns);
            } else if let Some(topic) = left.symbols.pop_first() {
                budget.spend(WATCHED_WORK);
                if !left.is_tracker() {
                    self.directory.end(&self.topics.get(topic).symbol);
                }
                self.end(topic, left.number);
            } else if let Some((way, pattern)) = left.patterns.pop_first() {
                budget.spend(WATCHED_WORK);
                if !left.is_tracker() {
                    self.directory.end_pattern(&pattern);
                }
                left.walk.leave(way);
                self.end_pattern(way, left.number);
            } else {
                return true;
            }
        }
        false
    }
}
