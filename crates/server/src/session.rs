//! The session: what one connection has said and what is answered, without its socket.
//!
//! Bytes go in, replies come out, and what the session waits for next is returned. It knows no
//! sockets and no clock: its connection tells it when the client fell silent, ended its stream or is
//! to be sent away. What bytes mean is its [`Conversation`]'s affair; what is kept of them is its own.
//!
//! Invariant: requests are answered in the order they came, each once. Only bytes that make no
//! whole request yet, or for whose replies there was no room, are kept.

use std::mem;
use std::sync::Arc;

use stockd_engine::Answered;

use crate::Protocol;
use crate::client_list::ClientInfo;
use crate::conversation::{Conversation, Waits};
use crate::protocol;
use crate::turn::Turn;

/// One connection's side of the conversation.
#[derive(Debug)]
pub(crate) struct Session {
    conversation: Box<dyn Conversation>,
    /// Received and not decoded yet. Holds no memory while it is empty.
    undecoded: Vec<u8>,
    /// Whether whole requests may be among the undecoded bytes, held back for lack of room or
    /// until the committer has answered.
    held_back: bool,
}

impl Session {
    pub(crate) fn new(protocol: Protocol, client: &Arc<ClientInfo>) -> Session {
        let conversation = (protocol::of(protocol).begin)(client);
        Session { conversation, undecoded: Vec::new(), held_back: false }
    }

    /// Answers what one read has brought.
    #[inline]
    pub(crate) fn receive(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Waits {
        debug_assert!(!self.held_back, "input before there was room");
        if self.undecoded.is_empty() {
            let (consumed, waits) = self.conversation.answer(input, turn);
            self.keep(&input[consumed..], waits)
        } else {
            self.undecoded.extend_from_slice(input);
            self.resume(turn)
        }
    }

    /// Answers what was held back for lack of room.
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>) -> Waits {
        let input = mem::take(&mut self.undecoded);
        let (consumed, waits) = self.conversation.answer(&input, turn);
        if consumed > 0 {
            return self.keep(&input[consumed..], waits);
        }
        self.undecoded = input;
        self.keep(&[], waits)
    }

    /// The client has sent its first bytes and nothing in the time that a newline has to follow:
    /// it is unterminated, and what is there is its request. Returns whether that was so; a
    /// connection that is decided already stays what it is.
    pub(crate) fn fall_silent(&mut self, turn: &mut Turn<'_>) -> bool {
        let undecided = self.awaits_newline();
        if undecided {
            self.end(turn);
        }
        undecided
    }

    /// The client has ended its stream: answers what is left of it, a last request without its
    /// newline too.
    pub(crate) fn end(&mut self, turn: &mut Turn<'_>) {
        debug_assert!(!self.held_back, "the end before what was held back");
        let rest = mem::take(&mut self.undecoded);
        self.conversation.end(&rest, turn);
    }

    /// The server stops: answers first bytes that a newline might have followed, since they may
    /// be all that the client ever meant to send. Half a line is given up: what it would ask is
    /// not known.
    pub(crate) fn stop(&mut self, turn: &mut Turn<'_>) {
        self.fall_silent(turn);
        self.undecoded = Vec::new();
    }

    /// Whether the first bytes have come and a newline has to follow soon.
    #[inline]
    pub(crate) fn awaits_newline(&self) -> bool {
        !self.undecoded.is_empty() && self.conversation.may_be_unterminated()
    }

    /// Tells a subscriber what it has not been told, until the replies have `bytes_max` bytes. Returns
    /// how many messages that were.
    pub(crate) fn tell(&mut self, turn: &mut Turn<'_>, bytes_max: usize) -> u64 {
        self.conversation.tell(turn, bytes_max)
    }

    /// Whether [`resume`](Session::resume) is due as soon as there is room and the committer has
    /// answered.
    #[inline]
    pub(crate) fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// Whether replies are to come from the committer.
    #[inline]
    pub(crate) fn awaits_commit(&self) -> bool {
        self.conversation.awaits_commit()
    }

    /// The committer has answered what was handed to it first.
    pub(crate) fn committed(&mut self, answered: &Answered, out: &mut Vec<u8>) {
        self.conversation.committed(answered, out);
    }

    /// Bytes that are kept.
    pub(crate) fn undecoded_bytes(&self) -> usize {
        self.undecoded.len()
    }

    #[inline]
    fn keep(&mut self, rest: &[u8], waits: Waits) -> Waits {
        self.held_back = matches!(waits, Waits::Room | Waits::Commit);
        if matches!(waits, Waits::Nothing(_)) {
            self.undecoded = Vec::new();
        } else if !rest.is_empty() {
            self.undecoded.extend_from_slice(rest);
        }
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;
    use crate::connection_id::ConnectionId;
    use crate::conversation::Ending;
    use crate::metrics::Cells;
    use crate::server_state::ServerState;
    use crate::turn::Replies;
    use std::net::SocketAddr;
    use std::time::Instant;
    use stockd_engine::{Access, Engine, Executor, Feed};
    use stockd_model::limits::{LINE_BYTES_MAX, LOOKUPS_TOGETHER_MAX};
    use stockd_model::{Fields, Request, Volume};

    /// A client's session, the engine behind it and what it was replied.
    struct Client {
        session: Session,
        executor: Executor,
        out: Vec<u8>,
        out_bytes_max: usize,
        feed: Feed,
        server: Arc<ServerState>,
        cells: Cells,
    }

    impl Client {
        fn new() -> Client {
            Client::over(Protocol::Line)
        }

        fn over(protocol: Protocol) -> Client {
            let engine = Arc::new(Engine::default());
            let mut executor = engine.executor();
            for (name, price) in [("AAPL", "172.50"), ("IBM", "159.00")] {
                let fields = Fields {
                    price: Some(price.parse().unwrap()),
                    volume: Some(Volume::new(1)),
                    status: None,
                };
                let set = Request::Set(name.parse().unwrap(), fields);
                executor.batch(&Access::All).execute(&set);
            }
            let server = ServerState::new(Arc::clone(&engine), Metrics::default);
            let peer = SocketAddr::from(([127, 0, 0, 1], 1)).into();
            let info = server.clients.enter(peer, protocol, Instant::now());
            Client {
                session: Session::new(protocol, &info),
                executor,
                out: Vec::new(),
                out_bytes_max: usize::MAX,
                feed: engine.feed(|| {}),
                server,
                cells: Cells::default(),
            }
        }

        fn with<R>(&mut self, act: impl FnOnce(&mut Session, &mut Turn<'_>) -> R) -> R {
            let mut turn = Turn {
                id: ConnectionId::new(0, 1),
                now: Instant::now(),
                access: &Access::All,
                executor: &mut self.executor,
                writer: None,
                feed: &mut self.feed,
                server: &self.server,
                input: &mut [],
                replies: Replies { out: &mut self.out, bytes_max: self.out_bytes_max },
                cells: &self.cells,
            };
            act(&mut self.session, &mut turn)
        }

        fn receive(&mut self, input: &[u8]) -> Waits {
            self.with(|session, turn| session.receive(input, turn))
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
        assert!(!client.session.awaits_newline());
        assert_eq!(client.receive(b"AA"), Waits::Input);
        assert!(client.session.awaits_newline());
        assert_eq!(client.receive(b"PL"), Waits::Input);
        assert_eq!(client.replied(), "");
        assert!(client.with(Session::fall_silent));
        assert_eq!(client.replied(), "172.5");
        assert_eq!(client.receive(b"IBM"), Waits::Input);
        assert_eq!(client.replied(), "159");
        assert!(!client.session.awaits_newline());
    }

    #[test]
    fn silence_in_the_middle_of_a_later_line_means_nothing() {
        let mut client = Client::new();
        assert_eq!(client.receive(b"AAPL\nIB"), Waits::Input);
        assert!(!client.session.awaits_newline());
        assert!(!client.with(Session::fall_silent));
        assert_eq!(client.receive(b"M\n"), Waits::Input);
        assert_eq!(client.replied(), "172.5\n159\n");
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
}
