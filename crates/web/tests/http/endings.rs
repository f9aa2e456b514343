//! How connections end: streams that have theirs alone, and clients that the server does not wait for when it stops.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Web;

fn connect(web: &Web) -> TcpStream {
    let stream = TcpStream::connect(web.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(180))).unwrap();
    stream
}

/// Reads until this text has come. Returns all that came.
fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let (mut received, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        let received_text = String::from_utf8_lossy(&received);
        if received_text.contains(text) {
            return received_text.into_owned();
        }
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "it ended with {received_text}");
        received.extend_from_slice(&bytes[..read]);
    }
}

const QUOTE: &str = "GET /v1/stocks/A HTTP/1.1\r\nHost: localhost\r\n\r\n";
const STREAM: &str = "GET /v1/stream?symbols=A HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What was asked before is answered before, though the stream takes the connection.
#[test]
fn a_stream_comes_behind_what_was_asked_before_it() {
    let web = Web::start();
    web.set("A", "172.5");
    let mut stream = connect(&web);
    stream.write_all([QUOTE, QUOTE, QUOTE, STREAM].concat().as_bytes()).unwrap();
    let text = read_until(&mut stream, "synced");
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 4, "{text}");
    let (_, events) = text.split_once("text/event-stream").unwrap();
    let head = events.split("\r\n\r\n").next().unwrap();
    assert!(head.contains("connection: close") && head.contains("transfer-encoding: chunked"));
    assert!(head.contains("date: ") && text.contains("x-content-type-options: nosniff"), "{text}");
    assert!(!events.contains("HTTP/1.1"), "{events}");
    // Something that it sends meanwhile is not answered, and takes the stream nothing.
    stream.write_all(QUOTE.as_bytes()).unwrap();
    web.set("A", "173");
    assert!(read_until(&mut stream, "\"173\"").contains("data: "));
    assert_eq!(web.stop(), 0);
    let rest = read_until(&mut stream, "goodbye");
    assert!(!rest.contains("HTTP/1.1"), "{rest}");
}

/// A client that leaves has its stream ended, so that its place is free.
#[test]
fn a_stream_ends_with_its_client() {
    let web = Web::start();
    web.set("A", "1");
    let mut stream = connect(&web);
    stream.write_all(STREAM.as_bytes()).unwrap();
    read_until(&mut stream, "synced");
    let mut http = web.connect();
    let mut streams = || {
        let state = http.get("/v1/server").json();
        (state["http"]["streams"].clone(), state["http"]["open"].clone())
    };
    assert_eq!(streams(), (1.into(), 2.into()));
    drop(stream);
    while streams() != (0.into(), 1.into()) {
        std::thread::yield_now();
    }
}

/// Clients that have said half of something, or take nothing, when the server stops: none of them is waited for.
#[test]
fn a_server_that_stops_waits_for_none_that_says_half_or_takes_nothing() {
    let web = Web::start();
    web.set("A", "1");
    let long = "x".repeat(40);
    (0..40_000).for_each(|number| web.set(&format!("{long}{number}"), "1"));
    let half_a_head = "GET /v1/stocks/A HTTP/1.1\r\nHost: loc";
    let everything = "GET /v1/stream?patterns=* HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let half_a_body = "POST /v1/updates HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\
        Content-Type: application/json\r\n\r\n{";
    let upgrade = "GET /v1/stream?patterns=* HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let said = [
        String::new(),
        half_a_head.to_owned(),
        [QUOTE, half_a_head].concat(),
        half_a_body.to_owned(),
        everything.to_owned(),
        upgrade.to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    let mut clients: Vec<TcpStream> = said
        .iter()
        .map(|said| {
            let mut stream = connect(&web);
            stream.write_all(said.as_bytes()).unwrap();
            stream
        })
        .collect();
    // All of them are known, and those that are answered have their first bytes.
    for at in [2, 4, 5] {
        clients[at].read_exact(&mut [0; 16]).unwrap();
    }
    assert_eq!(web.stop(), 0);
    let mut refusal = String::new();
    clients[3].read_to_string(&mut refusal).unwrap();
    assert!(refusal.starts_with("HTTP/1.1 503 ") && refusal.contains("stopping"), "{refusal}");
}
