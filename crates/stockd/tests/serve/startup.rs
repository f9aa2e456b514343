//! Settings, catalog files and what can be wrong with them, until the server is ready.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;

use crate::process::{STOCKS, ServerProcess, run, stockd};

/// A directory with a file of this name and text: the directory, and the path of the file.
fn file(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn a_server_without_a_catalog_serves_an_empty_one_and_says_so() {
    let server = ServerProcess::spawn(&mut stockd(["serve", "--line", "127.0.0.1:0"]));
    assert_eq!(server.lookup(&["ACME"]), ["-1"]);
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("no stocks are listed") && log.contains("--catalog"), "{log}");
}

#[test]
fn the_start_is_logged_with_what_holds() {
    let (status, log) = ServerProcess::start(&["--workers", "3", "--connections-max", "77"]).stop();
    assert_eq!(status.code(), Some(0));
    for part in ["stocks=8", "workers=3", "connections_max=77"] {
        assert!(log.contains(part), "{part} is not in: {log}");
    }
    assert!(!log.contains('\u{1b}'), "no colours in a pipe: {log}");
}

#[test]
fn the_log_can_be_switched_off() {
    let (_, log) = ServerProcess::start(&["--log", "off"]).stop();
    assert_eq!(log, "");
}

#[test]
fn settings_come_from_file_environment_and_flags_in_this_order() {
    let (_dir, config) = file("stockd.toml", "workers = 5\nconnections_max = 50\nlenient = true\n");
    let mut command = stockd(["serve", "--line", "127.0.0.1:0", "--connections-max", "70"]);
    command.env("STOCKD_CONFIG", &config).env("STOCKD_CONNECTIONS_MAX", "60");
    command.env("STOCKD_CATALOG", STOCKS);
    let (_, log) = ServerProcess::spawn(&mut command).stop();
    for part in ["stocks=8", "workers=5", "connections_max=70"] {
        assert!(log.contains(part), "{part} is not in: {log}");
    }
}

#[test]
fn bad_usage_is_one_line_and_exit_code_2() {
    let (_dir, config) = file("stockd.toml", "\nport = 7878\n");
    for (args, expected) in [
        (
            vec!["--line", "localhost"],
            "stockd: --line: 'localhost' is not possible for line: write IP:PORT".to_owned(),
        ),
        (
            vec!["--workers", "0"],
            "stockd: --workers: '0' is not possible for workers: write a number from 1".to_owned(),
        ),
        (
            vec!["--sync", "interval=0"],
            "stockd: --sync: 'interval=0' is not possible for sync: write always".to_owned(),
        ),
        (vec!["--line", "off"], "stockd: every listener is off".to_owned()),
        (
            vec!["--config", &config],
            format!("stockd: {config}:2: unknown setting 'port'; there are line, "),
        ),
        (
            vec!["--config", "/nowhere.toml"],
            "stockd: cannot read settings from /nowhere.toml: No such file".to_owned(),
        ),
        (vec!["--linne", "off"], "stockd: unexpected argument '--linne' found".to_owned()),
    ] {
        let (code, stdout, stderr) = run([&["serve"], &args[..]].concat());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
        assert!(stderr.starts_with(&expected), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let output = stockd(["serve"]).env("STOCKD_LINES", "off").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "stockd: unknown environment variable 'STOCKD_LINES'; did you mean STOCKD_LINE?\n"
    );
}

#[test]
fn an_address_in_use_is_named_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, stdout, stderr) = run(["serve", "--log", "error", "--line", &address]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        format!(
            "stockd: cannot listen on {address}: address already in use; choose another with \
             --line ADDR, or port 0 for any free one\n"
        )
    );
}

#[test]
fn bad_rows_are_refused_before_anything_is_served() {
    let mut text = String::from("symbol,price,volume\nACME,3%,1\nACME,1,1\nACME,2,2\n");
    text.extend((0..20).map(|row| format!("S{row},1\n")));
    let (_dir, path) = file("us.csv", &text);
    let (code, stdout, stderr) = run(["serve", "--line", "127.0.0.1:0", "--catalog", &path]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 11, "{stderr}");
    assert!(lines[0].starts_with(&format!("stockd: {path}:2:price: '3%' is not a price: ")));
    assert_eq!(lines[1], format!("stockd: {path}:4:symbol: 'ACME' was listed on line 3 already"));
    assert_eq!(
        lines[10],
        "stockd: 22 bad rows in all, nothing is served; correct them, or skip them with --lenient"
    );
}

#[test]
fn lenient_skips_and_counts_bad_rows() {
    let (_dir, path) = file("us.csv", "symbol,price,volume\nACME,3%,1\nBEST,1,1\n");
    let mut command = stockd(["serve", "--line", "127.0.0.1:0", "--lenient", "--catalog", &path]);
    let server = ServerProcess::spawn(&mut command);
    assert_eq!(server.lookup(&["ACME", "BEST"]), ["-1", "1"]);
    let (_, log) = server.stop();
    assert!(log.contains("WARN") && log.contains("bad_rows=1"), "{log}");
    assert!(log.contains(":2:price: '3%' is not a price"), "{log}");
}

#[test]
fn a_catalog_that_cannot_be_read_is_exit_code_1() {
    let (_dir, no_price) = file("us.csv", "symbol,volume\nACME,1\n");
    let (_dir, not_gzip) = file("us.jsonl.gz", "this is not gzip");
    for (path, expected) in [
        ("/nowhere.csv", "stockd: cannot read catalog /nowhere.csv: No such file or directory"),
        (no_price.as_str(), ":1: column 'price' is missing; the header must name symbol and price"),
        (not_gzip.as_str(), "invalid gzip header"),
    ] {
        let (code, stdout, stderr) = run(["serve", "--line", "127.0.0.1:0", "--catalog", path]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(expected) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn a_catalog_can_come_from_standard_input() {
    let mut command = stockd(["serve", "--line", "127.0.0.1:0", "--catalog", "-"]);
    // The write fits the pipe, so it may come before the server is there to read it.
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"symbol,price,volume\nACME,1.50,1\n").unwrap();
    drop(writer);
    let server = ServerProcess::spawn(command.stdin(Stdio::from(reader)));
    assert_eq!(server.lookup(&["ACME"]), ["1.5"]);
}

#[test]
fn what_stockd_prints_about_itself() {
    let (code, config, _) = run(["config"]);
    assert_eq!(code, Some(0));
    assert!(config.contains("\n#line = \"127.0.0.1:7878\"\n"), "{config}");

    let (_dir, path) = file("stockd.toml", &config);
    let server = stockd(["serve", "--line", "127.0.0.1:0", "--config", &path]);
    ServerProcess::spawn(&mut { server });

    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(["completions", shell]);
        assert!(code == Some(0) && script.contains("stockd") && script.contains("stalled-timeout"));
    }
    let (code, pages, _) = run(["man"]);
    assert_eq!(code, Some(0));
    for title in [".TH stockd 1", ".TH stockd-serve 1", ".TH stockd-lookup 1"] {
        assert!(pages.contains(title), "{title}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (code, _, _) = run(["man", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(code, Some(0));
    assert!(dir.path().join("stockd-serve.1").exists());

    let (code, version, _) = run(["--version"]);
    assert_eq!((code, version), (Some(0), format!("stockd {}\n", env!("CARGO_PKG_VERSION"))));
    assert_eq!(run::<&str>([]).0, Some(2));
}
