//! Shares are moved between stocks by many clients at once, and none is lost or made.
//!
//! The story: 64 clients each move shares between two of 100 stocks, again and again, half of them with
//! a transaction of two trades, half by writing both volumes if neither stock has changed since it was
//! read. Somebody reads one snapshot after the other meanwhile. A durable server is killed in the middle
//! of it, and the next one goes on. The sum over all stocks is the same in every snapshot, and after
//! every restart.
//!
//! `STOCKD_TRANSFERS` sets how many moves are made in each life of the server.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use crate::ledger::Random;
use crate::server::{Connection, Server, stockd};

const CLIENTS: u64 = 64;
const STOCKS: u64 = 100;
/// More than all clients together take from one stock.
const SHARES: u64 = 1_000_000_000;
const SUM: u64 = STOCKS * SHARES;
/// Times that a durable server is killed.
const LIVES: u64 = 3;

fn moves(default: u64) -> u64 {
    std::env::var("STOCKD_TRANSFERS").map_or(default, |moves| moves.parse().expect("a number"))
}

/// A line of a reply, where a server that is gone is no error.
fn ask(connection: &mut Connection, command: &str) -> Option<String> {
    connection.send(&format!("{command}\r\n")).ok()?;
    connection.line()
}

/// The volume of a stock.
fn volume(connection: &mut Connection, stock: u64) -> Option<u64> {
    ask(connection, &format!("HGET S{stock} volume"))?;
    connection.line()?.parse().ok()
}

/// Two trades as one, whatever others do.
fn trade(connection: &mut Connection, [from, to]: [u64; 2], shares: u64) -> Option<bool> {
    let commands = format!(
        "MULTI\r\nHINCRBY S{from} volume -{shares}\r\nHINCRBY S{to} volume {shares}\r\nEXEC\r\n"
    );
    connection.send(&commands).ok()?;
    for expected in ["+OK", "+QUEUED", "+QUEUED", "*2"] {
        let line = connection.line()?;
        assert_eq!(line, expected);
    }
    for _ in 0..2 {
        let line = connection.line()?;
        assert!(line.starts_with(':'), "{line}");
    }
    Some(true)
}

/// Both volumes written, unless another client was first.
fn rewrite(connection: &mut Connection, [from, to]: [u64; 2], shares: u64) -> Option<bool> {
    assert_eq!(ask(connection, &format!("WATCH S{from} S{to}"))?, "+OK");
    let left = volume(connection, from)? - shares;
    let there = volume(connection, to)? + shares;
    let commands =
        format!("MULTI\r\nHSET S{from} volume {left}\r\nHSET S{to} volume {there}\r\nEXEC\r\n");
    connection.send(&commands).ok()?;
    for expected in ["+OK", "+QUEUED", "+QUEUED"] {
        let line = connection.line()?;
        assert_eq!(line, expected);
    }
    let head = connection.line()?;
    if head == "*-1" {
        return Some(false);
    }
    assert_eq!(head, "*2");
    for _ in 0..2 {
        assert_eq!(connection.line()?, ":0");
    }
    Some(true)
}

/// Moves shares until enough moves are done in all, or the server is gone.
fn move_shares(mut connection: Connection, client: u64, done: &AtomicU64, enough: u64) {
    let mut random = Random::new(client);
    while done.load(Relaxed) < enough {
        let from = random.below(STOCKS);
        let to = (from + 1 + random.below(STOCKS - 1)) % STOCKS;
        let shares = 1 + random.below(9);
        let act = if client.is_multiple_of(2) { trade } else { rewrite };
        match act(&mut connection, [from, to], shares) {
            None => return,
            Some(moved) => _ = done.fetch_add(u64::from(moved), Relaxed),
        }
    }
}

/// The sum over a snapshot; `None` when the server is gone.
fn sum(connection: &mut Connection) -> Option<u64> {
    let mut sum = 0;
    let mut command = "SNAPSHOT";
    loop {
        let head = ask(connection, command)?;
        command = "SNAPSHOT NEXT";
        if head == "$-1" {
            return Some(sum);
        }
        let quotes: usize = head.strip_prefix('*').expect(&head).parse().unwrap();
        for _ in 0..quotes {
            connection.line()?;
            let json = connection.line()?;
            let (_, volume) = json.split_once("\"volume\":").expect(&json);
            let digits: String =
                volume.trim_start_matches('"').chars().take_while(char::is_ascii_digit).collect();
            sum += digits.parse::<u64>().expect(&json);
        }
    }
}

/// One life of a server. It is killed after a number of moves, or else goes on until they are made.
fn live(server: &Server, enough: u64, dies: bool) {
    let done = AtomicU64::new(0);
    // A server that dies does so in the middle.
    let wanted = if dies { u64::MAX } else { enough };
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (connection, done) = (server.connect(), &done);
            scope.spawn(move || move_shares(connection, client, done, wanted));
        }
        let mut reader = server.connect();
        let mut read = 0;
        while done.load(Relaxed) < enough || read < 3 {
            let seen = sum(&mut reader).expect("the server is there");
            assert_eq!(seen, SUM, "a snapshot after {read} others");
            read += 1;
        }
        if dies {
            server.kill();
        }
    });
}

fn list(server: &Server) {
    let mut connection = server.connect();
    for stock in 0..STOCKS {
        let listed = connection.ask(&format!("HSET S{stock} price 1 volume {SHARES}"));
        assert_eq!(listed, ":2");
    }
}

#[test]
fn no_share_is_lost_or_made_when_the_server_is_killed_between_transfers() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    list(&Server::start(&dir, &[]));
    let epoch = |server: &Server| {
        let lines = server.connect().parts_of_bulk("INFO server");
        lines.into_iter().find(|line| line.starts_with("epoch:")).expect("an epoch")
    };
    let first = epoch(&Server::start(&dir, &[]));
    for life in 0..=LIVES {
        let server = Server::start(&dir, &[]);
        assert_eq!(sum(&mut server.connect()), Some(SUM), "at the start of life {life}");
        assert_eq!(epoch(&server), first);
        live(&server, moves(1000), life < LIVES);
        if life == LIVES {
            assert_eq!(sum(&mut server.connect()), Some(SUM));
        }
    }
}

#[test]
fn no_share_is_lost_or_made_in_memory() {
    let arguments = ["serve", "--line", "off", "--resp", "127.0.0.1:0", "--ephemeral"];
    let server = Server::spawn(&mut stockd(arguments));
    list(&server);
    live(&server, moves(20_000), false);
    assert_eq!(sum(&mut server.connect()), Some(SUM));
}
