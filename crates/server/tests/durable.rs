//! Writes that wait for the disk: who waits with them, and who does not.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use socket2::SockRef;
use stockd_engine::{Catalog, Engine, Sync};
use stockd_model::limits::{OWN_COMMIT_QUIET, PARKED_REQUESTS_MAX};
use stockd_server::{Config, Endpoint, Metrics, Protocol, Server};
use stockd_store::simulation::GatedStore;

/// Far more than anything here takes. A test that reaches it hangs and fails.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server of one worker, so that all clients share it, over a gated disk.
struct Market {
    // Before the server, whose end would wait for the disk.
    gate: Sender<bool>,
    server: Server,
}

impl Market {
    fn open() -> Market {
        let (store, gate) = GatedStore::new();
        let engine = Engine::durable(Catalog::new(), 0, Box::new(store), Sync::Always);
        let listeners = vec![Endpoint::plain(Protocol::Resp, ([127, 0, 0, 1], 0))];
        let config = Config { endpoints: listeners, workers: 1, ..Config::default() };
        Market { gate, server: Server::start(config, Arc::new(engine)).unwrap() }
    }

    /// Lets a number of commits through.
    fn let_through(&self, commits: usize) {
        (0..commits).for_each(|_| self.gate.send(true).unwrap());
    }

    fn client(&self) -> Client {
        let address = &self.server.endpoints()[0].address;
        Client::connect(address.tcp().unwrap())
    }

    fn wait_until(&self, reached: impl Fn(&Metrics) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !reached(&self.server.metrics()) {
            assert!(Instant::now() < deadline, "never reached: {:?}", self.server.metrics());
            std::thread::yield_now();
        }
    }
}

/// A client that types its commands.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::new(stream))
    }

    fn send(&mut self, commands: &str) {
        self.0.get_mut().write_all(commands.as_bytes()).unwrap();
    }

    /// The next lines of replies.
    fn lines(&mut self, count: usize) -> Vec<String> {
        let line = |_| {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        (0..count).map(line).collect()
    }

    /// Whether nothing has come that was not read.
    fn hears_nothing(&mut self) -> bool {
        let stream = self.0.get_ref();
        stream.set_nonblocking(true).unwrap();
        let heard = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        self.0.buffer().is_empty()
            && heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

#[test]
fn a_write_is_answered_after_its_commit_and_others_are_served_meanwhile() {
    let market = Market::open();
    let (mut writer, mut other) = (market.client(), market.client());
    writer.send("HSET AAPL price 172.5 volume 10\r\n");
    // The writer's bytes were read before these lookups, or are by the last of them.
    for _ in 0..100 {
        other.send("GET AAPL\r\n");
        assert_eq!(other.lines(1), ["$-1"]);
    }
    market.wait_until(|metrics| metrics.bytes_in == 33 + 100 * 10);
    other.send("GET AAPL\r\n");
    assert_eq!(other.lines(1), ["$-1"]);
    assert!(writer.hears_nothing());
    market.let_through(1);
    assert_eq!(writer.lines(1), [":2"]);
    other.send("GET AAPL\r\n");
    assert_eq!(other.lines(2), ["$5", "172.5"]);
}

#[test]
fn replies_keep_their_order_and_a_client_reads_what_it_wrote() {
    let market = Market::open();
    let mut client = market.client();
    client.send(
        "GET A\r\nHSET A price 1 volume 9\r\nGET A\r\nHINCRBY A volume -4\r\nHGET A volume\r\n\
         PING\r\nHMGET A price volume\r\nHINCRBY A volume -9\r\nDEL A B\r\nMGET A A\r\nECHO bye\r\n",
    );
    market.let_through(11);
    let expected = [
        "$-1",
        ":2",
        "$1",
        "1",
        ":5",
        "$1",
        "5",
        "+PONG",
        "*2",
        "$1",
        "1",
        "$1",
        "5",
        "-ERR volume of 'A' is 5, cannot take 9",
        ":1",
        "*2",
        "$-1",
        "$-1",
        "$3",
        "bye",
    ];
    assert_eq!(client.lines(expected.len()), expected);
}

#[test]
fn many_more_writes_than_may_wait_are_all_answered_in_order() {
    let market = Market::open();
    let mut client = market.client();
    let rounds = 3 * PARKED_REQUESTS_MAX;
    let mut sender = client.0.get_ref().try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        sender.write_all(b"HSET A price 1 volume 0\r\n").unwrap();
        for _ in 0..rounds {
            sender.write_all(b"HINCRBY A volume 1\r\n").unwrap();
        }
    });
    // No commit has been let through, so no more can be taken than may wait.
    assert!(client.hears_nothing());
    drop(market.gate);
    assert_eq!(client.lines(1), [":2"]);
    for (volume, line) in (1..=rounds).zip(client.lines(rounds)) {
        assert_eq!(line, format!(":{volume}"));
    }
    sending.join().unwrap();
}

#[test]
fn a_long_inline_command_that_waits_for_the_disk_is_answered_whole() {
    let market = Market::open();
    let (mut client, mut other) = (market.client(), market.client());
    for name in ["A", "B"] {
        client.send(&format!("HSET {name} price 1 volume 1\r\n"));
        market.let_through(1);
        assert_eq!(client.lines(1), [":2"]);
    }
    client.send(&format!("DEL B{}\r\nGET A\r\nDBSIZE\r\n", " A".repeat(31_999)));
    // Nothing of it is kept yet, and a neighbour is served.
    other.send("GET A\r\n");
    assert_eq!(other.lines(2), ["$1", "1"]);
    drop(market.gate);
    assert_eq!(client.lines(3), [":2", "$-1", ":0"]);
}

#[test]
fn replies_of_a_client_that_has_gone_reach_nobody_else() {
    let market = Market::open();
    let mut gone = market.client();
    gone.send("HSET A price 1 volume 1\r\n");
    market.wait_until(|metrics| metrics.bytes_in == 25);
    // By a reset: a client that only closes its direction may still be listening.
    SockRef::from(gone.0.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(gone);
    market.wait_until(|metrics| metrics.open == 0);
    // This one takes its place.
    let mut next = market.client();
    next.send("HSET B price 2\r\nGET A\r\n");
    market.let_through(2);
    assert_eq!(next.lines(3), [":1", "$1", "1"]);
    assert!(next.hears_nothing());
}

#[test]
fn a_client_that_has_closed_its_direction_is_still_answered() {
    let market = Market::open();
    let mut client = market.client();
    client.send("HSET A price 1 volume 1\r\nGET A\r\n");
    client.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    market.wait_until(|metrics| metrics.bytes_in == 32);
    market.let_through(1);
    let mut text = String::new();
    client.0.read_to_string(&mut text).unwrap();
    assert_eq!(text, ":2\r\n$1\r\n1\r\n");
}

/// One client writes all the time and no other client asks anything, so its worker commits for it. Then the disk does not
/// answer: those who look up are served, also those who come only now.
#[test]
fn a_disk_that_stops_to_answer_holds_up_nobody_but_who_writes() {
    let market = Market::open();
    let (mut writer, mut other) = (market.client(), market.client());
    market.let_through(200);
    for _ in 0..200 {
        writer.send("HSET A price 1\r\n");
        assert_eq!(writer.lines(1).len(), 1);
    }
    writer.send("HSET A price 2\r\n");
    let mut newcomer = market.client();
    for client in [&mut other, &mut newcomer] {
        client.send("GET A\r\nGET B\r\n");
        assert_eq!(client.lines(3), ["$1", "1", "$-1"]);
    }
    assert!(writer.hears_nothing());
    market.let_through(1);
    assert_eq!(writer.lines(1), [":0"]);
    newcomer.send("HSET A price 3\r\n");
    market.let_through(1);
    assert_eq!(newcomer.lines(1), [":0"]);
    // It stops, too, though a thread may be at the disk for ever.
    writer.send("HSET A price 4\r\n");
    let received = 201 * 16 + 14 * 2 + 16 * 2;
    market.wait_until(|metrics| metrics.bytes_in == received);
    let Market { server, gate } = market;
    let stopping = std::thread::spawn(move || server.shutdown());
    // Its connection ends, without a reply.
    let _ = writer.0.get_ref().peek(&mut [0]);
    assert!(!writer.0.get_ref().peek(&mut [0]).is_ok_and(|bytes| bytes > 0));
    drop(gate);
    assert_eq!(stopping.join().unwrap().unflushed, 1);
}

/// A worker that commits for itself tells its clients what was committed before it looks for what they ask next. What
/// waited behind a write, and is written then, waits for nothing else that has to come.
#[test]
fn what_is_written_behind_the_reply_to_a_write_is_committed_without_another_request() {
    let Market { gate, server } = Market::open();
    drop(gate);
    let mut client = Client::connect(server.endpoints()[0].address.tcp().unwrap());
    for _ in 0..20 {
        // Until the worker commits for itself.
        let until = Instant::now() + 2 * OWN_COMMIT_QUIET;
        while Instant::now() < until {
            client.send("HSET A price 1\r\n");
            assert_eq!(client.lines(1).len(), 1);
        }
        client.send("HSET A price 2\r\nPING\r\nHSET A price 3\r\nHGET A price\r\n");
        assert_eq!(client.lines(5), [":0", "+PONG", ":0", "$1", "3"]);
    }
}

#[test]
fn a_server_that_stops_first_answers_the_writes_it_has_taken() {
    let market = Market::open();
    let mut client = market.client();
    client.send("HSET A price 1\r\nHSET A price 2\r\n");
    market.wait_until(|metrics| metrics.bytes_in == 32);
    let Market { server, gate } = market;
    let stopping = std::thread::spawn(move || server.shutdown());
    drop(gate);
    let mut text = String::new();
    client.0.read_to_string(&mut text).unwrap();
    assert_eq!(text, ":1\r\n:0\r\n");
    drop(client);
    assert_eq!(stopping.join().unwrap().unflushed, 0);
}

#[test]
fn after_a_failed_commit_writes_are_refused_and_lookups_go_on() {
    let market = Market::open();
    let mut client = market.client();
    client.send("HSET A price 1 volume 1\r\n");
    market.let_through(1);
    assert_eq!(client.lines(1), [":2"]);
    client.send("HSET A price 2\r\n");
    market.gate.send(false).unwrap();
    let refused = client.lines(1).remove(0);
    assert!(
        refused.starts_with("-MISCONF the write was not kept: ")
            && refused.contains("no storage space"),
        "{refused}"
    );
    client.send("HSET B price 2\r\nDEL A\r\nGET A\r\nINFO persistence\r\n");
    for refused in client.lines(2) {
        assert!(refused.starts_with("-MISCONF the catalog is read-only: "), "{refused}");
    }
    assert_eq!(client.lines(2), ["$1", "1"]);
    let info = client.lines(12).join("\n");
    for line in [
        "aof_last_write_status:err",
        "read_only:1",
        "read_only_cause:cannot write to 'quotes': no storage space",
    ] {
        assert!(info.contains(line), "{info}");
    }
}
