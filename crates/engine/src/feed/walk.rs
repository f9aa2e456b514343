//! The walk of one subscriber over the catalog, for the stocks that its new patterns fit.
//!
//! Patterns that are subscribed to while one is under way wait for the next, so that any number of
//! them costs few walks. Nothing is noted of the stocks themselves: how far the walk has come says
//! which of them its patterns have told.
//!
//! Invariant: a pattern tells a stock by way of the walk, once, or from then on as it changes.

use std::collections::BTreeSet;
use std::mem;

use stockd_model::Symbol;

/// How far a walk has come: the place of the row, and the symbol and the pattern there that were
/// last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) place: u64,
    pub(crate) symbol: Option<Symbol>,
    pub(crate) pattern: u64,
}

/// Which patterns walk.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    patterns: BTreeSet<u64>,
    pub(crate) position: Position,
    waiting: BTreeSet<u64>,
}

impl Walk {
    pub(crate) fn is_over(&self) -> bool {
        self.patterns.is_empty() && self.waiting.is_empty()
    }

    pub(crate) fn join(&mut self, pattern: u64) {
        self.waiting.insert(pattern);
    }

    pub(crate) fn leave(&mut self, pattern: u64) {
        self.patterns.remove(&pattern);
        self.waiting.remove(&pattern);
    }

    /// Begins the next walk if none is under way. Returns how many patterns walk.
    pub(crate) fn begin(&mut self) -> usize {
        if self.patterns.is_empty() {
            self.patterns = mem::take(&mut self.waiting);
            self.position = Position::default();
        }
        self.patterns.len()
    }

    /// The next pattern of the walk that has not looked at this row.
    pub(crate) fn next_pattern(&self, place: u64, symbol: &Symbol) -> Option<Position> {
        let row = Position { place, symbol: Some(*symbol), pattern: 0 };
        let from = self.position.max(row);
        if (from.place, from.symbol) != (row.place, row.symbol) {
            return None;
        }
        let pattern = *self.patterns.range(from.pattern + 1..).next()?;
        Some(Position { pattern, ..row })
    }

    /// All rows before this place have been looked at, or all that there are.
    pub(crate) fn turn_page(&mut self, next: Option<u64>) {
        match next {
            Some(place) => self.position = Position { place, symbol: None, pattern: 0 },
            None => self.patterns.clear(),
        }
    }

    /// Whether the pattern has come by this stock.
    pub(crate) fn has_passed(&self, pattern: u64, place: u64, symbol: &Symbol) -> bool {
        if self.is_over() {
            return true;
        }
        let at = Position { place, symbol: Some(*symbol), pattern };
        !self.waiting.contains(&pattern)
            && (!self.patterns.contains(&pattern) || at <= self.position)
    }

    pub(crate) fn bytes(&self) -> usize {
        (self.patterns.len() + self.waiting.len()) * 12
    }
}
