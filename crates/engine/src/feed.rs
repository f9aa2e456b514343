//! Who has to be told what: one feed for every plane that has subscribers.
//!
//! ```text
//!   writers                                     one thread or task
//!   ───────                                     ──────────────────
//!   change a row                                                       ┌─ subscriber: marks ─┐
//!        │                 ┌─ inbox ─┐                                 │  AAPL  BRK/A        │ tell
//!        ├─ interest? ───► │ AAPL    │ ── pass_on ─► topics, patterns ─┼─ subscriber: marks ─┼──────► messages
//!        │  (filter,       │ BRK/A   │    in slices  who wants AAPL?   │  AAPL               │ where
//!        │   index)        └─────────┘                                 └─ subscriber: –      ┘ there is room
//!        ▼                   wakes
//!    goes on
//! ```
//!
//! There is no queue of messages. A write leaves one *mark* a symbol in the inbox of each plane that
//! watches it ([`interest`]). The plane [passes it on](Feed::pass_on): each subscriber that wants the
//! symbol has it marked, once, however many of its patterns fit ([`pass`]). When it takes what lies in its inbox the plane
//! decides: beside many subscribers, when they have been told what it took before, so that a symbol that changes often
//! is one mark there meanwhile, and not one for each of them. When there is room,
//! [`tell`](Feed::tell) makes messages of the marks, each with the quote as it is by then: one for
//! the subscription to the symbol itself and one for each pattern that fits ([`telling`]). A slow
//! reader so receives fewer, newer quotes; what it costs is bounded by what it subscribed to, never
//! by how far behind it is; and since the last change leaves a mark, its last message is the latest
//! quote. The listed stocks that a new pattern fits need no marks: they are told on a walk over the
//! catalog ([`walk`]).
//!
//! A feed knows no threads, no sockets and no protocols. Its owner, who serves the subscribers, names them
//! with numbers, and gives every walk a [`Budget`]: passing on, telling, and [tidying](Feed::tidy) up behind those that
//! have left. No other call takes longer for more subscribers, more subscriptions or more stocks
//! than a search tree does.
//!
//! Invariant: for each subscriber, and each symbol that it is told as it changes, one of these holds:
//! it has been told the latest that was passed on, or later; the symbol is marked; the pass that is
//! under way has still to come by. A message is always the quote as it is now, so no version comes
//! twice by the same way, none goes back, and the last one comes.

mod block_table;
mod budget;
mod directory;
mod early;
mod filter;
mod interest;
mod interval;
mod members;
mod pace;
mod pass;
mod pattern_index;
mod payloads;
mod review;
mod stamp;
mod subscriber;
mod subscribers;
mod telling;
#[cfg(all(test, not(loom)))]
mod tests;
mod topic_set;
mod topics;
mod tracking;
mod walk;
mod wants;

use std::collections::hash_set;
use std::mem;
use std::sync::Arc;

use stockd_access::Access;
use stockd_model::limits::{PATTERNS_MAX, SUBSCRIPTIONS_MAX, UNINDEXED_PATTERNS_MAX};
use stockd_model::{Pattern, Refusal, Right, Symbol};

pub use budget::{Budget, Progress};
pub use directory::Directory;
#[cfg(all(test, loom))]
pub(crate) use interest::Watcher;
pub(crate) use interest::{Marks, Watchers};
pub use payloads::Framed;
pub use review::Ended;
pub use subscriber::SubscriberId;
pub use telling::Message;

use crate::market::Market;
use pass::Pass;
use payloads::Payloads;
use subscriber::Subscriber;
use subscribers::Subscribers;
use telling::Telling;
use wants::Wants;

/// The subscribers of one plane, what they want and what each has still to be told.
#[derive(Debug)]
pub struct Feed {
    market: Arc<Market>,
    wants: Wants,
    subscribers: Subscribers,
    payloads: Payloads,
    /// Taken from the writers and not passed on yet.
    changed: hash_set::IntoIter<Symbol>,
    pass: Option<Pass>,
    /// How many passes there have been.
    passes: u64,
    /// About how many bytes the subscribers that have left hold still.
    leaving_bytes: usize,
}

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
    /// A feed without subscribers. Writers call `wake` when there is something to pass on.
    pub(crate) fn new(
        market: &Arc<Market>,
        wake: impl Fn() + Send + std::marker::Sync + 'static,
    ) -> Feed {
        Feed {
            wants: Wants::new(market.watchers.watcher(wake), Arc::clone(&market.directory)),
            market: Arc::clone(market),
            subscribers: Subscribers::default(),
            payloads: Payloads::default(),
            changed: Marks::default().into_iter(),
            pass: None,
            passes: 0,
            leaving_bytes: 0,
        }
    }

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

    /// Passes what has changed on to the subscribers that want it. When it is
    /// [done](Progress::Done) the next change wakes the watcher.
    ///
    /// What writers have left is taken by a call that finds nothing [at hand](Feed::has_at_hand), and by no other, so
    /// that the owner decides when that is: until then a symbol that changes again costs no subscriber anything.
    pub fn pass_on(&mut self, budget: &mut Budget) -> Progress {
        // Marks may have come since those at hand were taken, and their wake with them: only who
        // takes all can say that none are left.
        let takes_all = !self.has_at_hand();
        if takes_all {
            self.changed = self.wants.watcher.take(Marks::default()).into_iter();
        }
        loop {
            if let Some(mut pass) = self.pass.take() {
                let Wants { topics, patterns, .. } = &mut self.wants;
                if !pass.go_on(&mut self.subscribers, topics, patterns, budget) {
                    self.pass = Some(pass);
                    return Progress::More;
                }
                pass.end(topics, patterns);
            }
            if budget.is_spent() {
                return Progress::More;
            }
            // The two take turns, so that neither waits for all of the other.
            let takes_queued = self.changed.len() == 0 || self.passes.is_multiple_of(2);
            let queued = takes_queued.then(|| self.wants.topics.pop_queued()).flatten();
            if let Some(topic) = queued {
                let symbol = self.wants.topics.get(topic).symbol;
                self.begin_pass(&symbol, budget);
                let Wants { topics, patterns, .. } = &mut self.wants;
                topics.let_go(topic, patterns);
            } else if let Some(symbol) = self.changed.next() {
                self.begin_pass(&symbol, budget);
            } else {
                return if takes_all { Progress::Done } else { Progress::More };
            }
        }
    }

    /// Whether something of what was taken from the writers has still to be [passed on](Feed::pass_on).
    #[inline]
    pub fn has_at_hand(&self) -> bool {
        self.pass.is_some() || self.changed.len() > 0
    }

    fn begin_pass(&mut self, symbol: &Symbol, budget: &mut Budget) {
        // The symbol, its topic and its row are looked up.
        budget.spend(8);
        self.passes += 1;
        let Wants { topics, patterns, .. } = &mut self.wants;
        self.pass = Pass::begin(symbol, self.passes, topics, patterns, &self.market.catalog);
    }

    /// Whether there is something to [pass on](Feed::pass_on) that no wake tells of.
    #[inline]
    pub fn has_to_pass_on(&self) -> bool {
        self.pass.is_some() || self.wants.topics.has_queued()
    }

    /// Takes apart what subscribers held that have left, and forgets symbols that no subscriber wants any
    /// more.
    pub fn tidy(&mut self, budget: &mut Budget) -> Progress {
        let before = self.bytes_in_all();
        while !budget.is_spent() {
            let Some(mut left) = self.subscribers.pop_leftover() else {
                break;
            };
            let is_gone = self.wants.dismantle(&mut left, budget);
            self.subscribers.account_leftover(&mut left, is_gone);
            if !is_gone {
                self.subscribers.push_leftover(left);
            }
        }
        let Wants { topics, patterns, .. } = &mut self.wants;
        topics.sweep(patterns, budget);
        if topics.is_empty() {
            self.payloads.clear();
        }
        if self.is_tidy() {
            self.leaving_bytes = 0;
            return Progress::Done;
        }
        let freed = before.saturating_sub(self.bytes_in_all());
        self.leaving_bytes = self.leaving_bytes.saturating_sub(freed);
        Progress::More
    }

    /// Whether there is nothing to [tidy](Feed::tidy) up.
    #[inline]
    pub fn is_tidy(&self) -> bool {
        let topics = &self.wants.topics;
        let has_spare_payloads = topics.is_empty() && self.payloads.bytes() > 0;
        !self.subscribers.has_leftovers() && topics.is_swept() && !has_spare_payloads
    }

    /// The subscribers that have come to have something to be told, each once.
    pub fn take_awake(&mut self, into: &mut Vec<SubscriberId>) {
        self.subscribers.take_awake(into);
    }

    /// Whether nothing has come up since the awake were last named.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        self.subscribers.nobody_is_awake() && self.subscribers.conflated == 0
    }

    /// Whether a subscriber has anything to be told.
    #[inline]
    pub fn has_messages(&self, id: SubscriberId) -> bool {
        !self.subscribers.is_empty()
            && self.subscribers.get(id).is_some_and(Subscriber::has_messages)
    }

    /// Tells a subscriber what it has not been told, as long as `tell` says that there is room for
    /// another message and the budget is not spent.
    pub fn tell(
        &mut self,
        id: SubscriberId,
        budget: &mut Budget,
        mut tell: impl FnMut(Message<'_>) -> bool,
    ) -> Progress {
        let Some(number) = self.subscribers.number(id) else {
            return Progress::Done;
        };
        let Some(subscriber) = self.subscribers.living(number) else {
            return Progress::Done;
        };
        let Wants { topics, patterns, .. } = &mut self.wants;
        let (payloads, catalog) = (&mut self.payloads, &self.market.catalog);
        let ends_round = false;
        let mut telling =
            Telling { subscriber, topics, patterns, payloads, catalog, budget, ends_round };
        let progress = telling.tell(&mut tell);
        if telling.ends_round {
            self.subscribers.resting.end_round(number);
        }
        self.subscribers.account(number);
        progress
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
