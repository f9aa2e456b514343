//! `stockd load` over HTTP/1.1, HTTP/2, WebSocket, Server-Sent Events and gRPC, against a real server.

use serde_json::Value;

use super::server::{Outcome, run, stockd};
use super::{FakeServer, Running, first, report};

/// Each protocol, and what it takes to have many requests under way.
const WAYS: [(&str, &[&str]); 9] = [
    ("http", &[]),
    ("http", &["--pipeline", "16"]),
    ("http", &["--rate", "100000", "--arrivals", "poisson"]),
    ("http2", &[]),
    // More than the server has streams for.
    ("http2", &["--pipeline", "700"]),
    ("http2", &["--rate", "100000", "--threads", "2"]),
    ("websocket", &["--pipeline", "7"]),
    ("grpc", &["--pipeline", "32"]),
    ("grpc", &["--rate", "100000"]),
];

fn server() -> Running {
    Running::stockd_with(&["--http", "127.0.0.1:0"])
}

/// Runs `stockd load` against the HTTP of a server.
fn load(server: &Running, protocol: &str, args: &[&str]) -> Outcome {
    server.load(&[&["--protocol", protocol, "--http", &server.http], args].concat())
}

#[test]
fn every_reply_is_as_expected_over_every_protocol_of_the_service_plane() {
    let server = server();
    for (protocol, more) in WAYS {
        let common = ["--stocks", "500", "--fill", "--verify", "--requests", "1001"];
        let json = ["--misses", "5", "--repeats", "0", "--json", "-"];
        let report = report(load(&server, protocol, &[&common[..], &json, more].concat()));
        let run = first(&report);
        assert_eq!(report["parameters"]["protocol"], protocol);
        assert_eq!(run["requests"], 1001, "{protocol} {more:?}");
        assert_eq!(run["latency"]["count"], 1001);
        assert_eq!((&run["mismatches"], &run["errors"]), (&0.into(), &0.into()));
        assert_eq!((&run["verified"], &run["unanswered"]), (&1001.into(), &0.into()));
        let (hits, misses) = (run["hits"].as_u64().unwrap(), run["misses"].as_u64().unwrap());
        assert_eq!(hits + misses, 1001);
        assert!(misses > 0 && misses < hits / 5, "{misses} of {hits}");
    }
}

/// What was recorded before the run is what the run finds, and a price that changes meanwhile is found.
#[test]
fn replies_are_compared_with_what_was_answered_before() {
    let server = server();
    assert_eq!(server.load(&["--stocks", "300", "--fill", "--requests", "1"]).0, Some(0));
    for protocol in ["http", "http2", "websocket", "grpc"] {
        let args = ["--verify", "--requests", "300", "--repeats", "0", "--json", "-"];
        let report = report(load(&server, protocol, &args));
        assert_eq!(report["parameters"]["stocks"], 300);
        assert_eq!(first(&report)["verified"], 300, "{protocol}");
    }
}

#[test]
fn it_speaks_http_over_tls_with_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (code, _, err) = run(stockd(&["certificate", "new", "--host", "localhost", &path("")]));
    assert_eq!(code, Some(0), "{err}");
    let (code, token, user) = run(stockd(&["token", "new", "desk"]));
    assert_eq!(code, Some(0), "{user}");
    std::fs::write(path("token"), &token).unwrap();
    std::fs::write(path("access.toml"), format!("{user}read = [\"*\"]\nwrite = [\"*\"]\n"))
        .unwrap();
    let (certificate, key, access) = (path("server.pem"), path("server.key"), path("access.toml"));
    let tls = ["--tls-cert", &certificate, "--tls-key", &key, "--access", &access];
    let server = Running::stockd_with(&[&["--http", "tls:127.0.0.1:0"][..], &tls].concat());
    let port = server.http.rsplit(':').next().unwrap();
    let address = format!("tls:localhost:{port}");
    let (authority, token) = (path("ca.pem"), path("token"));
    let shown = ["--tls-ca", &authority, "--token-file", &token, "--http", &address];
    for (protocol, user) in [("http", true), ("http2", false), ("websocket", false), ("grpc", true)]
    {
        let user: &[&str] = if user { &["--user", "desk"] } else { &[] };
        let common = ["--protocol", protocol, "--stocks", "50", "--fill", "--verify"];
        let args =
            [&common[..], &["--requests", "200", "--repeats", "0", "--json", "-"], &shown, user]
                .concat();
        let report = report(server.load(&args));
        assert_eq!(first(&report)["verified"], 200, "{protocol}");
    }
}

#[test]
fn subscribers_tell_how_old_their_messages_are() {
    let server = server();
    for carrier in ["resp", "sse", "websocket", "grpc"] {
        let common = ["--protocol", "resp", "--stocks", "20", "--fill", "--updates", "50"];
        let subscribers = ["--subscribers", "3", "--subscribe-with", carrier];
        let window = ["--requests", "2000", "--repeats", "0", "--http", &server.http];
        let report = server.report(&[&common[..], &subscribers, &window, &resp(&server)].concat());
        assert_eq!(report["parameters"]["subscribe_with"], carrier);
        let run = first(&report);
        assert!(run["messages_a_second"].as_f64().unwrap() > 0.0, "{carrier}: {run}");
        let age = &run["message_age"];
        assert!(age["count"].as_u64() > Some(0), "{carrier}: {age}");
        // No message is older than the run.
        assert!(age["max_ns"].as_u64() < Some(60_000_000_000), "{carrier}: {age}");
        assert_eq!(run["connections_closed"], 0);
    }
}

fn resp(server: &Running) -> [&str; 2] {
    ["--server", &server.resp]
}

#[test]
fn a_server_of_another_protocol_is_named() {
    let server = server();
    assert_eq!(server.load(&["--stocks", "10", "--fill", "--requests", "1"]).0, Some(0));
    let lines = FakeServer::start(|_| "172.5\n");
    let cases = [
        ("http", &lines.address, "does not speak the HTTP/1.1 protocol: it answered '172.5'"),
        ("http2", &lines.address, "does not speak the HTTP/2 protocol: it answered '172.5"),
        ("grpc", &lines.address, "does not speak the gRPC protocol: it answered '172.5"),
        ("websocket", &lines.address, "it opened no WebSocket and answered '172.5"),
    ];
    for (protocol, address, why) in cases {
        let some = ["--stocks", "5", "--requests", "5", "--server", address];
        let (code, out, err) = load(&server, protocol, &some);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{protocol}: {err}");
        assert!(err.contains(why), "{protocol}: {err}");
    }
    let (code, _, err) = load(&server, "grpc", &["--stocks", "5", "--updates", "5"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("the gRPC protocol has no writes; use --updates"), "{err}");
    let subscribers = ["--subscribers", "1", "--subscribe-with", "sse", "--requests", "1"];
    let (code, _, err) = server.load(&[&subscribers[..], &["--http", &server.resp]].concat());
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("failed while subscribing"), "{err}");
    let subscribers = ["--subscribers", "1", "--subscribe-with", "grpc", "--requests", "1"];
    let (code, _, err) = server.load(&[&subscribers[..], &["--http", &server.resp]].concat());
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("failed while subscribing"), "{err}");
}

/// The page of a sweep has what was measured, whatever the protocol.
#[test]
fn streams_at_once_can_be_swept() {
    let server = server();
    let common = ["--stocks", "50", "--fill", "--requests", "200", "--sweep", "pipeline=1,8"];
    let report: Value =
        report(load(&server, "http2", &[&common[..], &["--repeats", "0", "--json", "-"]].concat()));
    let loads: Vec<&Value> =
        report["points"].as_array().unwrap().iter().map(|it| &it["load"]["pipeline"]).collect();
    assert_eq!(loads, [1, 8]);
}
