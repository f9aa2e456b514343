//! Other protocols on this port, with lines in them that would be commands: none is executed,
//! however the bytes are cut.

use super::*;
use proptest::prelude::*;

/// Would list a stock, and say so.
const EVIL: &str = "\r\nHSET EVIL price 1 volume 1\r\n";

/// Nothing but one protocol error is answered, and no command is decoded.
fn check(stream: &[u8], piece_bytes: usize) {
    for deferring in [false, true] {
        let mut conversation = Conversation { deferring, ..Conversation::new() };
        for piece in stream.chunks(piece_bytes) {
            if !conversation.closed {
                conversation.receive(piece);
            }
        }
        let replies = conversation.read();
        assert!(conversation.closed, "goes on after {replies:?}");
        assert!(replies.starts_with("-ERR Protocol error: "), "{replies}");
        assert_eq!(replies.matches("\r\n").count(), 1, "{replies}");
        assert_eq!(conversation.stocks, Conversation::new().stocks);
    }
}

/// The first bytes of a TLS client (RFC 8446, section 4.1.2). A page that chooses the name of the server
/// or the session id chooses what stands there. Lengths are those of the parts, so any of their bytes
/// may be a newline.
fn client_hello(random: &[u8], session: &[u8], ciphers: &[u8], extension: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
    let mut body = vec![3, 3];
    body.extend_from_slice(random);
    body.push(u8::try_from(session.len()).unwrap());
    body.extend_from_slice(session);
    body.extend_from_slice(&length(ciphers.len()));
    body.extend_from_slice(ciphers);
    body.extend_from_slice(&[1, 0]);
    body.extend_from_slice(&length(extension.len() + 4));
    body.extend_from_slice(&[0, 16]);
    body.extend_from_slice(&length(extension.len()));
    body.extend_from_slice(extension);

    let mut hello = vec![0x16, 3, 1];
    hello.extend_from_slice(&length(body.len() + 4));
    hello.extend_from_slice(&[1, 0]);
    hello.extend_from_slice(&length(body.len()));
    hello.extend_from_slice(&body);
    hello
}

/// Bytes, with a command among them or without.
fn hostile(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    let evil = prop_oneof![Just(""), Just(EVIL), Just("\n*1\r\n$4\r\nPING\r\n")];
    (prop::collection::vec(any::<u8>(), 0..bytes), evil, prop::collection::vec(any::<u8>(), 0..9))
        .prop_map(|(before, evil, after)| [before, evil.into(), after].concat())
}

/// A header, or a line of a body; the browser lets a page choose many of them.
fn header() -> impl Strategy<Value = String> {
    let headers = [
        "Host: localhost:7879",
        "Connection: keep-alive",
        "Content-Type: text/plain;charset=UTF-8",
        "Accept: */*",
        "HSET EVIL price 1",
        "PING",
        "GET AAPL",
        "",
    ];
    prop::sample::select(headers.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn nothing_in_a_hello_of_tls_is_executed(
        random in prop::collection::vec(any::<u8>(), 32), session in hostile(200),
        ciphers in hostile(600), extension in hostile(2000), piece_bytes in 1..600_usize,
    ) {
        let hello = client_hello(&random, &session, &ciphers, &extension);
        check(&hello, piece_bytes);
        // The hello of SSL 2, whose first byte is no control character.
        let old = [&[0x80 | hello[3], hello[4], 1, 3, 1][..], &hello[9..]].concat();
        check(&old, piece_bytes);
    }

    #[test]
    fn nothing_in_a_request_of_http_is_executed(
        method in "[A-Za-z]{1,12}|HSET|GET|POST|OPTIONS", target in "\\*|/[!-~]{0,40}",
        version in "HTTP/(1\\.0|1\\.1|2\\.0)", headers in prop::collection::vec(header(), 0..6),
        body in hostile(50), piece_bytes in 1..80_usize,
    ) {
        let head = format!("{method} {target} {version}\r\n{}\r\n\r\n", headers.join("\r\n"));
        check(&[head.as_bytes(), EVIL.as_bytes(), &body].concat(), piece_bytes);
    }
}

#[test]
fn whatever_the_lengths_of_a_hello_are_it_is_refused_at_its_first_byte() {
    for length in 0..=u8::MAX {
        let hello = [&[0x16, 3, 1, length, length][..], EVIL.as_bytes()].concat();
        check(&hello, 1);
        check(&hello, hello.len());
    }
    check(&[0x16], 1);
}
