//! Live sources that are made by the test: a gateway of Databento's kind, and a stream of a broker. What they do to the
//! feed, and what the readers of its quotes see of it.

#[allow(dead_code, reason = "other suites use the rest")]
#[path = "quotes/server.rs"]
mod server;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use data_encoding::HEXLOWER;
use server::{PATIENCE, Running, Server, run};
use sha2::{Digest, Sha256};
use tungstenite::{Message, WebSocket};

const KEY: &str = "db-0123456789abcdefghijklmnop12";

fn edge(name: &str) -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../feeds/tests/data");
    std::fs::read(data.join(name)).unwrap()
}

/// Lines until one has this text.
fn until(watch: &mut Running, text: &str) -> String {
    let mut lines = 0;
    loop {
        let line = watch.line();
        if line.contains(text) {
            return line;
        }
        lines += 1;
        assert!(lines < 10_000 && !line.is_empty(), "{text} does not come: {line}");
    }
}

fn watch(server: &Server, symbol: &str) -> Running {
    Running::start(server.command(&["watch", symbol]))
}

/// A gateway with one client after the other.
struct Gateway {
    listener: TcpListener,
}

/// One client of the gateway, which has said what it wants.
struct Session {
    stream: TcpStream,
    /// The lines of its subscription.
    asked: Vec<String>,
}

impl Gateway {
    fn new() -> Gateway {
        Gateway { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn place(&self) -> String {
        format!("lsg:TEST.SET@{}", self.listener.local_addr().unwrap())
    }

    fn accept(&self) -> (BufReader<TcpStream>, TcpStream) {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut writer = stream.try_clone().unwrap();
        writer.write_all(b"lsg_version=0.1.0\ncram=abcdefghijklmnop\n").unwrap();
        (BufReader::new(stream), writer)
    }

    /// Lets a client in whose answer is right.
    fn session(&self) -> Session {
        let (mut reader, mut writer) = self.accept();
        let auth = line(&mut reader);
        let digest = HEXLOWER.encode(&Sha256::digest(format!("abcdefghijklmnop|{KEY}")));
        assert!(auth.starts_with(&format!("auth={digest}-nop12|dataset=TEST.SET|")), "{auth}");
        assert!(auth.contains("|encoding=dbn|") && !auth.contains(KEY), "{auth}");
        writer.write_all(b"success=1|session_id=1\n").unwrap();
        let mut asked = Vec::new();
        loop {
            match line(&mut reader) {
                start if start == "start_session" => break,
                line => asked.push(line),
            }
        }
        Session { stream: writer, asked }
    }
}

fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn feed(server: &Server, args: &[&str]) -> Command {
    let mut command = server.command(&["feed"]);
    command.args(args).env("DATABENTO_API_KEY", KEY);
    command.env("APCA_API_KEY_ID", "KEY").env("APCA_API_SECRET_KEY", "SECRET");
    command
}

#[test]
fn a_gateway_that_refuses_the_key_ends_the_command_and_the_key_is_not_shown() {
    let (server, gateway) = (Server::start(), Gateway::new());
    let place = gateway.place();
    let refuses = thread::spawn(move || {
        let (mut reader, mut writer) = gateway.accept();
        let _ = line(&mut reader);
        writer.write_all(b"success=0|error=Authentication failed.\n").unwrap();
    });
    let (code, out, err) = run(feed(&server, &["dbn", &place]));
    refuses.join().unwrap();
    assert_eq!(code, Some(1), "{out}");
    assert!(err.contains("the gateway refuses the feed: Authentication failed."), "{err}");
    assert!(!out.contains(KEY) && !err.contains(KEY), "{out}{err}");

    let mut command = feed(&server, &["dbn", &place]);
    command.env_remove("DATABENTO_API_KEY");
    let (code, _, err) = run(command);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("DATABENTO_API_KEY has no key"), "{err}");
    let (code, _, err) = run(feed(&server, &["dbn", "lsg:TEST.SET@127.0.0.1:1"]));
    assert_eq!(code, Some(1), "nobody listens there: {err}");
}

/// The gateway falls silent; then it ends within a record; then it sends again what it has sent.
#[test]
fn a_mute_gateway_is_stale_and_a_lost_one_is_gone_on_with() {
    let (server, gateway) = (Server::start(), Gateway::new());
    let mut prices = watch(&server, "AAPL");
    let args = ["dbn", &gateway.place(), "--stale-after", "300ms", "--symbols", "AAPL,IBM"];
    let mut command = feed(&server, &args);
    command.stdin(Stdio::null());
    let process = Running::start(command);
    let whole = edge("edge_live_v3.dbn");

    let mut session = gateway.session();
    let expected = ["trades", "bbo-1s", "status"].map(|schema| {
        format!("schema={schema}|stype_in=raw_symbol|symbols=AAPL,IBM|snapshot=0|id=0|is_last=1")
    });
    assert_eq!(session.asked, expected);
    session.stream.write_all(&whole).unwrap();
    let first = until(&mut prices, r#""price":"169.02""#);
    // It is connected and mute: that is told, and after that time it is taken for lost.
    until(&mut prices, r#""feed":"dbn","feed_state":"stale""#);

    let mut session = gateway.session();
    assert!(session.asked.iter().all(|line| line.contains("|start=17")), "{:?}", session.asked);
    session.stream.write_all(&whole[..whole.len() - 5]).unwrap();
    drop(session);

    // What it has sent before changes nothing, and the stream goes on.
    let mut session = gateway.session();
    session.stream.write_all(&whole).unwrap();
    let again = until(&mut prices, r#""feed":"dbn","feed_state":"gap""#);
    let price = |json: &str| {
        json.split("\"price\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    assert_eq!(price(&first), price(&again));
    drop(session);
    process.interrupt();
    let (code, out, err) = process.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("older than what is known"), "{out}");
    assert!(err.contains("silent for ") && err.contains("the feed ends within a message"), "{err}");
}

/// A broker's stream with one client after the other.
struct Broker {
    listener: TcpListener,
}

impl Broker {
    fn new() -> Broker {
        Broker { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn url(&self) -> String {
        format!("ws://{}/v2/test", self.listener.local_addr().unwrap())
    }

    fn accept(&self) -> WebSocket<TcpStream> {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        say(&mut socket, r#"[{"T":"success","msg":"connected"}]"#);
        let auth = hear(&mut socket);
        assert_eq!(auth, r#"{"action":"auth","key":"KEY","secret":"SECRET"}"#);
        socket
    }

    fn session(&self) -> WebSocket<TcpStream> {
        let mut socket = self.accept();
        say(&mut socket, r#"[{"T":"success","msg":"authenticated"}]"#);
        let asked = hear(&mut socket);
        let names = r#"["AAPL","HALT"]"#;
        assert!(asked.contains(&format!("\"trades\":{names}")), "{asked}");
        assert!(asked.contains(&format!("\"quotes\":{names}")), "{asked}");
        say(&mut socket, r#"[{"T":"subscription","trades":["AAPL"]}]"#);
        socket
    }
}

fn say(socket: &mut WebSocket<TcpStream>, text: &str) {
    socket.send(Message::text(text)).unwrap();
}

fn hear(socket: &mut WebSocket<TcpStream>) -> String {
    socket.read().unwrap().into_text().unwrap().to_string()
}

#[test]
fn a_stream_that_refuses_the_keys_ends_the_command() {
    let (server, broker) = (Server::start(), Broker::new());
    let url = broker.url();
    let refuses = thread::spawn(move || {
        let mut socket = broker.accept();
        say(&mut socket, r#"[{"T":"error","code":402,"msg":"auth failed"}]"#);
    });
    let (code, _, err) = run(feed(&server, &["alpaca", &url]));
    refuses.join().unwrap();
    assert_eq!(code, Some(1));
    assert!(err.contains("the stream refuses the feed: auth failed"), "{err}");
    let mut command = feed(&server, &["alpaca", &url]);
    command.env_remove("APCA_API_SECRET_KEY");
    let (code, _, err) = run(command);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("APCA_API_SECRET_KEY has no key"), "{err}");
}

#[test]
fn a_session_of_a_broker_ends_as_the_oracle_says_and_a_lost_one_is_a_gap() {
    let (server, broker) = (Server::start(), Broker::new());
    let mut prices = watch(&server, "AAPL");
    let url = broker.url();
    let args = ["alpaca", &url, "--stale-after", "300ms", "--symbols", "AAPL,HALT"];
    let process = Running::start(feed(&server, &args));

    let mut socket = broker.session();
    let text = String::from_utf8(edge("alpaca_session.txt")).unwrap();
    let messages = text.lines().filter_map(|line| line.strip_prefix("< ")).skip(3);
    messages.for_each(|message| say(&mut socket, message));
    let quote = until(&mut prices, r#""bid":"126.56","ask":"126.57""#);
    assert!(quote.contains(r#""feed":"alpaca""#), "{quote}");
    // A ping is a sign of life; nothing at all is none.
    socket.send(Message::Ping(Vec::new().into())).unwrap();
    until(&mut prices, r#""feed_state":"stale""#);
    drop(socket);

    let mut socket = broker.session();
    say(
        &mut socket,
        r#"[{"T":"t","i":99,"S":"AAPL","x":"V","p":130.25,"s":100,"t":"2021-02-22T16:00:00Z","c":["@"],"z":"C"}]"#,
    );
    let quote = until(&mut prices, r#""price":"130.25""#);
    assert!(quote.contains(r#""feed_state":"gap""#), "what came in between is missed: {quote}");
    let oracle = String::from_utf8(edge("alpaca_session.oracle.csv")).unwrap();
    let stocks = server.stocks();
    for row in oracle.lines().skip(1).filter(|row| !row.starts_with("AAPL,")) {
        let row: Vec<&str> = row.split(',').collect();
        let is_same = |stock: &&String| {
            let stock: Vec<&str> = stock.split(',').collect();
            stock[0] == row[0] && stock[1] == row[1] && stock.contains(&row[3])
        };
        assert!(stocks.iter().any(|stock| is_same(&stock)), "{row:?} is not among {stocks:?}");
    }
    drop(socket);
    process.interrupt();
    let (code, _, err) = process.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(!err.contains("SECRET"), "{err}");
}
