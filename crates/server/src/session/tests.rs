mod work;

use super::*;
use crate::client_list::ClientInfo;
use crate::connection_id::ConnectionId;
use crate::conversation::Ending;
use crate::memory::Memory;
use crate::metrics::Cells;
use crate::protocol;
use crate::server_state::ServerState;
use crate::tls_stream::TlsBuffers;
use crate::turn::Replies;
use crate::turn_queue::Pace;
use crate::{Endpoint, Metrics, Protocol};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use stockd_access::Identity;
use stockd_engine::{Access, Budget, Engine, Executor, Feed, WriteHandle};
use stockd_model::limits::{LINE_BYTES_MAX, LOOKUPS_TOGETHER_MAX, TURN_WORK};
use stockd_model::{Edit, Fields, Request, Volume};

/// A client's session, the engine behind it and what it was replied.
struct Client {
    session: Session,
    executor: Executor,
    out: Vec<u8>,
    out_bytes_max: usize,
    work: Budget,
    writer: Option<WriteHandle>,
    feed: Feed,
    server: Arc<ServerState>,
    identity: Identity,
    tls: TlsBuffers,
    cells: Cells,
}

impl Client {
    fn new() -> Client {
        Client::over(Protocol::Line)
    }

    fn over(protocol: Protocol) -> Client {
        Client::of(&Arc::new(Engine::default()), protocol, usize::MAX)
    }

    fn of(engine: &Arc<Engine>, protocol: Protocol, memory_max: usize) -> Client {
        let mut executor = engine.executor();
        for (name, price) in [("AAPL", "172.50"), ("IBM", "159.00")] {
            let fields = Fields {
                price: Edit::Set(price.parse().unwrap()),
                volume: Edit::Set(Volume::new(1)),
                ..Fields::default()
            };
            let set = Request::Set(name.parse().unwrap(), fields);
            executor.batch(&Access::All).execute(&set);
        }
        let memory = Memory::new(memory_max, 0);
        let server = ServerState::new(Arc::clone(engine), memory, Arc::default(), Metrics::default);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1)).into();
        let info = server.clients.enter(peer, protocol, Instant::now(), None);
        Client {
            session: Session::new((protocol::of(protocol).begin)(&info, &Identity::default())),
            executor,
            out: Vec::new(),
            out_bytes_max: usize::MAX,
            work: Budget::new(TURN_WORK),
            writer: {
                let owner = thread::current();
                engine.write_handle(move || owner.unpark())
            },
            feed: engine.feed(|| {}),
            server,
            identity: Identity::default(),
            tls: TlsBuffers::default(),
            cells: Cells::default(),
        }
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut Session, &mut Turn<'_>) -> R) -> R {
        let mut turn = Turn {
            id: ConnectionId::new(0, 1),
            now: Instant::now(),
            pace: Pace::Heavy,
            is_timed: false,
            work: self.work,
            identity: &mut self.identity,
            executor: &mut self.executor,
            writer: self.writer.as_mut(),
            feed: &mut self.feed,
            server: &self.server,
            input: &mut [],
            tls: &mut self.tls,
            replies: Replies { out: &mut self.out, bytes_max: self.out_bytes_max },
            cells: &self.cells,
        };
        act(&mut self.session, &mut turn)
    }

    fn receive(&mut self, input: &[u8]) -> Waits {
        self.with(|session, turn| session.receive(input, turn))
    }

    fn awaits_newline(&mut self) -> Option<Patience> {
        self.with(|session, turn| session.awaits_newline(turn))
    }

    fn fall_silent(&mut self) -> Waits {
        self.with(Session::fall_silent)
    }

    /// As another client of the same host.
    fn connect_again(&mut self) {
        let peer = SocketAddr::from(([127, 0, 0, 1], 2)).into();
        let info = self.server.clients.enter(peer, Protocol::Line, Instant::now(), None);
        self.session = Session::new((protocol::of(Protocol::Line).begin)(&info, &self.identity));
    }

    fn replied(&mut self) -> String {
        String::from_utf8(mem::take(&mut self.out)).unwrap()
    }
}

#[test]
fn a_request_cut_at_every_byte_is_answered_when_its_newline_comes() {
    let stream = b"AAPL\r\nXYZ\nIBM\n";
    for cut in 0..=stream.len() {
        let mut client = Client::new();
        let (head, tail) = stream.split_at(cut);
        assert_eq!(client.receive(head), Waits::Input);
        assert_eq!(client.receive(tail), Waits::Input);
        assert_eq!(client.replied(), "172.5\n-1\n159\n", "cut at {cut}");
        assert_eq!(client.session.undecoded.capacity(), 0);
    }
}

#[test]
fn any_number_of_requests_in_one_read_is_answered_in_order() {
    for count in [1, LOOKUPS_TOGETHER_MAX, LOOKUPS_TOGETHER_MAX + 1, 1000] {
        let mut lines = Client::new();
        assert_eq!(lines.receive("AAPL\n\nIBM\n".repeat(count).as_bytes()), Waits::Input);
        assert_eq!(lines.replied(), "172.5\n-1\n159\n".repeat(count));

        let mut commands = Client::over(Protocol::Resp);
        let get = "*2\r\n$3\r\nGET\r\n$4\r\nAAPL\r\n";
        let mget = format!("*{}\r\n$4\r\nMGET\r\n{}", 1 + count, "$3\r\nIBM\r\n".repeat(count));
        let input = [&get.repeat(count), "PING\r\n", &mget, get].concat();
        assert_eq!(commands.receive(input.as_bytes()), Waits::Input);
        let (apple, ibm) = ("$5\r\n172.5\r\n", "$3\r\n159\r\n".repeat(count));
        let replied = [&apple.repeat(count), "+PONG\r\n", &format!("*{count}\r\n{ibm}"), apple];
        assert_eq!(commands.replied(), replied.concat());
    }
}

#[test]
fn first_bytes_without_a_newline_are_a_request_after_silence() {
    let mut client = Client::new();
    assert_eq!(client.awaits_newline(), None);
    assert_eq!(client.receive(b"AA"), Waits::Input);
    assert_eq!(client.awaits_newline(), Some(Patience::Usual));
    assert_eq!(client.receive(b"PL"), Waits::Input);
    assert_eq!(client.replied(), "");
    assert_eq!(client.fall_silent(), Waits::Input);
    assert_eq!(client.replied(), "172.5");
    assert_eq!(client.receive(b"IBM"), Waits::Input);
    assert_eq!(client.replied(), "159");
    assert_eq!(client.awaits_newline(), None);
    assert_eq!(client.cells.unterminated.get(), 1);
}

#[test]
fn silence_in_the_middle_of_a_later_line_means_nothing() {
    let mut client = Client::new();
    assert_eq!(client.receive(b"AAPL\nIB"), Waits::Input);
    assert_eq!(client.awaits_newline(), None);
    assert_eq!(client.fall_silent(), Waits::Input);
    assert_eq!(client.receive(b"M\n"), Waits::Input);
    assert_eq!(client.replied(), "172.5\n159\n");
}

#[test]
fn a_newline_that_comes_late_ends_the_reply_and_begins_lines() {
    let mut client = Client::new();
    assert_eq!(client.receive(b"AAPL"), Waits::Input);
    assert_eq!(client.fall_silent(), Waits::Input);
    assert_eq!(client.receive(b"\r"), Waits::Input);
    assert_eq!(client.receive(b"\nIBM"), Waits::Input);
    assert_eq!(client.replied(), "172.5\n");
    assert_eq!(client.receive(b"\n"), Waits::Input);
    assert_eq!(client.replied(), "159\n");
}

#[test]
fn the_next_client_of_a_host_with_an_unterminated_one_waits_for_less() {
    let mut client = Client::new();
    let _ = client.receive(b"AAPL");
    assert_eq!(client.fall_silent(), Waits::Input);
    client.connect_again();
    let _ = client.receive(b"IB");
    assert_eq!(client.awaits_newline(), Some(Patience::Short));
    let _ = client.receive(b"M");
    assert_eq!(client.fall_silent(), Waits::Input);
    assert_eq!(client.replied(), "172.5159");

    client.connect_again();
    let _ = client.receive(b"AAPL\n");
    client.connect_again();
    let _ = client.receive(b"IBM");
    assert_eq!(client.awaits_newline(), Some(Patience::Usual), "the latest spoke in lines");
}

#[test]
fn another_protocol_is_answered_in_its_own_and_nothing_behind_it_is() {
    for (sent, answered) in [
        ("*2\r\n$3\r\nGET\r\n$4\r\nAAPL\r\nAAPL\n", "-ERR "),
        ("GET /AAPL HTTP/1.1\r\nHost: x\r\n\r\nAAPL\n", "HTTP/1.1 400 "),
        ("PROXY TCP4 127.0.0.1 127.0.0.1 55 7878\r\nAAPL\n", "ERR "),
        ("\x16\x03\x01\x02\0\x01\nAAPL\n", "\x15\x03\x01\0\x02\x02"),
    ] {
        let mut client = Client::new();
        assert_eq!(client.receive(sent.as_bytes()), Waits::Nothing(Ending::Foreign));
        let replied = client.replied();
        assert!(replied.starts_with(answered) && !replied.contains("172.5"), "{replied}");
    }
}

#[test]
fn a_call_is_a_lookup_of_the_name_within_it_unless_the_whole_is_listed() {
    let mut client = Client::new();
    let _ = client.receive(b"Lookup AAPL\nIBM\nLookup,IBM\nLookup:XYZ\n");
    assert_eq!(client.replied(), "172.5\n159\n159\n-1\n");
    let fields = Fields { price: "7".parse().unwrap(), ..Fields::default() };
    let set = Request::Set("Lookup AAPL".parse().unwrap(), fields);
    client.executor.batch(&Access::All).execute(&set);
    let _ = client.receive(b"Lookup AAPL\nLookup IBM");
    client.with(Session::end);
    assert_eq!(client.replied(), "7\n159\n");
}

#[test]
fn the_end_of_the_stream_answers_what_is_left() {
    for (stream, replies) in [
        (b"AAPL\nIBM".as_slice(), "172.5\n159\n"),
        (b"AAPL", "172.5"),
        (b"AAPL\n", "172.5\n"),
        (b"", ""),
    ] {
        let mut client = Client::new();
        assert_eq!(client.receive(stream), Waits::Input);
        client.with(Session::end);
        assert_eq!(client.replied(), replies);
    }
}

#[test]
fn a_stop_answers_first_bytes_and_gives_half_a_line_up() {
    for (stream, replies) in [(b"AAPL".as_slice(), "172.5"), (b"AAPL\nIBM", "172.5\n")] {
        let mut client = Client::new();
        assert_eq!(client.receive(stream), Waits::Input);
        client.with(Session::stop);
        assert_eq!(client.replied(), replies);
        assert_eq!(client.session.undecoded_bytes(), 0);
    }
}

#[test]
fn without_room_requests_are_held_back_and_answered_later() {
    let mut client = Client::new();
    client.out_bytes_max = 1;
    assert_eq!(client.receive(b"AAPL\nIBM\nXYZ\nIB"), Waits::Room);
    for expected in ["172.5\n", "159\n", "-1\n"] {
        assert!(client.session.is_held_back());
        assert_eq!(client.replied(), expected);
        let _ = client.with(Session::resume);
    }
    assert!(!client.session.is_held_back());
    assert_eq!(client.receive(b"M\n"), Waits::Room);
    assert_eq!(client.replied(), "159\n");
}

#[test]
fn a_line_too_long_is_the_end_after_the_replies_before_it() {
    let mut client = Client::new();
    let line = vec![b'A'; LINE_BYTES_MAX];
    assert_eq!(client.receive(b"IBM\n"), Waits::Input);
    assert_eq!(client.receive(&line), Waits::Input);
    assert_eq!(client.session.undecoded_bytes(), LINE_BYTES_MAX);
    assert_eq!(client.receive(b"A"), Waits::Nothing(Ending::LineTooLong));
    assert_eq!(client.replied(), "159\n");
    assert_eq!(client.session.undecoded.capacity(), 0);
}

/// A client that has come through a proxy, or past it.
fn proxied(protocol: Protocol) -> (Client, Arc<ClientInfo>) {
    let mut client = Client::over(protocol);
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let endpoint = Endpoint { proxied: true, ..Endpoint::plain(protocol, address) };
    let info = client.server.clients.enter(address.into(), protocol, Instant::now(), None);
    client.session = Session::new(protocol::begin(&endpoint, &info, &client.identity));
    (client, info)
}

#[test]
fn a_client_behind_a_proxy_is_the_one_that_the_header_names() {
    let stream = b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 7878\r\nAAPL\nIBM\n";
    for cut in 0..=stream.len() {
        let (mut client, info) = proxied(Protocol::Line);
        let (head, tail) = stream.split_at(cut);
        assert_eq!(client.receive(head), Waits::Input);
        assert_eq!(client.receive(tail), Waits::Input);
        assert_eq!(client.replied(), "172.5\n159\n", "cut at {cut}");
        assert_eq!(info.peer().to_string(), "192.0.2.1:56324");
    }
    let (mut client, _) = proxied(Protocol::Resp);
    assert_eq!(client.receive(b"PROXY UNKNOWN\r\nGET AAPL\r\n"), Waits::Input);
    assert_eq!(client.replied(), "$5\r\n172.5\r\n");
}

#[test]
fn a_client_that_comes_past_the_proxy_is_refused() {
    for (protocol, refusal) in [(Protocol::Line, "ERR "), (Protocol::Resp, "-ERR ")] {
        let (mut client, _) = proxied(protocol);
        assert_eq!(client.receive(b"GET AAPL\r\n"), Waits::Nothing(Ending::Foreign));
        let replied = client.replied();
        assert!(replied.starts_with(refusal) && replied.contains("proxy_protocol"), "{replied}");
    }
}
