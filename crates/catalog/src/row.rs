//! One stock's rows, as the catalog uses them: read until they are whole, and written.
//!
//! `stockd-rows` owns the layout and the reading half; this file owns the writing half, and how a
//! quote becomes a row and the other way round. It knows neither blocks nor who may write.
//!
//! Invariant: both rows are written by one thread at a time, between an odd sequence and a later even
//! one, and the symbol while the row is claimed alone.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use stockd_model::limits::DECIMAL_PLACES_MAX;
use stockd_model::{Answer, FeedName, Price, Quote, QuoteFeed, Status, Symbol, Volume};
use stockd_rows::{
    Bare, CHANGE, CLAIMED, DELISTED, EMPTY, EXTRA, Extras, FED, Fields, HALTED, LOCKED, LONG,
    MOVED, NO_PLACES, Place, Row, STATE_SHIFT, Seen, TEXT, Tradable, UNPRICED, Words, is_long,
};

use crate::sync::{Wait, fence};

/// How many bits of the state, or of the marks, the places of a decimal take.
const PLACES_BITS: u32 = 5;
const VOLUME_SHIFT: u32 = PLACES_BITS;
const NO_VOLUME: u64 = NO_PLACES << VOLUME_SHIFT;

/// Where the places of the side row's decimals stand in its marks.
const BID_SHIFT: u32 = 0;
const ASK_SHIFT: u32 = PLACES_BITS;
const BID_SIZE_SHIFT: u32 = 2 * PLACES_BITS;
const ASK_SIZE_SHIFT: u32 = 3 * PLACES_BITS;
/// Set in the marks where there is a time.
const TIMED: u64 = 1 << 20;
/// Where the number of the feed stands in the marks.
const FEED_SHIFT: u32 = 21;

const _: () = assert!(FeedName::NUMBER_MAX as u64 == (1 << 11) - 1);

const _: () = assert!((DECIMAL_PLACES_MAX as u64) < NO_PLACES);

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

/// What was seen, once no writer is in the way.
#[inline(always)]
fn settled<T>(seen: Seen<T>, look_again: impl FnOnce() -> Held<T>) -> Held<T> {
    match seen {
        Seen::This(found) => Held::This(found),
        Seen::Other => Held::Other,
        Seen::Empty => Held::Empty,
        Seen::Moved => Held::Moved,
        Seen::Busy => look_again(),
    }
}

/// Looks again until no writer is in the way. Apart from the first look, so that this takes no
/// registers from it.
#[cold]
#[inline(never)]
fn wait_for<T>(look: impl Fn() -> Seen<T>) -> Held<T> {
    let mut wait = Wait::default();
    loop {
        wait.once_more();
        match look() {
            Seen::Busy => {}
            seen => return settled(seen, || unreachable!("it is not busy")),
        }
    }
}

/// What a lookup of a symbol of at most 30 bytes is answered from, if this row is its.
#[inline(always)]
pub(crate) fn tradable(row: &Row, symbol: &Symbol) -> Held<Tradable> {
    settled(row.tradable(&symbol.words()), || wait_for(move || row.tradable(&symbol.words())))
}

/// All that stands in this row, if it is that of a symbol of at most 30 bytes.
#[inline(always)]
pub(crate) fn bare(row: &Row, symbol: &Symbol) -> Held<Bare> {
    settled(row.bare(&symbol.words()), || wait_for(move || row.bare(&symbol.words())))
}

/// What is kept of a symbol, if these rows are its.
#[inline(always)]
pub(crate) fn fields(place: Place<'_>, symbol: &Symbol) -> Held<Fields> {
    settled(place.fields(&symbol.words()), || wait_for(move || place.fields(&symbol.words())))
}

/// The version of a symbol and whether it has a feed, if these rows are its; `None` within when it is delisted.
pub(crate) fn listed_version(place: Place<'_>, symbol: &Symbol) -> Held<Option<(u64, bool)>> {
    let look = || place.standing(&symbol.words());
    let version = |(sequence, state)| {
        (state & DELISTED == 0).then_some((sequence / CHANGE, state & FED != 0))
    };
    match settled(look(), || wait_for(look)) {
        Held::This(standing) => Held::This(version(standing)),
        Held::Empty => Held::Empty,
        Held::Other => Held::Other,
        Held::Moved => Held::Moved,
    }
}

/// Reads whatever quote the rows hold; `None` within when it is delisted. Never `Other`.
pub(crate) fn get_any(place: Place<'_>) -> Held<Option<Quote>> {
    let Some(words) = place.symbol() else { return Held::Empty };
    let symbol = Symbol::from_words(words);
    match fields(place, &symbol) {
        Held::This(fields) => Held::This(quote_of(&fields, &symbol)),
        Held::Empty => Held::Empty,
        Held::Other => Held::Other,
        Held::Moved => Held::Moved,
    }
}

/// Locks the rows of `symbol`, if they are these. Waits for the writer that has them.
#[inline]
pub(crate) fn lock<'a>(place: Place<'a>, symbol: &Symbol) -> Held<Locked<'a>> {
    let words = symbol.words();
    let try_lock = || {
        let sequence = match place.sequence_for(&words) {
            Ok(sequence) => sequence,
            Err(seen) => return seen,
        };
        let locks = || {
            let locked = sequence | LOCKED;
            let atomic = &place.row.sequence;
            atomic.compare_exchange_weak(sequence, locked, Acquire, Relaxed).is_ok()
        };
        if sequence & LOCKED == 0 && locks() { Seen::This(sequence) } else { Seen::Busy }
    };
    match settled(try_lock(), || wait_for(try_lock)) {
        Held::This(sequence) => Held::This(Locked { place, sequence }),
        Held::Empty => Held::Empty,
        Held::Other => Held::Other,
        Held::Moved => Held::Moved,
    }
}

/// Locks whatever rows these are. Never `Other`.
pub(crate) fn lock_any(place: Place<'_>) -> Held<Locked<'_>> {
    match place.symbol() {
        Some(words) => lock(place, &Symbol::from_words(words)),
        None => Held::Empty,
    }
}

/// Whether no stock was ever put here. Asked by the holder of the listing lock.
pub(crate) fn is_empty(row: &Row) -> bool {
    row.sequence.load(Relaxed) == EMPTY
}

/// Makes the system hand out the memory of the row, which stays as it is. A load would not do, nor
/// what the compiler can turn into one.
pub(crate) fn touch(row: &Row) {
    let _ = row.sequence.compare_exchange(EMPTY, EMPTY, Relaxed, Relaxed);
}

/// Puts the first quote into empty rows. Only the holder of the listing lock does this.
pub(crate) fn claim(place: Place<'_>, quote: &Quote) {
    debug_assert!(is_empty(place.row));
    put_first(place, &quote.symbol.words(), &fields_of(quote));
}

fn put_first(place: Place<'_>, words: &Words, fields: &Fields) {
    place.row.sequence.store(CLAIMED, Relaxed);
    let mut last = words[3] & TEXT;
    if is_long(words) {
        last |= LONG << STATE_SHIFT;
        place.side.put_tail(words);
    }
    for (word, text) in place.row.symbol.iter().zip([words[0], words[1], words[2], last]) {
        word.store(text, Relaxed);
    }
    write(place, fields);
    place.row.sequence.store(fields.sequence, Release);
}

fn write(Place { row, side }: Place<'_>, fields: &Fields) {
    let Fields { tradable: Tradable { price, volume, state }, updated, extras, .. } = fields;
    row.price.store(*price, Relaxed);
    row.volume.store(*volume, Relaxed);
    row.updated.store(*updated, Relaxed);
    let kept = row.symbol[3].load(Relaxed) & (TEXT | LONG << STATE_SHIFT);
    row.symbol[3].store(kept | state << STATE_SHIFT, Relaxed);
    if let Some(extras) = extras {
        side.put(extras);
    }
}

/// Both rows of a stock and the right to write them. Dropping it unlocks them unchanged.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    place: Place<'a>,
    /// The even sequence that the row had.
    sequence: u64,
}

impl Locked<'_> {
    /// The symbol of the rows.
    pub(crate) fn symbol(&self) -> Symbol {
        // A row that is locked is past its claim.
        Symbol::from_words(self.place.symbol().unwrap_or_default())
    }

    /// The quote in the rows, which are those of this symbol; `None` when it is delisted.
    pub(crate) fn quote(&self, symbol: &Symbol) -> Option<Quote> {
        quote_of(&self.fields(), symbol)
    }

    /// The version that the row has, listed or not.
    pub(crate) fn version(&self) -> u64 {
        self.sequence / CHANGE
    }

    /// Puts this quote, of the rows' symbol and a later version, into the rows.
    pub(crate) fn put(self, quote: &Quote) {
        debug_assert!(quote.symbol == self.symbol(), "{quote:?}");
        assert!(quote.version > self.version(), "{quote:?}");
        self.commit(&fields_of(quote));
    }

    /// Marks the stock as delisted at this later version. The row keeps its symbol, and counts on when
    /// the stock is listed again.
    pub(crate) fn delist(self, version: u64, now_ns: u64) {
        debug_assert!(version > self.version(), "{version}");
        let mut fields = self.fields();
        fields.tradable.state |= DELISTED;
        fields.updated = now_ns;
        fields.sequence = version * CHANGE;
        self.commit(&fields);
    }

    /// Copies the rows with their version to empty ones of the next block, and leaves these behind. A
    /// thread that sees them left behind also sees the copy.
    pub(crate) fn move_to(self, empty: Place<'_>) {
        debug_assert!(is_empty(empty.row));
        put_first(empty, &self.symbol().words(), &self.fields());
        self.leave_behind();
    }

    /// Leaves the rows behind without a copy: their stock is delisted.
    pub(crate) fn leave_behind(self) {
        self.place.row.sequence.store(self.sequence | MOVED, Release);
        std::mem::forget(self);
    }

    /// What is in the rows: they are ours, so it does not change meanwhile.
    fn fields(&self) -> Fields {
        self.place.load(self.sequence)
    }

    fn commit(self, fields: &Fields) {
        // A thread that reads one of the stores below also sees the odd sequence.
        fence(Release);
        write(self.place, fields);
        self.place.row.sequence.store(fields.sequence, Release);
        std::mem::forget(self);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.place.row.sequence.store(self.sequence, Release);
    }
}

/// What a lookup answers, where no feed has a say in it; one that has a feed is not tradable here.
#[inline(always)]
pub(crate) fn answer_of(tradable: &Tradable) -> Option<Answer> {
    let Tradable { price, volume, state } = *tradable;
    if state & (HALTED | DELISTED | UNPRICED | FED) == 0 && volume != 0 {
        Some(Answer::Price(Price::from_parts(price.cast_signed(), places(state, 0))))
    } else if state & DELISTED == 0 {
        Some(Answer::NotTradable)
    } else {
        None
    }
}

#[inline]
pub(crate) fn quote_of(fields: &Fields, symbol: &Symbol) -> Option<Quote> {
    (fields.tradable.state & DELISTED == 0).then(|| listed_quote_of(fields, symbol))
}

/// The quote of a listed stock. What is known of its feed is its name.
fn listed_quote_of(fields: &Fields, symbol: &Symbol) -> Quote {
    let Fields { tradable, updated, extras, sequence } = *fields;
    let quote = bare_quote_of(&Bare { tradable, updated, sequence }, symbol);
    let Some(extras) = extras else { return quote };
    let marks = extras.marks;
    let feed = FeedName::from_number((marks >> FEED_SHIFT) as u16 & FeedName::NUMBER_MAX);
    Quote {
        bid: price(extras.bid, marks, BID_SHIFT),
        ask: price(extras.ask, marks, ASK_SHIFT),
        bid_size: volume(extras.bid_size, marks, BID_SIZE_SHIFT),
        ask_size: volume(extras.ask_size, marks, ASK_SIZE_SHIFT),
        time_ns: (marks & TIMED != 0).then_some(extras.time),
        feed: feed.map(QuoteFeed::of),
        ..quote
    }
}

/// The quote of a listed stock that has nothing in its side row, as most have not.
#[inline(always)]
pub(crate) fn bare_quote_of(bare: &Bare, symbol: &Symbol) -> Quote {
    let Tradable { price: digits, volume: shares, state } = bare.tradable;
    Quote {
        price: (state & UNPRICED == 0)
            .then(|| Price::from_parts(digits.cast_signed(), places(state, 0))),
        volume: volume(shares, state, VOLUME_SHIFT),
        status: if state & HALTED == 0 { Status::Trading } else { Status::Halted },
        version: bare.sequence / CHANGE,
        updated_ns: bare.updated,
        ..Quote::new(*symbol)
    }
}

fn fields_of(quote: &Quote) -> Fields {
    let (price, price_places) = price_parts(quote.price, 0);
    let (volume, volume_places) = match quote.volume {
        None => (1, NO_VOLUME),
        volume => volume_parts(volume, VOLUME_SHIFT),
    };
    let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
    let extras = extras_of(quote);
    let state = price_places
        | volume_places
        | flag(quote.status == Status::Halted, HALTED)
        | flag(quote.price.is_none(), UNPRICED)
        | flag(extras.is_some(), EXTRA)
        | flag(quote.feed.is_some(), FED);
    Fields {
        tradable: Tradable { price, volume, state },
        updated: quote.updated_ns,
        extras,
        sequence: quote.version * CHANGE,
    }
}

/// What stands in the side row, if there is any of it.
#[inline]
fn extras_of(quote: &Quote) -> Option<Extras> {
    let Quote { bid, ask, bid_size, ask_size, time_ns, feed, .. } = quote;
    if let (None, None, None, None, None, None) = (bid, ask, bid_size, ask_size, time_ns, feed) {
        return None;
    }
    let (bid, bid_places) = price_parts(*bid, BID_SHIFT);
    let (ask, ask_places) = price_parts(*ask, ASK_SHIFT);
    let (bid_size, bid_size_places) = volume_parts(*bid_size, BID_SIZE_SHIFT);
    let (ask_size, ask_size_places) = volume_parts(*ask_size, ASK_SIZE_SHIFT);
    let timed = if time_ns.is_some() { TIMED } else { 0 };
    let feed = feed.map_or(0, |feed| u64::from(feed.name.number())) << FEED_SHIFT;
    Some(Extras {
        bid,
        ask,
        bid_size,
        ask_size,
        time: time_ns.unwrap_or_default(),
        marks: bid_places | ask_places | bid_size_places | ask_size_places | timed | feed,
    })
}

#[inline(always)]
fn places(bits: u64, shift: u32) -> u8 {
    (bits >> shift & NO_PLACES) as u8
}

fn price(coefficient: u64, bits: u64, shift: u32) -> Option<Price> {
    let places = places(bits, shift);
    let coefficient = coefficient.cast_signed();
    (u64::from(places) != NO_PLACES).then(|| Price::from_parts(coefficient, places))
}

#[inline]
fn volume(coefficient: u64, bits: u64, shift: u32) -> Option<Volume> {
    let places = places(bits, shift);
    (u64::from(places) != NO_PLACES).then(|| Volume::from_parts(coefficient, places))
}

fn price_parts(price: Option<Price>, shift: u32) -> (u64, u64) {
    price.map_or((0, NO_PLACES << shift), |price| {
        (price.coefficient().cast_unsigned(), u64::from(price.places()) << shift)
    })
}

fn volume_parts(volume: Option<Volume>, shift: u32) -> (u64, u64) {
    volume.map_or((0, NO_PLACES << shift), |volume| {
        (volume.coefficient(), u64::from(volume.places()) << shift)
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::block::Block;

    /// Every value of a field, against every name.
    fn quotes() -> impl Iterator<Item = Quote> {
        let prices = ["", "0", "-1", "172.5", "1e-18", "-9223372036854775807"];
        let volumes = ["", "0", "1000", "0.000000000000000001", "18446744073709551615"];
        let feed = FeedName::from_number(FeedName::NUMBER_MAX).map(QuoteFeed::of);
        let names = [
            "A",
            "1234567",
            "123456789012345678901234567890",
            "1234567890123456789012345678901",
            "123456789012345678901234567890123456789012345678",
            "牛来USDT",
            "牛牛牛牛牛牛牛牛牛牛牛牛牛牛牛牛",
        ];
        names
            .into_iter()
            .flat_map(move |name| {
                prices.into_iter().flat_map(move |price| {
                    volumes.into_iter().flat_map(move |volume| {
                        [Status::Trading, Status::Halted].map(|status| {
                            let bare = Quote {
                                price: price.parse().ok(),
                                volume: volume.parse().ok(),
                                status,
                                version: 7,
                                updated_ns: u64::MAX,
                                ..Quote::new(name.parse().unwrap())
                            };
                            let whole = Quote {
                                bid: bare.price,
                                ask: price.parse().ok().filter(|_| status == Status::Trading),
                                bid_size: bare.volume,
                                feed: feed.filter(|_| status == Status::Trading),
                                ask_size: volume.parse().ok(),
                                time_ns: (status == Status::Halted).then_some(u64::MAX),
                                ..bare
                            };
                            [bare, whole]
                        })
                    })
                })
            })
            .flatten()
    }

    #[test]
    fn every_quote_comes_back_as_it_was_put() {
        for quote in quotes() {
            let block = Block::new(4).unwrap();
            let (first, next) = (block.place(0), block.place(1));
            let symbol = quote.symbol;
            claim(first, &quote);
            assert!(matches!(get_any(first), Held::This(Some(it)) if it == quote));
            match tradable(first.row, &symbol) {
                Held::This(it) if quote.feed.is_some() => {
                    assert_eq!(answer_of(&it), Some(Answer::NotTradable));
                    let unfed = Tradable { state: it.state & !FED, ..it };
                    assert_eq!(answer_of(&unfed), Some(quote.answer()));
                }
                Held::This(it) => assert_eq!(answer_of(&it), Some(quote.answer())),
                held => {
                    assert!(is_long(&symbol.words()) && matches!(held, Held::Other), "{held:?}");
                }
            }
            let Held::This(locked) = lock_any(first) else { panic!("{first:?}") };
            assert_eq!(locked.symbol(), symbol);
            assert_eq!(locked.quote(&symbol), Some(quote));
            locked.move_to(next);
            assert!(matches!(get_any(next), Held::This(Some(it)) if it == quote));
            let Held::This(locked) = lock_any(next) else { panic!("{next:?}") };
            let version = locked.version() + 1;
            locked.delist(version, 1);
            assert!(matches!(get_any(next), Held::This(None)));
            let Held::This(locked) = lock(next, &symbol) else { panic!("{next:?}") };
            let again = Quote { version: version + 1, ..quote };
            locked.put(&again);
            assert!(matches!(get_any(next), Held::This(Some(it)) if it == again));
        }
    }

    #[test]
    fn symbols_that_begin_alike_are_told_apart() {
        let names = [30, 31, 32, 33, 47, 48].map(|bytes| "A".repeat(bytes));
        let other_tail = ["A".repeat(30) + "B", "A".repeat(47) + "B", "A".repeat(29) + "B"];
        let names: Vec<Symbol> =
            names.iter().chain(&other_tail).map(|name| name.parse().unwrap()).collect();
        for held in &names {
            let block = Block::new(4).unwrap();
            claim(block.place(0), &Quote { version: 1, ..Quote::new(*held) });
            for asked in &names {
                let found = matches!(fields(block.place(0), asked), Held::This(_));
                assert_eq!(found, held == asked, "{asked} in the row of {held}");
                let answered = tradable(block.place(0).row, asked);
                let is_answered = matches!(answered, Held::This(_));
                assert_eq!(is_answered, found && !is_long(&asked.words()), "{asked}, {held}");
            }
        }
    }

    #[test]
    fn a_row_is_one_cache_line_and_so_is_its_side() {
        assert_eq!((size_of::<Row>(), align_of::<Row>()), (64, 64));
        let side = size_of::<stockd_rows::Side>();
        assert_eq!((side, align_of::<stockd_rows::Side>()), (64, 64));
    }
}
