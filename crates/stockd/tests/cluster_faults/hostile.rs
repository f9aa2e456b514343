//! Messages that no node has sent, or not like that.

use serde_json::json;
use stockd_model::batch::{self, BatchWriter, Body, FORMAT, Head, Kind, Seen};
use stockd_model::{Request, Shares, Volume};
use stockd_witness::{Nats, Truth};

use crate::nats::Servers;
use crate::node::{Node, becomes, refused};
use crate::{STREAM, SUBJECT, has_applied, set, stock, take};

/// A head of a session that a test has begun. It has seen nothing, so it can contradict nothing.
fn head(kind: Kind, session: u64, number: u64) -> Head {
    Head { kind, count: 0, session, number, time_ns: 1, seen: Seen::default() }
}

/// A batch that takes shares of the hot stock.
fn batch(session: u64, number: u64, shares: u64) -> Vec<u8> {
    let mut writer = BatchWriter::new();
    let request = Request::Trade("HOT".parse().unwrap(), Shares::Take(Volume::new(shares)));
    writer.push(&request.into()).unwrap();
    writer.finish(&head(Kind::Batch, session, number))
}

#[test]
fn what_is_repeated_out_of_order_cut_or_foreign_counts_for_nothing_at_any_node() {
    let Some(servers) = Servers::start(1) else { return };
    let nodes: Vec<Node> = (0..2).map(|_| Node::start(&servers.urls_from(0), &[])).collect();
    set(&nodes[0], "HOT", 5, 1000).unwrap();
    assert_eq!(take(&nodes[0], "HOT", 10).unwrap(), 990);
    let mut nats = Nats::connect(servers.address(0)).unwrap();
    let log = nats.messages(STREAM).unwrap();
    // All that there is, once more, and in the opposite order; without the header by which NATS would know it.
    for message in log.iter().chain(log.iter().rev()) {
        nats.publish(SUBJECT, &message.bytes).unwrap();
    }
    // A session of which the third message comes before the second one.
    let hello = batch::plain(&head(Kind::Hello, 7, 0), &Body::Nothing);
    for message in [&hello, &batch(7, 3, 20), &batch(7, 2, 300), &batch(7, 3, 20), &hello] {
        nats.publish(SUBJECT, message).unwrap();
    }
    // One that has never begun, and another hello of one that has.
    nats.publish(SUBJECT, &batch(8, 1, 400)).unwrap();
    let good = batch(7, 4, 500);
    for end in [0, 1, 7, 47, 48, 49, good.len() - 1] {
        nats.publish(SUBJECT, &good[..end]).unwrap();
    }
    let long = [good.as_slice(), b"more"].concat();
    for foreign in
        [long.as_slice(), b"{\"price\": 5}", b"GET / HTTP/1.1\r\n\r\n", &[1; 300_000], &[0; 48]]
    {
        nats.publish(SUBJECT, foreign).unwrap();
    }
    // And nodes go on.
    assert_eq!(take(&nodes[1], "HOT", 1).unwrap(), 969);
    let last = nats.last_sequence(STREAM).unwrap();
    let late = Node::start(&servers.urls_from(0), &[]);
    let truth = Truth::of(&nats.messages(STREAM).unwrap());
    let expected = truth.stocks["HOT"];
    assert_eq!(
        (expected.version, expected.volume),
        (4, 969),
        "20 were taken by the session of the test"
    );
    for node in nodes.iter().chain([&late]) {
        has_applied(node, last);
        assert_eq!(stock(node, "HOT"), Some((4, 5, 969)));
        assert_eq!(node.info("cluster_state"), "ok");
    }
    // Rubbish does not hinder their end, either.
    nodes.into_iter().for_each(Node::terminate);
    let passed_over: usize = late.info("cluster_passed_over").parse().unwrap();
    assert!(passed_over >= truth.passed_over.min(2 * log.len() + 15), "{passed_over}");
}

#[test]
fn a_message_of_a_later_version_stops_writes_at_nodes_of_this_one_and_no_lookups() {
    let Some(servers) = Servers::start(1) else { return };
    let nodes: Vec<Node> = (0..2).map(|_| Node::start(&servers.urls_from(0), &[])).collect();
    set(&nodes[0], "HOT", 5, 1000).unwrap();
    becomes(|| stock(&nodes[1], "HOT"));
    // A node of the next format has its session here as those of this one; it is understood until it writes the new
    // format, which it may when all are updated.
    let mut nats = Nats::connect(servers.address(0)).unwrap();
    nats.publish(SUBJECT, &batch::plain(&head(Kind::Hello, 9, 0), &Body::Nothing)).unwrap();
    nats.publish(SUBJECT, &batch(9, 1, 10)).unwrap();
    let all_show = |volume| {
        nodes.iter().for_each(|node| {
            becomes(|| (stock(node, "HOT").unwrap().2 == volume).then_some(()));
        });
    };
    all_show(990);
    assert_eq!(take(&nodes[0], "HOT", 10).unwrap(), 980);
    let mut later = batch(9, 2, 10);
    later[0] = FORMAT + 1;
    nats.publish(SUBJECT, &later).unwrap();
    for node in &nodes {
        becomes(|| (node.info("cluster_state") == "stopped").then_some(()));
        let error = take(node, "HOT", 10).unwrap_err();
        assert_eq!(error.code(), Some("CLUSTERDOWN"), "{error}");
        assert_eq!(
            stock(node, "HOT").unwrap().2,
            980,
            "lookups go on, without what was not understood"
        );
        becomes(|| node.get("/health/ready").starts_with("HTTP/1.1 503").then_some(()));
    }
    // One that is started now does not become ready, and says what to do.
    let (code, err) = refused(&[&servers.url(0)]);
    assert_eq!(code, Some(1));
    assert!(err.contains("format 2") && err.contains("update this node"), "{err}");
}

#[test]
fn a_cluster_that_was_made_by_a_later_version_is_refused() {
    let Some(servers) = Servers::start(1) else { return };
    let mut nats = Nats::connect(servers.address(0)).unwrap();
    let made = nats.api(&format!("STREAM.INFO.{STREAM}"), &json!(null)).unwrap();
    let mut config = made["config"].clone();
    config["name"] = "STOCKD_next_0".into();
    config["subjects"] = json!(["stockd.next.0.log"]);
    config["metadata"]["stockd-format"] = (FORMAT + 1).to_string().into();
    nats.api("STREAM.CREATE.STOCKD_next_0", &config).unwrap();
    let (code, err) = refused(&[&servers.url(0), "--cluster-name", "next"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("has stockd-format 2, and must have 1"), "{err}");
}
