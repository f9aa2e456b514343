//! The quote client and the subscription against servers that misbehave: each test scripts what
//! the server does with the connections it gets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use stockd_client::{ClientError, Event, Options, QuoteClient, Subscription};
use stockd_model::Symbol;

/// Generous, and only so that a hanging test ends.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server that gives its first connection the first of these scripts, and so on; then it ends.
/// A script is what is waited for, and what is sent when that has come; at its end the server
/// waits for the client to close.
fn serve(scripts: &'static [&'static [Step]]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        std::thread::scope(|scope| {
            for script in scripts {
                let (stream, _) = listener.accept().unwrap();
                scope.spawn(|| play(stream, script));
            }
        });
    });
    (address, thread)
}

type Step = (&'static str, &'static str);

fn play(mut stream: TcpStream, script: &[Step]) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for (awaited, sent) in script {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(awaited) {
            let mut byte = [0];
            match stream.read(&mut byte).unwrap() {
                0 => panic!("closed before {awaited}: {}", String::from_utf8_lossy(&read)),
                _ => read.push(byte[0]),
            }
        }
        stream.write_all(sent.as_bytes()).unwrap();
    }
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

const HELLO: Step = ("PING\r\n", "+PONG\r\n");

fn symbol(name: &str) -> Symbol {
    name.parse().unwrap()
}

fn options(timeout: Duration) -> Options {
    Options { timeout, ..Options::default() }
}

#[test]
fn after_a_timeout_nothing_is_asked_until_reconnected() {
    let (address, server) = serve(&[&[HELLO], &[HELLO, ("DBSIZE\r\n", ":7\r\n")]]);
    let mut client = QuoteClient::connect_with(address, options(Duration::from_secs(1))).unwrap();
    let error = client.count().unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    let error = client.count().unwrap_err();
    assert!(matches!(error, ClientError::NotUsable { .. }), "{error:?}");
    client.reconnect().unwrap();
    assert_eq!(client.count().unwrap(), 7);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_server_that_is_full_or_none_of_ours_is_told_at_once() {
    let (address, server) = serve(&[
        &[("", "-ERR 10 connections are open, the limit; try again later\r\n")],
        &[("PING\r\n", "-1\n-1\n-1\n")],
        &[("PING\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n")],
    ]);
    let error = QuoteClient::connect(address).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{address} refused the connection: 10 connections are open, the limit; try again later"
        )
    );
    for rubbish in ["-1", "HTTP/1.1 400 Bad Request"] {
        let error = QuoteClient::connect(address).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "{address} sent '{rubbish}', which answers no request; check that it is a stockd resp listener"
            )
        );
    }
    server.join().unwrap();
}

#[test]
fn a_reply_of_another_kind_ends_the_connection() {
    for reply in ["+OK\r\n", "$-1\r\n", "*0\r\n", ":-1\r\n", ":x\r\n"] {
        let script: &'static [Step] = leak([HELLO, ("DBSIZE\r\n", reply)]);
        let (address, server) = serve(leak([script]));
        let mut client = QuoteClient::connect(address).unwrap();
        let error = client.count().unwrap_err();
        assert!(matches!(error, ClientError::NotAReply { .. }), "{reply:?}: {error:?}");
        assert!(matches!(client.count().unwrap_err(), ClientError::NotUsable { .. }));
        server.join().unwrap();
    }
}

const SUBSCRIBED: &str = "*3\r\n$9\r\nsubscribe\r\n$1\r\nA\r\n:1\r\n";

/// A message with the quote of A.
fn message(price: &str, version: u64, updated: u64) -> String {
    let payload = format!(
        r#"{{"symbol":"A","price":"{price}","volume":"1","status":"trading","version":{version},"updated":"1970-01-01T00:00:00.{updated:09}Z"}}"#
    );
    format!("*3\r\n$7\r\nmessage\r\n$1\r\nA\r\n${}\r\n{payload}\r\n", payload.len())
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

#[test]
fn a_subscription_goes_on_after_losses_and_never_back() {
    const SUBSCRIBE: &str = "SUBSCRIBE\r\n$1\r\nA\r\n";
    let first = leak([SUBSCRIBED, &message("5", 5, 500), "*1\r\n+rubbish\r\n"].concat());
    // An older quote, the same again, a newer one, and one of a server that counts from 1 again.
    let again = [("4", 4, 400), ("5", 5, 500), ("6", 6, 600), ("7", 1, 700)];
    let again = again.map(|(price, version, updated)| message(price, version, updated));
    let third = leak([SUBSCRIBED, &again.concat()].concat());
    // In between the client asks on a connection of its own what was delisted meanwhile: nothing.
    let quote = "*12\r\n+symbol\r\n+A\r\n+price\r\n+6\r\n+volume\r\n+1\r\n+status\r\n+trading\r\n\
        +version\r\n+6\r\n+updated\r\n+600\r\n";
    let scripts: [&'static [Step]; 4] = [
        leak([(SUBSCRIBE, first.as_str())]),
        leak([(SUBSCRIBE, "-ERR no\r\n")]),
        leak([(SUBSCRIBE, third.as_str())]),
        leak([HELLO, ("HGETALL\r\n$1\r\nA\r\n", quote)]),
    ];
    let (address, server) = serve(leak(scripts));
    let subscription = Subscription::open(address, [symbol("A")], [""; 0]).unwrap();
    let told: Vec<String> = subscription
        .take(6)
        .map(|event| match event {
            Event::Quote(quote) => format!("{} {}", quote.answer(), quote.version),
            Event::Delisted(symbol) => format!("{symbol} delisted"),
            Event::Unlisted(symbol) => format!("{symbol} unlisted"),
            Event::Forbidden(symbol) => format!("{symbol} forbidden"),
            Event::AllForbidden => "all forbidden".to_owned(),
            Event::Disconnected { reason, .. } => match reason {
                ClientError::NotAReply { .. } => "rubbish".to_owned(),
                other => other.to_string(),
            },
            Event::Reconnected => "reconnected".to_owned(),
        })
        .collect();
    assert_eq!(told, ["5 5", "rubbish", "no", "reconnected", "6 6", "7 1"]);
    server.join().unwrap();
}

#[test]
fn a_silent_server_is_asked_for_a_sign_of_life() {
    let (address, server) = serve(&[&[
        ("SUBSCRIBE\r\n$1\r\nA\r\n", SUBSCRIBED),
        ("PING\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
        ("PING\r\n", ""),
    ]]);
    // Long enough for the answer that it gives, whatever else the machine does.
    let options = options(Duration::from_secs(1));
    let mut subscription =
        Subscription::open_with(address, [symbol("A")], [""; 0], options).unwrap();
    let Some(Event::Disconnected { reason, retry_in }) = subscription.next_timeout(PATIENCE) else {
        panic!("not told of the silence")
    };
    assert!(reason.to_string().contains("did not give a sign of life within 1s"), "{reason}");
    assert!(retry_in <= Duration::from_millis(100));
    drop(subscription);
    server.join().unwrap();
}

#[test]
fn a_refused_subscription_is_an_error_of_opening_it() {
    let (address, server) = serve(&[&[("SUBSCRIBE\r\n$1\r\nA\r\n", "-ERR no more\r\n")]]);
    let error = Subscription::open(address, [symbol("A")], [""; 0]).unwrap_err();
    assert_eq!(error.to_string(), "no more");
    server.join().unwrap();
}
