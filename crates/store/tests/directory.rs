//! Data directories on a real disk: what is kept, who owns them, what is refused and why.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use stockd_model::{Price, Quote, Status, Symbol, Volume};
use stockd_store::{DataDir, Store, StoreError, Write, check, read};
use tempfile::TempDir;

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn quote(symbol: &str, version: u64) -> Quote {
    Quote {
        price: Price::new(version as i64 * 1_000_000_001, 9),
        volume: Some(Volume::new(version * 7)),
        status: if version.is_multiple_of(2) { Status::Halted } else { Status::Trading },
        version,
        updated_ns: version * 1000,
        ..Quote::new(symbol.parse().unwrap())
    }
}

fn load(data: &DataDir) -> (BTreeMap<Symbol, Quote>, u64) {
    let mut quotes = BTreeMap::new();
    let floor = data.load(|quote| {
        assert!(quotes.insert(quote.symbol, quote).is_none());
        ControlFlow::Continue(())
    });
    (quotes, floor.unwrap())
}

/// A copy of a directory, without its lock.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, content) in contents(from) {
        fs::write(to.join(name), content).unwrap();
    }
}

fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap()).filter(|name| name != "stockd.lock");
    names.map(|name| (name.clone(), fs::read(path.join(&name)).unwrap())).collect()
}

fn why(path: &Path) -> String {
    DataDir::open(path, true).unwrap_err().to_string()
}

#[test]
fn what_was_committed_is_there_again() {
    let home = home();
    let path = home.path().join("data");
    for sync in [true, false] {
        let mut data = DataDir::open(&path, sync).unwrap();
        data.commit(&[], 0).unwrap();
        for version in 1..=20 {
            let names: Vec<String> = (0..50).map(|number| format!("S {number}")).collect();
            let writes: Vec<Write> =
                names.iter().map(|name| Write::Put(quote(name, version))).collect();
            data.commit(&writes, 0).unwrap();
        }
        let gone = "S 7".parse().unwrap();
        data.commit(&[Write::Remove(gone), Write::Put(quote("牛来USDT", 3))], 21).unwrap();
        // A floor that goes back is none.
        data.commit(&[Write::Remove("never listed".parse().unwrap())], 4).unwrap();
        drop(data);

        let data = DataDir::open(&path, sync).unwrap();
        assert!(data.was_closed());
        assert_eq!(data.stocks(), 50);
        let (quotes, floor) = load(&data);
        assert_eq!((quotes.len(), floor), (50, 21));
        assert!(!quotes.contains_key(&gone));
        assert_eq!(quotes[&"S 8".parse().unwrap()], quote("S 8", 20));
        assert_eq!(quotes[&"牛来USDT".parse().unwrap()], quote("牛来USDT", 3));
        let mut seen = 0;
        data.load(|_| {
            seen += 1;
            if seen == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        assert_eq!(seen, 5);
        drop(data);
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn a_directory_has_one_owner_and_the_second_is_told_who_it_is() {
    let home = home();
    let path = home.path().join("data");
    let data = DataDir::open(&path, true).unwrap();
    let refused = DataDir::open(&path, true).unwrap_err();
    let pid = std::process::id();
    assert!(matches!(refused, StoreError::InUse { owner: Some(owner), .. } if owner == pid));
    assert_eq!(
        refused.to_string(),
        format!(
            "the data directory '{}' is in use by process {pid}; stop it or give another --data-dir",
            path.display()
        )
    );
    assert!(matches!(check(&path), Err(StoreError::InUse { owner: Some(_), .. })));
    drop(data);
    check(&path).unwrap();
    DataDir::open(&path, true).unwrap();
}

#[test]
fn what_a_crashed_owner_left_in_the_lock_file_keeps_nobody_out() {
    let home = home();
    let path = home.path().join("data");
    drop(DataDir::open(&path, true).unwrap());
    for stale in ["4194304\n", "", "rubbish", &"9".repeat(1000)] {
        fs::write(path.join("stockd.lock"), stale).unwrap();
        check(&path).unwrap();
        drop(DataDir::open(&path, true).unwrap());
    }
}

#[test]
fn a_directory_is_made_but_not_the_way_there_unless_asked() {
    let home = home();
    let path = home.path().join("a/b/data");
    assert_eq!(
        why(&path),
        format!(
            "cannot create the data directory '{}': '{}' does not exist; create it first, or give another --data-dir",
            path.display(),
            path.parent().unwrap().display()
        )
    );
    drop(DataDir::open_or_create_all(&path, true).unwrap());
    drop(DataDir::open(&path, true).unwrap());
    let missing = home.path().join("nothing");
    assert_eq!(
        check(&missing).unwrap_err().to_string(),
        format!(
            "the data directory '{}' does not exist; name the directory that a server was given as --data-dir",
            missing.display()
        )
    );
    assert!(!missing.exists());
    assert_eq!(
        check(home.path()).unwrap_err().to_string(),
        format!(
            "the data file '{}' does not exist; name the directory that a server was given as --data-dir",
            home.path().join("quotes.redb").display()
        )
    );
}

#[test]
fn a_file_is_no_directory() {
    let home = home();
    let path = home.path().join("data");
    fs::write(&path, "mine").unwrap();
    let text = format!("'{}' is not a directory; give another --data-dir", path.display());
    assert_eq!(why(&path), text);
    assert_eq!(check(&path).unwrap_err().to_string(), text);
    assert!(why(&path.join("data")).starts_with("cannot create the data directory"));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

/// Where not even root may make directories.
#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_cannot_be_made_is_named_with_the_remedy() {
    for open in [DataDir::open, DataDir::open_or_create_all] {
        let refused = open(Path::new("/sys/stockd"), true).unwrap_err();
        let text = refused.to_string();
        assert!(text.starts_with("cannot create the data directory '/sys/stockd': "), "{text}");
        let remedies =
            ["let the user of the server write there", "mount the file system for writing"];
        assert!(remedies.iter().any(|remedy| text.ends_with(remedy)), "{text}");
    }
}

#[test]
fn a_file_of_somebody_else_is_left_alone() {
    let home = home();
    let path = home.path().join("data");
    fs::create_dir(&path).unwrap();
    let file = path.join("quotes.redb");
    for content in ["SQLite format 3\0 and so on".as_bytes(), b"x", &[0; 100_000]] {
        fs::write(&file, content).unwrap();
        assert_eq!(
            why(&path),
            format!(
                "'{}' is not a data file of stockd: it does not begin like one; move it away or give another --data-dir",
                file.display()
            )
        );
        assert!(matches!(check(&path), Err(StoreError::Foreign { .. })));
        assert_eq!(fs::read(&file).unwrap(), content);
    }

    // What some file systems leave of a file after a failure of the power.
    fs::write(&file, "").unwrap();
    let emptied = why(&path);
    assert!(emptied.contains("is damaged: it is empty; restore it"), "{emptied}");
    assert_eq!(check(&path).unwrap_err().to_string(), emptied);

    fs::remove_file(&file).unwrap();
    drop(redb::Database::create(&file).unwrap());
    assert!(why(&path).contains("it is a database of something else"), "{}", why(&path));
    let other = redb::Database::create(&file).unwrap();
    let commit = other.begin_write().unwrap();
    commit.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).unwrap();
    commit.commit().unwrap();
    drop(other);
    assert!(why(&path).contains("it is a database of something else"), "{}", why(&path));
    assert!(matches!(check(&path), Err(StoreError::Foreign { .. })));
}

/// Changes a file as no stockd does.
fn tamper(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = redb::Database::open(path.join("quotes.redb")).unwrap();
    let commit = database.begin_write().unwrap();
    change(&commit);
    commit.commit().unwrap();
}

const QUOTES: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("stockd.quotes");
const META: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("stockd.meta");

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    let home = home();
    let path = home.path().join("data");
    drop(DataDir::open(&path, true).unwrap());
    tamper(&path, |commit| drop(commit.open_table(META).unwrap().insert("format", 7).unwrap()));
    assert_eq!(
        why(&path),
        format!(
            "the data file '{}' has format 7, and this stockd reads formats up to 3; use a newer stockd",
            path.join("quotes.redb").display()
        )
    );
    assert!(matches!(check(&path), Err(StoreError::NewerFormat { found: 7, supported: 3, .. })));
}

#[test]
fn a_directory_keeps_its_epoch_and_one_without_gets_one() {
    let home = home();
    let [path, other] = ["data", "other"].map(|name| home.path().join(name));
    let epoch = |path: &Path| DataDir::open(path, true).unwrap().epoch();
    let first = epoch(&path);
    assert_eq!(epoch(&path), first);
    assert_ne!(epoch(&other), first);
    tamper(&path, |commit| drop(commit.open_table(META).unwrap().remove("epoch").unwrap()));
    check(&path).unwrap();
    let second = epoch(&path);
    assert_ne!(second, first);
    assert_eq!(epoch(&path), second);
}

#[test]
fn a_version_floor_that_no_stock_can_have_had_is_damage() {
    let home = home();
    let path = home.path().join("data");
    drop(DataDir::open(&path, true).unwrap());
    let floor = "version_floor";
    tamper(&path, |commit| {
        drop(commit.open_table(META).unwrap().insert(floor, 1 << 62).unwrap());
    });
    let refused = why(&path);
    assert!(refused.contains("its version_floor is 4611686018427387904, above"), "{refused}");
    tamper(&path, |commit| drop(commit.open_table(META).unwrap().remove(floor).unwrap()));
    assert!(why(&path).contains("it has no version_floor"), "{}", why(&path));
}

#[test]
fn records_that_are_no_quotes_are_named() {
    let home = home();
    let path = home.path().join("data");
    let mut data = DataDir::open(&path, true).unwrap();
    data.commit(&[Write::Put(quote("AAPL", 3)), Write::Put(quote("MSFT", 1))], 9).unwrap();
    drop(data);
    let report = check(&path).unwrap();
    assert!(report.is_whole() && report.was_closed);
    assert_eq!((report.stocks, report.version_max, report.version_floor), (2, 3, 9));
    assert_eq!(report.file_bytes, fs::metadata(&report.file).unwrap().len());

    tamper(&path, |commit| {
        let mut quotes = commit.open_table(QUOTES).unwrap();
        quotes.insert(b"BAD\n".as_slice(), [1; 34].as_slice()).unwrap();
        quotes.insert(" 牛来USDT".as_bytes(), [1; 34].as_slice()).unwrap();
        for number in 0..20 {
            let key = format!("X{number:02}");
            quotes.insert(key.as_bytes(), [1; 33].as_slice()).unwrap();
        }
    });
    let report = check(&path).unwrap();
    assert!(!report.is_whole());
    assert_eq!((report.stocks, report.damaged, report.damaged_records.len()), (2, 22, 10));
    let text = report.to_string();
    assert!(text.contains(r"'BAD\n': its key is not a symbol in its canonical form"), "{text}");
    assert!(text.contains("' 牛来USDT': its key is not"), "{text}");
    assert!(text.contains("'X07': it has 33 bytes, too few or too many"), "{text}");

    let data = DataDir::open(&path, true).unwrap();
    let refused = data.load(|_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(refused.contains("is damaged: the record of ' 牛来USDT': its key"), "{refused}");
}

#[test]
fn a_check_changes_nothing_even_where_the_next_start_will() {
    let home = home();
    let path = home.path().join("data");
    let mut data = DataDir::open(&path, true).unwrap();
    data.commit(&[Write::Put(quote("AAPL", 3))], 0).unwrap();
    // As a crash would leave it: copied while it is open, between two commits.
    let crashed = home.path().join("crashed");
    copy(&path, &crashed);
    drop(data);

    for (path, was_closed) in [(&path, true), (&crashed, false)] {
        let before = contents(path);
        let report = check(path).unwrap();
        assert_eq!((report.was_closed, report.stocks), (was_closed, 1));
        assert_eq!(report.log.segments, usize::from(!was_closed));
        let mut quotes = Vec::new();
        read(path, |quote| {
            quotes.push(quote);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(quotes, [quote("AAPL", 3)]);
        assert_eq!(contents(path), before);
        let data = DataDir::open(path, true).unwrap();
        assert_eq!(data.was_closed(), was_closed);
        assert_eq!(load(&data).0.len(), 1);
    }
    assert!(!crashed.join("quotes.redb.new").exists());
}

/// A copy that is made while it is open has what the system has, as after `kill -9`. With redb's own
/// commits without durability it has not: this is why they are not used.
#[test]
fn without_syncing_commits_are_with_the_system() {
    let home = home();
    let path = home.path().join("data");
    let mut data = DataDir::open(&path, false).unwrap();
    data.commit(&[Write::Put(quote("AAPL", 3))], 0).unwrap();
    let killed = home.path().join("killed");
    copy(&path, &killed);
    let left = DataDir::open(&killed, false).unwrap();
    assert!(!left.was_closed());
    assert_eq!(left.stocks(), 1);
    drop((data, left));

    let database = redb::Database::open(path.join("quotes.redb")).unwrap();
    let mut commit = database.begin_write().unwrap();
    commit.set_durability(redb::Durability::None).unwrap();
    drop(commit.open_table(QUOTES).unwrap().remove(b"AAPL".as_slice()).unwrap());
    commit.commit().unwrap();
    fs::copy(path.join("quotes.redb"), killed.join("quotes.redb")).unwrap();
    assert_eq!(DataDir::open(&killed, false).unwrap().stocks(), 1);
    drop(database);
    assert_eq!(DataDir::open(&path, false).unwrap().stocks(), 0);
}

#[test]
fn what_a_crash_left_of_making_it_is_made_anew() {
    let home = home();
    let path = home.path().join("data");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("quotes.redb.new"), "half a database").unwrap();
    let data = DataDir::open(&path, true).unwrap();
    assert_eq!(data.stocks(), 0);
    assert!(!path.join("quotes.redb.new").exists());
}

/// The file is written again page by page as commits go on, and pages that are free are used again.
#[test]
fn the_file_does_not_grow_with_the_number_of_commits() {
    let home = home();
    let mut data = DataDir::open(&home.path().join("data"), false).unwrap();
    let names: Vec<String> = (0..2000).map(|number| format!("STOCK{number}")).collect();
    let mut sizes = Vec::new();
    for version in 1..=120 {
        for names in names.chunks(500) {
            let writes: Vec<Write> =
                names.iter().map(|name| Write::Put(quote(name, version))).collect();
            data.commit(&writes, 0).unwrap();
        }
        sizes.push(fs::metadata(data.file()).unwrap().len());
    }
    assert!(sizes[119] <= sizes[19], "{sizes:?}");
}
