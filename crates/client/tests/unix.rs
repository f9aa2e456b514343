//! The clients over Unix sockets: with a server, and with what is none.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use stockd_client::{Answer, Client, ClientError, Event, Options, QuoteClient, Subscription};
use stockd_engine::Engine;
use stockd_model::{Address, Edit, Fields, Symbol, Volume};
use stockd_server::{Config, Endpoint, Protocol, Server};

/// Generous, and only so that a hanging test ends.
const PATIENCE: Duration = Duration::from_secs(180);

fn address(directory: &Path, name: &str) -> String {
    format!("unix:{}/{name}", directory.display())
}

/// A server of both protocols, at `line` and `resp` in the directory.
fn serve(directory: &Path, engine: &Arc<Engine>) -> Server {
    let endpoint = |protocol: Protocol| {
        let address: Address = address(directory, protocol.as_str()).parse().unwrap();
        Endpoint::plain(protocol, address)
    };
    let endpoints = vec![endpoint(Protocol::Line), endpoint(Protocol::Resp)];
    let config = Config { endpoints, workers: 2, ..Config::default() };
    Server::start(config, Arc::clone(engine)).unwrap()
}

#[test]
fn all_clients_work_and_come_back_to_a_server_that_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Arc::new(Engine::default());
    let server = serve(directory.path(), &engine);
    let (line, resp) = (address(directory.path(), "line"), address(directory.path(), "resp"));
    let mut quotes = QuoteClient::connect(&resp).unwrap();
    let stock: Symbol = "AAPL".parse().unwrap();
    let fields = |price: &str| Fields {
        price: Edit::Set(price.parse().unwrap()),
        volume: Edit::Set(Volume::new(1)),
        ..Fields::default()
    };
    quotes.set(stock, fields("172.50")).unwrap();
    let mut subscription = Subscription::open(&resp, [stock], [""; 0]).unwrap();
    let told = subscription.next_timeout(PATIENCE);
    assert!(matches!(&told, Some(Event::Quote(quote)) if quote.version == 1), "{told:?}");
    let mut client = Client::connect(&line).unwrap();
    assert_eq!(client.server().to_string(), line);
    let names: Vec<&str> = ["AAPL", "XYZ"].into_iter().cycle().take(20_000).collect();
    let answers = client.lookup_all(&names).unwrap();
    assert_eq!(answers[19_998], Answer::Price("172.5".parse().unwrap()));
    assert_eq!(answers[19_999], Answer::NotFound);

    server.shutdown();
    let error = client.lookup("AAPL").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{line} closed the connection before it answered 'AAPL'; reconnect and ask again")
    );
    let error = client.reconnect().unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot connect to {line}: ")), "{error}");
    let ended = subscription.next_timeout(PATIENCE);
    assert!(matches!(ended, Some(Event::Disconnected { .. })), "{ended:?}");

    let _server = serve(directory.path(), &engine);
    client.reconnect().unwrap();
    assert_eq!(client.lookup("XYZ").unwrap(), Answer::NotFound);
    quotes.reconnect().unwrap();
    quotes.set(stock, fields("173")).unwrap();
    let told = std::iter::from_fn(|| subscription.next_timeout(PATIENCE));
    let latest = |event: &Event| matches!(event, Event::Quote(quote) if quote.version == 2);
    assert!(told.into_iter().any(|event| latest(&event)));
}

#[test]
fn a_server_that_does_not_accept_is_not_waited_for_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let connect_timeout = Duration::from_millis(20);
    let options = Options { connect_timeout, ..Options::default() };
    let address = address(directory.path(), "s");
    let mut waiting = Vec::new();
    let error = loop {
        match Client::connect_with(&address, options.clone()) {
            Ok(client) => waiting.push(client),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    let told = format!("{address} did not accept the connection within 20ms");
    assert!(error.to_string().starts_with(&told), "{error}");
}

#[test]
fn a_socket_that_nobody_listens_on_is_named() {
    let directory = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(directory.path().join("left")).unwrap());
    for name in ["left", "missing"] {
        let address = address(directory.path(), name);
        let error = Client::connect(&address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot connect to {address}: ")), "{error}");
    }
    let long = address(directory.path(), &"x".repeat(108));
    let error = Client::connect(&long).unwrap_err().to_string();
    assert!(error.contains("at most 107 bytes"), "{error}");
}
