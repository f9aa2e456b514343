//! The server is killed while it writes, again and again, and never loses what it acknowledged.
//!
//! The story of each round: clients list, update, trade and delist as fast as they are answered,
//! and keep a ledger of what they asked and what was acknowledged. At a random moment the server is
//! killed with SIGKILL. The next one, over the same data directory, has to show for every stock the
//! state after one of the writes that were asked, and none before the last one acknowledged.
//!
//! `STOCKD_CRASH_ROUNDS` and `STOCKD_CRASH_SEED` set how many rounds, and which. The seed decides
//! what is asked and after how many acknowledgements the server dies; where exactly that finds it
//! is the system's to decide, so a round cannot be repeated to the letter.

mod displaced;
mod faults;
mod healed;
mod ledger;
mod server;
mod transfers;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ledger::{Kept, Ledger, Random};
use server::{Server, stockd};

/// Clients that write at the same time.
const WRITERS: usize = 4;

/// Writes that are acknowledged before the server dies, at most.
const ACKNOWLEDGED_MAX: u64 = 3000;

fn rounds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| Some(std::env::var(name).ok()?.parse::<u64>().expect("a number"));
    let first = number("STOCKD_CRASH_SEED").unwrap_or(1);
    first..first + number("STOCKD_CRASH_ROUNDS").unwrap_or(default)
}

/// Kills the server once a round, and checks what the next one has kept.
fn crash_again_and_again(seeds: std::ops::Range<u64>, sync: &str, kept: Kept) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let mut ledgers: Vec<Ledger> = (0..WRITERS).map(Ledger::new).collect();
    let mut acknowledged_in_all = 0;
    for seed in seeds {
        let server = Server::start(&dir, &["--sync", sync]);
        let mut connection = server.connect();
        Ledger::settle(&mut ledgers, &mut connection, kept)
            .unwrap_or_else(|lost| panic!("before the round of seed {seed}: {lost}"));
        ledger::issue(&mut ledgers, &mut connection);

        let dies_after = Random::new(seed).below(ACKNOWLEDGED_MAX);
        let acknowledged = AtomicU64::new(0);
        thread::scope(|scope| {
            for (writer, ledger) in ledgers.iter_mut().enumerate() {
                let connection = server.connect();
                let random = Random::new(seed * WRITERS as u64 + writer as u64);
                let acknowledged = &acknowledged;
                scope.spawn(move || ledger.write_until_cut_off(connection, random, acknowledged));
            }
            while acknowledged.load(Ordering::Relaxed) < dies_after {
                thread::yield_now();
            }
            server.kill();
        });
        acknowledged_in_all += acknowledged.load(Ordering::Relaxed);
        if seed % 10 == 0 {
            let checked = stockd(["check", dir.to_str().unwrap()]).output().unwrap();
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        }
    }
    let server = Server::start(&dir, &["--sync", sync]);
    Ledger::settle(&mut ledgers, &mut server.connect(), kept)
        .unwrap_or_else(|lost| panic!("after the last round: {lost}"));
    assert!(acknowledged_in_all > 0, "no round has written anything");
}

#[test]
fn no_acknowledged_write_is_lost_when_the_server_is_killed() {
    crash_again_and_again(rounds(100), "always", Kept::Acknowledged);
}

/// The system has all that was acknowledged, though the disk may not: enough for the end of the
/// process.
#[test]
fn without_sync_too_a_killed_server_loses_nothing() {
    crash_again_and_again(rounds(20), "never", Kept::Acknowledged);
}

/// What is lost is the end of the story of a stock, never its middle.
#[test]
fn with_an_interval_a_killed_server_loses_only_the_latest_writes() {
    crash_again_and_again(rounds(20), "interval=3", Kept::SomePrefix);
}
