//! Where the probe for a symbol begins.
//!
//! With *fold(a, b)* the exclusive or of the two halves of the 128-bit product of a and b, and the
//! six words of the symbol:
//!
//! ```text
//! hash = fold(fold(w0 ^ seed, w1 ^ key) ^ w2, w3 ^ key)          up to 30 bytes
//! hash = fold(that ^ w4, w5 ^ key)                               more
//! ```
//!
//! The probe begins at the row that the highest bits of the hash name. It knows no rows.
//!
//! Invariant: the formula is part of the layout. Every reader of the rows computes the same.

use crate::{Words, is_long};

/// What makes the hashes of one table differ from those of another: random in a server, so that no
/// client can choose symbols that collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey {
    /// Comes before the first word.
    pub seed: u64,
    /// A factor of every product; odd.
    pub key: u64,
}

impl HashKey {
    /// The seed, and a key that is made from it by one step of SplitMix64.
    pub const fn new(seed: u64) -> HashKey {
        let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        HashKey { seed, key: (mixed ^ mixed >> 31) | 1 }
    }

    /// The hash of a symbol.
    #[inline(always)]
    pub const fn hash(&self, words: &Words) -> u64 {
        let hash = fold(words[0] ^ self.seed, words[1] ^ self.key);
        let hash = fold(words[2] ^ hash, words[3] ^ self.key);
        if is_long(words) { fold(words[4] ^ hash, words[5] ^ self.key) } else { hash }
    }
}

#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use std::collections::HashSet;
    use std::format;
    use std::string::String;

    use super::*;

    fn words(name: &str) -> Words {
        let mut words = [0; 6];
        for (at, &byte) in name.as_bytes().iter().enumerate() {
            words[at / 8] |= u64::from(byte) << (at % 8 * 8);
        }
        words
    }

    /// The formula does not drift: every reader of the rows computes the same.
    #[test]
    fn hashes_are_as_they_were() {
        let hash = |name| HashKey::new(0).hash(&words(name));
        assert_eq!(HashKey::new(0).key, 0xe220_a839_7b1d_cdaf);
        let hashes =
            ["AAPL", "AAPL  260116C00200000", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGkZwyTDt1v"];
        let expected = [0x6184_9c8a_3945_6531, 0x83be_69e6_5fca_7e65, 0xa8ce_4cd4_c5d9_129f];
        assert_eq!(hashes.map(hash), expected);
    }

    /// Names that differ little begin at nearly as many rows as random ones would, or at more: that is
    /// 1 − e^(−1/2) of the rows for half as many names.
    #[test]
    fn names_that_differ_little_are_spread() {
        const NAMES: usize = 1 << 15;
        let alike: [fn(usize) -> String; 4] = [
            |number| format!("S{number}"),
            |number| format!("AAPL  260116C{number:08}"),
            |number| format!("{number:08}"),
            |number| format!("the same forty bytes before the number: {number:08}"),
        ];
        for name in alike {
            for seed in 0..8 {
                let key = HashKey::new(seed);
                let home = |number| key.hash(&words(&name(number))) >> (64 - 16);
                let homes: HashSet<u64> = (0..NAMES).map(home).collect();
                let expected = 2.0 * NAMES as f64 * (1.0 - (-0.5_f64).exp());
                let share = homes.len() as f64 / expected;
                assert!(share > 0.95, "{} rows, not {expected}: {}", homes.len(), name(1));
            }
        }
    }
}
