//! The facades: what they answer, that each can be left out, and the numbers of orders.

use std::collections::HashSet;
use std::thread;

use serde_json::{Value, json};
use stockd_engine::{Access, Catalog, Engine, Replicated};
use stockd_model::{Fields, Request};
use stockd_web::Config;

use crate::Web;
use crate::client::Http;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn give(web: &Web, symbol: &str, fields: &[(&str, &str)]) {
    let mut given = Fields::default();
    for (name, value) in fields {
        given.set(stockd_model::Field::find(name.as_bytes()).unwrap(), value.as_bytes()).unwrap();
    }
    let request = Request::Set(symbol.parse().unwrap(), given);
    web.engine.executor().batch(&Access::All).execute(&request);
}

fn stocks(web: &Web) {
    let time = ("time", "1790000000123456789");
    give(web, "AAPL", &[("price", "172.50"), ("volume", "1000"), ("bid", "172.49"), time]);
    give(web, "EURUSD", &[("bid", "1.0833"), ("ask", "1.0835"), ("ask_size", "0.5"), time]);
    give(web, "IDX", &[("price", "5000.123456789012345")]);
    give(web, "HALT", &[("status", "halted"), ("volume", "5")]);
}

#[test]
fn alpacas_latest_data_have_the_digits_of_the_stocks() {
    let web = Web::start();
    stocks(&web);
    let mut http = web.connect();
    let trades = http.get("/v2/stocks/trades/latest?symbols=AAPL,EURUSD,IDX,NOPE&feed=iex");
    let text = trades.text();
    let time = "2026-09-21T14:13:20.123456789Z";
    let first = format!(r#"{{"trades":{{"AAPL":{{"t":"{time}","p":172.5,"s":0,"i":1}},"IDX":"#);
    assert!(text.starts_with(&first) && text.contains(r#""p":5000.123456789012345,"#), "{text}");
    let quotes = http.get("/v2/stocks/quotes/latest?symbols=AAPL,EURUSD,IDX");
    let expected = format!(
        r#"{{"quotes":{{"AAPL":{{"t":"{time}","ap":0,"as":0,"bp":172.49,"bs":0}},"EURUSD":{{"t":"{time}","ap":1.0835,"as":0.5,"bp":1.0833,"bs":0}}}}}}"#
    );
    assert_eq!(quotes.text(), expected);
    let one = http.get("/v2/stocks/EURUSD/quotes/latest").json();
    assert_eq!((&one["symbol"], &one["quote"]["ap"]), (&"EURUSD".into(), &json!(1.0835)));
    assert_eq!(http.get("/v2/stocks/AAPL/trades/latest").json()["trade"]["p"], json!(172.5));
    let snapshots = http.get("/v2/stocks/snapshots?symbols=AAPL,EURUSD,HALT,NOPE").json();
    let members = |name: &str| snapshots[name].as_object().unwrap().len();
    assert_eq!(snapshots.as_object().unwrap().len(), 3);
    assert_eq!((members("AAPL"), members("EURUSD"), members("HALT")), (2, 1, 0));
    let one = http.get("/v2/stocks/AAPL/snapshot").json();
    assert_eq!(one["latestTrade"]["p"], json!(172.5));
    assert!(one.get("minuteBar").is_none(), "{one}");
}

#[test]
fn alpacas_errors_are_in_its_form() {
    let web = Web::start();
    stocks(&web);
    let mut http = web.connect();
    for (path, status, code) in [
        ("/v2/stocks/NOPE/trades/latest", 404, 40_410_000),
        ("/v2/stocks/EURUSD/trades/latest", 404, 40_410_000),
        ("/v2/stocks/AAPL/bars?timeframe=1Min", 404, 40_410_000),
        ("/v2/iex", 404, 40_410_000),
        ("/v2/stocks/trades/latest", 400, 40_010_000),
        ("/v2/stocks/trades/latest?symbols=AAPL&currency=EUR", 400, 40_010_000),
        ("/v2/stocks/trades/latest?symbols=AAPL&nonsense=1", 400, 40_010_000),
    ] {
        let response = http.get(path);
        let error = response.json();
        assert_eq!((response.status, &error["code"]), (status, &code.into()), "{path}: {error}");
        assert!(error["message"].is_string() && error.as_object().unwrap().len() == 2, "{error}");
    }
    let foreign = http.ask("GET", "/v2/stocks/AAPL/snapshot", &[("Host", "evil.example")], "");
    assert_eq!((foreign.status, &foreign.json()["code"]), (421, &42_110_000.into()));
}

fn order(http: &mut Http, name: &str, side: &str, quantity: &Value) -> (u16, Value) {
    let body = json!({"name": name, "type": side, "quantity": quantity}).to_string();
    let response = http.ask("POST", "/orders", &[JSON], &body);
    (response.status, response.json())
}

fn number(answer: &(u16, Value)) -> u64 {
    assert_eq!(answer.0, 200, "{answer:?}");
    answer.1["data"]["transaction_number"].as_u64().unwrap()
}

/// The count would be that of the cluster, and the records those of one node.
#[test]
fn a_node_of_a_cluster_takes_no_orders_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, _replica) = Engine::replicated(Replicated {
        catalog: Catalog::new(),
        version_floor: 0,
        stocks_max: 10,
        epoch: 7,
        hash: |_| 0,
    });
    let orders = Some(directory.path().to_owned());
    let web = Web::with(Config { orders, ..Config::default() }, engine.into());
    let mut http = web.connect();
    let refused = order(&mut http, "AAPL", "buy", &json!(1));
    let asked = http.get("/orders/0");
    for (status, answer) in [refused, (asked.status, asked.json())] {
        assert_eq!((status, &answer["error"]["code"]), (501, &json!(501)), "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("POST /v1/stocks/{symbol}/trades"), "{message}");
    }
    assert_eq!(http.get("/stocks/AAPL").status, 404, "stocks are answered");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is on the disk");
}

#[test]
fn the_courses_stocks_and_orders_have_their_shapes() {
    for web in [Web::start(), Web::durable()] {
        stocks(&web);
        let mut http = web.connect();
        let aapl = http.get("/stocks/AAPL");
        assert_eq!(aapl.text(), r#"{"data":{"name":"AAPL","price":172.5,"quantity":1000}}"#);
        assert_eq!(http.get("/stocks/NOPE").json()["error"]["code"], 404);
        assert_eq!(number(&order(&mut http, "AAPL", "buy", &json!(5))), 0);
        assert_eq!(number(&order(&mut http, "AAPL", "sell", &json!("0.5"))), 1);
        assert_eq!(http.get("/stocks/AAPL").json()["data"]["quantity"], json!(995.5));
        for (name, side, quantity, status) in [
            ("AAPL", "buy", json!(5000), 409),
            ("NOPE", "buy", json!(1), 404),
            ("HALT", "sell", json!(1), 409),
            ("EURUSD", "buy", json!(1), 409),
            ("AAPL", "hold", json!(1), 400),
            ("AAPL", "buy", json!(0), 400),
            ("AAPL", "buy", json!(-1), 400),
        ] {
            let refused = order(&mut http, name, side, &quantity);
            assert_eq!(refused.0, status, "{name} {side} {quantity}: {refused:?}");
            assert_eq!(refused.1["error"]["code"], status);
            assert!(refused.1["error"]["message"].is_string());
        }
        // What was refused has no number.
        assert_eq!(number(&order(&mut http, "AAPL", "buy", &json!(1))), 2);
        let first = http.get("/orders/0");
        let expected = r#"{"data":{"number":0,"name":"AAPL","type":"buy","quantity":5}}"#;
        assert_eq!(first.text(), expected);
        assert_eq!(http.get("/orders/1").json()["data"]["quantity"], json!(0.5));
        for path in ["/orders/3", "/orders/-1", "/orders/x", "/orders/18446744073709551616"] {
            let missing = http.get(path);
            assert_eq!((missing.status, &missing.json()["error"]["code"]), (404, &404.into()));
        }
        // Some clients do not say what they send.
        let bare = http.ask("POST", "/orders", &[], r#"{"name":"AAPL","type":"buy","quantity":1}"#);
        assert_eq!(bare.status, 200);
        let text = [("Content-Type", "text/plain")];
        assert_eq!(http.ask("POST", "/orders", &text, "{}").status, 415);
    }
}

/// Buyers of all that there is, who are refused at the end, beside one who keeps changing the stock.
#[test]
fn numbers_have_no_gaps_however_many_order_at_once() {
    const BUYERS: usize = 8;
    const SHARES: u64 = 200;
    for web in [Web::start(), Web::durable()] {
        give(&web, "A", &[("price", "1"), ("volume", &SHARES.to_string())]);
        give(&web, "B", &[("price", "1"), ("volume", "0")]);
        let buy = |name: &'static str| {
            let web = &web;
            move || {
                let mut http = web.connect();
                let mut numbers = Vec::new();
                loop {
                    web.set("A", "2");
                    let (status, answer) = order(&mut http, name, "buy", &json!(1));
                    match status {
                        200 => numbers.push(answer["data"]["transaction_number"].as_u64().unwrap()),
                        409 => return numbers,
                        _ => panic!("{status}: {answer}"),
                    }
                }
            }
        };
        let numbers: Vec<u64> = thread::scope(|scope| {
            let buyers: Vec<_> = (0..BUYERS).map(|_| scope.spawn(buy("A"))).collect();
            let none = scope.spawn(buy("B"));
            assert!(none.join().unwrap().is_empty());
            buyers.into_iter().flat_map(|buyer| buyer.join().unwrap()).collect()
        });
        let distinct: HashSet<u64> = numbers.iter().copied().collect();
        assert_eq!(numbers.len() as u64, SHARES);
        assert_eq!(distinct, (0..SHARES).collect());
        let mut http = web.connect();
        for number in numbers {
            assert_eq!(http.get(&format!("/orders/{number}")).json()["data"]["number"], number);
        }
    }
}

#[test]
fn a_facade_that_is_off_is_not_there() {
    let config = Config { alpaca: false, cs677: false, ..Config::default() };
    let web = Web::with(config, Default::default());
    stocks(&web);
    let mut http = web.connect();
    for path in ["/v2/stocks/AAPL/trades/latest", "/stocks/AAPL", "/orders/0"] {
        let response = http.get(path);
        assert_eq!(response.status, 404, "{path}");
        assert_eq!(response.json()["type"], "/problems/no-route");
    }
}
