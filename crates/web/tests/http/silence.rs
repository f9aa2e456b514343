//! Clients that say nothing: what is counted when they are closed, and what they are told. Each test has its deadline alone
//! short, and clients beside the silent ones that it must not meet.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stockd_access::Authority;
use stockd_web::{Config, Patience};

use super::access::{file, token};
use super::websocket::{Frame, WebSocket};
use crate::Web;

/// The short deadline of a test: no client that is to be quick is ever as slow.
const SHORT: Duration = Duration::from_secs(2);

fn connect(web: &Web, said: &str) -> TcpStream {
    let mut stream = TcpStream::connect(web.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(180))).unwrap();
    stream.write_all(said.as_bytes()).unwrap();
    stream
}

/// Waits until this many were closed for this reason, and the limit is said to have been reached as often. A connection is
/// counted when it has ended, which may be after its client has read the last of it.
fn is_counted(web: &Web, reason: &str, limit: &str, closed: usize) {
    let operator = format!("Bearer {}", token("operator").as_str());
    let ask = |path| web.connect().ask("GET", path, &[("Authorization", &operator)], "");
    let line = format!("stockd_connections_closed_total{{reason=\"{reason}\"}} {closed}");
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let metrics = ask("/metrics");
        if metrics.text().lines().any(|it| it == line) {
            break;
        }
        assert!(Instant::now() < deadline, "{line} is not in {}", metrics.text());
        std::thread::yield_now();
    }
    let state = ask("/v1/server").json();
    let hits = state["limits_hit"].as_array().unwrap().iter().find(|it| it["name"] == limit);
    assert_eq!(hits.unwrap()["hits"], closed, "{state}");
}

fn with(patience: Patience) -> Web {
    Web::with(Config { patience, ..Config::default() }, Arc::default())
}

#[test]
fn a_connection_that_asks_nothing_is_closed_without_a_word() {
    let web = with(Patience { head: SHORT, ..Patience::default() });
    web.set("A", "1");
    let quote = "GET /v1/stocks/A HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let events = "GET /v1/stream?symbols=A HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // Streams say nothing either, and stay.
    let mut stream = connect(&web, events);
    let mut socket = WebSocket::open(connect(&web, ""), "/v1/stream?symbols=A");
    let silent =
        ["", "GET /v1/stocks/A HTTP/1.1\r\nHost: loc", quote, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];
    let mut clients = silent.map(|said| connect(&web, said));
    for (said, client) in silent.iter().zip(&mut clients) {
        let mut told = Vec::new();
        client.read_to_end(&mut told).unwrap();
        let told = String::from_utf8_lossy(&told);
        match *said {
            said if said == quote => assert_eq!(told.matches("HTTP/1.1 200").count(), 1, "{told}"),
            // Settings alone.
            said if said.starts_with("PRI") => assert!(!told.contains("HTTP"), "{told}"),
            _ => assert_eq!(told, ""),
        }
    }
    is_counted(&web, "web_idle", "idle", clients.len());
    web.set("A", "2");
    let mut told = String::new();
    while !told.contains("\"price\":\"2\"") {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "it ended with {told}");
        told.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    socket.send_text(r#"{"action":"ping"}"#);
    socket.of_type("pong");
}

/// It has asked for far more than waits in sockets.
#[test]
fn a_client_that_takes_nothing_is_closed_and_counted() {
    const STOCKS: usize = 100_000;
    let web = with(Patience { stalled: SHORT, ..Patience::default() });
    (0..STOCKS).for_each(|number| web.set(&format!("S{number}"), "1"));
    let streams = "GET /v1/stream?pattern=* HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let snapshot = "GET /v1/snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let silent = [streams, snapshot].map(|said| connect(&web, said));
    // One that reads is told all, however long that takes.
    let mut polite = connect(&web, snapshot);
    let mut told = String::new();
    while !told.contains("\r\n0\r\n\r\n") {
        let mut bytes = [0; 65_536];
        let read = polite.read(&mut bytes).unwrap();
        assert!(read > 0, "it ended");
        told.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert_eq!(told.matches("\"price\":\"1\"").count(), STOCKS);
    is_counted(&web, "web_stalled", "stalled", silent.len());
}

#[test]
fn a_websocket_client_that_answers_no_ping_is_closed_and_told() {
    let ping_interval = Duration::from_millis(100);
    let web = with(Patience { ping_interval, silence: SHORT, ..Patience::default() });
    let open = || WebSocket::open(connect(&web, ""), "/v1/stream");
    let (mut silent, mut polite) = (open(), open());
    let mut pings = 0;
    let end = loop {
        match silent.frame() {
            Frame::Text(_) => {}
            Frame::Ping(_) => {
                pings += 1;
                // The other one was asked as well.
                while let Frame::Text(_) = polite.frame() {}
                polite.send(PONG, true, b"");
            }
            frame => break frame,
        }
    };
    assert_eq!((end, silent.reason.as_str()), (Frame::Close(Some(1008)), "no answer to a ping"));
    assert!(pings > 1, "it was asked {pings} times");
    assert_eq!(silent.frame(), Frame::Gone);
    is_counted(&web, "web_silent", "websocket_silence", 1);
    polite.send_text(r#"{"action":"ping"}"#);
    polite.of_type("pong");
}

const PONG: u8 = 10;

#[test]
fn a_websocket_client_that_shows_no_token_is_closed_and_told() {
    let config =
        Config { patience: Patience { head: SHORT, ..Patience::default() }, ..Config::default() };
    let authority = Arc::new(Authority::new(file("read = [\"US.*\"]")));
    let web = Web::guarded(config, Arc::default(), authority);
    let open = || WebSocket::open(connect(&web, ""), "/v1/stream");
    let (mut silent, mut known) = (open(), open());
    let auth = format!(r#"{{"action":"auth","token":"{}"}}"#, token("desk").as_str());
    known.send_text(&auth);
    known.of_type("authenticated");
    // What it asks without a token does not give it more time.
    silent.send_text(r#"{"action":"ping"}"#);
    let end = loop {
        match silent.frame() {
            Frame::Text(_) => {}
            frame => break frame,
        }
    };
    let reason = "no token was shown in time";
    assert_eq!((end, silent.reason.as_str()), (Frame::Close(Some(1008)), reason));
    assert_eq!(silent.frame(), Frame::Gone);
    is_counted(&web, "web_no_token", "websocket_token", 1);
    known.send_text(r#"{"action":"ping"}"#);
    known.of_type("pong");
}
