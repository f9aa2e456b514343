//! Files that are not as they were written: cut off, with bytes or whole sectors changed, in every
//! region of the checkpoint and of each segment of the log. Opening and loading them ends in quotes that were written or in an error, and never in a
//! panic. `STOCKD_SIMULATIONS=100000` changes bytes that often.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use stockd_model::{Price, Quote, Symbol, Volume};
use stockd_store::simulation::{Disk, Fault, Random, SECTOR};
use stockd_store::{Store, StoreError, Write};

const STOCKS: u64 = 300;

/// Bytes of the file that say where all others are.
const HEADER: usize = 320;

fn quote(number: u64, version: u64) -> Quote {
    Quote {
        price: Price::new((version * 1000 + number + 1) as i64, 9),
        volume: Some(Volume::new(version * 1000 + number)),
        bid_size: Volume::with_places(version, 3),
        time_ns: version.is_multiple_of(2).then_some(version),
        version,
        updated_ns: 0,
        ..Quote::new(format!("STOCK {number}").parse().unwrap())
    }
}

type Files = BTreeMap<String, Vec<u8>>;

/// What is on a disk after some commits, a checkpoint of the first ones, and a log of the others; closed, or
/// as a crash leaves it.
fn written(closed: bool) -> Files {
    let disk = Disk::default();
    let mut store = disk.open().unwrap();
    for version in 1..=4 {
        let writes: Vec<Write> =
            (0..STOCKS).map(|number| Write::Put(quote(number, version))).collect();
        store.commit(&writes, 0).unwrap();
        if version == 2 {
            let checkpoint = store.begin_checkpoint(true).expect("the log has grown");
            store.end_checkpoint(checkpoint.write()).unwrap();
        }
    }
    if !closed {
        disk.order(Fault::Power { at: 1 });
    }
    drop(store);
    let files = disk.after_restart().files();
    let segments = files.keys().filter(|name| name.ends_with(".log")).count();
    assert_eq!(segments, if closed { 0 } else { 3 }, "{:?}", files.keys());
    files
}

/// These files, one of them changed.
fn with(files: &Files, name: &str, content: Vec<u8>) -> Files {
    let mut files = files.clone();
    files.insert(name.to_owned(), content);
    files
}

/// Opens what is left and writes to it. Whether the damage was noticed.
fn is_noticed(files: Files, closed: bool) -> bool {
    let disk = Disk::holding(files);
    let mut store = match disk.open() {
        Ok(store) => store,
        Err(StoreError::Damaged { .. } | StoreError::Foreign { .. }) => return true,
        Err(other) => panic!("{other}"),
    };
    let mut quotes = BTreeMap::<Symbol, Quote>::new();
    let loaded = store.load(|quote| {
        quotes.insert(quote.symbol, quote);
        ControlFlow::Continue(())
    });
    loaded.expect("what has been opened has been verified");
    // A file that was not closed may have lost its last commit: damage looks like a torn write.
    let version = quotes.values().next().expect("stocks").version;
    assert!(version == 4 || !closed && version == 3, "version {version}");
    let all = (0..STOCKS).map(|number| quote(number, version));
    assert_eq!(quotes, all.map(|quote| (quote.symbol, quote)).collect());
    store.commit(&[Write::Put(quote(0, 5))], 0).unwrap();
    version < 4
}

#[test]
fn changed_bytes_are_found_or_do_not_matter() {
    let flips = std::env::var("STOCKD_SIMULATIONS").ok();
    let flips = flips.map_or(500, |text| text.parse().expect("STOCKD_SIMULATIONS"));
    let (mut damaged, mut refused) = (0, 0);
    for closed in [true, false] {
        let files = written(closed);
        let mut random = Random(1);
        for (name, good) in &files {
            let used = good.len() - good.iter().rev().take_while(|&&byte| byte == 0).count();
            let mut noticed = 0;
            // Every byte of the header first, then everywhere.
            for number in 0..HEADER + flips {
                let mut content = good.clone();
                if number < HEADER {
                    content[number] ^= 1 << random.below(8);
                } else {
                    let end = if random.below(4) == 0 { HEADER } else { used };
                    for _ in 0..=random.below(4) {
                        content[random.below(end as u64) as usize] = random.number() as u8;
                    }
                }
                noticed += u32::from(is_noticed(with(&files, name, content), closed));
            }
            assert!(noticed > 100 || is_done_with(name, &files), "{name}: {noticed}");
            (damaged, refused) = (damaged + HEADER + flips, refused + noticed);
        }
    }
    println!("{damaged} damaged files, {refused} of them refused");
}

/// Whether a file is a segment that the checkpoint has up to its end: its header counts, and the batch that
/// ends it.
fn is_done_with(name: &str, files: &Files) -> bool {
    files.keys().find(|name| name.ends_with(".log")).is_some_and(|first| first == name)
}

#[test]
fn a_cut_is_found_or_does_not_matter() {
    for closed in [true, false] {
        let files = written(closed);
        for (name, good) in &files {
            let mut noticed = 0;
            for len in (1..good.len()).step_by(SECTOR / 2 + 1) {
                noticed += u32::from(is_noticed(with(&files, name, good[..len].to_vec()), closed));
            }
            assert!(noticed > 50, "{name}: {noticed}");
        }
    }
}

#[test]
fn sectors_that_hold_something_else_are_found_or_do_not_matter() {
    for closed in [true, false] {
        let files = written(closed);
        let mut random = Random(2);
        for (name, good) in &files {
            let sectors = good.len() / SECTOR;
            let mut noticed = 0;
            for sector in 0..sectors {
                let range = sector * SECTOR..(sector + 1) * SECTOR;
                let mut zeros = good.clone();
                zeros[range.clone()].fill(0);
                let mut rubbish = good.clone();
                rubbish[range.clone()].fill_with(|| random.number() as u8);
                let mut elsewhere = good.clone();
                let from = random.below(sectors as u64) as usize * SECTOR;
                elsewhere.copy_within(from..from + SECTOR, range.start);
                for content in [zeros, rubbish, elsewhere] {
                    noticed += u32::from(is_noticed(with(&files, name, content), closed));
                }
            }
            assert!(noticed > 50 || is_done_with(name, &files), "{name}: {noticed}");
        }
    }
}
