//! A data directory that somebody moves, deletes or replaces under its owner, and who else may use
//! what lies in it.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use stockd_model::{Price, Quote, Volume};
use stockd_store::{DataDir, Found, Store, StoreError, Write};

fn put(version: u64) -> [Write; 1] {
    [Write::Put(Quote {
        price: Some(Price::MIN),
        volume: Some(Volume::new(1)),
        version,
        updated_ns: 1,
        ..Quote::new("AAPL".parse().unwrap())
    })]
}

/// What somebody does to a data directory, and what is said of it.
type Mischief = (fn(&Path), &'static str);

const MISCHIEFS: [Mischief; 10] = [
    (|data| fs::rename(data, data.with_extension("old")).unwrap(), "was moved or deleted"),
    (|data| fs::remove_dir_all(data).unwrap(), "was moved or deleted"),
    (
        |data| {
            fs::rename(data, data.with_extension("old")).unwrap();
            copy(&data.with_extension("old"), data);
        },
        "was replaced by another",
    ),
    (
        |data| {
            fs::rename(data, data.with_extension("old")).unwrap();
            fs::write(data, "a file").unwrap();
        },
        "was replaced by another",
    ),
    (
        // The very same file, under the same name, in another directory.
        |data| {
            let old = data.with_extension("old");
            fs::rename(data, &old).unwrap();
            fs::create_dir(data).unwrap();
            fs::hard_link(old.join("quotes.redb"), data.join("quotes.redb")).unwrap();
        },
        "was replaced by another",
    ),
    (|data| fs::remove_file(data.join("quotes.redb")).unwrap(), "has lost its quotes.redb"),
    (
        |data| fs::rename(data.join("quotes.redb"), data.join("quotes.bak")).unwrap(),
        "has lost its quotes.redb",
    ),
    (
        // A backup is put in place, as an editor or `cp` after `rm` would.
        |data| {
            fs::copy(data.join("quotes.redb"), data.join("backup")).unwrap();
            fs::rename(data.join("backup"), data.join("quotes.redb")).unwrap();
        },
        "has another quotes.redb than the open one",
    ),
    (
        |data| fs::remove_file(data.join("quotes.00000001.log")).unwrap(),
        "has lost its quotes.00000001.log",
    ),
    (
        |data| {
            fs::copy(data.join("quotes.00000001.log"), data.join("backup")).unwrap();
            fs::rename(data.join("backup"), data.join("quotes.00000001.log")).unwrap();
        },
        "has another quotes.00000001.log than the open one",
    ),
];

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn nothing_is_acknowledged_once_the_directory_is_not_where_it_was() {
    for (number, (mischief, what)) in MISCHIEFS.into_iter().enumerate() {
        for looks_first in [false, true] {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("data");
            let mut data = DataDir::open(&path, true).unwrap();
            data.commit(&put(1), 0).unwrap();
            data.verify_place().unwrap();
            mischief(&path);
            let looked = match looks_first {
                true => data.verify_place(),
                false => data.commit(&put(2), 0),
            };
            let why = looked.unwrap_err();
            assert!(matches!(why, StoreError::Displaced { .. }), "{number}: {why}");
            let expected = format!(
                "the data directory '{}' {what}, so writes would be lost; export the catalog, put \
                 the directory back, then send the server SIGHUP",
                path.display()
            );
            assert_eq!(why.to_string(), expected, "{number}");
            // It stays so, whatever is put there.
            assert_eq!(data.commit(&put(3), 0).unwrap_err().to_string(), expected);
            assert_eq!(data.verify_place().unwrap_err().to_string(), expected);
        }
    }
}

#[test]
fn a_directory_that_comes_back_has_all_that_was_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let (path, away) = (home.path().join("data"), home.path().join("away"));
    let mut data = DataDir::open(&path, true).unwrap();
    data.commit(&put(7), 0).unwrap();
    fs::rename(&path, &away).unwrap();
    data.verify_place().unwrap_err();
    fs::rename(&away, &path).unwrap();
    data.commit(&put(8), 0).unwrap_err();
    drop(data);
    let data = DataDir::open(&path, true).unwrap();
    let mut versions = Vec::new();
    data.load(|quote| {
        versions.push(quote.version);
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(versions, [7]);
}

#[test]
fn a_path_that_leads_there_over_a_link_is_the_same_place() {
    let home = tempfile::tempdir().unwrap();
    let (path, link) = (home.path().join("data"), home.path().join("link"));
    fs::create_dir(&path).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let mut data = DataDir::open(&link, true).unwrap();
    data.commit(&put(1), 0).unwrap();
    // What counts is what the name that was given leads to.
    fs::remove_file(&link).unwrap();
    assert!(data.commit(&put(2), 0).unwrap_err().to_string().contains("was moved or deleted"));
}

#[test]
fn what_was_there_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data");
    let found = || DataDir::open(&path, true).unwrap().found();
    assert_eq!(found(), Found::Nothing);
    assert_eq!(found(), Found::Data);
    fs::remove_file(path.join("quotes.redb")).unwrap();
    assert_eq!(found(), Found::LockAlone);
    assert_eq!(found(), Found::Data);
    // What a crash leaves of a first start is no loss.
    fs::rename(path.join("quotes.redb"), path.join("quotes.redb.new")).unwrap();
    assert_eq!(found(), Found::Nothing);
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_is_made_is_for_its_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a/b/data");
    let mut data = DataDir::open_or_create_all(&path, true).unwrap();
    data.commit(&put(1), 0).unwrap();
    for directory in ["a", "a/b", "a/b/data"] {
        assert_eq!(mode(&home.path().join(directory)), 0o700, "{directory}");
    }
    for file in ["stockd.lock", "quotes.redb", "quotes.00000001.log"] {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
    assert_eq!(data.exposed(), []);
    let log = path.join("quotes.00000001.log");
    fs::set_permissions(&log, Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
    let told: Vec<_> = data.exposed().into_iter().map(|exposed| exposed.path).collect();
    assert_eq!(told, [log]);
}

#[test]
fn what_others_may_use_is_left_and_named() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data");
    drop(DataDir::open(&path, true).unwrap());
    let exposed = |directory: u32, lock: u32, data: u32| {
        for (name, mode) in [("", directory), ("stockd.lock", lock), ("quotes.redb", data)] {
            fs::set_permissions(path.join(name), Permissions::from_mode(mode)).unwrap();
        }
        let opened = DataDir::open(&path, true).unwrap();
        assert_eq!(
            (mode(&path), mode(&path.join("stockd.lock")), mode(&path.join("quotes.redb"))),
            (directory, lock, data)
        );
        let told = opened.exposed().into_iter().map(|exposed| exposed.to_string());
        told.map(|text| text.replace(path.to_str().unwrap(), "DIR")).collect::<Vec<_>>()
    };
    assert_eq!(exposed(0o700, 0o600, 0o600), [""; 0]);
    // No other gets in.
    assert_eq!(exposed(0o700, 0o666, 0o644), [""; 0]);
    // The names alone.
    assert_eq!(exposed(0o755, 0o600, 0o600), [""; 0]);
    assert_eq!(
        exposed(0o755, 0o644, 0o664),
        [
            "other users may read 'DIR/stockd.lock' (mode 0644)",
            "other users may write to 'DIR/quotes.redb' (mode 0664)",
        ]
    );
    assert_eq!(exposed(0o777, 0o600, 0o600), ["other users may write to 'DIR' (mode 0777)"]);
}

/// What lies in a directory that has taken the place of the open one is left alone, whatever is done.
#[test]
fn a_directory_in_its_place_is_not_touched() {
    let home = tempfile::tempdir().unwrap();
    let (path, away) = (home.path().join("data"), home.path().join("away"));
    let mut data = DataDir::open(&path, true).unwrap();
    data.commit(&put(1), 0).unwrap();
    fs::rename(&path, &away).unwrap();
    copy(&away, &path);
    let contents = |path: &Path| {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    };
    let before = contents(&path);
    data.close().unwrap();
    drop(data);
    assert_eq!(contents(&path), before);
    // And all that was acknowledged is in the one that was moved.
    assert_eq!(DataDir::open(&away, true).unwrap().stocks(), 1);
}

/// Another checkpoint is put in place of the open one while a checkpoint is written: the log stays.
#[test]
fn the_log_is_not_let_go_for_a_checkpoint_that_is_not_found() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data");
    let mut data = DataDir::open(&path, false).unwrap();
    data.commit(&put(1), 0).unwrap();
    let backup = fs::read(path.join("quotes.redb")).unwrap();
    let mut version = 1;
    while data.log().bytes < backup.len() as u64 {
        version += 1;
        data.commit(&put(version), 0).unwrap();
    }
    let checkpoint = data.begin_checkpoint(true).expect("the log is larger than the checkpoint");
    let written = checkpoint.write();
    fs::remove_file(path.join("quotes.redb")).unwrap();
    fs::write(path.join("quotes.redb"), backup).unwrap();
    let why = data.end_checkpoint(written).unwrap_err().to_string();
    assert!(why.contains("has another quotes.redb than the open one"), "{why}");
    drop(data);
    assert!(path.join("quotes.00000001.log").exists());
    DataDir::open(&path, true).unwrap();
}
