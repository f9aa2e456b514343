//! Every limit has an answer, and nobody else notices.

use std::io::{ErrorKind, Write};
use std::thread;

use stockd_model::limits::{LINE_BYTES_MAX, OUTPUT_BYTES_MAX, READ_BYTES_MAX};
use stockd_server::Config;

use crate::awaiting::PATIENCE;
use crate::market::{Market, long_conversation};

/// The most that one turn can add to the replies that wait: every request of a read that begins
/// with half a line asks for the longest price with the shortest name.
const TURN_REPLIES_MAX: usize = (LINE_BYTES_MAX + READ_BYTES_MAX) / 2 * 21;

#[test]
fn a_client_beyond_the_limit_is_told_and_the_next_is_served_when_one_has_left() {
    let market = Market::with(Config { connections_max: 2, workers: 1, ..Config::default() });
    let mut first = market.client();
    let mut second = market.client();
    assert_eq!((first.ask("IBM"), second.ask("IBM")), ("159".into(), "159".into()));
    for _ in 0..3 {
        assert_eq!(
            market.client().rest(),
            "ERR 2 connections are open, the limit; try again later\n"
        );
    }
    // A client that has asked already is told as well.
    let mut hasty = market.client();
    let _ = hasty.socket().write(b"AAPL\n");
    let told = String::from_utf8(hasty.rest_until_reset()).unwrap();
    assert!(told.starts_with("ERR 2 connections"), "{told:?}");

    let metrics = market.server.metrics();
    assert_eq!((metrics.accepted, metrics.refused_at_limit, metrics.open), (6, 4, 2));
    assert_eq!(second.ask("AAPL"), "172.5");
    drop(first);
    market.wait_until(|metrics| metrics.open == 1);
    assert_eq!(market.client().ask("AAPL"), "172.5");
}

#[test]
fn a_line_too_long_closes_its_connection_after_the_replies_before_it() {
    let market = Market::open(1);
    let mut neighbour = market.client();
    assert_eq!(neighbour.ask("IBM"), "159");
    let mut client = market.client();
    client.send("AAPL\nIBM\n");
    client.send(vec![b'A'; LINE_BYTES_MAX + 1]);
    assert_eq!(client.rest(), "172.5\n159\n");
    assert_eq!(neighbour.ask("AAPL"), "172.5");
    let metrics = market.wait_until(|metrics| metrics.closed_line_too_long == 1);
    assert_eq!(metrics.closed_failed, 0);
    drop(client);
    market.wait_until(|metrics| metrics.open == 1);
}

#[test]
fn a_line_of_exactly_the_limit_is_answered() {
    let market = Market::open(1);
    let mut client = market.client();
    let mut line = vec![b' '; LINE_BYTES_MAX - 4];
    line.extend_from_slice(b"AAPL\nIBM\n");
    client.send("XYZ\n");
    client.send(line);
    client.expect("-1\n172.5\n159\n");
}

#[test]
fn an_endless_first_line_is_cut_off() {
    let market = Market::open(1);
    let mut client = market.client();
    let mut sent = 0;
    let ended = loop {
        // More than the server discards while it waits for the client to close.
        match client.socket().write(&[b'A'; 65536]) {
            Ok(bytes) => sent += bytes,
            Err(error) => break error.kind(),
        }
        assert!(sent < 1 << 30, "nobody stops it");
    };
    let reset = matches!(ended, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
    assert!(reset, "{ended}");
    market.wait_until(|metrics| metrics.closed_line_too_long == 1 && metrics.open == 0);
    assert!(client.rest_until_reset().is_empty());
}

#[test]
fn a_client_that_reads_nothing_is_bounded_and_gets_all_its_replies_when_it_reads_at_last() {
    let market = Market::open(1);
    let mut neighbour = market.client();
    // Its replies are far more than fits into the sockets and the server's bound together.
    let mut client = market.client_with_small_window();
    let (requests, replies) = long_conversation(2_000_000);
    let mut writer = client.socket().try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&requests).unwrap());
        market.wait_until(|metrics| metrics.bytes_unsent >= OUTPUT_BYTES_MAX as u64);
        // It has stopped reading when more and more lookups by others leave its bytes as they are.
        let mut before = market.server.metrics();
        loop {
            for _ in 0..100 {
                assert_eq!(neighbour.ask("AAPL"), "172.5");
            }
            let now = market.server.metrics();
            if now.bytes_in - before.bytes_in == 100 * 5 {
                break;
            }
            before = now;
        }
        let unsent = market.server.metrics().bytes_unsent as usize;
        assert!(unsent <= OUTPUT_BYTES_MAX + TURN_REPLIES_MAX, "{unsent}");
        client.expect(replies);
    });
    market.wait_until(|metrics| metrics.bytes_unsent == 0);
}

/// What many client libraries do with a long pipeline: they write all of it before they read. With no more
/// than its own room each side would wait for the other for ever.
#[test]
fn a_client_may_write_a_long_pipeline_before_it_reads() {
    let market = Market::with(Config { workers: 1, memory_max: 1 << 30, ..Config::default() });
    let mut client = market.client_with_small_window();
    client.socket().set_write_timeout(Some(PATIENCE)).unwrap();
    let (requests, replies) = long_conversation(2_000_000);
    assert!(replies.len() > 8 * OUTPUT_BYTES_MAX);
    client.socket().write_all(&requests).unwrap();
    client.expect(replies);
    market.wait_until(|metrics| metrics.bytes_unsent == 0);
}

#[test]
fn the_limit_of_open_files_lowers_that_of_connections() {
    let market = Market::with(Config { connections_max: usize::MAX, ..Config::default() });
    let connections_max = market.server.metrics().connections_max;
    assert!((1..usize::MAX).contains(&connections_max), "{connections_max}");
}
