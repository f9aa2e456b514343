//! The line protocol: a symbol and a newline in, a price and a newline out.
//!
//! A client that ends its first request with a newline speaks in *lines*, however its bytes are
//! cut on the way. One that sends `AAPL` and waits for an answer is *unterminated*: every read is
//! one request, and replies carry no newline. Which of the two it is shows in its first bytes and
//! in the silence after them; the clock that measures the silence is the caller's.

use stockd_model::limits::LINE_BYTES_MAX;
use stockd_model::{Reply, Request, Symbol};

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

/// A request, and how many bytes of the input it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What is asked: always a lookup.
    pub request: Request,
    /// Bytes at the front of the input that are done with, at least 1.
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
    /// Bytes at the front of the input that are known to hold no newline, so that a line that
    /// comes byte by byte is searched once, not once a byte.
    searched: usize,
}

impl LineDecoder {
    /// A decoder for a new connection.
    pub fn new() -> LineDecoder {
        LineDecoder::default()
    }

    /// How requests are told apart, as far as is known by now.
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
            let request = (!input.is_empty()).then(|| lookup(input));
            return Ok(request.map(|request| Decoded { request, consumed: input.len() }));
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
        self.framing = Framing::Lines;
        self.searched = 0;
        Ok(Some(Decoded { request: lookup(&input[..line_bytes]), consumed: line_bytes + 1 }))
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
    pub fn decode_end(&mut self, rest: &[u8]) -> Option<Request> {
        if rest.is_empty() {
            return None;
        }
        self.declare_unterminated();
        self.searched = 0;
        Some(lookup(rest))
    }
}

/// A name as it was sent. What no stock can be called is a lookup too.
#[inline(always)]
fn lookup(name: &[u8]) -> Request {
    Request::Lookup(Symbol::parse(name))
}

/// Appends the reply to a lookup: the price, `0` for a stock that cannot be traded now, `-1` for
/// one that is not listed. At most 21 bytes.
#[inline(always)]
pub fn encode(reply: &Reply, framing: Framing, out: &mut Vec<u8>) {
    match reply {
        Reply::Found(quote) => match quote.tradable_price() {
            Some(price) => price.text().append_to(out),
            None => out.push(b'0'),
        },
        // No other request than a lookup is ever decoded here, so no other reply comes.
        _ => out.extend_from_slice(b"-1"),
    }
    if framing != Framing::Unterminated {
        out.push(b'\n');
    }
}

/// Appends the line that tells a client why it is not served at all.
pub fn encode_error(reason: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"ERR ");
    out.extend_from_slice(reason.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use stockd_model::{Quote, Status, Volume};

    /// All requests of a stream that comes in these pieces, with what was in the way at its end.
    fn decode_pieces(pieces: &[&[u8]]) -> (Vec<Request>, Result<Vec<u8>, LineTooLong>) {
        let mut decoder = LineDecoder::new();
        let mut requests = Vec::new();
        let mut input = Vec::new();
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match decoder.decode(&input) {
                    Ok(Some(Decoded { request, consumed })) => {
                        requests.push(request);
                        input.drain(..consumed);
                    }
                    Ok(None) => break,
                    Err(error) => return (requests, Err(error)),
                }
            }
        }
        (requests, Ok(input))
    }

    fn symbol(name: &str) -> Request {
        Request::Lookup(Ok(name.parse().unwrap()))
    }

    fn encoded(reply: &Reply, framing: Framing) -> String {
        let mut out = b"before ".to_vec();
        encode(reply, framing, &mut out);
        String::from_utf8(out).unwrap().split_off("before ".len())
    }

    fn quote(price: &str, volume: u64, status: Status) -> Reply {
        Reply::Found(Quote {
            symbol: "AAPL".parse().unwrap(),
            price: price.parse().unwrap(),
            volume: Volume::new(volume),
            status,
            version: 1,
            updated_ns: 0,
        })
    }

    #[test]
    fn a_line_ends_with_lf_or_crlf_and_its_name_may_be_padded() {
        let (requests, rest) = decode_pieces(&[b"AAPL\nIBM\r\n  BRK/A \t\r\n\xe7\x89\x9b\nMS"]);
        let expected = ["AAPL", "IBM", "BRK/A", "牛"].map(symbol);
        assert_eq!(requests, expected);
        assert_eq!(rest, Ok(b"MS".to_vec()));
    }

    #[test]
    fn what_cannot_be_a_symbol_is_a_lookup_all_the_same() {
        let (requests, _) = decode_pieces(&[b"\n\xff\xfe\nA\x00B\n", &[b'A'; 31], b"\n"]);
        assert_eq!(requests.len(), 4);
        for request in requests {
            assert!(matches!(request, Request::Lookup(Err(_))), "{request:?}");
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
            assert_eq!(decoded.request, symbol(name));
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
        let (requests, rest) = decode_pieces(&[&longest]);
        assert_eq!((requests.len(), rest), (1, Ok(Vec::new())));

        let too_long = [b"IBM\nA".as_slice(), &longest].concat();
        for cut in [0, 4, 100, too_long.len() - 1, too_long.len()] {
            let (head, tail) = too_long.split_at(cut);
            let (requests, rest) = decode_pieces(&[head, tail]);
            assert_eq!((requests.len(), rest), (1, Err(LineTooLong)), "cut at {cut}");
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
        let lines = Framing::Lines;
        let found = quote("172.50", 1, Status::Trading);
        assert_eq!(encoded(&found, lines), "172.5\n");
        assert_eq!(encoded(&found, Framing::Unterminated), "172.5");
        assert_eq!(encoded(&quote("1", 0, Status::Trading), lines), "0\n");
        assert_eq!(encoded(&quote("1", 1, Status::Halted), lines), "0\n");
        assert_eq!(encoded(&Reply::NotFound, lines), "-1\n");
        assert_eq!(encoded(&Reply::NotFound, Framing::Unterminated), "-1");
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
                expected.push(Request::Lookup(Symbol::parse(name.as_bytes())));
            }
            for cut in 0..=stream.len() {
                let (head, tail) = stream.split_at(cut);
                let (requests, rest) = decode_pieces(&[head, tail]);
                prop_assert_eq!(&requests, &expected);
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
