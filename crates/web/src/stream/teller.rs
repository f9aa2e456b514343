//! What a stream says, in which order: hello, the quotes as they are, synced, later quotes, heartbeats, and
//! goodbye.
//!
//! It takes messages from the hub where its [`Sink`] has room, and knows no bytes. Where an interval is asked for
//! it tells in rounds: each mark that was there when a round began, once, and then nothing for that time.
//!
//! Invariant: hello comes first, goodbye last, synced once, and an [`EventId`] is given out only when all that
//! changed before its moment has been told.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use stockd_engine::{Ended, Message, Progress, now_ns};
use stockd_model::Symbol;
use stockd_model::limits::STREAM_HEARTBEAT;
use tokio::time::{Interval, MissedTickBehavior, Sleep};

use crate::stream::hub::{Counters, Stream};
use crate::stream::subscription::EventId;

/// Something that a stream says which is no quote.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    Hello {
        epoch: u64,
        resumed: bool,
    },
    /// Everything that was subscribed to at the beginning has been told.
    Synced,
    Heartbeat {
        counters: Counters,
        /// How old what the node of a cluster shows may be.
        staleness: Option<Duration>,
    },
    /// A subscription has ended because it is not allowed any more: to this symbol, or to a pattern.
    Forbidden(Option<Symbol>),
    /// The client may not be served any more.
    Unauthenticated,
    /// The server stops; the client is to wait this long before it connects again.
    Goodbye {
        retry: Duration,
    },
}

/// Where a stream says it.
pub(crate) trait Sink {
    fn quote(&mut self, message: &Message<'_>, id: Option<EventId>);
    /// Nothing can be listed under this name. Streams that are asked for no such names are never told of one.
    fn unlisted(&mut self, _name: &str, _id: Option<EventId>) {}
    fn notice(&mut self, notice: Notice, id: Option<EventId>);
    fn has_room(&self) -> bool;
    fn is_empty(&self) -> bool;
}

/// The conversation of one stream, whatever carries it.
#[derive(Debug)]
pub(crate) struct Teller {
    pub(crate) stream: Stream,
    phase: Phase,
    /// Names under which nothing can be listed, which is to be told.
    unlisted: VecDeque<String>,
    heartbeat: Interval,
    /// A client that has shown nothing is yet to show a token over the stream.
    pub(crate) awaits_token: bool,
    interval: Option<Duration>,
    /// Until when nothing is told, where an interval is asked for.
    pause: Option<Pin<Box<Sleep>>>,
    /// Messages that are left of a round.
    round_left: Option<usize>,
    /// Changes before this moment need not be told.
    resumed_from: Option<u64>,
    id: Option<EventId>,
    /// What was told last, so that what two patterns fit is told once.
    last: Option<(Symbol, u64, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    First,
    Live,
    Ended,
}

impl Teller {
    pub(crate) fn new(
        stream: Stream,
        interval: Option<Duration>,
        resumed: Option<(EventId, u64)>,
    ) -> Teller {
        let mut heartbeat = tokio::time::interval_at(
            tokio::time::Instant::now() + STREAM_HEARTBEAT,
            STREAM_HEARTBEAT,
        );
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Teller {
            stream,
            phase: Phase::New,
            unlisted: VecDeque::new(),
            heartbeat,
            awaits_token: false,
            interval,
            pause: None,
            round_left: None,
            resumed_from: resumed.map(|(_, from)| from),
            id: resumed.map(|(id, _)| id),
            last: None,
        }
    }

    /// These names, under which nothing can be listed, were subscribed to, too.
    pub(crate) fn tell_unlisted(&mut self, names: &[String]) {
        self.unlisted.extend(names.iter().cloned());
        self.stream.holds_more(names.iter().map(|name| size_of::<String>() + name.len()).sum());
    }

    /// Says what there is to say and room for. Ready when the sink has something, with whether the stream
    /// goes on.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, sink: &mut impl Sink) -> Poll<bool> {
        if self.phase == Phase::Ended {
            return Poll::Ready(false);
        }
        if self.phase == Phase::New {
            self.phase = Phase::First;
            let (epoch, resumed) = (self.stream.epoch(), self.resumed_from.is_some());
            sink.notice(Notice::Hello { epoch, resumed }, self.id);
        }
        if self.stream.is_stopping(cx.waker()) {
            self.phase = Phase::Ended;
            // Clients come back one after another.
            let retry = Duration::from_millis(500 + self.stream.info.id * 37 % 2500);
            sink.notice(Notice::Goodbye { retry }, self.id);
            return Poll::Ready(true);
        }
        if !self.stream.refresh() && !self.awaits_token {
            self.phase = Phase::Ended;
            sink.notice(Notice::Unauthenticated, self.id);
            return Poll::Ready(true);
        }
        let done = self.stream.end_forbidden(|ended| {
            let symbol = match ended {
                Ended::Symbol(symbol) => Some(*symbol),
                Ended::Pattern(_) => None,
            };
            sink.notice(Notice::Forbidden(symbol), self.id);
            sink.has_room()
        });
        if !done {
            cx.waker().wake_by_ref();
            return if sink.is_empty() { Poll::Pending } else { Poll::Ready(true) };
        }
        while self.heartbeat.poll_tick(cx).is_ready() {
            let (counters, staleness) = (self.stream.counters(), self.stream.staleness());
            sink.notice(Notice::Heartbeat { counters, staleness }, self.id);
        }
        if !self.is_pausing(cx) {
            self.tell(cx, sink);
        }
        if sink.is_empty() { Poll::Pending } else { Poll::Ready(true) }
    }

    /// Something was subscribed to since: it is said when all of that has been told.
    pub(crate) fn expect_synced(&mut self) {
        self.last = None;
        if self.phase == Phase::Live {
            self.phase = Phase::First;
            self.pause = None;
        }
    }

    fn is_pausing(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(pause) = &mut self.pause else { return false };
        let is_pausing = pause.as_mut().poll(cx).is_pending();
        if !is_pausing {
            self.pause = None;
        }
        is_pausing
    }

    fn tell(&mut self, cx: &mut Context<'_>, sink: &mut impl Sink) {
        while let Some(name) = self.unlisted.pop_front() {
            sink.unlisted(&name, self.id);
            self.stream.note_told();
            if self.unlisted.is_empty() {
                self.unlisted = VecDeque::new();
                self.stream.holds_more(0);
            }
            if !sink.has_room() {
                return;
            }
        }
        let began_ns = now_ns();
        if self.interval.is_some() && self.phase == Phase::Live {
            let marks = || self.stream.counters().marks;
            self.round_left = Some(self.round_left.unwrap_or_else(marks));
        }
        let (mut told, mut left) = (0, self.round_left);
        let (id, from, last) = (self.id, self.resumed_from, &mut self.last);
        let progress = self.stream.tell(|message| {
            if let Some(quote) = message.quote {
                // Of what two patterns fit, or has not changed since, nothing is said.
                let changes = quote.feed.map_or(0, |feed| feed.changes);
                let this = (quote.symbol, quote.version, changes);
                // The state of a feed may have changed since, though the quote has not.
                let is_known = quote.feed.is_none() && from.is_some_and(|it| quote.updated_ns < it);
                if is_known || *last == Some(this) {
                    return true;
                }
                *last = Some(this);
            } else {
                *last = None;
            }
            sink.quote(message, id);
            told += 1;
            left = left.map(|left| left.saturating_sub(1));
            sink.has_room() && left != Some(0)
        });
        self.round_left = left;
        match progress {
            Progress::Done => {
                let (epoch, life_ns) = (self.stream.epoch(), self.stream.life_ns());
                self.id = Some(EventId { epoch, told_ns: began_ns, life_ns });
                if self.phase == Phase::First {
                    self.phase = Phase::Live;
                    self.resumed_from = None;
                    sink.notice(Notice::Synced, self.id);
                    self.end_round(cx);
                } else if told > 0 {
                    self.end_round(cx);
                } else {
                    self.round_left = None;
                }
            }
            Progress::More if left == Some(0) => self.end_round(cx),
            // There is room, but the work of this turn is done.
            Progress::More if sink.is_empty() => cx.waker().wake_by_ref(),
            Progress::More => {}
        }
    }

    /// After a round nothing is told for the interval, if there is one.
    fn end_round(&mut self, cx: &mut Context<'_>) {
        self.round_left = None;
        if let Some(interval) = self.interval {
            self.pause = Some(Box::pin(tokio::time::sleep(interval)));
            let is_over = !self.is_pausing(cx);
            if is_over {
                cx.waker().wake_by_ref();
            }
        }
    }
}
