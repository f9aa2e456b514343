//! A server with an access file, and clients that show tokens.

use std::net::SocketAddr;
use std::sync::Arc;

use stockd_access::{AccessFile, Authority, Token};
use stockd_engine::{Access, Catalog, Engine, Sync};
use stockd_model::{Edit, Fields, Quote, Request, Symbol, Volume};
use stockd_server::{Config, Endpoint, Protocol, Server};
use stockd_store::{Store, StoreError, Write};

use crate::client::Client;

/// A disk that takes everything.
#[derive(Debug)]
struct Disk;

impl Store for Disk {
    fn commit(&mut self, _: &[Write], _: u64) -> Result<(), StoreError> {
        Ok(())
    }
}

pub(crate) struct Stage {
    pub(crate) engine: Arc<Engine>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) server: Server,
}

impl Stage {
    pub(crate) fn new(file: &str) -> Stage {
        Stage::over(Engine::default(), file)
    }

    /// Over a disk.
    pub(crate) fn durable(file: &str) -> Stage {
        Stage::over(Engine::durable(Catalog::new(), 0, Box::new(Disk), Sync::Always), file)
    }

    fn over(engine: Engine, file: &str) -> Stage {
        let engine = Arc::new(engine);
        let authority = Arc::new(Authority::new(AccessFile::parse(file).unwrap()));
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoints = [Protocol::Resp, Protocol::Line].map(|it| Endpoint::plain(it, any_port));
        let config = Config {
            workers: 2,
            endpoints: endpoints.to_vec(),
            authority: Arc::clone(&authority),
            ..Config::default()
        };
        let server = Server::start(config, Arc::clone(&engine)).unwrap();
        Stage { engine, authority, server }
    }

    /// Puts another file into force.
    pub(crate) fn replace(&self, file: &str) {
        self.authority.replace(AccessFile::parse(file).unwrap());
        self.server.access_changed();
    }

    pub(crate) fn address(&self, endpoint: usize) -> SocketAddr {
        self.server.endpoints()[endpoint].address.tcp().unwrap()
    }

    /// A client that has shown nothing.
    pub(crate) fn nobody(&self) -> Client {
        Client::connect(self.address(0))
    }

    /// A client that has shown the token of this number.
    pub(crate) fn client(&self, number: u8) -> Client {
        let mut client = self.nobody();
        assert_eq!(client.ask(&format!("AUTH {}", token(number))), "OK");
        client
    }

    pub(crate) fn set(&self, name: &str, price: &str) {
        let price = Edit::Set(price.parse().unwrap());
        let volume = Edit::Set(Volume::new(100));
        let fields = Fields { price, volume, ..Fields::default() };
        self.engine.executor().batch(&Access::All).execute(&Request::Set(symbol(name), fields));
    }

    pub(crate) fn delist(&self, name: &str) {
        self.engine.executor().batch(&Access::All).execute(&Request::Delist(symbol(name)));
    }

    pub(crate) fn quote(&self, name: &str) -> Option<Quote> {
        self.engine.quote(&Access::All, &symbol(name))
    }
}

pub(crate) fn symbol(name: &str) -> Symbol {
    name.parse().unwrap()
}

/// The token of this number.
pub(crate) fn token(number: u8) -> String {
    Token::new([number; 32]).as_str().to_owned()
}

/// A user of an access file with the tokens of these numbers, and the rest of it.
pub(crate) fn user(name: &str, tokens: &[u8], rest: &str) -> String {
    let hashes = tokens.iter().map(|number| format!("\"{}\"", Token::new([*number; 32]).hash()));
    let hashes: Vec<String> = hashes.collect();
    format!("[[user]]\nname = \"{name}\"\ntokens = [{}]\n{rest}\n", hashes.join(", "))
}
