//! How much work a call may do before others have their turn.
//!
//! Every walk of the feed spends from a [`Budget`] and stops when it is spent, with its place kept.
//!
//! Invariant: a call whose budget is not spent does at least one step, so that repeated calls come to
//! the end; and it overdraws its budget by one step at most.

/// Units of work that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(usize);

/// Whether a walk has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// There is nothing left to do.
    Done,
    /// The budget or the room is spent. Call again.
    More,
}

impl Budget {
    /// A budget of this many units.
    pub const fn new(units: usize) -> Budget {
        Budget(units)
    }

    /// Units that are left.
    pub fn left(self) -> usize {
        self.0
    }

    /// Spends a few units, or what is left of them.
    #[inline]
    pub fn spend(&mut self, units: usize) {
        self.0 = self.0.saturating_sub(units);
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_spent(self) -> bool {
        self.0 == 0
    }
}
