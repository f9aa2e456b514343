use core::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::side::{Extras, Side};
use crate::sync::{AtomicU64, fence};
use crate::{STATE_SHIFT, TEXT, Words, is_long};

/// The sequence of an empty row.
pub const EMPTY: u64 = 0;
/// The sequence of a row whose first quote is being written.
pub const CLAIMED: u64 = 1;
/// Set in the sequence of a row that has a writer.
pub const LOCKED: u64 = 1;
/// What one change adds to the sequence.
pub const CHANGE: u64 = 2;
/// Set in the sequence of a row that has moved to the next block.
pub const MOVED: u64 = 1 << 63;

/// The stock is halted.
pub const HALTED: u64 = 1 << 10;
/// The stock is not listed, and may be again.
pub const DELISTED: u64 = 1 << 11;
/// The stock has no price.
pub const UNPRICED: u64 = 1 << 12;
/// The side row has fields of the quote.
pub const EXTRA: u64 = 1 << 13;
/// The stock has a feed, which may halt it.
pub const FED: u64 = 1 << 14;
/// The symbol goes on in the side row. Never changes in the life of a row.
pub const LONG: u64 = 1 << 15;

/// [`LONG`] where it stands in the word.
const LONG_IN_WORD: u64 = LONG << STATE_SHIFT;

/// The first row of a stock; see the [crate]. Its words are for writers.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Row {
    /// What the row is, and the version of its quote.
    pub sequence: AtomicU64,
    /// The coefficient of the price.
    pub price: AtomicU64,
    /// The coefficient of the volume.
    pub volume: AtomicU64,
    /// When it last changed.
    pub updated: AtomicU64,
    /// The symbol's first 30 bytes, then the state.
    pub symbol: [AtomicU64; 4],
}

/// What a row holds, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// Nothing, now and before: a probe ends here.
    Empty,
    /// Another stock than the one asked for.
    Other,
    /// A stock that has moved to the next block.
    Moved,
    /// The stock asked for, which is being written: look again.
    Busy,
    /// What was asked for.
    This(T),
}

/// What a lookup is answered from, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tradable {
    /// The coefficient of the price.
    pub price: u64,
    /// The coefficient of the volume; not zero where there is no volume.
    pub volume: u64,
    /// The state.
    pub state: u64,
}

/// All that stands in the row itself but the symbol. It is the whole quote where [`EXTRA`] is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bare {
    /// What a lookup is answered from.
    pub tradable: Tradable,
    /// Unix time in nanoseconds.
    pub updated: u64,
    /// Half of it is the version.
    pub sequence: u64,
}

/// Everything of a quote but its symbol, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// What stands in the row.
    pub tradable: Tradable,
    /// Unix time in nanoseconds.
    pub updated: u64,
    /// What stands in the side row, if anything does.
    pub extras: Option<Extras>,
    /// Half of it is the version.
    pub sequence: u64,
}

/// Both rows of a stock, or of one that may come.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The first.
    pub row: &'a Row,
    /// The second.
    pub side: &'a Side,
}

impl Row {
    /// An empty row.
    #[cfg(loom)]
    pub fn new() -> Row {
        let zero = || AtomicU64::new(0);
        let symbol = [zero(), zero(), zero(), zero()];
        Row { sequence: zero(), price: zero(), volume: zero(), updated: zero(), symbol }
    }

    /// What a lookup of a symbol of at most 30 bytes is answered from, if this row is its. A longer
    /// symbol is never found here: ask both rows.
    #[inline(always)]
    pub fn tradable(&self, words: &Words) -> Seen<Tradable> {
        let sequence = match self.sequence_for(|row| row.is_for_short(words)) {
            Ok(sequence) => sequence,
            Err(seen) => return seen,
        };
        self.under(sequence, self.load_tradable())
    }

    /// All that stands in the row, if it is that of a symbol of at most 30 bytes. A longer symbol is never found here.
    #[inline(always)]
    pub fn bare(&self, words: &Words) -> Seen<Bare> {
        let sequence = match self.sequence_for(|row| row.is_for_short(words)) {
            Ok(sequence) => sequence,
            Err(seen) => return seen,
        };
        let (tradable, updated) = (self.load_tradable(), self.updated.load(Relaxed));
        self.under(sequence, Bare { tradable, updated, sequence })
    }

    /// The sequence of the row, if it is past its claim, not moved and for a symbol; else what it holds.
    #[inline(always)]
    fn sequence_for<T>(&self, is_for: impl FnOnce(&Row) -> bool) -> Result<u64, Seen<T>> {
        let sequence = self.sequence();
        if sequence <= CLAIMED {
            Err(Seen::Empty)
        } else if !is_for(self) {
            Err(Seen::Other)
        } else if sequence & MOVED != 0 {
            Err(Seen::Moved)
        } else {
            Ok(sequence)
        }
    }

    /// The sequence; what is loaded after it is at least as new.
    #[inline(always)]
    pub fn sequence(&self) -> u64 {
        let sequence = self.sequence.load(Relaxed);
        fence(Acquire);
        sequence
    }

    /// What was loaded, if no writer was at work since the sequence was this.
    #[inline(always)]
    fn under<T>(&self, sequence: u64, loaded: T) -> Seen<T> {
        // Any field that a later writer wrote makes that writer's odd sequence visible here.
        fence(Acquire);
        if sequence & LOCKED == 0 && self.sequence.load(Relaxed) == sequence {
            Seen::This(loaded)
        } else {
            Seen::Busy
        }
    }

    /// Whether the row is for this symbol, where that has at most 30 bytes: a longer one has bits where
    /// nothing is compared with. Asked of a row that is past its claim.
    #[inline(always)]
    fn is_for_short(&self, words: &Words) -> bool {
        let differ = |at: usize| self.symbol[at].load(Relaxed) ^ words[at];
        let last = self.symbol[3].load(Relaxed) & (TEXT | LONG_IN_WORD) ^ words[3];
        differ(0) | differ(1) | differ(2) | last == 0
    }

    #[inline(always)]
    fn load_tradable(&self) -> Tradable {
        Tradable {
            price: self.price.load(Relaxed),
            volume: self.volume.load(Relaxed),
            state: self.symbol[3].load(Relaxed) >> STATE_SHIFT,
        }
    }
}

#[cfg(loom)]
impl Default for Row {
    fn default() -> Row {
        Row::new()
    }
}

impl Place<'_> {
    /// Everything of the quote of a symbol, if these rows are its.
    #[inline(always)]
    pub fn fields(self, words: &Words) -> Seen<Fields> {
        let sequence = match self.sequence_for(words) {
            Ok(sequence) => sequence,
            Err(seen) => return seen,
        };
        self.row.under(sequence, self.load(sequence))
    }

    /// The sequence of the row of a symbol and its state, if these rows are its.
    #[inline(always)]
    pub fn standing(self, words: &Words) -> Seen<(u64, u64)> {
        let sequence = match self.sequence_for(words) {
            Ok(sequence) => sequence,
            Err(seen) => return seen,
        };
        let state = self.row.symbol[3].load(Relaxed) >> STATE_SHIFT;
        self.row.under(sequence, (sequence, state))
    }

    /// The sequence of the row, if it is past its claim, not moved and for this symbol; else what it
    /// holds.
    ///
    /// # Errors
    ///
    /// What it holds.
    #[inline(always)]
    pub fn sequence_for<T>(self, words: &Words) -> Result<u64, Seen<T>> {
        self.row.sequence_for(|row| match is_long(words) {
            false => row.is_for_short(words),
            true => self.is_for_long(*words),
        })
    }

    /// The symbol of a row that is past its claim; `None` of one that is not.
    pub fn symbol(self) -> Option<Words> {
        if self.row.sequence() <= CLAIMED {
            return None;
        }
        let word = |at: usize| self.row.symbol[at].load(Relaxed);
        let last = word(3);
        let mut words = [word(0), word(1), word(2), last & TEXT, 0, 0];
        if last & LONG_IN_WORD != 0 {
            self.side.add_tail(&mut words);
        }
        Some(words)
    }

    /// Everything of a quote, as it is now. Whole where the sequence does not change meanwhile.
    #[inline(always)]
    pub fn load(self, sequence: u64) -> Fields {
        let tradable = self.row.load_tradable();
        let updated = self.row.updated.load(Relaxed);
        let extras = (tradable.state & EXTRA != 0).then(|| self.side.load());
        Fields { tradable, updated, extras, sequence }
    }

    /// By value, so that nothing has to lie in memory where the symbol is short.
    #[cold]
    fn is_for_long(self, words: Words) -> bool {
        let mut head = words;
        head[3] = words[3] & TEXT | LONG_IN_WORD;
        self.row.is_for_short(&head) && self.side.is_tail_of(&words)
    }
}
