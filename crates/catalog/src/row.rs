//! One quote in one cache line, under a sequence counter.
//!
//! ```text
//!  0        8        16       24       32                                  62      64
//!  ┌────────┬────────┬────────┬────────┬───────────────────────────────────┬───────┐
//!  │sequence│ price  │ volume │updated │ symbol, padded with zeros         │ state │
//!  └────────┴────────┴────────┴────────┴───────────────────────────────────┴───────┘
//!                                                                  ┌───────┘       │
//!   bits of `state`, from the lowest:                              │ 5   5   1   1  4
//!                                                                  └─┴───┴───┴───┴─┘
//!       places of the price, places of the volume (31: no volume), halted, delisted, 4 unused
//! ```
//!
//! All of it in native byte order. Price and volume are their coefficients, without the point. The
//! length of the symbol is not kept: no symbol has a zero in it, so it ends where the padding begins,
//! and equal words are equal symbols. Where there is no volume its word is not zero, so that a zero
//! there always means that no shares are left. The sequence tells what the row is:
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

use stockd_model::limits::{DECIMAL_PLACES_MAX, SYMBOL_BYTES_MAX};
use stockd_model::{Answer, Price, Quote, Status, Symbol, Volume};

use crate::sync::{AtomicU64, Wait, fence};

const EMPTY: u64 = 0;
const CLAIMED: u64 = 1;
const LOCKED: u64 = 1;
/// What one change adds to the sequence.
const CHANGE: u64 = 2;
/// Set in the sequence of a row that has moved to the next block.
const MOVED: u64 = 1 << 63;

/// Where the state stands in the last word of the symbol: the two bytes behind the text.
const STATE_SHIFT: u32 = if cfg!(target_endian = "little") { 48 } else { 0 };
const STATE_MASK: u64 = 0xffff << STATE_SHIFT;

/// Five bits of the state at a time.
const PLACES_MASK: u64 = 31;
const VOLUME_PLACES_SHIFT: u32 = 5;
const NO_VOLUME: u64 = PLACES_MASK << VOLUME_PLACES_SHIFT;
const HALTED: u64 = 1 << 10;
const DELISTED: u64 = 1 << 11;

const _: () = assert!((DECIMAL_PLACES_MAX as u64) < PLACES_MASK && SYMBOL_BYTES_MAX == 30);

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

/// Everything of a quote but its symbol and version, as it is kept.
#[derive(Clone, Copy, Debug)]
struct Fields {
    tradable: Tradable,
    updated: u64,
}

/// What a lookup is answered from, as it is kept.
#[derive(Clone, Copy, Debug)]
struct Tradable {
    price: u64,
    volume: u64,
    state: u64,
}

impl Row {
    #[cfg(any(loom, test))]
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
        match self.read_for(symbol, Row::load_fields) {
            Ok((fields, sequence)) => Held::This(fields.quote(symbol, sequence)),
            Err(held) => held,
        }
    }

    /// What a lookup of `symbol` answers, if this row is its; `None` within when it is delisted. As
    /// the answer of the quote, but quicker: it reads no more than it needs.
    #[inline(always)]
    pub(crate) fn answer(&self, symbol: &Symbol) -> Held<Option<Answer>> {
        match self.read_for(symbol, Row::load_tradable) {
            Ok((tradable, _)) => Held::This(tradable.answer()),
            Err(held) => held,
        }
    }

    /// Reads of the row what `load` does, under the sequence that is returned with it, if the row is
    /// for `symbol`; else says what it holds.
    #[inline(always)]
    fn read_for<T, U>(
        &self,
        symbol: &Symbol,
        load: impl Fn(&Row) -> T,
    ) -> Result<(T, u64), Held<U>> {
        let words = symbol.words();
        let mut wait = Wait::default();
        loop {
            let sequence = self.sequence_of(&words)?;
            if sequence & LOCKED == 0
                && let Some(loaded) = self.read(sequence, &load)
            {
                return Ok((loaded, sequence));
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

    /// Makes the system hand out the memory of the row, which stays as it is. A load would not do,
    /// nor what the compiler can turn into one.
    pub(crate) fn touch(&self) {
        let _ = self.sequence.compare_exchange(EMPTY, EMPTY, Relaxed, Relaxed);
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
        Symbol::from_padded_words([word(0), word(1), word(2), word(3)])
    }

    /// Reads of the row what `load` does, under this sequence; `None` when a writer changed it
    /// meanwhile.
    #[inline(always)]
    fn read<T>(&self, sequence: u64, load: impl Fn(&Row) -> T) -> Option<T> {
        let loaded = load(self);
        // Any field above that a later writer wrote makes that writer's odd sequence visible here.
        fence(Acquire);
        (self.sequence.load(Relaxed) == sequence).then_some(loaded)
    }

    #[inline(always)]
    fn load_tradable(&self) -> Tradable {
        Tradable {
            price: self.price.load(Relaxed),
            volume: self.volume.load(Relaxed),
            state: (self.symbol[3].load(Relaxed) & STATE_MASK) >> STATE_SHIFT,
        }
    }

    #[inline(always)]
    fn load_fields(&self) -> Fields {
        Fields { tradable: self.load_tradable(), updated: self.updated.load(Relaxed) }
    }

    fn write(&self, fields: &Fields, last_word: u64) {
        let Fields { tradable: Tradable { price, volume, state }, updated } = *fields;
        self.price.store(price, Relaxed);
        self.volume.store(volume, Relaxed);
        self.updated.store(updated, Relaxed);
        self.symbol[3].store(last_word & !STATE_MASK | state << STATE_SHIFT, Relaxed);
    }
}

impl Fields {
    fn of(quote: &Quote) -> Fields {
        let (volume, volume_places) = match quote.volume {
            Some(volume) => {
                (volume.coefficient(), u64::from(volume.places()) << VOLUME_PLACES_SHIFT)
            }
            None => (1, NO_VOLUME),
        };
        let halted = if quote.status == Status::Halted { HALTED } else { 0 };
        let price = quote.price.coefficient().cast_unsigned();
        let state = u64::from(quote.price.places()) | volume_places | halted;
        Fields { tradable: Tradable { price, volume, state }, updated: quote.updated_ns }
    }

    #[inline]
    fn quote(&self, symbol: &Symbol, sequence: u64) -> Option<Quote> {
        let Fields { tradable, updated } = self;
        if tradable.state & DELISTED != 0 {
            return None;
        }
        Some(Quote {
            symbol: *symbol,
            price: tradable.price(),
            volume: tradable.volume(),
            status: if tradable.state & HALTED == 0 { Status::Trading } else { Status::Halted },
            version: sequence / CHANGE,
            updated_ns: *updated,
        })
    }
}

impl Tradable {
    #[inline(always)]
    fn answer(&self) -> Option<Answer> {
        if self.state & (HALTED | DELISTED) == 0 && self.volume != 0 {
            Some(Answer::Price(self.price()))
        } else if self.state & DELISTED == 0 {
            Some(Answer::NotTradable)
        } else {
            None
        }
    }

    #[inline(always)]
    fn price(&self) -> Price {
        Price::from_parts(self.price.cast_signed(), (self.state & PLACES_MASK) as u8)
    }

    #[inline(always)]
    fn volume(&self) -> Option<Volume> {
        let places = self.state >> VOLUME_PLACES_SHIFT & PLACES_MASK;
        (self.state & NO_VOLUME != NO_VOLUME).then(|| Volume::from_parts(self.volume, places as u8))
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
        let mut fields = self.fields();
        fields.tradable.state |= DELISTED;
        fields.updated = now_ns;
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
        self.row
            .read(self.sequence | LOCKED, Row::load_fields)
            .expect("a locked row has one writer")
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
    fn every_quote_comes_back_as_it_was_put() {
        let volumes = ["0", "1000", "0.000000000000000001", "18446744073709551615"];
        let volumes = volumes.map(|text| Some(text.parse().unwrap())).into_iter().chain([None]);
        for volume in volumes {
            for price in ["0", "-1", "172.5", "1e-18", "-9223372036854775807"] {
                for status in [Status::Trading, Status::Halted] {
                    for name in ["A", "1234567", "123456789012345678901234567890", "牛来USDT"] {
                        let (symbol, price) = (name.parse().unwrap(), price.parse().unwrap());
                        let updated_ns = u64::MAX;
                        let quote = Quote { symbol, price, volume, status, version: 7, updated_ns };
                        let (row, next) = (Row::new(), Row::new());
                        row.claim(&quote);
                        assert!(matches!(row.get(&symbol), Held::This(Some(it)) if it == quote));
                        let answer = row.answer(&symbol);
                        assert!(matches!(answer, Held::This(Some(it)) if it == quote.answer()));
                        let Held::This(locked) = row.lock_any() else { panic!("{row:?}") };
                        assert_eq!(locked.quote(), Some(quote));
                        locked.move_to(&next);
                        assert!(matches!(next.get_any(), Held::This(Some(it)) if it == quote));
                        let Held::This(locked) = next.lock_any() else { panic!("{next:?}") };
                        let version = locked.version() + 1;
                        locked.delist(version, 1);
                        assert!(matches!(next.get(&symbol), Held::This(None)));
                        assert!(matches!(next.answer(&symbol), Held::This(None)));
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_is_one_cache_line() {
        assert_eq!(size_of::<Row>(), 64);
        assert_eq!(align_of::<Row>(), 64);
    }
}
