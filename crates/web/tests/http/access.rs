//! Who may ask what over HTTP, with an access file in force.

use std::sync::Arc;

use serde_json::json;
use stockd_access::{AccessFile, Authority, Token};
use stockd_engine::Engine;
use stockd_web::Config;

use super::Web;
use super::client::Http;

/// The tokens of this file, by the names of their users.
pub(crate) fn token(user: &str) -> Token {
    Token::new([user.len() as u8; 32])
}

pub(crate) fn file(desk: &str) -> AccessFile {
    let hash = |user: &str| token(user).hash().to_string();
    AccessFile::parse(&format!(
        "[[user]]\nname = \"desk\"\ntokens = [\"{}\"]\n{desk}\n\
         [[user]]\nname = \"feeder\"\ntokens = [\"{}\"]\nwrite = [\"US.*\"]\n\
         [[user]]\nname = \"operator\"\ntokens = [\"{}\"]\nrights = [\"admin\", \"metrics\"]\n",
        hash("desk"),
        hash("feeder"),
        hash("operator"),
    ))
    .unwrap()
}

/// A plane with an access file, two stocks that desk may read and one that it may not.
fn open() -> (Web, Arc<Authority>) {
    let authority = Arc::new(Authority::new(file("read = [\"US.*\"]\ntrade = [\"US.AAPL\"]")));
    let web = Web::guarded(Config::default(), Arc::<Engine>::default(), Arc::clone(&authority));
    for symbol in ["US.AAPL", "US.IBM", "EU.SAP"] {
        web.set(symbol, "100");
    }
    (web, authority)
}

/// Asks as a user, and returns the status.
fn ask(http: &mut Http, user: &str, method: &str, path: &str, body: &str) -> u16 {
    let bearer = format!("Bearer {}", token(user).as_str());
    let kind = ("Content-Type", "application/json");
    http.ask(method, path, &[("Authorization", &bearer), kind], body).status
}

#[test]
fn each_user_may_do_what_the_file_says_and_nothing_else() {
    let (web, _) = open();
    let mut http = web.connect();
    let quote = r#"{"price":"1"}"#;
    let buy = r#"{"side":"buy","quantity":"1"}"#;
    for (user, method, path, body, status) in [
        ("desk", "GET", "/v1/stocks/US.AAPL", "", 200),
        ("desk", "GET", "/v1/stocks/US.NONE", "", 404),
        // Whether it is listed is not told.
        ("desk", "GET", "/v1/stocks/EU.SAP", "", 403),
        ("desk", "GET", "/v1/stocks/EU.NONE", "", 403),
        ("desk", "PUT", "/v1/stocks/US.AAPL", quote, 403),
        ("desk", "PATCH", "/v1/stocks/US.AAPL", quote, 403),
        ("desk", "DELETE", "/v1/stocks/US.AAPL", "", 403),
        // It may, but shares are not counted.
        ("desk", "POST", "/v1/stocks/US.AAPL/trades", buy, 409),
        ("desk", "POST", "/v1/stocks/US.IBM/trades", buy, 403),
        ("desk", "GET", "/v1/clients", "", 403),
        ("desk", "GET", "/v1/server", "", 403),
        ("desk", "GET", "/metrics", "", 403),
        ("feeder", "PUT", "/v1/stocks/US.AAPL", quote, 200),
        ("feeder", "PUT", "/v1/stocks/EU.SAP", quote, 403),
        ("feeder", "GET", "/v1/stocks/US.AAPL", "", 403),
        ("operator", "GET", "/v1/clients", "", 200),
        ("operator", "GET", "/v1/server", "", 200),
        ("operator", "GET", "/metrics", "", 200),
        ("operator", "GET", "/v1/stocks/US.AAPL", "", 403),
        ("nobody-knows-me", "GET", "/v1/stocks/US.AAPL", "", 401),
    ] {
        assert_eq!(ask(&mut http, user, method, path, body), status, "{user} {method} {path}");
    }
}

#[test]
fn who_shows_nothing_sees_that_the_server_is_there_and_no_more() {
    let (web, _) = open();
    let mut http = web.connect();
    for path in ["/health/live", "/health/ready", "/openapi.json", "/docs", "/problems/halted"] {
        assert_eq!(http.get(path).status, 200, "{path}");
    }
    for path in [
        "/v1/stocks/US.AAPL",
        "/v1/stocks?symbols=A",
        "/v1/snapshot",
        "/v1/stream?symbols=A",
        "/metrics",
    ] {
        let refused = http.get(path);
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
        assert_eq!(refused.json()["type"], "/problems/unauthenticated");
    }
}

#[test]
fn a_token_is_shown_as_a_bearer_a_password_or_a_cookie() {
    let (web, _) = open();
    let mut http = web.connect();
    let basic = |user: &str| {
        let pair = format!("{user}:{}", token("desk").as_str());
        format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()))
    };
    let path = "/v1/stocks/US.AAPL";
    for (user, status) in [("desk", 200), ("", 200), ("feeder", 401)] {
        assert_eq!(http.ask("GET", path, &[("Authorization", &basic(user))], "").status, status);
    }
    assert_eq!(http.ask("POST", "/v1/session", &[], "").status, 401);
    let bearer = format!("Bearer {}", token("desk").as_str());
    let begun = http.ask("POST", "/v1/session", &[("Authorization", &bearer)], "");
    assert_eq!(begun.status, 204);
    let cookie = begun.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(http.ask("GET", path, &[("Cookie", pair)], "").status, 200);
    let ended = http.ask("DELETE", "/v1/session", &[("Cookie", pair)], "");
    assert!(ended.header("set-cookie").unwrap().contains("Max-Age=0"));
}

/// From a token to a cookie, what it says of itself, and its end.
#[test]
fn a_session_says_who_it_is_until_it_ends() {
    let (web, authority) = open();
    let mut http = web.connect();
    let none = http.get("/v1/session");
    assert_eq!(
        (none.status, none.json()),
        (200, json!({"open": false, "known": false, "rights": []}))
    );
    for wrong in ["Bearer stk_wrong", "Bearer ", "Nonsense x"] {
        let begun = http.ask("POST", "/v1/session", &[("Authorization", wrong)], "");
        assert!(matches!(begun.status, 400 | 401), "{wrong}: {}", begun.status);
        assert_eq!(begun.header("set-cookie"), None, "{wrong}");
    }
    let bearer = format!("Bearer {}", token("desk").as_str());
    let begun = http.ask("POST", "/v1/session", &[("Authorization", &bearer)], "");
    let cookie = begun.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let cookie = [("Cookie", &*cookie)];
    let session = http.ask("GET", "/v1/session", &cookie, "").json();
    assert_eq!(
        session,
        json!({"open": false, "known": true, "user": "desk", "rights": ["read", "trade"]})
    );
    let rights = |http: &mut Http, symbol: &str| {
        http.ask("GET", &format!("/v1/session?symbol={symbol}"), &cookie, "").json()["rights"]
            .clone()
    };
    assert_eq!(rights(&mut http, "US.IBM"), json!(["read"]));
    assert_eq!(rights(&mut http, "US.AAPL"), json!(["read", "trade"]));
    assert_eq!(rights(&mut http, "EU.SAP"), json!([]));
    assert_eq!(http.ask("GET", "/v1/session?symbol=", &cookie, "").status, 400);
    assert_eq!(http.ask("GET", "/v1/session?user=feeder", &cookie, "").status, 400);
    let ended = http.ask("DELETE", "/v1/session", &cookie, "");
    assert_eq!(ended.status, 204);
    let gone = ended.header("set-cookie").unwrap();
    assert!(gone.contains("=; ") && gone.contains("Max-Age=0"), "{gone}");
    // A cookie whose token counts no more does not keep a client from asking who it is.
    authority.replace(AccessFile::parse("").unwrap());
    assert_eq!(http.ask("GET", "/v1/session", &cookie, "").json()["known"], false);
    assert_eq!(http.ask("GET", "/v1/stocks/US.AAPL", &cookie, "").status, 401);

    let open = Web::start();
    let mut http = open.connect();
    let session = http.get("/v1/session").json();
    assert_eq!((&session["open"], &session["known"]), (&json!(true), &json!(true)));
    assert_eq!(http.ask("POST", "/v1/session", &[("Authorization", &bearer)], "").status, 401);
}

#[test]
fn lists_show_what_may_be_read_and_name_what_may_not() {
    let (web, _) = open();
    let mut http = web.connect();
    let bearer = format!("Bearer {}", token("desk").as_str());
    let mut get = |path: &str| http.ask("GET", path, &[("Authorization", &bearer)], "");
    let answer = get("/v1/stocks?symbols=US.AAPL,EU.SAP,EU.NONE,US.NONE").json();
    assert_eq!(answer["quotes"]["US.AAPL"]["price"], "100");
    assert_eq!(answer["missing"], json!(["US.NONE"]));
    assert_eq!(answer["forbidden"], json!(["EU.SAP", "EU.NONE"]));
    let page = get("/v1/stocks").text().to_owned();
    let snapshot = get("/v1/snapshot").text().to_owned();
    for text in [page, snapshot] {
        assert!(
            text.contains("US.AAPL") && text.contains("US.IBM") && !text.contains("EU"),
            "{text}"
        );
    }
}

/// Rights that are taken away end at once, in streams that are open too.
#[test]
fn a_new_file_ends_what_it_does_not_allow_in_open_streams() {
    let (web, authority) = open();
    let bearer = format!("Bearer {}", token("desk").as_str());
    let headers = [("Authorization", &*bearer), ("Accept", "application/x-ndjson")];
    let mut stream = web.connect();
    stream.send("GET", "/v1/stream?symbols=US.AAPL,US.IBM&patterns=*", &headers, "");
    assert_eq!(stream.head().status, 200);
    let mut text = String::new();
    let mut until = |text: &mut String, end: &str| {
        while !text.contains(end) {
            let chunk = stream.chunk().unwrap_or_else(|| panic!("ended before {end}: {text}"));
            text.push_str(&String::from_utf8(chunk).unwrap());
        }
    };
    until(&mut text, "synced");
    assert!(!text.contains("EU.SAP"), "{text}");

    authority.replace(file("read = [\"US.AAPL\"]"));
    web.access_changed();
    text.clear();
    until(&mut text, r#"{"type":"forbidden","symbol":"US.IBM"}"#);
    web.set("US.IBM", "101");
    web.set("US.AAPL", "102");
    text.clear();
    until(&mut text, r#""price":"102""#);
    assert!(!text.contains("US.IBM"), "{text}");

    authority.replace(AccessFile::parse("").unwrap());
    web.access_changed();
    text.clear();
    until(&mut text, r#"{"type":"unauthenticated"}"#);
    assert_eq!(stream.chunk(), None);
    let mut http = web.connect();
    assert_eq!(ask(&mut http, "desk", "GET", "/v1/stocks/US.AAPL", ""), 401);
}
