//! A shutdown answers what was asked, closes cleanly and ends in time.

use std::io::{ErrorKind, Write};
use std::thread;
use std::time::Instant;

use stockd_model::Address;
use stockd_model::limits::{SHUTDOWN_MARGIN, SHUTDOWN_TIMEOUT};
use stockd_server::ShutdownReport;

use crate::market::{Client, Market, connect, long_conversation};

#[test]
fn everything_sent_before_a_shutdown_is_answered() {
    for _ in 0..5 {
        let market = Market::open(2);
        let (requests, replies) = long_conversation(2000);
        // Some are served already, others wait in the backlog with all they have to say.
        let mut clients: Vec<Client> = (0..50).map(|_| market.client()).collect();
        for client in &mut clients {
            client.send(&requests);
        }
        let stopping = thread::spawn(move || market.server.shutdown());
        for client in &mut clients {
            assert_eq!(client.rest().into_bytes(), replies);
        }
        let report = stopping.join().unwrap();
        assert_eq!(report, ShutdownReport { connections: 50, unflushed: 0 });
    }
}

/// Each client keeps a few batches in flight. It gets the replies to all of a prefix of what it
/// has sent, whole and in order, then the end: never a reset that destroys them.
#[test]
fn clients_that_keep_sending_get_their_replies_in_order_and_then_the_end() {
    const IN_FLIGHT: usize = 4;
    let market = Market::open(2);
    let mut clients: Vec<Client> = (0..8).map(|_| market.client()).collect();
    let (requests, replies) = long_conversation(7 * 100);
    let (requests, replies) = (&requests, &replies);
    thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(move || {
                let mut expected_bytes = 0;
                let mut received = Vec::new();
                let mut over = false;
                while !over && client.socket().write_all(requests).is_ok() {
                    expected_bytes += replies.len();
                    while !over && expected_bytes - received.len() > IN_FLIGHT * replies.len() {
                        over = !client.read_some(&mut received);
                    }
                }
                received.extend(client.rest_until_reset());
                assert!(received.ends_with(b"\n"));
                let expected = replies.iter().cycle();
                assert!(received.iter().eq(expected.take(received.len())));
            });
        }
        market.wait_until(|metrics| metrics.bytes_out > 200_000);
        let report = market.server.shutdown();
        assert_eq!((report.connections, report.unflushed), (8, 0));
    });
}

#[test]
fn a_first_request_without_newline_is_answered_by_a_shutdown() {
    let market = Market::open(1);
    let mut client = market.client();
    let mut half_a_line = market.client();
    assert_eq!(half_a_line.ask("IBM"), "159");
    half_a_line.send("AAP");
    client.send("AAPL");
    market.server.shutdown();
    assert_eq!(client.rest(), "172.5");
    assert_eq!(half_a_line.rest(), "");
}

#[test]
fn a_client_that_reads_nothing_cannot_hold_a_shutdown_up() {
    let market = Market::open(1);
    let mut reader = market.client();
    let client = market.client();
    let (requests, _) = long_conversation(10_000);
    client.socket().set_nonblocking(true).unwrap();
    // Until the server has stopped reading from it.
    while market.server.metrics().bytes_unsent < 1 << 20 {
        let _ = client.socket().write(&requests);
    }
    reader.send("AAPL\n");
    // It returns, without what that client will not take.
    let report = market.server.shutdown();
    assert_eq!(report, ShutdownReport { connections: 2, unflushed: 1 });
    assert_eq!(reader.rest(), "172.5\n");
}

#[test]
fn after_a_shutdown_nobody_listens() {
    let market = Market::open(2);
    let address = market.address();
    let mut idle = market.client();
    assert_eq!(idle.ask("AAPL"), "172.5");
    let begun = Instant::now();
    market.server.shutdown();
    // Idle clients are waited for a moment, far less than those that owe something.
    assert!(begun.elapsed() < SHUTDOWN_TIMEOUT - SHUTDOWN_MARGIN);
    assert_eq!(idle.rest(), "");
    let refused = connect(&address).unwrap_err().kind();
    assert_eq!(
        refused,
        match address {
            Address::Tcp(_) | Address::Tls { .. } => ErrorKind::ConnectionRefused,
            Address::Unix(_) => ErrorKind::NotFound,
        }
    );
}

#[test]
fn dropping_a_server_shuts_it_down() {
    let market = Market::open(2);
    let address = market.address();
    let mut client = market.client();
    client.send("AAPL\n");
    drop(market);
    assert_eq!(client.rest(), "172.5\n");
    assert!(connect(&address).is_err());
}
