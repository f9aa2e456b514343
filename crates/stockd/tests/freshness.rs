//! A feed that falls silent: what everybody sees who reads its quotes, and that they see it change.
//!
//! The feed is a process of its own that is killed. Nothing here waits for a time: a subscriber is told.

#[allow(dead_code, reason = "other suites use the rest")]
#[path = "quotes/server.rs"]
mod server;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use server::{PATIENCE, Running, run, stockd};

/// A server with every way in. Killed when it is dropped.
struct Server {
    child: Child,
    line: String,
    resp: String,
    http: String,
}

impl Server {
    fn start(settings: &[&str]) -> Server {
        let mut command = stockd(&["serve", "--log", "off"]);
        command.env("STOCKD_HTTP", "127.0.0.1:0");
        command.args(["--line", "127.0.0.1:0", "--resp", "127.0.0.1:0"]).args(settings);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut next = |protocol: &str| loop {
            let line = lines.next().expect("the server listens");
            if let Some(address) = line.strip_prefix(protocol) {
                break address.trim().to_owned();
            }
        };
        let (line, resp, http) = (next("line "), next("resp "), next("http "));
        let http = http.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Server { child, line, resp, http }
    }

    fn lookup(&self, symbol: &str) -> String {
        let mut stream = connect(&self.line);
        stream.write_all(format!("{symbol}\n").as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// What commands of RESP are answered with, as they are sent.
    fn resp(&self, commands: &str) -> String {
        let mut stream = connect(&self.resp);
        stream.write_all(format!("{commands}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut replies = String::new();
        stream.read_to_string(&mut replies).unwrap();
        replies
    }

    fn get(&self, path: &str) -> String {
        let mut stream = connect(&self.http);
        let host = &self.http;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// A subscriber, as `stockd watch` is one.
    fn watch(&self, symbol: &str) -> Running {
        let mut command = stockd(&["watch", symbol]);
        command.env("STOCKD_RESP_SERVER", &self.resp);
        Running::start(command)
    }

    fn feed(&self, format: &str, flags: &[&str]) -> Feed {
        let mut command = stockd(&["feed", format, "-", "--name", "floor"]);
        command.env("STOCKD_RESP_SERVER", &self.resp).args(flags);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        Feed { child, stdin }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A feed that is fed by the test. Killed, as by SIGKILL, when it is dropped.
struct Feed {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Feed {
    fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn end(mut self) -> Option<i32> {
        drop(self.stdin.take());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn edge(name: &str) -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../feeds/tests/data");
    std::fs::read(data.join(name)).unwrap()
}

/// A feed in which nothing is missing.
const WHOLE: &str = "edge_20191230.itch50";

/// Lines until one has this text; that line, and all before it.
fn until(mut line: impl FnMut() -> String, text: &str) -> (String, Vec<String>) {
    let mut before = Vec::new();
    loop {
        let next = line();
        if next.contains(text) {
            return (next, before);
        }
        assert!(before.len() < 10_000, "{text} does not come: {:?}", before.last());
        before.push(next);
    }
}

fn version(json: &str) -> u64 {
    let (_, rest) = json.split_once("\"version\":").unwrap();
    rest.split([',', '}']).next().unwrap().parse().unwrap()
}

const STALE: &str = r#""feed":"floor","feed_state":"stale"}"#;
const LIVE: &str = r#""feed":"floor","feed_state":"live"}"#;

#[test]
fn a_feed_that_is_killed_is_stale_everywhere_and_live_when_it_is_back() {
    let server = Server::start(&[]);
    let mut watch = server.watch("AAPL");
    let mut events = {
        let mut stream = connect(&server.http);
        let request = "GET /v1/stream?symbols=AAPL HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        BufReader::new(stream)
    };
    let mut event = || {
        let mut line = String::new();
        events.read_line(&mut line).unwrap();
        line
    };
    let flags = ["--stale-after", "400ms", "--on-stale", "halt"];
    let mut feed = server.feed("itch", &flags);
    feed.write(&edge(WHOLE));
    let (live, _) = until(|| watch.line(), LIVE);
    until(&mut event, LIVE);
    drop(feed);

    let (stale, _) = until(|| watch.line(), STALE);
    until(&mut event, STALE);
    assert!(stale.contains(r#""status":"halted""#), "{stale}");
    assert_eq!(server.lookup("AAPL"), "0");
    let replies = server.resp("GET AAPL\r\nHMGET AAPL feed feed_state status\r\nINFO feeds");
    assert!(replies.starts_with("$1\r\n0\r\n*3\r\n$5\r\nfloor\r\n$5\r\nstale\r\n"), "{replies}");
    assert!(replies.contains("feed_floor:state=stale,"), "{replies}");
    let quote = server.get("/v1/stocks/AAPL");
    assert!(quote.contains(STALE) && quote.contains(r#""status":"halted""#), "{quote}");
    let metrics = server.get("/metrics");
    assert!(metrics.contains("stockd_feeds{state=\"stale\"} 1\n"), "{metrics}");
    assert!(metrics.contains("stockd_feed_age_seconds{feed=\"floor\"} "), "{metrics}");

    let mut feed = server.feed("itch", &flags);
    feed.write(&edge(WHOLE));
    // Its first write makes all of its stocks live, those too that it has still to write.
    let mut back = live.clone();
    while version(&back) == version(&live) {
        (back, _) = until(|| watch.line(), LIVE);
    }
    assert!(version(&back) > version(&live), "{back} after {live}");
    assert_eq!(server.lookup("AAPL"), "291.52");
    until(&mut event, LIVE);
    assert_eq!(feed.end(), Some(0));
    let (ended, _) = until(|| watch.line(), r#""feed":"floor","feed_state":"ended"}"#);
    assert_eq!(version(&ended), version(&back), "the stock itself has not changed");
    assert_eq!(server.lookup("AAPL"), "291.52", "the last price of the day");
}

/// What a feed has written is marked after the server was started again, until the feed comes back.
#[test]
fn after_a_restart_feeds_are_stale_until_they_are_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let settings = ["--ephemeral=false", "--data-dir", path.to_str().unwrap()];
    let server = Server::start(&settings);
    let flags = ["--on-stale", "halt", "--stale-after", "1h"];
    let mut feed = server.feed("itch", &flags);
    feed.write(&edge(WHOLE));
    let mut watch = server.watch("AAPL");
    until(|| watch.line(), LIVE);
    drop((watch, server, feed));

    let server = Server::start(&settings);
    assert!(server.get("/v1/stocks/AAPL").contains(STALE));
    assert_eq!(server.lookup("AAPL"), "0");
    let list = server.resp("FEED LIST");
    assert!(list.contains("\r\n$5\r\nfloor\r\n") && list.contains("\r\n$4\r\nhalt\r\n"), "{list}");
    let mut watch = server.watch("AAPL");
    until(|| watch.line(), STALE);
    let mut feed = server.feed("itch", &flags);
    feed.write(&edge(WHOLE));
    until(|| watch.line(), LIVE);
    assert_eq!(server.lookup("AAPL"), "291.52");
}

#[test]
fn a_gap_is_marked_or_halts_or_ends_the_command() {
    // The stream has a record that says that something was missed.
    for (on_gap, answer) in [("mark", "169.02"), ("halt", "0")] {
        let server = Server::start(&[]);
        let mut watch = server.watch("AAPL");
        let mut feed = server.feed("dbn", &["--on-gap", on_gap]);
        feed.write(&edge("edge_live_v3.dbn"));
        until(|| watch.line(), r#""feed":"floor","feed_state":"gap"}"#);
        assert_eq!(server.lookup("AAPL"), answer);
        assert!(server.resp("FEED LIST").contains("$4\r\ngaps\r\n:1\r\n"));
    }
    let server = Server::start(&[]);
    let mut feed = server.feed("dbn", &["--on-gap", "exit"]);
    feed.write(&edge("edge_live_v3.dbn"));
    assert_eq!(feed.child.wait().unwrap().code(), Some(1));
}

#[test]
fn names_and_times_that_a_feed_cannot_have_are_refused_before_anything_is_read() {
    for (flag, value, why) in [
        ("--name", "two words", "is not a name of a feed"),
        ("--stale-after", "1ms", "write a time from 10 ms to 24 h"),
        ("--stale-after", "soon", "write a time such as"),
        ("--on-stale", "exit", "[possible values: mark, halt]"),
    ] {
        let (code, _, err) = run(stockd(&["feed", "dbn", "-", flag, value]));
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(why), "{err}");
    }
}

/// What a client of RESP can say of its feed, and is answered.
#[test]
fn a_connection_is_a_feed_until_it_says_otherwise() {
    let server = Server::start(&[]);
    let replies = server.resp(
        "FEED BEAT\r\nFEED OPEN x 5\r\nFEED OPEN a\\b 1000\r\nFEED OPEN x 1000 ONSTALE exit\r\nFEED OPEN x 60000\r\nMULTI\r\nFEED BEAT\r\nDISCARD\r\n\
         MULTI\r\nHSET A price 1\r\nEXEC\r\nSET A 2\r\nMSET A 3\r\nHGET A feed\r\nFEED END\r\nHSET A volume 5\r\n\
         HGET A feed_state\r\nHSET B price 1\r\nHGET B feed\r\nHDEL A feed\r\nHEXISTS A feed_state",
    );
    let expected = [
        "-ERR no feed is open on this connection; open one with FEED OPEN name ttl-ms",
        "-ERR the ttl of a feed is 10 to 86400000 ms, a whole number",
        "-ERR 'a\\b' is not a name of a feed: use 1 to 64 letters, digits and . _ : / @ + -",
        "-ERR syntax error",
        "+OK",
        "+OK",
        "-ERR Command not allowed inside a transaction: 'feed'; give it before MULTI or after EXEC",
        "+OK",
        "+OK",
        "+QUEUED",
        "*1",
        ":1",
        "+OK",
        "+OK",
        "$1",
        "x",
        "+OK",
        ":0",
        "$5",
        "ended",
        ":1",
        "$-1",
        ":1",
        ":0",
        "+OK",
    ];
    let replies: Vec<&str> = replies.lines().collect();
    assert_eq!(replies[..2], expected[..2]);
    for (reply, expected) in replies.iter().zip(expected) {
        assert_eq!(*reply, expected, "{replies:#?}");
    }
}
