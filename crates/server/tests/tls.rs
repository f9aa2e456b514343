//! TLS on the sockets of a server: what comes over it means the same, and who breaks it disturbs no other.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};
use stockd_engine::{Access, Engine};
use stockd_model::{Fields, Request};
use stockd_server::{Config, Endpoint, Metrics, Protocol, Server, Transport};
use stockd_tls::development::Authority;
use stockd_tls::{ClientCertificates, ClientFiles, ClientTls, ServerFiles, ServerTls};
use tempfile::TempDir;

/// How long a lost reply keeps a test waiting before it fails.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server with a certificate of its own, for both protocols.
struct Stage {
    server: Option<Server>,
    engine: Arc<Engine>,
    tls: Arc<ServerTls>,
    authority: Authority,
    directory: TempDir,
}

type Client = BufReader<StreamOwned<ClientConnection, TcpStream>>;

impl Stage {
    fn open() -> Stage {
        Stage::with(ClientCertificates::Off, Config { workers: 2, ..Config::default() })
    }

    fn with(clients: ClientCertificates, config: Config) -> Stage {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::open(directory.path()).unwrap();
        let issued = authority.server(&["localhost"]).unwrap();
        let (certificate, key) = issued.write(directory.path(), "server").unwrap();
        let client_ca = Some(authority.certificate());
        let files = ServerFiles { certificate, key, client_ca, clients };
        let tls = Arc::new(ServerTls::load(files).unwrap());
        let engine = Arc::new(Engine::default());
        for (name, price) in [("AAPL", "172.50"), ("IBM", "159")] {
            let fields = Fields { price: price.parse().unwrap(), ..Fields::default() };
            let request = Request::Set(name.parse().unwrap(), fields);
            engine.executor().batch(&Access::All).execute(&request);
        }
        let endpoint = |protocol| Endpoint {
            transport: Transport::Tls(Arc::clone(&tls)),
            ..Endpoint::plain(protocol, SocketAddr::from(([127, 0, 0, 1], 0)))
        };
        let endpoints = vec![endpoint(Protocol::Line), endpoint(Protocol::Resp)];
        let server = Server::start(Config { endpoints, ..config }, Arc::clone(&engine)).unwrap();
        Stage { server: Some(server), engine, tls, authority, directory }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn socket(&self, protocol: Protocol) -> TcpStream {
        let endpoints = self.server().endpoints();
        let endpoint = endpoints.iter().find(|endpoint| endpoint.protocol == protocol).unwrap();
        let socket = TcpStream::connect(endpoint.address.tcp().unwrap()).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// What a client trusts, and what it shows.
    fn trust(&self, shown: Option<&str>) -> ClientTls {
        let mut files =
            ClientFiles { ca: Some(self.authority.certificate()), ..ClientFiles::default() };
        if let Some(name) = shown {
            let issued = self.authority.client(name).unwrap();
            let (certificate, key) = issued.write(self.directory.path(), name).unwrap();
            (files.certificate, files.key) = (Some(certificate), Some(key));
        }
        ClientTls::load(&files).unwrap()
    }

    fn client(&self, protocol: Protocol) -> Client {
        self.client_with(protocol, &self.trust(None))
    }

    fn client_with(&self, protocol: Protocol, tls: &ClientTls) -> Client {
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(tls.config(), name).unwrap();
        BufReader::new(StreamOwned::new(connection, self.socket(protocol)))
    }

    fn wait_until(&self, reached: impl Fn(&Metrics) -> bool) -> Metrics {
        let until = Instant::now() + PATIENCE;
        loop {
            let metrics = self.server().metrics();
            if reached(&metrics) {
                return metrics;
            }
            assert!(Instant::now() < until, "{metrics:?}");
            thread::yield_now();
        }
    }
}

fn ask(client: &mut Client, request: &[u8]) -> String {
    client.get_mut().write_all(request).unwrap();
    read_line(client)
}

fn read_line(client: &mut Client) -> String {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// What comes until the server ends the connection, whichever way it does.
fn read_to_end(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => bytes,
    }
}

#[test]
fn both_protocols_answer_and_the_end_of_either_side_is_said() {
    let stage = Stage::open();
    let mut line = stage.client(Protocol::Line);
    assert_eq!(ask(&mut line, b"AAPL\nXYZ\n"), "172.5");
    assert_eq!(read_line(&mut line), "-1");
    let mut resp = stage.client(Protocol::Resp);
    assert_eq!(ask(&mut resp, b"PING\r\n"), "+PONG");
    assert_eq!(ask(&mut resp, b"QUIT\r\n"), "+OK");
    // A connection that were cut would be an error here.
    assert_eq!(resp.read_to_end(&mut Vec::new()).unwrap(), 0);

    // A last name without its newline is a lookup, once the client has said that it sends no more.
    line.get_mut().write_all(b"IBM").unwrap();
    line.get_mut().conn.send_close_notify();
    line.get_mut().flush().unwrap();
    assert_eq!(read_line(&mut line), "159");
    assert_eq!(line.read_to_end(&mut Vec::new()).unwrap(), 0);
    stage.wait_until(|metrics| metrics.open == 0 && metrics.tls_handshakes == 2);
}

/// What had not come whole may have been longer.
#[test]
fn a_stream_that_is_cut_ends_without_an_answer_to_its_last_bytes() {
    let stage = Stage::open();
    let mut client = stage.client(Protocol::Line);
    assert_eq!(ask(&mut client, b"AAPL\n"), "172.5");
    client.get_mut().write_all(b"IBM").unwrap();
    let before = stage.engine.totals().lookups();
    client.get_ref().sock.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    let _ = client.get_mut().sock.read_to_end(&mut rest);
    stage.wait_until(|metrics| metrics.open == 0);
    assert_eq!(stage.engine.totals().lookups(), before);
}

#[test]
fn more_than_the_socket_takes_comes_in_order() {
    const ROUNDS: usize = 200;
    let stage = Stage::open();
    let mut client = stage.client(Protocol::Line);
    let names = ["AAPL\n", "XYZ\n", "IBM\n"].concat().repeat(1000);
    let mut writer = client.get_ref().sock.try_clone().unwrap();
    // All is written before anything is read.
    writer.set_write_timeout(Some(PATIENCE)).unwrap();
    let tls = client.get_mut();
    tls.conn.complete_io(&mut tls.sock).unwrap();
    tls.conn.set_buffer_limit(None);
    for _ in 0..ROUNDS {
        tls.conn.writer().write_all(names.as_bytes()).unwrap();
        while tls.conn.wants_write() {
            tls.conn.write_tls(&mut writer).unwrap();
        }
    }
    for _ in 0..ROUNDS * 1000 {
        for expected in ["172.5", "-1", "159"] {
            assert_eq!(read_line(&mut client), expected);
        }
    }
}

#[test]
fn who_speaks_no_tls_is_sent_away_and_nothing_is_executed() {
    let stage = Stage::open();
    let mut polite = stage.client(Protocol::Resp);
    for said in [
        &b"*1\r\n$4\r\nPING\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HSET AAPL price 1\r\n",
        // A record of a kind that does not exist, and one that is longer than any.
        &[99, 3, 3, 0, 1, 0],
        &[22, 3, 3, 0xff, 0xff],
        // A hello that is none.
        &[22, 3, 1, 0, 5, 1, 0, 0, 1, 0],
    ] {
        let mut socket = stage.socket(Protocol::Resp);
        socket.write_all(said).unwrap();
        let told = read_to_end(&mut socket);
        // An alert, if anything.
        assert!(told.is_empty() || told[0] == 21, "{told:?}");
    }
    assert_eq!(ask(&mut polite, b"HGET AAPL version\r\n"), "$1");
    assert_eq!(read_line(&mut polite), "1");
    stage.wait_until(|metrics| metrics.open == 1 && metrics.closed_tls_error == 6);
}

/// Clients that begin a handshake and leave it at that.
#[test]
fn a_handshake_that_does_not_end_is_ended_by_the_server() {
    let config =
        Config { workers: 1, request_timeout: Duration::from_millis(50), ..Config::default() };
    let stage = Stage::with(ClientCertificates::Off, config);
    let mut slow: Vec<_> = (0..20).map(|_| stage.socket(Protocol::Resp)).collect();
    for socket in &mut slow[10..] {
        socket.write_all(&[22, 3, 1, 0, 200, 1]).unwrap();
    }
    let mut polite = stage.client(Protocol::Resp);
    assert_eq!(ask(&mut polite, b"PING\r\n"), "+PONG");
    for mut socket in slow {
        assert!(read_to_end(&mut socket).is_empty());
    }
    stage.wait_until(|metrics| metrics.closed_handshake == 20);
    assert_eq!(ask(&mut polite, b"PING\r\n"), "+PONG");
}

/// A part of a record is half a request.
#[test]
fn half_a_record_is_not_awaited_for_ever() {
    let config =
        Config { workers: 1, request_timeout: Duration::from_millis(50), ..Config::default() };
    let stage = Stage::with(ClientCertificates::Off, config);
    let mut client = stage.client(Protocol::Resp);
    assert_eq!(ask(&mut client, b"PING\r\n"), "+PONG");
    client.get_mut().sock.write_all(&[23, 3, 3, 0, 100, 1, 2]).unwrap();
    assert!(read_line(&mut client).contains("the rest of the request did not come"));
    stage.wait_until(|metrics| metrics.closed_request_timeout == 1);
}

#[test]
fn a_client_without_the_certificate_that_is_required_is_sent_away() {
    let config = Config { workers: 1, ..Config::default() };
    let stage = Stage::with(ClientCertificates::Required, config);
    let mut known = stage.client_with(Protocol::Resp, &stage.trust(Some("desk-7")));
    assert_eq!(ask(&mut known, b"PING\r\n"), "+PONG");
    let mut unknown = stage.client(Protocol::Resp);
    let _ = unknown.get_mut().write_all(b"HSET AAPL price 1\r\n");
    let error = unknown.read_line(&mut String::new()).unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    // One of an authority that the server does not know.
    let others = tempfile::tempdir().unwrap();
    let issued = Authority::open(others.path()).unwrap().client("desk-7").unwrap();
    let (certificate, key) = issued.write(others.path(), "desk-7").unwrap();
    let files = ClientFiles {
        ca: Some(stage.authority.certificate()),
        certificate: Some(certificate),
        key: Some(key),
    };
    let mut forged = stage.client_with(Protocol::Resp, &ClientTls::load(&files).unwrap());
    let _ = forged.get_mut().write_all(b"HSET AAPL price 1\r\n");
    forged.read_line(&mut String::new()).unwrap_err();
    assert_eq!(ask(&mut known, b"GET AAPL\r\n"), "$5");
    assert_eq!(read_line(&mut known), "172.5");
}

/// Certificates are exchanged a hundred times beside clients that come, ask and go, and one that stays.
#[test]
fn no_request_fails_while_certificates_are_exchanged() {
    let stage = Arc::new(Stage::open());
    let trust = stage.trust(None);
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (stage, trust, stop) = (Arc::clone(&stage), trust.clone(), Arc::clone(&stop));
            let asked = Arc::clone(&asked);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut client = stage.client_with(Protocol::Resp, &trust);
                    assert_eq!(ask(&mut client, b"PING\r\n"), "+PONG");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut stays = stage.client(Protocol::Resp);
    for round in 0..100 {
        let issued = stage.authority.server(&["localhost"]).unwrap();
        issued.write(stage.directory.path(), "server").unwrap();
        assert!(stage.tls.look().unwrap(), "round {round}");
        let before = asked.load(Ordering::Relaxed);
        while asked.load(Ordering::Relaxed) < before + 3 {
            assert!(!clients.iter().all(thread::JoinHandle::is_finished), "the clients failed");
            thread::yield_now();
        }
        assert_eq!(ask(&mut stays, b"PING\r\n"), "+PONG");
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(stage.tls.exchanged(), 100);
}

/// A stop finds clients in every state: all end, and those that can hear it are told.
#[test]
fn a_stop_ends_clients_in_and_after_the_handshake() {
    let mut stage = Stage::open();
    let mut polite = stage.client(Protocol::Resp);
    assert_eq!(ask(&mut polite, b"PING\r\n"), "+PONG");
    let mut begun = stage.socket(Protocol::Resp);
    begun.write_all(&[22, 3, 1]).unwrap();
    let mut silent = stage.socket(Protocol::Line);
    stage.wait_until(|metrics| metrics.open == 3);
    let report = stage.server.take().unwrap().shutdown();
    assert_eq!((report.connections, report.unflushed), (3, 0));
    assert_eq!(polite.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert!(read_to_end(&mut begun).is_empty());
    assert!(read_to_end(&mut silent).is_empty());
}
