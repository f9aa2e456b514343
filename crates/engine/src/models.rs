//! How threads are told of changes and of replies, under every interleaving of a few threads and
//! every value that the memory model lets a load return. Run with:
//!
//! ```console
//! $ RUSTFLAGS="--cfg loom" cargo test -p stockd-engine --lib --release --target-dir target/loom models
//! ```
//!
//! A wake that is lost leaves its owner waiting for ever, which loom reports as a deadlock.

use std::sync::Arc;

use loom::sync::Notify;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::{Acquire, Release};
use loom::thread;
use stockd_model::{Pattern, Symbol};

use crate::feed::{Marks, Watcher, Watchers};
use crate::inbox::Inbox;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// Two threads leave something, one of them twice; the owner sleeps whenever it finds nothing, and
/// ends with all of it, in order.
#[test]
fn whatever_is_left_in_an_inbox_is_taken() {
    check(|| {
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        let inbox = Arc::new(Inbox::new(Vec::new(), move || ring.notify()));
        let leave = |numbers: &'static [u32]| {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || {
                for &number in numbers {
                    inbox.leave(|all: &mut Vec<u32>| {
                        all.push(number);
                        true
                    });
                }
            })
        };
        let threads = [leave(&[1, 2]), leave(&[10])];
        let mut taken = Vec::new();
        while taken.len() < 3 {
            let some = inbox.take(Vec::new());
            if some.is_empty() {
                bell.wait();
            }
            taken.extend(some);
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(taken.iter().filter(|number| **number < 10).collect::<Vec<_>>(), [&1, &2]);
        assert!(taken.contains(&10));
    });
}

fn symbol() -> Symbol {
    "AAPL".parse().unwrap()
}

/// A stock changes while somebody begins to watch it: the watcher ends with the latest, either
/// because it reads it at once or because it is marked.
fn watched_while_it_changes(changes: u64, watch: fn(&mut Watcher)) {
    check(move || {
        let watchers = Arc::new(Watchers::default());
        let row = Arc::new(AtomicU64::new(0));
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        let mut watcher = watchers.watcher(move || ring.notify());
        let writer = {
            let (watchers, row) = (Arc::clone(&watchers), Arc::clone(&row));
            thread::spawn(move || {
                for version in 1..=changes {
                    row.store(version, Release);
                    watchers.mark(&symbol());
                }
            })
        };
        watch(&mut watcher);
        let mut seen = row.load(Acquire);
        while seen < changes {
            let marks = watcher.take(Marks::default());
            match marks.contains(&symbol()) {
                true => seen = row.load(Acquire),
                false => bell.wait(),
            }
        }
        writer.join().unwrap();
    });
}

fn watch_pattern(watcher: &mut Watcher, text: &str) {
    let pattern = Arc::new(Pattern::new(text.as_bytes()));
    assert!(watcher.watch_pattern(&pattern).is_ok());
}

#[test]
fn a_change_is_seen_by_who_begins_to_watch_its_symbol() {
    watched_while_it_changes(2, |watcher| watcher.watch(&symbol()));
}

#[test]
fn a_change_is_seen_by_who_begins_to_watch_a_pattern() {
    watched_while_it_changes(1, |watcher| watch_pattern(watcher, "A*"));
}

/// Nothing but the index, which is under its lock, tells whether this pattern fits.
#[test]
fn a_change_is_seen_by_who_begins_to_watch_a_pattern_that_is_compared() {
    watched_while_it_changes(1, |watcher| watch_pattern(watcher, "A?PL"));
}

/// One pattern ends while another with the same beginning goes on: the filter's cell and the bit of
/// the length stay.
#[test]
fn a_change_is_seen_by_who_goes_on_watching_while_a_like_pattern_ends() {
    watched_while_it_changes(1, |watcher| {
        watch_pattern(watcher, "A*");
        watch_pattern(watcher, "A?PL");
        watcher.unwatch_pattern(&Pattern::new(b"A*"));
    });
}
