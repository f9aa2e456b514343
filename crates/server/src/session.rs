//! The session: what one connection has said and what is answered, without its socket.
//!
//! Bytes go in, replies come out, and what the session waits for next is returned. It knows no
//! sockets and no clock: whoever drives it tells it when the client fell silent, ended its stream
//! or is to be sent away. So any readiness or completion engine can stand around it.
//!
//! Invariant: requests are answered in the order they came, each once. Only bytes that make no
//! whole request yet, or for whose replies there was no room, are kept.

use std::mem;
use std::time::Instant;

use stockd_engine::{Batch, Budget, Catalog, Feed, SubscriberId, Tag, Writer};
use stockd_model::Reply;
use stockd_model::limits::LOOKUPS_TOGETHER_MAX;
use stockd_wire::line::{self, Decoded, Framing, LineDecoder};

use crate::overview::Overview;
use crate::roster::Card;
use crate::{Protocol, resp};

/// One connection's side of the conversation.
#[derive(Debug)]
pub(crate) struct Session {
    codec: Codec,
    /// Received and not decoded yet. Holds no memory while it is empty.
    undecoded: Vec<u8>,
    /// Whether whole requests may be among the undecoded bytes, held back for lack of room or
    /// until the journal has answered.
    held_back: bool,
}

#[derive(Debug)]
enum Codec {
    Line(LineDecoder),
    Resp(Box<resp::Conversation>),
}

/// Where replies come from and where they go in one turn.
#[derive(Debug)]
pub(crate) struct Replies<'a> {
    pub(crate) batch: Batch<'a>,
    /// For what has to be kept on the disk first, and the tag under which its reply comes back.
    pub(crate) writer: Option<&'a mut Writer>,
    pub(crate) tag: Tag,
    pub(crate) out: &'a mut Vec<u8>,
    /// No further request is decoded once `out` is this long.
    pub(crate) out_bytes_max: usize,
    /// The feed of the worker, and which of its subscribers this one is.
    pub(crate) feed: &'a mut Feed,
    pub(crate) subscriber: SubscriberId,
    pub(crate) card: &'a Card,
    pub(crate) overview: &'a Overview,
    pub(crate) now: Instant,
}

/// Where messages come from and where they go in one turn.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    pub(crate) feed: &'a mut Feed,
    pub(crate) subscriber: SubscriberId,
    pub(crate) catalog: &'a Catalog,
    pub(crate) budget: Budget,
    pub(crate) out: &'a mut Vec<u8>,
    /// No further message is encoded once `out` is this long.
    pub(crate) out_bytes_max: usize,
}

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[allow(clippy::enum_variant_names, reason = "it waits for something in every case")]
pub(crate) enum Waits {
    /// For more bytes, silence or the end.
    ForInput,
    /// For room for replies: [`Session::resume`] goes on. It takes no input before that.
    ForRoom,
    /// For the journal to answer what is parked: then [`Session::resume`] goes on. It takes no
    /// input before that.
    ForJournal,
    /// For nothing more: the connection is to be closed once the replies are written.
    ForNothing(Ending),
}

/// Why a session wants no more input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A line was too long.
    LineTooLong,
    /// The input was no command. The reply says so.
    ProtocolError,
    /// The client said goodbye.
    Quit,
}

impl Replies<'_> {
    /// How many lookups may be begun before they are answered, so that no request is decoded once
    /// there is no room; 0 when there is none. A reply has at most so many bytes.
    #[inline]
    pub(crate) fn lookups_together(&self, reply_bytes_max: usize) -> usize {
        let room = self.out_bytes_max.saturating_sub(self.out.len());
        room.div_ceil(reply_bytes_max).min(LOOKUPS_TOGETHER_MAX)
    }
}

impl Session {
    pub(crate) fn new(protocol: Protocol) -> Session {
        let codec = match protocol {
            Protocol::Line => Codec::Line(LineDecoder::new()),
            Protocol::Resp => Codec::Resp(Box::default()),
        };
        Session { codec, undecoded: Vec::new(), held_back: false }
    }

    /// Answers what one read has brought.
    #[inline]
    pub(crate) fn receive(&mut self, input: &[u8], replies: &mut Replies<'_>) -> Waits {
        debug_assert!(!self.held_back, "input before there was room");
        if self.undecoded.is_empty() {
            let (consumed, waits) = self.codec.answer(input, replies);
            self.keep(&input[consumed..], waits)
        } else {
            self.undecoded.extend_from_slice(input);
            self.resume(replies)
        }
    }

    /// Answers what was held back for lack of room.
    pub(crate) fn resume(&mut self, replies: &mut Replies<'_>) -> Waits {
        let input = mem::take(&mut self.undecoded);
        let (consumed, waits) = self.codec.answer(&input, replies);
        if consumed > 0 {
            return self.keep(&input[consumed..], waits);
        }
        self.undecoded = input;
        self.keep(&[], waits)
    }

    /// The client has sent its first bytes and nothing in the time that a newline has to follow:
    /// it is unterminated, and what is there is its request. Returns whether that was so; a
    /// connection that is decided already stays what it is.
    pub(crate) fn fall_silent(&mut self, replies: &mut Replies<'_>) -> bool {
        let undecided = self.awaits_newline();
        if undecided {
            self.end(replies);
        }
        undecided
    }

    /// The client has ended its stream: answers what is left of it, a last request without its
    /// newline too.
    pub(crate) fn end(&mut self, replies: &mut Replies<'_>) {
        debug_assert!(!self.held_back, "the end before what was held back");
        let rest = mem::take(&mut self.undecoded);
        if let Codec::Line(decoder) = &mut self.codec
            && let Some(symbol) = decoder.decode_end(&rest)
        {
            replies.batch.begin(&symbol);
            replies.batch.answer(|answer| line::encode(answer, decoder.framing(), replies.out));
        }
    }

    /// The server stops: answers first bytes that a newline might have followed, since they may
    /// be all that the client ever meant to send. Half a line is given up: what it would ask is
    /// not known.
    pub(crate) fn stop(&mut self, replies: &mut Replies<'_>) {
        self.fall_silent(replies);
        self.undecoded = Vec::new();
    }

    /// Whether the first bytes have come and a newline has to follow soon.
    #[inline]
    pub(crate) fn awaits_newline(&self) -> bool {
        match &self.codec {
            Codec::Line(decoder) => {
                decoder.framing() == Framing::Undecided && !self.undecoded.is_empty()
            }
            Codec::Resp(_) => false,
        }
    }

    /// Tells a subscriber what it has not been told, as long as there is room. Returns how many
    /// messages that were.
    pub(crate) fn tell(&self, told: &mut Told<'_>) -> u64 {
        match &self.codec {
            Codec::Line(_) => 0,
            Codec::Resp(conversation) => conversation.tell(told),
        }
    }

    /// Whether [`resume`](Session::resume) is due as soon as there is room and nothing is parked.
    #[inline]
    pub(crate) fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// Whether replies are to come from the journal.
    #[inline]
    pub(crate) fn is_parked(&self) -> bool {
        match &self.codec {
            Codec::Line(_) => false,
            Codec::Resp(conversation) => conversation.is_parked(),
        }
    }

    /// The journal has answered the request that was parked first.
    pub(crate) fn answered(&mut self, reply: &Reply, out: &mut Vec<u8>) {
        if let Codec::Resp(conversation) = &mut self.codec {
            conversation.answered(reply, out);
        }
    }

    /// Bytes that are kept.
    pub(crate) fn undecoded_bytes(&self) -> usize {
        self.undecoded.len()
    }

    #[inline]
    fn keep(&mut self, rest: &[u8], waits: Waits) -> Waits {
        self.held_back = matches!(waits, Waits::ForRoom | Waits::ForJournal);
        if matches!(waits, Waits::ForNothing(_)) {
            self.undecoded = Vec::new();
        } else if !rest.is_empty() {
            self.undecoded.extend_from_slice(rest);
        }
        waits
    }
}

impl Codec {
    /// Answers as many requests as there are and as there is room for. Returns how many bytes
    /// they took.
    #[inline]
    fn answer(&mut self, input: &[u8], replies: &mut Replies<'_>) -> (usize, Waits) {
        match self {
            Codec::Line(decoder) => answer_lines(decoder, input, replies),
            Codec::Resp(conversation) => conversation.answer(input, replies),
        }
    }
}

#[inline]
fn answer_lines(
    decoder: &mut LineDecoder,
    input: &[u8],
    replies: &mut Replies<'_>,
) -> (usize, Waits) {
    let mut rest = input;
    let waits = loop {
        let together = replies.lookups_together(line::REPLY_BYTES_MAX);
        if together == 0 {
            break Waits::ForRoom;
        }
        let waits = begin_lines(decoder, &mut rest, &mut replies.batch, together);
        replies.batch.answer(|answer| line::encode(answer, decoder.framing(), replies.out));
        if let Some(waits) = waits {
            break waits;
        }
    };
    (input.len() - rest.len(), waits)
}

/// Decodes up to so many lines and begins their lookups. Says what the session waits for if there
/// are fewer.
#[inline(always)]
fn begin_lines(
    decoder: &mut LineDecoder,
    rest: &mut &[u8],
    batch: &mut Batch<'_>,
    together: usize,
) -> Option<Waits> {
    while batch.begun() < together {
        match decoder.decode(rest) {
            Ok(Some(Decoded { symbol, consumed })) => {
                batch.begin(&symbol);
                *rest = &rest[consumed..];
            }
            Ok(None) => return Some(Waits::ForInput),
            Err(line::LineTooLong) => return Some(Waits::ForNothing(Ending::LineTooLong)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IoEngine, Metrics};
    use std::net::SocketAddr;
    use std::sync::Arc;
    use stockd_engine::{Engine, Executor};
    use stockd_model::limits::LINE_BYTES_MAX;
    use stockd_model::{Fields, Request, Volume};

    /// A session, the engine behind it and what it has replied.
    struct Conversation {
        session: Session,
        executor: Executor,
        out: Vec<u8>,
        out_bytes_max: usize,
        feed: Feed,
        overview: Arc<Overview>,
        card: Arc<Card>,
    }

    impl Conversation {
        fn new() -> Conversation {
            Conversation::over(Protocol::Line)
        }

        fn over(protocol: Protocol) -> Conversation {
            let engine = Arc::new(Engine::default());
            let mut executor = engine.executor();
            for (name, price) in [("AAPL", "172.50"), ("IBM", "159.00")] {
                let fields = Fields {
                    price: Some(price.parse().unwrap()),
                    volume: Some(Volume::new(1)),
                    status: None,
                };
                let set = Request::Set(name.parse().unwrap(), fields);
                executor.batch().execute(&set);
            }
            let overview = Overview::new(Arc::clone(&engine), IoEngine::Mio, Metrics::default);
            let peer = SocketAddr::from(([127, 0, 0, 1], 1)).into();
            Conversation {
                session: Session::new(protocol),
                executor,
                out: Vec::new(),
                out_bytes_max: usize::MAX,
                feed: Feed::new(engine.watcher(|| {})),
                card: overview.roster.enter(peer, protocol, Instant::now()),
                overview,
            }
        }

        fn with<R>(&mut self, act: impl FnOnce(&mut Session, &mut Replies<'_>) -> R) -> R {
            let mut replies = Replies {
                batch: self.executor.batch(),
                writer: None,
                tag: (0, 0),
                out: &mut self.out,
                out_bytes_max: self.out_bytes_max,
                feed: &mut self.feed,
                subscriber: SubscriberId(0),
                card: &self.card,
                overview: &self.overview,
                now: Instant::now(),
            };
            act(&mut self.session, &mut replies)
        }

        fn receive(&mut self, input: &[u8]) -> Waits {
            self.with(|session, replies| session.receive(input, replies))
        }

        fn replied(&mut self) -> String {
            String::from_utf8(mem::take(&mut self.out)).unwrap()
        }
    }

    #[test]
    fn a_request_cut_at_every_byte_is_answered_when_its_newline_comes() {
        let stream = b"AAPL\r\nXYZ\nIBM\n";
        for cut in 0..=stream.len() {
            let mut conversation = Conversation::new();
            let (head, tail) = stream.split_at(cut);
            assert_eq!(conversation.receive(head), Waits::ForInput);
            assert_eq!(conversation.receive(tail), Waits::ForInput);
            assert_eq!(conversation.replied(), "172.5\n-1\n159\n", "cut at {cut}");
            assert_eq!(conversation.session.undecoded.capacity(), 0);
        }
    }

    #[test]
    fn any_number_of_requests_in_one_read_is_answered_in_order() {
        for count in [1, LOOKUPS_TOGETHER_MAX, LOOKUPS_TOGETHER_MAX + 1, 1000] {
            let mut lines = Conversation::new();
            assert_eq!(lines.receive("AAPL\n\nIBM\n".repeat(count).as_bytes()), Waits::ForInput);
            assert_eq!(lines.replied(), "172.5\n-1\n159\n".repeat(count));

            let mut commands = Conversation::over(Protocol::Resp);
            let get = "*2\r\n$3\r\nGET\r\n$4\r\nAAPL\r\n";
            let mget = format!("*{}\r\n$4\r\nMGET\r\n{}", 1 + count, "$3\r\nIBM\r\n".repeat(count));
            let input = [&get.repeat(count), "PING\r\n", &mget, get].concat();
            assert_eq!(commands.receive(input.as_bytes()), Waits::ForInput);
            let (apple, ibm) = ("$5\r\n172.5\r\n", "$3\r\n159\r\n".repeat(count));
            let replied = [&apple.repeat(count), "+PONG\r\n", &format!("*{count}\r\n{ibm}"), apple];
            assert_eq!(commands.replied(), replied.concat());
        }
    }

    #[test]
    fn first_bytes_without_a_newline_are_a_request_after_silence() {
        let mut conversation = Conversation::new();
        assert!(!conversation.session.awaits_newline());
        assert_eq!(conversation.receive(b"AA"), Waits::ForInput);
        assert!(conversation.session.awaits_newline());
        assert_eq!(conversation.receive(b"PL"), Waits::ForInput);
        assert_eq!(conversation.replied(), "");
        assert!(conversation.with(Session::fall_silent));
        assert_eq!(conversation.replied(), "172.5");
        assert_eq!(conversation.receive(b"IBM"), Waits::ForInput);
        assert_eq!(conversation.replied(), "159");
        assert!(!conversation.session.awaits_newline());
    }

    #[test]
    fn silence_in_the_middle_of_a_later_line_means_nothing() {
        let mut conversation = Conversation::new();
        assert_eq!(conversation.receive(b"AAPL\nIB"), Waits::ForInput);
        assert!(!conversation.session.awaits_newline());
        assert!(!conversation.with(Session::fall_silent));
        assert_eq!(conversation.receive(b"M\n"), Waits::ForInput);
        assert_eq!(conversation.replied(), "172.5\n159\n");
    }

    #[test]
    fn the_end_of_the_stream_answers_what_is_left() {
        for (stream, replies) in [
            (b"AAPL\nIBM".as_slice(), "172.5\n159\n"),
            (b"AAPL", "172.5"),
            (b"AAPL\n", "172.5\n"),
            (b"", ""),
        ] {
            let mut conversation = Conversation::new();
            assert_eq!(conversation.receive(stream), Waits::ForInput);
            conversation.with(Session::end);
            assert_eq!(conversation.replied(), replies);
        }
    }

    #[test]
    fn a_stop_answers_first_bytes_and_gives_half_a_line_up() {
        for (stream, replies) in [(b"AAPL".as_slice(), "172.5"), (b"AAPL\nIBM", "172.5\n")] {
            let mut conversation = Conversation::new();
            assert_eq!(conversation.receive(stream), Waits::ForInput);
            conversation.with(Session::stop);
            assert_eq!(conversation.replied(), replies);
            assert_eq!(conversation.session.undecoded_bytes(), 0);
        }
    }

    #[test]
    fn without_room_requests_are_held_back_and_answered_later() {
        let mut conversation = Conversation::new();
        conversation.out_bytes_max = 1;
        assert_eq!(conversation.receive(b"AAPL\nIBM\nXYZ\nIB"), Waits::ForRoom);
        for expected in ["172.5\n", "159\n", "-1\n"] {
            assert!(conversation.session.is_held_back());
            assert_eq!(conversation.replied(), expected);
            let _ = conversation.with(Session::resume);
        }
        assert!(!conversation.session.is_held_back());
        assert_eq!(conversation.receive(b"M\n"), Waits::ForRoom);
        assert_eq!(conversation.replied(), "159\n");
    }

    #[test]
    fn a_line_too_long_is_the_end_after_the_replies_before_it() {
        let mut conversation = Conversation::new();
        let line = vec![b'A'; LINE_BYTES_MAX];
        assert_eq!(conversation.receive(b"IBM\n"), Waits::ForInput);
        assert_eq!(conversation.receive(&line), Waits::ForInput);
        assert_eq!(conversation.session.undecoded_bytes(), LINE_BYTES_MAX);
        assert_eq!(conversation.receive(b"A"), Waits::ForNothing(Ending::LineTooLong));
        assert_eq!(conversation.replied(), "159\n");
        assert_eq!(conversation.session.undecoded.capacity(), 0);
    }
}
