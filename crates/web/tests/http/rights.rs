//! Who may do what, where there is an access file.

use std::sync::Arc;

use serde_json::json;
use stockd_access::{AccessFile, Authority, Token};
use stockd_web::Config;

use crate::Web;
use crate::streams::Events;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn token(number: u8) -> Token {
    Token::new([number; 32])
}

fn bearer(number: u8) -> String {
    format!("Bearer {}", token(number).as_str())
}

/// A user with a token and these lines.
fn user(name: &str, number: u8, lines: &str) -> String {
    format!("[[user]]\nname = \"{name}\"\ntokens = [\"{}\"]\n{lines}\n", token(number).hash())
}

fn file(text: &str) -> AccessFile {
    AccessFile::parse(text).unwrap()
}

/// The feed writes, the desk reads US.* and trades there, everybody reads DEMO.*.
fn guarded() -> (Web, Arc<Authority>) {
    let text = user("feed", 1, "write = [\"*\"]\nrights = [\"admin\", \"metrics\"]")
        + &user("desk", 2, "read = [\"US.*\"]\ntrade = [\"US.*\"]")
        + "[[user]]\nname = \"anonymous\"\nread = [\"DEMO.*\"]\n";
    let authority = Arc::new(Authority::new(file(&text)));
    let web = Web::guarded(Config::default(), Arc::default(), &authority);
    for symbol in ["US.A", "US.B", "DEMO.A", "EU.A"] {
        web.set(symbol, "1");
    }
    (web, authority)
}

#[test]
fn each_sees_and_does_what_its_lines_say() {
    let (web, _) = guarded();
    let mut http = web.connect();
    let (feed, desk) = (bearer(1), bearer(2));
    let (feed, desk) = (("Authorization", &*feed), ("Authorization", &*desk));
    assert_eq!(http.get("/v1/stocks/DEMO.A").status, 200);
    for path in ["/v1/stocks/US.A", "/v1/stocks/US.NOPE", "/v1/stock?symbol=EU.A"] {
        let refused = http.get(path);
        assert_eq!(
            (refused.status, &refused.json()["type"]),
            (403, &json!("/problems/not-permitted"))
        );
    }
    assert_eq!(http.ask("GET", "/v1/stocks/US.A", &[desk], "").status, 200);
    assert_eq!(http.ask("GET", "/v1/stocks/US.NOPE", &[desk], "").status, 404);
    assert_eq!(http.ask("GET", "/v1/stocks/US.A", &[feed], "").status, 403, "it writes alone");

    let many = http.ask("GET", "/v1/stocks?symbols=US.A,EU.A,US.NOPE", &[desk], "").json();
    assert_eq!((&many["missing"], &many["forbidden"]), (&json!(["US.NOPE"]), &json!(["EU.A"])));
    let page = http.ask("GET", "/v1/stocks", &[desk], "").json();
    assert_eq!(page["quotes"].as_array().unwrap().len(), 2);
    assert_eq!(http.ask("GET", "/v1/snapshot", &[desk], "").text().lines().count(), 2);
    assert_eq!(http.ask("GET", "/v1/snapshot", &[feed], "").text().lines().count(), 4, "admin");

    let body = r#"{"price":"2","volume":"5"}"#;
    assert_eq!(http.ask("PUT", "/v1/stocks/US.A", &[JSON, desk], body).status, 403);
    assert_eq!(http.ask("PUT", "/v1/stocks/US.A", &[JSON, feed], body).status, 200);
    let trade = r#"{"side":"buy","quantity":"0.5"}"#;
    assert_eq!(http.ask("POST", "/v1/stocks/US.A/trades", &[JSON, feed], trade).status, 403);
    assert_eq!(http.ask("POST", "/v1/stocks/US.A/trades", &[JSON, desk], trade).status, 200);
    assert_eq!(http.ask("POST", "/v1/stocks/US.A/trades", &[JSON], trade).status, 403);
    let lines = "{\"symbol\":\"US.A\",\"price\":1}";
    let updates = http.ask("POST", "/v1/updates", &[JSON, desk], lines).json();
    assert_eq!(
        (&updates["done"], &updates["refused"][0]["problem"]["status"]),
        (&json!(0), &json!(403))
    );

    for path in ["/metrics", "/v1/server", "/v1/clients"] {
        assert_eq!(http.get(path).status, 403, "{path}");
        assert_eq!(http.ask("GET", path, &[feed], "").status, 200, "{path}");
    }
    assert_eq!(http.get("/health/ready").status, 200);
}

#[test]
fn a_wrong_token_and_none_are_told_apart() {
    let authority = Arc::new(Authority::new(file(&user("desk", 2, "read = [\"*\"]"))));
    let web = Web::guarded(Config::default(), Arc::default(), &authority);
    web.set("A", "1");
    let mut http = web.connect();
    let none = http.get("/v1/stocks/A");
    assert_eq!((none.status, &none.json()["type"]), (401, &json!("/problems/not-authenticated")));
    assert_eq!(none.header("www-authenticate"), Some("Bearer realm=\"stockd\""));
    let wrong = http.ask("GET", "/v1/stocks/A", &[("Authorization", &bearer(9))], "");
    assert_eq!((wrong.status, &wrong.json()["type"]), (401, &json!("/problems/wrong-token")));
    assert_eq!(http.get("/metrics").status, 401);
    assert_eq!(http.get("/health/live").status, 200);
    let right = bearer(2);
    assert_eq!(http.ask("GET", "/v1/stocks/A", &[("Authorization", &right)], "").status, 200);
}

#[test]
fn a_stream_follows_another_access_file() {
    let (web, authority) = guarded();
    let desk = bearer(2);
    let desk = [("Authorization", &*desk)];
    let mut http = web.connect();
    assert_eq!(http.ask("GET", "/v1/stream?symbols=US.A,EU.A", &desk, "").status, 403);
    let mut events = Events::open(&web, "symbols=US.A&patterns=*", &desk);
    let first = events.until_synced();
    assert!(first.iter().all(|quote| quote.contains("\"US.")), "{first:?}");
    authority.replace(file(&user("desk", 2, "read = [\"EU.*\"]")));
    let mut seen = Vec::new();
    while !seen.iter().any(|data: &String| data.contains("\"forbidden\"")) {
        seen.push(events.named("").0);
    }
    web.set("EU.A", "7");
    while !events.named("").0.contains("\"price\":\"7\"") {}
}
