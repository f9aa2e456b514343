//! The subscribers of a feed: those that live, and what is left of those that have gone.
//!
//! It keeps the counts and the sum of bytes, so that no walk over all of them is needed. Who
//! leaves is out of the tables at once; what it held is taken apart in slices ([`Subscribers::pop_leftover`]).

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::mem;

use foldhash::fast::RandomState;
use slab::Slab;

use super::members::Number;
use super::pace::Resting;
use super::stamp::Stamp;
use super::subscriber::{Subscriber, SubscriberId};
use super::topics::TopicId;

/// Bits of a subscriber's number that say in which place it is. The others count subscribers, so that no number comes
/// twice and a later subscriber has a higher one.
const PLACE_BITS: u32 = 24;

/// All subscribers of a feed.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    numbers: HashMap<SubscriberId, Number, RandomState>,
    /// Those that [track](super::tracking), beside what they are subscribed to.
    trackers: HashMap<SubscriberId, Number, RandomState>,
    living: Slab<Box<Subscriber>>,
    /// How many there have been.
    serial: u64,
    leaving: VecDeque<Box<Subscriber>>,
    /// Those that have come to have something to be told since they were last named.
    awake: Vec<Number>,
    /// Those with a subscription.
    subscribed: usize,
    subscriptions: usize,
    /// Symbols and patterns of trackers.
    pub(crate) tracked: usize,
    bytes: usize,
    /// Messages that subscribers were spared because a newer quote took their place.
    pub(crate) conflated: u64,
    pub(crate) resting: Resting,
}

impl Subscribers {
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub(crate) fn number(&self, id: SubscriberId) -> Option<Number> {
        self.numbers.get(&id).copied()
    }

    pub(crate) fn get(&self, id: SubscriberId) -> Option<&Subscriber> {
        self.numbered(self.number(id)?)
    }

    fn numbered(&self, number: Number) -> Option<&Subscriber> {
        let subscriber = self.living.get(place(number))?;
        (subscriber.number == number).then_some(&**subscriber)
    }

    /// The subscriber with this number, unless it has left.
    pub(crate) fn living(&mut self, number: Number) -> Option<&mut Subscriber> {
        living(&mut self.living, number)
    }

    /// A subscriber, a new one if need be.
    pub(crate) fn enter(&mut self, id: SubscriberId) -> &mut Subscriber {
        let Subscribers { numbers, living, serial, .. } = self;
        let new = || settle(living, serial, |number| Subscriber::new(id, number));
        let number = *numbers.entry(id).or_insert_with(new);
        &mut living[place(number)]
    }

    pub(crate) fn tracker(&self, id: SubscriberId) -> Option<Number> {
        if self.trackers.is_empty() { None } else { self.trackers.get(&id).copied() }
    }

    pub(crate) fn get_tracker(&self, id: SubscriberId) -> Option<&Subscriber> {
        self.numbered(self.tracker(id)?)
    }

    pub(crate) fn trackers(&self) -> usize {
        self.trackers.len()
    }

    /// The tracker of this name, a new one if need be.
    pub(crate) fn enter_tracker(&mut self, id: SubscriberId) -> &mut Subscriber {
        let Subscribers { trackers, living, serial, .. } = self;
        let new = || settle(living, serial, |number| Subscriber::tracker(id, number));
        let number = *trackers.entry(id).or_insert_with(new);
        &mut living[place(number)]
    }

    /// Takes a tracker out of the tables. What it held is left over.
    pub(crate) fn leave_tracker(&mut self, id: SubscriberId) {
        let number = self.trackers.remove(&id);
        if let Some(tracker) = number.and_then(|number| self.remove(number)) {
            self.tracked -= tracker.len();
            self.leaving.push_back(tracker);
        }
        if self.trackers.is_empty() {
            self.trackers.shrink_to_fit();
        }
    }

    /// Takes a subscriber out of the tables. What it held is left over.
    pub(crate) fn leave(&mut self, id: SubscriberId) {
        self.leave_tracker(id);
        let Some(number) = self.numbers.remove(&id) else {
            return;
        };
        if let Some(subscriber) = self.remove(number) {
            self.count_subscriptions(subscriber.len(), 0);
            self.leaving.push_back(subscriber);
        }
        if self.numbers.is_empty() {
            self.numbers.shrink_to_fit();
            self.living.shrink_to_fit();
        }
    }

    fn remove(&mut self, number: Number) -> Option<Box<Subscriber>> {
        let subscriber = self.living.try_remove(place(number))?;
        debug_assert_eq!(subscriber.number, number);
        self.resting.forget(number, subscriber.pace);
        Some(subscriber)
    }

    /// Has one that lives note something. When it then has something to be told it is named among
    /// the awake, and so many messages are counted as spared.
    pub(crate) fn visit(
        &mut self,
        number: Number,
        note: impl FnOnce(&mut Subscriber) -> Option<u64>,
    ) {
        let Some(subscriber) = living(&mut self.living, number) else {
            return;
        };
        let before = subscriber.noted_bytes();
        if let Some(spared) = note(subscriber) {
            self.conflated += spared;
            subscriber.conflated += spared;
            if !mem::replace(&mut subscriber.awake, true) {
                self.awake.push(number);
            }
        }
        // No more than that has changed.
        let now = subscriber.noted_bytes();
        subscriber.accounted_bytes = subscriber.accounted_bytes + now - before;
        self.bytes = self.bytes + now - before;
    }

    /// Loads what a visit looks at of each of these, so that the caches fetch them beside each other, and not one after
    /// the other.
    pub(crate) fn fetch(&self, numbers: &[Number], topic: TopicId) {
        let all = numbers.iter().filter_map(|number| self.living.get(place(*number)));
        let parts = all.clone().map(|it| it.number ^ it.marks.len() as u64 ^ it.conflated);
        black_box(parts.fold(0, |one, other| one ^ other));
        black_box(all.filter(|it| it.early.get(topic) > Some(Stamp::NEVER)).count());
    }

    /// Names a subscriber among the awake, once until they are taken.
    pub(crate) fn wake(&mut self, number: Number) {
        self.visit(number, |_| Some(0));
        self.account(number);
    }

    pub(crate) fn nobody_is_awake(&self) -> bool {
        self.awake.is_empty()
    }

    pub(crate) fn take_awake(&mut self, into: &mut Vec<SubscriberId>) {
        for number in self.awake.drain(..) {
            if let Some(subscriber) = living(&mut self.living, number) {
                subscriber.awake = false;
                into.push(subscriber.id);
            }
        }
    }

    pub(crate) fn has_leftovers(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// What is left of one that has gone, to be given back unless nothing is left.
    pub(crate) fn pop_leftover(&mut self) -> Option<Box<Subscriber>> {
        self.leaving.pop_front()
    }

    pub(crate) fn push_leftover(&mut self, leftover: Box<Subscriber>) {
        self.leaving.push_front(leftover);
    }

    /// Subscribers that have a subscription, and subscriptions in all.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.subscribed, self.subscriptions)
    }

    /// The number of a subscriber's subscriptions has changed.
    pub(crate) fn count_subscriptions(&mut self, before: usize, now: usize) {
        self.subscriptions = self.subscriptions + now - before;
        self.subscribed = self.subscribed + usize::from(now > 0) - usize::from(before > 0);
    }

    /// Brings the sum of bytes up to what a subscriber holds now.
    pub(crate) fn account(&mut self, number: Number) {
        if let Some(subscriber) = living(&mut self.living, number) {
            account(&mut self.bytes, subscriber);
        }
    }

    /// As [`account`](Subscribers::account), of one that has left.
    pub(crate) fn account_leftover(&mut self, leftover: &mut Subscriber, is_gone: bool) {
        account(&mut self.bytes, leftover);
        if is_gone {
            self.bytes -= leftover.accounted_bytes;
        }
    }

    /// About how many bytes all of them hold, those included that have left.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn place(number: Number) -> usize {
    (number & ((1 << PLACE_BITS) - 1)) as usize
}

fn living(all: &mut Slab<Box<Subscriber>>, number: Number) -> Option<&mut Subscriber> {
    let subscriber = all.get_mut(place(number))?;
    (subscriber.number == number).then_some(&mut **subscriber)
}

/// Puts a new subscriber in a place, and returns its number.
fn settle(
    living: &mut Slab<Box<Subscriber>>,
    serial: &mut u64,
    new: impl FnOnce(Number) -> Subscriber,
) -> Number {
    *serial += 1;
    let entry = living.vacant_entry();
    assert!(entry.key() < 1 << PLACE_BITS, "there are fewer connections");
    let number = *serial << PLACE_BITS | entry.key() as u64;
    entry.insert(Box::new(new(number)));
    number
}

fn account(sum: &mut usize, subscriber: &mut Subscriber) {
    let bytes = subscriber.bytes();
    *sum = *sum + bytes - mem::replace(&mut subscriber.accounted_bytes, bytes);
}
