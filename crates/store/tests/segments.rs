//! Segments of the log that are not those that were written: one is lost, doubled, exchanged, of an older day
//! or of another data directory, as a clumsy restore makes them. Each time the start is refused, and says
//! which file is wrong; where all is as it was, the start finds all.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use stockd_model::{Price, Quote, Symbol};
use stockd_store::simulation::{Disk, Fault};
use stockd_store::{LoggedStore, Store, Write};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

type Files = BTreeMap<String, Vec<u8>>;

const QUOTES: &str = "quotes.redb";
const LOGS: [&str; 4] =
    ["quotes.00000001.log", "quotes.00000002.log", "quotes.00000003.log", "quotes.00000004.log"];

fn put(name: &str, version: u64) -> Write {
    Write::Put(Quote { price: Price::new(25, 1), version, ..Quote::new(name.parse().unwrap()) })
}

fn crashed(disk: &Disk, store: LoggedStore) -> Files {
    disk.order(Fault::Power { at: 1 });
    drop(store);
    disk.after_restart().files()
}

/// A log of three commits in each of three segments and one in the last, after a crash. Also as it was after
/// seven commits.
fn written() -> (Files, Files) {
    let disk = Disk::default().with_segments(320, 9);
    let mut store = disk.open().unwrap();
    let mut earlier = Files::new();
    for version in 1..=10 {
        store.commit(&[put("AAPL", version)], version).unwrap();
        if version == 7 {
            earlier = disk.files();
        }
    }
    let files = crashed(&disk, store);
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>()[..4], LOGS);
    assert_eq!(files.len(), 5);
    (files, earlier)
}

/// The version that is found, or why the store is not opened.
fn opened(files: &Files) -> Result<u64, String> {
    let store = Disk::holding(files.clone()).open().map_err(|error| error.to_string())?;
    let mut found = 0;
    let load = store.load(|quote| {
        found = quote.version;
        ControlFlow::Continue(())
    });
    assert_eq!(load.unwrap(), found);
    Ok(found)
}

fn refused(files: &Files) -> String {
    let why = opened(files).expect_err("it is refused");
    let why = why.strip_prefix("the data file 'a simulated disk' is damaged: ").expect(&why);
    why.split_once("; restore it from a backup").expect(why).0.to_owned()
}

#[test]
fn what_was_written_is_found() {
    let (files, earlier) = written();
    assert_eq!(opened(&files), Ok(10));
    assert_eq!(opened(&earlier), Ok(7));
}

#[test]
fn a_segment_that_is_lost_is_missed() {
    let (files, _) = written();
    for name in LOGS {
        let mut files = files.clone();
        files.remove(name);
        let expected = "it is missing";
        assert_eq!(refused(&files), expected, "{name}");
    }
    // All of them, and the checkpoint knows that there were some.
    let checkpoint = files.into_iter().filter(|(name, _)| name == QUOTES).collect();
    assert_eq!(refused(&checkpoint), "it is missing");
}

#[test]
fn a_segment_under_the_name_of_another_is_no_segment() {
    let (files, _) = written();
    for name in LOGS {
        for other in LOGS.into_iter().chain(["quotes.00000005.log"]).filter(|it| *it != name) {
            // Doubled.
            let mut doubled = files.clone();
            doubled.insert(other.to_owned(), files[name].clone());
            let number = |name: &str| name[7..15].parse::<u64>().unwrap();
            let expected = format!("it is segment {}, not {}", number(name), number(other));
            assert_eq!(refused(&doubled), expected);
            // Exchanged.
            if let Some(held) = files.get(other) {
                doubled.insert(name.to_owned(), held.clone());
                refused(&doubled);
            }
        }
    }
}

#[test]
fn a_segment_of_another_directory_is_refused() {
    let ((files, _), (others, _)) = (written(), written());
    for name in LOGS {
        let mut files = files.clone();
        files.insert(name.to_owned(), others[name].clone());
        assert_eq!(refused(&files), "it is of another data directory", "{name}");
    }
    let mut files = files;
    files.insert(QUOTES.to_owned(), others[QUOTES].clone());
    assert_eq!(refused(&files), "it is of another data directory");
}

/// The last segment of an earlier day is a log that ends early, and so it is found. Any other is not.
#[test]
fn a_segment_of_an_earlier_day_is_refused_where_the_log_goes_on_behind_it() {
    let (files, earlier) = written();
    let mut mixed = files;
    mixed.insert(LOGS[2].to_owned(), earlier[LOGS[2]].clone());
    assert_eq!(refused(&mixed), "it has batches, and those before them are missing");
}

/// A checkpoint of an earlier day under a log that goes on from a later one.
#[test]
fn a_checkpoint_that_does_not_belong_to_the_log_is_refused() {
    let disk = Disk::default().with_segments(320, 9);
    let mut store = disk.open().unwrap();
    let new = disk.files();
    store.commit(&[put("AAPL", 1)], 1).unwrap();
    let early = disk.files();
    for version in 2..=10 {
        store.commit(&[put("AAPL", version)], version).unwrap();
    }
    let checkpoint = store.begin_checkpoint(false).expect("segments are full");
    store.end_checkpoint(checkpoint.write()).unwrap();
    store.commit(&[put("AAPL", 11)], 11).unwrap();
    let files = crashed(&disk, store);
    assert_eq!(opened(&files), Ok(11));
    for (older, why) in [(new, "those before them are missing"), (early, "it is missing")] {
        let mut files = files.clone();
        files.insert(QUOTES.to_owned(), older[QUOTES].clone());
        let refused = refused(&files);
        assert!(refused.ends_with(why), "{refused}");
    }
}

#[test]
fn damage_in_the_middle_is_refused_and_a_torn_end_is_cut() {
    let (files, _) = written();
    let flipped = |name: &str, at: usize| {
        let mut files = files.clone();
        files.get_mut(name).unwrap()[at] ^= 1;
        files
    };
    let why = "is not as it was written, or one is missing there";
    assert_eq!(refused(&flipped(LOGS[1], 60)), format!("its batch at byte 48 {why}"));
    let last = opened(&flipped(LOGS[3], 60));
    assert_eq!(last, Ok(9), "it looks like a commit that a crash has cut in half");
}

#[test]
fn a_closed_store_needs_no_log() {
    let disk = Disk::default().with_segments(320, 9);
    let mut store = disk.open().unwrap();
    for round in 0..3 {
        for version in 1..=10 {
            let version = 10 * round + version;
            store.commit(&[put("AAPL", version)], version).unwrap();
        }
        store.close().unwrap();
        assert_eq!(store.log().segments, 0);
        let names = disk.files().into_keys().filter(|name| !name.contains("spare"));
        assert_eq!(names.collect::<Vec<_>>(), [QUOTES]);
    }
    drop(store);
    assert_eq!(opened(&disk.files()).unwrap(), 30);
}

/// It has the segments that it may have, and takes no more without a checkpoint.
#[test]
fn a_log_is_bounded_whoever_writes_checkpoints_or_not() {
    let disk = Disk::default().with_segments(320, 3);
    let mut store = disk.open().unwrap();
    let mut most = 0;
    for version in 1..=200 {
        store.commit(&[put("AAPL", version)], version).unwrap();
        most = most.max(disk.files().values().filter(|bytes| bytes.len() <= 320).count());
    }
    assert_eq!(most, 3);
    assert_eq!(opened(&disk.files()), Ok(200));
}

/// What the document draws, byte by byte.
#[test]
fn a_segment_is_what_the_document_draws() {
    let disk = Disk::default();
    let mut store = disk.open().unwrap();
    let gone: Symbol = "MSFT".parse().unwrap();
    store.commit(&[put("AAPL", 7), Write::Remove(gone)], 6).unwrap();
    let bytes = &disk.files()[LOGS[0]];

    let mut header = b"stockdlg".to_vec();
    header.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    header.extend(store.epoch().to_le_bytes());
    header.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    header.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    header.extend(xxh3_64(&header).to_le_bytes());
    assert_eq!(bytes[..48], header);

    let mut checked = vec![1, 0, 0, 0, 0, 0, 0, 0];
    checked.extend([6, 0, 0, 0, 0, 0, 0, 0]);
    checked.extend([4, 29]);
    checked.extend(b"AAPL");
    checked.extend([2, 0, 1, 0]);
    checked.extend([7, 0, 0, 0, 0, 0, 0, 0]);
    checked.extend([0; 8]);
    checked.extend([1, 25, 0, 0, 0, 0, 0, 0, 0]);
    checked.extend([4, 0]);
    checked.extend(b"MSFT");
    let key = xxh3_64(&[&store.epoch().to_le_bytes()[..], &1_u64.to_le_bytes()].concat());
    let mut batch = b"stkB".to_vec();
    batch.extend([73, 0, 0, 0]);
    batch.extend(xxh3_64_with_seed(&checked, key).to_le_bytes());
    batch.extend(checked);
    batch.extend([0; 7]);
    assert_eq!(bytes[48..48 + 80], batch);
    assert!(bytes[48 + 80..].iter().all(|byte| *byte == 0));
}
