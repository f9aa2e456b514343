//! Pages of other sites: none is let in unless its origin is set, and then to every route.

use stockd_web::Config;

use crate::Web;

const PAGE: &str = "https://app.example";

fn with(origins: &[&str]) -> Web {
    let cors_origins = origins.iter().map(|it| (*it).to_owned()).collect();
    Web::with(Config { cors_origins, ..Config::default() }, Default::default())
}

#[test]
fn without_origins_no_response_has_a_header_of_cors() {
    let web = Web::start();
    web.set("A", "1");
    let mut http = web.connect();
    let own = http.ask("GET", "/v1/stocks/A", &[("Origin", "http://localhost:3000")], "");
    assert_eq!(own.status, 200);
    let preflight = [("Origin", PAGE), ("Access-Control-Request-Method", "PUT")];
    let asked = http.ask("OPTIONS", "/v1/stocks/A", &preflight, "");
    assert_eq!(asked.status, 403);
    for response in [own, asked] {
        let is_of_cors = |(name, _): &(String, String)| name.starts_with("access-control");
        assert!(!response.headers.iter().any(is_of_cors), "{response:?}");
    }
}

#[test]
fn an_origin_that_is_set_is_let_in_to_every_route_and_no_other_is() {
    let web = with(&[PAGE]);
    web.set("A", "1");
    let mut http = web.connect();
    let paths = [
        "/v1/stocks/A",
        "/v1/stocks/NOPE",
        "/v2/stocks/A/trades/latest",
        "/stocks/A",
        "/metrics",
        "/openapi.json",
        "/nothing",
    ];
    for path in paths {
        let preflight = [
            ("Origin", PAGE),
            ("Access-Control-Request-Method", "PATCH"),
            ("Access-Control-Request-Headers", "content-type,authorization,if-match"),
        ];
        let asked = http.ask("OPTIONS", path, &preflight, "");
        assert_eq!(asked.status, 200, "{path}");
        assert_eq!(asked.header("access-control-allow-methods"), Some("PATCH"));
        let headers = asked.header("access-control-allow-headers").unwrap();
        assert!(headers.contains("authorization"), "{headers}");
        let answer = http.ask("GET", path, &[("Origin", PAGE)], "");
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE), "{path}");
        let other = http.ask("GET", path, &[("Origin", "https://evil.example")], "");
        assert_eq!(other.header("access-control-allow-origin"), None);
        assert_eq!(other.status, 403, "{path}");
        // The name of the server is another question.
        let rebound = http.ask("GET", path, &[("Origin", PAGE), ("Host", "app.example")], "");
        assert_eq!(rebound.status, 421, "{path}");
    }
}

#[test]
fn any_origin_may_be_let_in() {
    let web = with(&["*"]);
    let mut http = web.connect();
    let answer = http.ask("GET", "/health/live", &[("Origin", "https://any.example")], "");
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!((answer.status, allowed), (200, Some("https://any.example")));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}
