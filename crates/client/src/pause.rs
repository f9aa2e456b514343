//! The pauses between attempts to connect again.
//!
//! It knows no clock. Invariant: a pause is between [`RECONNECT_PAUSE_MIN`] / 2 and [`RECONNECT_PAUSE_MAX`].

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use stockd_model::limits::{RECONNECT_PAUSE_MAX, RECONNECT_PAUSE_MIN};

/// Each longer than the one before, until they begin again.
#[derive(Debug)]
pub(crate) struct Pauses {
    /// The next one, less its jitter.
    next: Duration,
}

impl Pauses {
    pub(crate) fn new() -> Pauses {
        Pauses { next: RECONNECT_PAUSE_MIN }
    }

    /// The connection is good: the next pause is short.
    pub(crate) fn reset(&mut self) {
        self.next = RECONNECT_PAUSE_MIN;
    }

    /// The next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        // Half of it or more, so that the clients of a server that failed do not come all at once.
        let jitter = RandomState::new().hash_one(()) % 512;
        let pause = self.next * (512 + jitter as u32) / 1024;
        self.next = (self.next * 2).min(RECONNECT_PAUSE_MAX);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_begin_again() {
        let mut pauses = Pauses::new();
        let mut longest = RECONNECT_PAUSE_MIN;
        for _ in 0..20 {
            let pause = pauses.pause();
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?}");
            longest = (longest * 2).min(RECONNECT_PAUSE_MAX);
        }
        assert_eq!(longest, RECONNECT_PAUSE_MAX);
        pauses.reset();
        assert!(pauses.pause() <= RECONNECT_PAUSE_MIN);
    }
}
