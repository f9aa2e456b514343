//! What a node has sent to the log and what became of it.
//!
//! ```text
//!            send                    comes back
//!   asked ────────────▶ in flight ────────────────▶ decided, answered
//!                        │    │ a later number of the session comes back first
//!                        │    └──────────────────▶ dead: refused, and nothing has changed
//!                        │ --write-timeout
//!                        └──▶ uncertain: answered so, never sent again; known when a later number comes back
//! ```
//!
//! A message in flight is sent again, the same bytes, until the log has taken it. A tick is sent once; the next one
//! takes its place. It knows no stocks and no network: it says what to send, and is told what came.
//!
//! Invariant: numbers are sent in order, and what is answered as dead or as decided is so for ever.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use stockd_engine::Pending;
use stockd_model::batch::Head;
use stockd_model::limits::{BATCHES_IN_FLIGHT_MAX, RESEND_INTERVAL, TICK_INTERVAL};

/// One session of a node, from its hello on.
#[derive(Debug)]
pub(crate) struct Origin {
    session: u64,
    /// Whether the hello has come back.
    opened: bool,
    /// The next number.
    next: u64,
    /// The last number that has come back.
    last: u64,
    flights: VecDeque<Flight>,
    /// Numbers that were given up: whether they take effect is not known yet.
    uncertain: Vec<u64>,
    /// Ticks that may come back, and when they were sent.
    ticks: VecDeque<(u64, Instant)>,
    /// When the latest message was sent that has come back.
    fresh_at: Option<Instant>,
    /// The highest number that the log has said that it has.
    acked: Option<u64>,
}

/// A message that is sent until it comes back.
#[derive(Debug)]
struct Flight {
    number: u64,
    bytes: Bytes,
    /// Who waits for it.
    pending: Pending,
    first_sent: Instant,
    last_sent: Instant,
    /// Whether the log has said that it has it.
    acked: bool,
}

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The session of this node.
    pub session: u64,
    /// The number in the session.
    pub number: u64,
    /// The message.
    pub bytes: Bytes,
}

/// What came back means for those who wait.
#[derive(Debug, Default)]
pub(crate) struct CameBack {
    /// They wait for what is dead.
    pub(crate) dead: Vec<Pending>,
    /// They wait for what has come back.
    pub(crate) own: Option<Pending>,
    /// Numbers that were given up and have come now.
    pub(crate) took_effect: Vec<u64>,
    /// Numbers that were given up and never come.
    pub(crate) without_effect: Vec<u64>,
}

/// Ticks that are remembered.
const TICKS_MAX: usize = 64;

impl Origin {
    /// A session that has not begun.
    pub(crate) fn new(session: u64) -> Origin {
        Origin {
            session,
            opened: false,
            next: 0,
            last: 0,
            flights: VecDeque::new(),
            uncertain: Vec::new(),
            ticks: VecDeque::new(),
            fresh_at: None,
            acked: None,
        }
    }

    pub(crate) fn session(&self) -> u64 {
        self.session
    }

    /// Whether the hello has come back.
    pub(crate) fn is_open(&self) -> bool {
        self.opened
    }

    /// The number of the next message.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }

    /// Whether one more message may be in flight.
    pub(crate) fn has_room(&self) -> bool {
        self.flights.len() < BATCHES_IN_FLIGHT_MAX
    }

    /// Whether nothing is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    /// How many messages were given up and are not known yet.
    pub(crate) fn uncertain(&self) -> usize {
        self.uncertain.len()
    }

    /// When the latest message was sent that has come back.
    pub(crate) fn fresh_at(&self) -> Option<Instant> {
        self.fresh_at
    }

    /// Since when something was sent of which the log has said nothing, neither of it nor of what was sent later.
    pub(crate) fn unanswered_since(&self) -> Option<Instant> {
        let is_open = |number: u64| self.acked.is_none_or(|acked| acked < number);
        let flight = self.flights.iter().find(|it| is_open(it.number)).map(|it| it.first_sent);
        let tick = self.ticks.iter().find(|(number, _)| is_open(*number)).map(|(_, sent)| *sent);
        flight.into_iter().chain(tick).min()
    }

    /// Sends a message until it comes back, and remembers who waits for it.
    pub(crate) fn fly(&mut self, bytes: Vec<u8>, pending: Pending, now: Instant) -> Outgoing {
        let number = self.next;
        self.next += 1;
        let bytes = Bytes::from(bytes);
        let outgoing = Outgoing { session: self.session, number, bytes: bytes.clone() };
        let (first_sent, last_sent) = (now, now);
        self.flights.push_back(Flight {
            number,
            bytes,
            pending,
            first_sent,
            last_sent,
            acked: false,
        });
        outgoing
    }

    /// Has somebody wait for the latest message in flight, too. Gives it back when there is none.
    pub(crate) fn wait_for_latest(&mut self, pending: Pending) -> Option<Pending> {
        match self.flights.back_mut() {
            Some(flight) => {
                flight.pending.append(pending);
                None
            }
            None => Some(pending),
        }
    }

    /// Whether a tick is to be sent: nothing is in flight, and what has come back is old.
    pub(crate) fn tick_is_due(&self, now: Instant) -> bool {
        self.opened && self.flights.is_empty() && self.tick_due_at().is_none_or(|due| due <= now)
    }

    fn tick_due_at(&self) -> Option<Instant> {
        let latest = self.ticks.back().map(|(_, sent)| *sent);
        self.fresh_at.max(latest).map(|latest| latest + TICK_INTERVAL)
    }

    /// Sends a message once.
    pub(crate) fn tick(&mut self, bytes: Vec<u8>, now: Instant) -> Outgoing {
        let number = self.next;
        self.next += 1;
        self.ticks.push_back((number, now));
        if self.ticks.len() > TICKS_MAX {
            self.ticks.pop_front();
        }
        Outgoing { session: self.session, number, bytes: bytes.into() }
    }

    /// What is to be sent again.
    pub(crate) fn resend(&mut self, now: Instant) -> Vec<Outgoing> {
        let session = self.session;
        let is_due =
            |flight: &&mut Flight| !flight.acked && flight.last_sent + RESEND_INTERVAL <= now;
        let again = |flight: &mut Flight| {
            flight.last_sent = now;
            Outgoing { session, number: flight.number, bytes: flight.bytes.clone() }
        };
        self.flights.iter_mut().filter(is_due).map(again).collect()
    }

    /// Gives up what was first sent so long ago: who waits for it.
    pub(crate) fn give_up(&mut self, timeout: Duration, now: Instant) -> Vec<Pending> {
        let mut waiting = Vec::new();
        // No client waits for the hello.
        while self.opened
            && let Some(flight) = self.flights.pop_front_if(|it| it.first_sent + timeout <= now)
        {
            self.uncertain.push(flight.number);
            waiting.push(flight.pending);
        }
        waiting
    }

    /// The log has taken a message. Whether that is of this session, and has not come back.
    pub(crate) fn acked(&mut self, session: u64, number: u64) -> bool {
        if session != self.session {
            return false;
        }
        if let Some(flight) = self.flights.iter_mut().find(|flight| flight.number == number) {
            flight.acked = true;
        }
        self.acked = self.acked.max(Some(number));
        number > self.last || !self.opened
    }

    /// Whether a message is one in flight, to the last byte.
    pub(crate) fn awaits(&self, head: &Head, message: &[u8]) -> bool {
        let mut flights = self.flights.iter().filter(|flight| flight.number == head.number);
        head.session == self.session && flights.any(|flight| *flight.bytes == *message)
    }

    /// A message of this session has come back, and counts. `is_awaited` says whether it is the [one in flight](Origin::awaits)
    /// with its number; else it is not of this process, but of a copy of it.
    pub(crate) fn came_back(&mut self, number: u64, is_awaited: bool) -> CameBack {
        let mut came = CameBack::default();
        self.opened = true;
        self.last = number;
        while let Some(flight) = self.flights.pop_front_if(|flight| flight.number <= number) {
            if flight.number == number && is_awaited {
                self.fresh_at = self.fresh_at.max(Some(flight.first_sent));
                came.own = Some(flight.pending);
            } else {
                came.dead.push(flight.pending);
            }
        }
        while let Some((tick, sent)) = self.ticks.pop_front_if(|(tick, _)| *tick <= number) {
            if tick == number {
                self.fresh_at = self.fresh_at.max(Some(sent));
            }
        }
        for given_up in self.uncertain.extract_if(.., |it| *it <= number) {
            match given_up == number {
                true => came.took_effect.push(given_up),
                false => came.without_effect.push(given_up),
            }
        }
        came
    }

    /// The session has ended, or was never opened: nothing of it that has not come back ever counts. A new one takes
    /// its place.
    pub(crate) fn begin_again(&mut self, session: u64) -> CameBack {
        let fresh_at = self.fresh_at;
        let ended = std::mem::replace(self, Origin { fresh_at, ..Origin::new(session) });
        CameBack {
            dead: ended.flights.into_iter().map(|flight| flight.pending).collect(),
            without_effect: ended.uncertain,
            ..CameBack::default()
        }
    }

    /// Gives up all that is in flight: who waits for it.
    pub(crate) fn end(&mut self) -> Vec<Pending> {
        self.flights.drain(..).map(|flight| flight.pending).collect()
    }

    /// When something is to be done for the passing of time. Without a connection no tick is.
    pub(crate) fn next_wake(&self, timeout: Duration, is_up: bool) -> Option<Instant> {
        let resend = self.flights.iter().filter(|flight| !flight.acked);
        let resend = resend.map(|flight| flight.last_sent + RESEND_INTERVAL).min();
        // The hello is not given up.
        let front = self.flights.front().filter(|_| self.opened);
        let give_up = front.map(|flight| flight.first_sent + timeout);
        let tick = if self.opened && self.is_idle() && is_up { self.tick_due_at() } else { None };
        [resend, give_up, tick].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn fly(origin: &mut Origin, now: Instant) -> Outgoing {
        origin.fly(vec![7], Pending::default(), now)
    }

    #[test]
    fn what_the_log_says_nothing_of_is_known() {
        let now = Instant::now();
        let at = |ms: u64| now + Duration::from_millis(ms);
        let mut origin = Origin::new(1);
        assert_eq!(origin.unanswered_since(), None);
        fly(&mut origin, at(0));
        assert_eq!(origin.unanswered_since(), Some(at(0)));
        assert!(origin.acked(1, 0), "it has not come back");
        assert_eq!(origin.unanswered_since(), None);
        origin.came_back(0, true);
        assert!(!origin.acked(1, 0) && !origin.acked(2, 9), "come back, and of another session");
        origin.tick(vec![7], at(10));
        fly(&mut origin, at(20));
        assert_eq!(origin.unanswered_since(), Some(at(10)));
        // Of what was sent before, it is known what becomes of it.
        assert!(origin.acked(1, 2));
        assert_eq!(origin.unanswered_since(), None);
    }

    #[test]
    fn nothing_wakes_a_node_again_and_again_that_can_do_nothing() {
        let now = Instant::now();
        let mut origin = Origin::new(1);
        fly(&mut origin, now);
        origin.acked(1, 0);
        let late = now + 2 * TIMEOUT;
        assert!(origin.give_up(TIMEOUT, late).is_empty(), "the hello is not given up");
        assert_eq!(origin.next_wake(TIMEOUT, true), None);
        origin.came_back(0, true);
        assert_eq!(origin.next_wake(TIMEOUT, false), None, "no tick without a connection");
        assert_eq!(origin.next_wake(TIMEOUT, true), Some(now + TICK_INTERVAL));
    }
}
