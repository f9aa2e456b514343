//! `stockd lookup` as it is run from a shell: what it prints, and how it ends.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;

/// Generous, and only so that a hanging test ends.
const PATIENCE: Duration = Duration::from_secs(180);

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

/// A server of ours, whose RESP listener tells which worker serves whom. Ends when it is dropped.
struct Stockd {
    child: std::process::Child,
    line: String,
    resp: String,
}

impl Stockd {
    fn start(directory: &std::path::Path) -> Stockd {
        let stocks = directory.join("stocks.csv");
        std::fs::write(&stocks, "symbol,price,volume\nAAPL,172.50,1000\nGONE,8.25,0\n").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stockd"));
        command.args(["serve", "--ephemeral", "--workers", "2", "--log", "off", "--http", "off"]);
        command.args(["--line", "127.0.0.1:0", "--resp", "127.0.0.1:0", "--catalog"]).arg(stocks);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut address =
            |name: &str| lines.find_map(|line| Some(line.strip_prefix(name)?.to_owned())).unwrap();
        let (line, resp) = (address("line "), address("resp "));
        Stockd { child, line, resp }
    }

    fn lookup(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::cargo_bin("stockd").unwrap();
        command.timeout(PATIENCE).env("STOCKD_SERVER", &self.line);
        run(command.env("STOCKD_RESP_SERVER", &self.resp).arg("lookup").args(args))
    }
}

impl Drop for Stockd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn several_clients_at_once_are_measured_and_who_served_them() {
    let directory = tempfile::tempdir().unwrap();
    let server = Stockd::start(directory.path());
    let (code, out, err) =
        server.lookup(&["AAPL", "GONE", "NOPE", "--clients", "1..5", "--runs", "100"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
    let tables: Vec<&str> = out.split("\n\n").collect();
    let rows = |table: &str| -> Vec<Vec<String>> {
        let rows = table.lines().skip(2);
        rows.map(|row| {
            row.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .map(str::to_owned)
                .collect()
        })
        .collect()
    };
    let latencies = rows(tables[0]);
    assert_eq!(latencies.len(), 2 * 5, "{out}");
    for (at, row) in latencies.iter().enumerate() {
        let clients = at / 2 + 1;
        let (kind, each) = if at % 2 == 0 { ("listed", 200) } else { ("not listed", 100) };
        assert_eq!(row[..2], [clients.to_string(), kind.to_owned()], "{out}");
        assert_eq!(row[2].replace(',', ""), (clients * each).to_string(), "{out}");
    }
    // A p99 of fewer than a thousand lookups is none.
    assert!(tables[0].contains("p90") && latencies[1].contains(&"–".to_owned()), "{out}");
    // Every client is served by one of the two workers, and each number of clients has all of them.
    let served = rows(tables[1]);
    for clients in 1..=5 {
        let of_stage = served.iter().filter(|row| row[0] == clients.to_string());
        let mut names: Vec<String> = of_stage
            .inspect(|row| assert!(["0", "1"].contains(&&*row[1]), "{out}"))
            .flat_map(|row| row[2].split(", ").map(str::to_owned).collect::<Vec<_>>())
            .collect();
        names.sort();
        let all: Vec<String> = (1..=clients).map(|client: i32| client.to_string()).collect();
        assert_eq!(names, all, "{out}");
    }
    assert!(tables[2].starts_with("spread is the standard deviation"), "{out}");

    let (_, out, _) = server.lookup(&["AAPL", "--clients", "3", "--runs", "20", "--json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    let stage = &document["stages"][0];
    assert_eq!((&stage["clients"], &stage["listed"]["count"]), (&3.into(), &60.into()));
    assert_eq!(stage["listed"]["p99_ns"], Value::Null);
    assert!(
        stage["served"].as_array().unwrap().iter().all(|client| client["worker"].is_u64()),
        "{out}"
    );
}

#[cfg(feature = "plots")]
#[test]
fn several_clients_have_a_page_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let server = Stockd::start(directory.path());
    let page = directory.path().join("report.html");
    let html = page.display().to_string();
    let args = ["AAPL", "<i>", "--clients", "1,2", "--runs", "20", "--html", &html];
    assert_eq!(server.lookup(&args).0, Some(0));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("Which worker served whom") && page.contains("Every client"),
        "{page:.800}"
    );
    assert_eq!(page.matches("<svg ").count(), 4);
    let others = page.replace("http://www.w3.org/", "");
    assert!(!others.contains("http:") && !others.contains("https:"), "{page:.800}");
}

/// A listener of RESP that serves a client, and does not show it the connections.
fn serve_resp_without_a_list() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut replies, _) = listener.accept().unwrap();
        let requests = BufReader::new(replies.try_clone().unwrap());
        for word in requests.lines().map_while(Result::ok) {
            let reply = match word.as_str() {
                "PING" => "+PONG\r\n",
                "LIST" => "-NOPERM not for you\r\n",
                _ => continue,
            };
            replies.write_all(reply.as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn clients_are_measured_where_no_worker_is_known() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = lookup(serve());
    command.env_remove("STOCKD_RESP_SERVER");
    let (code, out, err) = run(command.args(["ACME", "--clients", "1", "--resp", &nobody]));
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("count/s") && !out.contains("worker"), "{out}");
    assert!(
        err.contains("which worker served whom is not known") && err.contains("--resp ADDR"),
        "{err}"
    );
    let resp = serve_resp_without_a_list().to_string();
    let (code, _, err) = run(lookup(serve()).args(["ACME", "--clients", "1", "--resp", &resp]));
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("is not known: NOPERM not for you; name"), "{err}");
    let (code, _, err) = run(lookup(serve()).args(["ACME", "--clients", "0"]));
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("numbers from 1 to 64, as in 5, 1..5 or 1,2,10"), "{err}");
    let (code, _, err) = run(lookup(serve()).args(["ACME", "CRASH", "--clients", "1"]));
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
}
