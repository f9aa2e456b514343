//! Live quotes as Server-Sent Events and JSON lines: what is told, in which order, and how streams begin and end. What
//! holds of every kind of stream is in `promises.rs`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stockd_engine::{Access, Catalog, Engine};
use stockd_model::{Quote, Request};
use stockd_web::Config;

use crate::Web;
use crate::client::Http;
use crate::rpc::{self, proto};
use crate::websocket::WebSocket;

/// One event: its name, data and id; empty where there is none.
type Event = (String, String, String);

/// A stream of events.
pub(crate) struct Events<S = TcpStream> {
    http: Http<S>,
    text: String,
}

impl Events {
    pub(crate) fn open(web: &Web, query: &str, headers: &[(&str, &str)]) -> Events {
        Events::over(web.connect(), query, headers)
    }
}

impl<S: Read + Write> Events<S> {
    pub(crate) fn over(mut http: Http<S>, query: &str, headers: &[(&str, &str)]) -> Events<S> {
        http.send("GET", &format!("/v1/stream?{query}"), headers, "");
        let head = http.head();
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        Events { http, text: String::new() }
    }

    fn next(&mut self) -> Event {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().to_owned()
                };
                let event = (field("event: "), field("data: "), field("id: "));
                self.text = rest.to_owned();
                return event;
            }
            let chunk = self.http.chunk().expect("it goes on");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The data of the next event that has this name.
    pub(crate) fn named(&mut self, name: &str) -> (String, String) {
        loop {
            let (event, data, id) = self.next();
            if event == name {
                return (data, id);
            }
        }
    }

    /// All events until synced: the data of those without a name.
    pub(crate) fn until_synced(&mut self) -> Vec<String> {
        let mut quotes = Vec::new();
        loop {
            let (event, data, _) = self.next();
            match event.as_str() {
                "synced" => return quotes,
                "" => quotes.push(data),
                _ => {}
            }
        }
    }
}

#[test]
fn a_stream_begins_with_what_is_and_goes_on_with_what_comes() {
    for web in [Web::start(), Web::durable()] {
        web.set("A", "1");
        web.set("B1", "2");
        let mut events = Events::open(&web, "symbols=A,NOPE&patterns=B*", &[]);
        let (name, hello, _) = events.next();
        let epoch = format!("{:016x}", web.engine.epoch());
        assert_eq!(name, "hello");
        assert!(hello.contains(&epoch) && hello.contains("\"resumed\":false"), "{hello}");
        let mut first = events.until_synced();
        first.sort_unstable();
        assert_eq!(first.len(), 3);
        assert!(first[0].starts_with(r#"{"symbol":"A","price":"1""#), "{first:?}");
        assert!(first[1].starts_with(r#"{"symbol":"B1","price":"2""#), "{first:?}");
        assert_eq!(first[2], r#"{"symbol":"NOPE","status":"unlisted"}"#);
        web.set("B2", "3");
        let (data, id) = events.named("");
        assert!(data.starts_with(r#"{"symbol":"B2","price":"3""#), "{data}");
        assert!(id.starts_with(&epoch), "{id}");
        let delist = Request::Delist("A".parse().unwrap());
        web.engine.executor().batch(&Access::All).execute(&delist);
        assert_eq!(events.named("").0, r#"{"symbol":"A","status":"delisted"}"#);
        web.set("C", "1");
        let (heartbeat, _) = events.named("heartbeat");
        assert!(heartbeat.starts_with("{\"messages\":5,"), "{heartbeat}");
        assert!(!heartbeat.contains("fresh_ms"), "it is no node of a cluster: {heartbeat}");
    }
}

/// However much it tells, and whatever its client accepts.
#[test]
fn a_stream_is_never_compressed() {
    let web = Web::start();
    (0..100).for_each(|number| web.set(&format!("S{number}"), "1"));
    let gzip = ("Accept-Encoding", "gzip");
    let page = web.connect().ask("GET", "/v1/stocks", &[gzip], "");
    assert_eq!(page.header("content-encoding"), Some("gzip"));
    for accept in ["text/event-stream", "application/x-ndjson"] {
        let mut http = web.connect();
        http.send("GET", "/v1/stream?pattern=S*", &[gzip, ("Accept", accept)], "");
        assert_eq!(http.head().header("content-encoding"), None, "{accept}");
        let mut text = String::new();
        while !text.contains("synced") {
            text.push_str(std::str::from_utf8(&http.chunk().unwrap()).unwrap());
        }
    }
}

#[test]
fn json_lines_say_the_same() {
    let web = Web::start();
    web.set("A", "1");
    let mut http = web.connect();
    http.send("GET", "/v1/stream?symbol=A", &[("Accept", "application/x-ndjson")], "");
    assert_eq!(http.head().header("content-type"), Some("application/x-ndjson"));
    let mut text = String::new();
    while !text.contains("synced") {
        text.push_str(std::str::from_utf8(&http.chunk().unwrap()).unwrap());
    }
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with(r#"{"type":"hello","server":"stockd "#), "{text}");
    assert!(lines[1].starts_with(r#"{"symbol":"A","price":"1""#), "{text}");
    assert_eq!(lines[2], r#"{"type":"synced"}"#);
}

#[test]
fn nothing_to_tell_and_wrong_wishes_are_refused() {
    let web = Web::start();
    let mut http = web.connect();
    let pattern = "x".repeat(300);
    for query in [
        "",
        "?symbols=",
        "?symbol=",
        "?symbols=A&interval=1s",
        "?symbls=A",
        &format!("?pattern={pattern}"),
    ] {
        assert_eq!(http.get(&format!("/v1/stream{query}")).status, 400, "{query}");
    }
    assert_eq!(http.get("/v1/clients").json()["clients"].as_array().unwrap().len(), 0);
}

/// Over each of the ways: the name is told as not listed, which it always is, and the others as they are.
#[test]
fn a_name_that_can_be_no_symbol_keeps_no_other_from_being_told() {
    let web = Web::start();
    web.set("A", "1");
    let long = "x".repeat(60);
    let unlisted = format!(r#"{{"symbol":"{long}","status":"unlisted"}}"#);
    let is_told = |mut events: Events| {
        let told = events.until_synced();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.contains(&unlisted), "{told:?}");
        web.set("A", "2");
        assert!(events.named("").0.starts_with(r#"{"symbol":"A","price":"2""#));
        web.set("A", "1");
    };
    is_told(Events::open(&web, &format!("symbols=A,{long}"), &[]));
    let mut http = web.connect();
    let json = ("Content-Type", "application/json");
    http.send("POST", "/v1/stream", &[json], &format!(r#"{{"symbols":["{long}","A"]}}"#));
    assert_eq!(http.head().status, 200);
    is_told(Events { http, text: String::new() });
    // Beside a pattern it is enough.
    let told = Events::open(&web, &format!("symbol={long}&pattern=B*"), &[]).until_synced();
    assert_eq!(told, std::slice::from_ref(&unlisted));
    let mut socket = WebSocket::open(
        TcpStream::connect(web.address()).unwrap(),
        &format!("/v1/stream?symbols=A,{long}"),
    );
    let unlisted = serde_json::json!({"symbol": long, "status": "unlisted"});
    while !socket.message().as_array().is_some_and(|quotes| quotes.contains(&unlisted)) {}
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let socket = runtime.block_on(tokio::net::TcpStream::connect(web.address())).unwrap();
    let mut client = rpc::client(&runtime, socket);
    let symbols = vec![long.clone(), "A".to_owned()];
    let request = proto::WatchRequest { symbols, ..Default::default() };
    let mut stream = runtime.block_on(client.watch(request)).unwrap().into_inner();
    loop {
        let message = runtime.block_on(stream.message()).unwrap().unwrap();
        match message.event.unwrap() {
            proto::watch_response::Event::Unlisted(name) => break assert_eq!(name, long),
            event => {
                assert!(!matches!(event, proto::watch_response::Event::Synced(_)), "untold");
            }
        }
    }
    // Where nothing else is asked for, it is said which name it is.
    let refused = web.connect().get(&format!("/v1/stream?symbols={long}"));
    assert_eq!((refused.status, &refused.json()["symbol"]), (400, &long.into()));
}

/// `patterns` has commas between; `pattern` has one, whatever is in it.
#[test]
fn a_pattern_by_itself_may_have_commas() {
    let web = Web::start();
    ["A,1", "B,1", "C", "D"].iter().for_each(|name| web.set(name, "1"));
    let told = |query: &str| {
        let mut told = Events::open(&web, query, &[]).until_synced();
        told.sort_unstable();
        let symbol = |quote: &String| quote.split('"').nth(3).unwrap().to_owned();
        told.iter().map(symbol).collect::<Vec<_>>()
    };
    assert_eq!(told("pattern=?,1"), ["A,1", "B,1"]);
    assert_eq!(told("patterns=?,1"), ["C", "D"]);
    assert_eq!(told("pattern=A*&pattern=C&patterns=E,B*&symbol=D"), ["A,1", "B,1", "C", "D"]);
    assert_eq!(told("pattern=%3F%2C1&symbols=C"), ["A,1", "B,1", "C"]);
}

/// What an address has no room for is asked for in a body; the rest is the same.
#[test]
fn thousands_of_names_are_asked_for_in_a_body() {
    const NAMES: usize = 3_000;
    let web = Web::start();
    web.set("S2999", "1");
    let names: Vec<String> = (0..NAMES).map(|number| format!("S{number}")).collect();
    let body =
        serde_json::json!({"symbols": names, "patterns": ["T*"], "interval": 10, "name": "desk"});
    let json = ("Content-Type", "application/json");
    let mut http = web.connect();
    http.send("POST", "/v1/stream", &[json], &body.to_string());
    assert_eq!(http.head().status, 200);
    let mut events = Events { http, text: String::new() };
    assert_eq!(events.until_synced().len(), NAMES);
    let client = web.connect().get("/v1/clients").json()["clients"][0].clone();
    assert_eq!((&client["symbols"], &client["patterns"]), (&NAMES.into(), &1.into()));
    assert_eq!(client["name"], "desk");
    web.set("T1", "2");
    assert!(events.named("").0.starts_with(r#"{"symbol":"T1","price":"2""#));

    let mut http = web.connect();
    for (headers, body, status) in [
        (&[json][..], "{}", 400),
        (&[json], "[]", 400),
        (&[json], r#"{"symbols":[""]}"#, 400),
        (&[json], r#"{"symbls":["A"]}"#, 400),
        (&[json], r#"{"symbols":["A"],"interval":-1}"#, 400),
        (&[], r#"{"symbols":["A"]}"#, 415),
    ] {
        assert_eq!(http.ask("POST", "/v1/stream", headers, body).status, status, "{body}");
    }
}

/// Stocks that have changed last an hour ago, so that no overlap reaches back to them.
fn of_an_hour_ago(symbols: &[&str]) -> Catalog {
    let catalog = Catalog::new();
    for symbol in symbols {
        let (version, updated_ns) = (1, stockd_engine::now_ns() - HOUR_NS);
        let quote = Quote { version, updated_ns, ..Quote::new(symbol.parse().unwrap()) };
        catalog.restore(&quote).unwrap();
    }
    catalog
}

const HOUR_NS: u64 = 3_600_000_000_000;

#[test]
fn a_stream_that_resumes_is_told_what_has_changed() {
    let engine = Arc::new(Engine::new(of_an_hour_ago(&["OLD", "NEW"])));
    let web = Web::with(Config { keeps_all: true, ..Config::default() }, Arc::clone(&engine));
    let (_, id) = Events::open(&web, "symbols=OLD,NEW,NOPE", &[]).named("synced");
    let mut events = Events::open(&web, "symbols=OLD,NEW,NOPE", &[("Last-Event-ID", &id)]);
    assert!(events.named("hello").0.contains("\"resumed\":true"));
    assert_eq!(events.until_synced(), [r#"{"symbol":"NOPE","status":"unlisted"}"#]);
    web.set("NEW", "2");
    assert!(events.named("").0.starts_with(r#"{"symbol":"NEW","price":"2""#));
    let mut events = Events::open(&web, "symbols=OLD,NEW", &[("Last-Event-ID", &id)]);
    assert!(events.named("hello").0.contains("\"resumed\":true"));
    assert_eq!(events.until_synced().len(), 1, "within the overlap");

    let parts: Vec<&str> = id.split('-').collect();
    let told_ns: u64 = parts[1].parse().unwrap();
    // As if this server had begun with its clock set back: what has changed since may have any moment.
    let ahead = format!("{}-{}-1", parts[0], told_ns + HOUR_NS);
    for (query, id) in [
        ("symbols=OLD", "0000000000000000-1"),
        ("patterns=O*", &id),
        ("symbols=OLD", "x"),
        ("symbols=OLD", &ahead),
    ] {
        let mut events = Events::open(&web, query, &[("Last-Event-ID", id)]);
        assert!(events.named("hello").0.contains("\"resumed\":false"), "{query} {id}");
        assert_eq!(events.until_synced().len(), 1, "{query} {id}");
    }
}

#[test]
fn an_interval_spares_versions_and_never_the_last() {
    let web = Web::start();
    web.set("A", "0");
    let mut events = Events::open(&web, "symbols=A&interval=50", &[]);
    events.until_synced();
    let began = Instant::now();
    (1..=2000).for_each(|price| web.set("A", &price.to_string()));
    let mut told = 0;
    loop {
        told += 1;
        if events.named("").0.contains("\"price\":\"2000\"") {
            break;
        }
    }
    // One in each interval, and one more at either end.
    let intervals = began.elapsed().as_millis() / 50;
    assert!(told <= intervals + 2, "{told} quotes in {intervals} intervals");
}

#[test]
fn goodbye_comes_before_the_end() {
    let web = Web::start();
    let mut events = Events::open(&web, "symbols=A", &[]);
    events.until_synced();
    let stopping = std::thread::spawn(move || web.stop());
    assert!(events.named("goodbye").0.starts_with("{\"retry_ms\":"));
    assert!(events.http.chunk().is_none(), "it ends");
    drop(events);
    assert_eq!(stopping.join().unwrap(), 0);
}

#[test]
fn one_stream_more_than_may_be_is_refused() {
    let web = Web::with(Config { streams_max: 2, ..Config::default() }, Default::default());
    let mut held: Vec<_> = (0..2).map(|_| Events::open(&web, "symbols=A", &[])).collect();
    held.iter_mut().for_each(|events| assert_eq!(events.until_synced().len(), 1));
    let mut http = web.connect();
    let refused = http.get("/v1/stream?symbols=A");
    assert_eq!((refused.status, &refused.json()["streams_max"]), (503, &2.into()));
    assert_eq!(http.get("/v1/clients").json()["clients"].as_array().unwrap().len(), 2);
    held.pop();
    // The server notices when it next writes to the connection, or at its end.
    let deadline = Instant::now() + Duration::from_secs(180);
    while http.get("/v1/server").json()["http"]["streams"] != 1 {
        assert!(Instant::now() < deadline, "the stream that was left is still there");
    }
    Events::open(&web, "symbols=A", &[]).until_synced();
}
