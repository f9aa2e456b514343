//! What goes wrong with a data directory, and what is said of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::server::{Server, serve, stockd, within};

/// Runs a command that must fail: the one line that it says.
fn complaint(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let text = String::from_utf8(output.stderr).unwrap();
    let (line, rest) = text.split_once('\n').unwrap();
    assert_eq!(rest, "", "more than one line");
    line.strip_prefix("stockd: ").unwrap().to_owned()
}

fn check(dir: &Path) -> Command {
    stockd(["check".as_ref(), dir.as_os_str()])
}

/// What `stockd check` prints, and whether it is content.
fn checked(dir: &Path) -> (bool, String) {
    let output = check(dir).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_directory_has_one_owner_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let server = Server::start(&dir, &[]);
    let expected = format!(
        "the data directory '{}' is in use by process {}; stop it or give another --data-dir",
        dir.display(),
        server.process_id()
    );
    assert_eq!(complaint(&mut stockd(serve(&dir))), expected);
    assert!(complaint(&mut check(&dir)).contains("is in use by process"));
    assert_eq!(server.connect().ask("HSET A price 1"), ":1");
    server.kill();
    // The lock ends with its owner, however it ended.
    let server = Server::start(&dir, &[]);
    assert_eq!(server.connect().ask("DBSIZE"), ":1");
}

#[test]
fn what_cannot_be_a_data_directory_is_named_with_the_remedy() {
    let home = tempfile::tempdir().unwrap();
    let serve_in = |dir: &Path| complaint(&mut stockd(serve(dir)));

    let why = serve_in(&home.path().join("unmounted/data"));
    assert!(why.contains("unmounted' does not exist; create it first"), "{why}");
    let why = complaint(&mut check(&home.path().join("nowhere")));
    assert!(why.contains("nowhere' does not exist; name the directory"), "{why}");

    let file = home.path().join("file");
    fs::write(&file, "a file").unwrap();
    assert!(serve_in(&file).ends_with("file' is not a directory; give another --data-dir"));

    let foreign = home.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("quotes.redb"), "somebody else's file".repeat(1000)).unwrap();
    for why in [serve_in(&foreign), complaint(&mut check(&foreign))] {
        assert!(why.contains("is not a data file of stockd"), "{why}");
    }
    let untouched = fs::read_to_string(foreign.join("quotes.redb")).unwrap();
    assert_eq!(untouched, "somebody else's file".repeat(1000));
}

#[test]
fn a_damaged_file_is_not_served() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let server = Server::start(&dir, &[]);
    let mut connection = server.connect();
    let listings: String =
        (0..1000).map(|i| format!("HSET S{i} price {}\r\n", i + 1)).collect::<Vec<_>>().concat();
    connection.send(&listings).unwrap();
    (0..1000).for_each(|_| assert_eq!(connection.line().as_deref(), Some(":1")));
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    let (whole, report) = checked(&dir);
    assert!(whole && report.contains("stocks    1000\n"), "{report}");

    let file = dir.join("quotes.redb");
    let mut bytes = fs::read(&file).unwrap();
    // In the middle of a record: the name is there once in the live pages, or more often.
    let name = b"S777";
    let at: Vec<usize> = (0..bytes.len() - 4).filter(|&at| &bytes[at..at + 4] == name).collect();
    assert!(!at.is_empty());
    at.into_iter().for_each(|at| bytes[at] ^= 1);
    fs::write(&file, bytes).unwrap();
    for why in [complaint(&mut stockd(serve(&dir))), complaint(&mut check(&dir))] {
        assert!(why.contains("quotes.redb' is damaged: "), "{why}");
        assert!(why.contains("restore it from a backup"), "{why}");
    }
}

/// The log of a server that was killed has what was acknowledged, for a start, a check and an export alike.
/// Damage in its middle is told; a segment that is missing is missed.
#[test]
fn a_directory_is_read_with_its_log() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let server = Server::start(&dir, &[]);
    let mut connection = server.connect();
    for stock in 0..20 {
        assert_eq!(connection.ask(&format!("HSET S{stock} price {}.5", stock + 1)), ":1");
    }
    assert_eq!(connection.ask("DEL S3"), ":1");
    let export = || {
        let args = ["export", "--data-dir", dir.to_str().unwrap(), "--format", "jsonl", "-"];
        stockd(args)
    };
    assert!(complaint(&mut export()).contains("is in use by process"));
    server.kill();

    let (whole, report) = checked(&dir);
    assert!(whole && report.contains("stocks    19\n"), "{report}");
    assert!(report.contains("bytes behind the checkpoint, segments: 1\n"), "{report}");
    let exported = String::from_utf8(export().output().unwrap().stdout).unwrap();
    assert_eq!(exported.lines().count(), 19, "{exported}");
    assert!(exported.contains(r#"{"symbol":"S19","price":"20.5""#), "{exported}");

    let log = dir.join("quotes.00000001.log");
    let bytes = fs::read(&log).unwrap();
    let mut damaged = bytes.clone();
    let at = bytes.windows(2).position(|two| two == b"S7").unwrap();
    damaged[at] ^= 1;
    fs::write(&log, damaged).unwrap();
    let refusals = || [complaint(&mut stockd(serve(&dir))), complaint(&mut check(&dir))];
    for why in refusals() {
        assert!(why.contains("quotes.00000001.log' is damaged: its batch at byte "), "{why}");
        assert!(why.contains("restore it from a backup"), "{why}");
    }
    fs::remove_file(&log).unwrap();
    for why in refusals() {
        assert!(why.contains("quotes.00000001.log' is damaged: it is missing;"), "{why}");
    }
    fs::write(&log, bytes).unwrap();
    let server = Server::start(&dir, &[]);
    assert_eq!(server.connect().ask("DBSIZE"), ":19");
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    let (whole, report) = checked(&dir);
    assert!(whole && report.contains("log       none\nstocks    19\n"), "{report}");
}

/// The system gives the server no more room, as on a full disk, until the next start.
#[test]
fn on_a_full_disk_lookups_go_on_and_nothing_acknowledged_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    // No file may grow beyond 400 KiB; without the trap the first attempt would end the process.
    let limited = r#"trap "" XFSZ; ulimit -f 400; exec "$@""#;
    let mut command = within(limited, &stockd(serve(&dir)));
    let server = Server::spawn(&mut command);
    let mut connection = server.connect();

    let mut kept = 0;
    let refused = loop {
        assert!(kept < 100_000, "the disk is never full");
        let reply = connection.ask(&format!("HSET S{kept} price 1 volume 1"));
        match reply.as_str() {
            ":2" => kept += 1,
            _ => break reply,
        }
    };
    assert!(refused.starts_with("-MISCONF the write was not kept: cannot write to"), "{refused}");
    assert!(refused.ends_with(", then send the server SIGHUP"), "{refused}");
    assert!(kept > 100, "{kept}");

    let mut other = server.connect();
    let refused = other.ask("HINCRBY S1 volume -1");
    assert!(refused.starts_with("-MISCONF the catalog is read-only: "), "{refused}");
    assert_eq!(other.parts("MGET S1 S2"), ["1", "1"]);
    assert_eq!(other.ask("DBSIZE"), format!(":{kept}"));
    other.send("INFO persistence\r\n").unwrap();
    let mut info = std::iter::from_fn(|| other.line());
    let read_only = info.find(|line| line.starts_with("read_only:"));
    assert_eq!(read_only.as_deref(), Some("read_only:1"));

    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(1), "{log}");
    assert_eq!(log.matches("read-only from now on").count(), 1, "{log}");

    // There is room again.
    let server = Server::start(&dir, &[]);
    let mut connection = server.connect();
    let listed: u64 = connection.ask("DBSIZE").trim_start_matches(':').parse().unwrap();
    // The one that was refused may have reached the disk all the same.
    assert!(listed == kept || listed == kept + 1, "{listed} of {kept}");
    for stock in 0..kept {
        assert_eq!(connection.parts(&format!("MGET S{stock}")), ["1"], "S{stock}");
    }
    assert_eq!(connection.ask("HINCRBY S1 volume -1"), ":0");
}

#[test]
fn a_catalog_file_lists_what_the_directory_does_not_know() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let file = home.path().join("stocks.csv");
    fs::write(&file, "symbol,price,volume\nA,1,1\nB,2,2\n").unwrap();
    let catalog = ["--catalog", file.to_str().unwrap(), "--log", "info"];
    let server = Server::start(&dir, &catalog);
    let mut connection = server.connect();
    assert_eq!(connection.ask("SET A 9"), "+OK");
    let (_, log) = server.stop();
    assert!(log.contains("new=2 known=0"), "{log}");

    fs::write(&file, "symbol,price,volume\nA,1,1\nB,2,2\nC,3,3\n").unwrap();
    let server = Server::start(&dir, &catalog);
    let mut connection = server.connect();
    assert_eq!(connection.parts("MGET A B C"), ["9", "2", "3"]);
    // Versions go on where they were.
    assert_eq!(connection.parts("HMGET A version price"), ["2", "9"]);
    assert_eq!(connection.ask("SET A 10"), "+OK");
    assert_eq!(connection.parts("HMGET A version price"), ["3", "10"]);
    let (_, log) = server.stop();
    assert!(log.contains("new=1 known=2"), "{log}");
    let (whole, report) = checked(&dir);
    assert!(whole && report.contains("closed    yes\n"), "{report}");
}

#[test]
fn nothing_is_kept_of_an_ephemeral_server() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let server = Server::start(&dir, &["--ephemeral"]);
    assert_eq!(server.connect().ask("HSET A price 1"), ":1");
    let (status, log) = server.stop();
    assert!(status.success() && log.contains("is not used, nothing is kept"), "{log}");
    assert!(!dir.exists());
}

/// As for a user who has just installed it.
#[test]
fn without_a_name_the_directory_is_in_the_usual_place() {
    let home = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = stockd(["serve", "--line", "off", "--resp", "127.0.0.1:0"]);
        command.env_remove("STATE_DIRECTORY").env_remove("XDG_STATE_HOME");
        Server::spawn(command.env("HOME", home.path()).env("STOCKD_LOG", "info"))
    };
    let server = start();
    assert_eq!(server.connect().ask("HSET A price 1"), ":1");
    let (_, log) = server.stop();
    let usual = home.path().join(".local/state/stockd");
    assert!(log.contains(usual.to_str().unwrap()), "{log}");
    assert!(usual.join("quotes.redb").exists());
    assert_eq!(start().connect().ask("DBSIZE"), ":1");
}
