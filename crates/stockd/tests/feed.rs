//! `stockd feed`: market data through a running server, against what independent decoders made of it.

#[allow(dead_code, reason = "other suites use the rest")]
#[path = "quotes/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use server::{PATIENCE, Running, Server};

type Row = BTreeMap<String, String>;

/// A feed that is committed with the codecs.
fn edge(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../feeds/tests/data").join(name);
    path.to_str().unwrap().to_owned()
}

/// The optional larger data, if it is there.
fn data(name: &str) -> Option<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = ["../../../shared/data", "../../../../shared/data"].map(|dir| manifest.join(dir));
    let dirs = std::env::var_os("STOCKD_DATA").map(PathBuf::from).into_iter().chain(beside);
    let found = dirs.map(|dir| dir.join("feeds").join(name)).find(|path| path.exists());
    if found.is_none() {
        let _ = writeln!(std::io::stderr(), "skipped: feeds/{name} is not there");
    }
    found.map(|path| path.to_str().unwrap().to_owned())
}

fn rows(mut reader: csv::Reader<impl std::io::Read>) -> Vec<Row> {
    let header = reader.headers().unwrap().clone();
    let row = |record: csv::StringRecord| {
        header.iter().map(str::to_owned).zip(record.iter().map(str::to_owned)).collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

fn oracle(path: &str) -> Vec<Row> {
    rows(csv::Reader::from_path(path).unwrap())
}

/// Every stock of the server, by symbol.
fn stocks(server: &Server) -> BTreeMap<String, Row> {
    let export = server.out(&["export", "-"]);
    let rows = rows(csv::Reader::from_reader(export.as_bytes()));
    rows.into_iter().map(|row| (row["symbol"].clone(), row)).collect()
}

/// Compares all stocks of the server with an oracle, in these columns: ours and theirs.
fn compare(server: &Server, oracle: &[Row], columns: &[(&str, &str)]) {
    let stocks = stocks(server);
    for row in oracle {
        let stock = stocks.get(&row["symbol"]).unwrap_or_else(|| panic!("{row:?} is not listed"));
        for (ours, theirs) in columns {
            let side = ours.strip_suffix("_size");
            let is_absent = |column: &str| stock.get(column).is_none_or(String::is_empty);
            // A size of 0 beside an absent side is none.
            let expected = if side.is_some_and(is_absent) { "" } else { &row[*theirs] };
            let is = stock.get(*ours).map_or("", String::as_str);
            assert_eq!(is, expected, "{ours} of {}", row["symbol"]);
        }
        assert_eq!(stock["volume"], "", "a feed writes no volume");
    }
    assert_eq!(stocks.len(), oracle.len());
}

const PRICE_AND_STATUS: [(&str, &str); 2] = [("price", "price"), ("status", "status")];
const QUOTE: [(&str, &str); 6] = [
    ("price", "price"),
    ("status", "status"),
    ("bid", "bid"),
    ("ask", "ask"),
    ("bid_size", "bid_size"),
    ("ask_size", "ask_size"),
];

#[test]
fn itch_of_every_kind_ends_as_the_oracle_does() {
    let server = Server::start();
    let file = edge("edge_20191230.itch50");
    let itch = ["feed", "itch", "--date", "2019-12-30", "--test-symbols", &file];
    let (code, out, err) = server.run(&itch);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("100 messages, ") && out.contains(" unknown order"), "{out}");
    assert!(err.contains("skipped order ") && err.contains(": unknown order"), "{err}");
    let expected = oracle(&edge("edge_20191230.oracle.csv"));
    compare(&server, &expected, &PRICE_AND_STATUS);
    let quote = server.out(&["watch", "AAPL", "--count", "1"]);
    assert!(quote.contains(r#""time":"2019-12-31T01:00:01.0"#), "{quote}");
    // The same again is not late, and ends the same.
    assert_eq!(server.run(&itch).0, Some(0));
    compare(&server, &expected, &PRICE_AND_STATUS);
}

#[test]
fn dbn_of_every_kind_ends_as_the_oracle_does() {
    let expected = oracle(&edge("edge_live_v3.oracle.csv"));
    for name in ["edge_live_v3.dbn", "edge_live_v3.dbn.zst"] {
        let server = Server::start();
        let (code, out, err) = server.run(&["feed", "dbn", &edge(name)]);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains("; 1 gap,") && out.contains("2 undefined price"), "{out}");
        compare(&server, &expected, &QUOTE);
    }
    let server = Server::start();
    assert_eq!(server.run(&["feed", "dbn", &edge("edge_ids_swap_overnight_v3.dbn")]).0, Some(0));
    compare(&server, &oracle(&edge("edge_ids_swap_overnight_v3.oracle.csv")), &PRICE_AND_STATUS);
}

/// As pzstd writes it: before each frame one to pass over, which says how long the frame is; and empty and long ones of others.
#[test]
fn frames_of_zstd_to_pass_over_are_passed_over() {
    let skippable = |number: u8, len: usize| {
        let header = [&[number, 0x2a, 0x4d, 0x18][..], &(len as u32).to_le_bytes()].concat();
        [header, vec![0x28; len]].concat()
    };
    let plain = std::fs::read(edge("edge_live_v3.dbn")).unwrap();
    let mut whole = skippable(0x5f, 0);
    for piece in plain.chunks(1000) {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let frame = ruzstd::encoding::compress_to_vec(piece, level);
        whole.extend([skippable(0x50, 4), frame, skippable(0x57, 200_000)].concat());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pieces");
    let counted = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let mut command = server::stockd(&["feed", "dbn", "--count-only", "--json"]);
        command.arg(&path);
        let (code, out, err) = server::run(command);
        let mut counts: serde_json::Value = serde_json::from_str(&out).unwrap();
        counts["seconds"] = 0.into();
        (code, counts, err)
    };
    assert_eq!(counted(&whole), counted(&plain));
    // Cut within one that is passed over.
    let (code, _, err) = counted(&whole[..whole.len() - 1]);
    assert!(code == Some(1) && err.contains("cannot read"), "{err}");
}

#[test]
fn damage_is_exit_code_1_with_its_place_and_what_came_before_is_written() {
    for (kind, name, why) in [
        ("itch", "edge_20191230_cut.itch50", "the feed ends within a message"),
        ("itch", "edge_20191230_bad_length.itch50", "bytes, and not"),
        ("dbn", "edge_live_v3_truncated.dbn", "the feed ends within a message"),
        ("dbn", "edge_live_v3_zero_length_record.dbn", "a record of 0 bytes"),
    ] {
        let server = Server::start();
        let (code, out, err) = server.run(&["feed", kind, &edge(name)]);
        assert_eq!(code, Some(1), "{name}: {out}");
        let last = err.lines().last().unwrap();
        assert!(last.contains(&format!("{name}: at byte ")) && last.contains(why), "{err}");
        assert!(stocks(&server).contains_key("AAPL"), "{name}");
        let (code, _, err) = server.run(&["feed", kind, "--lenient", &edge(name)]);
        assert_eq!(code, Some(0), "{err}");
        assert!(err.contains(why), "{err}");
    }
    let server = Server::start();
    let (code, _, err) = server.run(&["feed", "dbn", &edge("edge_live_v3_newer_version.dbn")]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("at byte 0: ") && err.contains("version"), "{err}");
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("stocks.csv");
    std::fs::write(&csv, "symbol,price\nAAPL,172.50\n").unwrap();
    let csv = csv.to_str().unwrap();
    for (args, code, why) in [
        (&["feed", "dbn", "/no/such.dbn"][..], 1, "cannot read /no/such.dbn"),
        (&["feed", "itch", csv], 1, "it is no ITCH 5.0: it begins with a message of type 'm'"),
        (&["feed", "iex", csv], 1, "at byte 0: it is no capture"),
        (&["feed", "dbn", csv], 1, "at byte 0: it is no DBN"),
        (&["feed", "alpaca", csv], 1, "at byte 0: no array of events"),
        (&["feed", "iex", &edge("edge_live_v3.dbn")], 1, "it is no capture"),
        (&["feed", "itch", "--date", "30.12.2019", "x"], 2, "is not a date"),
        (
            &["feed", "itch", &edge("edge_live_v3.dbn")],
            1,
            "it is DBN; read it with 'stockd feed dbn'",
        ),
        (
            &["feed", "dbn", &edge("edge_20191230.itch50")],
            1,
            "at byte 0: it is no DBN: it begins with",
        ),
        (&["feed", "dbn", "--prefix", " X", "x"], 2, "a symbol does not begin with a space"),
        (&["feed", "dbn", "--prefix", &"X".repeat(48), "x"], 2, "49 bytes long, the limit is 48"),
        (&["feed", "alpaca", "http://localhost/x"], 2, "is no stream: write ws://HOST:PORT/PATH"),
    ] {
        let (exit, _, err) = server.run(args);
        assert!(exit == Some(code) && err.contains(why), "{args:?}: {err}");
    }
    // What never was a feed leaves none behind.
    let mut feeds = redis::Client::open(format!("redis://{}", server.resp)).unwrap();
    let feeds: Vec<redis::Value> = redis::cmd("FEED").arg("LIST").query(&mut feeds).unwrap();
    assert_eq!(feeds, []);
}

#[test]
fn counting_needs_no_server() {
    let mut command = server::stockd(&["feed", "dbn", "--count-only", "--json"]);
    command.arg(edge("edge_live_v3.dbn")).env("STOCKD_RESP_SERVER", "127.0.0.1:1");
    let (code, out, err) = server::run(command);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let counted: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&counted["gaps"], &counted["stocks"]), (&1.into(), &20.into()), "{out}");
    assert_eq!(counted["skipped"]["undefined price"], 2, "{out}");
    assert!(counted["listed"].is_null(), "{out}");
}

#[test]
fn what_the_price_is_can_be_chosen() {
    let server = Server::start();
    let file = edge("edge_live_v3.dbn");
    server.run(&["feed", "dbn", "--price", "mid", "--decimals", "2", "--prefix", "X:", &file]);
    let stocks = stocks(&server);
    // Bid 169.01 and ask 169.02; 9.05 and 9.45.
    assert_eq!(stocks["X:AAPL"]["price"], "169.02");
    assert_eq!(stocks["X:QUOTED"]["price"], "9.25");
    assert!(stocks.keys().all(|symbol| symbol.starts_with("X:")), "{stocks:?}");
}

/// Starts a command whose input and output are the test's.
fn start_piped(command: &mut Command) -> Child {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// Hands a feed to the command message by message, and waits after each until the server has what an oracle says.
fn follow(args: &[&str], feed: &[u8], ends: &[usize], timeline: &[Row]) {
    let server = Server::start();
    let mut command = server.command(&[&["feed"], args, &["-"]].concat());
    let mut child = start_piped(&mut command);
    let mut input = child.stdin.take().unwrap();
    let address = format!("redis://{}/", server.resp);
    let mut client = redis::Client::open(address).unwrap().get_connection().unwrap();
    let mut begin = 0;
    assert_eq!(ends.len(), timeline.len());
    for (end, row) in ends.iter().zip(timeline) {
        input.write_all(&feed[begin..*end]).unwrap();
        begin = *end;
        if row["symbol"].is_empty() {
            continue;
        }
        let begun = Instant::now();
        loop {
            let fields: Vec<Option<String>> = redis::cmd("HMGET")
                .arg(&row["symbol"])
                .arg(&["price", "status"])
                .query(&mut client)
                .unwrap();
            let [price, status] = &fields[..] else { panic!("{fields:?}") };
            let price = price.as_deref().unwrap_or_default();
            // A stock that has no price yet need not be listed.
            let is_unlisted = status.is_none() && price.is_empty();
            let has_status = status.as_deref().unwrap_or_default() == row["status_after"];
            if price == row["price_after"] && (has_status || is_unlisted) {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{fields:?}, and not {row:?}");
            std::thread::yield_now();
        }
    }
    drop(input);
    assert!(child.wait_with_output().unwrap().status.success());
}

#[test]
fn itch_is_as_the_oracle_says_after_every_message() {
    let feed = std::fs::read(edge("edge_20191230.itch50")).unwrap();
    let mut ends = Vec::new();
    let mut at = 0;
    while at < feed.len() {
        at += 2 + usize::from(u16::from_be_bytes([feed[at], feed[at + 1]]));
        ends.push(at);
    }
    follow(&["itch", "--test-symbols"], &feed, &ends, &oracle(&edge("edge_20191230.timeline.csv")));
}

#[test]
fn dbn_is_as_the_oracle_says_after_every_record() {
    let feed = std::fs::read(edge("edge_live_v3.dbn")).unwrap();
    let metadata = u32::from_le_bytes([feed[4], feed[5], feed[6], feed[7]]) as usize;
    let mut at = 8 + metadata;
    let mut ends = Vec::new();
    while at < feed.len() {
        at += 4 * usize::from(feed[at]);
        ends.push(at);
    }
    follow(&["dbn"], &feed, &ends, &oracle(&edge("edge_live_v3.timeline.csv")));
}

/// The server is gone in the middle of a feed, and another one without any stock takes its place.
#[test]
fn a_server_that_comes_back_gets_the_last_of_every_stock() {
    let feed = std::fs::read(edge("edge_20191230.itch50")).unwrap();
    let first = Server::start();
    let address = first.resp.clone();
    let mut command = first.command(&["feed", "itch", "--test-symbols", "-"]);
    let mut child = start_piped(&mut command);
    let mut input = child.stdin.take().unwrap();
    let mut watch = Running::start(first.command(&["watch", "MAXLOC", "--count", "2"]));
    assert!(watch.line().contains("unlisted"));
    // Up to some whole message: the rest waits for its end.
    input.write_all(&feed[..feed.len() / 2]).unwrap();
    assert!(watch.line().contains("MAXLOC"));
    drop(first);
    let second = Server::start_on(&address);
    input.write_all(&feed[feed.len() / 2..]).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out} {err}");
    assert!(
        out.contains("1 time connected again") && err.contains("connecting again"),
        "{out} {err}"
    );
    compare(&second, &oracle(&edge("edge_20191230.oracle.csv")), &PRICE_AND_STATUS);
}

/// Nothing comes on its standard input any more, and that is open.
#[test]
fn a_feed_that_waits_for_its_source_can_be_interrupted() {
    for bytes in [0, 1000] {
        let server = Server::start();
        let mut command = server.command(&["feed", "itch", "-"]);
        let mut feed = start_piped(&mut command);
        let mut input = feed.stdin.take().unwrap();
        let begin = std::fs::read(edge("edge_20191230.itch50")).unwrap();
        input.write_all(&begin[..bytes]).unwrap();
        if bytes > 0 {
            let mut watch = Running::start(server.command(&["watch", "AAPL", "--count", "2"]));
            while !watch.line().contains("version") {}
        } else {
            // It watches for signals before it reads.
            is_watching(feed.id());
        }
        interrupt(&feed);
        let output = feed.wait_with_output().unwrap();
        let told = (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned());
        match bytes {
            0 => assert_eq!(told, (Some(1), "stockd: cannot read -: interrupted\n".to_owned())),
            _ => assert_eq!(told.0, Some(0), "{}", told.1),
        }
        drop(input);
    }
}

/// Waits until a process watches for signals: it has a thread for that, once it catches them.
fn is_watching(process: u32) {
    let deadline = Instant::now() + PATIENCE;
    let name = |thread: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(thread.ok()?.path().join("comm")).ok()
    };
    loop {
        let mut threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        if threads.any(|thread| name(thread).is_some_and(|name| name.trim() == "stockd-signals")) {
            return;
        }
        assert!(Instant::now() < deadline, "it watches for no signals");
        std::thread::yield_now();
    }
}

fn interrupt(feed: &Child) {
    let id = rustix::process::Pid::from_child(feed);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
}

/// Somebody who ends a feed whose server is away does not wait until it is given up.
#[test]
fn a_feed_without_its_server_can_be_interrupted() {
    let server = Server::start();
    // Most of it is due in hours.
    let mut command = server.command(&["feed", "dbn", "--speed", "1x", "--stale-after", "200ms"]);
    let mut feed = command
        .arg(edge("edge_live_v3.dbn"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(feed.stderr.take().unwrap()).lines().map(Result::unwrap);
    let deadline = Instant::now() + PATIENCE;
    while stocks(&server).is_empty() {
        assert!(Instant::now() < deadline, "it has written nothing");
    }
    drop(server);
    let lost = lines.by_ref().find(|line| line.contains("connecting again"));
    assert!(lost.is_some(), "it has not missed its server");
    interrupt(&feed);
    // It is said at once, or the test has no time for this.
    assert_eq!(feed.wait().unwrap().code(), Some(1));
    let said: Vec<String> = lines.collect();
    let why = "interrupted while the server could not be reached; its last changes are not written";
    assert!(said.iter().any(|line| line.ends_with(why)), "{said:?}");
}

#[test]
fn the_time_of_a_feed_may_pass_faster() {
    let server = Server::start();
    let file = edge("edge_live_v3.dbn");
    let (code, _, err) = server.run(&["feed", "dbn", "--speed", "1000000x", &file]);
    assert_eq!(code, Some(0), "{err}");
    compare(&server, &oracle(&edge("edge_live_v3.oracle.csv")), &QUOTE);
}

#[test]
fn real_days_end_as_their_oracles_do() {
    let ticks = "ticks_aig_bac_ibm_20131007";
    for (kind, file, oracle_file) in [
        ("itch", format!("itch/{ticks}.itch50.gz"), format!("itch/{ticks}.oracle.csv")),
        ("dbn", format!("dbn/{ticks}.trades.dbn.zst"), format!("dbn/{ticks}.trades.oracle.csv")),
    ] {
        let (Some(file), Some(oracle_file)) = (data(&file), data(&oracle_file)) else { return };
        let server = Server::start();
        let (code, out, err) = server.run(&["feed", kind, &file]);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains(" 137816 trades, 3 stocks"), "{out}");
        compare(&server, &oracle(&oracle_file), &PRICE_AND_STATUS);
    }
    let (Some(file), Some(oracle_file)) =
        (data("iex/tops16_20170710.pcapng.gz"), data("iex/tops16_20170710.oracle.csv"))
    else {
        return;
    };
    let expected = oracle(&oracle_file);
    for (flags, price) in [(&[][..], "last_eligible"), (&["--all-trades"], "last_any")] {
        let server = Server::start();
        let (code, _, err) = server.run(&[&["feed", "iex", &file], flags].concat());
        assert_eq!(code, Some(0), "{err}");
        let mut columns = QUOTE;
        columns[0].1 = price;
        compare(&server, &expected, &columns);
    }
}
