//! A server ends in time whatever its clients are doing.

use std::time::Instant;

use stockd_model::limits::{READ_BYTES_MAX, SHUTDOWN_TIMEOUT};
use stockd_server::ShutdownReport;

use crate::stage::{Stage, set};

fn stops_in_time(stage: Stage) -> ShutdownReport {
    let begun = Instant::now();
    let report = stage.server.shutdown();
    // The promise is that of the documents; what the system needs beyond it is not ours.
    assert!(begun.elapsed() < SHUTDOWN_TIMEOUT);
    report
}

#[test]
fn amid_walks_that_would_take_minutes() {
    let stage = Stage::new(50_000);
    let mut walkers: Vec<_> = (0..8).map(|_| stage.client()).collect();
    for client in &mut walkers {
        client.is_served();
        client.send("KEYS a\n".repeat(READ_BYTES_MAX / 7));
    }
    let mut asker = stage.client();
    asker.is_served();
    asker.send("GET S0\r\n");
    let report = stops_in_time(stage);
    assert_eq!(report, ShutdownReport { connections: 9, unflushed: 8 });
    // Who asked for little is answered before.
    assert_eq!(asker.rest(), "$1\r\n1\r\n");
}

#[test]
fn amid_subscribers_that_have_much_to_be_told_and_others_that_leave() {
    let stage = Stage::new(5000);
    let mut subscribers: Vec<_> = (0..20).map(|_| stage.client()).collect();
    for client in &mut subscribers {
        client.send("PSUBSCRIBE S* S?* *\n");
        assert_eq!(client.line(), "*3");
    }
    for stock in 0..5000 {
        set(&stage.engine, stock, "2");
    }
    stage.wait_until(|metrics| metrics.bytes_unsent > 0);
    subscribers.truncate(10);
    let report = stops_in_time(stage);
    assert!(report.unflushed <= 10, "{report:?}");
}

#[test]
fn amid_replies_that_nobody_reads_and_requests_that_are_not_whole() {
    let stage = Stage::new(100);
    let mut silent: Vec<_> = (0..10).map(|_| stage.client()).collect();
    for client in &mut silent {
        client.send_what_fits("COMMAND DOCS\n".repeat(3000).as_bytes());
    }
    let mut halves: Vec<_> = (0..10).map(|_| stage.client()).collect();
    for client in &mut halves {
        client.is_served();
        client.send("*2\r\n$4\r\nECHO\r\n$1000\r\nabc");
    }
    stage.wait_until(|metrics| metrics.bytes_unsent > 0);
    let report = stops_in_time(stage);
    assert_eq!(report.connections, 20);
    for client in &mut halves {
        assert_eq!(client.rest(), "");
    }
}
