//! Numbers and runs that a seed determines.
//!
//! It knows no disk. Invariant: the same seed gives the same numbers.

/// Numbers that a seed determines: SplitMix64.
#[derive(Clone, Debug, Default)]
pub struct Random(pub u64);

impl Random {
    /// A number below this one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn fork(&mut self) -> Random {
        Random(self.number())
    }
}

/// Runs a simulation for each of `runs` seeds, or as many as `STOCKD_SIMULATIONS` says, or for the
/// one seed of `STOCKD_SEED`. A run that panics says how to repeat it.
///
/// # Panics
///
/// When a run does, or one of the variables is no number.
pub fn for_each_seed(runs: u64, run: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let seeds = match number("STOCKD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("STOCKD_SIMULATIONS").unwrap_or(runs),
    };
    for seed in seeds {
        let told = ToldAtPanic(seed);
        run(seed);
        std::mem::forget(told);
    }
}

/// Says which run it was when it ends in a panic.
struct ToldAtPanic(u64);

impl Drop for ToldAtPanic {
    fn drop(&mut self) {
        eprintln!("this was run {0}; repeat it with STOCKD_SEED={0}", self.0);
    }
}
