//! The story: a server opens its data, commits a few times, writes checkpoints, and closes. Its log goes over
//! several segments, which are let go and used again. This is done again and again,
//! and each time one operation on the disk fails, until every one of them has: every write and
//! growth finds no room or is written in half, every sync fails, every read fails, every file fails to be made,
//! renamed or removed, the power fails before every operation. Then the server is started again and goes on.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::ControlFlow;

use stockd_model::{Price, Quote, Symbol, Volume};
use stockd_store::simulation::{Disk, Fault, Operations};
use stockd_store::{Checkpoint, LoggedStore, Store, StoreError, Write};

/// Commits of the script, and those that are made after the restart.
const COMMITS: u64 = 9;

/// How often each fault is tried, with other losses each time.
const SEEDS: u64 = 2;

fn quote(number: u64, version: u64) -> Quote {
    Quote {
        price: Price::new((number * 1000 + version) as i64, 9),
        volume: Some(Volume::new(version)),
        bid_size: Volume::with_places(version, 3),
        time_ns: version.is_multiple_of(2).then_some(version),
        version,
        updated_ns: version,
        ..Quote::new(format!("S{number}").parse().unwrap())
    }
}

/// The writes of one commit: most stocks change, some come and go, and the tree grows and shrinks.
fn writes(version: u64) -> Vec<Write> {
    let stocks = if version.is_multiple_of(3) { 200 } else { 20 };
    let write = |number: u64| match (number + version) % 5 {
        0 => Write::Remove(quote(number, version).symbol),
        _ => Write::Put(quote(number, version)),
    };
    (0..stocks).map(write).collect()
}

fn after(commits: u64) -> BTreeMap<Symbol, Quote> {
    let mut quotes = BTreeMap::new();
    for write in (1..=commits).flat_map(writes) {
        match write {
            Write::Put(quote) => drop(quotes.insert(quote.symbol, quote)),
            Write::Remove(symbol) => drop(quotes.remove(&symbol)),
        }
    }
    quotes
}

fn load(store: &LoggedStore) -> (BTreeMap<Symbol, Quote>, u64) {
    let mut quotes = BTreeMap::new();
    let floor = store.load(|quote| {
        quotes.insert(quote.symbol, quote);
        ControlFlow::Continue(())
    });
    (quotes, floor.unwrap())
}

/// A disk with a store on it that was closed. A segment has room for a commit or two of the script.
fn disk() -> Disk {
    let disk = Disk::default().with_segments(2048, 3);
    drop(disk.open().unwrap());
    disk
}

/// How far the script came, and what stopped it. A checkpoint is begun with each second commit, is written
/// during the next one, and given back after it.
fn play(disk: &Disk, from: u64) -> (u64, Result<(), StoreError>) {
    let mut store = match disk.open() {
        Ok(store) => store,
        Err(error) => return (from, Err(error)),
    };
    let mut begun: Option<Checkpoint> = None;
    for commit in from + 1..=from + COMMITS {
        if let Some(checkpoint) = begun.take_if(|_| store.log().is_full) {
            let _ = store.end_checkpoint(checkpoint.write());
        }
        let committed = store.commit(&writes(commit), commit);
        let checked = committed.and_then(|()| match begun.take().map(Checkpoint::write) {
            // What was committed stays so when a checkpoint fails.
            Some(written) => store.end_checkpoint(written).or(Ok(())),
            None => {
                begun = store.begin_checkpoint(true);
                Ok(())
            }
        });
        if let Err(error) = checked {
            let again = store.commit(&[], 0).unwrap_err();
            assert_eq!(again.to_string(), error.to_string());
            return (commit - 1, Err(error));
        }
    }
    if let Some(written) = begun.map(Checkpoint::write) {
        let _ = store.end_checkpoint(written);
    }
    (from + COMMITS, Ok(()))
}

/// Plays the script with this fault, then goes on after a restart, and after the power has failed.
fn play_with(fault: Fault) -> Option<StoreError> {
    for power_fails in [false, true] {
        for seed in 0..SEEDS {
            let disk = disk().seeded(seed);
            disk.order(fault);
            let (kept, result) = play(&disk, 0);
            let mut disk =
                if power_fails { disk.after_power_loss(seed) } else { disk.after_restart() };
            let found = load(&disk.open().unwrap_or_else(|error| panic!("{fault:?}: {error}")));
            let kept = match &result {
                Ok(()) => COMMITS,
                // The one in flight may have been kept or not.
                Err(_) if found == (after(kept + 1), kept + 1) => kept + 1,
                Err(_) => kept,
            };
            assert_eq!(found, (after(kept), kept), "{fault:?}");

            // It goes on as if nothing had been, and that is kept through the next failure.
            let (more, went_on) = play(&disk, kept);
            went_on.unwrap();
            disk = disk.after_power_loss(seed);
            assert_eq!(load(&disk.open().unwrap()), (after(more), more), "{fault:?}");
            if power_fails && seed == SEEDS - 1 {
                return result.err();
            }
        }
    }
    None
}

fn whole() -> Operations {
    let disk = disk();
    let before = disk.operations();
    play(&disk, 0).1.unwrap();
    disk.operations().since(before)
}

#[test]
fn every_write_finds_no_room() {
    let mut full = 0;
    for at in 1..=whole().writes {
        for fault in [Fault::NoSpace { at }, Fault::ShortWrite { at }] {
            match play_with(fault) {
                Some(StoreError::Commit { source, .. }) => {
                    assert_eq!(source.kind(), ErrorKind::StorageFull);
                    full += 1;
                }
                Some(opening) => {
                    let text = opening.to_string();
                    assert!(
                        text.starts_with("cannot write to 'a simulated disk': no space"),
                        "{text}"
                    );
                    assert!(text.ends_with("; free some space"), "{text}");
                }
                // It was the close that failed, or the write that a close does not need.
                None => {}
            }
        }
    }
    assert!(full > whole().writes, "{full} commits failed of {} writes", whole().writes);
}

#[test]
fn every_sync_fails() {
    let mut failed = 0;
    for at in 1..=whole().syncs {
        failed +=
            u64::from(matches!(play_with(Fault::Sync { at }), Some(StoreError::Commit { .. })));
    }
    assert!(failed >= COMMITS, "{failed} commits failed");
}

#[test]
fn every_read_fails() {
    for at in 1..=whole().reads {
        play_with(Fault::Read { at });
    }
}

#[test]
fn every_change_of_a_name_fails() {
    for at in 1..=whole().names {
        play_with(Fault::Name { at });
    }
}

#[test]
fn the_power_fails_before_every_operation() {
    for at in 1..=whole().all() {
        play_with(Fault::Power { at });
    }
}

#[test]
fn a_full_disk_is_named_with_its_remedy() {
    let Some(StoreError::Commit { source, path }) = play_with(Fault::NoSpace { at: 20 }) else {
        panic!("no commit failed")
    };
    assert_eq!(
        StoreError::Commit { source, path }.to_string(),
        "cannot write to 'a simulated disk': no space left on the simulated disk; free some space, then send the server SIGHUP"
    );
}
