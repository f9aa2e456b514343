//! The ways in. What one of them cannot express, the line protocol's writes, goes to the engine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stockd_engine::{self as engine, Access, Catalog, Engine, Sync, Transaction};
use stockd_model::{Address, Field, Fields, Reply, Request, Shares, Symbol, SymbolError};
use stockd_server::{Config, Endpoint, Protocol, Server, Transport};
use stockd_store::DataDir;
use stockd_tls::ClientTls;
use tempfile::TempDir;

pub(crate) type Outcome = Result<(), String>;

/// Names of fields, and their values.
pub(crate) type Given = Vec<(String, String)>;

/// A way to ask and, for most, to write.
pub(crate) trait WayIn {
    /// What a lookup answers: a price, `0` or `-1`.
    fn lookup(&mut self, name: &[u8]) -> String;
    /// The fields of a listed stock that it has, but for its symbol, version and time of change.
    fn fields(&mut self, name: &str) -> Given;
    /// Lists or updates a stock: these values for the fields of these names.
    fn set(&mut self, symbol: &str, fields: &[(&str, &str)]) -> Outcome;
    fn trade(&mut self, symbol: &str, shares: Shares) -> Outcome;
    /// Trades twice, as one transaction. The first refusal is its outcome.
    fn trade_both(&mut self, trades: [(&str, i64); 2]) -> Outcome;
    fn delist(&mut self, symbol: &str) -> Outcome;
}

/// Where an engine has its catalog.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Home {
    Memory,
    /// A data directory as well, to which every write is synced.
    Disk,
}

/// The engine, without any protocol.
pub(crate) struct Embedded {
    engine: Arc<Engine>,
    _data_dir: Option<TempDir>,
}

impl Embedded {
    pub(crate) fn new(home: Home) -> Embedded {
        match home {
            Home::Memory => Embedded { engine: Arc::default(), _data_dir: None },
            Home::Disk => {
                let directory = tempfile::tempdir().unwrap();
                let store = Box::new(DataDir::open(directory.path(), true).unwrap());
                let engine = Engine::durable(Catalog::new(), 0, store, Sync::Always);
                Embedded { engine: Arc::new(engine), _data_dir: Some(directory) }
            }
        }
    }

    /// The engine itself, for other ways to it.
    pub(crate) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    fn execute(&self, request: &Request) -> Reply {
        self.engine.executor().batch(&Access::All).execute(request)
    }

    fn write(&self, request: &Request) -> Outcome {
        match self.execute(request) {
            Reply::Refused(refusal) => Err(refusal.to_string()),
            _ => Ok(()),
        }
    }
}

impl WayIn for Embedded {
    fn lookup(&mut self, name: &[u8]) -> String {
        match self.execute(&Request::Lookup(Symbol::parse(name))) {
            Reply::Found(quote) => quote.answer().to_string(),
            Reply::NotFound => "-1".into(),
            reply => panic!("{reply:?} to a lookup"),
        }
    }

    fn fields(&mut self, name: &str) -> Given {
        match self.execute(&Request::Lookup(Ok(name.parse().unwrap()))) {
            Reply::Found(quote) => {
                let text = |field| Some((field, quote.text_of(field)?));
                let texts = Field::WRITABLE.into_iter().filter_map(text);
                texts.map(|(field, text)| (field.name().into(), text.as_str().into())).collect()
            }
            reply => panic!("{reply:?} to a lookup"),
        }
    }

    fn set(&mut self, symbol: &str, given: &[(&str, &str)]) -> Outcome {
        let symbol = symbol.parse().map_err(|error: SymbolError| error.to_string())?;
        let mut fields = Fields::default();
        for (name, text) in given {
            let field = Field::find(name.as_bytes()).unwrap();
            fields.set(field, text.as_bytes()).map_err(|error| error.to_string())?;
        }
        self.write(&Request::Set(symbol, fields))
    }

    fn trade(&mut self, symbol: &str, shares: Shares) -> Outcome {
        self.write(&Request::Trade(symbol.parse().unwrap(), shares))
    }

    fn trade_both(&mut self, trades: [(&str, i64); 2]) -> Outcome {
        let trade =
            |(symbol, shares): (&str, i64)| Request::Trade(symbol.parse().unwrap(), shares.into());
        let trades = trades.map(trade);
        let transaction = Transaction::new(Vec::new(), trades.to_vec());
        let outcome = self.engine.executor().transact(&Access::All, transaction);
        let engine::Outcome::Executed { replies, .. } = outcome else { panic!("{outcome:?}") };
        let refused = replies.iter().find_map(|reply| match reply {
            Reply::Refused(refusal) => Some(refusal.to_string()),
            _ => None,
        });
        refused.map_or(Ok(()), Err)
    }

    fn delist(&mut self, symbol: &str) -> Outcome {
        self.write(&Request::Delist(symbol.parse().unwrap()))
    }
}

/// The kinds of socket that a protocol is spoken over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    Tcp,
    Unix,
    Tls,
}

/// What either kind of socket does.
trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A client of a server, alone with it.
struct Link {
    stream: BufReader<Box<dyn Stream>>,
    _server: Server,
    /// Where a Unix socket is.
    _directory: TempDir,
}

fn serve(protocol: Protocol, engine: &Arc<Engine>, over: Over) -> Link {
    let directory = tempfile::tempdir().unwrap();
    let address = match over {
        Over::Tcp | Over::Tls => "127.0.0.1:0".to_owned(),
        Over::Unix => format!("unix:{}/socket", directory.path().display()),
    };
    let address: Address = address.parse().unwrap();
    let mut endpoint = Endpoint::plain(protocol, address);
    let trust = matches!(over, Over::Tls).then(|| encrypt(&mut endpoint, directory.path()));
    let config = Config { endpoints: vec![endpoint], workers: 2, ..Config::default() };
    let server = Server::start(config, Arc::clone(engine)).unwrap();
    let stream = connect(&server.endpoints()[0].address, trust.as_ref());
    Link { stream: BufReader::new(stream), _server: server, _directory: directory }
}

/// Has an endpoint speak TLS. Returns whom its clients are to believe.
fn encrypt(endpoint: &mut Endpoint, directory: &Path) -> ClientTls {
    let (server, client) = stockd_tls::development::pair(directory).unwrap();
    endpoint.transport = Transport::Tls(Arc::new(server));
    client
}

fn connect(address: &Address, tls: Option<&ClientTls>) -> Box<dyn Stream> {
    let patience = Some(Duration::from_secs(180));
    match address {
        Address::Tcp(address) | Address::Tls { address, .. } => {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(patience).unwrap();
            match tls {
                None => Box::new(stream),
                Some(tls) => {
                    let name = "localhost".try_into().unwrap();
                    let connection = rustls::ClientConnection::new(tls.config(), name).unwrap();
                    Box::new(rustls::StreamOwned::new(connection, stream))
                }
            }
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect::<&Path>(path).unwrap();
            stream.set_read_timeout(patience).unwrap();
            Box::new(stream)
        }
    }
}

impl Link {
    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end_matches(['\r', '\n']).to_owned()
    }
}

/// The line protocol; writes go to the engine behind it.
pub(crate) struct Line {
    engine: Embedded,
    link: Link,
}

impl Line {
    pub(crate) fn new(over: Over, home: Home) -> Line {
        let engine = Embedded::new(home);
        let link = serve(Protocol::Line, &engine.engine, over);
        Line { engine, link }
    }
}

impl WayIn for Line {
    fn lookup(&mut self, name: &[u8]) -> String {
        self.link.send(&[name, b"\n"].concat());
        self.link.read_line()
    }

    fn fields(&mut self, name: &str) -> Given {
        self.engine.fields(name)
    }

    fn set(&mut self, symbol: &str, fields: &[(&str, &str)]) -> Outcome {
        self.engine.set(symbol, fields)
    }

    fn trade(&mut self, symbol: &str, shares: Shares) -> Outcome {
        self.engine.trade(symbol, shares)
    }

    fn trade_both(&mut self, trades: [(&str, i64); 2]) -> Outcome {
        self.engine.trade_both(trades)
    }

    fn delist(&mut self, symbol: &str) -> Outcome {
        self.engine.delist(symbol)
    }
}

/// RESP, by hand, in either version.
pub(crate) struct Resp {
    link: Link,
    nil: &'static str,
    _engine: Embedded,
}

impl Resp {
    pub(crate) fn new(version: u8, over: Over, home: Home) -> Resp {
        let engine = Embedded::new(home);
        let link = serve(Protocol::Resp, &engine.engine, over);
        let nil = if version == 2 { "$-1" } else { "_" };
        let mut resp = Resp { link, nil, _engine: engine };
        if version == 3 {
            // Seven pairs, of which the last value is an empty array.
            assert_eq!(resp.ask(&[b"HELLO", b"3"]), "%7");
            while resp.link.read_line() != "*0" {}
        }
        resp
    }

    /// Sends a command and returns the first line of its reply.
    fn ask(&mut self, parts: &[&[u8]]) -> String {
        let mut command = format!("*{}\r\n", parts.len()).into_bytes();
        for part in parts {
            command.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            command.extend_from_slice(part);
            command.extend_from_slice(b"\r\n");
        }
        self.link.send(&command);
        self.link.read_line()
    }

    /// The text whose head this is; `None` for nil.
    fn text(&mut self, head: &str) -> Option<String> {
        if head == self.nil {
            return None;
        }
        let bytes: usize = head.strip_prefix('$').unwrap().parse().unwrap();
        let mut text = vec![0; bytes + 2];
        self.link.stream.read_exact(&mut text).unwrap();
        Some(String::from_utf8(text).unwrap().trim_end().to_owned())
    }

    fn write(&mut self, parts: &[&str]) -> Outcome {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        let reply = self.ask(&parts);
        match reply.strip_prefix("-ERR ").or(reply.strip_prefix("-LATE ")) {
            Some(refusal) => Err(refusal.to_owned()),
            None if reply.starts_with('$') => {
                // A volume that is no signed number.
                self.link.read_line();
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl WayIn for Resp {
    fn lookup(&mut self, name: &[u8]) -> String {
        let head = self.ask(&[b"GET", name]);
        let answer = self.text(&head).unwrap_or("-1".into());
        assert_eq!(self.ask(&[b"MGET", name]), "*1");
        let head = self.link.read_line();
        assert_eq!(self.text(&head).unwrap_or("-1".into()), answer, "MGET as GET");
        answer
    }

    fn fields(&mut self, name: &str) -> Given {
        let head = self.ask(&[b"HGETALL", name.as_bytes()]);
        let texts = match head.split_at(1) {
            ("*", texts) => texts.parse().unwrap(),
            (_, pairs) => 2 * pairs.parse::<usize>().unwrap(),
        };
        let texts: Vec<String> = (0..texts)
            .map(|_| {
                let head = self.link.read_line();
                self.text(&head).expect("what is absent is left out")
            })
            .collect();
        let value = |field: &str| {
            let pair = texts.chunks(2).find(|pair| pair[0] == field);
            pair.map(|pair| pair[1].clone())
        };
        let names = Field::WRITABLE.map(Field::name);
        for field in names {
            let head = self.ask(&[b"HGET", name.as_bytes(), field.as_bytes()]);
            assert_eq!(self.text(&head), value(field), "HGET as HGETALL");
        }
        let parts = names.map(str::as_bytes);
        assert_eq!(self.ask(&[&[b"HMGET", name.as_bytes()], &parts[..]].concat()), "*8");
        for field in names {
            let head = self.link.read_line();
            assert_eq!(self.text(&head), value(field), "HMGET as HGETALL");
        }
        names.into_iter().filter_map(|field| Some((field.to_owned(), value(field)?))).collect()
    }

    fn set(&mut self, symbol: &str, fields: &[(&str, &str)]) -> Outcome {
        let mut parts = vec!["HSET", symbol];
        parts.extend(fields.iter().flat_map(|(name, value)| [*name, *value]));
        self.write(&parts)
    }

    fn trade(&mut self, symbol: &str, shares: Shares) -> Outcome {
        let command = if shares.whole().is_some() { "HINCRBY" } else { "HINCRBYFLOAT" };
        self.write(&[command, symbol, "volume", &shares.to_string()])
    }

    fn trade_both(&mut self, trades: [(&str, i64); 2]) -> Outcome {
        assert_eq!(self.ask(&[b"MULTI"]), "+OK");
        for (symbol, shares) in trades {
            let shares = shares.to_string();
            let parts = [b"HINCRBY", symbol.as_bytes(), b"volume", shares.as_bytes()];
            assert_eq!(self.ask(&parts), "+QUEUED");
        }
        assert_eq!(self.ask(&[b"EXEC"]), "*2");
        let replies = trades.map(|_| self.link.read_line());
        let refused = replies.iter().find_map(|reply| reply.strip_prefix("-ERR "));
        refused.map_or(Ok(()), |refusal| Err(refusal.to_owned()))
    }

    fn delist(&mut self, symbol: &str) -> Outcome {
        self.write(&["DEL", symbol])
    }
}
