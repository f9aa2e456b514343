//! A server over RESP, and a client that prints what it is answered on one line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use stockd_engine::{Catalog, Engine, Sync};
use stockd_server::{Config, Endpoint, Protocol, Server};
use stockd_store::{Store, StoreError, Write as StoreWrite};
use stockd_wire::resp::frame;

/// Far more than anything here takes. A test that reaches it hangs and fails.
const PATIENCE: Duration = Duration::from_secs(180);

/// A disk that takes everything.
#[derive(Debug)]
struct Disk;

impl Store for Disk {
    fn commit(&mut self, _: &[StoreWrite], _: u64) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A running server.
pub(crate) struct Stage {
    pub(crate) server: Server,
}

impl Stage {
    /// In memory, with two workers.
    pub(crate) fn new() -> Stage {
        Stage::over(Arc::default())
    }

    /// Over a disk.
    pub(crate) fn durable() -> Stage {
        let engine = Engine::durable(Catalog::new(), 0, Box::new(Disk), Sync::Always);
        Stage::over(Arc::new(engine))
    }

    fn over(engine: Arc<Engine>) -> Stage {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoints =
            [Protocol::Resp, Protocol::Line].map(|it| Endpoint::plain(it, any_port)).to_vec();
        let config = Config { workers: 2, endpoints, ..Config::default() };
        Stage { server: Server::start(config, engine).unwrap() }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address(0))
    }

    /// A client that speaks RESP3.
    pub(crate) fn client3(&self) -> Client {
        let mut client = self.client();
        assert!(client.ask("HELLO 3").starts_with("{server "));
        client
    }

    pub(crate) fn address(&self, endpoint: usize) -> SocketAddr {
        self.server.endpoints()[endpoint].address.tcp().unwrap()
    }
}

/// A client that gives up, and fails its test, when the server keeps it waiting for ever.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Sends a command, whose words have single spaces between them.
    pub(crate) fn give(&mut self, command: &str) {
        let parts: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        let mut bytes = Vec::new();
        frame::command(&parts, &mut bytes);
        self.send(&bytes);
    }

    /// What is answered to a command.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.give(command);
        self.next()
    }

    /// What is answered to each of several commands, with `; ` between them, sent at once.
    pub(crate) fn ask_all(&mut self, commands: &str) -> Vec<String> {
        let commands: Vec<_> = commands.split("; ").collect();
        commands.iter().for_each(|command| self.give(command));
        commands.iter().map(|_| self.next()).collect()
    }

    /// The next reply or push: `[…]`, `{…}`, `>[…]`; words as they are, numbers with a colon, errors
    /// with a minus, `nil`.
    pub(crate) fn next(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let (sign, text) = line.trim_end().split_at(1);
        let mut several = |times: usize| {
            let count: usize = text.parse().unwrap();
            (0..count * times).map(|_| self.next()).collect::<Vec<_>>().join(" ")
        };
        match sign {
            "+" => text.to_owned(),
            "-" | ":" => line.trim_end().to_owned(),
            "_" => "nil".to_owned(),
            _ if text == "-1" => "nil".to_owned(),
            "*" | "~" => format!("[{}]", several(1)),
            ">" => format!(">[{}]", several(1)),
            "%" => format!("{{{}}}", several(2)),
            "$" | "=" => {
                let mut bulk = vec![0; text.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut bulk).unwrap();
                bulk.truncate(bulk.len() - 2);
                let text = String::from_utf8(bulk).unwrap();
                if sign == "=" { text.replacen("txt:", "", 1) } else { text }
            }
            _ => panic!("no reply: {line:?}"),
        }
    }

    /// Whether the server has closed the connection.
    #[allow(dead_code, reason = "for the tests of ends")]
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.0.fill_buf().is_ok_and(<[u8]>::is_empty)
    }
}
