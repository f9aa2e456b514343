//! How many instructions the hot paths take. 10 thousand stocks are listed.
//!
//! `cargo xtask instructions` runs each case under valgrind, where [`measured`] alone is counted, and
//! compares with the record in docs/benchmarks/instructions.json: the same number in every run,
//! whatever else the machine is doing. By hand, one case:
//!
//! ```console
//! $ cargo bench -p stockd-server --bench instructions --no-run
//! $ valgrind --tool=callgrind --toggle-collect='*instructions::measured*' BENCH 'turn of 16 lines'
//! ```
//!
//! Without a case it lists them. A turn is what a worker does between one read and one write: a view
//! of the catalog, decode, look up, encode, count. What is done once in a process or a connection is
//! not counted.

use std::hint::black_box;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use rustls::ClientConnection;
use stockd_access::{AccessFile, Authority, Token};
use stockd_catalog::{Catalog, Options};
use stockd_engine::{Access, Engine, SubscriberId, Sync};
use stockd_model::{Edit, Fields, Pattern, Reply, Request, Symbol, Volume};
use stockd_server::{Protocol, Unplugged, UnpluggedTls};
use stockd_store::{Store, StoreError, Write};
use stockd_tls::development;

const STOCKS: usize = 10_000;

fn engine() -> Arc<Engine> {
    let options = Options {
        // With this one probes are about as long as with others in the mean.
        hash_seed: Some(1),
        ..Options::default()
    };
    let engine = Arc::new(Engine::new(Catalog::with_options(options)));
    let mut executor = engine.executor();
    let mut batch = executor.batch(&Access::All);
    for stock in 0..STOCKS {
        let symbol: Symbol = format!("S{stock}").parse().expect("a symbol");
        let fields = Fields {
            price: "172.5".parse().expect("a price"),
            volume: Edit::Set(Volume::new(100)),
            ..Fields::default()
        };
        batch.execute(&Request::Set(symbol, fields));
    }
    engine
}

/// Symbols from all over the catalog, of five letters.
fn symbols(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|index| format!("S{}", 1000 + index * 4711 % 9000))
}

fn lines(count: usize) {
    let input: String = symbols(count).map(|symbol| symbol + "\n").collect();
    turn(Protocol::Line, &input, "172.5\n", count);
}

fn gets(count: usize) {
    let get = |symbol| format!("*2\r\n$3\r\nGET\r\n$5\r\n{symbol}\r\n");
    let input: String = symbols(count).map(get).collect();
    turn(Protocol::Resp, &input, "$5\r\n172.5\r\n", count);
}

/// The same of a client that may read some stocks, as most do: those with a short prefix.
fn gets_with_rights(count: usize) {
    let get = |symbol| format!("*2\r\n$3\r\nGET\r\n$5\r\n{symbol}\r\n");
    let input: String = symbols(count).map(get).collect();
    let token = Token::new([1; 32]);
    let file =
        format!("[[user]]\nname = \"u\"\ntokens = [\"{}\"]\nread = [\"S*\"]\n", token.hash());
    let file = AccessFile::parse(&file).expect("an access file");
    let authority = Arc::new(Authority::new(file));
    let identity = authority.by_token(None, token.as_str().as_bytes()).expect("a user");
    let session = Unplugged::identified(Protocol::Resp, &engine(), authority, identity);
    measure_turn(session, &input, "$5\r\n172.5\r\n", count);
}

/// The same over TLS 1.3, in one record: it is opened, and the replies are sealed in another one.
fn gets_over_tls(count: usize) {
    let get = |symbol| format!("*2\r\n$3\r\nGET\r\n$5\r\n{symbol}\r\n");
    let input: String = symbols(count).map(get).collect();
    let directory = tempfile::tempdir().expect("a directory");
    let (server, client) = development::pair(directory.path()).expect("certificates");
    let session = Unplugged::new(Protocol::Resp, &engine());
    let mut session = UnpluggedTls::new(session, &server).expect("a session");
    let name = "localhost".try_into().expect("a name");
    let mut client = ClientConnection::new(client.config(), name).expect("a client");
    let record = |client: &mut ClientConnection| {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).expect("a vector takes everything");
        }
        bytes
    };
    while client.is_handshaking() || client.wants_write() {
        let flight = record(&mut client);
        let mut answer = session.turn(&flight).expect("a handshake");
        while !answer.is_empty() {
            client.read_tls(&mut answer).expect("a slice gives everything");
            client.process_new_packets().expect("a handshake");
        }
    }
    // The first turn is not like those that follow it.
    let mut records = [(); 2].map(|()| {
        client.writer().write_all(input.as_bytes()).expect("room for it");
        record(&mut client)
    });
    assert!(!session.turn(&records[0]).expect("a record").is_empty());
    let input = &mut records[1];
    measured(&mut || {
        black_box(session.turn(black_box(input)).expect("a record"));
    });
}

fn mget(count: usize) {
    let command = ["MGET".to_owned()].into_iter().chain(symbols(count));
    turn(Protocol::Resp, &encoded(command), "$5\r\n172.5\r\n", count);
}

fn update() {
    let command = ["HSET", "S4711", "price", "173.25", "volume", "90"];
    turn(Protocol::Resp, &encoded(command.map(str::to_owned)), ":0\r\n", 1);
}

/// A whole quote.
fn hgetall() {
    let command = encoded(["HGETALL".to_owned(), "S4711".to_owned()]);
    turn(Protocol::Resp, &command, "\r\n", 1);
}

/// Whole quotes of many stocks.
fn hmgetall(count: usize) {
    let command = ["HMGETALL".to_owned()].into_iter().chain(symbols(count));
    turn(Protocol::Resp, &encoded(command), "\r\n", 1);
}

/// All fields that are set, of many stocks.
fn hgetrows(count: usize) {
    let fields = ["symbol", "price", "volume", "status", "version", "updated"];
    let head = ["HGETROWS".to_owned(), fields.len().to_string()];
    let command = head.into_iter().chain(fields.map(str::to_owned)).chain(symbols(count));
    turn(Protocol::Resp, &encoded(command), "\r\n", 1);
}

fn hsetrows(count: usize) {
    let head = ["HSETROWS", "2", "price", "volume"].map(str::to_owned);
    let row = |symbol| [symbol, "173.25".to_owned(), "90".to_owned()];
    let command = head.into_iter().chain(symbols(count).flat_map(row));
    turn(Protocol::Resp, &encoded(command), &format!(":{count}\r\n"), 1);
}

/// A command as clients send it.
fn encoded(parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<String> = parts.into_iter().collect();
    let frames = parts.iter().map(|part| format!("${}\r\n{part}\r\n", part.len()));
    format!("*{}\r\n{}", parts.len(), frames.collect::<String>())
}

/// A write while 5,000 patterns of other stocks are subscribed to.
fn update_beside_patterns() {
    const PATTERNS: usize = 5000;
    let engine = engine();
    let woken = Arc::new(AtomicBool::new(false));
    let wake = Arc::clone(&woken);
    let mut feed = engine.feed(move || wake.store(true, Relaxed));
    for number in 0..PATTERNS {
        let pattern = Pattern::new(format!("BRK{number}*").as_bytes());
        let subscribed =
            feed.subscribe_pattern(SubscriberId(number as u64), &Access::All, &pattern);
        assert_eq!(subscribed, Ok(1));
    }
    let mut executor = engine.executor();
    let fields = Fields { price: "173.25".parse().expect("a price"), ..Fields::default() };
    let request = Request::Set(Symbol::parse(b"S4711").expect("a symbol"), fields);
    assert!(matches!(executor.batch(&Access::All).execute(&request), Reply::Updated(_)));
    measured(&mut || {
        black_box(executor.batch(&Access::All).execute(black_box(&request)));
    });
    assert!(!woken.load(Relaxed), "nobody wants this stock");
}

/// Measures a turn of a connection that has had one like it.
fn turn(protocol: Protocol, input: &str, reply: &str, replies: usize) {
    measure_turn(Unplugged::new(protocol, &engine()), input, reply, replies);
}

fn measure_turn(mut session: Unplugged, input: &str, reply: &str, replies: usize) {
    let replied = session.turn(input.as_bytes());
    assert!(replied.ends_with(reply.repeat(replies).as_bytes()), "{}", replied.escape_ascii());
    measured(&mut || {
        black_box(session.turn(black_box(input.as_bytes())));
    });
}

/// `DEL` of as many names as fit on one line, typed and not sent as an array, where every one of
/// them waits for the disk.
fn parked_inline_del() {
    let engine = Engine::durable(Catalog::new(), 0, Box::new(NoDisk), Sync::Always);
    let mut session = Unplugged::new(Protocol::Resp, &Arc::new(engine));
    let input = format!("DEL{}\r\n", " A".repeat(32_000));
    assert_eq!(session.turn_until_committed(input.as_bytes()), b":0\r\n");
    measured(&mut || {
        black_box(session.turn_until_committed(black_box(input.as_bytes())));
    });
}

/// A disk that keeps nothing and is always done.
#[derive(Debug)]
struct NoDisk;

impl Store for NoDisk {
    fn commit(&mut self, _: &[Write], _: u64) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A lookup through the engine alone, of the whole quote.
fn lookup() {
    let mut executor = engine().executor();
    let request = Request::Lookup(Symbol::parse(b"S4711"));
    assert!(matches!(executor.batch(&Access::All).execute(&request), Reply::Found(_)));
    measured(&mut || {
        black_box(executor.batch(&Access::All).execute(black_box(&request)));
    });
}

/// What is counted: neither what comes before nor what comes after.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

const CASES: &[(&str, fn())] = &[
    ("turn of 1 line", || lines(1)),
    ("turn of 16 lines", || lines(16)),
    ("turn of 1 GET", || gets(1)),
    ("turn of 16 GET", || gets(16)),
    ("turn of 16 GET with rights", || gets_with_rights(16)),
    ("turn of 1 GET over TLS", || gets_over_tls(1)),
    ("turn of 16 GET over TLS", || gets_over_tls(16)),
    ("turn of an MGET of 100", || mget(100)),
    ("turn of an HSET", update),
    ("turn of an HGETALL", hgetall),
    ("turn of an HMGETALL of 100", || hmgetall(100)),
    ("turn of an HGETROWS of 100", || hgetrows(100)),
    ("turn of an HSETROWS of 100", || hsetrows(100)),
    ("turn of a parked inline DEL of 32,000", parked_inline_del),
    ("engine alone: one quote", lookup),
    ("a write beside 5,000 patterns", update_beside_patterns),
];

fn main() -> ExitCode {
    // Cargo adds an argument of its own.
    let Some(asked) = std::env::args().skip(1).find(|argument| argument != "--bench") else {
        for (name, _) in CASES {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    match CASES.iter().find(|(name, _)| *name == asked) {
        Some((_, case)) => {
            case();
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("instructions: there is no case '{asked}'");
            ExitCode::from(2)
        }
    }
}
