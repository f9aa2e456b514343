//! All connections together hold no more memory than they may: what would take more is refused, those
//! that hold the most are closed, polite ones are served, and what was held is given back.

use std::time::Duration;

use stockd_server::{Config, Metrics};

use crate::stage::{Client, Stage};

const MAX: usize = 4 << 20;

fn small(workers: usize) -> Stage {
    Stage::with(1000, Config { workers, memory_max: MAX, ..Config::default() })
}

/// What one pass of each worker may add before it is seen.
const SLACK: usize = 2 << 20;

fn is_within(metrics: &Metrics) {
    assert!(metrics.memory as usize <= MAX + SLACK, "{metrics:?}");
}

/// Subscribes to 200 more stocks, unless the connection is over. Returns how many were refused.
fn subscribe(client: &mut Client, number: usize, block: usize) -> u64 {
    let names: String = (0..200).map(|stock| format!(" {number}-{block}-{stock}")).collect();
    if !client.sends(format!("SUBSCRIBE{names}\r\n")) {
        return 0;
    }
    let mut refused = 0;
    for _ in 0..200 {
        let Some(line) = client.next_line() else { break };
        if line.starts_with("-OOM ") {
            assert!(line.contains("memory_max"), "{line}");
            refused += 1;
        } else {
            (0..5).for_each(|_| _ = client.next_line());
        }
    }
    refused
}

/// Six clients with 20,000 subscriptions each once took a server of 48 MB with them.
#[test]
fn subscriptions_beyond_it_are_refused_and_given_back() {
    let stage = small(2);
    let mut polite = [stage.client(), stage.client()];
    let mut greedy: Vec<_> = (0..6).map(|_| stage.client()).collect();
    let mut refused = 0;
    for block in 0..50 {
        for (number, client) in greedy.iter_mut().enumerate() {
            refused += subscribe(client, number, block);
        }
        polite.iter_mut().for_each(|client| client.is_served());
        is_within(&stage.server.metrics());
    }
    assert!(refused > 0);
    let metrics = stage.server.metrics();
    // A table that doubles may go beyond the limit in one step, and then its owner is closed.
    assert!(metrics.refused_memory >= refused && metrics.closed_memory < 6, "{metrics:?}");
    let info = info(&mut polite[0]);
    assert!(info.contains(&format!("\r\nmemory_max:{MAX}\r\n")), "{info}");
    assert!(info.contains("\r\nclients_memory_subscriptions:"), "{info}");
    drop(greedy);
    stage.wait_until(|metrics| (metrics.memory as usize) < MAX / 5);
    polite.iter_mut().for_each(|client| client.is_served());
    assert_eq!(polite[1].ask("SUBSCRIBE S1"), "*3");
}

/// Half a command was kept for ever, 130 KB a connection.
#[test]
fn those_that_hold_the_most_are_closed_and_no_others() {
    const GREEDY: usize = 100;
    let stage = small(2);
    let mut polite: Vec<_> = (0..20).map(|_| stage.client()).collect();
    polite.iter_mut().for_each(|client| client.is_served());
    let half = ["*2\r\n$4\r\nECHO\r\n$65536\r\n", &"x".repeat(65_000)].concat();
    let mut greedy: Vec<_> = (0..GREEDY).map(|_| stage.client()).collect();
    for client in &mut greedy {
        client.send_what_fits(half.as_bytes());
        polite[0].is_served();
        is_within(&stage.server.metrics());
    }
    let metrics = stage.wait_until(|metrics| metrics.closed_memory > 0);
    assert!(metrics.closed_memory < GREEDY as u64);
    polite.iter_mut().for_each(|client| client.is_served());
    drop(greedy);
    let metrics = stage.wait_until(|metrics| metrics.open == 20);
    assert!((metrics.memory as usize) < MAX / 5, "{metrics:?}");
    polite.iter_mut().for_each(|client| client.is_served());
}

/// A list of all clients for each of them grows with the square of their number.
#[test]
fn lists_and_replies_that_nobody_reads_stay_within_it() {
    const GREEDY: usize = 200;
    let stage = small(1);
    let mut polite = stage.client();
    let mut greedy: Vec<_> = (0..GREEDY).map(|_| stage.client()).collect();
    for round in 0..3 {
        for client in &mut greedy {
            let command = ["CLIENT LIST\n", "COMMAND DOCS\n", "KEYS *\n"][round];
            client.send_what_fits(command.repeat(300).as_bytes());
            is_within(&stage.server.metrics());
        }
        polite.is_served();
    }
    polite.is_served();
    is_within(&stage.server.metrics());
    drop(greedy);
    let metrics = stage.wait_until(|metrics| metrics.open == 1);
    assert!((metrics.memory as usize) < MAX / 5, "{metrics:?}");
    polite.is_served();
}

#[test]
fn half_a_request_times_out_and_says_so() {
    let request_timeout = Duration::from_millis(50);
    let stage = Stage::with(10, Config { workers: 1, request_timeout, ..Config::default() });
    let why = "the rest of the request did not come within 50ms";
    let mut slow = stage.client();
    slow.is_served();
    slow.send("*2\r\n$3\r\nGET\r\n$2\r\nS");
    assert_eq!(slow.rest(), format!("-ERR {why}\r\n"));
    let mut line = stage.line_client();
    line.send("S1\nS");
    assert_eq!(line.rest(), format!("1\nERR {why}\n"));
    let metrics = stage.wait_until(|metrics| metrics.open == 0);
    assert_eq!((metrics.closed_request_timeout, metrics.closed_failed), (2, 0));
    // Who has asked whole requests may be silent for as long as it likes.
    let mut idle = stage.client();
    idle.is_served();
    let mut half = stage.client();
    half.send("GET");
    assert_eq!(half.rest(), format!("-ERR {why}\r\n"));
    idle.is_served();
}

fn info(client: &mut crate::stage::Client) -> String {
    let bytes: usize = client.ask("INFO memory")[1..].parse().unwrap();
    let mut text = "\r\n".to_owned();
    while text.len() < bytes + 2 {
        text += &client.line();
        text += "\r\n";
    }
    assert_eq!(client.line(), "");
    text
}
