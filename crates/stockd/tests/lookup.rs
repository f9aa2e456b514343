//! `stockd lookup` as it is run from a shell: what it prints, and how it ends.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;

/// Generous, and only so that a hanging test ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves some stocks on a free port until the test process ends. It closes a connection when it
/// is asked for `CRASH`, and sends control characters when asked for `EVIL`.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut replies in listener.incoming().map(Result::unwrap) {
            let requests = BufReader::new(replies.try_clone().unwrap());
            for name in requests.lines().map_while(Result::ok) {
                let reply: &[u8] = match name.as_str() {
                    "ACME" => b"172.5\n",
                    "BIG/A" => b"743500\n",
                    "牛来USDT" => b"0.0005\n",
                    "GONE" => b"0\n",
                    "CRASH" => break,
                    "EVIL" => "\x1b[2Jx\u{202e}\u{9b}2J\n".as_bytes(),
                    _ => b"-1\n",
                };
                if replies.write_all(reply).is_err() {
                    break;
                }
            }
        }
    });
    address
}

fn lookup(server: SocketAddr) -> Command {
    let mut command = Command::cargo_bin("stockd").unwrap();
    command.timeout(PATIENCE).env_remove("STOCKD_SERVER");
    command.args(["lookup", "--server"]).arg(server.to_string());
    command
}

/// Runs the command to its end: its exit code, standard output and standard error.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn prices_are_printed_a_line_each() {
    let (code, out, err) = run(lookup(serve()).args(["ACME", "GONE", "BIG/A", "牛来USDT"]));
    assert_eq!(out, "ACME 172.5\nGONE 0\nBIG/A 743500\n牛来USDT 0.0005\n");
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[test]
fn a_stock_that_is_not_listed_is_exit_code_1() {
    let (code, out, err) = run(lookup(serve()).args(["ACME", "XYZ"]));
    assert_eq!(out, "ACME 172.5\nXYZ not listed\n");
    assert_eq!((code, err.as_str()), (Some(1), ""));

    let (code, ..) = run(lookup(serve()).args(["--quiet", "ACME", "XYZ"]));
    assert_eq!(code, Some(1));
}

#[test]
fn the_server_is_named_by_the_environment_too() {
    let mut command = Command::cargo_bin("stockd").unwrap();
    command.env("STOCKD_SERVER", serve().to_string()).args(["lookup", "ACME"]);
    assert_eq!(run(command.timeout(PATIENCE)).1, "ACME 172.5\n");
}

#[test]
fn each_measured_lookup_is_printed_and_then_the_table() {
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&list, "# a comment\n\nGONE\n牛来USDT\r\n").unwrap();
    let mut command = lookup(serve());
    command.args(["ACME", "--runs", "3", "--names"]).arg(list.path());
    let (code, out, err) = run(&mut command);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");

    let lines: Vec<&str> = out.lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0]), ["name", "reply", "latency"]);
    let asked = [("ACME", "172.5"), ("GONE", "0"), ("牛来USDT", "0.0005")];
    for (line, (name, reply)) in lines[1..10].iter().zip(asked.iter().cycle()) {
        let words = words(line);
        assert_eq!([&words[0], &words[1], &words[3]], [name, reply, "µs"], "{line}");
        assert!(words[2].parse::<f64>().unwrap() > 0.0, "{line}");
    }
    let table = &lines[11..];
    assert!(table[0].starts_with("name ") && table[0].ends_with(" max µs"), "{out}");
    for (name, reply) in asked {
        let row = table.iter().map(|line| words(line)).find(|row| row[0] == name).unwrap();
        assert_eq!(row[1..3], [reply, "3"]);
    }
    let total = table.iter().find(|line| line.starts_with("total ")).unwrap();
    assert_eq!(words(total)[1], "9");
    assert_eq!(lines.last(), Some(&"lookups: 9 (6 priced, 3 not tradable, 0 not listed)"));
    assert!(!out.contains('\x1b'), "styles in a pipe: {out:?}");
}

#[test]
fn quiet_prints_the_table_alone() {
    let (_, out, err) = run(lookup(serve()).args(["--quiet", "--runs", "2", "ACME"]));
    assert!(out.contains(" max µs\n") && !out.contains("latency"), "{out}");
    assert!(out.ends_with("\n\nlookups: 2 (2 priced, 0 not tradable, 0 not listed)\n"), "{out}");
    assert_eq!(err, "");
}

#[test]
fn json_is_one_document_whose_numbers_add_up() {
    let server = serve();
    let (code, out, _) =
        run(lookup(server).args(["--json", "--runs", "5", "ACME", "X\"Y", "GONE"]));
    assert_eq!(code, Some(1));
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["server"], server.to_string());
    assert_eq!(document["runs"], 5);

    let requests = document["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 15);
    assert_eq!((&requests[0]["name"], &requests[0]["reply"]), (&"ACME".into(), &"172.5".into()));
    assert_eq!((&requests[1]["name"], &requests[1]["reply"]), (&"X\"Y".into(), &"-1".into()));

    let latency = |request: &Value| request["latency_ns"].as_u64().unwrap();
    let total = &document["total"];
    assert_eq!(total["count"], 15);
    assert_eq!(total["total_ns"], requests.iter().map(latency).sum::<u64>());
    assert_eq!(total["max_ns"], requests.iter().map(latency).max().unwrap());
    assert_eq!([&total["prices"], &total["not_tradable"], &total["not_listed"]], [5, 5, 5]);
    for name in document["names"].as_array().unwrap() {
        let of_name = || requests.iter().filter(|request| request["name"] == name["name"]);
        assert_eq!(name["count"], 5);
        assert_eq!(name["total_ns"], of_name().map(latency).sum::<u64>());
        assert_eq!(name["reply"], of_name().next_back().unwrap()["reply"]);
    }

    let (_, out, _) = run(lookup(server).args(["--json", "--quiet", "ACME"]));
    let document: Value = serde_json::from_str(&out).unwrap();
    assert!(document.get("requests").is_none(), "{out}");
    assert_eq!(document["names"][0]["name"], "ACME");
}

#[test]
fn a_list_can_come_from_standard_input() {
    let mut command = lookup(serve());
    let (code, out, _) = run(command.args(["--names", "-", "--json"]).write_stdin("ACME\nGONE"));
    assert_eq!(code, Some(0));
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["requests"][1]["name"], "GONE");
}

#[test]
fn what_was_measured_is_printed_when_the_server_fails() {
    let (code, out, err) = run(lookup(serve()).args(["--json", "ACME", "CRASH", "ACME"]));
    assert_eq!(code, Some(1));
    assert!(err.starts_with("stockd: 127.0.0.1:") && err.contains("answered 'CRASH'"), "{err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["total"]["count"], 1);

    let (_, out, _) = run(lookup(serve()).args(["--runs", "1", "ACME", "CRASH"]));
    assert!(out.ends_with("lookups: 1 (1 priced, 0 not tradable, 0 not listed)\n"), "{out}");
}

#[test]
fn errors_are_one_line_and_say_what_to_do() {
    let server = serve();
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&list, b"ACME\nB\xffD\n").unwrap();
    let list = list.path().to_str().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (args, code, error) in [
        (&["--names", list][..], 1, ":2: not UTF-8 at byte 1; save the list as UTF-8"),
        (&["--names", "no/such/list"], 1, "cannot read no/such/list: "),
        (&["A\nB"], 1, "the name 'A\\nB' cannot be sent: it has a line feed at byte 1"),
        (&["--server", &closed, "ACME"], 1, "check that the server runs and listens there"),
        (&["--server", "nowhere", "ACME"], 1, "server 'nowhere': "),
        (&[], 2, "SYMBOL"),
        (&["--runs", "0", "ACME"], 2, "--runs"),
        (&["--runs", "many", "ACME"], 2, "many"),
    ] {
        // A server by environment, since some of the arguments name another.
        let mut command = Command::cargo_bin("stockd").unwrap();
        command.env("STOCKD_SERVER", server.to_string()).arg("lookup").args(args);
        let (exit, out, err) = run(command.timeout(PATIENCE));
        assert_eq!((exit, out.as_str()), (Some(code), ""), "{args:?}: {err}");
        assert!(err.starts_with("stockd: ") && err.contains(error), "{args:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
    }
}

/// As `stockd lookup … | head -1` does: the reader goes while there is much more to print.
#[test]
fn foreign_text_does_not_steer_the_terminal() {
    let hostile = "A\x1b[2J\u{202e}B\u{9b}";
    let shown = r"A\u{1b}[2J\u{202e}B\u{9b}";
    let (_, out, _) = run(lookup(serve()).arg(hostile));
    assert_eq!(out, format!("{shown} not listed\n"));
    let (_, out, _) = run(lookup(serve()).args(["--runs", "2", hostile]));
    assert_eq!(out.matches(shown).count(), 3, "{out}");
    assert!(!out.contains(['\x1b', '\u{202e}', '\u{9b}']), "{out:?}");

    let (code, _, err) = run(lookup(serve()).arg("EVIL"));
    assert_eq!((code, err.lines().count()), (Some(1), 1));
    assert!(err.contains(r"\u{1b}[2Jx\u{202e}\u{9b}2J"), "{err:?}");
    let (_, _, err) = run(lookup(serve()).args(["--names", hostile]));
    assert!(err.contains(shown), "{err:?}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_run_quietly() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_stockd"))
        .args(["lookup", "--runs", "1000000", "ACME", "--server", &serve().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("name "), "{line}");
    // Standard output is closed by now, and a million lookups would take far longer.
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}
