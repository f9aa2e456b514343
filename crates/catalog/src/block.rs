//! The memory of one table: a power of two of rows, and as many side rows, zeroed, without pointers.
//!
//! The thread that first touches a page waits until the system has zeroed it, and a page may be large.
//! [`Block::fault_in`] does that beforehand.
//!
//! A block knows where a stock's probe begins and how it goes on. It does not know who may claim
//! rows, nor when it is replaced. This is the crate's one file with `unsafe`: rows are laid over
//! memory that the system hands out zeroed and page by page, so a large block costs nothing until
//! it is used, and side rows cost nothing where no stock has anything in them.
//!
//! Invariant: at least one row is empty, so every probe ends.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

#[cfg(not(loom))]
use memmap2::{Advice, MmapMut, MmapOptions};
use stockd_model::Symbol;
use stockd_rows::{Bare, Fields, Place, Row, Side, Tradable};

use crate::row::{self, Held, Locked};
use crate::sync::Successor;

/// Rows of the smallest block.
const ROWS_MIN: usize = 4;

/// Blocks of at least this many bytes ask for huge pages: a lookup in a large table then misses
/// one cache line and not also the page table.
#[cfg(not(loom))]
const HUGE_PAGES_FROM_BYTES: usize = 2 * 1024 * 1024;

/// Rows of the smallest page of memory.
const ROWS_PER_PAGE: usize = 4096 / 64;

pub(crate) struct Block {
    #[cfg(not(loom))]
    memory: MmapMut,
    #[cfg(loom)]
    memory: Box<[Row]>,
    /// The side rows. Hardly any symbol is that long, and few catalogs have bids and asks.
    #[cfg(not(loom))]
    side_memory: MmapMut,
    #[cfg(loom)]
    side_memory: Box<[Side]>,
    /// How far a hash is shifted right to give the row where its probe begins. The highest bits
    /// count, so that rows lie in the order of hashes in a block of any size.
    shift: u32,
    /// Rows whose memory somebody has the system hand out: all before this one.
    faulted: AtomicUsize,
    /// The block that takes over from this one.
    next: Successor<Block>,
}

/// Where a stock was found.
pub(crate) enum Found<T> {
    /// Here.
    Here(T),
    /// Not in this block; perhaps in the next.
    Elsewhere,
}

impl Block {
    /// A block of at least this many rows.
    ///
    /// # Errors
    ///
    /// When the system has no memory for it.
    pub(crate) fn new(rows: usize) -> std::io::Result<Block> {
        let rows = rows.max(ROWS_MIN).next_power_of_two();
        Ok(Block {
            memory: Block::allocate(rows)?,
            side_memory: Block::allocate_sides(rows)?,
            shift: u64::BITS - rows.trailing_zeros(),
            faulted: AtomicUsize::new(0),
            next: Successor::none(),
        })
    }

    /// The block that takes over from this one, once it is set.
    #[inline]
    pub(crate) fn next(&self) -> Option<&Block> {
        self.next.get().map(Arc::as_ref)
    }

    /// Names the block that takes over from this one. Once in its life.
    pub(crate) fn set_next(&self, next: Arc<Block>) {
        self.next.set(next);
    }

    /// The row where the probe of this hash begins.
    #[inline]
    pub(crate) fn home(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }

    /// The lowest hash whose probe begins at this row; `None` for a row past the last.
    pub(crate) fn hash_at(&self, row: usize) -> Option<u64> {
        (row < self.rows().len()).then_some((row as u64) << self.shift)
    }

    /// The places from this row on, around the end, each once.
    #[inline]
    pub(crate) fn places_from(&self, start: usize) -> impl Iterator<Item = Place<'_>> {
        let (rows, sides) = (self.rows(), self.sides());
        let mask = rows.len() - 1;
        let place = move |index| Place { row: &rows[index & mask], side: &sides[index & mask] };
        (start..start + rows.len()).map(place)
    }

    /// Both rows of an index.
    #[inline(always)]
    pub(crate) fn place(&self, index: usize) -> Place<'_> {
        Place { row: &self.rows()[index], side: &self.sides()[index] }
    }

    /// Prefetches the row where the probe of this hash begins and the one behind it. Few probes go
    /// further.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u64) {
        let home = self.rows().as_ptr().wrapping_add(self.home(hash));
        prefetch(home);
        // Past the last row this fetches something else or nothing: the probe then waits for the
        // first row.
        prefetch(home.wrapping_add(1));
    }

    /// What is kept of a stock, also of one that is delisted.
    pub(crate) fn fields(&self, symbol: &Symbol, hash: u64) -> Found<Fields> {
        self.probe(hash, |index| row::fields(self.place(index), symbol))
    }

    /// All that stands in the row of a stock whose symbol has at most 30 bytes, also of one that is delisted. A longer
    /// one is never found.
    #[inline(always)]
    pub(crate) fn bare(&self, symbol: &Symbol, hash: u64) -> Found<Bare> {
        self.probe(hash, |index| row::bare(&self.rows()[index], symbol))
    }

    /// The version of a stock; `None` within when it is delisted.
    pub(crate) fn listed_version(&self, symbol: &Symbol, hash: u64) -> Found<Option<(u64, bool)>> {
        self.probe(hash, |index| row::listed_version(self.place(index), symbol))
    }

    /// What a lookup of a stock is answered from whose symbol has at most 30 bytes. A longer one is
    /// never found.
    #[inline(always)]
    pub(crate) fn tradable(&self, symbol: &Symbol, hash: u64) -> Found<Tradable> {
        self.probe(hash, |index| row::tradable(&self.rows()[index], symbol))
    }

    /// Locks the rows of a stock, also of one that is delisted.
    pub(crate) fn lock(&self, symbol: &Symbol, hash: u64) -> Found<Locked<'_>> {
        self.probe(hash, |index| row::lock(self.place(index), symbol))
    }

    /// The first empty place for this hash. One thread at a time claims rows of a block.
    pub(crate) fn vacancy(&self, hash: u64) -> Place<'_> {
        let mut places = self.places_from(self.home(hash));
        places.find(|place| row::is_empty(place.row)).expect("a block is never full")
    }

    /// Makes the system hand out the memory of about this many further rows. They stay as they are,
    /// and may be in use. Several threads may do so, each for rows of its own. Whether more are left.
    /// Side rows are left alone: they may never be needed.
    pub(crate) fn fault_in(&self, rows: usize) -> bool {
        let all = self.rows();
        let from = self.faulted.fetch_add(rows.min(all.len()), Relaxed);
        let end = all.len().min(from.saturating_add(rows));
        let rows = all.get(from..end).unwrap_or_default();
        rows.iter().step_by(ROWS_PER_PAGE).for_each(row::touch);
        end < all.len()
    }

    #[inline(always)]
    fn probe<T>(&self, hash: u64, look: impl Fn(usize) -> Held<T>) -> Found<T> {
        let mask = self.rows().len() - 1;
        let mut index = self.home(hash);
        loop {
            match look(index) {
                Held::This(found) => return Found::Here(found),
                Held::Other => index = (index + 1) & mask,
                Held::Empty | Held::Moved => return Found::Elsewhere,
            }
        }
    }

    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    #[inline]
    pub(crate) fn rows(&self) -> &[Row] {
        let rows = self.memory.len() / size_of::<Row>();
        // SAFETY: the mapping is page-aligned, lives as long as `self`, and holds exactly this many
        // rows. A row is atomics alone, so any bytes are a valid one; zeros are an empty one. The
        // memory is reached only through these shared references to atomics.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast::<Row>(), rows) }
    }

    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    #[inline]
    fn sides(&self) -> &[Side] {
        let sides = self.side_memory.len() / size_of::<Side>();
        // SAFETY: as of the rows above.
        unsafe { std::slice::from_raw_parts(self.side_memory.as_ptr().cast::<Side>(), sides) }
    }

    #[cfg(not(loom))]
    fn allocate(rows: usize) -> std::io::Result<MmapMut> {
        let bytes = rows * size_of::<Row>();
        let memory = MmapMut::map_anon(bytes)?;
        if bytes >= HUGE_PAGES_FROM_BYTES {
            // Advice: a system without huge pages serves as well, a little slower.
            let _ = memory.advise(Advice::HugePage);
        }
        Ok(memory)
    }

    /// Memory that is there only where it is touched: no swap is reserved for it, and a huge page would
    /// be there as a whole.
    #[cfg(not(loom))]
    fn allocate_sides(sides: usize) -> std::io::Result<MmapMut> {
        let bytes = sides * size_of::<Side>();
        let memory = MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?;
        if bytes >= HUGE_PAGES_FROM_BYTES {
            // Advice: where the system does not take it, side rows cost more memory.
            let _ = memory.advise(Advice::NoHugePage);
        }
        Ok(memory)
    }

    #[cfg(loom)]
    fn sides(&self) -> &[Side] {
        &self.side_memory
    }

    #[cfg(loom)]
    fn allocate_sides(sides: usize) -> std::io::Result<Box<[Side]>> {
        Ok((0..sides).map(|_| Side::new()).collect())
    }

    #[cfg(loom)]
    pub(crate) fn rows(&self) -> &[Row] {
        &self.memory
    }

    #[cfg(loom)]
    fn allocate(rows: usize) -> std::io::Result<Box<[Row]>> {
        Ok((0..rows).map(|_| Row::new()).collect())
    }
}

/// Prefetches a row, on processors where that is known how.
#[allow(unsafe_code)]
#[inline(always)]
fn prefetch(row: *const Row) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 has SSE; a prefetch reads nothing that the program could observe,
        // and does nothing where there is no memory.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(row.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    let _ = row;
}
