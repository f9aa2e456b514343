//! Patterns, found by the symbols that they may fit.
//!
//! A pattern lies in the bucket of its [literal prefix](Pattern::literal_prefix), so a symbol has
//! only the buckets of its own beginnings to look at: at most one for each length of prefix in use.
//! Patterns that begin with a wildcard share the bucket of the empty prefix.
//!
//! Patterns lie in trees, and buckets in many small hash tables, so that growing never moves all of them
//! at once. It knows no threads.
//!
//! Invariant: a pattern that fits a symbol is among the symbol's
//! [candidates](PatternIndex::candidates), and each is there once.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use foldhash::fast::RandomState;

use stockd_model::limits::SYMBOL_BYTES_MAX;
use stockd_model::{Pattern, Symbol};

/// The number of the first pattern. Lower ones are left to the user of the index.
pub(crate) const FIRST_PATTERN: u64 = 2;

/// Patterns, each with what is noted of it, under numbers that are never used again.
#[derive(Debug)]
pub(crate) struct PatternIndex<T> {
    numbers: BTreeMap<Arc<Pattern>, u64>,
    entries: BTreeMap<u64, Entry<T>>,
    buckets: Buckets,
    /// How many buckets have a prefix of each length.
    lengths: [u32; SYMBOL_BYTES_MAX + 1],
    next: u64,
    pattern_bytes: usize,
}

#[derive(Debug)]
struct Entry<T> {
    pattern: Arc<Pattern>,
    note: T,
}

/// The patterns with one literal prefix.
#[derive(Debug, Default)]
struct Bucket {
    patterns: BTreeMap<u64, Arc<Pattern>>,
    /// How many of them fit whatever has the prefix.
    open: usize,
}

/// The buckets by their prefixes. A write asks for one of each length that is in use.
#[derive(Debug, Default)]
struct Buckets {
    /// Made with the first bucket. A prefix is in the part that the first bits of its hash say.
    parts: Vec<HashMap<Box<[u8]>, Bucket, RandomState>>,
    hasher: RandomState,
}

/// Bits of a hash that say in which part a bucket is.
const PART_BITS: u32 = 8;

/// How far a walk over the candidates of a symbol has come: the length of the prefix and the number
/// of the pattern that was last visited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidate {
    prefix_bytes: usize,
    pub(crate) number: u64,
}

impl<T> Default for PatternIndex<T> {
    fn default() -> Self {
        PatternIndex {
            numbers: BTreeMap::new(),
            entries: BTreeMap::new(),
            buckets: Buckets::default(),
            lengths: [0; SYMBOL_BYTES_MAX + 1],
            next: FIRST_PATTERN,
            pattern_bytes: 0,
        }
    }
}

impl<T> PatternIndex<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of a pattern that is there.
    pub(crate) fn number(&self, pattern: &Pattern) -> Option<u64> {
        self.numbers.get(pattern).copied()
    }

    pub(crate) fn note(&self, number: u64) -> Option<&T> {
        self.entries.get(&number).map(|entry| &entry.note)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<(&Arc<Pattern>, &mut T)> {
        self.entries.get_mut(&number).map(|entry| (&entry.pattern, &mut entry.note))
    }

    /// Adds a pattern that is not there yet. Returns its number.
    pub(crate) fn insert(&mut self, pattern: Arc<Pattern>, note: T) -> u64 {
        debug_assert!(!self.numbers.contains_key(&pattern), "a pattern twice");
        let number = self.next;
        self.next += 1;
        self.pattern_bytes += pattern.as_bytes().len();
        let prefix = pattern.literal_prefix();
        // No symbol is long enough for a longer one.
        if let Some(length) = self.lengths.get_mut(prefix.len()) {
            let bucket = self.buckets.part_mut(&prefix).entry(prefix.into()).or_insert_with(|| {
                *length += 1;
                Bucket::default()
            });
            bucket.open += usize::from(pattern.is_open());
            bucket.patterns.insert(number, Arc::clone(&pattern));
        }
        self.numbers.insert(Arc::clone(&pattern), number);
        self.entries.insert(number, Entry { pattern, note });
        number
    }

    /// Forgets a pattern, and returns it.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Arc<Pattern>> {
        let Entry { pattern, .. } = self.entries.remove(&number)?;
        self.numbers.remove(&pattern);
        self.pattern_bytes -= pattern.as_bytes().len();
        let prefix = pattern.literal_prefix();
        let buckets = self.buckets.part_mut(&prefix);
        if let Some(bucket) = buckets.get_mut(prefix.as_slice()) {
            bucket.open -= usize::from(pattern.is_open());
            bucket.patterns.remove(&number);
            if bucket.patterns.is_empty() {
                buckets.remove(prefix.as_slice());
                self.lengths[prefix.len()] -= 1;
            }
        }
        if self.entries.is_empty() {
            *self = PatternIndex { next: self.next, ..PatternIndex::default() };
        }
        Some(pattern)
    }

    /// The patterns behind this place that may fit the symbol.
    pub(crate) fn candidates<'a, 's>(
        &'a self,
        symbol: &'s Symbol,
        after: Candidate,
    ) -> impl Iterator<Item = (Candidate, &'a Arc<Pattern>)> + use<'a, 's, T> {
        self.buckets_of(symbol, after.prefix_bytes).flat_map(move |(prefix_bytes, bucket)| {
            let number = if prefix_bytes == after.prefix_bytes { after.number } else { 0 };
            let behind = bucket.patterns.range((Excluded(number), Unbounded));
            behind.map(move |(&number, pattern)| (Candidate { prefix_bytes, number }, pattern))
        })
    }

    /// Whether a pattern fits the symbol, and how many bytes are left of those that patterns may
    /// have that are compared. When they are used up the answer is yes.
    pub(crate) fn may_match(&self, symbol: &Symbol, bytes_max: usize) -> (bool, usize) {
        let mut left = bytes_max;
        for (_, bucket) in self.buckets_of(symbol, 0) {
            if bucket.open > 0 {
                return (true, left);
            }
            for pattern in bucket.patterns.values() {
                match left.checked_sub(pattern.as_bytes().len().max(1)) {
                    None => return (true, left),
                    Some(rest) => left = rest,
                }
                if pattern.matches(symbol) {
                    return (true, left);
                }
            }
        }
        (false, left)
    }

    /// Distinct patterns.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// About how many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        const ENTRY_BYTES: usize = 256;
        self.entries.len() * (ENTRY_BYTES + size_of::<T>()) + 2 * self.pattern_bytes
    }

    /// The buckets of the symbol's beginnings, from this length on.
    fn buckets_of<'a, 's>(
        &'a self,
        symbol: &'s Symbol,
        from: usize,
    ) -> impl Iterator<Item = (usize, &'a Bucket)> + use<'a, 's, T> {
        let text = symbol.as_bytes();
        let lengths = self.lengths.iter().enumerate().take(text.len() + 1).skip(from);
        lengths
            .filter(|(_, buckets)| **buckets > 0)
            .filter_map(|(length, _)| Some((length, self.buckets.get(&text[..length])?)))
    }
}

impl Buckets {
    #[inline]
    fn get(&self, prefix: &[u8]) -> Option<&Bucket> {
        self.parts.get(self.part(prefix))?.get(prefix)
    }

    fn part_mut(&mut self, prefix: &[u8]) -> &mut HashMap<Box<[u8]>, Bucket, RandomState> {
        if self.parts.is_empty() {
            self.parts.resize_with(1 << PART_BITS, HashMap::default);
        }
        let part = self.part(prefix);
        &mut self.parts[part]
    }

    #[inline]
    fn part(&self, prefix: &[u8]) -> usize {
        (self.hasher.hash_one(prefix) >> (u64::BITS - PART_BITS)) as usize
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidates(index: &PatternIndex<()>, symbol: &Symbol) -> Vec<u64> {
        let mut found = Vec::new();
        let mut at = Candidate::default();
        // Begun again behind each, as by slices of one.
        while let Some((next, _)) = index.candidates(symbol, at).next() {
            found.push(next.number);
            at = next;
        }
        let at_once = index.candidates(symbol, Candidate::default());
        assert!(at_once.map(|(next, _)| next.number).eq(found.iter().copied()));
        found
    }

    proptest! {
        /// Whatever comes and goes, what fits is found, once, and in any budget.
        #[test]
        fn finds_what_a_scan_finds(
            texts in proptest::collection::vec("[AB*?]{0,4}", 1..30),
            gone in proptest::collection::vec(any::<bool>(), 30),
            name in "[AB]{1,5}",
        ) {
            let symbol: Symbol = name.parse().unwrap();
            let mut index = PatternIndex::default();
            let mut fitting = Vec::new();
            for (text, gone) in texts.iter().zip(gone) {
                let pattern = Arc::new(Pattern::new(text.as_bytes()));
                if index.number(&pattern).is_some() {
                    continue;
                }
                let number = index.insert(Arc::clone(&pattern), ());
                if gone {
                    prop_assert_eq!(index.remove(number), Some(pattern));
                } else if pattern.matches(&symbol) {
                    fitting.push(number);
                }
            }
            let mut found = candidates(&index, &symbol);
            found.retain(|number| index.entries[number].pattern.matches(&symbol));
            found.sort_unstable();
            prop_assert_eq!(&found, &fitting);
            prop_assert_eq!(index.may_match(&symbol, usize::MAX).0, !fitting.is_empty());
            prop_assert!(fitting.is_empty() || index.may_match(&symbol, 3).0);
        }
    }

    #[test]
    fn a_pattern_that_no_symbol_is_long_enough_for_is_no_candidate() {
        let mut index = PatternIndex::default();
        let text = "A".repeat(SYMBOL_BYTES_MAX + 1);
        let number = index.insert(Arc::new(Pattern::new(text.as_bytes())), ());
        assert!(candidates(&index, &"A".repeat(SYMBOL_BYTES_MAX).parse().unwrap()).is_empty());
        assert!(index.remove(number).is_some() && index.is_empty() && index.bytes() == 0);
    }
}
