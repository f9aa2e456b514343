//! Buckets of times: each power of two of nanoseconds in sixteen parts.
//!
//! It owns their bounds, and counts nothing. Invariant: the longest time of a bucket is at most 1/16 above every time
//! in it.

/// Parts into which each power of two is divided, as a power of two.
const PART_BITS: u32 = 4;

/// Times from here on, 17 s, are counted as this long.
const LONGEST_BITS: u32 = 34;

/// How many buckets there are.
pub const TIME_BUCKETS: usize = ((LONGEST_BITS - PART_BITS + 1) << PART_BITS) as usize;

/// The bucket of a time, below [`TIME_BUCKETS`].
pub fn time_bucket(ns: u64) -> usize {
    let ns = ns.min((1 << LONGEST_BITS) - 1);
    // Times below the first power of two that is divided have a bucket each.
    let shift = (u64::BITS - ns.leading_zeros()).saturating_sub(PART_BITS + 1);
    ((u64::from(shift) << PART_BITS) + (ns >> shift)) as usize
}

/// The longest time in a bucket, in nanoseconds.
pub fn longest_ns(bucket: usize) -> u64 {
    let parts = 1 << PART_BITS;
    let bucket = bucket as u64;
    let shift = (bucket / parts).saturating_sub(1);
    ((bucket - shift * parts + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_bucket_that_ends_at_most_a_sixteenth_above_it() {
        let mut times: Vec<u64> = (0..4096).chain([(1 << LONGEST_BITS) - 1]).collect();
        times.extend(
            (12..LONGEST_BITS).flat_map(|bits| [(1 << bits) - 1, 1 << bits, 3 << (bits - 1)]),
        );
        let mut last = 0;
        for ns in times.into_iter().filter(|ns| *ns < 1 << LONGEST_BITS) {
            let found = time_bucket(ns);
            assert!(found < TIME_BUCKETS, "{ns}");
            assert!(longest_ns(found) >= ns && longest_ns(found) - ns <= ns / 16, "{ns}");
            assert!(found == 0 || longest_ns(found - 1) < ns, "{ns}");
            last = last.max(found);
        }
        assert_eq!(last, TIME_BUCKETS - 1);
        assert_eq!(time_bucket(u64::MAX), TIME_BUCKETS - 1);
    }
}
