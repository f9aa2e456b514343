//! When a worker comes back to connections that have asked it to, by what they wait for.
//!
//! It knows connections by their id alone.
//!
//! Invariant: deadlines of a kind pass in the order in which they were started.

use std::time::Instant;

use stockd_model::limits::{
    FAILED_ATTEMPT_WAIT, LINGER_TIMEOUT, UNTERMINATED_AFTER, UNTERMINATED_AFTER_KNOWN,
};

use crate::connection::Delay;
use crate::connection_id::ConnectionId;
use crate::conversation::Patience;
use crate::timers::Timers;

/// The deadlines of one worker.
#[derive(Debug)]
pub(crate) struct Deadlines {
    silences: Timers,
    /// Those of hosts whose clients are known to be unterminated: too soon for the system's clock.
    short_silences: Timers,
    lingers: Timers,
    pauses: Timers,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            silences: Timers::new(UNTERMINATED_AFTER),
            short_silences: Timers::new(UNTERMINATED_AFTER_KNOWN),
            lingers: Timers::new(LINGER_TIMEOUT),
            pauses: Timers::new(FAILED_ATTEMPT_WAIT),
        }
    }
}

impl Deadlines {
    /// Starts a delay now: a pass that is under way may have been long.
    pub(crate) fn start(&mut self, delay: Delay, id: ConnectionId) {
        let timers = match delay {
            Delay::Silence(Patience::Usual) => &mut self.silences,
            Delay::Silence(Patience::Short) => &mut self.short_silences,
            Delay::Linger => &mut self.lingers,
            Delay::Pause => &mut self.pauses,
        };
        timers.start(Instant::now(), id);
    }

    /// The earliest one that is waited for.
    pub(crate) fn next(&self) -> Option<Instant> {
        let timers = [&self.silences, &self.lingers, &self.pauses];
        timers.into_iter().filter_map(Timers::next).min()
    }

    /// Whether one is too soon to be waited for.
    #[inline]
    pub(crate) fn is_near(&self) -> bool {
        self.short_silences.next().is_some()
    }

    /// One that has fallen silent.
    pub(crate) fn pop_silent(&mut self, now: Instant) -> Option<ConnectionId> {
        self.short_silences.pop_passed(now).or_else(|| self.silences.pop_passed(now))
    }

    /// One whose pause is over.
    pub(crate) fn pop_paused(&mut self, now: Instant) -> Option<ConnectionId> {
        self.pauses.pop_passed(now)
    }

    /// One that has lingered long enough.
    pub(crate) fn pop_lingered(&mut self, now: Instant) -> Option<ConnectionId> {
        self.lingers.pop_passed(now)
    }
}
