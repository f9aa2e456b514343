//! Orders of a server that is killed again and again: each that was answered is there under its number, no number was
//! given twice or left out, and the shares that are gone are those of the orders.
//!
//! The story: clients buy and sell over connections that they keep. At some moment SIGKILL ends the server, with orders at
//! every stage: waiting, recorded without their trade, traded without their answer. It is started again over the same
//! directory, and the clients go on.

#![cfg(feature = "web")]

#[path = "../../../web/tests/http/client.rs"]
#[allow(dead_code, reason = "shared with the tests of the service plane")]
mod client;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use client::Http;
use serde_json::{Value, json};

const CLIENTS: u64 = 6;
const KILLS: u64 = 12;
const STOCKS: [&str; 3] = ["GameStart", "RottenFish", "BRK/A"];
const SHARES: i64 = 1_000_000;

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(directory: &Path) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
        command.args(["serve", "--line", "off", "--resp", "off", "--http", "127.0.0.1:0"]);
        command.args(["--log", "off", "--data-dir"]).arg(directory);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("http ") else {
            let _ = child.kill();
            panic!("the server is not ready: {:?}", child.wait());
        };
        Server { address: address.to_owned(), child }
    }

    fn connect(&self) -> Http {
        Http::connect(&self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Orders until the server is gone. Returns what was answered: numbers, and what was ordered.
fn order_on(address: &str, client: u64, answered: &AtomicU64) -> Vec<(u64, Value)> {
    let mut orders = Vec::new();
    let Ok(stream) = TcpStream::connect(address) else { return orders };
    let patience = Some(Duration::from_secs(180));
    stream.set_read_timeout(patience).unwrap();
    let mut stream = BufReader::new(stream);
    for step in client.. {
        let stock = STOCKS[step as usize % STOCKS.len()];
        let side = if step % 3 == 0 { "sell" } else { "buy" };
        let ordered = json!({"name": stock, "type": side, "quantity": 1 + step % 7});
        match post(&mut stream, &ordered.to_string()) {
            Some(answer) => {
                let number = answer["data"]["transaction_number"].as_u64();
                let number = number.unwrap_or_else(|| panic!("{answer}"));
                orders.push((number, ordered));
                answered.fetch_add(1, Ordering::Relaxed);
            }
            None => break,
        }
    }
    orders
}

/// An answer, or none where the server is gone.
fn post(stream: &mut BufReader<TcpStream>, body: &str) -> Option<Value> {
    let head = "POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.get_mut().write_all(request.as_bytes()).ok()?;
    let mut length = None;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().ok();
            }
            _ if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length?];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

fn list(server: &Server) {
    let mut http = server.connect();
    for stock in STOCKS {
        let fields = json!({"price": "15.99", "volume": SHARES.to_string()}).to_string();
        let path = format!("/v1/stocks/{}", stock.replace('/', "%2F"));
        let kind = [("Content-Type", "application/json")];
        assert_eq!(http.ask("PUT", &path, &kind, &fields).status, 201);
    }
}

/// Checks every number from 0 on against what was answered and what is left of the stocks. Returns how many there are.
fn check(server: &Server, answered: &HashMap<u64, Value>) -> u64 {
    let mut http = server.connect();
    let mut gone: HashMap<String, i64> = HashMap::new();
    let mut count = 0;
    loop {
        let response = http.get(&format!("/orders/{count}"));
        if response.status == 404 {
            break;
        }
        let order = response.json()["data"].clone();
        assert_eq!(order["number"], count);
        if let Some(ordered) = answered.get(&count) {
            for member in ["name", "type", "quantity"] {
                assert_eq!(order[member], ordered[member], "order {count} is another's");
            }
        }
        let quantity = order["quantity"].as_i64().unwrap();
        let taken = if order["type"] == "buy" { quantity } else { -quantity };
        *gone.entry(order["name"].as_str().unwrap().to_owned()).or_default() += taken;
        count += 1;
    }
    let last = answered.keys().max().map_or(0, |last| last + 1);
    assert!(count >= last, "order {} was answered and is lost", last - 1);
    for stock in STOCKS {
        let stock_now = http.get(&format!("/stocks/{}", stock.replace('/', "%2F"))).json();
        let left = stock_now["data"]["quantity"].as_i64().unwrap();
        let expected = SHARES - gone.get(stock).copied().unwrap_or_default();
        assert_eq!(left, expected, "shares of {stock} and orders differ");
    }
    count
}

#[test]
fn no_number_is_lost_or_given_twice_though_the_server_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut answered: HashMap<u64, Value> = HashMap::new();
    let mut server = Server::start(directory.path());
    list(&server);
    let mut count = 0;
    for kill in 0..KILLS {
        let so_far = AtomicU64::new(0);
        let orders: Vec<(u64, Value)> = thread::scope(|scope| {
            let address = server.address.clone();
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (address, so_far) = (address.clone(), &so_far);
                    scope.spawn(move || order_on(&address, client + kill, so_far))
                })
                .collect();
            // At another place of the work each time.
            while so_far.load(Ordering::Relaxed) < 20 + kill * 7 {
                thread::yield_now();
            }
            server.child.kill().unwrap();
            server.child.wait().unwrap();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        for (number, ordered) in orders {
            assert!(number >= count, "number {number} was given before the kill");
            let twice = answered.insert(number, ordered);
            assert!(twice.is_none(), "number {number} was given twice");
        }
        server = Server::start(directory.path());
        count = check(&server, &answered);
    }
    assert!(count > 0);
}

/// Orders, and returns the status and what is said.
fn order(server: &Server) -> (u16, Value) {
    let kind = [("Content-Type", "application/json")];
    let body = json!({"name": STOCKS[0], "type": "buy", "quantity": 1}).to_string();
    let answer = server.connect().ask("POST", "/orders", &kind, &body);
    (answer.status, answer.json())
}

#[test]
fn a_moved_file_takes_no_order_and_a_damaged_record_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("orders");
    let server = Server::start(directory.path());
    list(&server);
    for number in 0..3 {
        assert_eq!(order(&server), (200, json!({"data": {"transaction_number": number}})));
    }
    let moved = directory.path().join("moved");
    std::fs::rename(&file, &moved).unwrap();
    let (status, said) = order(&server);
    assert_eq!(status, 503, "{said}");
    drop(server);
    std::fs::rename(&moved, &file).unwrap();

    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
        let output = command.arg("check").arg(directory.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = check();
    assert!(said.contains("orders    3, kept 3, damaged 0, "), "{said}");
    assert_eq!(code, Some(0));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[88 + 30] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (code, said) = check();
    assert!(said.contains("orders    3, kept 2, damaged 1, ") && said.contains("order 1:"));
    assert_eq!(code, Some(1));
}
