//! Trackers: who has read stocks and keeps what it has read is told when that is out of date.
//!
//! A tracker is a subscriber of a second kind under the name of the first: it has marks like any
//! other, but no messages. A mark says that the symbol has changed, and what is told of it is no more
//! than that; then the symbol is tracked no longer, until it is read again. Or it tracks all symbols with
//! a prefix, and is told of each of their changes.
//!
//! Invariant: a tracker that calls [`track`](Feed::track) before it reads a stock is told of every later change
//! of what it has read, or to forget all, or has the symbol marked, or has stopped to track.

use stockd_access::Access;
use stockd_model::limits::{INTEREST_PATTERN_BYTES_MAX, PATTERNS_MAX, TRACKED_STOCKS_MAX};
use stockd_model::{Pattern, Reply, Symbol};

use super::budget::{Budget, Progress};
use super::stamp::Stamp;
use super::subscriber::{Subscriber, SubscriberId};
use super::subscribers::Subscribers;
use super::topics::TopicId;
use super::wants::Wants;
use super::{Feed, NotSubscribed};

impl Feed {
    /// Has a tracker told when this symbol, listed or not, changes for the next time. It is to be read only
    /// after this call. What may not be read is not tracked.
    ///
    /// Where it tracks [`TRACKED_STOCKS_MAX`] symbols, it is told to forget the one that it has tracked longest.
    pub fn track(&mut self, id: SubscriberId, access: &Access, symbol: &Symbol) {
        if !access.reads(symbol) {
            return;
        }
        let tracker = self.subscribers.enter_tracker(id);
        tracker.access.clone_from(access);
        let number = tracker.number;
        let known = self.wants.topics.find(symbol);
        if let Some(topic) = known
            && tracker.symbols.contains(topic)
        {
            return self.read_again(id, topic);
        }
        if tracker.symbols.len() >= TRACKED_STOCKS_MAX {
            if tracker.marks.len() >= TRACKED_STOCKS_MAX {
                self.forget_tracked(id);
                return self.track(id, access, symbol);
            }
            let earliest = tracker.ages.as_ref().and_then(|ages| ages.earliest());
            if let Some(topic) = earliest {
                tracker.mark(topic, &mut self.wants.topics);
                untrack(tracker, topic, &mut self.wants);
                self.subscribers.tracked -= 1;
                self.subscribers.wake(number);
            }
        }
        // First this, then the quote: see `Watcher`.
        let topic = self.wants.join(symbol, number);
        let topics = &mut self.wants.topics;
        let stamp = topics.observe_version(topic, &self.market.catalog);
        let passed = &mut topics.get_mut(topic).passed;
        let tracker = self.subscribers.enter_tracker(id);
        let nobody_waits =
            known.is_none() && !self.wants.patterns.may_match(symbol, INTEREST_PATTERN_BYTES_MAX).0;
        if nobody_waits {
            *passed = stamp;
        } else if *passed != stamp {
            topics.queue(topic);
            if stamp.is_listed() {
                note_told(tracker, topic, stamp, &mut self.wants);
            }
        }
        tracker.symbols.insert(topic);
        tracker.ages.get_or_insert_default().add(topic);
        self.subscribers.tracked += 1;
        self.subscribers.account(number);
    }

    /// A tracker reads once more what it tracks. It may find the stock listed for a moment that no other sees,
    /// so what it knew of its absence counts no more.
    fn read_again(&mut self, id: SubscriberId, topic: TopicId) {
        let tracker = self.subscribers.enter_tracker(id);
        if tracker.early.get(topic).is_some_and(|stamp| !stamp.is_listed()) {
            tracker.early.remove(topic);
            self.wants.topics.let_go(topic, &self.wants.patterns);
        }
    }

    /// Has a tracker told of every change of the symbols that fit this pattern and that it may read. They
    /// are to be read only after this call.
    ///
    /// # Errors
    ///
    /// [`NotSubscribed`], and nothing has changed.
    pub fn track_pattern(
        &mut self,
        id: SubscriberId,
        access: &Access,
        pattern: &Pattern,
    ) -> Result<(), NotSubscribed> {
        let tracker = self.subscribers.enter_tracker(id);
        tracker.access.clone_from(access);
        let number = tracker.number;
        if tracker.patterns.len() >= PATTERNS_MAX {
            return Err(NotSubscribed::Patterns);
        }
        let joined = self.wants.join_pattern(pattern, number);
        let (way, pattern) = joined.map_err(|_| NotSubscribed::Unindexed)?;
        if tracker.patterns.insert(way, pattern).is_none() {
            self.subscribers.tracked += 1;
        }
        self.subscribers.account(number);
        Ok(())
    }

    /// Has a tracker told to forget all that it has read. It tracks nothing until it reads again.
    pub fn forget_tracked(&mut self, id: SubscriberId) {
        self.subscribers.leave_tracker(id);
        self.tell_to_forget(id);
    }

    /// The same, but it goes on to track what it has tracked.
    pub fn tell_to_forget(&mut self, id: SubscriberId) {
        let tracker = self.subscribers.enter_tracker(id);
        tracker.flush = true;
        let number = tracker.number;
        self.subscribers.wake(number);
    }

    /// Ends tracking, with nothing further told.
    pub fn untrack(&mut self, id: SubscriberId) {
        self.subscribers.leave_tracker(id);
    }

    /// A tracker has made a change itself and knows what came of it: it is not to be told, if it knew the
    /// quote before the change.
    pub fn spare(&mut self, id: SubscriberId, reply: &Reply) {
        let (symbol, after) = match reply {
            Reply::Listed(quote) | Reply::Updated(quote) | Reply::Cleared(quote, 1..) => {
                (&quote.symbol, Stamp::listed(quote.version))
            }
            Reply::Delisted(quote) => (&quote.symbol, Stamp::listed(quote.version).then(None)),
            _ => return,
        };
        let Some(topic) = self.wants.topics.find(symbol) else { return };
        let number = self.subscribers.tracker(id);
        let Some(tracker) = number.and_then(|number| self.subscribers.living(number)) else {
            return;
        };
        if !tracker.symbols.contains(topic) {
            return;
        }
        // It was there, even if it is gone before anybody else looks.
        let seen = &mut self.wants.topics.get_mut(topic).seen;
        *seen = (*seen).max(after);
        let told = tracker.told(topic, &self.wants.topics);
        let knew = told.is_some_and(|told| match reply {
            Reply::Listed(_) => !told.is_listed(),
            Reply::Updated(quote) | Reply::Cleared(quote, 1..) => {
                told == Stamp::listed(quote.version - 1)
            }
            Reply::Delisted(quote) => told == Stamp::listed(quote.version),
            _ => false,
        });
        if knew {
            note_told(tracker, topic, after, &mut self.wants);
        }
    }

    /// Whether a tracker has anything to be told.
    #[inline]
    pub fn has_invalidations(&self, id: SubscriberId) -> bool {
        self.subscribers.get_tracker(id).is_some_and(|it| it.flush || !it.marks.is_empty())
    }

    /// Tells a tracker which symbols have changed since it read them, `None` for all, as long as `tell` says
    /// that there is room and the budget is not spent.
    pub fn tell_invalidations(
        &mut self,
        id: SubscriberId,
        budget: &mut Budget,
        mut tell: impl FnMut(Option<&Symbol>) -> bool,
    ) -> Progress {
        let Feed { subscribers, wants, .. } = self;
        let Some(number) = subscribers.tracker(id) else { return Progress::Done };
        let Some(tracker) = subscribers.living(number) else { return Progress::Done };
        let mut untracked = 0;
        let mut has_room = !std::mem::take(&mut tracker.flush) || tell(None);
        while has_room
            && !budget.is_spent()
            && let Some(topic) = tracker.take_mark()
        {
            budget.spend(1);
            let symbol = wants.topics.get(topic).symbol;
            untracked += usize::from(untrack(tracker, topic, wants));
            wants.topics.let_go(topic, &wants.patterns);
            // What it may read no longer it was told to forget, with all else.
            has_room = !tracker.access.reads(&symbol) || tell(Some(&symbol));
        }
        let more = !tracker.marks.is_empty();
        subscribers.tracked -= untracked;
        subscribers.account(number);
        if more { Progress::More } else { Progress::Done }
    }

    /// Trackers, and what they track together.
    pub fn tracked(&self) -> (usize, usize) {
        let Subscribers { tracked, .. } = self.subscribers;
        (self.subscribers.trackers(), tracked)
    }
}

/// Notes that a tracker knows this version of a symbol, which is not what is passed on.
fn note_told(tracker: &mut Subscriber, topic: TopicId, stamp: Stamp, wants: &mut Wants) {
    if tracker.early.insert(topic, stamp).is_none() {
        wants.topics.hold(topic);
    }
}

/// A tracker tracks a symbol no longer. Whether it did.
fn untrack(tracker: &mut Subscriber, topic: TopicId, wants: &mut Wants) -> bool {
    let was_tracked = tracker.symbols.remove(topic);
    if was_tracked {
        if let Some(ages) = &mut tracker.ages {
            ages.remove(topic);
        }
        wants.topics.hold(topic);
        if tracker.early.remove(topic).is_some() {
            wants.topics.let_go(topic, &wants.patterns);
        }
        wants.end(topic, tracker.number);
        wants.topics.let_go(topic, &wants.patterns);
    }
    was_tracked
}
