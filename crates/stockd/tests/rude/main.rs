//! Rude clients, a few quick ones of `cargo xtask chaos`: what they send is not executed, and they
//! keep the server neither from its other clients nor from its end.

mod server;

use std::io::{Read, Write};
use std::time::Instant;

use stockd_model::limits::SHUTDOWN_TIMEOUT;

use crate::server::{Client, Server};

/// Asks for a listing in a line of its own, within what looks like something else.
fn listing(symbol: &str) -> String {
    format!("HSET {symbol} price 1")
}

/// A ClientHello of TLS 1.2 whose application protocol is a command between line feeds.
fn tls_hello(filler: u8, command: &str) -> Vec<u8> {
    let with_len16 = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let protocol = format!("\n{command}\n");
    let protocols = [&[protocol.len() as u8][..], protocol.as_bytes()].concat();
    let alpn = [&[0, 16][..], &with_len16(&with_len16(&protocols))].concat();
    let hello = [
        &[3, 3][..],
        // The random, and no session.
        &[filler; 32],
        &[0],
        &with_len16(&[0x13, 0x01, 0xc0, 0x2f]),
        &[1, 0],
        &with_len16(&alpn),
    ]
    .concat();
    let handshake = [&[1, 0][..], &with_len16(&hello)].concat();
    [&[22, 3, 1][..], &with_len16(&handshake)].concat()
}

/// Sends this and waits until the server has closed, so that it has done with it.
fn send_to_the_end(mut client: Client, bytes: &[u8]) {
    // It may close before it has read everything.
    let _ = client.write_all(bytes);
    let _ = client.shutdown(std::net::Shutdown::Write);
    let _ = client.read_to_end(&mut Vec::new());
}

/// A byte that is a quote, a blank or a line feed for the parser of lines changes what comes after.
#[test]
fn a_tls_hello_executes_nothing() {
    let server = Server::start(&[]);
    for filler in 0..=255 {
        let hello = tls_hello(filler, &listing("TLS"));
        send_to_the_end(server.resp(), &hello);
        send_to_the_end(server.line(), &hello);
        assert_eq!(server.ask("EXISTS TLS"), ":0", "random of bytes {filler:#04x}");
    }
}

#[test]
fn an_http_request_executes_nothing_whatever_its_headers() {
    let server = Server::start(&[]);
    let headers = ["Host: here", "Accept: */*", "Origin: null", "Content-Length: 17"];
    let starts = ["POST / HTTP/1.1", "GET /?x=1 HTTP/1.1", "PUT / HTTP/1.0", "options * HTTP/1.1"];
    for start in starts {
        for first in 0..headers.len() {
            for count in 0..=headers.len() {
                let headers: Vec<&str> =
                    headers.iter().cycle().skip(first).take(count).copied().collect();
                for end in ["\n", "\r\n"] {
                    let head = [&[start][..], &headers].concat().join(end);
                    let request = format!("{head}{end}{end}{}{end}", listing("HTTP"));
                    send_to_the_end(server.resp(), request.as_bytes());
                    send_to_the_end(server.line(), request.as_bytes());
                    assert_eq!(server.ask("EXISTS HTTP"), ":0", "{request:?}");
                }
            }
        }
    }
}

/// The log of the server is not read, and it has much to say of clients that
/// come, are refused and go.
#[test]
fn a_log_that_is_not_read_stops_neither_service_nor_end() {
    // More than the lines that a pipe of 64 KiB takes.
    const ROUNDS: usize = 1500;
    let server = Server::start(&["--connections-max", "4", "--log", "debug"]);
    let mut served: Vec<Client> = (0..3).map(|_| server.resp()).collect();
    for round in 0..ROUNDS {
        // The last place is free when the server has noticed who left it.
        let _last = loop {
            let mut client = server.resp();
            if client.try_ask("PING").as_deref() == Some("+PONG") {
                break client;
            }
        };
        let refused = server.resp().try_ask("PING").unwrap_or_default();
        assert!(refused.is_empty() || refused.contains("4 connections are open"), "{refused}");
        assert_eq!(served[round % 3].ask("PING"), "+PONG", "in round {round}");
    }
    assert_eq!(server.stop().code(), Some(0));
}

/// Each packet asks for tens of millions of rows. Without a bound on the work between two looks at
/// the signal this takes minutes.
#[test]
fn it_ends_in_time_while_walks_over_all_stocks_are_asked_for() {
    const STOCKS: usize = 20_000;
    let home = tempfile::tempdir().unwrap();
    let catalog = home.path().join("stocks.csv");
    let rows: String = (0..STOCKS).map(|stock| format!("S{stock},1,1\n")).collect();
    std::fs::write(&catalog, format!("symbol,price,volume\n{rows}")).unwrap();
    let server = Server::start(&["--catalog", catalog.to_str().unwrap(), "--workers", "2"]);
    let packet = "KEYS a\n".repeat(16 * 1024 / "KEYS a\n".len());
    let mut clients: Vec<Client> = (0..8).map(|_| server.resp()).collect();
    for client in &mut clients {
        client.write_all(packet.as_bytes()).unwrap();
    }
    // Each has been begun when its first answer is there.
    for client in &mut clients {
        assert_eq!(client.reply().as_deref(), Some("*0"));
    }
    let asked = Instant::now();
    let status = server.stop();
    let took = asked.elapsed();
    assert_eq!(status.code(), Some(0));
    // The promise is the one time; the other is for a machine that is busy with other tests.
    assert!(took < SHUTDOWN_TIMEOUT * 2, "it took {took:?}");
}

#[test]
fn half_commands_keep_nobody_from_service() {
    const CLIENTS: usize = 2000;
    let server = Server::start(&["--workers", "1"]);
    let mut polite = server.resp();
    let half = format!("*2\r\n$4\r\nPING\r\n$1000\r\n{}", "x".repeat(500));
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..CLIENTS {
        let mut client = server.resp();
        client.write_all(half.as_bytes()).unwrap();
        clients.push(client);
        if number.is_multiple_of(100) {
            assert_eq!(polite.ask("PING"), "+PONG", "beside {number} half commands");
        }
    }
    // A client that was closed has no answer; none gets a wrong one.
    let rest = format!("{}\r\n", "x".repeat(500));
    for client in clients.iter_mut().step_by(100) {
        if client.write_all(rest.as_bytes()).is_ok() {
            assert!(client.reply().is_none_or(|reply| reply == "$1000"));
        }
    }
    assert_eq!(server.stop().code(), Some(0));
}
