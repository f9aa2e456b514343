//! Sockets with files: why a server does not listen, and what it leaves behind.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use stockd_engine::Engine;
use stockd_model::Address;
use stockd_server::{Config, Endpoint, Protocol, Server};

use crate::awaiting::PATIENCE;
use crate::market::Market;

/// Starts a server with these endpoints, or says why not.
fn start<const N: usize>(endpoints: [(Protocol, &Address); N]) -> Result<Server, String> {
    let endpoint =
        |(protocol, address): (Protocol, &Address)| Endpoint::plain(protocol, address.clone());
    let config =
        Config { endpoints: endpoints.map(endpoint).into(), workers: 1, ..Config::default() };
    Server::start(config, Arc::new(Engine::default())).map_err(|error| error.to_string())
}

fn at(directory: &tempfile::TempDir, name: &str) -> Address {
    format!("unix:{}/{name}", directory.path().display()).parse().unwrap()
}

#[test]
fn what_cannot_be_listened_on_says_why_and_is_left_alone() {
    let market = Market::open(1);
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "precious").unwrap();
    for (address, reason) in [
        (market.address(), "another server listens there; stop it"),
        (at(&directory, "file"), "what is there is no socket; move it away"),
        (at(&directory, "missing/s"), "its directory does not exist; make it"),
        (at(&directory, "file/s"), "a part of the path is no directory; move that away"),
    ] {
        assert_eq!(
            start([(Protocol::Resp, &address)]).unwrap_err(),
            format!(
                "cannot listen on {address}: {reason}, or choose another path with --resp unix:PATH"
            )
        );
    }
    assert_eq!(fs::read_to_string(directory.path().join("file")).unwrap(), "precious");
    assert_eq!(market.client().ask("AAPL"), "172.5");
}

#[test]
fn a_server_that_cannot_start_leaves_no_socket() {
    let market = Market::open(1);
    let directory = tempfile::tempdir().unwrap();
    let free = at(&directory, "free");
    start([(Protocol::Resp, &free), (Protocol::Line, &market.address())]).unwrap_err();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    // Nor do two listeners of one server share a path.
    start([(Protocol::Resp, &free), (Protocol::Line, &free)]).unwrap_err();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_socket_left_behind_is_taken_over_and_goes_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(directory.path().join("s")).unwrap());
    let server = start([(Protocol::Line, &at(&directory, "s"))]).unwrap();
    assert_eq!(server.endpoints()[0].address, at(&directory, "s"));
    server.shutdown();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn clients_are_listed_under_the_socket_that_they_came_to() {
    let directory = tempfile::tempdir().unwrap();
    let _server = start([(Protocol::Resp, &at(&directory, "resp"))]).unwrap();
    let mut client = UnixStream::connect(directory.path().join("resp")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"CLIENT LIST\r\nQUIT\r\n").unwrap();
    let mut list = String::new();
    client.read_to_string(&mut list).unwrap();
    let address = format!(" addr={}/resp:0 ", directory.path().display());
    assert!(list.contains(&address), "{list}");
}
