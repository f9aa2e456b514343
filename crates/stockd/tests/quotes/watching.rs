//! `stockd watch` in a pipe.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use crate::server::{Running, Server, run, stockd};

fn message(running: &mut Running) -> Value {
    let line = running.line();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[test]
fn each_change_is_a_line_and_the_first_is_the_quote_now() {
    let server = Server::start();
    server.out(&["set", "AAPL", "--price", "172.50", "--volume", "9"]);
    let mut watch = Running::start(server.command(&["watch", "AAPL", "BRK/*", "--count", "4"]));
    let line = watch.line();
    let begin = r#"{"symbol":"AAPL","price":"172.5","volume":"9","status":"trading","version":1,"updated":""#;
    assert!(line.starts_with(begin), "{line}");

    server.out(&["buy", "AAPL", "9"]);
    let quote = message(&mut watch);
    assert_eq!(quote["volume"], "0");
    assert_eq!(quote["version"], 2);
    server.out(&["set", "MSFT", "--price", "1"]);
    server.out(&["set", "BRK/A", "--price", "743500"]);
    let quote = message(&mut watch);
    assert_eq!([&quote["symbol"], &quote["price"]], ["BRK/A", "743500"]);
    server.out(&["delist", "AAPL"]);
    let delisted = watch.end();
    let line = "{\"symbol\":\"AAPL\",\"status\":\"delisted\"}\n";
    assert_eq!(delisted, (Some(0), line.to_owned(), String::new()));
}

#[test]
fn ctrl_c_ends_it_well() {
    let server = Server::start();
    server.out(&["set", "AAPL", "--price", "1"]);
    let mut watch = Running::start(server.command(&["watch", "*"]));
    assert_eq!(message(&mut watch)["symbol"], "AAPL");
    watch.interrupt();
    assert_eq!(watch.end(), (Some(0), String::new(), String::new()));
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let server = Server::start();
    server.out(&["set", "AAPL", "--price", "1"]);
    let mut command = server.command(&["watch", "AAPL"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut watch = command.spawn().unwrap();
    drop(watch.stdout.take());
    server.out(&["set", "AAPL", "--price", "2"]);
    let output = watch.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}

/// The server is killed and another takes its place, without what was listed on the first.
#[test]
fn a_lost_connection_is_made_anew_and_what_is_gone_is_told() {
    let first = Server::start();
    let address = first.resp.clone();
    first.out(&["set", "AAPL", "--price", "1"]);
    first.out(&["set", "GONE", "--price", "1"]);
    let mut watch = Running::start(first.command(&["watch", "AAPL", "GONE"]));
    let mut symbols =
        [message(&mut watch)["symbol"].clone(), message(&mut watch)["symbol"].clone()];
    symbols.sort_by_key(Value::to_string);
    assert_eq!(symbols, ["AAPL", "GONE"]);
    drop(first);

    let second = Server::start_on(&address);
    let mut delisted = [message(&mut watch), message(&mut watch)];
    delisted.sort_by_key(Value::to_string);
    let gone = |symbol: &str| serde_json::json!({ "symbol": symbol, "status": "delisted" });
    assert_eq!(delisted, [gone("AAPL"), gone("GONE")]);
    second.out(&["set", "AAPL", "--price", "5"]);
    let quote = message(&mut watch);
    assert_eq!([&quote["symbol"], &quote["price"]], ["AAPL", "5"]);
    watch.interrupt();
    let (code, out, err) = watch.end();
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert!(
        err.contains("; trying again in 0.") && err.ends_with("stockd: connected again\n"),
        "{err}"
    );
}

/// A server that takes the right to read away says so once, and then nothing.
#[test]
fn a_message_that_nothing_may_be_read_any_more_counts() {
    const CONFIRMED: &str = "*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n";
    const FORBIDDEN: &str =
        "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\n*\r\n$22\r\n{\"status\":\"forbidden\"}\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all([CONFIRMED, FORBIDDEN].concat().as_bytes()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut command = stockd(&["watch", "*", "--count", "1"]);
    command.env("STOCKD_RESP_SERVER", address.to_string());
    let line = "{\"status\":\"forbidden\"}\n";
    assert_eq!(run(command), (Some(0), line.to_owned(), String::new()));
}

#[test]
fn what_cannot_be_watched_is_bad_usage() {
    let server = Server::start();
    for (args, error) in [
        (&["watch"][..], "SYMBOL"),
        (&["watch", ""], "'' is no symbol: the symbol is empty"),
        (&["watch", "A", "--count", "0"], "--count"),
    ] {
        let (code, out, err) = server.run(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(
            err.starts_with("stockd: ") && err.contains(error) && err.lines().count() == 1,
            "{err}"
        );
    }
}
