//! The same work on many things, several of them at once.
//!
//! Invariant: each thing is taken once, in the order given, and its outcome stands in its place.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;

/// How many there are for work that keeps a processor busy.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Works on all of `things` in so many lanes, each of which takes the next when it has done with one.
///
/// # Errors
///
/// The first of those that the work returns, in the order of the things; all the others are worked on nevertheless.
pub(crate) fn work<T: Sync, R: Send>(
    lanes: usize,
    things: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let outcomes: Vec<Mutex<Option<Result<R>>>> = things.iter().map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for _ in 0..lanes.max(1) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(thing) = things.get(place) else { return };
                    let outcome = work(thing);
                    *outcomes[place].lock().expect("no lane panics with a lock held") =
                        Some(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_iter();
    outcomes.map(|it| it.into_inner().expect("as above").expect("every thing was taken")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_stand_in_the_order_of_the_things_and_the_first_error_is_returned() {
        let things: Vec<u64> = (0..50).collect();
        let doubled = work(3, &things, |thing| Ok(thing * 2)).expect("no error");
        assert_eq!(doubled, (0..50).map(|thing| thing * 2).collect::<Vec<_>>());
        let failed = work(3, &things, |thing| {
            anyhow::ensure!(thing % 20 != 19, "{thing} fails");
            Ok(())
        });
        assert_eq!(failed.expect_err("two fail").to_string(), "19 fails");
    }
}
