//! Warnings that come again and again are shown once a second, and counted.
//!
//! It knows kinds of events and the time it is told; it knows no clock and no log. The first event
//! of a kind begins a *spell* and is shown. What is like it within the spell is counted; at the
//! end of the spell the count is told and the next one begins. A spell without more ends for good.
//!
//! Invariant: each event is shown or counted, and each count is told.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::time::Instant;

use stockd_model::limits::LOG_REPEAT_INTERVAL;

/// The spells of all kinds of events. There are as many kinds as places in the code.
#[derive(Debug)]
pub(crate) struct Repeats<K, T> {
    spells: HashMap<K, Spell<T>>,
}

#[derive(Debug)]
struct Spell<T> {
    ends: Instant,
    /// What was shown.
    first: T,
    /// How many came since.
    more: u64,
}

impl<K, T> Default for Repeats<K, T> {
    fn default() -> Repeats<K, T> {
        Repeats { spells: HashMap::new() }
    }
}

impl<K: Eq + Hash, T: Clone> Repeats<K, T> {
    /// Whether an event is shown. If not, it is counted.
    pub(crate) fn shows(&mut self, kind: K, now: Instant, event: impl FnOnce() -> T) -> bool {
        match self.spells.entry(kind) {
            // A count that was not told yet goes on.
            Entry::Occupied(mut spell) if now < spell.get().ends || spell.get().more > 0 => {
                spell.get_mut().more += 1;
                false
            }
            entry => {
                let ends = now + LOG_REPEAT_INTERVAL;
                entry.insert_entry(Spell { ends, first: event(), more: 0 });
                true
            }
        }
    }

    /// When the next spell ends.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.spells.values().map(|spell| spell.ends).min()
    }

    /// Ends spells: what was shown of each, and how many came since.
    pub(crate) fn end(&mut self, now: Instant) -> Vec<(T, u64)> {
        let mut told = Vec::new();
        self.spells.retain(|_, spell| {
            if now < spell.ends {
                return true;
            }
            let more = std::mem::take(&mut spell.more);
            spell.ends = now + LOG_REPEAT_INTERVAL;
            if more > 0 {
                told.push((spell.first.clone(), more));
            }
            more > 0
        });
        told
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn of_each_kind_one_a_second_is_shown_and_the_others_are_counted() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let mut repeats = Repeats::default();
        assert_eq!(repeats.next_end(), None);
        assert!(repeats.shows('a', at(0), || "a1"));
        assert!(!repeats.shows('a', at(1), || "a2"));
        assert!(repeats.shows('b', at(500), || "b1"));
        assert!(!repeats.shows('a', at(999), || "a3"));
        assert_eq!(repeats.next_end(), Some(at(1000)));
        assert_eq!(repeats.end(at(999)), []);
        // The count has not been told yet.
        assert!(!repeats.shows('a', at(1400), || "a4"));
        assert_eq!(repeats.end(at(1500)), [("a1", 3)]);
        // The next second has begun.
        assert!(!repeats.shows('a', at(1600), || "a5"));
        assert!(repeats.shows('b', at(1600), || "b2"));
        assert_eq!(repeats.end(at(2500)), [("a1", 1)]);
        assert_eq!(repeats.end(at(3500)), []);
        assert_eq!(repeats.next_end(), None);
        assert!(repeats.shows('a', at(3600), || "a6"));
        // Nothing came since, and the count was not asked for.
        assert!(repeats.shows('a', at(9000), || "a7"));
    }
}
