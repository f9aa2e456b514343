//! A turn does a bounded piece of work, whatever is asked, and what is left goes on in the next ones.
//! Work is counted here, in rows, commands and bytes; no clock is asked.

use std::fmt::Write;

use super::*;
use crate::memory::Ledger;
use stockd_engine::{Catalog, Sync};
use stockd_model::limits::{READ_BYTES_MAX, TURN_WORK_MIN};
use stockd_store::{Store, StoreError, Write as StoreWrite};

const MIN: Budget = Budget::new(TURN_WORK_MIN);
const STOCKS: usize = 50_000;

fn listed(stocks: usize) -> Arc<Engine> {
    let engine = Arc::new(Engine::default());
    let mut executor = engine.executor();
    let mut batch = executor.batch(&Access::All);
    let fields = Fields {
        price: "1".parse().expect("a price"),
        volume: Edit::Set(Volume::new(1)),
        ..Fields::default()
    };
    for stock in 0..stocks {
        batch.execute(&Request::Set(format!("S{stock}").parse().unwrap(), fields));
    }
    drop(batch);
    drop(executor);
    engine
}

impl Client {
    fn resp(engine: &Arc<Engine>) -> Client {
        Client::of(engine, Protocol::Resp, usize::MAX)
    }

    /// A turn of this much work, on what was received before. Returns the bytes that it has replied.
    fn resume(&mut self, work: Budget) -> usize {
        self.work = work;
        let before = self.out.len();
        let _ = self.with(Session::resume);
        self.out.len() - before
    }

    /// Turns until all is answered. Returns how many that were.
    fn finish(&mut self, work: Budget) -> usize {
        let mut turns = 0;
        while self.session.is_held_back() {
            self.resume(work);
            turns += 1;
        }
        turns
    }
}

#[test]
fn a_packet_of_keys_looks_at_few_rows_a_turn() {
    const TURNS: usize = 40;
    let mut client = Client::resp(&listed(STOCKS));
    let packet = "KEYS a\n".repeat(READ_BYTES_MAX / 7);
    assert_eq!(client.receive(packet.as_bytes()), Waits::Turn);
    for _ in 1..TURNS {
        client.resume(Budget::new(TURN_WORK));
    }
    // Each has to look at all stocks.
    let answered = client.out.len() / "*0\r\n".len();
    assert!(answered > 0);
    assert!(answered * STOCKS <= TURNS * TURN_WORK, "{answered} answered");
    assert_eq!(client.out.len() % 4, 0);
}

#[test]
fn keys_in_many_turns_lists_what_it_lists_in_one() {
    let engine = listed(1000);
    let mut unbounded = Client::resp(&engine);
    unbounded.work = Budget::new(usize::MAX);
    assert_eq!(unbounded.receive(b"KEYS S1*\r\nGET AAPL\r\n"), Waits::Input);
    let mut client = Client::resp(&engine);
    client.work = MIN;
    client.out_bytes_max = 500;
    assert_eq!(client.receive(b"KEYS S1*\r\nGET AAPL\r\n"), Waits::Turn);
    let (mut turns, mut replies) = (1, client.replied());
    while client.session.is_held_back() {
        let _ = client.with(Session::resume);
        assert!(client.out.len() <= 500 + 27, "{} bytes", client.out.len());
        replies += &client.replied();
        turns += 1;
    }
    assert!(turns > 1000 / TURN_WORK_MIN, "{turns}");
    let unbounded = unbounded.replied();
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert!(unbounded.starts_with("*111\r\n") && replies.starts_with("*111\r\n"));
    assert!(replies.ends_with("$5\r\n172.5\r\n"));
    assert_eq!(sorted(&replies), sorted(&unbounded));
}

#[test]
fn a_scan_looks_at_few_rows_a_turn_and_fills_its_page() {
    let mut client = Client::resp(&listed(500));
    client.work = MIN;
    assert_eq!(client.receive(b"SCAN 0 COUNT 4096\r\nPING\r\n"), Waits::Turn);
    assert_eq!(client.replied(), "");
    let turns = client.finish(MIN);
    let reply = client.replied();
    assert!(reply.starts_with("*2\r\n$1\r\n0\r\n*502\r\n") && reply.ends_with("+PONG\r\n"));
    assert!(turns >= 500 / (2 * TURN_WORK_MIN), "{turns}");
}

#[test]
fn pages_of_a_scan_have_as_many_stocks_as_asked_for_and_a_small_catalog_is_one() {
    let mut small = Client::resp(&listed(8));
    let _ = small.receive(b"SCAN 0\r\n");
    assert!(small.replied().starts_with("*2\r\n$1\r\n0\r\n*10\r\n"));

    let mut client = Client::resp(&listed(500));
    let (mut cursor, mut pages, mut found) = ("0".to_owned(), 0, 0);
    loop {
        let _ = client.receive(format!("SCAN {cursor} COUNT 50\r\n").as_bytes());
        let reply = client.replied();
        let mut lines = reply.lines();
        cursor = lines.nth(2).unwrap().to_owned();
        let count: usize = lines.next().unwrap()[1..].parse().unwrap();
        assert!(count >= 50 || cursor == "0", "a page of {count}");
        assert!(count <= 200, "a page of {count}");
        (pages, found) = (pages + 1, found + count);
        if cursor == "0" {
            break;
        }
    }
    assert!((3..=11).contains(&pages), "{pages}");
    assert_eq!(found, 502);
}

#[test]
fn descriptions_of_commands_are_made_in_turns() {
    let packet = "COMMAND DOCS\n".repeat(READ_BYTES_MAX / 13);
    let mut client = Client::resp(&listed(0));
    assert_eq!(client.receive(packet.as_bytes()), Waits::Turn);
    // A unit is worth 64 bytes, and the longest of them, with its subcommands, has 7 KB.
    let most = |work: usize| work * 64 + 7000;
    assert!(client.out.len() <= most(TURN_WORK), "{} bytes", client.out.len());
    for _ in 0..100 {
        assert!(client.resume(MIN) <= most(TURN_WORK_MIN));
    }

    for command in ["COMMAND", "COMMAND DOCS", "COMMAND DOCS get client nope", "COMMAND INFO x get"]
    {
        let mut whole = Client::resp(&listed(0));
        whole.work = Budget::new(usize::MAX);
        assert_eq!(whole.receive(format!("{command}\r\n").as_bytes()), Waits::Input);
        let mut client = Client::resp(&listed(0));
        client.work = MIN;
        let _ = client.receive(format!("{command}\r\n").as_bytes());
        client.finish(MIN);
        assert_eq!(client.replied(), whole.replied(), "{command}");
    }
}

#[test]
fn a_list_of_thousands_of_clients_is_made_in_turns() {
    const CLIENTS: usize = 3000;
    let mut client = Client::resp(&listed(0));
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    for _ in 1..CLIENTS {
        client.server.clients.enter(peer.into(), Protocol::Resp, Instant::now(), None);
    }
    client.work = MIN;
    assert_eq!(client.receive(b"CLIENT LIST\r\nPING\r\n"), Waits::Turn);
    let mut most = Held::default();
    let mut turns = 1;
    while client.session.is_held_back() {
        let made = client.resume(MIN);
        assert!(made <= 64 * TURN_WORK_MIN + 100, "{made} bytes in a turn");
        let mut held = Held::default();
        client.session.add_held(&mut held);
        most.walks = most.walks.max(held.walks);
        turns += 1;
    }
    assert!(turns > CLIENTS / 8, "{turns}");
    let replied = client.replied();
    assert_eq!(replied.matches("id=").count(), CLIENTS);
    let (head, text) = replied.split_once("\r\n").unwrap();
    assert!(text.ends_with("\n\r\n+PONG\r\n"));
    assert_eq!(head, format!("${}", text.len() - "\r\n+PONG\r\n".len()));
    // What is being made is counted, and given back.
    assert!((text.len()..3 * text.len()).contains(&most.walks), "{most:?}");
    let mut held = Held::default();
    client.session.add_held(&mut held);
    assert_eq!(held, Held::default());
}

#[test]
fn all_subscriptions_end_in_turns() {
    const SUBSCRIPTIONS: usize = 16 * 1024;
    let mut client = Client::resp(&listed(0));
    client.work = Budget::new(usize::MAX);
    for block in 0..SUBSCRIPTIONS / 64 {
        let mut command = "SUBSCRIBE".to_owned();
        for symbol in 0..64 {
            write!(command, " S{}", 64 * block + symbol).unwrap();
        }
        assert_eq!(client.receive(format!("{command}\n").as_bytes()), Waits::Input);
    }
    client.replied();
    client.work = Budget::new(TURN_WORK);
    assert_eq!(client.receive(b"UNSUBSCRIBE\nPING\n"), Waits::Turn);
    let mut ended = 0;
    loop {
        let confirmed = client.replied().matches("unsubscribe").count();
        assert!(confirmed <= TURN_WORK / 16, "{confirmed} in a turn");
        ended += confirmed;
        if !client.session.is_held_back() {
            break;
        }
        client.resume(Budget::new(TURN_WORK));
        assert!(client.out.len() < 64 * TURN_WORK / 16);
    }
    assert_eq!(ended, SUBSCRIPTIONS);
    assert_eq!(client.feed.len(ConnectionId::new(0, 1).into()), 0);
    // It has left the commands of a subscribed client behind.
    assert_eq!(client.receive(b"GET AAPL\n"), Waits::Input);
    assert_eq!(client.replied(), "$5\r\n172.5\r\n");
}

#[test]
fn every_command_is_charged() {
    // Each of these once filled a packet that was answered in one turn.
    for command in [
        "SET AAPL 1",
        "INFO",
        "TIME",
        "PING",
        "x",
        "CONFIG GET *",
        "PSUBSCRIBE x\nPUNSUBSCRIBE x",
        "SUBSCRIBE x\nUNSUBSCRIBE",
        "HELLO 3",
        "RESET",
        "SNAPSHOT",
        "DBSIZE",
    ] {
        let packet = format!("{command}\n").repeat(1000);
        let mut client = Client::resp(&listed(0));
        client.work = MIN;
        assert_eq!(client.receive(packet.as_bytes()), Waits::Turn, "{command}");
        let turns = client.finish(MIN);
        assert!(turns >= 1000 / (TURN_WORK_MIN / 2) - 1, "{command}: {turns}");
        // One that is fresh goes on at once.
        assert_eq!(client.receive(b"RESET\nPING\n"), Waits::Input, "{command}");
        assert!(client.replied().ends_with("+RESET\r\n+PONG\r\n"), "{command}");
    }
}

/// A disk that keeps nothing and is always done.
#[derive(Debug)]
struct NoDisk;

impl Store for NoDisk {
    fn commit(&mut self, _: &[StoreWrite], _: u64) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn requests_are_handed_to_the_committer_in_turns() {
    let engine = Engine::durable(Catalog::new(), 0, Box::new(NoDisk), Sync::Always);
    let mut client = Client::resp(&Arc::new(engine));
    client.work = MIN;
    let line = format!("DEL{}\r\nGET AAPL\r\nPING\r\n", " A".repeat(1000));
    assert_eq!(client.receive(line.as_bytes()), Waits::Turn);
    let mut turns = 1;
    while client.session.is_held_back() || client.session.awaits_commit() {
        if client.session.is_held_back() && !client.session.is_held_for_commit() {
            client.resume(MIN);
            turns += 1;
            continue;
        }
        let writer = client.writer.as_mut().unwrap();
        writer.flush();
        for (_, reply) in writer.take(Vec::new()) {
            client.session.committed(&reply, &mut client.out);
        }
        if client.session.awaits_commit() {
            thread::park_timeout(std::time::Duration::from_millis(1));
        }
    }
    assert!(turns >= 1000 / TURN_WORK_MIN, "{turns}");
    assert_eq!(client.replied(), ":0\r\n$5\r\n172.5\r\n+PONG\r\n");
}

#[test]
fn where_memory_is_scarce_what_takes_some_is_refused_and_lookups_go_on() {
    const MAX: usize = 1 << 20;
    let mut client = Client::of(&listed(100), Protocol::Resp, MAX);
    let cells = Cells::default();
    let mut others = Ledger::default();
    others.count_subscriptions(MAX);
    others.tell(&client.server.memory, &cells);
    for command in ["KEYS *", "CLIENT LIST", "SUBSCRIBE AAPL", "PSUBSCRIBE A*", "SNAPSHOT"] {
        assert_eq!(client.receive(format!("{command}\n").as_bytes()), Waits::Input);
        let replied = client.replied();
        assert!(replied.starts_with("-OOM ") && replied.contains("memory_max"), "{replied}");
        assert_eq!(client.receive(b"GET AAPL\nPING\n"), Waits::Input);
        assert_eq!(client.replied(), "$5\r\n172.5\r\n+PONG\r\n");
    }
    assert_eq!(client.cells.refused_memory.get(), 5);
    assert_eq!(client.feed.len(ConnectionId::new(0, 1).into()), 0);

    others.count_subscriptions(0);
    others.tell(&client.server.memory, &cells);
    assert_eq!(client.receive(b"KEYS S99\n"), Waits::Turn);
    client.finish(Budget::new(TURN_WORK));
    assert_eq!(client.replied(), "*1\r\n$3\r\nS99\r\n");
}
