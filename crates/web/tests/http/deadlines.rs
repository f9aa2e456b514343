//! Requests and disks that take long, or fail: what has done nothing is told to come again, and what may have is never refused.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use stockd_engine::{Catalog, Engine, Sync};
use stockd_store::simulation::GatedStore;
use stockd_web::{Config, Patience};

use crate::Web;
use crate::client::Http;

/// The short deadline of a test.
const SHORT: Duration = Duration::from_secs(1);
const JSON: (&str, &str) = ("Content-Type", "application/json");
const TRADE: &str = r#"{"side":"buy","quantity":"10"}"#;

/// A plane over a gated disk, with a stock of 100 shares.
fn start(patience: Patience) -> (Web, Sender<bool>) {
    let (store, gate) = GatedStore::new();
    let engine = Engine::durable(Catalog::new(), 0, Box::new(store), Sync::Always);
    let web = Web::with(Config { patience, ..Config::default() }, Arc::new(engine));
    gate.send(true).unwrap();
    let listing = r#"{"price":"1","volume":"100"}"#;
    assert_eq!(web.connect().ask("PUT", "/v1/stocks/A", &[JSON], listing).status, 201);
    (web, gate)
}

/// A trade of which only the beginning has come.
fn begun(web: &Web) -> Http {
    let mut http = web.connect();
    let length = TRADE.len().to_string();
    http.send("POST", "/v1/stocks/A/trades", &[JSON, ("Content-Length", &length)], "");
    http.stream.get_mut().write_all(&TRADE.as_bytes()[..10]).unwrap();
    http
}

fn volume_becomes(web: &Web, volume: &str) {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let quote = web.connect().get("/v1/stocks/A").json();
        if quote["volume"] == volume {
            return;
        }
        assert!(Instant::now() < deadline, "{quote}");
        std::thread::yield_now();
    }
}

#[test]
fn the_time_for_a_body_ends_with_the_body() {
    let (web, gate) = start(Patience { body: SHORT, ..Patience::default() });
    let (mut trading, mut updating) = (web.connect(), web.connect());
    trading.send("POST", "/v1/stocks/A/trades", &[JSON], TRADE);
    // The disk is asked several times for these.
    let lines = "{\"symbol\":\"B\",\"price\":\"1\"}\n".repeat(2500);
    updating.send("POST", "/v1/updates", &[JSON], &lines);
    // When a request that has begun later is given up, those above have waited for longer than that time.
    let late = begun(&web).whole();
    assert_eq!((late.status, &late.json()["type"]), (408, &"/problems/too-slow".into()));
    gate.send(true).unwrap();
    assert_eq!(begun(&web).whole().status, 408);
    drop(gate);
    let traded = trading.whole();
    assert_eq!((traded.status, &traded.json()["volume"]), (200, &"90".into()));
    let updated = updating.whole();
    assert_eq!((updated.status, &updated.json()["done"]), (200, &2500.into()));
    // What was given up has done nothing, and is counted.
    volume_becomes(&web, "90");
    let metrics = web.connect().get("/metrics");
    assert!(metrics.text().contains("stockd_http_refused_total{reason=\"too_slow\"} 2"));
}

#[test]
fn a_write_that_the_disk_does_not_answer_is_uncertain() {
    let (web, gate) = start(Patience { write: SHORT, ..Patience::default() });
    let lines = "{\"symbol\":\"B\",\"price\":\"1\"}\n".repeat(2500);
    let calls = [("/v1/stocks/A/trades", TRADE), ("/v1/updates", &lines)];
    for (path, body) in calls {
        let unknown = web.connect().ask("POST", path, &[JSON], body);
        assert_eq!(unknown.json()["type"], "/problems/uncertain", "{path}");
        assert_eq!(unknown.status, 504, "{path}");
    }
    assert_eq!(web.connect().get("/v1/stocks/A").json()["volume"], "100");
    drop(gate);
    volume_becomes(&web, "90");
}

/// What cannot be kept is refused, and from then on a load balancer that asks for writes is told.
#[test]
fn a_server_that_takes_no_writes_is_not_ready_for_them() {
    let (web, gate) = start(Patience::default());
    let mut http = web.connect();
    assert_eq!(http.get("/health/ready?writes=1").status, 200);
    gate.send(false).unwrap();
    let trade = |http: &mut Http| http.ask("POST", "/v1/stocks/A/trades", &[JSON], TRADE);
    for problem in ["not-kept", "read-only"] {
        let refused = trade(&mut http);
        assert_eq!(refused.json()["type"], format!("/problems/{problem}"));
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    }
    let ready = http.get("/health/ready?writes=1");
    assert_eq!((ready.status, &ready.json()["type"]), (503, &"/problems/read-only".into()));
    for path in ["/health/ready", "/health/ready?writes=0", "/health/live", "/v1/stocks/A"] {
        assert_eq!(http.get(path).status, 200, "{path}");
    }
}
