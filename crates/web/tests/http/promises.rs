//! What holds of every stream, whatever carries it, plain or over TLS: the last quote comes, versions never go back, a
//! reader that slept gets little of the past, what it holds is bounded, and it can be seen who is slow.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};
use stockd_client::{Address, Options};
use stockd_engine::{Access, Engine};
use stockd_model::Request;
use stockd_tls::ClientTls;
use stockd_web::Config;
use tokio::runtime::Runtime;

use crate::Web;
use crate::client::Http;
use crate::rpc::{self, proto};
use crate::streams::Events;
use crate::websocket::WebSocket;

/// What a reader is told of a stock: its name, price, version, and how many bytes that takes.
struct Told {
    symbol: String,
    price: String,
    version: u64,
    bytes: usize,
}

type Reader = Box<dyn FnMut() -> Told + Send>;

/// The last is the asynchronous client library, which the server sees as Server-Sent Events.
const WAYS: [&str; 4] = ["sse", "websocket", "grpc", "library"];

/// A plane that listens without TLS and with it, and whom to believe.
fn start(directory: &std::path::Path) -> (Web, ClientTls) {
    let (server, client) = stockd_tls::development::pair(directory).unwrap();
    let http = vec!["tls:127.0.0.1:0".parse().unwrap()];
    let config = Config { http, tls: Some(Arc::new(server)), ..Config::default() };
    (Web::with(config, Arc::<Engine>::default()), client)
}

/// A socket of small buffers to the plane.
fn socket(web: &Web, over_tls: bool) -> TcpStream {
    let endpoints = web.server.as_ref().unwrap().endpoints();
    let address = endpoints[usize::from(over_tls)].1.to_string();
    let address: SocketAddr = address.trim_start_matches("tls:").parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(180))).unwrap();
    socket.into()
}

fn encrypted(stream: TcpStream, tls: &ClientTls) -> StreamOwned<ClientConnection, TcpStream> {
    let name = "localhost".try_into().unwrap();
    StreamOwned::new(ClientConnection::new(tls.config(), name).unwrap(), stream)
}

fn told(json: &serde_json::Value, bytes: usize) -> Told {
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let version = json["version"].as_u64().unwrap_or_default();
    Told { symbol: text("symbol"), price: text("price"), version, bytes }
}

/// Opens a stream of this pattern, and reads until it is synced.
fn open(web: &Web, way: &str, tls: Option<&ClientTls>, pattern: &str) -> Reader {
    if way == "library" {
        return library(web, tls, pattern);
    }
    let stream = socket(web, tls.is_some());
    match (way, tls) {
        ("sse", None) => events(stream, pattern),
        ("sse", Some(tls)) => events(encrypted(stream, tls), pattern),
        ("websocket", None) => messages(stream, pattern),
        ("websocket", Some(tls)) => messages(encrypted(stream, tls), pattern),
        _ => watch(stream, tls, pattern),
    }
}

fn events<S: std::io::Read + std::io::Write + Send + 'static>(stream: S, pattern: &str) -> Reader {
    let http = Http { stream: std::io::BufReader::new(stream) };
    let mut events = Events::over(http, &format!("pattern={pattern}"), &[]);
    events.until_synced();
    Box::new(move || {
        let (data, _) = events.named("");
        told(&serde_json::from_str(&data).unwrap(), data.len())
    })
}

fn messages<S: std::io::Read + std::io::Write + Send + 'static>(
    stream: S,
    pattern: &str,
) -> Reader {
    let mut socket = WebSocket::open(stream, &format!("/v1/stream?pattern={pattern}"));
    socket.of_type("synced");
    let mut quotes = Vec::new();
    Box::new(move || {
        while quotes.is_empty() {
            if let serde_json::Value::Array(mut more) = socket.message() {
                more.reverse();
                quotes = more;
            }
        }
        let quote = quotes.pop().unwrap();
        told(&quote, quote.to_string().len())
    })
}

fn watch(stream: TcpStream, tls: Option<&ClientTls>, pattern: &str) -> Reader {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime: Runtime = builder.worker_threads(1).enable_all().build().unwrap();
    stream.set_nonblocking(true).unwrap();
    let request = proto::WatchRequest { patterns: vec![pattern.to_owned()], ..Default::default() };
    let mut client = {
        let _inside = runtime.enter();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        match tls {
            None => rpc::client(&runtime, stream),
            Some(tls) => {
                let mut config = (*tls.config()).clone();
                config.alpn_protocols = vec![b"h2".to_vec()];
                let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
                let name = "localhost".try_into().unwrap();
                let stream = runtime.block_on(connector.connect(name, stream)).unwrap();
                rpc::client(&runtime, stream)
            }
        }
    };
    let mut stream = runtime.block_on(client.watch(request)).unwrap().into_inner();
    let mut next = move || {
        // The runtime and the client live as long as the reader does.
        let _client = &client;
        let patience = Duration::from_secs(180);
        let message =
            runtime.block_on(async { tokio::time::timeout(patience, stream.message()).await });
        message.unwrap().unwrap().unwrap().event.unwrap()
    };
    while !matches!(next(), proto::watch_response::Event::Synced(_)) {}
    Box::new(move || {
        loop {
            if let proto::watch_response::Event::Quote(quote) = next() {
                let bytes = prost::Message::encoded_len(&quote);
                let price = quote.price.unwrap().text;
                return Told { symbol: quote.symbol, price, version: quote.version, bytes };
            }
        }
    })
}

/// The library has small buffers of its own.
fn library(web: &Web, tls: Option<&ClientTls>, pattern: &str) -> Reader {
    use stockd_client::http::{Client, Event, WatchRequest};
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime: Runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let endpoints = web.server.as_ref().unwrap().endpoints();
    let address = match &endpoints[usize::from(tls.is_some())].1 {
        // The certificate is for this name.
        Address::Tls { address, .. } => {
            Address::Tls { address: *address, host: "localhost".into() }
        }
        address => address.clone(),
    };
    let client = Client::with(address, Options { tls: tls.cloned(), ..Options::default() });
    let request = WatchRequest { patterns: vec![pattern.to_owned()], ..WatchRequest::default() };
    let mut watch = runtime.block_on(client.watch(request)).unwrap();
    let mut next = move || {
        let patience = Duration::from_secs(180);
        let event = runtime.block_on(async { tokio::time::timeout(patience, watch.next()).await });
        event.unwrap()
    };
    while !matches!(next(), Event::Synced) {}
    Box::new(move || {
        loop {
            let quote = match next() {
                Event::Quote(quote) => quote,
                Event::Disconnected { reason, .. } => panic!("{reason}"),
                _ => continue,
            };
            let mut json = Vec::new();
            stockd_model::quote_json::encode_quote(&quote, &mut json);
            let (symbol, price) = (quote.symbol.to_string(), quote.price.unwrap().to_string());
            return Told { symbol, price, version: quote.version, bytes: json.len() };
        }
    })
}

/// It sleeps beside a fast writer, then reads: few old quotes, and then the latest. Meanwhile it is seen.
#[test]
fn a_reader_that_slept_reads_little_before_the_latest() {
    let directory = tempfile::tempdir().unwrap();
    let (web, tls) = start(directory.path());
    for way in WAYS {
        for tls in [None, Some(&tls)] {
            sleeps(&web, way, tls);
        }
    }
}

fn sleeps(web: &Web, way: &str, tls: Option<&ClientTls>) {
    const BYTES_MAX: usize = 300_000;
    const MESSAGES_MAX: usize = 2_000;
    /// What the server may hold for it.
    const MEMORY_MAX: u64 = 64 * 1024;
    /// Updates in a row of which no message is made, until it is clear that there is no room.
    const WITHOUT_ROOM: u32 = 20;
    web.set("A", "1");
    let mut reader = open(web, way, tls, "A");
    let mut other = web.connect();
    let mut state = || {
        let clients = other.get("/v1/clients").json();
        let clients = clients["clients"].as_array().unwrap().clone();
        clients.last().unwrap().clone()
    };
    assert_eq!(state()["protocol"], if way == "library" { "sse" } else { way });
    let (mut price, mut without_room) = (1, 0);
    let mut before = state()["messages"].clone();
    while without_room < WITHOUT_ROOM {
        for _ in 0..20 {
            price += 1;
            web.set("A", &price.to_string());
        }
        let messages = state()["messages"].clone();
        without_room = if messages == before { without_room + 1 } else { 0 };
        before = messages;
        assert!(price < 400_000, "there is always room");
    }
    let slow = state();
    assert!(slow["marks"] == 1 && slow["conflated"].as_u64() > Some(0), "{slow}");
    assert!(slow["memory_bytes"].as_u64().unwrap() <= MEMORY_MAX, "{slow}");
    // It is seen by what waits for it, too: in the plane, and in the system.
    assert!(slow["unsent_bytes"].as_u64().unwrap() > 0, "{slow}");
    let (mut read, mut bytes) = (0, 0);
    loop {
        let told = reader();
        read += 1;
        bytes += told.bytes;
        if told.price == price.to_string() {
            break;
        }
    }
    // It has taken all, and soon that is known.
    let deadline = Instant::now() + Duration::from_secs(180);
    while state()["unsent_bytes"] != 0 {
        assert!(Instant::now() < deadline, "{}", state());
    }
    let with = if tls.is_some() { "over TLS" } else { "plain" };
    assert!(
        bytes <= BYTES_MAX && read <= MESSAGES_MAX,
        "{way} {with}: {bytes} bytes, {read} messages"
    );
    drop(reader);
    // The next one is to be alone.
    while other.get("/v1/server").json()["http"]["streams"] != 0 {
        web.set("A", "1");
    }
}

/// Readers of all kinds beside writers, listings and delistings of many stocks.
#[test]
fn the_last_quote_of_every_stock_comes_and_versions_never_go_back() {
    const STOCKS: u64 = 20;
    const WRITES: u64 = 4_000;
    let directory = tempfile::tempdir().unwrap();
    let (web, tls) = start(directory.path());
    let mut readers: Vec<Reader> = Vec::new();
    for way in WAYS {
        readers.push(open(&web, way, None, "S*"));
        readers.push(open(&web, way, Some(&tls), "S*"));
    }
    thread::scope(|scope| {
        for mut reader in readers {
            scope.spawn(move || {
                let mut last: HashMap<String, u64> = HashMap::new();
                let mut is_final: HashMap<String, bool> = HashMap::new();
                while is_final.values().filter(|is_final| **is_final).count() < STOCKS as usize {
                    let told = reader();
                    if told.version > 0 {
                        let before = last.insert(told.symbol.clone(), told.version);
                        assert!(
                            before.is_none_or(|before| before < told.version),
                            "{}",
                            told.symbol
                        );
                    }
                    is_final.insert(told.symbol, told.price == "-1");
                }
            });
        }
        let writers = [0, 1].map(|writer| {
            let web = &web;
            scope.spawn(move || {
                for step in 0..WRITES {
                    let name = format!("S{}", (step * 7 + writer * 3) % STOCKS);
                    match step % 50 {
                        9 => {
                            let delist = Request::Delist(name.parse().unwrap());
                            web.engine.executor().batch(&Access::All).execute(&delist);
                        }
                        _ => web.set(&name, &format!("{writer}.{}", step + 1)),
                    }
                }
            })
        });
        // After the writers one more quote of each stock, which every reader must see.
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        (0..STOCKS).for_each(|stock| web.set(&format!("S{stock}"), "-1"));
    });
}

#[test]
fn a_stream_goes_on_where_it_was_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let web = Web::over(directory.path());
    web.set("OLD", "1");
    web.set("NEW", "1");
    let mut events = Events::open(&web, "symbols=OLD,NEW", &[]);
    events.until_synced();
    web.set("NEW", "2");
    let (_, id) = events.named("");
    drop(events);
    assert_eq!(web.stop(), 0);
    let web = Web::over(directory.path());
    let mut events = Events::open(&web, "symbols=OLD,NEW", &[("Last-Event-ID", &id)]);
    assert!(events.named("hello").0.contains("\"resumed\":true"), "{id}");
    assert_eq!(events.until_synced().len(), 2, "within the overlap");
    web.set("NEW", "3");
    assert!(events.named("").0.contains("\"price\":\"3\""));
}
