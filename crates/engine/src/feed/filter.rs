//! Says of a symbol, without a lock, whether it may be watched: no for nearly all that nobody
//! watches.
//!
//! It counts what is watched in cells that hashes choose: whole symbols, and the literal prefixes
//! of patterns with their lengths. A write computes one hash for its symbol and one for each prefix
//! length in use that the symbol is long enough for. It never says no of what is watched.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use foldhash::fast::FixedState;
use stockd_model::Symbol;
use stockd_model::limits::{INTEREST_FILTER_CELLS, SYMBOL_BYTES_MAX};

use crate::sync::Ordering::Relaxed;
use crate::sync::{AtomicU32, AtomicU64};

/// Under the model checker few, and enough that a symbol and its first letter do not share one.
const CELLS: usize = if cfg!(loom) { 16 } else { INTEREST_FILTER_CELLS };

// The lengths of prefixes are bits of a word.
const _: () = assert!(SYMBOL_BYTES_MAX < 64 && CELLS.is_power_of_two());

/// A counting filter. One thread counts, any thread asks.
///
/// All its loads and stores are relaxed, the cells' being made included: who counts and who asks have
/// their fences behind and before them.
pub(crate) struct Filter {
    /// Made when something is first watched.
    cells: OnceLock<Box<[AtomicU32]>>,
    /// Bit *n*: a prefix of *n* bytes is watched.
    lengths: AtomicU64,
    /// How many prefixes of each length are watched. Only the counting thread looks at them.
    counts: [AtomicU32; SYMBOL_BYTES_MAX + 1],
}

impl Default for Filter {
    fn default() -> Filter {
        let filter = Filter {
            cells: OnceLock::new(),
            lengths: AtomicU64::new(0),
            counts: [0; SYMBOL_BYTES_MAX + 1].map(AtomicU32::new),
        };
        if cfg!(loom) {
            // The model checker does not know that the cell of the standard library orders anything.
            filter.cells();
        }
        filter
    }
}

impl Filter {
    pub(crate) fn add_symbol(&self, symbol: &Symbol) {
        self.cells()[whole(symbol)].fetch_add(1, Relaxed);
    }

    pub(crate) fn remove_symbol(&self, symbol: &Symbol) {
        self.cells()[whole(symbol)].fetch_sub(1, Relaxed);
    }

    /// A prefix that no symbol is long enough for is not counted.
    pub(crate) fn add_prefix(&self, prefix: &[u8]) {
        if let Some(count) = self.counts.get(prefix.len()) {
            self.cells()[cell(hash(prefix))].fetch_add(1, Relaxed);
            if count.fetch_add(1, Relaxed) == 0 {
                self.lengths.fetch_or(1 << prefix.len(), Relaxed);
            }
        }
    }

    pub(crate) fn remove_prefix(&self, prefix: &[u8]) {
        if let Some(count) = self.counts.get(prefix.len()) {
            self.cells()[cell(hash(prefix))].fetch_sub(1, Relaxed);
            if count.fetch_sub(1, Relaxed) == 1 {
                self.lengths.fetch_and(!(1 << prefix.len()), Relaxed);
            }
        }
    }

    /// Whether the symbol may be watched, itself or by a pattern with one of its prefixes.
    pub(crate) fn may_cover(&self, symbol: &Symbol) -> bool {
        let Some(cells) = self.cells.get() else {
            return false;
        };
        if cells[whole(symbol)].load(Relaxed) > 0 {
            return true;
        }
        let mut lengths = self.lengths.load(Relaxed);
        let mut state = HASH_SEED;
        let mut bytes = symbol.as_bytes().iter();
        while lengths != 0 {
            if lengths & 1 != 0 && cells[cell(state)].load(Relaxed) > 0 {
                return true;
            }
            lengths >>= 1;
            let Some(byte) = bytes.next() else {
                return false;
            };
            state = step(state, *byte);
        }
        false
    }

    fn cells(&self) -> &[AtomicU32] {
        self.cells.get_or_init(|| (0..CELLS).map(|_| AtomicU32::new(0)).collect())
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("lengths", &self.lengths).finish_non_exhaustive()
    }
}

/// FNV-1a with 64 bits, so that the hashes of all prefixes of a symbol come in one pass over it.
const HASH_SEED: u64 = 0xcbf2_9ce4_8422_2325;

fn step(state: u64, byte: u8) -> u64 {
    (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

fn hash(prefix: &[u8]) -> u64 {
    prefix.iter().fold(HASH_SEED, |state, byte| step(state, *byte))
}

/// The cell of a prefix. The length is in the hash already: each byte has been a step.
fn cell(hash: u64) -> usize {
    // The upper bits depend on all bytes.
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) as usize >> 40 & (CELLS - 1)
}

/// The cell of a whole symbol, which is not that of the same text as a prefix.
fn whole(symbol: &Symbol) -> usize {
    FixedState::with_seed(0).hash_one(symbol) as usize & (CELLS - 1)
}
