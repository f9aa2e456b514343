//! WebSockets: what clients may send, and what ends them. The cases are those of the Autobahn test suite that concern a
//! server of text without extensions.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::Web;
use crate::websocket::{BINARY, CLOSE, CONTINUATION, Frame, PING, TEXT, WebSocket};

fn open(web: &Web) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(web.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(180))).unwrap();
    let mut socket = WebSocket::open(stream, "/v1/stream");
    socket.of_type("synced");
    socket
}

const ASK: &str = r#"{"action":"ping","id":"é"}"#;

fn is_answered(socket: &mut WebSocket<TcpStream>) {
    assert_eq!(socket.of_type("pong")["id"], "é");
}

/// The frame that ends it, what is told meanwhile passed over.
fn end(socket: &mut WebSocket<TcpStream>) -> Frame {
    loop {
        match socket.frame() {
            Frame::Text(_) | Frame::Ping(_) | Frame::Pong(_) => {}
            frame => return frame,
        }
    }
}

#[test]
fn a_message_may_come_in_any_pieces_with_pings_between() {
    let web = Web::start();
    let mut socket = open(&web);
    socket.send_text(ASK);
    is_answered(&mut socket);
    let bytes = ASK.as_bytes();
    // Cut at every byte, within a character too.
    for at in 0..=bytes.len() {
        socket.send(TEXT, false, &bytes[..at]);
        socket.send(PING, true, &[at as u8]);
        socket.send(CONTINUATION, true, &bytes[at..]);
        loop {
            match socket.frame() {
                Frame::Pong(payload) => break assert_eq!(payload, [at as u8]),
                frame => assert!(matches!(frame, Frame::Text(_)), "{frame:?}"),
            }
        }
        is_answered(&mut socket);
    }
    // A byte at a time, and empty pieces.
    socket.send(TEXT, false, b"");
    bytes.iter().for_each(|byte| socket.send(CONTINUATION, false, &[*byte]));
    socket.send(CONTINUATION, true, b"");
    is_answered(&mut socket);
    // A pong that was not asked for is passed over.
    socket.send(10, true, b"unasked");
    socket.send_text(ASK);
    is_answered(&mut socket);
    socket.send(CLOSE, true, &[&1000_u16.to_be_bytes()[..], b"well"].concat());
    assert_eq!(end(&mut socket), Frame::Close(Some(1000)));
    assert_eq!(socket.frame(), Frame::Gone);
}

/// What a client does that breaks the protocol.
type Rudeness<'a> = &'a dyn Fn(&mut WebSocket<TcpStream>);

#[test]
fn what_breaks_the_protocol_ends_the_stream_and_nothing_else() {
    let web = Web::start();
    let mut other = open(&web);
    let long = "x".repeat(64 * 1024 + 1);
    let close = |code: u16| code.to_be_bytes().to_vec();
    let cases: [(&str, Rudeness<'_>); 13] = [
        ("a reserved bit", &|it| it.send(0x40 | TEXT, true, b"x")),
        ("an unknown opcode", &|it| it.send(3, true, b"x")),
        ("an unknown control opcode", &|it| it.send(11, true, b"x")),
        ("a long ping", &|it| it.send(PING, true, &[0; 126])),
        ("a ping in pieces", &|it| it.send(PING, false, b"x")),
        ("nothing to go on with", &|it| it.send(CONTINUATION, true, b"x")),
        ("a message within a message", &|it| {
            it.send(TEXT, false, b"{");
            it.send(TEXT, true, b"}");
        }),
        ("no UTF-8", &|it| it.send(TEXT, true, b"\xce\xba\xed\xa0\x80")),
        ("no UTF-8 in pieces", &|it| {
            it.send(TEXT, false, b"\xf4\x90");
            it.send(CONTINUATION, true, b"\x80\x80");
        }),
        ("no mask", &|it| it.send_raw(b"\x81\x02{}")),
        ("a message that is too long", &|it| it.send(TEXT, true, long.as_bytes())),
        ("pieces that are too long together", &|it| {
            it.send(TEXT, false, &long.as_bytes()[..40_000]);
            it.send(CONTINUATION, true, &long.as_bytes()[..40_000]);
        }),
        ("a length of 63 bits", &|it| {
            it.send_raw(b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0");
        }),
    ];
    for (name, send) in cases {
        let mut socket = open(&web);
        send(&mut socket);
        let frame = end(&mut socket);
        assert!(matches!(frame, Frame::Close(Some(_)) | Frame::Gone), "{name}: {frame:?}");
    }
    let mut socket = open(&web);
    socket.send(BINARY, true, b"{}");
    assert_eq!(end(&mut socket), Frame::Close(Some(1003)), "messages are text");
    for payload in [vec![], close(1000), close(1001), close(3000), close(4999)] {
        let mut socket = open(&web);
        socket.send(CLOSE, true, &payload);
        let expected = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        let frame = end(&mut socket);
        let is_echo = frame == Frame::Close(expected) || expected.is_none();
        assert!(is_echo, "{payload:?}: {frame:?}");
    }
    for payload in
        [vec![3], close(0), close(999), close(1004), close(1005), close(1006), close(2999)]
    {
        let mut socket = open(&web);
        socket.send(CLOSE, true, &payload);
        let frame = end(&mut socket);
        assert!(matches!(frame, Frame::Close(_) | Frame::Gone), "{payload:?}: {frame:?}");
    }
    other.send_text(ASK);
    is_answered(&mut other);
}

#[test]
fn a_socket_asks_and_is_told() {
    let web = Web::start();
    web.set("A", "1");
    let mut socket = open(&web);
    socket.send_text(r#"{"action":"subscribe","symbols":["A","NOPE",""],"id":7}"#);
    let answer = socket.of_type("subscribed");
    assert_eq!((&answer["id"], answer["refused"].as_array().unwrap().len()), (&json!(7), 1));
    let mut told = Vec::new();
    loop {
        let message = socket.message();
        match message.as_array() {
            Some(quotes) => told.extend(quotes.clone()),
            None if message["type"] == "synced" => break,
            None => {}
        }
    }
    told.sort_by_key(|quote| quote["symbol"].to_string());
    assert_eq!(told[0]["price"], "1");
    assert_eq!(told[1], json!({"symbol": "NOPE", "status": "unlisted"}));
    web.set("A", "2");
    let quotes = loop {
        let message = socket.message();
        if message.is_array() {
            break message;
        }
    };
    assert_eq!(quotes[0]["price"], "2");
}
