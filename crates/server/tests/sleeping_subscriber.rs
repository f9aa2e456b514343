//! A subscriber that does not read for a while beside a fast writer, and then reads on: it gets fewer
//! and newer quotes, not the past. What it missed must not wait for it in the system's buffers.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use stockd_engine::{Access, Engine, Executor};
use stockd_model::{Address, Fields, Request};
use stockd_server::{Config, Endpoint, Protocol, Server, Transport};
use stockd_tls::ClientTls;

/// What a subscriber may have to read before the latest quote.
const BYTES_MAX: usize = 300_000;
const MESSAGES_MAX: usize = 2_000;

/// A socket of the system that holds more messages than this has no bound.
const UPDATES_MAX: u64 = 200_000;

/// Updates in a row of which no message is made, until it is clear that there is no room.
const UPDATES_WITHOUT_ROOM: u32 = 20;

/// How long a message may take to be made where there is room.
const MESSAGE_TIME: Duration = Duration::from_millis(20);

/// How long a lost message leaves the reader waiting before the test fails.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn over_tcp_it_reads_little_before_the_latest_quote() {
    reads_little_before_the_latest(([127, 0, 0, 1], 0).into(), false);
}

#[test]
fn over_tls_it_reads_little_before_the_latest_quote() {
    reads_little_before_the_latest(([127, 0, 0, 1], 0).into(), true);
}

#[test]
fn over_a_unix_socket_it_reads_little_before_the_latest_quote() {
    let directory = tempfile::tempdir().unwrap();
    let path = format!("unix:{}/resp", directory.path().display());
    reads_little_before_the_latest(path.parse().unwrap(), false);
}

fn reads_little_before_the_latest(address: Address, over_tls: bool) {
    let engine = Arc::new(Engine::default());
    let mut executor = engine.executor();
    set(&mut executor, 1);
    let directory = tempfile::tempdir().unwrap();
    let mut endpoint = Endpoint::plain(Protocol::Resp, address);
    let trust = over_tls.then(|| encrypt(&mut endpoint, directory.path()));
    let config = Config { endpoints: vec![endpoint], workers: 1, ..Config::default() };
    let server = Server::start(config, Arc::clone(&engine)).unwrap();
    let socket = connect(&server.endpoints()[0].address);
    let mut subscriber: Box<dyn Stream> = match trust {
        None => Box::new(socket),
        Some(tls) => {
            let name = "localhost".try_into().unwrap();
            let connection = rustls::ClientConnection::new(tls.config(), name).unwrap();
            Box::new(rustls::StreamOwned::new(connection, socket))
        }
    };
    subscriber.write_all(b"SUBSCRIBE AAPL\r\n").unwrap();
    let mut text = String::new();
    read_until(&mut *subscriber, &mut text, "\"version\":1,");

    // It sleeps, and every message for which there is room anywhere is made.
    let mut version = 1;
    let mut without_room = 0;
    while without_room < UPDATES_WITHOUT_ROOM {
        let before = server.metrics().messages;
        version += 1;
        set(&mut executor, version);
        let until = Instant::now() + MESSAGE_TIME;
        while server.metrics().messages == before && Instant::now() < until {
            std::thread::yield_now();
        }
        without_room = if server.metrics().messages == before { without_room + 1 } else { 0 };
        assert!(version < UPDATES_MAX, "there is always room");
    }
    let latest = format!("\"version\":{version},");
    text.clear();
    read_until(&mut *subscriber, &mut text, &latest);

    let messages = text.matches("\"version\":").count();
    assert!(text.len() <= BYTES_MAX, "{} bytes before the latest", text.len());
    assert!(messages <= MESSAGES_MAX, "{messages} messages before the latest");
    server.shutdown();
}

/// What is read and written, encrypted or not.
trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// Has an endpoint speak TLS. Returns whom its clients are to believe.
fn encrypt(endpoint: &mut Endpoint, directory: &Path) -> ClientTls {
    let (server, client) = stockd_tls::development::pair(directory).unwrap();
    endpoint.transport = Transport::Tls(Arc::new(server));
    client
}

fn set(executor: &mut Executor, units: u64) {
    let price = Some(format!("{units}").parse().unwrap());
    let fields = Fields { price: price.into(), ..Fields::default() };
    executor.batch(&Access::All).execute(&Request::Set("AAPL".parse().unwrap(), fields));
}

fn connect(address: &Address) -> Socket {
    let socket = match address {
        Address::Tcp(address) | Address::Tls { address, .. } => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None).unwrap();
            // As the client library does: what waits on this side is old, too.
            socket.set_recv_buffer_size(32 * 1024).unwrap();
            socket.connect(&(*address).into()).unwrap();
            socket
        }
        Address::Unix(path) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.connect(&socket2::SockAddr::unix(&**path).unwrap()).unwrap();
            socket
        }
    };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn read_until(socket: &mut dyn Stream, text: &mut String, end: &str) {
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        let bytes = match socket.read(&mut buffer) {
            Ok(0) => panic!("the connection ended before {end}"),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => panic!("{end} did not come: {error}"),
        };
        text.push_str(std::str::from_utf8(&buffer[..bytes]).unwrap());
    }
}
