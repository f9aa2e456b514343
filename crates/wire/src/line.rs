//! The line protocol: a symbol and a newline in, a price and a newline out.
//!
//! A client that ends its first request with a newline speaks in *lines*, however its bytes are
//! cut on the way. One that sends `AAPL` and waits for an answer is *unterminated*: every read is
//! one request, and replies carry no newline. Which of the two it is shows in its first bytes and
//! in the silence after them; the clock that measures the silence is the caller's.
//!
//! A server decodes with a [`LineDecoder`] and answers with [`encode`]; a client reads the answers
//! with [`decode_reply`].

mod reply;

use stockd_model::limits::LINE_BYTES_MAX;
use stockd_model::{Answer, DECIMAL_ROOM_BYTES, Symbol, SymbolError};

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

/// A lookup, and how many bytes of the input it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What is looked up. A name that no stock can have is a lookup too.
    pub symbol: Result<Symbol, SymbolError>,
    /// Bytes at the front of the input that the lookup took, at least 1.
    pub consumed: usize,
}

/// A line has more than [`LINE_BYTES_MAX`] bytes. Nothing after it can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {LINE_BYTES_MAX} bytes, the limit; end each symbol with a newline")]
pub struct LineTooLong;

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

    /// Decodes the first request of the input, which begins with the first byte that was not
    /// consumed yet. `None` asks for more bytes behind those that are there.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`] when the first line has more than [`LINE_BYTES_MAX`] bytes before its
    /// newline, or has that many and no newline. The connection is of no use then.
    #[inline(always)]
    pub fn decode(&mut self, input: &[u8]) -> Result<Option<Decoded>, LineTooLong> {
        if self.framing == Framing::Unterminated {
            let symbol = (!input.is_empty()).then(|| Symbol::parse(input));
            return Ok(symbol.map(|symbol| Decoded { symbol, consumed: input.len() }));
        }
        // Nearly every line, at a glance.
        if let Some((symbol, bytes)) = Symbol::parse_short(input) {
            match input.get(bytes..) {
                Some([b'\n', ..]) => return Ok(Some(self.line(Ok(symbol), bytes))),
                Some([b'\r', b'\n', ..]) => return Ok(Some(self.line(Ok(symbol), bytes + 1))),
                _ => {}
            }
        }
        if input.is_empty() {
            return Ok(None);
        }
        let unsearched = input.get(self.searched..).unwrap_or_default();
        let Some(further) = memchr::memchr(b'\n', unsearched) else {
            self.searched = input.len();
            return match input.len() {
                0..=LINE_BYTES_MAX => Ok(None),
                _ => Err(LineTooLong),
            };
        };
        let line_bytes = self.searched + further;
        if line_bytes > LINE_BYTES_MAX {
            return Err(LineTooLong);
        }
        let returns = input.get(line_bytes.wrapping_sub(1)) == Some(&b'\r');
        let symbol = Symbol::parse_front(input, line_bytes - usize::from(returns));
        Ok(Some(self.line(symbol, line_bytes)))
    }

    /// The first line of the input, which has `line_bytes` bytes before its newline.
    #[inline(always)]
    fn line(&mut self, symbol: Result<Symbol, SymbolError>, line_bytes: usize) -> Decoded {
        self.framing = Framing::Lines;
        self.searched = 0;
        Decoded { symbol, consumed: line_bytes + 1 }
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
    pub fn decode_end(&mut self, rest: &[u8]) -> Option<Result<Symbol, SymbolError>> {
        if rest.is_empty() {
            return None;
        }
        self.declare_unterminated();
        self.searched = 0;
        Some(Symbol::parse(rest))
    }
}

/// Appends the answer to a lookup: the price, `0` for a stock that cannot be traded now, `-1` for
/// one that is not listed. The prices zero and minus one are `0.0` and `-1.0`. At most [`REPLY_BYTES_MAX`] bytes.
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
    }
}

/// Bytes of the longest reply.
pub const REPLY_BYTES_MAX: usize = 22;

/// Appends the line that tells a client why it is not served.
pub fn encode_error(reason: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"ERR ");
    out.extend_from_slice(reason.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Name = Result<Symbol, SymbolError>;

    /// All names of a stream that comes in these pieces, with what was in the way at its end.
    fn decode_pieces(pieces: &[&[u8]]) -> (Vec<Name>, Result<Vec<u8>, LineTooLong>) {
        let mut decoder = LineDecoder::new();
        let mut names = Vec::new();
        let mut input = Vec::new();
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match decoder.decode(&input) {
                    Ok(Some(Decoded { symbol, consumed })) => {
                        names.push(symbol);
                        input.drain(..consumed);
                    }
                    Ok(None) => break,
                    Err(error) => return (names, Err(error)),
                }
            }
        }
        (names, Ok(input))
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
        decoder.decode(b"AAPL\n").unwrap().unwrap();
        decoder.declare_unterminated();
        assert_eq!(decoder.framing(), Framing::Lines);
        assert_eq!(decoder.decode(b"IBM"), Ok(None));
    }

    #[test]
    fn an_unterminated_connection_asks_once_a_read() {
        let mut decoder = LineDecoder::new();
        assert_eq!(decoder.decode(b"AAPL"), Ok(None));
        decoder.declare_unterminated();
        for name in ["AAPL", "IBM", "MSFT\n"] {
            let decoded = decoder.decode(name.as_bytes()).unwrap().unwrap();
            assert_eq!(decoded.symbol, symbol(name));
            assert_eq!(decoded.consumed, name.len());
        }
        assert_eq!(decoder.decode(b""), Ok(None));
        assert_eq!(decoder.framing(), Framing::Unterminated);
    }

    #[test]
    fn the_end_of_the_stream_ends_the_last_request() {
        let mut undecided = LineDecoder::new();
        assert_eq!(undecided.decode(b"AAPL"), Ok(None));
        assert_eq!(undecided.decode_end(b"AAPL"), Some(symbol("AAPL")));
        assert_eq!(undecided.framing(), Framing::Unterminated);

        let mut lines = LineDecoder::new();
        lines.decode(b"AAPL\n").unwrap().unwrap();
        assert_eq!(lines.decode(b"IBM"), Ok(None));
        assert_eq!(lines.decode_end(b"IBM"), Some(symbol("IBM")));
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
            assert_eq!((names.len(), rest), (1, Err(LineTooLong)), "cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_comes_byte_by_byte_is_searched_once() {
        let mut decoder = LineDecoder::new();
        let line = vec![b'A'; LINE_BYTES_MAX];
        for end in 0..line.len() {
            assert_eq!(decoder.decode(&line[..end]), Ok(None));
            assert_eq!(decoder.searched, end);
        }
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
            assert_eq!(whole.0.len(), newlines);

            let mut unterminated = LineDecoder::new();
            unterminated.declare_unterminated();
            let decoded = unterminated.decode(stream).unwrap();
            assert_eq!(decoded.map(|decoded| decoded.consumed).unwrap_or(0), stream.len());
        });
    }
}
