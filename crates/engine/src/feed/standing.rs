//! What is held for subscribers, and what they have still to be told, in numbers.
//!
//! Invariant: what all of them hold together is at least what each holds, in sum. What those that have left hold, until it is
//! [tidied](Feed::tidy) up, makes no other subscriber larger.

use std::mem;

use super::Feed;
use super::subscriber::SubscriberId;
use super::wants::Wants;

/// What a subscriber wants, holds, and has still to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Symbols that it is subscribed to.
    pub symbols: usize,
    /// Patterns that it is subscribed to.
    pub patterns: usize,
    /// Symbols that are marked for it, as a subscriber and as a tracker.
    pub marks: usize,
    /// About how many bytes are held for it, with an equal share for each subscription of what all subscribers hold
    /// together. The latest payloads are no part of it: they are bounded, and as many however few subscribe.
    pub bytes: usize,
    /// Whether it is told no marks yet because of its [interval](Feed::set_interval).
    pub rests: bool,
}

impl Feed {
    /// How many symbols are marked for a subscriber, as one and as a tracker.
    pub fn backlog(&self, id: SubscriberId) -> usize {
        let both = [self.subscribers.get(id), self.subscribers.get_tracker(id)];
        both.into_iter().flatten().map(|subscriber| subscriber.marks.len()).sum()
    }

    /// Subscribers that have a subscription, and subscriptions in all.
    pub fn counts(&self) -> (usize, usize) {
        self.subscribers.counts()
    }

    /// About how many bytes are held for one subscriber: what it is subscribed to, and what it has still to be told.
    pub fn bytes(&self, id: SubscriberId) -> usize {
        self.subscribers.get(id).map_or(0, |subscriber| subscriber.accounted_bytes)
    }

    /// How a subscriber stands, and where it tracks; `None` where it does neither.
    #[inline]
    pub fn standing(&self, id: SubscriberId) -> Option<Standing> {
        let subscriber = match self.subscribers.is_empty() {
            true => None,
            false => self.subscribers.get(id),
        };
        let tracker = self.subscribers.get_tracker(id);
        if subscriber.is_none() && tracker.is_none() {
            return None;
        }
        let mut standing = Standing::default();
        let mut subscriptions = 0;
        for it in [subscriber, tracker].into_iter().flatten() {
            subscriptions += it.len();
            standing.marks += it.marks.len();
            standing.bytes += it.accounted_bytes;
        }
        standing.bytes += subscriptions * self.share();
        if let Some(subscriber) = subscriber {
            standing.symbols = subscriber.symbols.len();
            standing.patterns = subscriber.patterns.len();
            standing.rests = subscriber.rests();
        }
        Some(standing)
    }

    /// The part of a subscription in what all subscribers hold together. The topics and patterns of those that have
    /// left, until they are tidied up, are parts of their own: they make no other subscriber larger.
    fn share(&self) -> usize {
        let (_, subscriptions) = self.subscribers.counts();
        let Wants { topics, patterns, .. } = &self.wants;
        let shares = subscriptions + self.subscribers.tracked;
        let shares = shares.max(topics.places() + patterns.len());
        (topics.bytes() + patterns.bytes()) / shares.max(1)
    }

    /// About how many bytes are held in all: for all subscribers, those included that have left and
    /// are not tidied up, and for what they share.
    pub fn bytes_in_all(&self) -> usize {
        let Wants { topics, patterns, .. } = &self.wants;
        self.subscribers.bytes() + topics.bytes() + patterns.bytes() + self.payloads.bytes()
    }

    /// About how many of the [bytes in all](Feed::bytes_in_all) are given back by tidying up alone: those of the
    /// subscribers that have left.
    pub fn leaving_bytes(&self) -> usize {
        self.leaving_bytes.min(self.bytes_in_all())
    }

    /// Messages that subscribers were spared since this was last asked, because a newer quote
    /// took their place.
    pub fn take_conflated(&mut self) -> u64 {
        mem::take(&mut self.subscribers.conflated)
    }

    /// Messages that a subscriber was spared so far, because a newer quote took their place.
    pub fn conflated(&self, id: SubscriberId) -> u64 {
        self.subscribers.get(id).map_or(0, |subscriber| subscriber.conflated)
    }
}
