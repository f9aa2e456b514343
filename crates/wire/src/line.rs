//! The line protocol: a symbol and a newline in, a price and a newline out.
//!
//! A client that ends its first request with a newline speaks in *lines*, however its bytes are
//! cut on the way. One that sends `AAPL` and waits for an answer is *unterminated*: every read is
//! one request, and replies carry no newline. Which of the two it is shows in its first bytes and
//! in the silence after them; the clock that measures the silence is the caller's. A newline that comes
//! later still shows that the client speaks in lines.
//!
//! A server decodes with a [`LineDecoder`] and answers with [`encode`]; a client reads the answers
//! with [`decode_reply`].

mod opening;
mod reply;

use stockd_model::limits::LINE_BYTES_MAX;
use stockd_model::{Answer, DECIMAL_ROOM_BYTES, Symbol, SymbolError};

use opening::Opening;

use crate::proxy::UNEXPECTED_HEADER;

pub use opening::Foreign;
pub use reply::{LineReply, decode_reply};

/// How the requests of one connection are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// No newline has come yet, and the client may still be sending its first line.
    #[default]
    Undecided,
    /// Each request ends with LF or CRLF, each reply with LF.
    Lines,
    /// Each read is one request; requests and replies have no line end.
    Unterminated,
}

/// What a client asks about: a symbol, or a text that no stock can have as its name, which is a lookup
/// too.
pub type Name = Result<Symbol, SymbolError>;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A symbol.
    Symbol(Symbol),
    /// A text that no stock can have as its name.
    Impossible(SymbolError),
    /// A name that is written as a call, `Lookup AAPL`, `Lookup,AAPL` or `Lookup:AAPL`: what exercises
    /// of distributed systems have their clients send. Where the whole is listed, it is what is meant.
    Call {
        /// The whole text.
        whole: Symbol,
        /// The name within it.
        name: Symbol,
    },
}

/// Why nothing more can be decoded. The connection is of no use then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A line has more than [`LINE_BYTES_MAX`] bytes. Nothing after it can be told apart.
    #[error(
        "a line is longer than {LINE_BYTES_MAX} bytes, the limit; end each symbol with a newline"
    )]
    TooLong,
    /// The client speaks another protocol, and gets a [refusal](encode_refusal).
    #[error("{0:?} is not spoken on the port of the line protocol")]
    Foreign(Foreign),
}

/// Decodes the requests of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineDecoder {
    framing: Framing,
    /// Bytes at the front of the input that hold no newline. So a line that comes byte by byte is
    /// searched once, not once for each byte.
    searched: usize,
}

impl LineDecoder {
    /// A decoder for a new connection.
    pub fn new() -> LineDecoder {
        LineDecoder::default()
    }

    /// How requests are told apart, as far as the bytes so far show it.
    #[inline]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Takes the first request off the input, which begins with the first byte that was not taken
    /// before. `None` asks for more bytes behind those that are left.
    ///
    /// # Errors
    ///
    /// [`LineError::TooLong`] when the first line has more than [`LINE_BYTES_MAX`] bytes before its
    /// newline, or has that many and no newline; [`LineError::Foreign`] when the first bytes of the
    /// connection are no name.
    #[inline(always)]
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Asked>, LineError> {
        if self.framing != Framing::Lines
            && let Some(outcome) = self.decode_first(input)
        {
            return outcome;
        }
        // Nearly every line, at a glance.
        if let Some((symbol, bytes)) = Symbol::parse_short(input) {
            match input.get(bytes..) {
                Some([b'\n', rest @ ..]) | Some([b'\r', b'\n', rest @ ..]) => {
                    *input = rest;
                    self.line();
                    // Seven bytes are no call.
                    return Ok(Some(Asked::Symbol(symbol)));
                }
                _ => {}
            }
        }
        if input.is_empty() { Ok(None) } else { self.decode_any(input) }
    }

    /// What comes before it is known that the client speaks in lines. `None` where lines follow.
    #[cold]
    fn decode_first(&mut self, input: &mut &[u8]) -> Option<Result<Option<Asked>, LineError>> {
        if self.framing == Framing::Undecided {
            loop {
                match Opening::of(input) {
                    Opening::Preamble { bytes } => *input = input.get(bytes..).unwrap_or_default(),
                    Opening::Unclear => return Some(Ok(None)),
                    Opening::Foreign(foreign) => return Some(Err(LineError::Foreign(foreign))),
                    Opening::Name => return None,
                }
            }
        }
        if memchr::memchr(b'\n', input).is_some() {
            // Lines after all.
            return None;
        }
        // What a newline may follow is no name.
        let is_asked = !matches!(input, [] | [b'\r']);
        Some(Ok(is_asked.then(|| Symbol::parse(std::mem::take(input)).into())))
    }

    #[inline(never)]
    fn decode_any(&mut self, input: &mut &[u8]) -> Result<Option<Asked>, LineError> {
        let unsearched = input.get(self.searched..).unwrap_or_default();
        let Some(further) = memchr::memchr(b'\n', unsearched) else {
            self.searched = input.len();
            return match input.len() {
                0..=LINE_BYTES_MAX => Ok(None),
                _ => Err(LineError::TooLong),
            };
        };
        let line_bytes = self.searched + further;
        if line_bytes > LINE_BYTES_MAX {
            return Err(LineError::TooLong);
        }
        let returns = input.get(line_bytes.wrapping_sub(1)) == Some(&b'\r');
        let name = Symbol::parse_front(input, line_bytes - usize::from(returns));
        *input = input.get(line_bytes + 1..).unwrap_or_default();
        self.line();
        Ok(Some(name.into()))
    }

    #[inline(always)]
    fn line(&mut self) {
        self.framing = Framing::Lines;
        self.searched = 0;
    }

    /// Takes the newline off the input that ends a request which was answered as an unterminated one:
    /// it came late. From now on the client speaks in lines, and the reply that it got lacks its own
    /// newline.
    #[inline]
    pub fn take_late_newline(&mut self, input: &mut &[u8]) -> bool {
        if self.framing != Framing::Unterminated {
            return false;
        }
        match input {
            [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => *input = rest,
            _ => return false,
        }
        self.framing = Framing::Lines;
        true
    }

    /// The client has sent its first bytes, no newline among them, and has been silent since:
    /// from now on it is unterminated. A connection that is decided already stays what it is.
    pub fn declare_unterminated(&mut self) {
        if self.framing == Framing::Undecided {
            self.framing = Framing::Unterminated;
            self.searched = 0;
        }
    }

    /// The last request of a stream that has ended: the bytes after the last newline, if any.
    /// A stream that ends without a single newline was unterminated.
    pub fn decode_end(&mut self, rest: &[u8]) -> Option<Asked> {
        if rest.is_empty() {
            return None;
        }
        self.declare_unterminated();
        self.searched = 0;
        Some(Symbol::parse(rest).into())
    }
}

impl From<Name> for Asked {
    fn from(name: Name) -> Asked {
        match name {
            Ok(whole) => match name_behind_call(&whole) {
                Some(name) => Asked::Call { whole, name },
                None => Asked::Symbol(whole),
            },
            Err(error) => Asked::Impossible(error),
        }
    }
}

fn name_behind_call(whole: &Symbol) -> Option<Symbol> {
    const CALL: &[u8] = b"lookup";
    let (call, rest) = whole.as_bytes().split_at_checked(CALL.len())?;
    let ([b' ' | b',' | b':', name @ ..], true) = (rest, call.eq_ignore_ascii_case(CALL)) else {
        return None;
    };
    Symbol::parse(name).ok()
}

/// Appends the answer to a lookup: the price, `0` for a stock that cannot be traded now, `-1` for
/// one that is not listed, `ERR not permitted` for one that may not be read. The prices zero and minus one are `0.0` and `-1.0`. At most [`REPLY_BYTES_MAX`] bytes.
#[inline(always)]
pub fn encode(answer: Answer, framing: Framing, out: &mut Vec<u8>) {
    let end_bytes = usize::from(framing != Framing::Unterminated);
    match answer {
        Answer::Price(price) => {
            let start = out.len();
            out.extend_from_slice(&[0; DECIMAL_ROOM_BYTES]);
            let bytes = out.last_chunk_mut().map_or(0, |room| {
                let bytes = price.write_answer(room);
                room[bytes] = b'\n';
                bytes + end_bytes
            });
            out.truncate(start + bytes);
        }
        Answer::NotTradable => out.extend_from_slice(&b"0\n"[..1 + end_bytes]),
        Answer::NotFound => out.extend_from_slice(&b"-1\n"[..2 + end_bytes]),
        Answer::NotPermitted => {
            let text = NOT_PERMITTED.len() - 1;
            out.extend_from_slice(&NOT_PERMITTED[..text + end_bytes]);
        }
    }
}

/// The answer for a stock that may not be read, listed or not.
const NOT_PERMITTED: &[u8] = b"ERR not permitted\n";

/// Bytes of the longest reply.
pub const REPLY_BYTES_MAX: usize = 22;

/// Appends the line that tells a client why it is not served.
pub fn encode_error(reason: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"ERR ");
    out.extend_from_slice(reason.as_bytes());
    out.push(b'\n');
}

/// Appends what a client of another protocol is answered, in its own, before the connection ends.
pub fn encode_refusal(foreign: Foreign, out: &mut Vec<u8>) {
    match foreign {
        Foreign::Resp => out.extend_from_slice(b"-ERR this is the port of the line protocol; Redis clients connect to the other one, 7879 unless it was set\r\n"),
        Foreign::Http => {
            let body = "this is the port of the line protocol: send a symbol and a line feed\n";
            let head = format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(body.as_bytes());
        }
        // An alert that ends the handshake: fatal, protocol_version (RFC 8446, section 6.2).
        Foreign::Tls => out.extend_from_slice(b"\x15\x03\x01\x00\x02\x02\x46"),
        Foreign::Proxy => encode_error(UNEXPECTED_HEADER, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All names of a stream that comes in these pieces, with what was in the way at its end.
    fn decode_pieces(pieces: &[&[u8]]) -> (Vec<Name>, Result<Vec<u8>, LineError>) {
        let mut decoder = LineDecoder::new();
        let mut names = Vec::new();
        let mut input = Vec::new();
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                let mut rest = input.as_slice();
                let decoded = decoder.decode(&mut rest);
                let taken = input.len() - rest.len();
                input.drain(..taken);
                match decoded {
                    Ok(Some(asked)) => names.push(whole(asked)),
                    Ok(None) => break,
                    Err(error) => return (names, Err(error)),
                }
            }
        }
        // The silence after them decides what first bytes are.
        if decoder.framing() == Framing::Undecided && input.contains(&b'\n') {
            decoder.declare_unterminated();
            let mut rest = input.as_slice();
            while let Some(asked) = decoder.decode(&mut rest).unwrap() {
                names.push(whole(asked));
            }
            input = rest.to_vec();
        }
        (names, Ok(input))
    }

    fn whole(asked: Asked) -> Name {
        match asked {
            Asked::Symbol(symbol) => Ok(symbol),
            Asked::Impossible(error) => Err(error),
            Asked::Call { whole, .. } => Ok(whole),
        }
    }

    fn asked(name: &str) -> Asked {
        symbol(name).into()
    }

    fn symbol(name: &str) -> Name {
        name.parse()
    }

    fn encoded(answer: Answer, framing: Framing) -> String {
        let mut out = b"before ".to_vec();
        encode(answer, framing, &mut out);
        String::from_utf8(out).unwrap().split_off("before ".len())
    }

    #[test]
    fn a_line_ends_with_lf_or_crlf_and_its_name_may_be_padded() {
        let (names, rest) = decode_pieces(&[b"AAPL\nIBM\r\n  BRK/A \t\r\n\xe7\x89\x9b\nMS"]);
        let expected = ["AAPL", "IBM", "BRK/A", "牛"].map(symbol);
        assert_eq!(names, expected);
        assert_eq!(rest, Ok(b"MS".to_vec()));
    }

    #[test]
    fn what_cannot_be_a_symbol_is_a_lookup_all_the_same() {
        let (names, _) = decode_pieces(&[b"\n\xff\xfe\nA\x00B\n", &[b'A'; 49], b"\n"]);
        assert_eq!(names.len(), 4);
        for name in names {
            assert!(name.is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_connection_whose_first_request_was_a_line_stays_with_lines() {
        let mut decoder = LineDecoder::new();
        assert_eq!(decoder.framing(), Framing::Undecided);
        decoder.decode(&mut b"AAPL\n".as_slice()).unwrap().unwrap();
        decoder.declare_unterminated();
        assert_eq!(decoder.framing(), Framing::Lines);
        assert_eq!(decoder.decode(&mut b"IBM".as_slice()), Ok(None));
    }

    #[test]
    fn an_unterminated_connection_asks_once_a_read() {
        let mut decoder = LineDecoder::new();
        assert_eq!(decoder.decode(&mut b"AAPL".as_slice()), Ok(None));
        decoder.declare_unterminated();
        for name in ["AAPL", "IBM", " MSFT"] {
            let mut input = name.as_bytes();
            assert_eq!(decoder.decode(&mut input), Ok(Some(asked(name))));
            assert_eq!(input, b"");
        }
        assert_eq!(decoder.decode(&mut b"".as_slice()), Ok(None));
        assert_eq!(decoder.framing(), Framing::Unterminated);
    }

    #[test]
    fn a_late_newline_belongs_to_the_name_and_makes_lines() {
        for newline in ["\n", "\r\n"] {
            let mut decoder = LineDecoder::new();
            decoder.declare_unterminated();
            assert_eq!(decoder.decode(&mut b"AAPL".as_slice()), Ok(Some(asked("AAPL"))));
            assert_eq!(decoder.decode(&mut b"\r".as_slice()), Ok(None));
            let input = [newline, "IBM\nMS"].concat();
            let mut rest = input.as_bytes();
            assert!(decoder.take_late_newline(&mut rest));
            assert!(!decoder.take_late_newline(&mut rest));
            assert_eq!(decoder.decode(&mut rest), Ok(Some(asked("IBM"))));
            assert_eq!(decoder.decode(&mut rest), Ok(None));
            assert_eq!((decoder.framing(), rest), (Framing::Lines, b"MS".as_slice()));
        }
    }

    #[test]
    fn a_newline_within_a_later_request_makes_lines() {
        let mut decoder = LineDecoder::new();
        decoder.declare_unterminated();
        let mut rest = b"AAPL\nIBM\n".as_slice();
        assert!(!decoder.take_late_newline(&mut rest));
        assert_eq!(decoder.decode(&mut rest), Ok(Some(asked("AAPL"))));
        assert_eq!(decoder.decode(&mut rest), Ok(Some(asked("IBM"))));
        assert_eq!(decoder.framing(), Framing::Lines);
    }

    #[test]
    fn what_comes_before_the_first_name_is_passed_over_and_another_protocol_is_an_error() {
        let preambles = b"\xff\xfb\x1f\xff\xf1\xef\xbb\xbfAAPL\r\nIBM\n";
        for cut in 0..preambles.len() {
            let (head, tail) = preambles.split_at(cut);
            let (names, rest) = decode_pieces(&[head, tail]);
            assert_eq!((names, rest), (["AAPL", "IBM"].map(symbol).to_vec(), Ok(Vec::new())));
        }
        let resp = Err(LineError::Foreign(Foreign::Resp));
        assert_eq!(decode_pieces(&[b"*1", b"\r\n$4\r\nPING\r\n"]), (Vec::new(), resp));
        // Only first bytes are looked at.
        let (names, rest) = decode_pieces(&[b"AAPL\n*1\r\n"]);
        assert_eq!((names, rest), (["AAPL", "*1"].map(symbol).to_vec(), Ok(Vec::new())));
    }

    #[test]
    fn a_call_has_its_name_behind_one_of_three_signs() {
        for call in ["Lookup AAPL", "Lookup,AAPL", "Lookup:AAPL", "LOOKUP  AAPL"] {
            let (whole, name) = (symbol(call).unwrap(), symbol("AAPL").unwrap());
            assert_eq!(asked(call), Asked::Call { whole, name });
        }
        for name in ["Lookup", "LookupAAPL", "Lookup;A", "Lookup ", "AAPL", "Look AAPL"] {
            assert_eq!(asked(name), Asked::Symbol(symbol(name).unwrap()));
        }
    }

    #[test]
    fn the_end_of_the_stream_ends_the_last_request() {
        let mut undecided = LineDecoder::new();
        assert_eq!(undecided.decode(&mut b"AAPL".as_slice()), Ok(None));
        assert_eq!(undecided.decode_end(b"AAPL"), Some(asked("AAPL")));
        assert_eq!(undecided.framing(), Framing::Unterminated);

        let mut lines = LineDecoder::new();
        lines.decode(&mut b"AAPL\n".as_slice()).unwrap().unwrap();
        assert_eq!(lines.decode(&mut b"IBM".as_slice()), Ok(None));
        assert_eq!(lines.decode_end(b"IBM"), Some(asked("IBM")));
        assert_eq!(lines.framing(), Framing::Lines);
        assert_eq!(lines.decode_end(b""), None);
    }

    #[test]
    fn a_line_of_the_limit_is_answered_and_a_longer_one_is_an_error_however_it_is_cut() {
        let longest = [vec![b'A'; LINE_BYTES_MAX], b"\n".to_vec()].concat();
        let (names, rest) = decode_pieces(&[&longest]);
        assert_eq!((names.len(), rest), (1, Ok(Vec::new())));

        let too_long = [b"IBM\nA".as_slice(), &longest].concat();
        for cut in [0, 4, 100, too_long.len() - 1, too_long.len()] {
            let (head, tail) = too_long.split_at(cut);
            let (names, rest) = decode_pieces(&[head, tail]);
            assert_eq!((names.len(), rest), (1, Err(LineError::TooLong)), "cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_comes_byte_by_byte_is_searched_once() {
        let mut decoder = LineDecoder::new();
        let line = vec![b'A'; LINE_BYTES_MAX];
        for end in 0..line.len() {
            assert_eq!(decoder.decode(&mut &line[..end]), Ok(None));
            assert_eq!(decoder.searched, end);
        }
    }

    #[test]
    fn a_refusal_of_http_has_the_length_that_it_says() {
        let mut refusal = Vec::new();
        encode_refusal(Foreign::Http, &mut refusal);
        let text = std::str::from_utf8(&refusal).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }

    #[test]
    fn replies_are_the_price_or_zero_or_minus_one() {
        let price = |text: &str| Answer::Price(text.parse().unwrap());
        let unterminated = Framing::Unterminated;
        for (answer, text) in [
            (price("172.50"), "172.5"),
            (price("-9.223372036854775807"), "-9.223372036854775807"),
            (price("0"), "0.0"),
            (price("-1"), "-1.0"),
            (price("-37.63"), "-37.63"),
            (Answer::NotTradable, "0"),
            (Answer::NotFound, "-1"),
            (Answer::NotPermitted, "ERR not permitted"),
        ] {
            assert_eq!(encoded(answer, unterminated), text);
            assert_eq!(encoded(answer, Framing::Lines), format!("{text}\n"));
            assert!(text.len() < REPLY_BYTES_MAX);
        }
    }

    proptest! {
        /// Wherever a list of lines is cut in two, and when it comes byte by byte, it asks the
        /// same as in one piece.
        #[test]
        fn lines_mean_the_same_however_they_are_cut(
            names in proptest::collection::vec(("[ A-Z/^牛]{0,12}", any::<bool>()), 1..8),
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (name, crlf) in &names {
                stream.extend_from_slice(name.as_bytes());
                stream.extend_from_slice(if *crlf { b"\r\n" } else { b"\n" });
                expected.push(Symbol::parse(name.as_bytes()));
            }
            for cut in 0..=stream.len() {
                let (head, tail) = stream.split_at(cut);
                let (names, rest) = decode_pieces(&[head, tail]);
                prop_assert_eq!(&names, &expected);
                prop_assert_eq!(rest, Ok(Vec::new()));
            }
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(&decode_pieces(&bytes).0, &expected);
        }
    }

    /// Any bytes in any framing: no panic, every request takes at least one byte and no more
    /// than there are, and the same bytes in one piece ask the same. A fuzzer too, under
    /// cargo-bolero.
    #[test]
    fn rubbish_is_decoded_like_anything_else() {
        bolero::check!().for_each(|input: &[u8]| {
            let (&[first, ..], [_, stream @ ..]) = (input, input) else {
                return;
            };
            let whole = decode_pieces(&[stream]);
            let piece_bytes = usize::from(first % 16) + 1;
            let pieces: Vec<&[u8]> = stream.chunks(piece_bytes).collect();
            assert_eq!(decode_pieces(&pieces), whole);
            let newlines = stream.iter().filter(|&&byte| byte == b'\n').count();
            // Those of a preamble end no line.
            assert!(whole.0.len() <= newlines);
            assert!(!whole.1.is_ok_and(|rest| rest.contains(&b'\n')));

            let mut unterminated = LineDecoder::new();
            unterminated.declare_unterminated();
            let mut rest = stream;
            while let Ok(Some(_)) = unterminated.decode(&mut rest) {}
            assert!(rest.len() < stream.len() || rest.is_empty() || rest == b"\r");
        });
    }
}
