//! The quote client and the subscription against servers that misbehave: each test scripts what
//! the server does with the connections it gets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use stockd_client::{ClientError, Event, Options, QuoteClient, Subscription};
use stockd_model::Symbol;
use stockd_model::limits::RECONNECT_PAUSE_MIN;

/// Generous, and only so that a hanging test ends.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server that gives its first connection the first of these scripts, and so on; then it ends.
/// A script is what is waited for, and what is sent when that has come; at its end the server
/// waits for the client to close. Returns what each client has sent.
fn serve(scripts: &'static [&'static [Step]]) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        std::thread::scope(|scope| {
            let play_next = |script: &&'static [Step]| {
                let (stream, script) = (listener.accept().unwrap().0, *script);
                scope.spawn(move || play(stream, script))
            };
            let players: Vec<_> = scripts.iter().map(play_next).collect();
            players.into_iter().map(|player| player.join().unwrap()).collect()
        })
    });
    (address, thread)
}

type Step = (&'static str, &'static str);

fn play(mut stream: TcpStream, script: &[Step]) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = Vec::new();
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
        all.append(&mut read);
    }
    let _ = stream.read_to_end(&mut all);
    String::from_utf8(all).unwrap()
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

/// Something that is no message of a server.
const RUBBISH: &str = "*1\r\n+rubbish\r\n";

/// A message with the quote of A.
fn message(price: &str, version: u64, updated: u64) -> String {
    told(&format!(
        r#"{{"symbol":"A","price":"{price}","volume":"1","status":"trading","version":{version},"updated":"1970-01-01T00:00:00.{updated:09}Z"}}"#
    ))
}

fn told(payload: &str) -> String {
    format!("*3\r\n$7\r\nmessage\r\n$1\r\nA\r\n${}\r\n{payload}\r\n", payload.len())
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

#[test]
fn a_subscription_goes_on_after_losses_and_never_back() {
    const SUBSCRIBE: &str = "SUBSCRIBE\r\n$1\r\nA\r\n";
    let first = leak([SUBSCRIBED, &message("5", 5, 500), RUBBISH].concat());
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
    const SUBSCRIBE: &str = "SUBSCRIBE\r\n$1\r\nA\r\n";
    let (address, server) =
        serve(&[&[(SUBSCRIBE, "-ERR no more\r\n")], &[(SUBSCRIBE, "-NOPERM not this\r\n")]]);
    for text in ["no more", "NOPERM not this"] {
        let error = Subscription::open(address, [symbol("A")], [""; 0]).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
    server.join().unwrap();
}

/// Each time it takes the subscription, and then fails before it is known what was missed.
#[test]
fn a_server_that_fails_again_and_again_is_asked_after_longer_pauses() {
    const SUBSCRIBE: &str = "SUBSCRIBE\r\n$1\r\nA\r\n";
    let first: &'static [Step] =
        leak([(SUBSCRIBE, leak([SUBSCRIBED, &message("5", 5, 500), RUBBISH].concat()).as_str())]);
    let again: &'static [Step] = &[(SUBSCRIBE, SUBSCRIBED)];
    let missed: &'static [Step] = &[HELLO, ("HGETALL\r\n$1\r\nA\r\n", "-ERR not now\r\n")];
    let (address, server) = serve(leak([first, again, missed, again, missed]));
    let subscription = Subscription::open(address, [symbol("A")], [""; 0]).unwrap();
    let pauses = subscription.filter_map(|event| match event {
        Event::Disconnected { retry_in, .. } => Some(retry_in),
        _ => None,
    });
    let pauses: Vec<Duration> = pauses.take(3).collect();
    assert!(pauses[0] < RECONNECT_PAUSE_MIN, "{pauses:?}");
    assert!(pauses[1] >= RECONNECT_PAUSE_MIN, "{pauses:?}");
    assert!(pauses[2] >= 2 * RECONNECT_PAUSE_MIN, "{pauses:?}");
    server.join().unwrap();
}

#[test]
fn what_may_be_read_no_longer_is_not_asked_for_again() {
    const SUBSCRIBED_TO_B: &str = "*3\r\n$9\r\nsubscribe\r\n$1\r\nB\r\n:2\r\n";
    let forbidden = told(r#"{"symbol":"B","status":"forbidden"}"#);
    let first = leak([SUBSCRIBED, SUBSCRIBED_TO_B, &forbidden, RUBBISH].concat());
    let second = leak([SUBSCRIBED, &message("6", 6, 600)].concat());
    let scripts: [&'static [Step]; 2] = [
        leak([("SUBSCRIBE\r\n$1\r\nB\r\n", first.as_str())]),
        leak([("SUBSCRIBE\r\n$1\r\nA\r\n", second.as_str())]),
    ];
    let (address, server) = serve(leak(scripts));
    let topics = [symbol("A"), symbol("B")];
    let mut subscription = Subscription::open(address, topics, [""; 0]).unwrap();
    let events: Vec<Event> = subscription.by_ref().take(4).collect();
    assert!(
        matches!(
            &events[..],
            [
                Event::Forbidden(forbidden),
                Event::Disconnected { .. },
                Event::Reconnected,
                Event::Quote(_)
            ] if *forbidden == symbol("B")
        ),
        "{events:?}"
    );
    drop(subscription);
    let sent = server.join().unwrap();
    assert!(!sent[1].contains("\r\nB\r\n"), "{}", sent[1]);
}

/// Rights that were taken away while there was no connection.
#[test]
fn a_topic_that_may_not_be_read_ends_no_other() {
    const NOPERM: &str = "-NOPERM no permission to read this stock\r\n";
    let first = leak([SUBSCRIBED, NOPERM, &message("5", 5, 500), RUBBISH].concat());
    let scripts: [&'static [Step]; 2] = [
        leak([("SUBSCRIBE\r\n$1\r\nB\r\n", first.as_str())]),
        &[("SUBSCRIBE\r\n$1\r\nA\r\n", NOPERM)],
    ];
    let (address, server) = serve(leak(scripts));
    let topics = [symbol("A"), symbol("B")];
    let mut subscription = Subscription::open(address, topics, [""; 0]).unwrap();
    let events: Vec<Event> = subscription.by_ref().take(5).collect();
    let [
        Event::Forbidden(first),
        Event::Quote(_),
        Event::Disconnected { .. },
        Event::Reconnected,
        Event::Forbidden(second),
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!([*first, *second], [symbol("B"), symbol("A")]);
    drop(subscription);
    server.join().unwrap();
}

/// A server answers a ping in another form where nothing is subscribed to.
#[test]
fn a_subscription_of_which_nothing_is_left_goes_on() {
    let forbidden = told(r#"{"symbol":"A","status":"forbidden"}"#);
    let first = leak([SUBSCRIBED, &forbidden].concat());
    let pong = leak(["+PONG\r\n", RUBBISH].concat());
    let scripts: [&'static [Step]; 2] = [
        leak([("SUBSCRIBE\r\n$1\r\nA\r\n", first.as_str()), ("PING\r\n", pong.as_str())]),
        &[HELLO],
    ];
    let (address, server) = serve(leak(scripts));
    let options = options(Duration::from_secs(1));
    let mut subscription =
        Subscription::open_with(address, [symbol("A")], [""; 0], options).unwrap();
    let events: Vec<Event> = subscription.by_ref().take(3).collect();
    let [Event::Forbidden(_), Event::Disconnected { reason, .. }, Event::Reconnected] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert!(reason.to_string().contains("sent 'an array of 1'"), "{reason}");
    drop(subscription);
    server.join().unwrap();
}

/// Of a pattern the server does not say what may be read no longer.
#[test]
fn a_stock_of_a_pattern_that_may_be_read_no_longer_ends_no_subscription() {
    const PSUBSCRIBE: &str = "PSUBSCRIBE\r\n$1\r\n*\r\n";
    const CONFIRMED: &str = "*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n";
    let first = leak([CONFIRMED, &message("5", 5, 500), RUBBISH].concat());
    let second = leak([CONFIRMED, &message("6", 6, 600)].concat());
    let scripts: [&'static [Step]; 3] = [
        leak([(PSUBSCRIBE, first.as_str())]),
        leak([(PSUBSCRIBE, second.as_str())]),
        &[HELLO, ("HGETALL\r\n$1\r\nA\r\n", "-NOPERM no permission to read this stock\r\n")],
    ];
    let (address, server) = serve(leak(scripts));
    let subscription = Subscription::open(address, [], ["*"]).unwrap();
    let events: Vec<Event> = subscription.take(4).collect();
    assert!(
        matches!(
            &events[..],
            [Event::Quote(_), Event::Disconnected { .. }, Event::Reconnected, Event::Quote(_)]
        ),
        "{events:?}"
    );
    server.join().unwrap();
}
