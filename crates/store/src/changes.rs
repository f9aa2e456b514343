//! What a stretch of the log has done to each stock: the last of all its changes.
//!
//! A checkpoint writes it to the database, and a start reads it over what the database holds. It holds the
//! bytes of the segments that it was given, and of each change where it lies in them. It knows no files.
//!
//! Invariant: of the segments that have ended each stock is there once, in the order of symbols.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use crate::batch::{self, Batch, Change};

/// The latest change of each stock.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    segments: Vec<Vec<u8>>,
    places: Vec<Place>,
    version_floor: u64,
}

/// Where a change lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The first 16 bytes of its symbol, so that most comparisons need no look into the segment.
    symbol: [u64; 2],
    segment: u16,
    /// Whether it leaves the stock listed.
    is_put: bool,
    offset: u32,
}

impl Changes {
    /// Adds a batch of the next segment, which begins at this place in it. `None` where its records are
    /// not as they are written.
    pub(crate) fn add(&mut self, at: usize, batch: &Batch<'_>) -> Option<()> {
        self.version_floor = self.version_floor.max(batch.version_floor);
        for change in batch.changes() {
            let (within, change) = change?;
            self.places.push(Place {
                symbol: prefix(change.symbol),
                segment: u16::try_from(self.segments.len()).ok()?,
                is_put: change.value.is_some(),
                offset: u32::try_from(at + within).ok()?,
            });
        }
        Some(())
    }

    /// Takes the segment whose batches were added. Older changes of the same stocks are let go.
    pub(crate) fn end_segment(&mut self, bytes: Vec<u8>) {
        self.segments.push(bytes);
        let segments = &self.segments;
        // Stable, so the latest of equal ones is the last of them; and quick where most is in order.
        self.places.sort_by(|a, b| compare(segments, a, b));
        self.places.dedup_by(|later, first| {
            let is_same = compare(segments, later, first).is_eq();
            if is_same {
                *first = *later;
            }
            is_same
        });
    }

    /// The highest version that any stock had when it was delisted, as of the last batch.
    pub(crate) fn version_floor(&self) -> u64 {
        self.version_floor
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many stocks they leave listed.
    pub(crate) fn puts(&self) -> usize {
        self.places.iter().filter(|place| place.is_put).count()
    }

    /// The changes in the order of symbols.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Change<'_>> {
        self.places.iter().map(|place| change(&self.segments, place))
    }

    /// Lays the changes over records that come in the order of symbols: the records as they are after them.
    /// Gives the last of them when there are no more of the others.
    pub(crate) fn over(&self) -> Over<'_> {
        Over { changes: self, next: 0 }
    }
}

/// Changes on their way over records.
#[derive(Debug)]
pub(crate) struct Over<'a> {
    changes: &'a Changes,
    next: usize,
}

impl<'a> Over<'a> {
    /// Gives what comes before a record of the database, and the record, or what has taken its place.
    pub(crate) fn record<E>(
        &mut self,
        key: &[u8],
        value: &[u8],
        each: &mut impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        while let Some(change) = self.peek() {
            let order = change.symbol.cmp(key);
            if order.is_gt() {
                break;
            }
            self.next += 1;
            if let Some(value) = change.value
                && each(change.symbol, value)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            if order.is_eq() {
                return Ok(ControlFlow::Continue(()));
            }
        }
        each(key, value)
    }

    /// Gives what comes behind all records of the database.
    pub(crate) fn rest<E>(
        mut self,
        each: &mut impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        while let Some(change) = self.peek() {
            self.next += 1;
            if let Some(value) = change.value
                && each(change.symbol, value)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn peek(&self) -> Option<Change<'a>> {
        let changes = self.changes;
        Some(change(&changes.segments, changes.places.get(self.next)?))
    }
}

fn change<'a>(segments: &'a [Vec<u8>], place: &Place) -> Change<'a> {
    let bytes = &segments[usize::from(place.segment)];
    batch::change_at(bytes, place.offset as usize).expect("it was read when it was added")
}

fn compare(segments: &[Vec<u8>], a: &Place, b: &Place) -> Ordering {
    a.symbol.cmp(&b.symbol).then_with(|| match a.symbol[1] & 0xff {
        // Zero is in no symbol: both are as short as what was compared.
        0 => Ordering::Equal,
        _ => change(segments, a).symbol.cmp(change(segments, b).symbol),
    })
}

fn prefix(symbol: &[u8]) -> [u64; 2] {
    let mut first = [0; 16];
    let len = symbol.len().min(first.len());
    first[..len].copy_from_slice(&symbol[..len]);
    let (&[high, low], _) = first.as_chunks::<8>() else { unreachable!("16 bytes are 2 chunks") };
    [u64::from_be_bytes(high), u64::from_be_bytes(low)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stockd_model::{Price, Quote, Symbol};

    use super::*;
    use crate::batch::Frame;
    use crate::record::Record;
    use crate::simulation::Random;
    use crate::write::Write;

    const KEY: u64 = 3;

    /// Segments of random batches, and what a map makes of them.
    fn random_changes(random: &mut Random) -> (Changes, BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
        let (mut changes, mut model) = (Changes::default(), BTreeMap::new());
        for segment in 0..3 {
            let (mut bytes, mut places) = (vec![0; 8], Vec::new());
            for _ in 0..random.below(20) {
                let writes: Vec<Write> = (0..random.below(9)).map(|_| write(random)).collect();
                for write in &writes {
                    let value = match write {
                        Write::Put(quote) => Some(Record::encode(quote).as_bytes().to_vec()),
                        Write::Remove(_) => None,
                    };
                    model.insert(write.symbol().as_bytes().to_vec(), value);
                }
                let mut batch = Vec::new();
                let frame = Frame { key: KEY, sequence: 1, version_floor: segment };
                batch::encode(&mut batch, &writes, frame);
                places.push(bytes.len());
                bytes.extend_from_slice(&batch);
            }
            for at in places {
                let batch = batch::decode(&bytes[at..], KEY).unwrap();
                changes.add(at, &batch).unwrap();
            }
            changes.end_segment(bytes);
        }
        (changes, model)
    }

    fn symbol(random: &mut Random) -> Symbol {
        let name = ["A", "AB", "ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOPQ", "ABCDEFGHIJKLMNOPR", "牛"];
        let number = random.below(3);
        let name = name[random.below(6) as usize];
        if number == 0 { name.to_owned() } else { format!("{name}{number}") }.parse().unwrap()
    }

    fn write(random: &mut Random) -> Write {
        let symbol = symbol(random);
        match random.below(3) {
            0 => Write::Remove(symbol),
            _ => Write::Put(Quote {
                price: Price::new(random.below(1000) as i64, 2),
                version: 1,
                ..Quote::new(symbol)
            }),
        }
    }

    #[test]
    fn the_last_change_of_each_stock_counts() {
        for seed in 0..300 {
            let mut random = Random(seed);
            let (changes, model) = random_changes(&mut random);
            let found: Vec<_> = changes
                .iter()
                .map(|change| (change.symbol.to_vec(), change.value.map(<[u8]>::to_vec)))
                .collect();
            assert_eq!(found, model.clone().into_iter().collect::<Vec<_>>(), "seed {seed}");
            assert_eq!(changes.is_empty(), model.is_empty());

            // Over what the database holds.
            let held: BTreeMap<Vec<u8>, Vec<u8>> = (0..random.below(12))
                .map(|_| (symbol(&mut random).as_bytes().to_vec(), vec![1]))
                .collect();
            let mut expected = held.clone();
            for (symbol, value) in model {
                match value {
                    Some(value) => drop(expected.insert(symbol, value)),
                    None => drop(expected.remove(&symbol)),
                }
            }
            let mut found = Vec::new();
            let mut each = |key: &[u8], value: &[u8]| {
                found.push((key.to_vec(), value.to_vec()));
                Ok::<_, ()>(ControlFlow::Continue(()))
            };
            let mut over = changes.over();
            for (key, value) in &held {
                assert!(over.record(key, value, &mut each).unwrap().is_continue());
            }
            over.rest(&mut each).unwrap();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "seed {seed}");
        }
    }
}
