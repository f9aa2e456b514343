//! A worker and its feed: what has changed comes to its subscribers.
//!
//! Invariant: a subscriber that has something to be told has a turn queued, unless marks are gathered for a crowd first.

use std::time::Instant;

use stockd_engine::{Budget, Progress};
use stockd_model::limits::{FEED_PASS_WORK, FEED_TIDY_WORK};

use super::Worker;
use crate::slot::live;

impl Worker {
    /// Passes some of the marks that writers have left on to subscribers.
    pub(super) fn pass_on_marks(&mut self) {
        let mut budget = Budget::new(FEED_PASS_WORK);
        let others_wait = self.feed.pass_on(&mut budget) == Progress::More;
        self.mark_rounds.passed(others_wait, self.feed.has_at_hand());
        self.wake_subscribers();
        self.mark_rounds.queued(&self.turns);
    }

    /// Takes apart some of what subscribers have left behind.
    #[inline]
    pub(super) fn tidy_feed(&mut self) {
        if !self.feed.is_tidy() {
            let _ = self.feed.tidy(&mut Budget::new(FEED_TIDY_WORK));
        }
    }

    /// Sees to the subscribers that are told at an interval of their own.
    #[inline]
    pub(super) fn pace_feed(&mut self) {
        if self.feed.has_ended_rounds() || self.feed.paces_at().is_some() {
            self.feed.pace(Instant::now(), &mut Budget::new(FEED_TIDY_WORK));
            self.wake_subscribers();
        }
    }

    /// Gives a turn to every subscriber that has come to have something to be told. What it holds is looked at then.
    #[inline]
    pub(super) fn wake_subscribers(&mut self) {
        if self.feed.is_quiet() || self.mark_rounds.gathers() {
            return;
        }
        self.feed.take_awake(&mut self.awake);
        self.mark_rounds.told(self.awake.len());
        for subscriber in self.awake.drain(..) {
            if let Some(slot) = live(&mut self.connections, subscriber.into()) {
                self.turns.push_heavy(slot.id, &mut slot.places);
            }
        }
        self.pool.cells(self.index).conflated.add(self.feed.take_conflated());
    }

    /// Where another access file has come into force, gives a turn to the next few connections that are
    /// subscribed to something, in which they are told what has ended. The others learn it with what they
    /// ask next.
    #[inline]
    pub(super) fn review_access(&mut self) {
        let Some(slice) = self.access.slice(self.server.authority.generation()) else {
            return;
        };
        let slots = self.connections.capacity();
        for index in slice.clone().take_while(|index| *index < slots) {
            if let Some(slot) = self.connections.get_mut(index)
                && self.feed.has(slot.id.into())
            {
                self.turns.push_heavy(slot.id, &mut slot.places);
            }
        }
        self.access.looked(slice.end, slots);
    }
}
