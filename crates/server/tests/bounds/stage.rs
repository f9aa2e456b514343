//! A server over RESP and lines, and clients that talk to it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use stockd_engine::{Access, Engine};
use stockd_model::{Edit, Fields, Request, Volume};
use stockd_server::{Config, Endpoint, Metrics, Protocol, Server};

use crate::awaiting::{PATIENCE, wait_until};

/// A server whose stocks are S0, S1 and so on, at 1.
pub(crate) struct Stage {
    pub(crate) engine: Arc<Engine>,
    pub(crate) server: Server,
}

impl Stage {
    /// One worker, so that all clients are neighbours.
    pub(crate) fn new(stocks: usize) -> Stage {
        Stage::with(stocks, Config { workers: 1, ..Config::default() })
    }

    pub(crate) fn with(stocks: usize, mut config: Config) -> Stage {
        let engine = Arc::new(Engine::default());
        for stock in 0..stocks {
            set(&engine, stock, "1");
        }
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        config.endpoints =
            [Protocol::Resp, Protocol::Line].map(|it| Endpoint::plain(it, any_port)).to_vec();
        let server = Server::start(config, Arc::clone(&engine)).unwrap();
        Stage { engine, server }
    }

    pub(crate) fn client(&self) -> Client {
        self.connect(0)
    }

    pub(crate) fn line_client(&self) -> Client {
        self.connect(1)
    }

    fn connect(&self, endpoint: usize) -> Client {
        let address = self.server.endpoints()[endpoint].address.tcp().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    /// Waits until the server's numbers are as they should become.
    pub(crate) fn wait_until(&self, reached: impl Fn(&Metrics) -> bool) -> Metrics {
        wait_until(&self.server, reached)
    }
}

/// Lists a stock, or sets its price.
pub(crate) fn set(engine: &Arc<Engine>, stock: usize, price: &str) {
    let fields = Fields {
        price: price.parse().expect("a price"),
        volume: Edit::Set(Volume::new(1)),
        ..Fields::default()
    };
    let request = Request::Set(format!("S{stock}").parse().unwrap(), fields);
    engine.executor().batch(&Access::All).execute(&request);
}

/// A client that gives up, and fails its test, when the server keeps it waiting for ever.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as much as the sockets take, up to the end of the connection.
    pub(crate) fn send_what_fits(&mut self, bytes: &[u8]) {
        self.stream.get_ref().set_nonblocking(true).unwrap();
        let _ = self.stream.get_mut().write(bytes);
        self.stream.get_ref().set_nonblocking(false).unwrap();
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends, unless the connection is over. Returns whether it is not.
    pub(crate) fn sends(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.get_mut().write_all(bytes.as_ref()).is_ok()
    }

    /// The next line; `None` when the connection is over.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        let bytes = self.stream.read_line(&mut line).ok()?;
        (bytes > 0).then(|| line.trim_end().to_owned())
    }

    /// The line that answers a command, or its first.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n"));
        self.line()
    }

    /// Asks what a polite client asks.
    pub(crate) fn is_served(&mut self) {
        assert_eq!(self.ask("PING"), "+PONG");
        assert_eq!(self.ask("GET S0"), "$1");
        assert_eq!(self.line(), "1");
    }

    /// All that comes until the connection is over, closed or reset.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}"),
        }
        String::from_utf8_lossy(&rest).into_owned()
    }
}
