//! How threads are told of changes and of replies, and kept apart from transactions, under every interleaving of a few threads and
//! every value that the memory model lets a load return. Run with:
//!
//! ```console
//! $ RUSTFLAGS="--cfg loom" cargo test -p stockd-engine --profile models --lib models
//! ```
//!
//! A wake that is lost leaves its owner waiting for ever, which loom reports as a deadlock.

use std::sync::Arc;

use loom::sync::Notify;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use loom::thread;
use stockd_model::{Pattern, Symbol};

use crate::feed::{Marks, Watcher, Watchers};
use crate::gate::Gate;
use crate::inbox::Inbox;
use crate::role::Role;
use crate::write_queue::WriteQueue;

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

/// What a thread has asked: where the answer goes, and a number.
type Asked = (Arc<Inbox<Vec<u32>>>, u32);

/// The role of work that answers each with its number.
type Answering = Role<Asked, ()>;

fn answer(_: &mut (), asked: Vec<Asked>) {
    for (inbox, number) in asked {
        inbox.leave(|all| {
            all.push(number);
            true
        });
    }
}

/// Asks two things one after the other, the second before the first is answered, and works them off itself if it
/// can. Sleeps whenever it finds no answer, and ends with both, in order.
fn ask_twice(role: &Answering) {
    let bell = Arc::new(Notify::new());
    let ring = Arc::clone(&bell);
    let inbox = Arc::new(Inbox::new(Vec::new(), move || ring.notify()));
    let mut answers = Vec::new();
    for number in [1, 2] {
        inbox.expect();
        assert!(role.queue().push((Arc::clone(&inbox), number)).is_ok());
        role.work_if_free(|()| true, answer);
        answers.extend(inbox.take(Vec::new()));
    }
    while answers.len() < 2 {
        bell.wait();
        answers.extend(inbox.take(Vec::new()));
    }
    assert_eq!(answers, [1, 2]);
}

/// Two threads work off what they ask, or leave it to a third one, which claims the role whenever it wakes: everything is
/// answered once, in order.
#[test]
fn whoever_has_the_role_answers_in_order() {
    check(|| {
        let role: Answering = Role::new(Arc::new(WriteQueue::default()), ());
        let regular = {
            let role = role.clone();
            thread::spawn(move || {
                while role.queue().wait(None) {
                    role.work_off(true, answer);
                }
            })
        };
        let other = {
            let role = role.clone();
            thread::spawn(move || ask_twice(&role))
        };
        ask_twice(&role);
        other.join().unwrap();
        role.queue().close();
        regular.join().unwrap();
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

/// Two words that writes change without the help of the processor, so that one is lost if two are at it.
#[derive(Default)]
struct Words([AtomicU64; 2]);

impl Words {
    fn add(&self, word: usize, amount: u64) {
        let sum = self.0[word].load(Relaxed) + amount;
        self.0[word].store(sum, Relaxed);
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|word| word.load(Relaxed)).sum()
    }
}

/// A thread writes twice while another executes transactions, each of which moves something from one word
/// to the other.
fn writes_beside_transactions(transactions: u64) {
    check(move || {
        let shared = Arc::new((Gate::default(), Words::default()));
        let writer = {
            let shared = Arc::clone(&shared);
            let registered = shared.0.register();
            thread::spawn(move || {
                let (gate, words) = &*shared;
                for word in [0, 1] {
                    let _pass = gate.pass(&registered);
                    words.add(word, 10);
                }
            })
        };
        let (gate, words) = &*shared;
        for _ in 0..transactions {
            let _closed = gate.close();
            let before = words.sum();
            words.add(0, 1);
            words.add(1, 2);
            assert_eq!(words.sum(), before + 3, "somebody wrote in between");
        }
        writer.join().unwrap();
        assert_eq!(words.sum(), 20 + 3 * transactions, "a write is lost");
    });
}

#[test]
fn a_transaction_is_alone() {
    writes_beside_transactions(1);
}

#[test]
fn a_write_after_a_transaction_sees_it_and_the_next_one_sees_the_write() {
    writes_beside_transactions(2);
}

/// Transactions exclude each other, and a snapshot begins before or after one of them.
#[test]
fn a_snapshot_begins_between_transactions() {
    check(|| {
        let shared = Arc::new((Gate::default(), Words::default()));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (gate, words) = &*shared;
                let _closed = gate.close();
                words.add(0, 1);
                words.add(1, 1);
            })
        };
        let (gate, words) = &*shared;
        {
            let _between = gate.between_transactions();
            assert_eq!(words.sum() % 2, 0, "half a transaction");
        }
        {
            let _closed = gate.close();
            words.add(0, 1);
            words.add(1, 1);
        }
        other.join().unwrap();
        assert_eq!(words.sum(), 4);
    });
}
