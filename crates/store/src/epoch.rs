//! The epoch: within which time versions of quotes compare.
//!
//! A random number, made with a data directory and kept in it. A new directory, or a
//! catalog that is in memory alone, begins to count versions from the start, and has another epoch.

/// A new epoch.
///
/// # Panics
///
/// When the system has no random numbers.
pub fn random_epoch() -> u64 {
    getrandom::u64().expect("the system has random numbers")
}
