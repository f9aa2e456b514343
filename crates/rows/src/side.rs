use core::sync::atomic::Ordering::Relaxed;

use crate::sync::AtomicU64;
use crate::{TEXT, Words};

/// The second row of a stock; see the [crate]. Read and written under the sequence of the first.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Side {
    bid: AtomicU64,
    ask: AtomicU64,
    bid_size: AtomicU64,
    ask_size: AtomicU64,
    time: AtomicU64,
    text: [AtomicU64; 2],
    marks: AtomicU64,
}

/// The fields of a quote that stand in its side row, as they are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// The coefficient of the bid.
    pub bid: u64,
    /// The coefficient of the ask.
    pub ask: u64,
    /// The coefficient of the size at the bid.
    pub bid_size: u64,
    /// The coefficient of the size at the ask.
    pub ask_size: u64,
    /// Unix time in nanoseconds.
    pub time: u64,
    /// The bits 0 to 31 of the marks.
    pub marks: u64,
}

impl Side {
    /// A side row of zeros.
    #[cfg(loom)]
    pub fn new() -> Side {
        let zero = || AtomicU64::new(0);
        let text = [zero(), zero()];
        Side {
            bid: zero(),
            ask: zero(),
            bid_size: zero(),
            ask_size: zero(),
            time: zero(),
            text,
            marks: zero(),
        }
    }

    /// Whether it holds the tail of this symbol. Asked where the row is past its claim and
    /// [`LONG`](crate::LONG) is set there.
    pub(crate) fn is_tail_of(&self, words: &Words) -> bool {
        let ends = self.marks.load(Relaxed) ^ words[3];
        let differ = |at: usize| self.text[at].load(Relaxed) ^ words[4 + at];
        ends & !TEXT | differ(0) | differ(1) == 0
    }

    /// The tail of the symbol, added to the words that the row holds.
    pub(crate) fn add_tail(&self, words: &mut Words) {
        words[3] |= self.marks.load(Relaxed) & !TEXT;
        words[4] = self.text[0].load(Relaxed);
        words[5] = self.text[1].load(Relaxed);
    }

    #[inline]
    pub(crate) fn load(&self) -> Extras {
        Extras {
            bid: self.bid.load(Relaxed),
            ask: self.ask.load(Relaxed),
            bid_size: self.bid_size.load(Relaxed),
            ask_size: self.ask_size.load(Relaxed),
            time: self.time.load(Relaxed),
            marks: self.marks.load(Relaxed) & TEXT,
        }
    }

    /// Writes the tail of the symbol. Called while the row is claimed.
    pub fn put_tail(&self, words: &Words) {
        self.text[0].store(words[4], Relaxed);
        self.text[1].store(words[5], Relaxed);
        self.marks.store(words[3] & !TEXT, Relaxed);
    }

    /// Writes the fields. Called while the row is locked.
    pub fn put(&self, extras: &Extras) {
        self.bid.store(extras.bid, Relaxed);
        self.ask.store(extras.ask, Relaxed);
        self.bid_size.store(extras.bid_size, Relaxed);
        self.ask_size.store(extras.ask_size, Relaxed);
        self.time.store(extras.time, Relaxed);
        let tail = self.marks.load(Relaxed) & !TEXT;
        self.marks.store(tail | extras.marks & TEXT, Relaxed);
    }
}

#[cfg(loom)]
impl Default for Side {
    fn default() -> Side {
        Side::new()
    }
}
