//! What is refused: foreign hosts and pages, too much, and too many.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use stockd_web::Config;

use crate::Web;
use crate::websocket::{BINARY, Frame, TEXT, WebSocket};

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn only_hosts_that_it_is_known_as_are_answered() {
    let config = Config { allowed_hosts: vec!["stocks.example".into()], ..Config::default() };
    let web = Web::with(config, Default::default());
    let mut http = web.connect();
    for host in
        ["localhost", "LOCALHOST:80", "127.0.0.1:7880", "[::1]", "127.9.9.9", "stocks.example:1"]
    {
        assert_eq!(http.ask("GET", "/health/live", &[("Host", host)], "").status, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", ""]
    {
        assert_eq!(http.ask("GET", "/health/live", &[("Host", host)], "").status, 421, "{host}");
    }
}

#[test]
fn a_page_of_another_site_can_do_nothing() {
    let web = Web::start();
    web.set("A", "1");
    let mut http = web.connect();
    let body = r#"{"price":"2"}"#;
    for origin in ["http://evil.example", "null", "https://localhost.evil.example", "file://"] {
        let origin = ("Origin", origin);
        assert_eq!(http.ask("PUT", "/v1/stocks/A", &[JSON, origin], body).status, 403);
        assert_eq!(http.ask("GET", "/v1/stocks/A", &[origin], "").status, 403);
        let upgrade = [
            origin,
            ("Connection", "upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        assert_eq!(http.ask("GET", "/v1/stream?symbols=A", &upgrade, "").status, 403);
    }
    assert_eq!(
        http.ask("PUT", "/v1/stocks/A", &[JSON, ("Origin", "http://localhost:1")], body).status,
        200
    );
    // What a form can send without being asked first.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        assert_eq!(http.ask("PUT", "/v1/stocks/A", &[("Content-Type", kind)], body).status, 415);
    }
    assert!(http.get("/v1/stocks/A").header("access-control-allow-origin").is_none());
}

#[test]
fn what_is_too_long_is_refused_and_says_the_limit() {
    let web = Web::start();
    let long = |bytes| format!("/v1/stocks?prefix={}", "x".repeat(bytes));
    assert_eq!(web.connect().get(&long(9000)).status, 414);
    let head = web.connect().ask("GET", "/health/live", &[("X", &"x".repeat(40_000))], "");
    assert_eq!(head.status, 431);
    let quote = format!(r#"{{"price":1,"pad":"{}"}}"#, "x".repeat(20_000));
    let refused = web.connect().ask("PUT", "/v1/stocks/A", &[JSON], &quote);
    assert_eq!((refused.status, &refused.json()["bytes_max"]), (413, &16384.into()));
    // Announced, so that it is refused before it is sent.
    let mut http = web.connect();
    http.send("POST", "/v1/lookup", &[JSON, ("Content-Length", "99999999")], "");
    assert_eq!(http.head().status, 413);
}

#[test]
fn what_is_closed_or_refused_is_counted_by_reason() {
    let web = Web::start();
    let head = web.connect().ask("GET", "/health/live", &[("X", &"x".repeat(40_000))], "");
    let mut rubbish = web.connect();
    rubbish.stream.get_mut().write_all(b"rubbish\r\n\r\n").unwrap();
    assert_eq!((head.status, rubbish.head().status), (431, 400));
    for (opcode, payload) in [(TEXT, "x".repeat(64 * 1024 + 1)), (BINARY, "x".to_owned())] {
        let stream = TcpStream::connect(web.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(180))).unwrap();
        let mut socket = WebSocket::open(stream, "/v1/stream");
        socket.send(opcode, true, payload.as_bytes());
        while !matches!(socket.frame(), Frame::Close(_) | Frame::Gone) {}
    }
    assert_eq!(web.connect().get(&format!("/v1/stocks?prefix={}", "x".repeat(9000))).status, 414);
    let names = "x,".repeat(1001);
    assert_eq!(web.connect().get(&format!("/v1/stocks?symbols={names}")).status, 413);
    let expected = [
        r#"stockd_connections_closed_total{reason="web_head_too_long"} 1"#,
        r#"stockd_connections_closed_total{reason="web_message_too_long"} 1"#,
        r#"stockd_connections_closed_total{reason="web_protocol_error"} 2"#,
        r#"stockd_connections_closed_total{reason="web_silent"} 0"#,
        r#"stockd_connections_closed_total{reason="web_idle"} 0"#,
        r#"stockd_http_problems_total{problem="uri-too-long"} 1"#,
        r#"stockd_http_problems_total{problem="too-many-names"} 1"#,
    ];
    // A connection is counted when it has ended, which may be after its client has read the last of it.
    let mut http = web.connect();
    let deadline = Instant::now() + Duration::from_secs(180);
    let mut metrics = || http.get("/metrics").text().to_owned();
    while !expected.iter().all(|line| metrics().lines().any(|it| it == *line)) {
        assert!(Instant::now() < deadline, "{}", metrics());
        std::thread::yield_now();
    }
    let hit = web.connect().get("/v1/server").json()["limits_hit"].to_string();
    for name in ["http_head_bytes", "websocket_bytes", "http_uri_bytes", "http_names"] {
        assert!(hit.contains(name), "{name} is not in {hit}");
    }
    assert!(!hit.contains("websocket_silence"), "{hit}");
}

#[test]
fn one_connection_more_than_may_be_is_told_so() {
    let web = Web::with(Config { connections_max: 2, ..Config::default() }, Default::default());
    let mut held: Vec<_> = (0..2).map(|_| web.connect()).collect();
    held.iter_mut().for_each(|http| assert_eq!(http.get("/health/live").status, 200));
    let mut text = String::new();
    let _ = web.connect().stream.read_to_string(&mut text);
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
}

#[test]
fn a_stop_waits_for_no_idle_connection() {
    let web = Web::start();
    let mut idle: Vec<_> = (0..20).map(|_| web.connect()).collect();
    idle.iter_mut().take(10).for_each(|http| assert_eq!(http.get("/health/live").status, 200));
    assert_eq!(web.stop(), 0);
}
