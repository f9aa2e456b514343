//! Random numbers from a seed, and ranks by Zipf's law.
//!
//! It knows nothing of what is drawn. Invariant: the same seed and stream give the same numbers on
//! every machine.

/// A source of random numbers: xoshiro256++ (Blackman and Vigna, <https://prng.di.unimi.it>).
#[derive(Clone, Debug)]
pub struct Chance {
    state: [u64; 4],
}

impl Chance {
    /// A source for one of several streams that share a seed.
    pub fn new(seed: u64, stream: u64) -> Chance {
        // SplitMix64, as the authors of xoshiro advise: its state is never all zeros.
        let mut counter = seed ^ stream.wrapping_mul(0xa076_1d64_78bd_642f);
        let state = [(); 4].map(|()| {
            counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (counter ^ (counter >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        });
        Chance { state }
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let bits = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let c = c ^ a;
        let d = d ^ b;
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        bits
    }

    /// A number below `bound`, each as likely as the others but for one in 2³².
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        let scaled = (self.bits() >> 32) * u64::from(bound);
        (scaled >> 32) as u32
    }

    /// A number above 0 and at most 1.
    #[inline]
    pub fn share(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

/// Draws ranks 0, 1, 2… where rank *r* is as likely as (*r* + 1)⁻ᶿ says.
///
/// An alias table (Walker 1977, made as Vose does): a draw takes the same short time whatever θ is
/// and however many ranks there are.
#[derive(Debug)]
pub(crate) struct Zipf {
    columns: Vec<Column>,
}

/// One rank, and the other that has the rest of its share.
#[derive(Clone, Copy, Debug)]
struct Column {
    /// Which part of the column belongs to the rank itself, of 2³².
    own: u32,
    other: u32,
}

impl Zipf {
    /// The law for this number of ranks, at least one.
    pub(crate) fn new(ranks: u32, theta: f64) -> Zipf {
        let weight = |rank: u32| (f64::from(rank) + 1.0).powf(-theta);
        let sum: f64 = (0..ranks).map(weight).sum();
        // What each rank is to have where a column holds 1.
        let mut shares: Vec<f64> =
            (0..ranks).map(|rank| weight(rank) / sum * f64::from(ranks)).collect();
        let whole = |rank| Column { own: u32::MAX, other: rank };
        let mut columns: Vec<Column> = (0..ranks).map(whole).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..ranks).partition(|&rank| shares[rank as usize] < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            let share = shares[poor as usize];
            columns[poor as usize] = Column { own: (share * 2_f64.powi(32)) as u32, other: rich };
            let left = shares[rich as usize] - (1.0 - share);
            shares[rich as usize] = left;
            if left < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Zipf { columns }
    }

    /// Draws a rank.
    #[inline]
    pub(crate) fn draw(&self, chance: &mut Chance) -> u32 {
        let bits = chance.bits();
        let scaled = (bits >> 32) * self.columns.len() as u64;
        let rank = (scaled >> 32) as u32;
        let column = self.columns[rank as usize];
        if (bits as u32) < column.own { rank } else { column.other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_does_not() {
        let numbers = |seed, stream| {
            let mut chance = Chance::new(seed, stream);
            [(); 4].map(|()| chance.bits())
        };
        assert_eq!(numbers(1, 0), numbers(1, 0));
        assert_ne!(numbers(1, 0), numbers(2, 0));
        assert_ne!(numbers(1, 0), numbers(1, 1));
    }

    #[test]
    fn numbers_below_a_bound_are_spread_evenly() {
        let mut chance = Chance::new(7, 0);
        let mut counts = [0_u32; 10];
        (0..100_000).for_each(|_| counts[chance.below(10) as usize] += 1);
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
        assert!((0..1000).map(|_| chance.share()).all(|share| share > 0.0 && share <= 1.0));
    }

    /// Counts of a million draws against what the law says, rank by rank: within five standard
    /// deviations. The seed is fixed, so this is the same in every run.
    #[test]
    fn ranks_follow_the_law() {
        const DRAWS: u32 = 1_000_000;
        for (ranks, theta) in [(1, 0.99), (2, 1.0), (10, 0.5), (1000, 0.99), (1000, 1.2), (50, 0.0)]
        {
            let zipf = Zipf::new(ranks, theta);
            let mut chance = Chance::new(42, 0);
            let mut counts = vec![0_u32; ranks as usize];
            (0..DRAWS).for_each(|_| counts[zipf.draw(&mut chance) as usize] += 1);
            let weight = |rank: usize| (rank as f64 + 1.0).powf(-theta);
            let sum: f64 = (0..ranks as usize).map(weight).sum();
            for (rank, &count) in counts.iter().enumerate() {
                let share = weight(rank) / sum;
                let expected = share * f64::from(DRAWS);
                let deviation = (expected * (1.0 - share)).sqrt();
                let off = (f64::from(count) - expected).abs();
                assert!(
                    off <= 5.0 * deviation + 1.0,
                    "rank {rank} of {ranks} at θ {theta}: {count}, not {expected:.0}"
                );
            }
        }
    }
}
