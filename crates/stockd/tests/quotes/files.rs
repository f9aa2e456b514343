//! `stockd import`, `export` and `replay`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::server::{PATIENCE, Running, Server};

/// A directory with one file of this name and text.
fn file(name: &str, text: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

const STOCKS: &str = "symbol,price,volume,status\n\
    \"A,\"\"B\"\"\",1,0,halted\n\
    BRK/A,743500.000000001,5,trading\n\
    BTC-IRR,19000000000,0.000000000000000001,trading\n\
    CL,-37.63,92621.807321,trading\n\
    DUST,0.000000000000000001,,trading\n\
    EURUSD,0.30000000000000004,,halted\n\
    MINUS,-1,,trading\n\
    NA,0.0005,18446744073709551615,trading\n\
    PEPE,0.000000000072377,1000000000000,trading\n\
    ZERO,0,,trading\n\
    牛来USDT,9223372036854775807,1,trading\n";

#[test]
fn what_is_exported_in_any_format_imports_as_the_same_catalog() {
    let (dir, stocks) = file("stocks.csv", STOCKS);
    let first = Server::start();
    assert_eq!(first.out(&["import", &stocks]), "11 listed, 0 updated\n");
    assert_eq!(first.out(&["export", "-"]), STOCKS);
    // What is as the file says is not written: no version goes up.
    let mut watch = Running::start(first.command(&["watch", "NA", "--count", "2"]));
    let before = watch.line();
    assert!(before.contains(r#""version":1,"#), "{before}");
    assert_eq!(first.out(&["import", &stocks]), "0 listed, 0 updated, 11 unchanged\n");
    let (_other, changed) = file("stocks.csv", "symbol,price\nCL,-37.64\nZERO,0\n");
    let outcome = first.out(&["import", &changed]);
    assert_eq!(outcome, "0 listed, 1 updated, 1 unchanged\n");
    first.out(&["set", "CL", "--price", "-37.63", "--volume", "92621.807321"]);
    first.out(&["set", "NA", "--price", "0.0005"]);
    assert!(watch.line().contains(r#""version":2,"#));
    let jsonl = first.out(&["export", "-", "--format", "jsonl"]);
    assert_eq!(
        jsonl.lines().next(),
        Some(r#"{"symbol":"A,\"B\"","price":"1","volume":"0","status":"halted"}"#)
    );
    assert!(
        jsonl.contains("{\"symbol\":\"ZERO\",\"price\":\"0\",\"status\":\"trading\"}\n"),
        "{jsonl}"
    );
    for name in ["out.csv", "out.jsonl", "out.ndjson.gz", "out.csv.gz"] {
        let path = dir.path().join(name);
        // It takes the place of what is there.
        fs::write(&path, "old").unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(first.out(&["export", path]), "11 stocks exported\n");
        let second = Server::start();
        assert_eq!(second.out(&["import", path]), "11 listed, 0 updated\n", "{name}");
        assert_eq!(second.out(&["export", "-"]), STOCKS, "{name}");
    }
    let left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "{left:?}");
}

#[test]
fn an_export_for_a_spreadsheet_has_no_formulas() {
    let formulas = "symbol,price,volume,status\n\
        +1,2,1,trading\n\
        -1,2,1,trading\n\
        \"=HYPERLINK(\"\"http://x\"\")\",2,1,trading\n\
        @A,2,1,trading\n\
        A=1,2,1,trading\n";
    let (_dir, stocks) = file("stocks.csv", formulas);
    let server = Server::start();
    assert_eq!(server.out(&["import", &stocks]), "5 listed, 0 updated\n");
    // For stockd itself every symbol stays as it is.
    assert_eq!(server.out(&["export", "-"]), formulas);
    let safe = "symbol,price,volume,status\n\
        '+1,2,1,trading\n\
        '-1,2,1,trading\n\
        \"'=HYPERLINK(\"\"http://x\"\")\",2,1,trading\n\
        '@A,2,1,trading\n\
        A=1,2,1,trading\n";
    assert_eq!(server.out(&["export", "-", "--spreadsheet-safe"]), safe);
    let (code, _, err) = server.run(&["export", "-", "--format", "jsonl", "--spreadsheet-safe"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("--spreadsheet-safe is for CSV"), "{err}");
}

#[test]
fn a_catalog_of_many_pages_is_exported_whole_and_sorted() {
    let mut text = "symbol,price,volume,status\n".to_owned();
    (10_000..30_000).for_each(|i| text.push_str(&format!("S{i},{i},1,trading\n")));
    let (_dir, stocks) = file("stocks.csv", &text);
    let server = Server::start();
    assert_eq!(server.out(&["import", &stocks]), "20000 listed, 0 updated\n");
    assert!(server.out(&["export", "-"]) == text, "not what was imported");
}

#[test]
fn a_bad_row_stops_an_import_unless_it_may_be_skipped() {
    let (_dir, stocks) = file("stocks.csv", "symbol,price,volume\nA,1,1\nB,1%,1\nC,1,1\n");
    let server = Server::start();
    let (code, out, err) = server.run(&["import", &stocks]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let lines: Vec<&str> = err.lines().collect();
    assert!(
        lines[0].starts_with(&format!("stockd: {stocks}:3:price: '1%' is not a price")),
        "{err}"
    );
    assert_eq!(
        lines[1..],
        [
            "stockd: 1 bad row in all, nothing is imported; correct them, or skip them with --lenient"
        ]
    );
    assert_eq!(server.stocks(), [""; 0]);

    let (code, out, err) = server.run(&["import", "--lenient", &stocks]);
    assert_eq!((code, out.as_str()), (Some(0), "2 listed, 0 updated\n"));
    assert!(err.ends_with("stockd: skipped 1 bad row in all\n"), "{err}");
}

#[test]
fn files_that_cannot_be_are_named() {
    let server = Server::start();
    let (dir, text) = file("stocks.txt", STOCKS);
    let no_dir = dir.path().join("no/such.csv");
    let no_dir = no_dir.to_str().unwrap();
    let a_dir = dir.path().join("dir.csv");
    fs::create_dir(&a_dir).unwrap();
    for (args, code, error) in [
        (&["import", "--columns", "ticker=A", &text][..], 2, "'ticker' is no field"),
        (&["import", "--format", "xml", &text], 2, "xml"),
        (&["import", "--encoding", "x", &text], 2, "no such encoding"),
        (&["import", no_dir], 1, "cannot read catalog"),
        (&["export", &text], 2, "give --format"),
        (&["export", no_dir], 1, "cannot write"),
        (&["export", a_dir.to_str().unwrap()], 1, "it is there and no file"),
        (&["export", "-", "--format", "xml"], 2, "xml"),
        (&["replay", &text], 1, "column 'time' is missing"),
        (&["replay", "--format", "jsonl", &text], 2, "a file of updates is CSV"),
        (&["replay", "--loop", "-"], 2, "a pipe cannot be read again"),
        (&["replay", no_dir], 1, "cannot read"),
        (&["replay", "x.csv", "--speed", "fast"], 2, "10x"),
        (&["replay", "x.csv", "--rate", "0"], 2, "0"),
        (&["replay", "x.csv", "--speed", "2x", "--rate", "5"], 2, "--rate"),
    ] {
        let (exit, out, err) = server.run(args);
        assert_eq!((exit, out.as_str()), (Some(code), ""), "{args:?}: {err}");
        assert!(err.starts_with("stockd: ") && err.contains(error), "{args:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
    }
}

const UPDATES: &str = "time,op,symbol,price,volume\n\
    2026-08-11,add,A,1,10\n\
    2026-08-11,set,B,2,20\n\
    2026-08-12T00:00:00Z,set,A,1.5,\n\
    1786492800,del,B,,\n\
    1786492800000000000,del,C,,\n";

#[test]
fn updates_are_replayed_in_their_order_at_any_pace() {
    let (_dir, updates) = file("updates.csv", UPDATES);
    for pace in [&["--speed", "max"][..], &["--speed", "86400000x"], &["--rate", "1000"]] {
        let server = Server::start();
        let out = server.out(&[&["replay", &updates], pace].concat());
        let summary = ": 2 listed, 1 updated, 1 delisted, 1 to delist that were not listed\n";
        assert!(out.starts_with("5 updates in ") && out.ends_with(summary), "{pace:?}: {out}");
        assert_eq!(server.stocks(), ["A,1.5,10,trading"]);
    }
}

/// As fast as nothing is: every update is late but the first ones.
#[test]
fn a_replay_that_falls_behind_says_so() {
    let server = Server::start();
    let mut updates = "time,symbol,price\n".to_owned();
    for number in 0..300_000 {
        updates += &format!("2026-08-11,S{},{}\n", number % 100, 1 + number % 7);
    }
    let (_dir, updates) = file("updates.csv", &updates);
    let (code, out, err) = server.run(&["replay", &updates, "--rate", "4294967295"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("300000 updates in "), "{out}");
    let last = err.lines().last().unwrap_or_default();
    assert!(last.starts_with("stockd: fell behind: the last update was done "), "{err}");
    assert!(last.ends_with(" updates a second of the 4294967295 that were asked for"), "{err}");
    let (_, _, err) = server.run(&["replay", &updates, "--speed", "max"]);
    assert_eq!(err, "", "what is to be as fast as it can is never late");
}

/// Runs a command with this on its standard input.
fn piped(server: &Server, args: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let command = server.command(args);
    let mut command = assert_cmd::Command::from_std(command);
    let output = command.write_stdin(input).timeout(PATIENCE).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_pipe_takes_every_format() {
    let server = Server::start();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"symbol\tprice\nC\t1.5\n").unwrap();
    let gzip = gzip.finish().unwrap();
    for (name, input) in [
        ("-", &b"Symbol,Price\nA,\"$1,234.50\"\n"[..]),
        ("/dev/stdin", b"{\"symbol\":\"B\",\"price\":\"1.5\"}\n"),
        ("-", &gzip),
        ("-", b"[{\"symbol\":\"D\",\"price\":1e-5}]"),
    ] {
        let (code, out, err) = piped(&server, &["import", name], input);
        assert_eq!((code, out.as_str()), (Some(0), "1 listed, 0 updated\n"), "{err}");
    }
    let expected = ["A,1234.5,,trading", "B,1.5,,trading", "C,1.5,,trading", "D,0.00001,,trading"];
    assert_eq!(server.stocks(), expected);

    let updates = "Date;Ticker;Close\n2026-08-11;E;1,50\n2026-08-12;E;x\n2026-08-12;E;2,50\n";
    let replay = ["replay", "-", "--speed", "max"];
    let (code, out, err) = piped(&server, &replay, updates.as_bytes());
    assert_eq!(code, Some(1), "{err}");
    assert!(out.contains(": 1 listed, 0 updated"), "{out}");
    assert!(err.contains("standard input:3:price: 'x' is not a price"), "{err}");
    assert!(err.contains("what came before is done"), "{err}");
    assert_eq!(server.stocks()[4], "E,1.5,,trading");
    let (code, _, err) =
        piped(&server, &[&replay[..], &["--lenient"]].concat(), updates.as_bytes());
    assert_eq!(code, Some(0), "{err}");
    assert!(err.ends_with("stockd: skipped 1 bad row in all\n"), "{err}");
    assert_eq!(server.stocks()[4], "E,2.5,,trading");
}

/// A list of names says that stocks are there, and nothing of those that are known.
#[test]
fn a_list_of_names_changes_no_stock() {
    let names =
        "ACT Symbol|Security Name|Test Issue\nA|Alpha|N\nB|Beta|N\nFile Creation Time: 1||\n";
    let (_dir, names) = file("otherlisted.txt", names);
    let server = Server::start();
    server.out(&["set", "A", "--price", "5", "--status", "halted"]);
    assert_eq!(server.out(&["import", &names]), "1 listed, 0 updated, 1 unchanged\n");
    assert_eq!(server.stocks(), ["A,5,,halted", "B,,,trading"]);
}

#[test]
fn a_bad_row_stops_a_replay_unless_it_may_be_skipped() {
    let (_dir, updates) = file("updates.csv", &format!("{UPDATES}2026-08-10,set,D,1,1\n"));
    let server = Server::start();
    let (code, out, err) = server.run(&["replay", &updates, "--speed", "max"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains(":7:time: it is before that of an earlier line"), "{err}");
    assert_eq!(server.stocks(), [""; 0]);
    let (code, _, err) = server.run(&["replay", &updates, "--speed", "max", "--lenient"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(server.stocks(), ["A,1.5,10,trading"]);
}

/// The next update is due in a day, and the file begins again for ever.
#[test]
fn ctrl_c_ends_a_replay_with_its_summary() {
    let (_dir, updates) = file("updates.csv", UPDATES);
    let server = Server::start();
    for args in [&["replay", &updates, "--loop", "--speed", "max"][..], &["replay", &updates]] {
        server.run(&["delist", "A", "B"]);
        let mut watch = Running::start(server.command(&["watch", "A", "--count", "2"]));
        assert_eq!(watch.line().trim_end(), r#"{"symbol":"A","status":"unlisted"}"#);
        let replay = Running::start(server.command(args));
        // It is under way.
        assert!(watch.line().contains(r#""price":"#));
        replay.interrupt();
        let (code, out, err) = replay.end();
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
        assert!(out.contains(" s, interrupted: "), "{args:?}: {out}");
    }
}

/// The writer of a pipe is slow, stops in the middle of a row, and does not end.
#[test]
fn what_came_through_a_pipe_is_done_when_it_is_due_and_ctrl_c_ends_the_wait() {
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for encode in [|text: &str| text.as_bytes().to_vec(), utf_16] {
        let server = Server::start();
        let mut watch = Running::start(server.command(&["watch", "B", "C", "--count", "4"]));
        (0..2).for_each(|_| assert!(watch.line().contains("unlisted")));
        let mut command = server.command(&["replay", "-"]);
        let mut replay = Running::start({
            command.stdin(std::process::Stdio::piped());
            command
        });
        let mut input = replay.child.stdin.take().unwrap();
        let mut write = |text: &str| input.write_all(&encode(text)).unwrap();
        write("time,symbol,price\n0,A,1\n0,B,2\n0,");
        assert!(watch.line().contains(r#""symbol":"B","price":"2""#));
        write("C,3\n0,D");
        assert!(watch.line().contains(r#""symbol":"C","price":"3""#));
        replay.interrupt();
        let (code, out, err) = replay.end();
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let done = " s, interrupted: 3 listed, 0 updated\n";
        assert!(out.starts_with("3 updates in ") && out.ends_with(done), "{out}");
    }
}

/// The optional larger data, if it is there.
fn data(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let dir = std::env::var_os("STOCKD_DATA").map_or(beside, PathBuf::from);
    let path = dir.join(name);
    if !path.exists() {
        let _ = writeln!(std::io::stderr(), "skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// Ten trading days of real changes lead from one real catalog exactly to the other.
#[test]
fn ten_days_of_real_updates_lead_to_the_later_catalog() {
    let files = ["us_catalog_10d_before.csv", "us_updates_10d.csv.gz", "us_catalog.csv"].map(data);
    let [Some(before), Some(updates), Some(after)] = files else { return };
    let [before, updates, after] =
        [before, updates, after].map(|path| path.to_str().unwrap().to_owned());
    let server = Server::start();
    assert_eq!(server.out(&["import", &before]), "7126 listed, 0 updated\n");
    let out = server.out(&["replay", &updates, "--speed", "max"]);
    assert!(out.starts_with("70920 updates in ") && !out.contains("refused"), "{out}");

    let stocks = |server: &Server| -> BTreeMap<String, String> {
        let stock = |line: String| {
            let (symbol, rest) = line.split_once(',').unwrap();
            (symbol.to_owned(), rest.to_owned())
        };
        server.stocks().into_iter().map(stock).collect()
    };
    let later = Server::start();
    assert_eq!(later.out(&["import", &after]), "7182 listed, 0 updated\n");
    assert!(stocks(&server) == stocks(&later), "not the later catalog");
}

/// A backup of everything: what comes back is as it was, and is not fresh.
#[test]
fn what_is_exported_exactly_is_restored_with_versions_times_and_feeds() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (first, second, file) = (path("first"), path("second"), path("backup.jsonl"));
    let durable = |data: &str| {
        let settings = [("--ephemeral=false", "--data-dir"), (data, "--lenient")];
        Server::start_with("127.0.0.1:0", &settings)
    };
    let server = durable(&first);
    let csv = path("stocks.csv");
    std::fs::write(&csv, "symbol,price,volume,status\nAAPL,172.5,1000,trading\nHALT,5,,halted\n")
        .unwrap();
    server.out(&["import", &csv]);
    server.out(&["buy", "AAPL", "5"]);
    server.out(&["set", "EURUSD", "--bid", "1.08", "--time", "2026-09-21T14:13:20Z"]);
    let exact = |server: &Server| server.out(&["export", "--exact", "-"]);
    let before = exact(&server);
    assert!(before.contains(r#""version":2,"updated":"#), "{before}");
    assert_eq!(server.out(&["export", "--exact", &file]), "3 stocks exported\n");
    drop(server);

    let restore = ["import", "--exact", "--data-dir", &second, &file];
    let (code, out, err) = crate::server::run(crate::server::stockd(&restore));
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "3 stocks restored\n", ""));
    let server = durable(&second);
    assert_eq!(exact(&server), before);
    server.out(&["buy", "AAPL", "1"]);
    drop(server);

    // It has gone on since, so the file is older.
    let (code, _, err) = crate::server::run(crate::server::stockd(&restore));
    assert_eq!(code, Some(1));
    assert!(
        err.contains("has newer versions of 1 stocks than the file: 'AAPL' is at 3, and 2"),
        "{err}"
    );
    let (code, _, err) = crate::server::run(crate::server::stockd(&["import", "--exact", &file]));
    assert_eq!(code, Some(2), "{err}");
    std::fs::write(&file, format!("{before}{{\"symbol\":\"X\"}}\n")).unwrap();
    let third = path("third");
    let restore = ["import", "--exact", "--data-dir", &third, &file];
    let (code, _, err) = crate::server::run(crate::server::stockd(&restore));
    assert_eq!(code, Some(1));
    assert!(err.contains("backup.jsonl:4") && err.contains("nothing is restored"), "{err}");
    assert!(!std::path::Path::new(&third).exists(), "it was read first");
}
