//! How late updates are sent, and when that is worth a word.
//!
//! Knows no clock. Invariant: one that keeps up says nothing, and one that does not says so once on its way and
//! once at the end.

use std::time::Duration;

/// From this lateness on it is said while updates are sent.
const SAID_FROM: Duration = Duration::from_secs(1);

/// Lateness at the end, at least, that is told: less is the luck of timers.
const TOLD_FROM: Duration = Duration::from_millis(100);

/// Updates, at least, of which it is told: a few are late by the luck of their first round trip.
const TOLD_UPDATES_MIN: u64 = 100;

/// And this share of the whole time.
const TOLD_SHARE: f64 = 0.02;

/// The lateness of a replay.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    /// Of the last update of the file, the worst of all times that it was played.
    at_the_end: Duration,
    said: bool,
}

impl Lateness {
    /// An update is sent this late. Returns what is to be said of it, once.
    pub(super) fn sends(&mut self, late: Duration) -> Option<String> {
        if late < SAID_FROM || self.said {
            return None;
        }
        self.said = true;
        Some(format!(
            "falling behind: updates are sent {:.1} s after they are due; the server or the way to it is slower than \
             what was asked for",
            late.as_secs_f64()
        ))
    }

    /// The last update of the file was done this late.
    pub(super) fn ends(&mut self, late: Duration) {
        self.at_the_end = self.at_the_end.max(late);
    }

    /// What is to be said in the end, of this number of updates in this time.
    pub(super) fn told(
        &self,
        updates: u64,
        elapsed: Duration,
        asked: Option<u32>,
    ) -> Option<String> {
        let share = elapsed.mul_f64(TOLD_SHARE);
        if self.at_the_end < TOLD_FROM.max(share) || updates < TOLD_UPDATES_MIN {
            return None;
        }
        let rate = updates as f64 / elapsed.as_secs_f64().max(1e-9);
        let of =
            asked.map_or_else(String::new, |asked| format!(" of the {asked} that were asked for"));
        Some(format!(
            "fell behind: the last update was done {:.1} s late, at {rate:.0} updates a second{of}",
            self.at_the_end.as_secs_f64()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_that_keeps_up_says_nothing() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.sends(SECOND / 2), None);
        lateness.ends(SECOND / 20);
        assert_eq!(lateness.told(1000, 10 * SECOND, Some(100)), None);
        lateness.ends(SECOND);
        assert_eq!(lateness.told(1000, 100 * SECOND, Some(10)), None);
        assert_eq!(lateness.told(5, SECOND, Some(1000)), None);
    }

    #[test]
    fn one_that_falls_behind_says_so_on_its_way_and_at_the_end() {
        let mut lateness = Lateness::default();
        let said = lateness.sends(2 * SECOND).unwrap();
        assert!(
            said.starts_with("falling behind: updates are sent 2.0 s after they are due"),
            "{said}"
        );
        assert_eq!(lateness.sends(3 * SECOND), None);
        lateness.ends(5 * SECOND);
        lateness.ends(SECOND);
        assert_eq!(
            lateness.told(1000, 10 * SECOND, Some(200)).unwrap(),
            "fell behind: the last update was done 5.0 s late, at 100 updates a second of the 200 that were asked for"
        );
        let by_time = lateness.told(1000, 10 * SECOND, None).unwrap();
        assert!(by_time.ends_with("at 100 updates a second"), "{by_time}");
    }
}
