//! The client and the server together, over loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stockd_client::{Answer, Client, ClientError};
use stockd_engine::{Access, Engine};
use stockd_model::limits::LINE_BYTES_MAX;
use stockd_model::{Edit, Fields, Price, Request, Status, Volume};
use stockd_server::{Config, Endpoint, Protocol, Server};

fn serve(engine: &Arc<Engine>, mut config: Config) -> (Server, SocketAddr) {
    let listener = Endpoint::plain(Protocol::Line, ([127, 0, 0, 1], 0));
    config.endpoints = vec![listener];
    config.workers = 2;
    let server = Server::start(config, Arc::clone(engine)).unwrap();
    let address = server.endpoints()[0].address.tcp().unwrap();
    (server, address)
}

fn list(engine: &Arc<Engine>, name: &str, price: &str, volume: u64, status: Status) {
    let fields = Fields {
        price: Edit::Set(price.parse().unwrap()),
        volume: Edit::Set(Volume::new(volume)),
        status: Some(status),
        ..Fields::default()
    };
    let set = Request::Set(name.parse().unwrap(), fields);
    engine.executor().batch(&Access::All).execute(&set);
}

fn price(text: &str) -> Answer {
    Answer::Price(text.parse().unwrap())
}

/// Stocks of every kind, and what a lookup of each name answers.
fn market() -> (Arc<Engine>, Vec<(String, Answer)>) {
    let engine = Arc::new(Engine::default());
    list(&engine, "AAPL", "172.50", 9, Status::Trading);
    list(&engine, "BRK/A", "743500.00", 1, Status::Trading);
    list(&engine, "TINY", "0.000000001", u64::MAX, Status::Trading);
    list(&engine, "HIGH", "9223372036.854775807", 1, Status::Trading);
    list(&engine, "牛来USDT", "0.0005", 1, Status::Trading);
    list(&engine, "A B", "3", 1, Status::Trading);
    list(&engine, "SOLD", "5", 0, Status::Trading);
    list(&engine, "HALT", "5", 9, Status::Halted);
    let expected = [
        ("AAPL", price("172.5")),
        ("  AAPL\r", price("172.5")),
        ("aapl", Answer::NotFound),
        ("BRK/A", price("743500")),
        ("TINY", price("0.000000001")),
        ("HIGH", price("9223372036.854775807")),
        ("牛来USDT", price("0.0005")),
        ("A B", price("3")),
        ("SOLD", Answer::NotTradable),
        ("HALT", Answer::NotTradable),
        ("XYZ", Answer::NotFound),
        ("", Answer::NotFound),
        ("A\0B", Answer::NotFound),
        (&"A".repeat(31), Answer::NotFound),
        (&"A".repeat(LINE_BYTES_MAX), Answer::NotFound),
    ];
    let expected = expected.map(|(name, answer)| (name.to_owned(), answer));
    (engine, expected.to_vec())
}

#[test]
fn every_kind_of_stock_is_answered_one_by_one_and_all_together() {
    let (engine, expected) = market();
    let (_server, address) = serve(&engine, Config::default());
    let mut client = Client::connect(address).unwrap();
    for (name, answer) in &expected {
        assert_eq!(client.lookup(name).unwrap(), *answer, "{name:?}");
    }
    let names = expected.iter().map(|(name, _)| name);
    let answers: Vec<Answer> = expected.iter().map(|&(_, answer)| answer).collect();
    assert_eq!(client.lookup_all(names).unwrap(), answers);
}

#[test]
fn a_long_list_is_answered_in_order() {
    let engine = Arc::new(Engine::default());
    for i in (0..1000).step_by(2) {
        list(&engine, &format!("S{i}"), &format!("{}.25", i + 1), 1, Status::Trading);
    }
    let (_server, address) = serve(&engine, Config::default());
    let names: Vec<String> = (0..50_000).map(|i| format!("S{}", i * 7 % 1000)).collect();
    let answers = Client::connect(address).unwrap().lookup_all(&names).unwrap();
    assert_eq!(answers.len(), names.len());
    for (name, answer) in names.iter().zip(answers) {
        let i: u64 = name[1..].parse().unwrap();
        let expected = match i % 2 {
            0 => price(&format!("{}.25", i + 1)),
            _ => Answer::NotFound,
        };
        assert_eq!(answer, expected, "{name}");
    }
}

#[test]
fn while_a_stock_is_updated_its_price_never_goes_back() {
    let engine = Arc::new(Engine::default());
    list(&engine, "AAPL", "1", 1, Status::Trading);
    let (_server, address) = serve(&engine, Config::default());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for whole in 2.. {
                list(&engine, "AAPL", &format!("{whole}.{whole}"), 1, Status::Trading);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let mut client = Client::connect(address).unwrap();
        let answers = client.lookup_all(vec!["AAPL"; 20_000]);
        stop.store(true, Ordering::Relaxed);
        let mut last = Price::MIN;
        for answer in answers.unwrap() {
            let now = answer.price().expect("always tradable");
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
    });
}

#[test]
fn a_full_server_tells_the_client_and_serves_it_later() {
    let (engine, _) = market();
    let config = Config { connections_max: 1, ..Config::default() };
    let (_server, address) = serve(&engine, config);
    let mut first = Client::connect(address).unwrap();
    assert_eq!(first.lookup("AAPL").unwrap(), price("172.5"));

    let mut second = Client::connect(address).unwrap();
    let error = second.lookup("AAPL").unwrap_err();
    let ClientError::TurnedAway { text, .. } = &error else { panic!("not refused: {error:?}") };
    assert!(text.contains("the limit"), "{text}");

    drop(first);
    // The server learns of the end of the first in its own time.
    let served = std::iter::repeat_with(|| {
        second.reconnect()?;
        second.lookup("AAPL")
    });
    let answer = served.take(100_000).find_map(Result::ok);
    assert_eq!(answer, Some(price("172.5")));
}

#[test]
fn a_server_that_stops_is_a_closed_connection() {
    let (engine, _) = market();
    let (server, address) = serve(&engine, Config::default());
    let mut client = Client::connect(address).unwrap();
    assert_eq!(client.lookup("AAPL").unwrap(), price("172.5"));
    server.shutdown();
    let error = client.lookup("AAPL").unwrap_err();
    assert!(matches!(error, ClientError::Closed { .. }), "{error:?}");
    let error = client.reconnect().unwrap_err();
    assert!(matches!(error, ClientError::NotConnected { .. }), "{error:?}");
}
