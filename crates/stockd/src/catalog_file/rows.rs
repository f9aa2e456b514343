//! The stocks of a file in its order, each once, packed: a million of them are held until the whole file is read, and
//! writing memory is most of what reading a file costs.
//!
//! Knows nothing of files and formats. A row lies in a block as
//!
//! ```text
//! u8 n | n bytes of symbol | u64 line | u16 what is known | of each decimal: u64 coefficient, u8 places | u64 time
//! ```
//!
//! Invariant: a row comes back as it was put in. No two rows have one symbol. No row spans blocks.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use stockd_model::limits::SYMBOL_BYTES_MAX;
use stockd_model::{Edit, Fields, Price, Status, Symbol, Volume};

use super::row::Row;

/// Packed rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    blocks: Vec<Vec<u8>>,
    hasher: RandomState,
    /// Where each row lies, by the hash of its symbol.
    places: HashTable<Place>,
}

/// A block, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u64);

const BLOCK_BYTES: usize = 1 << 20;

/// Bytes of the longest row: all fields, behind the longest symbol.
const ROW_BYTES_MAX: usize = 1 + SYMBOL_BYTES_MAX + 8 + 2 + DECIMALS * 9 + 8;

/// Prices and volumes of a row: price, volume, bid, ask, bid size, ask size. One bit each says whether it is known.
const DECIMALS: usize = 6;
const TIME: u16 = 1 << 6;
const HALTED: u16 = 1 << 7;
const NAME_ALONE: u16 = 1 << 8;

impl Rows {
    /// Makes room for finding this number of stocks again, where there is memory.
    pub(super) fn reserve(&mut self, stocks: usize) {
        let Rows { blocks, hasher, places } = self;
        let _ = places.try_reserve(stocks, |place| hash(hasher, symbol_at(blocks, *place)));
    }

    /// Adds the row of this line.
    ///
    /// # Errors
    ///
    /// The line of the row that has its symbol already.
    pub(super) fn push(&mut self, row: &Row, line: u64) -> Result<(), u64> {
        let Rows { blocks, hasher, places } = self;
        let symbol = row.symbol.as_bytes();
        let is_same = |place: &Place| symbol_at(blocks, *place) == symbol;
        let rehash = |place: &Place| hash(hasher, symbol_at(blocks, *place));
        let vacant = match places.entry(hash(hasher, symbol), is_same, rehash) {
            Entry::Occupied(first) => return Err(Packed::at(blocks, *first.get()).line),
            Entry::Vacant(vacant) => vacant,
        };
        if blocks.last().is_none_or(|block| block.len() + ROW_BYTES_MAX > BLOCK_BYTES) {
            blocks.push(Vec::with_capacity(BLOCK_BYTES));
        }
        let last = blocks.len() - 1;
        vacant.insert(Place::new(last, blocks[last].len()));
        pack(row, line, &mut blocks[last]);
        Ok(())
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The rows in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Row> {
        self.blocks.iter().flat_map(|block| {
            let mut rest = block.as_slice();
            std::iter::from_fn(move || {
                (!rest.is_empty()).then(|| {
                    let (packed, next) = Packed::split(rest);
                    rest = next;
                    packed.row()
                })
            })
        })
    }
}

impl Place {
    fn new(block: usize, at: usize) -> Place {
        Place((block * BLOCK_BYTES + at) as u64)
    }

    /// The rest of its block.
    fn bytes(self, blocks: &[Vec<u8>]) -> &[u8] {
        let place = self.0 as usize;
        &blocks[place / BLOCK_BYTES][place % BLOCK_BYTES..]
    }
}

fn hash(hasher: &RandomState, symbol: &[u8]) -> u64 {
    hasher.hash_one(symbol)
}

fn symbol_at(blocks: &[Vec<u8>], place: Place) -> &[u8] {
    split_symbol(place.bytes(blocks)).0
}

fn split_symbol(row: &[u8]) -> (&[u8], &[u8]) {
    let (&[bytes], rest) = row.split_first_chunk().expect(WHOLE);
    rest.split_at(usize::from(bytes))
}

fn pack(row: &Row, line: u64, block: &mut Vec<u8>) {
    let Fields { price, volume, bid, ask, bid_size, ask_size, status, time_ns, feed: _ } =
        row.fields;
    let of_price = |price: Edit<Price>| {
        set(price).map(|price| (price.coefficient().cast_unsigned(), price.places()))
    };
    let of_volume =
        |volume: Edit<Volume>| set(volume).map(|volume| (volume.coefficient(), volume.places()));
    let decimals: [_; DECIMALS] = [
        of_price(price),
        of_volume(volume),
        of_price(bid),
        of_price(ask),
        of_volume(bid_size),
        of_volume(ask_size),
    ];
    let bit = |at: usize| u16::from(decimals[at].is_some()) << at;
    let mut known = (0..DECIMALS).map(bit).sum::<u16>();
    for (is_so, bit) in [
        (set(time_ns).is_some(), TIME),
        (status == Some(Status::Halted), HALTED),
        (row.is_name_alone, NAME_ALONE),
    ] {
        known |= if is_so { bit } else { 0 };
    }
    let symbol = row.symbol.as_bytes();
    block.push(symbol.len() as u8);
    block.extend_from_slice(symbol);
    block.extend_from_slice(&line.to_le_bytes());
    block.extend_from_slice(&known.to_le_bytes());
    for (coefficient, places) in decimals.into_iter().flatten() {
        block.extend_from_slice(&coefficient.to_le_bytes());
        block.push(places);
    }
    if let Some(time_ns) = set(time_ns) {
        block.extend_from_slice(&time_ns.to_le_bytes());
    }
}

fn set<T>(edit: Edit<T>) -> Option<T> {
    match edit {
        Edit::Set(value) => Some(value),
        Edit::Keep | Edit::Clear => None,
    }
}

const WHOLE: &str = "a row lies whole in its block";

/// A row as it lies there.
struct Packed<'a> {
    symbol: &'a [u8],
    line: u64,
    known: u16,
    decimals: [Option<(u64, u8)>; DECIMALS],
    time_ns: Option<u64>,
}

impl<'a> Packed<'a> {
    fn at(blocks: &'a [Vec<u8>], place: Place) -> Packed<'a> {
        Packed::split(place.bytes(blocks)).0
    }

    /// The first row, and what is behind it.
    fn split(bytes: &'a [u8]) -> (Packed<'a>, &'a [u8]) {
        let (symbol, mut rest) = split_symbol(bytes);
        let line = u64::from_le_bytes(take(&mut rest));
        let known = u16::from_le_bytes(take(&mut rest));
        let decimals = std::array::from_fn(|at| {
            (known & 1 << at != 0).then(|| {
                let coefficient = u64::from_le_bytes(take(&mut rest));
                let [places] = take(&mut rest);
                (coefficient, places)
            })
        });
        let time_ns = (known & TIME != 0).then(|| u64::from_le_bytes(take(&mut rest)));
        (Packed { symbol, line, known, decimals, time_ns }, rest)
    }

    fn row(self) -> Row {
        let symbol = Symbol::parse(self.symbol).expect("it was a symbol when it was put in");
        if self.known & NAME_ALONE != 0 {
            return Row::of_name(symbol);
        }
        let price = |at: usize| {
            self.decimals[at]
                .map(|(digits, places)| Price::from_parts(digits.cast_signed(), places))
        };
        let volume = |at: usize| {
            self.decimals[at].map(|(digits, places)| Volume::from_parts(digits, places))
        };
        let fields = Fields {
            price: price(0).into(),
            volume: volume(1).into(),
            bid: price(2).into(),
            ask: price(3).into(),
            bid_size: volume(4).into(),
            ask_size: volume(5).into(),
            status: Some(if self.known & HALTED != 0 { Status::Halted } else { Status::Trading }),
            time_ns: self.time_ns.map_or(Edit::Keep, Edit::Set),
            feed: Edit::Keep,
        };
        Row { symbol, fields, is_name_alone: false }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (head, tail) = rest.split_first_chunk().expect(WHOLE);
    *rest = tail;
    *head
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stockd_model::Field;

    use super::super::row::NOTHING;
    use super::*;

    fn row(symbol: &str, values: &[Option<u64>], is_halted: bool) -> Row {
        let mut fields = NOTHING;
        for (field, value) in Field::WRITABLE.iter().filter(|it| **it != Field::Status).zip(values)
        {
            if let Some(value) = value {
                let text = match field {
                    Field::Time => value.to_string(),
                    _ => format!("{}.{:02}", value >> 8, value & 63),
                };
                fields.set(*field, text.as_bytes()).unwrap();
            }
        }
        fields.status = Some(if is_halted { Status::Halted } else { Status::Trading });
        Row::of(symbol.parse().unwrap(), fields).unwrap()
    }

    proptest! {
        /// A plain list with a map beside it is the oracle; enough rows to fill several blocks.
        #[test]
        fn rows_come_back_in_their_order_and_once(
            values in proptest::collection::vec(proptest::option::of(any::<u64>()), 7),
            is_halted in any::<bool>(), symbols in proptest::collection::vec("[A-D]{1,3}", 1..60),
        ) {
            let (mut rows, mut plain) = (Rows::default(), Vec::<(Row, u64)>::new());
            for (line, symbol) in (2..).zip(&symbols) {
                let row = match line % 5 {
                    0 => Row::name_alone(symbol.as_bytes()).unwrap(),
                    _ => row(symbol, &values[line as usize % 7..], is_halted),
                };
                let first = plain.iter().find(|(before, _)| before.symbol == row.symbol);
                prop_assert_eq!(rows.push(&row, line), first.map_or(Ok(()), |(_, line)| Err(*line)));
                if first.is_none() {
                    plain.push((row, line));
                }
            }
            prop_assert_eq!(rows.len(), plain.len());
            let plain: Vec<Row> = plain.into_iter().map(|(row, _)| row).collect();
            prop_assert_eq!(rows.iter().collect::<Vec<_>>(), plain);
        }
    }

    #[test]
    fn rows_of_the_greatest_length_fill_block_after_block() {
        let values = [Some(u64::MAX); 7];
        let name = |number: u64| format!("{number:0>48}");
        let rows_max = 3 * (BLOCK_BYTES / ROW_BYTES_MAX) as u64;
        let mut rows = Rows::default();
        for number in 0..rows_max {
            assert_eq!(rows.push(&row(&name(number), &values, true), number), Ok(()));
        }
        assert!(rows.blocks.len() >= 3);
        assert!(rows.blocks.iter().all(|block| block.capacity() == BLOCK_BYTES));
        for number in (0..rows_max).step_by(777) {
            assert_eq!(rows.push(&row(&name(number), &values, false), 7), Err(number));
        }
        let numbers = (0..rows_max).map(|number| row(&name(number), &values, true));
        assert!(rows.iter().eq(numbers));
    }
}
