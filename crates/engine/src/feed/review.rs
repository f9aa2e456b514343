//! What becomes of subscriptions when a subscriber may read something else than before.
//!
//! From the moment at which its access [changes](Feed::change_access) it is told nothing that it may not
//! read. Its subscriptions to such symbols end in a walk over all of them, each with a word of it; those
//! to patterns end where it may read nothing at all. Patterns that stay walk over the catalog again, since
//! there may be stocks now that it may read: of those that it knows the quote comes once more.

use std::sync::Arc;

use stockd_access::Access;
use stockd_model::{Pattern, Right, Symbol};

use super::Feed;
use super::budget::{Budget, Progress};
use super::subscriber::{Review, SubscriberId};

/// A subscription that has ended because it is not allowed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended<'a> {
    /// To this symbol.
    Symbol(&'a Symbol),
    /// To this pattern.
    Pattern(&'a Pattern),
}

impl Feed {
    /// A subscriber may read something else from now on. What is no longer allowed is then to be
    /// [ended](Feed::end_forbidden).
    pub fn change_access(&mut self, id: SubscriberId, access: &Access) {
        if let Some(number) = self.subscribers.number(id) {
            if let Some(subscriber) = self.subscribers.living(number) {
                subscriber.access.clone_from(access);
                let tells_again = subscriber.review.is_some();
                subscriber.review = Some(Review { at: None, tells_again });
                subscriber.patterns.keys().for_each(|way| subscriber.walk.join(*way));
            }
            self.subscribers.wake(number);
        }
        let tracker = self.subscribers.tracker(id);
        if let Some(tracker) = tracker.and_then(|number| self.subscribers.living(number)) {
            tracker.access.clone_from(access);
            // What it has kept it may have no right to any more.
            self.tell_to_forget(id);
        }
    }

    /// Whether subscriptions may have to be [ended](Feed::end_forbidden).
    #[inline]
    pub fn has_forbidden(&self, id: SubscriberId) -> bool {
        !self.subscribers.is_empty()
            && self.subscribers.get(id).is_some_and(|subscriber| subscriber.review.is_some())
    }

    /// Ends the subscriptions of a subscriber that are not allowed any more, as long as `tell` says that
    /// there is room for another message and the budget is not spent.
    pub fn end_forbidden(
        &mut self,
        id: SubscriberId,
        budget: &mut Budget,
        mut tell: impl FnMut(Ended<'_>) -> bool,
    ) -> Progress {
        while !budget.is_spent() {
            budget.spend(1);
            let number = self.subscribers.number(id);
            let subscriber = number.and_then(|number| self.subscribers.living(number));
            let Some(subscriber) = subscriber else { return Progress::Done };
            let Some(review) = &mut subscriber.review else { return Progress::Done };
            let symbols = &subscriber.symbols;
            let next = review.at.map_or_else(|| symbols.first(), |at| symbols.after(at));
            let has_room = if let Some(topic) = next {
                review.at = Some(topic);
                let tells_again = review.tells_again;
                let topics = &mut self.wants.topics;
                let symbol = topics.get(topic).symbol;
                if subscriber.access.reads(&symbol) {
                    if tells_again && subscriber.new.insert(topic) {
                        topics.hold(topic);
                    }
                    continue;
                }
                self.unsubscribe(id, &symbol);
                tell(Ended::Symbol(&symbol))
            } else if !subscriber.access.has(Right::Read)
                && let Some((_, pattern)) = subscriber.patterns.first_key_value()
            {
                let pattern = Arc::clone(pattern);
                self.unsubscribe_pattern(id, &pattern);
                tell(Ended::Pattern(&pattern))
            } else {
                subscriber.review = None;
                return Progress::Done;
            };
            // It is looked up among those who want it, and a message is written.
            budget.spend(16);
            if !has_room {
                break;
            }
        }
        Progress::More
    }
}
