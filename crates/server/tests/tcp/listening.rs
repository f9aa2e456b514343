//! What a server listens on, and why it does not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use stockd_engine::Engine;
use stockd_model::Address;
use stockd_server::{Config, Endpoint, Protocol, Server, StartError};

use crate::awaiting::PATIENCE;
use crate::market::{Client, Market};

#[test]
fn what_cannot_be_started_says_why() {
    let why = |config: Config| {
        let started = Server::start(config, Arc::new(Engine::default()));
        started.expect_err("it started").to_string()
    };
    let market = Market::open(1);
    let listener = |address: Address| Endpoint::plain(Protocol::Line, address);
    let config = |address| Config { endpoints: vec![listener(address)], ..Config::default() };
    let taken = market.address();
    assert_eq!(
        why(config(taken.clone())),
        format!(
            "cannot listen on {taken}: address already in use; choose another with --line ADDR, \
             or port 0 for any free one"
        )
    );
    assert_eq!(
        why(config("192.0.2.1:0".parse().unwrap())),
        "cannot listen on 192.0.2.1:0: this machine has no such address; choose one of its own \
         with --line ADDR"
    );
    let any = Address::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    for (workers, connections_max, reason) in [
        (0, 1, "0 workers are not possible; choose 1 to 1024"),
        (1025, 1, "1025 workers are not possible; choose 1 to 1024"),
        (1, 0, "a limit of 0 connections serves nobody; choose at least 1"),
    ] {
        let config = Config { workers, connections_max, ..config(any.clone()) };
        assert_eq!(why(config), reason);
    }
}

#[test]
fn a_server_that_cannot_start_leaves_no_address_taken() {
    let market = Market::open(1);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let free = std::net::TcpListener::bind(any).unwrap().local_addr().unwrap();
    let listeners = [free.into(), market.address()]
        .map(|address: Address| Endpoint::plain(Protocol::Line, address));
    let config = Config { endpoints: listeners.to_vec(), ..Config::default() };
    let started = Server::start(config, Arc::new(Engine::default()));
    assert!(matches!(started, Err(StartError::Listen { address, .. }) if address != free.into()));
    std::net::TcpListener::bind(free).unwrap();
}

#[test]
fn several_listeners_lead_to_the_same_stocks() {
    let any = Address::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = Endpoint::plain(Protocol::Line, any);
    let config = Config { endpoints: vec![listener; 3], workers: 2, ..Config::default() };
    let server = Server::start(config, Arc::new(Engine::default())).unwrap();
    assert_eq!(server.endpoints().len(), 3);
    for Endpoint { protocol, address, .. } in server.endpoints().iter().map(AsRef::as_ref) {
        assert_eq!(*protocol, Protocol::Line);
        assert_eq!(Client::connect(address).ask("AAPL"), "-1");
    }
    let deadline = Instant::now() + PATIENCE;
    server.shutdown();
    assert!(Instant::now() < deadline);
}
