//! Who is subscribed to what: subscriptions begin and end.
//!
//! Invariant: from the moment at which a subscription begins its symbol is watched, before the quote is read that it begins
//! with. So no change comes between the two.

use stockd_access::Access;
use stockd_model::limits::{PATTERNS_MAX, SUBSCRIPTIONS_MAX, UNINDEXED_PATTERNS_MAX};
use stockd_model::{Pattern, Refusal, Right, Symbol};

use super::Feed;
use super::subscriber::{Subscriber, SubscriberId};
use super::wants::Wants;

/// A subscription was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSubscribed {
    /// The stock may not be read, whether it is listed or not.
    #[error("{0}")]
    NotPermitted(Refusal),
    /// The subscriber has as many as it may.
    #[error(
        "this connection has {SUBSCRIPTIONS_MAX} subscriptions, the limit; use a pattern or \
         another connection"
    )]
    InAll,
    /// The subscriber has as many patterns as it may.
    #[error("this connection has {PATTERNS_MAX} patterns, the limit; use another connection")]
    Patterns,
    /// The process has as many patterns as it may that begin with a wildcard.
    #[error(
        "{UNINDEXED_PATTERNS_MAX} patterns that begin with a wildcard are subscribed to, the \
         limit; begin the pattern with a letter"
    )]
    Unindexed,
}

impl Feed {
    /// Subscribes to a symbol, listed or not. Its quote is the first message, or that it is not listed.
    /// Returns how many subscriptions the subscriber has now.
    ///
    /// # Errors
    ///
    /// [`NotSubscribed`], and nothing has changed.
    pub fn subscribe(
        &mut self,
        id: SubscriberId,
        access: &Access,
        symbol: &Symbol,
    ) -> Result<usize, NotSubscribed> {
        if !access.reads(symbol) {
            let refusal = Refusal::NotPermitted { right: Right::Read, symbol: *symbol };
            return Err(NotSubscribed::NotPermitted(refusal));
        }
        let subscriber = self.subscribers.enter(id);
        subscriber.access.clone_from(access);
        let (number, before) = (subscriber.number, subscriber.len());
        let topics = &mut self.wants.topics;
        if topics.find(symbol).is_some_and(|topic| subscriber.symbols.contains(topic)) {
            return Ok(before);
        }
        if before >= SUBSCRIPTIONS_MAX {
            return Err(NotSubscribed::InAll);
        }
        // First this, then the quote: see `Watcher`.
        let topic = self.wants.join(symbol, number);
        subscriber.symbols.insert(topic);
        self.market.directory.join(symbol);
        let topics = &mut self.wants.topics;
        let stamp = topics.observe_version(topic, &self.market.catalog);
        if subscriber.new.insert(topic) {
            topics.hold(topic);
        }
        if stamp != topics.get(topic).passed {
            topics.queue(topic);
        }
        Ok(self.subscribed(id, before))
    }

    /// Subscribes to all symbols that fit a pattern and may be read, also to those that are listed later.
    /// The quotes of all that are listed now are the first messages.
    ///
    /// # Errors
    ///
    /// [`NotSubscribed`], and nothing has changed.
    pub fn subscribe_pattern(
        &mut self,
        id: SubscriberId,
        access: &Access,
        pattern: &Pattern,
    ) -> Result<usize, NotSubscribed> {
        let subscriber = self.subscribers.enter(id);
        subscriber.access.clone_from(access);
        let before = subscriber.len();
        let way = self.wants.patterns.number(pattern);
        if way.is_some_and(|way| subscriber.patterns.contains_key(&way)) {
            return Ok(before);
        }
        if subscriber.patterns.len() >= PATTERNS_MAX {
            return Err(NotSubscribed::Patterns);
        }
        if before >= SUBSCRIPTIONS_MAX {
            return Err(NotSubscribed::InAll);
        }
        // First this, then the quotes: see `Watcher`.
        let joined = self.wants.join_pattern(pattern, subscriber.number);
        let (way, pattern) = joined.map_err(|_| NotSubscribed::Unindexed)?;
        self.market.directory.join_pattern(&pattern);
        subscriber.patterns.insert(way, pattern);
        subscriber.walk.join(way);
        Ok(self.subscribed(id, before))
    }

    /// Ends the subscription to a symbol, if there is one. Returns how many the subscriber has
    /// left.
    pub fn unsubscribe(&mut self, id: SubscriberId, symbol: &Symbol) -> usize {
        let topic = self.wants.topics.find(symbol);
        let number = self.subscribers.number(id);
        let (Some(topic), Some(number)) = (topic, number) else {
            return self.len(id);
        };
        let Some(subscriber) = self.subscribers.living(number) else {
            return 0;
        };
        let before = subscriber.len();
        if subscriber.symbols.remove(topic) {
            self.market.directory.end(symbol);
            let Wants { topics, patterns, .. } = &mut self.wants;
            if subscriber.new.remove(topic) {
                topics.let_go(topic, patterns);
            }
            let mut ends_round = false;
            // Where there are patterns the mark and the note may be theirs.
            if subscriber.patterns.is_empty() {
                if subscriber.forget_mark(topic) {
                    topics.let_go(topic, patterns);
                    ends_round = subscriber.ends_round();
                }
                if subscriber.early.remove(topic).is_some() {
                    topics.let_go(topic, patterns);
                }
            }
            if ends_round {
                self.subscribers.resting.end_round(number);
            }
            self.wants.end(topic, number);
        }
        self.unsubscribed(id, before)
    }

    /// Ends the subscription to a pattern, if there is one. Returns how many the subscriber has
    /// left.
    pub fn unsubscribe_pattern(&mut self, id: SubscriberId, pattern: &Pattern) -> usize {
        let way = self.wants.patterns.number(pattern);
        let number = self.subscribers.number(id);
        let (Some(way), Some(number)) = (way, number) else {
            return self.len(id);
        };
        let Some(subscriber) = self.subscribers.living(number) else {
            return 0;
        };
        let before = subscriber.len();
        if subscriber.patterns.remove(&way).is_some() {
            self.market.directory.end_pattern(pattern);
            subscriber.walk.leave(way);
            self.wants.end_pattern(way, number);
        }
        self.unsubscribed(id, before)
    }

    /// Forgets a subscriber. The number may name another one at once; what this one held is
    /// [tidied](Feed::tidy) up by and by.
    pub fn leave(&mut self, id: SubscriberId) {
        self.leaving_bytes += self.standing(id).map_or(0, |standing| standing.bytes);
        self.subscribers.leave(id);
    }

    /// The symbols that a subscriber is subscribed to, in no useful order.
    pub fn symbols(&self, id: SubscriberId) -> impl Iterator<Item = Symbol> + '_ {
        let symbols = self.subscribers.get(id).map(|subscriber| subscriber.symbols.iter());
        symbols.into_iter().flatten().map(|topic| self.wants.topics.get(topic).symbol)
    }

    /// The patterns that a subscriber is subscribed to, in the order in which they came up first.
    pub fn patterns(&self, id: SubscriberId) -> impl Iterator<Item = &Pattern> + '_ {
        let patterns = self.subscribers.get(id).map(|subscriber| subscriber.patterns.values());
        patterns.into_iter().flatten().map(|pattern| &**pattern)
    }

    /// Whether a subscriber has, or had, a subscription, or tracks.
    #[inline]
    pub fn has(&self, id: SubscriberId) -> bool {
        (!self.subscribers.is_empty() && self.subscribers.number(id).is_some())
            || self.subscribers.tracker(id).is_some()
    }

    /// How many subscriptions a subscriber has.
    #[inline]
    pub fn len(&self, id: SubscriberId) -> usize {
        self.subscribers.get(id).map_or(0, Subscriber::len)
    }

    /// How many symbols and how many patterns a subscriber is subscribed to.
    pub fn subscriptions(&self, id: SubscriberId) -> (usize, usize) {
        let count = |it: &Subscriber| (it.symbols.len(), it.patterns.len());
        self.subscribers.get(id).map_or((0, 0), count)
    }

    /// Counts a subscription more, and has it told. Returns how many there are now.
    fn subscribed(&mut self, id: SubscriberId, before: usize) -> usize {
        let len = self.unsubscribed(id, before);
        if let Some(number) = self.subscribers.number(id) {
            self.subscribers.wake(number);
        }
        len
    }

    /// Counts a subscription less. Returns how many are left.
    fn unsubscribed(&mut self, id: SubscriberId, before: usize) -> usize {
        let len = self.len(id);
        self.subscribers.count_subscriptions(before, len);
        if let Some(number) = self.subscribers.number(id) {
            self.subscribers.account(number);
        }
        len
    }
}
