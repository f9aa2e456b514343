//! Where a worker is in its look over all its connections after another access file has come into force.
//!
//! It looks at a slice of its slots in each pass. It knows no connection.

use std::ops::Range;

use stockd_model::limits::SWEEP_CONNECTIONS;

/// The look over all slots.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AccessReview {
    /// Of the file that was last seen.
    generation: u64,
    next: Option<usize>,
}

impl AccessReview {
    /// The slots to look at in this pass, given the number of the file in force.
    #[inline]
    pub(crate) fn slice(&mut self, generation: u64) -> Option<Range<usize>> {
        if self.generation != generation {
            self.generation = generation;
            self.next = Some(0);
        }
        self.next.map(|from| from..from + SWEEP_CONNECTIONS)
    }

    /// All slots before this one have been looked at.
    pub(crate) fn looked(&mut self, end: usize, slots: usize) {
        self.next = (end < slots).then_some(end);
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_every_slot_looked_at_once() {
        let mut review = AccessReview::default();
        assert_eq!(review.slice(0), None);
        let slots = SWEEP_CONNECTIONS + 1;
        for generation in [1, 7] {
            assert_eq!(review.slice(generation), Some(0..SWEEP_CONNECTIONS));
            review.looked(SWEEP_CONNECTIONS, slots);
            assert!(review.is_under_way());
            assert_eq!(review.slice(generation), Some(SWEEP_CONNECTIONS..2 * SWEEP_CONNECTIONS));
            review.looked(2 * SWEEP_CONNECTIONS, slots);
            assert_eq!(review.slice(generation), None);
        }
    }
}
