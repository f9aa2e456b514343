//! Subscribers with an interval of their own, in time.
//!
//! The feed has no clock: its owner says what time it is, after it has told and when somebody has [rested](super::pace).
//!
//! Invariant: when the owner has said what time it is, everybody who has rested by then is awake, if there is something
//! to tell, and [`paces_at`](Feed::paces_at) is when the next one has.

use std::time::{Duration, Instant};

use super::Feed;
use super::budget::Budget;
use super::pace::Pace;
use super::subscriber::SubscriberId;

impl Feed {
    /// Has a subscriber told at most one message a symbol in this time from now on, or all as they come. The first
    /// message of a subscription is not held back; and who is subscribed by several patterns and has no room for all that
    /// a change brings may be told the symbol by some of them once more.
    pub fn set_interval(&mut self, id: SubscriberId, interval: Option<Duration>) {
        if interval.is_none() && self.subscribers.number(id).is_none() {
            return;
        }
        let subscriber = self.subscribers.enter(id);
        let (number, before) = (subscriber.number, subscriber.pace.take());
        subscriber.pace = interval.map(Pace::new);
        self.subscribers.resting.forget(number, before);
        self.subscribers.wake(number);
    }

    /// Says what time it is: for those who have been told a round the rest begins, and those who have rested
    /// are [awake](Feed::take_awake) if there is something to tell.
    pub fn pace(&mut self, now: Instant, budget: &mut Budget) {
        while let Some(number) = self.subscribers.resting.pop_ended() {
            let subscriber = self.subscribers.living(number);
            let pace = subscriber.and_then(|subscriber| subscriber.pace.as_mut());
            if let Some(until) = pace.and_then(|pace| pace.rest(now)) {
                self.subscribers.resting.insert(until, number);
            }
        }
        while !budget.is_spent()
            && let Some(number) = self.subscribers.resting.pop_rested(now)
        {
            budget.spend(1);
            let Some(subscriber) = self.subscribers.living(number) else { continue };
            if let Some(pace) = &mut subscriber.pace {
                pace.end_rest();
            }
            if subscriber.has_messages() {
                self.subscribers.wake(number);
            }
        }
    }

    /// When the next subscriber has rested: then there is something to [pace](Feed::pace).
    #[inline]
    pub fn paces_at(&self) -> Option<Instant> {
        self.subscribers.resting.until()
    }

    /// Whether the time has to be [told](Feed::pace) now: a round has ended.
    #[inline]
    pub fn has_ended_rounds(&self) -> bool {
        self.subscribers.resting.has_ended()
    }
}
