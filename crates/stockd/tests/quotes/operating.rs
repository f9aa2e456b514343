//! What an operator asks: `ping`, `info`, `config`, the manual, the log as JSON.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::server::{Server, run, stockd};

#[test]
fn ping_needs_no_stock_and_tells_by_its_exit_code() {
    let server = Server::start();
    let out = server.out(&["ping"]);
    assert!(out.starts_with(&format!("{} answers in ", server.resp)), "{out}");
    assert!(out.ends_with(" µs\n"), "{out}");
    assert_eq!(server.out(&["ping", "--quiet"]), "");
    let address = server.resp.clone();
    drop(server);
    let (code, out, err) = run(stockd(&["ping", "--server", &address]));
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1), "{err}");
    assert!(err.starts_with(&format!("stockd: server '{address}': ")), "{err}");
}

#[test]
fn info_is_one_screen_that_says_whether_all_is_well() {
    let server = Server::start();
    server.out(&["set", "AAPL", "--price", "172.5", "--volume", "5"]);
    let (code, _, _) = server.run(&["buy", "AAPL", "6"]);
    assert_eq!(code, Some(1));
    let out = server.out(&["info"]);
    let first = format!("stockd {} at {}: all is well", env!("CARGO_PKG_VERSION"), server.resp);
    assert_eq!(out.lines().next(), Some(first.as_str()));
    for line in [
        "  stocks       1\n",
        "  writes       1 listings, 0 updates, 0 trades, 0 delistings\n",
        "  refused      1: 1 volume\n",
        "  disk         in memory alone; nothing survives a restart\n",
    ] {
        assert!(out.contains(line), "{line} is missing:\n{out}");
    }
    assert!(
        out.lines().count() <= 24 && out.lines().all(|line| line.chars().count() <= 100),
        "{out}"
    );
    let json: serde_json::Value = serde_json::from_str(&server.out(&["info", "--json"])).unwrap();
    assert_eq!((&json["well"], &json["info"]["role"]), (&true.into(), &"master".into()));
}

#[test]
fn info_says_how_a_read_only_server_writes_again() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let mut command = durable(&dir);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line.strip_prefix("resp ").unwrap().to_owned();
    let ask = |args: &[&str]| run(stockd(&[args, &["--server", &address]].concat()));
    assert_eq!(ask(&["info"]).0, Some(0));
    fs::rename(&dir, home.path().join("away")).unwrap();
    assert_eq!(ask(&["set", "A", "--price", "1"]).0, Some(1));
    let (code, out, err) = ask(&["info"]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert!(
        out.contains(": 1 thing needs attention\n  ! read-only, writes are refused: "),
        "{out}"
    );
    assert!(out.contains(&format!("kill -HUP {}", child.id())), "{out}");
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn config_checks_a_file_and_names_every_line_that_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("stockd.toml");
    let name = path.to_str().unwrap();
    fs::write(&path, "workers = 2\nlog = \"warn\"\n").unwrap();
    let (code, out, err) = run(stockd(&["config", "--check", name]));
    assert_eq!((code, out, err.as_str()), (Some(0), format!("{name} is right: 2 settings\n"), ""));
    fs::write(&path, "wrokers = 2\nlog = \"loud\"\nspin = true\n").unwrap();
    let (code, out, err) = run(stockd(&["config", "--check", name]));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let lines: Vec<_> = err.lines().collect();
    assert_eq!(lines.len(), 2, "{err}");
    assert!(
        lines[0].contains(&format!("{name}:1: unknown setting 'wrokers'; did you mean workers?"))
    );
    assert!(lines[1].contains(&format!("{name}:2: 'loud' is not possible for log")), "{err}");
}

#[test]
fn config_says_which_settings_hold_and_where_each_comes_from() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("stockd.toml");
    let name = path.to_str().unwrap();
    fs::write(&path, "workers = 2\n\nspin = true\nidle_timeout = \"5m\"\n").unwrap();
    let mut command = stockd(&["config", "--effective", "--config", name, "--workers", "3"]);
    command.env("STOCKD_SPIN", "false");
    let (code, out, err) = run(command);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let origin = |setting: &str| {
        let line = out.lines().find(|line| line.starts_with(setting)).unwrap();
        line.split_once("  # ").map(|(_, origin)| origin.to_owned()).unwrap()
    };
    assert_eq!(origin("workers = 3 "), "--workers");
    assert_eq!(origin("spin = false "), "environment variable STOCKD_SPIN");
    assert_eq!(origin("idle_timeout = \"5m\" "), format!("{name}:4"));
    assert_eq!(origin("log = \"info\" "), "default");
    // What is printed is a settings file that means the same.
    fs::write(&path, &out).unwrap();
    assert_eq!(run(stockd(&["config", "--check", name])).0, Some(0));
    let (code, _, err) = run(stockd(&["config", "--workers", "3"]));
    assert_eq!(code, Some(2));
    assert!(err.ends_with("add --effective\n"), "{err}");
}

#[test]
fn every_page_of_the_manual_has_its_exit_status_and_an_example() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().to_str().unwrap();
    assert_eq!(run(stockd(&["man", "--dir", dir])).0, Some(0));
    let pages: Vec<_> = fs::read_dir(home.path()).unwrap().flatten().collect();
    assert!(pages.len() > 15);
    for page in pages {
        let (name, text) = (page.file_name(), fs::read_to_string(page.path()).unwrap());
        let name = name.to_str().unwrap();
        assert!(text.contains(".SH \"EXIT STATUS\""), "{name}");
        // Pages of subcommands of subcommands say it with their command.
        if name.matches('-').count() < 2 {
            assert!(text.contains(".SH EXAMPLES"), "{name}");
        }
    }
    let serve = fs::read_to_string(home.path().join("stockd-serve.1")).unwrap();
    assert!(
        serve.contains(".SH ENVIRONMENT") && serve.contains("STOCKD\\_WORKERS")
            || serve.contains("STOCKD_WORKERS")
    );
    assert!(serve.contains(".SH FILES") && serve.contains("quotes.redb"));
}

#[test]
fn the_log_can_be_json_an_object_a_line() {
    let home = tempfile::tempdir().unwrap();
    let args =
        ["serve", "--log-format", "json", "--line", "off", "--resp", "127.0.0.1:0", "--catalog"];
    let missing = home.path().join("missing.csv");
    let mut command = stockd(&args);
    let (code, _, err) = run({
        command.arg(&missing);
        command
    });
    assert_eq!(code, Some(1));
    let lines: Vec<serde_json::Value> =
        err.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let last = lines.last().unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(last["message"].as_str().unwrap().contains("missing.csv"), "{err}");
    assert!(last["timestamp"].as_str().unwrap().ends_with('Z'), "{err}");
}

/// A server with this data directory.
fn durable(dir: &Path) -> Command {
    let mut command = stockd(&["serve", "--line", "off", "--resp", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir).env_remove("STOCKD_EPHEMERAL");
    command
}

/// Serves a data directory and a catalog file until it is ready, and returns its log.
fn log_of_a_start(dir: &Path, file: &Path) -> String {
    let mut command = durable(dir);
    command.arg("--catalog").arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let ready = BufReader::new(child.stdout.take().unwrap()).lines().next();
    assert!(ready.unwrap().unwrap().starts_with("resp "));
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap()
}

#[test]
fn a_catalog_file_that_was_edited_is_not_passed_over_in_silence() {
    let home = tempfile::tempdir().unwrap();
    let (dir, file) = (home.path().join("data"), home.path().join("stocks.csv"));
    fs::write(&file, "symbol,price,volume\nAAPL,172.50,1000\nIBM,159,5\n").unwrap();
    let log = log_of_a_start(&dir, &file);
    assert!(log.contains(&format!("{} is a new data directory", dir.display())), "{log}");
    assert!(!log.contains("wins over"), "{log}");
    fs::write(&file, "symbol,price,volume\nAAPL,180,1000\nIBM,160,5\n").unwrap();
    // A moment of a file system may take some milliseconds, and an editor takes longer.
    let edited = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
    fs::File::options().append(true).open(&file).unwrap().set_modified(edited).unwrap();
    let log = log_of_a_start(&dir, &file);
    let file = file.display();
    let told = format!(
        "the data directory wins over {file}: price of 'AAPL' is 172.5, and 180 in the file; to apply the file: \
         stockd import {file} differ=2"
    );
    let line = log.lines().find(|line| line.contains(&told));
    assert!(line.is_some_and(|line| line.contains("WARN")), "{log}");
}
