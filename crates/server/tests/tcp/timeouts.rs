//! Clients that let a timeout pass are closed, and only they.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use stockd_server::Config;

use crate::market::{Market, long_conversation};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_client_that_takes_no_replies_is_closed_after_the_stalled_timeout() {
    let market = Market::with(Config {
        stalled_timeout: SHORT,
        unread_replies_max: 0,
        workers: 1,
        ..Config::default()
    });
    let mut neighbour = market.client();
    let client = market.client();
    let (requests, _) = long_conversation(10_000);
    let ended = loop {
        if let Err(error) = client.socket().write_all(&requests) {
            break error.kind();
        }
    };
    let closed = matches!(ended, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
    assert!(closed, "{ended}");
    let metrics = market.wait_until(|metrics| metrics.open == 1);
    assert_eq!((metrics.closed_stalled, metrics.bytes_unsent), (1, 0));
    assert_eq!(neighbour.ask("AAPL"), "172.5");
}

#[test]
fn a_client_that_is_idle_is_closed_after_the_idle_timeout() {
    let market =
        Market::with(Config { idle_timeout: Some(SHORT), workers: 1, ..Config::default() });
    let mut never_asks = market.client();
    let mut asked_once = market.client();
    asked_once.send("AAPL\n");
    assert_eq!(asked_once.rest(), "172.5\n");
    assert_eq!(never_asks.rest(), "");
    let metrics = market.wait_until(|metrics| metrics.open == 0);
    assert_eq!((metrics.closed_idle, metrics.closed_failed), (2, 0));
}

#[test]
fn without_an_idle_timeout_a_silent_client_stays() {
    let market = Market::with(Config {
        stalled_timeout: SHORT,
        unread_replies_max: 0,
        workers: 1,
        ..Config::default()
    });
    let mut silent = market.client();
    let asker = market.client();
    // The stalled client's end proves that the timeouts of this worker have been looked at.
    let (requests, _) = long_conversation(10_000);
    while asker.socket().write_all(&requests).is_ok() {}
    market.wait_until(|metrics| metrics.closed_stalled == 1);
    assert_eq!(silent.ask("AAPL"), "172.5");
}
