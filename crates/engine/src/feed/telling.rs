//! Telling one subscriber what it has not been told, while there is room.
//!
//! What is told is always the quote as it is now, by all ways at once: a [`Round`]. A subscription
//! that is new, and a pattern on its walk over the catalog, tell alone, but only where all others
//! know that very version already; otherwise the symbol is marked, and all are told.
//!
//! Invariant: after a round all ways of the subscriber that are told the topic as it changes have
//! been told the same version, and the feed knows which.

use std::sync::Arc;

use stockd_catalog::Catalog;
use stockd_model::limits::SUBSCRIPTION_PAGE_ROWS;
use stockd_model::{Pattern, Quote, Symbol};

use super::budget::{Budget, Progress};
use super::payloads::{Framed, Payloads};
use super::stamp::Stamp;
use super::subscriber::{DIRECT, Round, Source, Subscriber, Way};
use super::topics::{Patterns, TopicId, Topics};

/// One message for one subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The pattern by which the subscriber is told, or none where it subscribed to the symbol.
    pub pattern: Option<&'a Pattern>,
    /// The symbol.
    pub symbol: &'a Symbol,
    /// The quote, as JSON.
    pub payload: &'a [u8],
    /// The quote itself; `None` where it is not listed.
    pub quote: Option<&'a Quote>,
    /// Whether it says no more than that the symbol, which was subscribed to by name, is not listed.
    pub is_unlisted: bool,
    /// Where a message that says the same to all subscribers of the symbol is framed once; none where each is told by
    /// a pattern of its own.
    pub framed: Option<&'a Framed>,
}

/// One subscriber, and what of the feed it takes to tell it.
pub(crate) struct Telling<'a> {
    pub(crate) subscriber: &'a mut Subscriber,
    pub(crate) topics: &'a mut Topics,
    pub(crate) patterns: &'a Patterns,
    pub(crate) payloads: &'a mut Payloads,
    pub(crate) catalog: &'a Catalog,
    pub(crate) budget: &'a mut Budget,
    /// Whether the subscriber has been told a round, and [rests](super::pace) from now on.
    pub(crate) ends_round: bool,
}

/// Where a message goes. It says whether there is room for another.
type Tell<'a> = dyn FnMut(Message<'_>) -> bool + 'a;

/// Whether there is room for another message.
type HasRoom = bool;

impl Telling<'_> {
    /// Tells as much as there is budget and room for.
    pub(crate) fn tell(&mut self, tell: &mut Tell<'_>) -> Progress {
        loop {
            let has_room = match self.subscriber.round {
                Some(_) => self.go_round(tell),
                None => match self.subscriber.next_source() {
                    None => return Progress::Done,
                    Some(Source::Marks) => {
                        let mark = self.subscriber.take_mark();
                        self.subscriber.round = mark.map(Round::new);
                        continue;
                    }
                    Some(Source::New) => self.tell_new(tell),
                    Some(Source::Walk) => self.walk(tell),
                },
            };
            if !has_room || self.budget.is_spent() {
                let more = self.subscriber.has_messages();
                return if more { Progress::More } else { Progress::Done };
            }
        }
    }

    /// Tells the topic of the round by the ways that are left.
    fn go_round(&mut self, tell: &mut Tell<'_>) -> HasRoom {
        let Some(mut round) = self.subscriber.round else {
            return true;
        };
        let stamp = self.read(round.topic);
        if stamp != round.stamp {
            round.restart(stamp);
        }
        let symbol = self.topics.get(round.topic).symbol;
        let has_patterns = !self.subscriber.patterns.is_empty();
        let place = if has_patterns { self.catalog.place(&symbol) } else { 0 };
        let mut has_room = true;
        loop {
            let Some(way) = round.next(self.subscriber) else {
                self.end_round(round);
                return has_room;
            };
            round.visited = way;
            self.budget.spend(1);
            if stamp != Stamp::NEVER && self.subscriber.is_told_by(way, round.topic, &symbol, place)
            {
                if let Some(pace) = &mut self.subscriber.pace {
                    pace.note_told();
                }
                has_room = self.message(round.topic, way, tell);
            }
            if !has_room || self.budget.is_spent() {
                // Where this was the last way, what comes next is another round.
                match { round }.next(self.subscriber) {
                    Some(_) => self.subscriber.round = Some(round),
                    None => self.end_round(round),
                }
                return has_room;
            }
        }
    }

    /// Notes what was told, if that is not what was passed on.
    fn end_round(&mut self, round: Round) {
        let Round { topic, stamp, .. } = round;
        self.subscriber.round = None;
        self.ends_round |= self.subscriber.ends_round();
        // The round has held the topic, and so has an earlier note.
        if self.subscriber.passed_to(topic, self.topics) == Some(stamp) {
            if self.subscriber.early.remove(topic).is_some() {
                self.topics.let_go(topic, self.patterns);
            }
            self.topics.let_go(topic, self.patterns);
        } else if self.subscriber.early.insert(topic, stamp).is_some() {
            self.topics.let_go(topic, self.patterns);
        }
    }

    /// Tells a symbol that was subscribed to for the first time.
    fn tell_new(&mut self, tell: &mut Tell<'_>) -> HasRoom {
        let Some(topic) = self.subscriber.new.pop_first() else {
            return true;
        };
        self.budget.spend(1);
        let has_room = self.tell_alone(topic, DIRECT, tell);
        self.topics.let_go(topic, self.patterns);
        has_room
    }

    /// Looks at the next few rows for stocks that new patterns fit.
    fn walk(&mut self, tell: &mut Tell<'_>) -> HasRoom {
        let patterns = self.subscriber.walk.begin();
        let rows = (self.budget.left() / patterns.max(1)).clamp(1, SUBSCRIPTION_PAGE_ROWS);
        self.budget.spend(rows);
        let page = self.catalog.page(self.subscriber.walk.position.place, rows);
        let placed = |quote: &Quote| (self.catalog.place(&quote.symbol), quote.symbol);
        let access = &self.subscriber.access;
        let readable = page.quotes.iter().filter(|quote| access.reads(&quote.symbol));
        let mut rows: Vec<(u64, Symbol)> = readable.map(placed).collect();
        rows.sort_unstable();
        let mut is_first = true;
        for (place, symbol) in rows {
            while let Some(next) = self.subscriber.walk.next_pattern(place, &symbol) {
                if self.budget.is_spent() && !is_first {
                    return true;
                }
                is_first = false;
                self.budget.spend(1);
                self.subscriber.walk.position = next;
                let pattern = self.subscriber.patterns.get(&next.pattern);
                if pattern.is_some_and(|pattern| pattern.matches(&symbol)) {
                    let topic = self.topics.open(&symbol);
                    let has_room = self.tell_alone(topic, next.pattern, tell);
                    // It may have been delisted since the page was read.
                    if !self.topics.get(topic).seen.is_listed() {
                        self.topics.forget_unwanted(topic, self.patterns);
                    }
                    // All ways are told of it before the walk goes on.
                    if !has_room || self.subscriber.round.is_some() {
                        return has_room;
                    }
                }
            }
        }
        self.subscriber.walk.turn_page(page.next);
        true
    }

    /// Tells a topic by one way, if all others were told just that; or else marks it for all, or has all told now.
    fn tell_alone(&mut self, topic: TopicId, way: Way, tell: &mut Tell<'_>) -> HasRoom {
        if !self.subscriber.access.reads(&self.topics.get(topic).symbol) {
            return true;
        }
        let stamp = self.read(topic);
        if stamp != self.topics.get(topic).passed {
            self.topics.queue(topic);
        }
        if !stamp.is_listed() {
            // Of what a pattern fits, only what is listed is of interest.
            return way != DIRECT || self.unlisted(topic, tell);
        }
        if self.subscriber.told(topic, self.topics) == Some(stamp) {
            return self.message(topic, way, tell);
        }
        if !self.subscriber.rests() {
            self.subscriber.mark(topic, self.topics);
            return true;
        }
        // Marks wait, and this does not. What held the topic for its mark holds it for the round.
        if !self.subscriber.forget_mark(topic) {
            self.topics.hold(topic);
        }
        self.subscriber.round = Some(Round::new(topic));
        true
    }

    /// Says of a symbol that was subscribed to that it is not listed. When it was delisted just now,
    /// and others have still to be told, that comes as well.
    fn unlisted(&mut self, topic: TopicId, tell: &mut Tell<'_>) -> HasRoom {
        let symbol = &self.topics.get(topic).symbol;
        let payload = self.payloads.unlisted(symbol);
        let (pattern, quote, framed) = (None, None, None);
        tell(Message { pattern, symbol, payload, quote, is_unlisted: true, framed })
    }

    /// Reads the version of a topic as it is now, and has the payload of just that at hand. What subscribers before
    /// this one were told of the same version is not made again.
    fn read(&mut self, topic: TopicId) -> Stamp {
        let stamp = self.topics.observe_version(topic, self.catalog);
        let symbol = &self.topics.get(topic).symbol;
        if stamp == Stamp::NEVER || self.payloads.has(topic, symbol, stamp) {
            return stamp;
        }
        let symbol = *symbol;
        let (stamp, quote) = self.topics.observe(topic, self.catalog);
        self.payloads.put(topic, &symbol, stamp, quote);
        stamp
    }

    /// Tells the topic that was [read](Telling::read) last.
    fn message(&mut self, topic: TopicId, way: Way, tell: &mut Tell<'_>) -> HasRoom {
        // It will be written.
        self.budget.spend(8);
        let symbol = &self.topics.get(topic).symbol;
        let Some(payload) = self.payloads.get(topic) else {
            debug_assert!(false, "{symbol} was not read");
            return true;
        };
        let pattern = match way {
            DIRECT => None,
            way => self.subscriber.patterns.get(&way).map(Arc::as_ref),
        };
        tell(Message {
            pattern,
            symbol,
            payload: &payload.json,
            quote: payload.quote.as_ref(),
            is_unlisted: false,
            framed: pattern.is_none().then_some(&payload.framed),
        })
    }
}
