//! Lookups take no memory: a turn of a connection that has had one like it allocates nothing,
//! whatever the protocol, and whether the names are listed or not. A command over many stocks takes
//! memory in proportion to its bytes.

use std::sync::Arc;

use stockd_engine::{Access, Catalog, Engine, Sync};
use stockd_model::{Edit, Fields, Request, Volume};
use stockd_server::{Protocol, Unplugged};
use stockd_store::{Store, StoreError, Write};

/// Names of the turns: listed, halted for want of volume, not listed, and impossible.
const NAMES: [&str; 4] = ["AAPL", "SOLD", "NOPE", "\u{1}"];

fn engine() -> Arc<Engine> {
    let engine = Arc::new(Engine::default());
    for (name, volume) in [("AAPL", 100), ("SOLD", 0)] {
        let price = "743500.0005".parse().ok();
        let fields = Fields {
            price: price.into(),
            volume: Edit::Set(Volume::new(volume)),
            ..Fields::default()
        };
        engine.executor().batch(&Access::All).execute(&Request::Set(name.parse().unwrap(), fields));
    }
    engine
}

fn part(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// Allocations of a turn that is like one before.
fn allocations(protocol: Protocol, input: &str) -> u64 {
    let mut session = Unplugged::new(protocol, &engine());
    let replies = session.turn(input.as_bytes()).to_vec();
    let counted = allocation_counter::measure(|| {
        assert_eq!(session.turn(input.as_bytes()), replies);
    });
    counted.count_total
}

#[test]
fn a_turn_of_lines_allocates_nothing() {
    let one = format!("{}\n", NAMES[0]);
    let many = NAMES.map(|name| format!("{name}\r\n")).concat().repeat(40);
    assert_eq!(allocations(Protocol::Line, &one), 0);
    assert_eq!(allocations(Protocol::Line, &many), 0);
}

#[test]
fn a_turn_of_get_allocates_nothing() {
    let get = |name| format!("*2\r\n{}{}", part("GET"), part(name));
    assert_eq!(allocations(Protocol::Resp, &get(NAMES[0])), 0);
    assert_eq!(allocations(Protocol::Resp, &NAMES.map(get).concat().repeat(40)), 0);
}

#[test]
fn a_turn_of_mget_allocates_nothing() {
    let parts = NAMES.map(part).concat().repeat(100);
    let mget = format!("*{}\r\n{}{parts}", 1 + 100 * NAMES.len(), part("MGET"));
    assert_eq!(allocations(Protocol::Resp, &mget), 0);
}

/// The count counts: what keeps text of a client does allocate.
#[test]
fn a_turn_that_keeps_something_allocates() {
    let first = format!("*3\r\n{}{}{}", part("CLIENT"), part("SETNAME"), part("a-name"));
    let mut session = Unplugged::new(Protocol::Resp, &engine());
    let counted = allocation_counter::measure(|| {
        session.turn(first.as_bytes());
    });
    assert!(counted.count_total > 0);
}

/// A disk that keeps nothing and is always done.
#[derive(Debug)]
struct NoDisk;

impl Store for NoDisk {
    fn commit(&mut self, _: &[Write], _: u64) -> Result<(), StoreError> {
        Ok(())
    }
}

/// One line of 64 KB once stalled a worker of a durable server: the whole line was copied for each
/// of its names, 32,000 times.
#[test]
fn a_parked_inline_command_of_many_names_is_answered_and_not_copied_for_each() {
    const NAMES: usize = 32_000;
    let engine = Engine::durable(Catalog::new(), 0, Box::new(NoDisk), Sync::Always);
    let mut session = Unplugged::new(Protocol::Resp, &Arc::new(engine));
    for name in ["A", "B"] {
        assert_eq!(
            session.turn_until_committed(format!("HSET {name} price 1\r\n").as_bytes()),
            b":1\r\n"
        );
    }
    // Lookups behind it wait for it, and what is no request to the engine waits for both.
    let line = format!("DEL B{}\r\nGET A\r\nPING\r\n", " A".repeat(NAMES - 1));
    let counted = allocation_counter::measure(|| {
        assert_eq!(session.turn_until_committed(line.as_bytes()), b":2\r\n$-1\r\n+PONG\r\n");
    });
    // What waits for the disk and comes back takes a few hundred bytes a name.
    assert!(counted.bytes_total < 1000 * NAMES as u64, "{} bytes", counted.bytes_total);
}
