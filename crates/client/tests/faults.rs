//! The client against servers that misbehave: each test scripts what the server does with the
//! connections it gets.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use stockd_client::{Answer, Client, ClientError, Options};
use stockd_model::limits::PIPELINE_NAMES_MAX;

/// A server that treats its first connection by the first script, its second by the second, and
/// then ends.
struct ScriptedServer {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

type Script = Box<dyn FnOnce(TcpStream) + Send>;

impl ScriptedServer {
    fn start(scripts: impl IntoIterator<Item = Script>) -> ScriptedServer {
        let scripts: Vec<Script> = scripts.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            for script in scripts {
                script(listener.accept().unwrap().0);
            }
        });
        ScriptedServer { address, thread }
    }

    /// Connects with timeouts that no test here is meant to reach.
    fn client(&self) -> Client {
        self.client_with(Duration::from_secs(60))
    }

    fn client_with(&self, timeout: Duration) -> Client {
        let options = Options { timeout, ..Options::default() };
        Client::connect_with(self.address, options).unwrap()
    }

    /// Waits until every script has run, and passes on its panic.
    fn finish(self) {
        self.thread.join().unwrap();
    }
}

fn script(script: impl FnOnce(TcpStream) + Send + 'static) -> Script {
    Box::new(script)
}

/// Reads one request and answers it with these bytes, then stays until the client goes.
fn answer_once(reply: Vec<u8>) -> Script {
    script(move |mut stream| {
        read_request(&stream);
        stream.write_all(&reply).unwrap();
        await_end(stream);
    })
}

fn read_request(stream: &TcpStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

/// Reads until the client closes.
fn await_end(mut stream: TcpStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// What [`answer_all`] answers: the digits after `S` are the price.
fn answer_of(name: &str) -> Answer {
    match name.strip_prefix('S').map(str::parse) {
        Some(Ok(price)) => Answer::Price(price),
        _ => Answer::NotFound,
    }
}

/// Reads one request, writes its reply, and only then reads the next: the simplest server there
/// is, which has no buffers of its own.
fn answer_all(stream: TcpStream) {
    let mut replies = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines() {
        let reply = answer_of(&line.unwrap());
        replies.write_all(format!("{reply}\n").as_bytes()).unwrap();
    }
}

/// A timeout for the tests that reach it. The servers there never answer, so any length does.
const SHORT: Duration = Duration::from_millis(20);

#[test]
fn after_a_timeout_the_late_reply_answers_no_other_name() {
    let (late, timed_out) = mpsc::channel();
    let server = ScriptedServer::start([
        script(move |mut stream| {
            read_request(&stream);
            timed_out.recv().unwrap();
            // The client may have closed by now, as it should.
            let _ = stream.write_all(b"111\n");
        }),
        script(answer_all),
    ]);
    // Long enough for the second server to answer on a busy machine.
    let mut client = server.client_with(Duration::from_secs(1));
    let error = client.lookup("S1").unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "{} did not answer 'S1' within 1s; check that it is up and reachable, or allow a longer timeout",
            server.address
        )
    );
    late.send(()).unwrap();

    let error = client.lookup("S2").unwrap_err();
    assert!(matches!(error, ClientError::NotUsable { .. }), "{error:?}");
    assert!(error.to_string().ends_with("reconnect first"), "{error}");
    let error = client.lookup_all(["S2"]).unwrap_err();
    assert!(matches!(error, ClientError::NotUsable { .. }), "{error:?}");

    client.reconnect().unwrap();
    assert_eq!(client.lookup("S2").unwrap(), answer_of("S2"));
    drop(client);
    server.finish();
}

#[test]
fn a_reply_that_comes_in_endless_drips_times_out() {
    let (done, finished) = mpsc::channel::<()>();
    let server = ScriptedServer::start([script(move |mut stream| {
        read_request(&stream);
        // Every byte comes in time for the one read that waits for it.
        let pace = SHORT / 4;
        while finished.recv_timeout(pace) == Err(RecvTimeoutError::Timeout) {
            let _ = stream.write_all(b"1");
        }
    })]);
    let error = server.client_with(SHORT).lookup("S1").unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    done.send(()).unwrap();
    server.finish();
}

/// The textbook's server sends the price and nothing behind it.
#[test]
fn a_reply_without_its_line_feed_is_named_when_the_time_is_over() {
    let server = ScriptedServer::start([script(move |mut stream| {
        read_request(&stream);
        stream.write_all(b"172.5").unwrap();
        await_end(stream);
    })]);
    let error = server.client_with(Duration::from_secs(1)).lookup("S1").unwrap_err();
    let expected = "did not end its reply '172.5' to 'S1' within 1s";
    assert!(error.to_string().contains(expected), "{error}");
    server.finish();
}

#[test]
fn a_server_that_never_reads_times_out() {
    let (done, finished) = mpsc::channel::<()>();
    let server = ScriptedServer::start([script(move |stream| {
        finished.recv().unwrap();
        drop(stream);
    })]);
    let names = vec!["A".repeat(60_000); 200];
    let error = server.client_with(SHORT).lookup_all(&names).unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    done.send(()).unwrap();
    server.finish();
}

#[test]
fn a_server_that_closes_names_the_first_name_without_an_answer() {
    let server = ScriptedServer::start([script(|mut stream| {
        read_request(&stream);
        stream.write_all(b"1\n-1\n3").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        await_end(stream);
    })]);
    let mut client = server.client();
    let error = client.lookup_all(["S1", "X", "S3", "S4"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} closed the connection before it answered 'S3'; reconnect and ask again",
            server.address
        )
    );
    drop(client);
    server.finish();
}

/// The server answers and closes while requests are still on their way to it, so that the
/// client's next write or read meets a reset.
#[test]
fn a_reset_is_a_closed_connection() {
    let server = ScriptedServer::start([script(|stream| {
        stream.peek(&mut [0]).unwrap();
        drop(stream);
    })]);
    let mut client = server.client();
    let error = client.lookup_all(vec!["S1"; 100_000]).unwrap_err();
    assert!(matches!(error, ClientError::Closed { .. }), "{error:?}");
    server.finish();
}

/// A full server says so and closes at once, which can reset the connection before the client
/// has written or read anything. Repeated, because which comes first is a race.
#[test]
fn a_refusal_is_told_in_the_words_of_the_server() {
    const ROUNDS: usize = 100;
    let refuse = || {
        script(|mut stream| {
            let text = b"ERR 10000 connections are open, the limit; try again later\n";
            stream.write_all(text).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        })
    };
    let server = ScriptedServer::start((0..ROUNDS).map(|_| refuse()));
    for _ in 0..ROUNDS {
        let error = server.client().lookup("S1").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{} refused the connection: 10000 connections are open, the limit; try again later",
                server.address
            )
        );
    }
    server.finish();
}

#[test]
fn rubbish_is_no_answer_and_ends_the_connection() {
    for rubbish in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"172.5.1\n",
        b"\n",
        b"\x00\xff\xfe\n",
        &[b'9'; 5000],
    ] {
        let server = ScriptedServer::start([answer_once(rubbish.to_vec())]);
        let mut client = server.client();
        let error = client.lookup("S1").unwrap_err();
        assert!(matches!(error, ClientError::NotAReply { .. }), "{error:?}");
        assert!(!error.to_string().contains('\r'), "{error}");
        let error = client.lookup("S1").unwrap_err();
        assert!(matches!(error, ClientError::NotUsable { .. }), "{error:?}");
        server.finish();
    }
}

#[test]
fn a_reply_nobody_asked_for_answers_nothing() {
    let server = ScriptedServer::start([answer_once(b"1\n2\n".to_vec())]);
    let mut client = server.client();
    assert_eq!(client.lookup("S1").unwrap(), answer_of("S1"));
    let error = client.lookup("S3").unwrap_err();
    assert!(error.to_string().contains("sent '2'"), "{error}");
    server.finish();
}

#[test]
fn a_name_that_cannot_be_sent_sends_nothing_and_leaves_the_connection_usable() {
    let server = ScriptedServer::start([script(|stream| {
        let lines: Vec<_> = BufReader::new(&stream).lines().take(1).collect();
        assert_eq!(lines[0].as_deref().unwrap(), "S7");
        (&stream).write_all(b"7\n").unwrap();
    })]);
    let mut client = server.client();
    let too_long = "A".repeat(65_537);
    for name in ["S1\nS2", "\n", &too_long] {
        let error = client.lookup(name).unwrap_err();
        assert!(matches!(error, ClientError::NameNotSendable { .. }), "{error:?}");
        let error = client.lookup_all(["S1", name]).unwrap_err();
        assert!(matches!(error, ClientError::NameNotSendable { .. }), "{error:?}");
    }
    assert_eq!(client.lookup("S7").unwrap(), answer_of("S7"));
    server.finish();
}

#[test]
fn answers_in_odd_pieces_are_answers() {
    let names: Vec<String> = (1..=300).map(|i| format!("S{i}.{i:09}")).collect();
    for piece in [1, 2, 3, 7, 64, 1000] {
        let replies: String = names.iter().map(|name| format!("{}\n", answer_of(name))).collect();
        let server = ScriptedServer::start([script(move |mut stream| {
            stream.set_nodelay(true).unwrap();
            for piece in replies.as_bytes().chunks(piece) {
                stream.write_all(piece).unwrap();
                std::thread::yield_now();
            }
            await_end(stream);
        })]);
        let mut client = server.client();
        let answers = client.lookup_all(&names).unwrap();
        let expected: Vec<_> = names.iter().map(|name| answer_of(name)).collect();
        assert_eq!(answers, expected, "in pieces of {piece}");
        drop(client);
        server.finish();
    }
}

/// What keeps a client that asks much and a server that waits for it to read from waiting for
/// each other: the number of replies that can be owed is bounded, however long the list is.
#[test]
fn two_chunks_of_requests_are_in_flight_and_no_more() {
    let server = ScriptedServer::start([script(|stream| {
        let mut requests = BufReader::new(&stream);
        let mut names = Vec::new();
        while names.len() < 2 * PIPELINE_NAMES_MAX {
            let mut name = String::new();
            requests.read_line(&mut name).unwrap();
            names.push(name);
        }
        stream.set_read_timeout(Some(SHORT)).unwrap();
        let more = requests.read_line(&mut String::new());
        assert!(more.is_err(), "a third chunk came before any reply");
        stream.set_read_timeout(None).unwrap();
        for name in names {
            let reply = answer_of(name.trim_end());
            writeln!(&stream, "{reply}").unwrap();
        }
        drop(requests);
        answer_all(stream);
    })]);
    let names: Vec<String> = (1..=20_000).map(|i| format!("S{i}")).collect();
    let mut client = server.client();
    let answers = client.lookup_all(&names).unwrap();
    let expected: Vec<_> = names.iter().map(|name| answer_of(name)).collect();
    assert_eq!(answers, expected);
    assert_eq!(client.lookup_all([""; 0]).unwrap(), []);
    drop(client);
    server.finish();
}

#[test]
fn every_address_of_the_server_is_tried() {
    let server = ScriptedServer::start([script(answer_all)]);
    let mut client = Client::connect(&[closed_port(), server.address][..]).unwrap();
    assert_eq!(client.server(), &server.address.into());
    assert_eq!(client.lookup("S5").unwrap(), answer_of("S5"));
    drop(client);
    server.finish();
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let address = closed_port();
    let error = Client::connect(address).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot connect to {address}: ")), "{error}");
    assert!(error.ends_with("; check that the server runs and listens there"), "{error}");

    for address in ["127.0.0.1", "127.0.0.1:x", "", "unix:"] {
        let error = Client::connect(address).unwrap_err();
        assert!(matches!(error, ClientError::AddressNotResolved { .. }), "{error:?}");
        assert!(
            error.to_string().ends_with("; write HOST:PORT, like 127.0.0.1:7878, or unix:PATH"),
            "{error}"
        );
    }
    let error = Client::connect(&[""; 0][..]).unwrap_err();
    assert!(matches!(error, ClientError::AddressNotResolved { .. }), "{error:?}");

    let no_time = Options { timeout: Duration::ZERO, ..Options::default() };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = Client::connect_with(listener.local_addr().unwrap(), no_time).unwrap_err();
    assert!(matches!(error, ClientError::NotConnected { .. }), "{error:?}");
}

/// A port on which no server listens, since it was free just now.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
