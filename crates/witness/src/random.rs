//! Random choices that a seed repeats.
//!
//! Invariant: the same calls after the same seed choose the same.

/// A sequence of numbers that its seed decides (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number, any of 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this bound, 0 where the bound is 0.
    pub fn number_below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// The same, to count with.
    pub fn below(&mut self, bound: usize) -> usize {
        self.number_below(bound as u64) as usize
    }

    /// A number from the lower to the upper one, both possible.
    pub fn between(&mut self, lower: usize, upper: usize) -> usize {
        lower + self.below(upper.saturating_sub(lower) + 1)
    }

    /// Whether something happens that does so this often in a hundred times.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.number_below(100) < percent
    }

    /// One of these, of which there is at least one.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Any bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.number() as u8).collect()
    }

    /// Puts them in any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A sequence of its own, for another thread.
    pub fn fork(&mut self) -> Random {
        Random(self.number())
    }
}
