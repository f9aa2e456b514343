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
//! Subscriptions begin and end in [`subscribing`]; what is held for subscribers is counted in [`standing`].
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
mod standing;
mod subscriber;
mod subscribers;
mod subscribing;
mod telling;
#[cfg(all(test, not(loom)))]
mod tests;
mod topic_set;
mod topics;
mod tracking;
mod walk;
mod wants;

use std::collections::hash_set;
use std::sync::Arc;

use stockd_model::Symbol;

pub use budget::{Budget, Progress};
pub use directory::Directory;
#[cfg(all(test, loom))]
pub(crate) use interest::Watcher;
pub(crate) use interest::{Marks, Watchers};
pub use payloads::Framed;
pub use review::Ended;
pub use standing::Standing;
pub use subscriber::SubscriberId;
pub use subscribing::NotSubscribed;
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
}
