//! What is refused: foreign hosts and pages, too much, and too many.

use std::io::Read;

use stockd_web::Config;

use crate::Web;

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
