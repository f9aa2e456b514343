//! How often addresses have shown wrong tokens of late.
//!
//! A table of addresses by their hash: bounded, without locks, and wrong at times, when two addresses
//! share a place. It decides how long the answer to a wrong token takes, never what the answer is.
//!
//! Invariant: who shows a right token is not asked for here, so no failure of others delays it.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use stockd_model::limits::{FAILED_ADDRESSES_MAX, FAILED_ATTEMPTS_MAX, FAILED_ATTEMPTS_TIME};

/// The failed attempts of addresses.
#[derive(Debug)]
pub struct FailedAttempts {
    /// Of an address each: bits of its hash, the time span in which it has failed last, and how often.
    places: Box<[AtomicU64]>,
    hasher: RandomState,
    began: Instant,
}

const COUNT_BITS: u32 = 16;
const SPAN_BITS: u32 = 24;

impl FailedAttempts {
    /// None yet. Time spans are counted from `now`.
    pub fn new(now: Instant) -> FailedAttempts {
        let places = (0..FAILED_ADDRESSES_MAX).map(|_| AtomicU64::new(0)).collect();
        FailedAttempts { places, hasher: RandomState::new(), began: now }
    }

    /// Notes that an attempt has failed; `None` is the address of all who come without one. Returns
    /// whether the answer is to wait, because too many have failed.
    pub fn note(&self, address: Option<IpAddr>, now: Instant) -> bool {
        let hash = self.hasher.hash_one(address.map(network));
        let Some(place) = self.places.get(hash as usize % self.places.len().max(1)) else {
            return false;
        };
        let spans =
            now.saturating_duration_since(self.began).as_secs() / FAILED_ATTEMPTS_TIME.as_secs();
        // One more than the first, so that an empty place belongs to no address.
        let span = (spans + 1) & ((1 << SPAN_BITS) - 1);
        let whose = (hash >> (COUNT_BITS + SPAN_BITS) << SPAN_BITS | span) << COUNT_BITS;
        let count_mask = (1 << COUNT_BITS) - 1;
        let after = |before: u64| match before & !count_mask == whose {
            true => before + u64::from(before & count_mask < count_mask),
            false => whose + 1,
        };
        let before = place.fetch_update(Relaxed, Relaxed, |before| Some(after(before)));
        after(before.unwrap_or_default()) & count_mask > FAILED_ATTEMPTS_MAX
    }
}

/// What is one address to its owner: of IPv6, half of it is his to choose.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_failure_of_an_address_in_a_minute_waits() {
        let began = Instant::now();
        let attempts = FailedAttempts::new(began);
        let address = |text: &str| Some(text.parse().unwrap());
        let fail = |text, now| attempts.note(address(text), now);
        for _ in 0..FAILED_ATTEMPTS_MAX {
            assert!(!fail("192.0.2.1", began));
            assert!(!fail("2001:db8::1", began));
        }
        assert!(fail("192.0.2.1", began) && fail("::ffff:192.0.2.1", began));
        assert!(fail("2001:db8::ffff:1", began), "the same network");
        assert!(!fail("2001:db8:0:1::1", began) && !attempts.note(None, began));
        let later = began + FAILED_ATTEMPTS_TIME;
        assert!(!fail("192.0.2.1", later));
        for _ in 0..1 << COUNT_BITS {
            fail("192.0.2.1", later);
        }
        assert!(fail("192.0.2.1", later));
    }
}
