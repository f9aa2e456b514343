//! Which stocks of a file were listed, and on which lines: one that is listed twice is a bad row.
//!
//! A hash stands for each symbol, and the rows have the symbols themselves. So a million stocks take a third of the memory
//! that their names would take here again, and memory is most of what finding duplicates costs.
//!
//! Invariant: two stocks of one hash are told apart by their names.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use stockd_model::Symbol;

use super::row::Row;

#[derive(Debug, Default)]
pub(super) struct Listed {
    hasher: RandomState,
    /// The first stock of each hash: its place among the rows, and its line.
    first: HashMap<u64, (usize, u64), RandomState>,
    /// Lines of stocks whose hash another one had before.
    others: HashMap<Symbol, u64, RandomState>,
}

impl Listed {
    /// Makes room for this number of stocks, where there is memory.
    pub(super) fn reserve(&mut self, stocks: usize) {
        let _ = self.first.try_reserve(stocks);
    }

    /// Notes a stock that becomes the next of these rows; the line on which it was listed, if it is one of them.
    pub(super) fn note(&mut self, symbol: Symbol, line: u64, rows: &[Row]) -> Option<u64> {
        self.note_hashed(self.hasher.hash_one(symbol), symbol, line, rows)
    }

    fn note_hashed(&mut self, hash: u64, symbol: Symbol, line: u64, rows: &[Row]) -> Option<u64> {
        match self.first.entry(hash) {
            Entry::Vacant(vacant) => {
                vacant.insert((rows.len(), line));
                return None;
            }
            Entry::Occupied(first) => {
                let &(at, first_line) = first.get();
                if rows.get(at).is_some_and(|row| row.symbol == symbol) {
                    return Some(first_line);
                }
            }
        }
        match self.others.entry(symbol) {
            Entry::Vacant(vacant) => {
                vacant.insert(line);
                None
            }
            Entry::Occupied(first) => Some(*first.get()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stocks_of_one_hash_are_told_apart() {
        let (mut listed, mut rows) = (Listed::default(), Vec::new());
        let mut note = |hash, name: &str, line| {
            let row = Row::name_alone(name.as_bytes()).unwrap();
            let first = listed.note_hashed(hash, row.symbol, line, &rows);
            if first.is_none() {
                rows.push(row);
            }
            first
        };
        assert_eq!(note(7, "A", 2), None);
        assert_eq!(note(7, "B", 3), None);
        assert_eq!(note(8, "C", 4), None);
        assert_eq!(note(7, "A", 5), Some(2));
        assert_eq!(note(7, "B", 6), Some(3));
        assert_eq!(note(7, "D", 7), None);
        assert_eq!(note(8, "C", 8), Some(4));
    }
}
