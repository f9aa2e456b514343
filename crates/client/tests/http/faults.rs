//! Servers that are gone, silent, late, or none.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use stockd_client::Answer;
use stockd_client::http::{Client, Condition, Error, Event};
use stockd_model::limits::{RECONNECT_PAUSE_MAX, RECONNECT_PAUSE_MIN};

use crate::server::{Web, free_address};
use crate::{priced, runtime, soon, until};

/// A peer that does this with each connection, one after the other.
fn peer(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(serve));
    address
}

/// Reads a request, its body included.
fn read_request(stream: &mut TcpStream) {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).unwrap_or(0);
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(read > 0, "half a request");
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |it| it.parse().unwrap()) {
            return;
        }
    }
}

/// A peer that answers each request with these bytes, and closes.
fn answers(bytes: &'static str) -> Client {
    Client::new(peer(move |mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(bytes.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }))
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let address = free_address();
    let client = Client::new(address.clone());
    let runtime = runtime();
    let error = runtime.block_on(client.lookup("A")).unwrap_err();
    assert!(matches!(&error, Error::NotConnected { server, .. } if *server == address), "{error}");
    assert!(!error.is_uncertain());
    assert!(runtime.block_on(client.watch(Web::watch_of(&["A"]))).is_err());
    let error = runtime.block_on(Client::new("nowhere").lookup("A")).unwrap_err();
    assert!(matches!(error, Error::AddressNotResolved { .. }), "{error}");
    // The server comes, and the same client is of use.
    let web = Web::at(address);
    web.set("A", "1");
    assert_eq!(runtime.block_on(client.lookup("A")).unwrap().to_string(), "1");
}

#[test]
fn a_server_that_does_not_answer_costs_the_deadline_and_no_more() {
    let silent = peer(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let client = Client::new(silent).within(Duration::from_millis(50));
    runtime().block_on(soon(async {
        let error = client.lookup("AAPL").await.unwrap_err();
        let said = "no answer about 'AAPL' came within 50ms";
        assert!(error.to_string().starts_with(said) && error.is_uncertain(), "{error}");
        let write = client.update("A".parse().unwrap(), priced("1"), Condition::Always).await;
        assert!(matches!(write, Err(Error::DeadlineExceeded { .. })));
        let watch = client.watch(Web::watch_of(&["A"])).await;
        assert!(matches!(watch, Err(Error::DeadlineExceeded { .. })));
    }));
}

#[test]
fn what_is_no_answer_is_not_taken_for_one() {
    // The connection ends with the answer: a write that found it open still would be lost, and rightly so.
    const HTML: &str = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: text/html\r\n\
                        Content-Length: 9\r\n\r\n<p>no</p>";
    const PRICE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n172";
    const RUBBISH: &str = "-ERR unknown command\r\n";
    let runtime = runtime();
    for (bytes, is_no_reply) in
        [(HTML, true), (PRICE, true), (HALF, false), (RUBBISH, false), ("", false)]
    {
        let client = answers(bytes);
        runtime.block_on(soon(async {
            for error in [
                client.lookup("A").await.unwrap_err(),
                client.quote("A").await.unwrap_err(),
                client.quotes(["A"]).await.unwrap_err(),
                client.delist("A".parse().unwrap(), Condition::Always).await.unwrap_err(),
            ] {
                let fits = match error {
                    Error::NotAReply { .. } => is_no_reply,
                    Error::Lost { .. } => !is_no_reply,
                    _ => false,
                };
                assert!(fits, "{bytes}: {error}");
                assert!(error.is_uncertain());
            }
        }));
    }
    const LARGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n";
    let endless = peer(|mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(LARGE.as_bytes());
        while stream.write_all(&[b'x'; 65_536]).is_ok() {}
    });
    let error = runtime.block_on(soon(Client::new(endless).lookup("A"))).unwrap_err();
    assert!(error.to_string().contains("more than 16777216 bytes"), "{error}");
}

#[test]
fn a_snapshot_that_breaks_off_is_an_error() {
    const QUOTE: &str = r#"{"symbol":"A","status":"trading","price":"1","version":1,"updated":"2026-09-21T14:13:20Z"}"#;
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let broken = format!("{head}{}", chunk(&format!("{QUOTE}\n")));
    let half = format!("{head}{}0\r\n\r\n", chunk(&format!("{QUOTE}\n{{")));
    for bytes in [broken, half] {
        let client = answers(Box::leak(bytes.into_boxed_str()));
        runtime().block_on(soon(async {
            let mut snapshot = client.snapshot().await.unwrap();
            assert!(snapshot.next().await.unwrap().is_some());
            let error = snapshot.next().await.unwrap_err();
            assert!(matches!(error, Error::Lost { .. }), "{error}");
            assert!(snapshot.next().await.unwrap().is_none());
        }));
    }
}

/// The connections of a server that was restarted are found closed, and others are opened.
#[test]
fn requests_go_on_after_a_restart() {
    let address = free_address();
    let (runtime, client) = (runtime(), Client::new(address.clone()));
    for _ in 0..3 {
        let web = Web::at(address.clone());
        for _ in 0..3 {
            let listed = client.list("A".parse().unwrap(), priced("1"), Condition::Always);
            runtime.block_on(listed).unwrap();
            assert!(matches!(runtime.block_on(client.lookup("A")).unwrap(), Answer::Price(_)));
        }
        web.stop();
    }
}

/// The server is there and says nothing: no heartbeat, no end.
#[test]
fn a_watch_that_hears_nothing_connects_again() {
    const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\
        event: hello\ndata: {\"epoch\":\"00000000000000aa\",\"resumed\":false}\n\n";
    let silent = peer(|mut stream| {
        read_request(&mut stream);
        stream.write_all(STREAM.as_bytes()).unwrap();
        // It stays open until the client has given it up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = Client::new(silent);
    // Without a deadline the last doubt is as long as can be.
    for (client, silence) in
        [(client.clone(), "it was silent for 20s"), (client.within(Duration::MAX), "")]
    {
        runtime.block_on(async {
            let mut watch = client.watch(Web::watch_of(&["A"])).await.unwrap();
            assert!(matches!(watch.next().await, Event::Connected { epoch: 0xaa, .. }));
            // From here on the clock of the runtime runs as fast as it can.
            tokio::time::pause();
            let event = watch.next().await;
            let Event::Disconnected { reason, .. } = &event else { panic!("{event:?}") };
            assert!(reason.to_string().ends_with(silence), "{reason}");
            tokio::time::resume();
            assert!(matches!(soon(watch.next()).await, Event::Connected { .. }));
        });
    }
}

/// A server that sends everybody away at once, and one that sends them away for weeks.
#[test]
fn a_goodbye_sets_a_pause_within_bounds() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    for (retry_ms, pause) in [("0", RECONNECT_PAUSE_MIN), ("4294967295", RECONNECT_PAUSE_MAX)] {
        let goodbye = format!("{HEAD}event: goodbye\ndata: {{\"retry_ms\":{retry_ms}}}\n\n");
        let client = answers(Box::leak(goodbye.into_boxed_str()));
        runtime().block_on(soon(async {
            let mut watch = client.watch(Web::watch_of(&["A"])).await.unwrap();
            let event = watch.next().await;
            let Event::Disconnected { retry_in, .. } = event else { panic!("{event:?}") };
            assert_eq!(retry_in, pause);
        }));
    }
}

#[test]
fn a_stream_of_rubbish_is_given_up() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    for events in ["data: {}\n\n", "event: hello\ndata: 1\n\n", "event: forbidden\ndata: x\n\n"] {
        let client = answers(Box::leak(format!("{HEAD}{events}").into_boxed_str()));
        let runtime = runtime();
        let mut watch = runtime.block_on(client.watch(Web::watch_of(&["A"]))).unwrap();
        for _ in 0..3 {
            let lost = until(&runtime, &mut watch, |it| matches!(it, Event::Disconnected { .. }));
            assert_eq!(lost.len(), 1, "{lost:?}");
        }
    }
}
