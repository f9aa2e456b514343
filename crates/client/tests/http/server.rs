//! A service plane that can be stopped and started again where it was.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stockd_access::{AccessFile, Authority, Token};
use stockd_client::http::WatchRequest;
use stockd_client::{Address, Credentials};
use stockd_engine::{Access, Catalog, Engine, Sync};
use stockd_model::{Fields, Request};
use stockd_server::Server;
use stockd_store::DataDir;
use stockd_web::{Config, WebServer};

/// A running service plane.
pub(crate) struct Web {
    engine: Arc<Engine>,
    web: Option<WebServer>,
    _data_plane: Server,
}

impl Web {
    /// One in memory, at this address.
    pub(crate) fn at(address: Address) -> Web {
        Web::with(
            Arc::default(),
            Arc::default(),
            &Config { http: vec![address], ..Config::default() },
        )
    }

    /// One over what this directory holds, at this address.
    pub(crate) fn over(directory: &Path, address: Address) -> Web {
        let data = DataDir::open(directory, true).unwrap();
        let catalog = Catalog::new();
        let floor = data.load(|quote| {
            catalog.restore(&quote).unwrap();
            ControlFlow::Continue(())
        });
        let engine = Engine::durable(catalog, floor.unwrap(), Box::new(data), Sync::Always);
        let config = Config { http: vec![address], keeps_all: true, ..Config::default() };
        Web::with(Arc::new(engine), Arc::default(), &config)
    }

    pub(crate) fn with(engine: Arc<Engine>, authority: Arc<Authority>, config: &Config) -> Web {
        let server = stockd_server::Config { workers: 1, authority, ..Default::default() };
        let data_plane = Server::start(server, Arc::clone(&engine)).unwrap();
        // The connections of the server before may linger.
        let deadline = Instant::now() + Duration::from_secs(180);
        let web = loop {
            match WebServer::start(config.clone(), Arc::clone(&engine), data_plane.observer()) {
                Ok(web) => break web,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        Web { engine, web: Some(web), _data_plane: data_plane }
    }

    /// One with an access file, whose only user reads what begins with DESK.
    pub(crate) fn guarded() -> (Web, Arc<Authority>) {
        let authority = Arc::new(Authority::new(Web::access("DESK*")));
        let config = Config { http: vec![loopback()], ..Config::default() };
        (Web::with(Arc::default(), Arc::clone(&authority), &config), authority)
    }

    /// An access file whose only user reads these stocks.
    pub(crate) fn access(read: &str) -> AccessFile {
        let hash = secret().hash();
        let text =
            format!("[[user]]\nname = \"desk\"\ntokens = [\"{hash}\"]\nread = [\"{read}\"]\n");
        AccessFile::parse(&text).unwrap()
    }

    /// What the user of [`access`](Web::access) shows.
    pub(crate) fn token() -> Credentials {
        Credentials::token(secret().as_str())
    }

    /// A watch of these stocks.
    pub(crate) fn watch_of(names: &[&str]) -> WatchRequest {
        let symbols = names.iter().map(|name| name.parse().unwrap()).collect();
        WatchRequest { symbols, ..WatchRequest::default() }
    }

    /// A number that the server counts.
    pub(crate) fn metric(&self, name: &str) -> usize {
        let Address::Tcp(address) = self.address() else { panic!("it listens on TCP") };
        let mut stream = TcpStream::connect(address).unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {text}")).trim().parse().unwrap()
    }

    pub(crate) fn web(&self) -> &WebServer {
        self.web.as_ref().unwrap()
    }

    pub(crate) fn address(&self) -> Address {
        self.web().endpoints()[0].1.clone()
    }

    /// Lists a stock, or sets its price.
    pub(crate) fn set(&self, symbol: &str, price: &str) {
        let fields = Fields { price: price.parse().unwrap(), ..Fields::default() };
        self.execute(&Request::Set(symbol.parse().unwrap(), fields));
    }

    pub(crate) fn delist(&self, symbol: &str) {
        self.execute(&Request::Delist(symbol.parse().unwrap()));
    }

    fn execute(&self, request: &Request) {
        self.engine.executor().batch(&Access::All).execute(request);
    }

    /// Ends it, as a server that is asked to.
    pub(crate) fn stop(mut self) {
        self.web.take().unwrap().shutdown(Instant::now() + Duration::from_secs(4));
    }
}

/// An address of the loopback at which nothing listens.
pub(crate) fn free_address() -> Address {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().into()
}

pub(crate) fn loopback() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

fn secret() -> Token {
    Token::new([7; 32])
}
