//! Quotes of the past that snapshots still need.
//!
//! While a [snapshot](crate::Snapshot) is being read, a write to a stock that it has not come to
//! yet first saves the quote that it replaces, or that there was none. Which rows a snapshot has read
//! is all that is known of it here. That there was none is forgotten when the stock is delisted: then
//! its row shows the same. But not while a page is read, since its reader may have seen the row.
//!
//! What is saved is bounded for all snapshots together. The one that holds the most is ended when
//! more would be saved; and one that is not read gives way to a further one.
//!
//! Invariant: for a stock that shows another quote than when a snapshot began, and that the
//! snapshot has not come to, its quote of then is saved, once. What is saved takes [`SNAPSHOT_BYTES_MAX`], or what the
//! rows of the catalog took when the latest snapshot began where that is more, and what one write adds, at most.
//!
//! A write pays one load while no snapshot is being read.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Instant;

use foldhash::fast::RandomState;
use stockd_model::limits::{SNAPSHOT_BYTES_MAX, SNAPSHOT_PAGE_TIMEOUT, SNAPSHOTS_MAX};
use stockd_model::{Quote, Symbol};

/// Parts of what is saved for one snapshot, by place. There are enough that none gets so large that a write
/// waits long while it grows, and what the snapshot has read is freed part by part.
const PARTS: usize = 1 << PARTS_BITS;
const PARTS_BITS: u32 = 10;

/// Why a snapshot was ended before it was read to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotEnded {
    /// It held most of what was saved for all snapshots.
    #[error(
        "the snapshot was ended: writes have saved {} MiB for snapshots, the limit, most of it for \
         this one; begin again and read faster",
        bytes_max >> 20
    )]
    OutOfMemory {
        /// The limit, for all snapshots together.
        bytes_max: usize,
    },
    /// It was not read, and another one was to begin.
    #[error(
        "the snapshot was ended: no page was read for {} s and another snapshot was begun; begin \
         again",
        SNAPSHOT_PAGE_TIMEOUT.as_secs()
    )]
    Unread,
}

/// What was saved, for all snapshots being read.
#[derive(Debug)]
pub(crate) struct SavedQuotes {
    all: RwLock<Vec<Arc<Mutex<Saved>>>>,
    /// The number of snapshots. While it is 0, writes look no further.
    len: AtomicUsize,
    /// Bytes of what is saved for all of them.
    bytes: AtomicUsize,
    /// The limit, if the catalog is small.
    bytes_min: usize,
    /// Bytes of the catalog's rows when the latest snapshot began: with more stocks more of them change while a snapshot
    /// is read.
    rows_bytes: AtomicUsize,
}

/// What was saved for one snapshot.
#[derive(Debug)]
pub(crate) struct Saved {
    /// Where the snapshot reads on: it has read the stocks at all places before this one. `None`
    /// when it has read all, or was ended.
    from: Option<u64>,
    /// Whether a page is being read from there on.
    is_reading: bool,
    /// When a page was last asked for.
    read_at: Instant,
    ended: Option<SnapshotEnded>,
    /// None when all has been read, or it was ended.
    parts: Box<[Part]>,
    /// Bytes of the parts.
    bytes: usize,
}

/// The quotes of the past, `None` for stocks that were not listed.
type Past = HashMap<Symbol, Option<Quote>, RandomState>;

/// What was saved of the places with the same first bits.
#[derive(Debug, Default)]
struct Part {
    past: Past,
    /// Bytes that it has taken, since what is removed is not given back one by one.
    bytes: usize,
}

impl Default for SavedQuotes {
    fn default() -> SavedQuotes {
        SavedQuotes::with_bytes_min(SNAPSHOT_BYTES_MAX)
    }
}

impl SavedQuotes {
    fn with_bytes_min(bytes_min: usize) -> SavedQuotes {
        SavedQuotes {
            all: RwLock::default(),
            len: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            bytes_min,
            rows_bytes: AtomicUsize::new(0),
        }
    }

    fn bytes_max(&self) -> usize {
        self.bytes_min.max(self.rows_bytes.load(Relaxed))
    }

    /// Begins to save for one more snapshot of a catalog whose rows have this many bytes. When [`SNAPSHOTS_MAX`] are being
    /// read, one that was not read for [`SNAPSHOT_PAGE_TIMEOUT`] is ended for it; `None` when there is no such one.
    pub(crate) fn begin(&self, rows_bytes: usize, now: Instant) -> Option<Arc<Mutex<Saved>>> {
        let mut freed = None;
        let mut all = self.write();
        if all.len() >= SNAPSHOTS_MAX {
            let (at, read_at) = (0..)
                .zip(&*all)
                .map(|(at, one)| (at, lock(one).read_at))
                .min_by_key(|one| one.1)?;
            if now.saturating_duration_since(read_at) < SNAPSHOT_PAGE_TIMEOUT {
                return None;
            }
            freed = Some(self.end_one(&mut all, at, SnapshotEnded::Unread));
        }
        self.rows_bytes.store(rows_bytes, Relaxed);
        let saved = Saved::new(now);
        self.bytes.fetch_add(saved.bytes, Relaxed);
        let saved = Arc::new(Mutex::new(saved));
        all.push(Arc::clone(&saved));
        self.len.store(all.len(), SeqCst);
        drop(all);
        drop(freed);
        Some(saved)
    }

    /// Saves for this snapshot no more.
    pub(crate) fn end(&self, ended: &Arc<Mutex<Saved>>) {
        let mut all = self.write();
        all.retain(|saved| !Arc::ptr_eq(saved, ended));
        self.len.store(all.len(), SeqCst);
        drop(all);
        self.bytes.fetch_sub(std::mem::take(&mut lock(ended).bytes), Relaxed);
    }

    /// Bytes of what is saved for all snapshots.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Saves the quote of a stock that is about to change, or to be delisted. Called with the row
    /// locked, so that the old quote is saved before any reader can see the new one.
    #[inline]
    pub(crate) fn save(
        &self,
        symbol: &Symbol,
        place: impl Fn() -> u64,
        quote: Option<&Quote>,
        is_delisted: bool,
    ) {
        if self.len.load(Relaxed) > 0 {
            self.save_for_all(symbol, place(), quote, is_delisted);
        }
    }

    #[cold]
    fn save_for_all(&self, symbol: &Symbol, place: u64, quote: Option<&Quote>, is_delisted: bool) {
        for saved in self.all.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let mut saved = lock(saved);
            let before = saved.bytes;
            saved.save(symbol, place, quote, is_delisted);
            // Wraps where there are fewer.
            self.bytes.fetch_add(saved.bytes.wrapping_sub(before), Relaxed);
        }
        if self.bytes() > self.bytes_max() {
            self.end_largest();
        }
    }

    /// Ends the snapshot that holds the most, if they hold more than they may.
    fn end_largest(&self) {
        let mut freed = Vec::new();
        let mut all = self.write();
        let bytes_max = self.bytes_max();
        while self.bytes() > bytes_max
            && let Some(at) = (0..all.len()).max_by_key(|&at| lock(&all[at]).bytes)
        {
            freed.push(self.end_one(&mut all, at, SnapshotEnded::OutOfMemory { bytes_max }));
        }
        drop(all);
        // Takes a while, so not under the lock.
        drop(freed);
    }

    /// Ends one of all, and returns what is then to be freed.
    fn end_one(
        &self,
        all: &mut Vec<Arc<Mutex<Saved>>>,
        at: usize,
        why: SnapshotEnded,
    ) -> Box<[Part]> {
        let ended = all.swap_remove(at);
        self.len.store(all.len(), SeqCst);
        let mut ended = lock(&ended);
        ended.ended = Some(why);
        ended.from = None;
        self.bytes.fetch_sub(std::mem::take(&mut ended.bytes), Relaxed);
        std::mem::take(&mut ended.parts)
    }

    /// Begins to read a page: where, or `None` after the last one.
    pub(crate) fn begin_page(
        saved: &Mutex<Saved>,
        now: Instant,
    ) -> Result<Option<u64>, SnapshotEnded> {
        let mut saved = lock(saved);
        saved.read_at = now;
        saved.is_reading = true;
        saved.ended.map_or(Ok(saved.from), Err)
    }

    /// Ends a page: takes what was saved at the places before `next`, where the snapshot reads on.
    pub(crate) fn end_page(
        &self,
        saved: &Mutex<Saved>,
        next: Option<u64>,
        place: impl Fn(&Symbol) -> u64,
    ) -> Result<Vec<(Symbol, Option<Quote>)>, SnapshotEnded> {
        let mut saved = lock(saved);
        saved.is_reading = false;
        if let Some(why) = saved.ended {
            return Err(why);
        }
        let before = saved.bytes;
        let past = saved.take_before(next, place);
        self.bytes.fetch_sub(before - saved.bytes, Relaxed);
        Ok(past)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Arc<Mutex<Saved>>>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Saved {
    fn new(now: Instant) -> Saved {
        let parts: Box<[Part]> = (0..PARTS).map(|_| Part::default()).collect();
        let bytes = size_of_val(&*parts);
        Saved { from: Some(0), is_reading: false, read_at: now, ended: None, parts, bytes }
    }

    fn save(&mut self, symbol: &Symbol, place: u64, quote: Option<&Quote>, is_delisted: bool) {
        if self.from.is_none_or(|from| place < from) {
            return;
        }
        let Some(part) = self.parts.get_mut(part_of(place)) else { return };
        match part.past.entry(*symbol) {
            // It is not listed, as it was: the row says so.
            Entry::Occupied(there) if is_delisted && there.get().is_none() => {
                if !self.is_reading {
                    there.remove();
                }
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(_) if is_delisted && quote.is_none() => {}
            Entry::Vacant(vacant) => _ = vacant.insert(quote.copied()),
        }
        self.bytes -= part.bytes;
        if part.past.is_empty() {
            *part = Part::default();
        }
        part.bytes = part.bytes.max(bytes_of(&part.past));
        self.bytes += part.bytes;
    }

    fn take_before(
        &mut self,
        next: Option<u64>,
        place: impl Fn(&Symbol) -> u64,
    ) -> Vec<(Symbol, Option<Quote>)> {
        let first = self.from.map_or(PARTS, part_of);
        let last = next.map_or(PARTS, part_of);
        let mut taken = Vec::new();
        for part in self.parts.get_mut(first..last).unwrap_or_default() {
            let part = std::mem::take(part);
            self.bytes -= part.bytes;
            taken.extend(part.past);
        }
        // The part that the snapshot has read to the middle of.
        if let (Some(next), Some(part)) = (next, self.parts.get_mut(last)) {
            taken.extend(part.past.extract_if(|symbol, _| place(symbol) < next));
        }
        self.from = next;
        if next.is_none() {
            self.bytes = 0;
            self.parts = Box::default();
        }
        taken
    }
}

/// The part that a place is in.
fn part_of(place: u64) -> usize {
    (place >> (u64::BITS - PARTS_BITS)) as usize
}

/// Bytes that the table of this many entries takes: at most seven of eight buckets are used, each
/// with a byte of its own.
fn bytes_of(past: &Past) -> usize {
    past.capacity() * 8 / 7 * (size_of::<(Symbol, Option<Quote>)>() + 1)
}

fn lock(saved: &Mutex<Saved>) -> MutexGuard<'_, Saved> {
    // An insertion is complete or has not begun, so a poisoned lock holds good quotes.
    saved.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockd_model::{Price, Volume};

    const BYTES_MAX: usize = 1024 * 1024;

    fn symbol(number: u64) -> Symbol {
        format!("S{number}").parse().unwrap()
    }

    /// A place for each number, all over the catalog.
    fn place(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn save(saved: &SavedQuotes, number: u64) {
        let quote = Quote {
            price: Some(Price::MIN),
            volume: Some(Volume::EXHAUSTED),
            version: 1,
            updated_ns: 0,
            ..Quote::new(symbol(number))
        };
        saved.save(&symbol(number), || place(number), Some(&quote), false);
    }

    fn page(
        saved: &SavedQuotes,
        snapshot: &Mutex<Saved>,
        next: Option<u64>,
    ) -> Result<usize, SnapshotEnded> {
        SavedQuotes::begin_page(snapshot, Instant::now())?;
        let number = |symbol: &Symbol| symbol.as_str()[1..].parse::<u64>().unwrap();
        Ok(saved.end_page(snapshot, next, |symbol| place(number(symbol)))?.len())
    }

    #[test]
    fn more_is_saved_for_snapshots_of_a_larger_catalog() {
        let [small, large] = [0, 4 * BYTES_MAX].map(|rows_bytes| {
            let saved = SavedQuotes::with_bytes_min(BYTES_MAX);
            let snapshot = saved.begin(rows_bytes, Instant::now()).unwrap();
            let mut numbers = 0..;
            while lock(&snapshot).ended.is_none() {
                save(&saved, numbers.next().unwrap());
                assert!(saved.bytes() <= BYTES_MAX.max(rows_bytes), "{} bytes", saved.bytes());
            }
            numbers.start
        });
        assert!(large > 2 * small, "{large} in place of {small}");
    }

    #[test]
    fn the_snapshot_that_holds_the_most_is_ended_when_memory_runs_out() {
        let saved = SavedQuotes::with_bytes_min(BYTES_MAX);
        let now = Instant::now();
        let (slow, fast) = (saved.begin(0, now).unwrap(), saved.begin(0, now).unwrap());
        // One is read nearly to the end, so that little is saved for it.
        assert_eq!(page(&saved, &fast, Some(u64::MAX / 8 * 7)), Ok(0));
        let mut numbers = 0..;
        while lock(&slow).ended.is_none() {
            save(&saved, numbers.next().unwrap());
            assert!(saved.bytes() <= BYTES_MAX, "{} bytes", saved.bytes());
        }
        let written = numbers.next().unwrap() as usize;
        assert!(written > BYTES_MAX / 500, "only {written} were saved");
        assert_eq!(
            page(&saved, &slow, Some(1)),
            Err(SnapshotEnded::OutOfMemory { bytes_max: BYTES_MAX })
        );
        let left = saved.bytes();
        assert!(left < BYTES_MAX / 4, "{left} bytes are left");
        saved.end(&slow);
        assert_eq!(saved.bytes(), left, "given back once");
        let of_fast = page(&saved, &fast, None).unwrap();
        assert!((written / 16..written / 4).contains(&of_fast), "{of_fast} of {written}");
        assert_eq!(saved.bytes(), 0);
        saved.end(&fast);
        assert_eq!((saved.bytes(), saved.len.load(Relaxed)), (0, 0));
    }

    #[test]
    fn a_page_takes_what_was_saved_before_its_end_and_later_ones_the_rest() {
        let saved = SavedQuotes::default();
        let snapshot = saved.begin(0, Instant::now()).unwrap();
        (0..5000).for_each(|number| save(&saved, number));
        (0..5000).for_each(|number| save(&saved, number));
        let before = |end: u64| (0..5000).filter(|&number| place(number) < end).count();
        let mut taken = 0;
        // Ends within parts, several in one, and one over many.
        for end in [1, 1 << 50, 3 << 52, u64::MAX / 3, u64::MAX / 3 + 1, u64::MAX] {
            taken += page(&saved, &snapshot, Some(end)).unwrap();
            assert_eq!(taken, before(end));
            (0..100).for_each(|number| save(&saved, number));
        }
        taken += page(&saved, &snapshot, None).unwrap();
        assert_eq!((taken, saved.bytes()), (5000, 0));
        save(&saved, 0);
        assert_eq!(saved.bytes(), 0, "all is read");
        saved.end(&snapshot);
    }

    #[test]
    fn that_a_stock_was_not_listed_is_kept_while_a_page_may_show_it() {
        let saved = SavedQuotes::default();
        let snapshot = saved.begin(0, Instant::now()).unwrap();
        let list = || saved.save(&symbol(7), || place(7), None, false);
        let delist = || saved.save(&symbol(7), || place(7), None, true);
        let first = saved.bytes();
        list();
        assert!(saved.bytes() > first);
        delist();
        assert_eq!(saved.bytes(), first);
        delist();
        assert_eq!(saved.bytes(), first, "was not listed and is not");

        list();
        SavedQuotes::begin_page(&snapshot, Instant::now()).unwrap();
        delist();
        let past = saved.end_page(&snapshot, None, |_| place(7)).unwrap();
        assert_eq!(past, [(symbol(7), None)], "its row may have been read");
        saved.end(&snapshot);
    }
}
