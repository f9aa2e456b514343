//! Clients of Redis, unmodified, against the real server: redis-cli, redis-benchmark, redis-py,
//! node-redis, ioredis and the `redis` crate.
//!
//! What is not on the machine is installed: Debian packages by apt-get where that is possible,
//! Python and Node packages, in pinned versions, below the build directory. Where something cannot
//! be had, the test says so and passes; in CI it fails.

mod differential;
mod monitors;
mod packages;
mod programs;
#[path = "../quotes/server.rs"]
#[allow(dead_code, reason = "shared with the tests of the commands")]
mod server;
mod tls;
mod tokens;
mod transactions;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use packages::Packages;
use server::{PATIENCE, Server, run};
use tempfile::TempDir;

const PYTHON_PACKAGES: &[&str] = &["redis==8.1.0", "valkey-glide==2.6.0"];
const NODE_PACKAGES: &[&str] = &["redis@6.3.1", "ioredis@6.0.0", "redis-commander@0.9.0"];

/// A server with two stocks that trade, one that is sold out and one that is halted.
fn market() -> Server {
    filled(Server::start())
}

/// The same over a Unix socket, in a directory that lasts as long.
fn unix_market() -> (Server, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("unix:{}/resp.sock", directory.path().display());
    (filled(Server::start_on(&address)), directory)
}

fn filled(server: Server) -> Server {
    for (symbol, more) in [
        ("AAPL", vec!["--price", "172.50", "--volume", "1000"]),
        ("BRK/A", vec!["--price", "743500.00", "--volume", "12"]),
        ("SOLD", vec!["--price", "8.25", "--volume", "0"]),
        ("HALT", vec!["--price", "3", "--volume", "5", "--status", "halted"]),
    ] {
        server.out(&[vec!["set", symbol], more].concat());
    }
    server
}

/// Where the server is, in the words of the tools of Redis.
fn place(server: &Server) -> [&str; 2] {
    match server.resp.strip_prefix("unix:") {
        Some(path) => ["-s", path],
        None => ["-p", server.resp.rsplit(':').next().unwrap()],
    }
}

/// What redis-cli prints for these arguments.
fn redis_cli(server: &Server, args: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    command.args(place(server)).args(args);
    let (code, out, err) = run(command);
    assert_eq!((code, err.as_str()), (Some(0), ""), "redis-cli {args:?}: {out}");
    out
}

/// What a program prints that is given this input, within bounds of time.
fn fed(mut command: Command, input: String) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let (sender, ended) = std::sync::mpsc::channel::<()>();
    let id = child.id().to_string();
    let watchdog = thread::spawn(move || {
        if ended.recv_timeout(PATIENCE).is_err_and(|error| error == timeout()) {
            let _ = Command::new("kill").arg(id).status();
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(sender);
    watchdog.join().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}: {:?}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn timeout() -> std::sync::mpsc::RecvTimeoutError {
    std::sync::mpsc::RecvTimeoutError::Timeout
}

#[test]
fn redis_cli_asks_lists_trades_and_browses() {
    if !packages::have("redis-cli", "redis-tools") {
        return;
    }
    let server = market();
    assert_eq!(redis_cli(&server, &["PING"]), "PONG\n");
    assert_eq!(redis_cli(&server, &["MGET", "AAPL", "SOLD", "HALT", "NOPE"]), "172.5\n0\n0\n\n");
    assert_eq!(redis_cli(&server, &["HSET", "NEW", "price", "0.0005", "volume", "7"]), "2\n");
    assert_eq!(redis_cli(&server, &["HINCRBY", "NEW", "volume", "-5"]), "2\n");
    assert_eq!(
        redis_cli(&server, &["HINCRBY", "NEW", "volume", "-3"]),
        "ERR volume of 'NEW' is 2, cannot take 3\n\n"
    );
    assert_eq!(redis_cli(&server, &["-3", "HGET", "BRK/A", "price"]), "743500\n");
    assert_eq!(redis_cli(&server, &["--scan", "--pattern", "BRK*"]), "BRK/A\n");
    assert_eq!(redis_cli(&server, &["DEL", "NEW", "NOPE"]), "1\n");
    assert_eq!(redis_cli(&server, &["DBSIZE"]), "4\n");
}

#[test]
fn redis_cli_and_redis_benchmark_work_over_a_unix_socket() {
    if !packages::have("redis-cli", "redis-tools") {
        return;
    }
    let (server, _directory) = unix_market();
    assert_eq!(redis_cli(&server, &["MGET", "AAPL", "SOLD", "NOPE"]), "172.5\n0\n\n");
    let listed = redis_cli(&server, &["CLIENT", "LIST"]);
    let path = server.resp.trim_start_matches("unix:");
    assert!(listed.contains(&format!(" addr={path}:0 ")), "{listed}");
    let mut command = Command::new("redis-benchmark");
    command.args(place(&server)).args(["-n", "20000", "--csv", "-P", "16", "-t", "get"]);
    let (code, out, err) = run(command);
    assert_eq!(code, Some(0), "{out}{err}");
}

#[test]
fn redis_cli_takes_commands_one_after_another() {
    if !packages::have("redis-cli", "redis-tools") {
        return;
    }
    let server = market();
    let mut command = Command::new("redis-cli");
    command.args(place(&server));
    let commands = "GET AAPL\nSET AAPL 173.25\nGET AAPL\nHGET AAPL version\nFOO bar\n";
    assert_eq!(
        fed(command, commands.to_owned()),
        "172.5\nOK\n173.25\n2\nERR unknown command 'FOO', with args beginning with: 'bar'\n\n"
    );
}

#[test]
fn redis_cli_pipes_ten_thousand_stocks_in() {
    if !packages::have("redis-cli", "redis-tools") {
        return;
    }
    let server = Server::start();
    let mut command = Command::new("redis-cli");
    command.args(place(&server)).arg("--pipe");
    let part = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let commands = (1..=10_000).map(|stock| {
        let (symbol, price) = (format!("S{stock}"), format!("{stock}.25"));
        let parts = ["HSET", &symbol, "price", &price, "volume", "1"];
        format!("*6\r\n{}", parts.map(part).concat())
    });
    let out = fed(command, commands.collect());
    assert!(out.contains("errors: 0, replies: 10000"), "{out}");
    assert_eq!(redis_cli(&server, &["MGET", "S1", "S10000"]), "1.25\n10000.25\n");
    assert_eq!(redis_cli(&server, &["DBSIZE"]), "10000\n");
}

/// The tests that redis-benchmark makes by default, and what is asked in their place where a stock has no
/// such thing as they write; nothing for those of types that no stock is of.
const BENCHMARKS: &[(&str, Option<&str>)] = &[
    ("ping_inline", None),
    ("ping_mbulk", None),
    ("get", None),
    ("set", Some("SET AAPL 172.5")),
    ("hset", Some("HSET AAPL price 172.5 volume 1000")),
    ("mset", Some("MSET AAPL 1 HALT 2 SOLD 3 BRK/A 4")),
    ("incr", Some("HINCRBY AAPL volume 1")),
    ("lpush", Some("")),
    ("rpush", Some("")),
    ("lpop", Some("")),
    ("rpop", Some("")),
    ("sadd", Some("")),
    ("spop", Some("")),
    ("zadd", Some("")),
    ("zpopmin", Some("")),
    ("lrange", Some("")),
];

#[test]
fn redis_benchmark_runs() {
    if !packages::have("redis-benchmark", "redis-tools") {
        return;
    }
    let server = market();
    let measure = |asked: &[&str], tests: usize| {
        let mut command = Command::new("redis-benchmark");
        command.args(place(&server)).args(["-n", "5000", "--csv"]).args(asked);
        let (code, out, err) = run(command);
        assert_eq!(code, Some(0), "{asked:?}: {out}{err}");
        assert_eq!(out.lines().count(), 1 + tests, "{asked:?}: {out}{err}");
        assert!(!format!("{out}{err}").contains("Error"), "{asked:?}: {out}{err}");
    };
    let same = BENCHMARKS.iter().filter(|(_, instead)| instead.is_none()).map(|(name, _)| *name);
    let same: Vec<_> = same.collect();
    measure(&["-t", &same.join(","), "-P", "16"], same.len());
    for instead in BENCHMARKS.iter().filter_map(|(_, instead)| *instead) {
        let words: Vec<_> = instead.split_whitespace().collect();
        if !words.is_empty() {
            measure(&words, 1);
        }
    }
    measure(&["-P", "4", "MGET", "AAPL", "NOPE", "SOLD"], 1);
}

#[test]
fn redis_py_does_all_that_stockd_does() {
    python_is_well("python.py");
}

#[test]
fn node_redis_and_ioredis_do_all_that_stockd_does() {
    node_is_well("node.mjs", include_str!("node.mjs"));
}

/// Plays a script of this directory over TCP and over a Unix socket.
pub(crate) fn python_is_well(script: &str) {
    let Some(packages) = Packages::python(PYTHON_PACKAGES) else {
        return;
    };
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis_clients");
    is_well(&packages, &Path::new(directory).join(script));
}

/// Plays a script over TCP and over a Unix socket.
pub(crate) fn node_is_well(name: &str, text: &str) {
    let Some(packages) = Packages::node(NODE_PACKAGES) else {
        return;
    };
    // Modules are looked for beside the script.
    let script = packages.directory.join(name);
    std::fs::write(&script, text).unwrap();
    is_well(&packages, &script);
}

fn is_well(packages: &Packages, script: &Path) {
    let (unix, _directory) = unix_market();
    for server in [market(), unix] {
        let mut command = Command::new(&packages.program);
        command.arg(script).args(place(&server));
        let (code, out, err) = run(command);
        assert_eq!((code, out.as_str()), (Some(0), "all is well\n"), "{err}");
    }
}

#[test]
fn the_redis_crate_does_all_that_stockd_does() {
    use redis::TypedCommands;
    let server = market();
    let client = redis::Client::open(format!("redis://{}/", server.resp)).unwrap();
    let mut connection = client.get_connection().unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(connection.get("AAPL").unwrap().as_deref(), Some("172.5"));
    assert_eq!(connection.get("NOPE").unwrap(), None);
    let fields = connection.hgetall("BRK/A").unwrap();
    assert_eq!((fields["price"].as_str(), fields["volume"].as_str()), ("743500", "12"));
    let traded: (i64, i64) = redis::pipe()
        .hincr("AAPL", "volume", -10)
        .hincr("AAPL", "volume", 4)
        .query(&mut connection)
        .unwrap();
    assert_eq!(traded, (990, 994));
    let refused = connection.hincr("BRK/A", "volume", -13).unwrap_err();
    assert_eq!(refused.detail(), Some("volume of 'BRK/A' is 12, cannot take 13"));

    let mut other = client.get_connection().unwrap();
    let mut subscriber = connection.as_pubsub();
    subscriber.subscribe("AAPL").unwrap();
    let payload = |message: redis::Msg| message.get_payload::<String>().unwrap();
    assert!(payload(subscriber.get_message().unwrap()).contains(r#""volume":"994""#));
    other.set("AAPL", "200.5").unwrap();
    assert!(payload(subscriber.get_message().unwrap()).contains(r#""price":"200.5""#));
}
