//! Reading and writing quotes.

use std::thread;

use serde_json::json;
use stockd_engine::Access;
use stockd_model::limits::METRIC_SERIES_MAX;

use crate::Web;
use crate::client::Http;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const LINES: (&str, &str) = ("Content-Type", "application/x-ndjson");

#[test]
fn a_stock_lives_from_put_to_delete() {
    for web in [Web::start(), Web::durable()] {
        let mut http = web.connect();
        let path = "/v1/stocks/BRK%2FA";
        let put = http.ask("PUT", path, &[JSON], r#"{"price":743500.00,"volume":"10"}"#);
        assert_eq!(put.status, 201, "{}", put.text());
        let epoch = format!("{:016x}", web.engine.epoch());
        assert_eq!(put.header("etag"), Some(format!("\"{epoch}.1\"").as_str()));
        let got = http.get(path);
        assert_eq!((got.status, &got.body), (200, &put.body));
        assert_eq!(http.get("/v1/stock?symbol=BRK/A").body, put.body);
        assert_eq!(got.json()["price"], "743500");

        let patched = http.ask("PATCH", path, &[JSON], r#"{"bid":"1","volume":null}"#);
        assert_eq!(patched.status, 200);
        assert_eq!((&patched.json()["bid"], patched.json().get("volume")), (&json!("1"), None));
        let replaced = http.ask("PUT", path, &[JSON], r#"{"ask":"2","volume":3}"#);
        assert_eq!((replaced.status, replaced.json().get("price")), (200, None));
        let trades = format!("{path}/trades");
        let traded = http.ask("POST", &trades, &[JSON], r#"{"side":"buy","quantity":"2"}"#);
        assert_eq!((traded.status, &traded.json()["volume"]), (200, &json!("1")));
        let traded = http.ask("POST", &trades, &[JSON], r#"{"side":"sell","quantity":9}"#);
        assert_eq!(traded.json()["volume"], "10");
        let refused = http.ask("POST", &trades, &[JSON], r#"{"side":"buy","quantity":"11"}"#);
        assert_eq!(refused.status, 409);
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        assert!(refused.text().starts_with(r#"{"type":"/problems/volume-too-low","title":"#));
        let problem = refused.json();
        assert_eq!(problem["type"], "/problems/volume-too-low");
        assert_eq!((&problem["volume"], &problem["take"]), (&json!("10"), &json!("11")));

        assert_eq!(http.ask("DELETE", path, &[], "").status, 204);
        assert_eq!(http.ask("DELETE", path, &[], "").status, 404);
        assert_eq!(http.get(path).status, 404);
        assert_eq!(http.ask("PATCH", path, &[JSON], r#"{"bid":"1"}"#).status, 404);
    }
}

#[test]
fn the_bare_answer_is_that_of_every_protocol() {
    let web = Web::start();
    let mut http = web.connect();
    web.set("ZERO", "0");
    for (body, answer) in [
        (r#"{"price":"172.50"}"#, "172.5\n"),
        (r#"{"price":"172.50","status":"halted"}"#, "0\n"),
        (r#"{"price":"172.50","volume":0}"#, "0\n"),
        (r#"{"bid":"172.50"}"#, "0\n"),
    ] {
        http.ask("PUT", "/v1/stocks/A", &[JSON], body);
        let got = http.ask("GET", "/v1/stocks/A", &[("Accept", "text/plain")], "");
        assert_eq!((got.status, got.text()), (200, answer), "{body}");
    }
    let zero = http.ask("GET", "/v1/stocks/ZERO", &[("Accept", "text/plain")], "");
    assert_eq!(zero.text(), "0.0\n");
    let none = http.ask("GET", "/v1/stocks/NONE", &[("Accept", "text/plain")], "");
    assert_eq!((none.status, none.text()), (404, "-1\n"));
    assert_eq!(http.ask("GET", "/v1/stocks/A", &[("Accept", "image/png")], "").status, 406);
}

#[test]
fn a_reader_that_has_a_quote_is_told_so_until_it_changes() {
    let web = Web::start();
    let mut http = web.connect();
    web.set("A", "1");
    let etag = http.get("/v1/stocks/A").header("etag").unwrap().to_owned();
    let again = http.ask("GET", "/v1/stocks/A", &[("If-None-Match", &etag)], "");
    assert_eq!((again.status, again.header("etag"), again.body.len()), (304, Some(&*etag), 0));
    web.set("A", "2");
    assert_eq!(http.ask("GET", "/v1/stocks/A", &[("If-None-Match", &etag)], "").status, 200);
    // Another server has the same version of another epoch.
    let other = Web::start();
    other.set("A", "1");
    let mut http = other.connect();
    assert_eq!(http.ask("GET", "/v1/stocks/A", &[("If-None-Match", &etag)], "").status, 200);
}

/// The same quote has the same ETag after a restart with the same data directory, and no other quote has.
#[test]
fn an_etag_holds_across_a_restart_and_not_in_another_directory() {
    let directory = tempfile::tempdir().unwrap();
    let web = Web::over(directory.path());
    web.set("A", "1");
    web.set("B", "1");
    let etag = |web: &Web, name: &str| {
        let read = web.connect().get(&format!("/v1/stocks/{name}"));
        read.header("etag").unwrap().to_owned()
    };
    let (first, other) = (etag(&web, "A"), etag(&web, "B"));
    assert_eq!(web.stop(), 0);
    let web = Web::over(directory.path());
    let mut http = web.connect();
    let known = |http: &mut Http, name: &str, etag: &str| {
        http.ask("GET", &format!("/v1/stocks/{name}"), &[("If-None-Match", etag)], "").status
    };
    assert_eq!(known(&mut http, "A", &first), 304);
    let body = r#"{"price":"2"}"#;
    let patch = [JSON, ("If-Match", &*first)];
    let changed = http.ask("PATCH", "/v1/stocks/A", &patch, body);
    assert_eq!(changed.status, 200, "what was read before the restart is a condition after it");
    assert_eq!(known(&mut http, "A", &first), 200);
    assert_eq!(http.ask("PATCH", "/v1/stocks/A", &patch, body).status, 412);
    // Delisted and listed again it is another quote, though it says the same.
    http.ask("DELETE", "/v1/stocks/B", &[], "");
    web.set("B", "1");
    assert_eq!(known(&mut http, "B", &other), 200);
    assert_eq!(web.stop(), 0);
    // In another directory the versions are the same, and the epoch is not.
    let web = Web::durable();
    web.set("A", "1");
    web.set("A", "2");
    let mut http = web.connect();
    let after = changed.header("etag").unwrap();
    assert_eq!(known(&mut http, "A", after), 200);
    assert_eq!(http.ask("DELETE", "/v1/stocks/A", &[("If-Match", after)], "").status, 412);
}

#[test]
fn writes_take_effect_under_their_condition_alone() {
    let web = Web::start();
    let mut http = web.connect();
    let put = |condition| [JSON, condition];
    let unlisted = put(("If-None-Match", "*"));
    let listed = put(("If-Match", "*"));
    let body = r#"{"price":"1"}"#;
    assert_eq!(http.ask("PUT", "/v1/stocks/A", &listed, body).status, 412);
    let first = http.ask("PUT", "/v1/stocks/A", &unlisted, body);
    assert_eq!(first.status, 201);
    assert_eq!(http.ask("PUT", "/v1/stocks/A", &unlisted, body).status, 412);
    assert_eq!(http.ask("PUT", "/v1/stocks/A", &listed, body).status, 200);
    let stale = put(("If-Match", first.header("etag").unwrap()));
    let refused = http.ask("PATCH", "/v1/stocks/A", &stale, body);
    assert_eq!(refused.status, 412);
    assert_eq!((&refused.json()["version"], &refused.json()["expected"]), (&json!(2), &json!(1)));
    assert_eq!(http.ask("DELETE", "/v1/stocks/A", &stale, "").status, 412);
    // None of these is an ETag of a quote here: no version was expected.
    let several = format!("{}, \"x\"", first.header("etag").unwrap());
    for (method, tags) in [("PATCH", "\"x\""), ("PUT", &several), ("DELETE", "\"x\"")] {
        let refused = http.ask(method, "/v1/stocks/A", &put(("If-Match", tags)), body);
        let told = refused.json();
        assert_eq!((refused.status, &told["version"]), (412, &json!(2)), "{method} {told}");
        assert!(told.get("expected").is_none(), "{method} {told}");
        let detail =
            "stock 'A' is at version 2, and If-Match does not name its ETag; read it again";
        assert_eq!(told["detail"], detail, "{method}");
    }
    assert_eq!(http.ask("DELETE", "/v1/stocks/A", &put(("If-Match", "x")), "").status, 400);
    let quote = web.engine.quote(&Access::All, &"A".parse().unwrap()).unwrap();
    assert_eq!(quote.version, 2);
}

/// Each of 32 clients reads, adds one and writes under the condition that nothing has changed, until it succeeds.
#[test]
fn no_increment_of_many_clients_is_lost() {
    const CLIENTS: usize = 32;
    const INCREMENTS: usize = 20;
    let web = Web::start();
    let mut http = web.connect();
    http.ask("PUT", "/v1/stocks/A", &[JSON], r#"{"price":"1","volume":0}"#);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut http = web.connect();
                let mut done = 0;
                while done < INCREMENTS {
                    let read = http.get("/v1/stocks/A");
                    let volume: u64 = read.json()["volume"].as_str().unwrap().parse().unwrap();
                    let condition = [JSON, ("If-Match", read.header("etag").unwrap())];
                    let body = format!(r#"{{"volume":{}}}"#, volume + 1);
                    match http.ask("PATCH", "/v1/stocks/A", &condition, &body).status {
                        200 => done += 1,
                        412 => {}
                        status => panic!("{status}"),
                    }
                }
            });
        }
    });
    let expected = (CLIENTS * INCREMENTS).to_string();
    assert_eq!(http.get("/v1/stocks/A").json()["volume"], expected);
}

#[test]
fn many_names_are_looked_up_and_one_bad_one_fails_no_other() {
    let web = Web::start();
    let mut http = web.connect();
    (0..5000).for_each(|number| web.set(&format!("S{number}"), "1.5"));
    let some = http.get("/v1/stocks?symbols=S1,,NOPE,S1&symbol=S2&symbol=a,b").json();
    assert_eq!(some["missing"], json!(["NOPE", "a,b"]));
    assert_eq!(
        (&some["quotes"]["S1"]["price"], some["quotes"].as_object().unwrap().len()),
        (&json!("1.5"), 2)
    );

    let mut names: Vec<String> = (0..5000).map(|number| format!("S{number}")).collect();
    names.insert(7, "\u{202e}".into());
    names.push("x".repeat(100));
    let body = json!({ "symbols": names }).to_string();
    let all = http.ask("POST", "/v1/lookup", &[JSON], &body);
    assert_eq!(all.status, 200);
    assert_eq!(all.json()["quotes"].as_object().unwrap().len(), 5000);
    assert_eq!(all.json()["missing"].as_array().unwrap().len(), 2);

    let too_many = "A,".repeat(1001);
    assert_eq!(http.get(&format!("/v1/stocks?symbols={too_many}")).status, 413);
}

#[test]
fn pages_show_every_stock_once() {
    let web = Web::start();
    let mut http = web.connect();
    (0..700).for_each(|number| web.set(&format!("S{number}"), "1"));
    (0..300).for_each(|number| web.set(&format!("T{number}"), "1"));
    for (query, expected) in [("limit=7", 1000), ("limit=100", 1000), ("prefix=T&limit=1000", 300)]
    {
        let (mut seen, mut next) = (Vec::new(), String::new());
        loop {
            let page = http.get(&format!("/v1/stocks?{query}{next}")).json();
            let symbol = |quote: &serde_json::Value| quote["symbol"].as_str().unwrap().to_owned();
            seen.extend(page["quotes"].as_array().unwrap().iter().map(symbol));
            let Some(cursor) = page["next"].as_str() else { break };
            next = format!("&cursor={cursor}");
        }
        assert_eq!(seen.len(), expected, "{query}");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), expected, "{query}");
    }
    assert_eq!(http.get("/v1/stocks?cursor=x").status, 400);
    for limit in ["0", "1001", "5000", "-1", ""] {
        let refused = http.get(&format!("/v1/stocks?limit={limit}"));
        assert_eq!(refused.status, 400, "{limit}");
        let detail = format!("'{limit}' is not possible for limit: write a number from 1 to 1000");
        assert_eq!(refused.json()["detail"], detail);
    }
    assert_eq!(http.get("/v1/stocks?prefixx=T").status, 400);
}

#[test]
fn a_snapshot_has_all_stocks_in_either_form() {
    let web = Web::start();
    let mut http = web.connect();
    (0..10_000).for_each(|number| web.set(&format!("S{number}"), "1.5"));
    web.set("=A,\"B", "2");
    let lines = http.get("/v1/snapshot");
    assert_eq!(lines.text().lines().count(), 10_001);
    for line in lines.text().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    let csv = http.ask("GET", "/v1/snapshot", &[("Accept", "text/csv")], "");
    assert_eq!(csv.text().lines().count(), 10_002);
    assert!(csv.text().starts_with("symbol,price,volume,"), "{}", &csv.text()[..100]);
    assert!(csv.text().contains("\n\"'=A,\"\"B\",2,"));
    let packed = http.ask("GET", "/v1/snapshot", &[("Accept-Encoding", "gzip")], "");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < lines.body.len() / 4);
}

#[test]
fn many_updates_are_done_in_order_and_refused_one_by_one() {
    for web in [Web::start(), Web::durable()] {
        let mut http = web.connect();
        let lines = "{\"symbol\":\"A\",\"price\":1}\r\n\n{\"symbol\":\"A\",\"price\":2}\nnonsense\n\
            {\"price\":1}\n{\"symbol\":\"B\",\"volume\":1}\n{\"symbol\":\"C\",\"status\":\"halted\"}";
        let answer = http.ask("POST", "/v1/updates", &[LINES], lines).json();
        assert_eq!(answer["done"], 3);
        let refused: Vec<_> = answer["refused"].as_array().unwrap().iter().collect();
        let line =
            |at: usize| (refused[at]["line"].as_u64().unwrap(), &refused[at]["problem"]["type"]);
        assert_eq!(line(0), (4, &json!("/problems/invalid-request")));
        assert_eq!(line(1), (5, &json!("/problems/invalid-request")));
        assert_eq!(line(2), (6, &json!("/problems/listing-incomplete")));
        assert_eq!(http.get("/v1/stocks/A").json()["price"], "2");

        let many: String = (0..30_000)
            .map(|number| format!("{{\"symbol\":\"S{number}\",\"price\":1}}\n"))
            .collect();
        assert_eq!(http.ask("POST", "/v1/updates", &[LINES], &many).json()["done"], 30_000);
        assert_eq!(web.engine.count(&Access::All), Some(30_002));
    }
}

/// What an operation may answer is of the one table of problems, whatever its route declares.
#[test]
fn every_operation_says_what_it_can_be_refused_for() {
    let api = Web::start().connect().get("/openapi.json").json();
    let mut seen = 0;
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            seen += 1;
            let writes =
                method != "get" && (path.starts_with("/v1/stocks/{") || path == "/v1/updates");
            let has_body = !operation["requestBody"].is_null();
            let expected = [
                (&[400, 401, 403, 414, 421, 503][..], true),
                (&[408, 415], has_body),
                (&[504], writes),
            ];
            for (statuses, is_expected) in expected {
                for status in statuses {
                    let content = &operation["responses"][status.to_string()]["content"];
                    let problem = &content["application/problem+json"]["schema"];
                    assert_eq!(!problem.is_null(), is_expected, "{method} {path} {status}");
                }
            }
        }
    }
    assert_eq!(seen, 20);
    assert!(!api["paths"]["/v1/stock"]["get"]["responses"]["406"].is_null());
    assert_eq!(api["security"], json!([{}, {"bearer": []}, {"basic": []}]));
    let schemes = &api["components"]["securitySchemes"];
    assert_eq!(
        (&schemes["bearer"]["scheme"], &schemes["basic"]["scheme"]),
        (&json!("bearer"), &json!("basic"))
    );
    // It forbids no name that the server takes.
    let symbol = &api["paths"]["/v1/stocks/{symbol}"]["get"]["parameters"][0];
    assert_eq!(symbol["schema"]["pattern"], r"^[^\u0000-\u001f\u007f-\u009f]+$");
    assert_eq!(symbol["schema"]["maxLength"], 48);
}

#[test]
fn the_server_describes_itself() {
    let web = Web::start();
    let mut http = web.connect();
    web.set("A", "1");
    let api = http.get("/openapi.json").json();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["/v1/stocks/{symbol}", "/v1/stream", "/metrics", "/v1/updates"] {
        assert!(api["paths"].get(path).is_some(), "{path}");
    }
    let docs = http.get("/docs");
    assert!(docs.text().contains("/v1/lookup") && !docs.text().contains("http://"));
    assert!(http.get("/problems/halted").text().contains("FAILED_PRECONDITION HALTED"));
    assert!(http.get("/problems").text().contains("volume-too-low"));
    assert_eq!(http.get("/problems/nothing").status, 404);
    // A typing error cannot pass for a wish; pages and documents take whatever is added to their address.
    assert_eq!(http.get("/health/live?writes=1").status, 400);
    assert_eq!(http.get("/openapi.json?x=1").status, 200);
    assert_eq!(http.get("/health/live").text(), "live\n");
    assert_eq!(http.get("/health/ready?writes=1").text(), "ready\n");
    assert_eq!(http.get("/health/ready?writes=2").status, 400);
    assert_eq!(http.get("/v1/server").json()["stocks"], 1);
    assert_eq!(http.get("/v1/clients").json()["clients"], json!([]));
    assert_eq!(http.get("/v1/clients?cursor=x1").status, 400);
    let wrong = http.ask("POST", "/v1/stocks/A", &[JSON], "{}");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET,HEAD,PUT,PATCH,DELETE")));
    assert_eq!(http.get("/v2").status, 404);
}

#[test]
fn metrics_are_few_whatever_there_is() {
    let web = Web::start();
    let mut http = web.connect();
    (0..2000).for_each(|number| web.set(&format!("S{number}"), "1"));
    let _others: Vec<_> = (0..50).map(|_| web.connect()).collect();
    http.get("/v1/stocks/S1");
    let metrics = http.get("/metrics");
    let text = metrics.text();
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(series.len() <= METRIC_SERIES_MAX, "{}", series.len());
    assert!(text.ends_with("# EOF\n"));
    for expected in [
        "stockd_stocks 2000",
        "stockd_lookups_total{result=\"found\"} 1",
        "stockd_writes_total{kind=\"listing\"} 2000",
        "stockd_http_request_seconds_count{protocol=\"http\"} 1",
    ] {
        assert!(text.contains(&format!("{expected}\n")), "{expected} is not in {text}");
    }
}

#[test]
fn a_path_that_is_no_utf_8_is_a_problem_in_the_shape_of_its_service() {
    let web = Web::start();
    let mut http = web.connect();
    for (method, path) in [
        ("GET", "/v1/stocks/%ff"),
        ("PUT", "/v1/stocks/A%c0%80"),
        ("DELETE", "/v1/stocks/%ff"),
        ("GET", "/problems/%ff"),
    ] {
        let refused = http.ask(method, path, &[("Content-Type", "application/json")], "{}");
        assert_eq!(refused.status, 400, "{method} {path}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        assert_eq!(refused.json()["type"], "/problems/invalid-request");
        assert!(refused.text().contains("encode names as UTF-8"), "{}", refused.text());
    }
    let course = http.get("/stocks/%ff").json();
    assert_eq!(course["error"]["code"], 400, "{course}");
    let alpaca = http.get("/v2/stocks/%ff/snapshot").json();
    assert_eq!(alpaca["code"], 40_010_000, "{alpaca}");
}
