//! One quote in one cache line, under a sequence counter.
//!
//! ```text
//!  0        8        16       24       32                              62    63    64
//!  ┌────────┬────────┬────────┬────────┬───────────────────────────────┬─────┬─────┐
//!  │sequence│ price  │ volume │updated │ symbol, padded with zeros     │ len │state│
//!  └────────┴────────┴────────┴────────┴───────────────────────────────┴─────┴─────┘
//! ```
//!
//! All of it in native byte order. `state` is 0 trading, 1 halted, 2 delisted. The sequence tells
//! what the row is:
//!
//! | sequence | the row |
//! |---|---|
//! | 0 | empty: never held a stock, ends every probe |
//! | 1 | claimed: its first quote is being written; to others it is still empty |
//! | even | stable; the quote's version is half the sequence |
//! | odd | locked: its one writer is at work |
//! | [`MOVED`] set | left behind: the stock lives in the next block. Never changes again |
//!
//! Invariant: the symbol is written while the row is claimed and never changes after that, so a
//! probe compares symbols without waiting for a writer. Everything else is read between two equal,
//! even sequences, or read again.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use stockd_model::{Price, Quote, Status, Symbol, Volume};

use crate::sync::{AtomicU64, Wait, fence};

const EMPTY: u64 = 0;
const CLAIMED: u64 = 1;
const LOCKED: u64 = 1;
/// What one change adds to the sequence.
const CHANGE: u64 = 2;
/// Set in the sequence of a row that has moved to the next block.
const MOVED: u64 = 1 << 63;

/// Where the state stands in the last word of the symbol: the byte that a symbol leaves zero.
const STATE_SHIFT: u32 = if cfg!(target_endian = "little") { 56 } else { 0 };
const STATE_MASK: u64 = 0xff << STATE_SHIFT;

const TRADING: u64 = 0;
const HALTED: u64 = 1;
const DELISTED: u64 = 2;

/// A row; see the module.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Row {
    sequence: AtomicU64,
    price: AtomicU64,
    volume: AtomicU64,
    updated: AtomicU64,
    symbol: [AtomicU64; 4],
}

/// What a row holds, seen from outside.
#[derive(Debug)]
pub(crate) enum Held<T> {
    /// Nothing, now and before: a probe ends here.
    Empty,
    /// Another stock than the one asked for.
    Other,
    /// A stock that has moved to the next block.
    Moved,
    /// What was asked for.
    This(T),
}

/// Everything of a quote but its symbol.
#[derive(Clone, Copy, Debug)]
struct Fields {
    price: u64,
    volume: u64,
    updated: u64,
    state: u64,
}

impl Row {
    #[cfg(loom)]
    pub(crate) fn new() -> Row {
        let zero = || AtomicU64::new(0);
        Row {
            sequence: zero(),
            price: zero(),
            volume: zero(),
            updated: zero(),
            symbol: [zero(), zero(), zero(), zero()],
        }
    }

    /// Reads the quote of `symbol`, if it is this row's; `None` within when it is delisted.
    #[inline(always)]
    pub(crate) fn get(&self, symbol: &Symbol) -> Held<Option<Quote>> {
        let words = symbol.words();
        let mut wait = Wait::default();
        loop {
            let sequence = match self.sequence_of(&words) {
                Ok(sequence) => sequence,
                Err(held) => return held,
            };
            if sequence & LOCKED == 0
                && let Some(fields) = self.read(sequence)
            {
                return Held::This(fields.quote(symbol, sequence));
            }
            wait.once_more();
        }
    }

    /// Reads whatever quote the row holds; `None` within when it is delisted. Never `Other`.
    pub(crate) fn get_any(&self) -> Held<Option<Quote>> {
        if self.sequence.load(Acquire) <= CLAIMED {
            return Held::Empty;
        }
        self.get(&self.symbol())
    }

    /// Locks the row of `symbol`, if it is this one. Waits for the writer that has it.
    pub(crate) fn lock(&self, symbol: &Symbol) -> Held<Locked<'_>> {
        let words = symbol.words();
        let mut wait = Wait::default();
        loop {
            let sequence = match self.sequence_of(&words) {
                Ok(sequence) => sequence,
                Err(held) => return held,
            };
            if sequence & LOCKED == 0
                && self
                    .sequence
                    .compare_exchange_weak(sequence, sequence | LOCKED, Acquire, Relaxed)
                    .is_ok()
            {
                return Held::This(Locked { row: self, sequence });
            }
            wait.once_more();
        }
    }

    /// Locks whatever row this is. Never `Other`.
    pub(crate) fn lock_any(&self) -> Held<Locked<'_>> {
        if self.sequence.load(Acquire) <= CLAIMED {
            return Held::Empty;
        }
        self.lock(&self.symbol())
    }

    /// Whether no stock was ever put here. Asked by the holder of the listing lock.
    pub(crate) fn is_empty(&self) -> bool {
        self.sequence.load(Relaxed) == EMPTY
    }

    /// Puts the first quote into an empty row. Only the holder of the listing lock does this.
    pub(crate) fn claim(&self, quote: &Quote) {
        debug_assert!(self.is_empty());
        self.put_first(&quote.symbol, &Fields::of(quote), quote.version * CHANGE);
    }

    fn put_first(&self, symbol: &Symbol, fields: &Fields, sequence: u64) {
        self.sequence.store(CLAIMED, Relaxed);
        let [first, second, third, last] = symbol.words();
        self.symbol[0].store(first, Relaxed);
        self.symbol[1].store(second, Relaxed);
        self.symbol[2].store(third, Relaxed);
        self.write(fields, last);
        self.sequence.store(sequence, Release);
    }

    /// The sequence of the row, if it holds the symbol of these words; else what it holds.
    #[inline(always)]
    fn sequence_of<T>(&self, words: &[u64; 4]) -> Result<u64, Held<T>> {
        let sequence = self.sequence.load(Acquire);
        if sequence <= CLAIMED {
            Err(Held::Empty)
        } else if !self.is_for(words) {
            Err(Held::Other)
        } else if sequence & MOVED != 0 {
            Err(Held::Moved)
        } else {
            Ok(sequence)
        }
    }

    /// Whether the row is for the symbol of these words. Asked of a row that is past its claim.
    #[inline]
    fn is_for(&self, words: &[u64; 4]) -> bool {
        let differ = |i: usize| self.symbol[i].load(Relaxed) ^ words[i];
        differ(0) | differ(1) | differ(2) | (differ(3) & !STATE_MASK) == 0
    }

    /// The symbol of a row that is past its claim.
    fn symbol(&self) -> Symbol {
        let word = |i: usize| self.symbol[i].load(Relaxed);
        Symbol::from_words([word(0), word(1), word(2), word(3) & !STATE_MASK])
    }

    /// Reads the fields under this sequence; `None` when a writer changed it meanwhile.
    #[inline(always)]
    fn read(&self, sequence: u64) -> Option<Fields> {
        let fields = Fields {
            price: self.price.load(Relaxed),
            volume: self.volume.load(Relaxed),
            updated: self.updated.load(Relaxed),
            state: (self.symbol[3].load(Relaxed) & STATE_MASK) >> STATE_SHIFT,
        };
        // Any field above that a later writer wrote makes that writer's odd sequence visible here.
        fence(Acquire);
        (self.sequence.load(Relaxed) == sequence).then_some(fields)
    }

    fn write(&self, fields: &Fields, last_word: u64) {
        self.price.store(fields.price, Relaxed);
        self.volume.store(fields.volume, Relaxed);
        self.updated.store(fields.updated, Relaxed);
        self.symbol[3].store(last_word & !STATE_MASK | fields.state << STATE_SHIFT, Relaxed);
    }
}

impl Fields {
    fn of(quote: &Quote) -> Fields {
        Fields {
            price: quote.price.units().unsigned_abs(),
            volume: quote.volume.shares(),
            updated: quote.updated_ns,
            state: match quote.status {
                Status::Trading => TRADING,
                Status::Halted => HALTED,
            },
        }
    }

    #[inline]
    fn quote(&self, symbol: &Symbol, sequence: u64) -> Option<Quote> {
        if self.state == DELISTED {
            return None;
        }
        let price = Price::from_units(self.price.cast_signed()).expect("listed with a price");
        Some(Quote {
            symbol: *symbol,
            price,
            volume: Volume::new(self.volume),
            status: if self.state == HALTED { Status::Halted } else { Status::Trading },
            version: sequence / CHANGE,
            updated_ns: self.updated,
        })
    }
}

/// A row and the right to write it. Dropping it unlocks the row unchanged.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    row: &'a Row,
    /// The even sequence that the row had.
    sequence: u64,
}

impl Locked<'_> {
    /// The quote in the row; `None` when it is delisted.
    pub(crate) fn quote(&self) -> Option<Quote> {
        self.fields().quote(&self.row.symbol(), self.sequence)
    }

    /// The version that the row has, listed or not.
    pub(crate) fn version(&self) -> u64 {
        self.sequence / CHANGE
    }

    /// Puts this quote, of the row's symbol and a later version, into the row.
    pub(crate) fn put(self, quote: &Quote) {
        assert!(quote.symbol == self.row.symbol() && quote.version > self.version(), "{quote:?}");
        self.commit(&Fields::of(quote), quote.version * CHANGE);
    }

    /// Marks the stock as delisted at this later version. The row keeps its symbol, and counts on when
    /// the stock is listed again.
    pub(crate) fn delist(self, version: u64, now_ns: u64) {
        debug_assert!(version > self.version(), "{version}");
        let fields = Fields { updated: now_ns, state: DELISTED, ..self.fields() };
        self.commit(&fields, version * CHANGE);
    }

    /// Copies the row with its version to an empty row of the next block, and leaves this one
    /// behind. A thread that sees it left behind also sees the copy.
    pub(crate) fn move_to(self, empty: &Row) {
        debug_assert!(empty.is_empty());
        empty.put_first(&self.row.symbol(), &self.fields(), self.sequence);
        self.leave_behind();
    }

    /// Leaves the row behind without a copy: its stock is delisted.
    pub(crate) fn leave_behind(self) {
        self.row.sequence.store(self.sequence | MOVED, Release);
        std::mem::forget(self);
    }

    fn fields(&self) -> Fields {
        // The row is ours, so its odd sequence cannot change meanwhile.
        self.row.read(self.sequence | LOCKED).expect("a locked row has one writer")
    }

    fn commit(self, fields: &Fields, sequence: u64) {
        // A thread that reads one of the stores below also sees the odd sequence.
        fence(Release);
        self.row.write(fields, self.row.symbol[3].load(Relaxed));
        self.row.sequence.store(sequence, Release);
        std::mem::forget(self);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.row.sequence.store(self.sequence, Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_cache_line() {
        assert_eq!(size_of::<Row>(), 64);
        assert_eq!(align_of::<Row>(), 64);
    }
}
