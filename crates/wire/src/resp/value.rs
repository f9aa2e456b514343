//! The client's half of RESP, reply by reply: pieces put together to the values that they make.
//!
//! Invariant: a value is handed over whole, and no more of it is held than
//! [`RESP_REPLY_BYTES_MAX`] bytes, [`RESP_REPLY_NESTING_MAX`] arrays deep, whatever the server
//! announces.

use std::fmt;

use stockd_model::escaped;
use stockd_model::limits::{EXCERPT_BYTES_MAX, RESP_REPLY_BYTES_MAX, RESP_REPLY_NESTING_MAX};

use super::reply::{Piece, decode_piece};
use crate::reply::NotAReply;

/// What a server replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A simple or a bulk string.
    Text(Vec<u8>),
    /// A refusal: its code and words, as they were sent.
    Error(Vec<u8>),
    /// A number.
    Integer(i64),
    /// Nothing.
    Nil,
    /// Several values.
    Array(Vec<Value>),
}

/// Its beginning on one line, for errors.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) | Value::Error(text) => {
                escaped(text).at_most(EXCERPT_BYTES_MAX).fmt(f)
            }
            Value::Integer(integer) => integer.fmt(f),
            Value::Nil => f.write_str("nil"),
            Value::Array(elements) => write!(f, "an array of {}", elements.len()),
        }
    }
}

/// Why a reply cannot be taken. The connection is of no use then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The bytes at the front of the input are no reply.
    #[error(transparent)]
    NotAReply(#[from] NotAReply),
    /// The reply is longer than [`RESP_REPLY_BYTES_MAX`].
    #[error("a reply longer than {RESP_REPLY_BYTES_MAX} bytes")]
    TooLong,
    /// Arrays are nested deeper than [`RESP_REPLY_NESTING_MAX`].
    #[error("arrays more than {RESP_REPLY_NESTING_MAX} deep")]
    TooDeep,
}

/// Decodes the replies of one connection.
#[derive(Debug, Default)]
pub struct ValueDecoder {
    /// Arrays that are not complete, each an element of the one before it.
    open: Vec<OpenArray>,
    /// Bytes taken so far of the reply that is not complete.
    bytes: usize,
}

#[derive(Debug)]
struct OpenArray {
    elements: Vec<Value>,
    /// Elements it will have.
    len: usize,
}

impl ValueDecoder {
    /// A decoder for a new connection.
    pub fn new() -> ValueDecoder {
        ValueDecoder::default()
    }

    /// Takes what has come of the first reply off the front of the input, which begins with the
    /// first byte that was not taken before. `None` asks for more bytes: fewer than those of one
    /// bulk string with its head and line end are left then.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the reply can never be whole. What was no reply is still in the input.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Value>, ValueError> {
        while let Some((piece, taken)) = decode_piece(input, RESP_REPLY_BYTES_MAX)? {
            *input = input.get(taken..).unwrap_or_default();
            self.bytes += taken;
            if self.bytes > RESP_REPLY_BYTES_MAX {
                return Err(ValueError::TooLong);
            }
            let value = match piece {
                Piece::Simple(text) | Piece::Bulk(text) => Value::Text(text.to_vec()),
                Piece::Error(why) => Value::Error(why.to_vec()),
                Piece::Integer(integer) => Value::Integer(integer),
                Piece::Nil => Value::Nil,
                Piece::Array(0) => Value::Array(Vec::new()),
                Piece::Array(_) if self.open.len() == RESP_REPLY_NESTING_MAX => {
                    return Err(ValueError::TooDeep);
                }
                Piece::Array(len) => {
                    // Allocated as the elements come: an announced length costs the peer nothing.
                    self.open.push(OpenArray { elements: Vec::new(), len });
                    continue;
                }
            };
            if let Some(whole) = self.complete(value) {
                return Ok(Some(whole));
            }
        }
        Ok(None)
    }

    /// Puts the value where it belongs. Returns it, or the array that it completes, if that is no
    /// element of another.
    fn complete(&mut self, mut value: Value) -> Option<Value> {
        while let Some(mut array) = self.open.pop() {
            array.elements.push(value);
            if array.elements.len() < array.len {
                self.open.push(array);
                return None;
            }
            value = Value::Array(array.elements);
        }
        self.bytes = 0;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::frame;
    use proptest::prelude::*;
    use stockd_model::limits::{REPLY_LINE_BYTES_MAX, RESP_ARRAY_PARTS_MAX, RESP_BULK_BYTES_MAX};

    /// Every reply of a stream that comes in these pieces; stops at the first error.
    fn values(stream: &[u8], piece_bytes: usize) -> Vec<Result<Value, ValueError>> {
        let mut decoder = ValueDecoder::new();
        let mut values = Vec::new();
        let mut input = Vec::new();
        for piece in stream.chunks(piece_bytes) {
            input.extend_from_slice(piece);
            let mut rest = input.as_slice();
            while let Some(value) = decoder.decode(&mut rest).transpose() {
                values.push(value);
                if value_is_error(&values) {
                    return values;
                }
            }
            assert!(rest.len() < RESP_REPLY_BYTES_MAX + 16, "more is left than one bulk string");
            input = rest.to_vec();
        }
        values
    }

    fn value_is_error(values: &[Result<Value, ValueError>]) -> bool {
        values.last().is_some_and(Result::is_err)
    }

    fn text(text: &str) -> Value {
        Value::Text(text.as_bytes().to_vec())
    }

    fn encode(value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Text(text) => frame::bulk(text, out),
            Value::Error(why) => out.extend_from_slice(&[b"-", &why[..], b"\r\n"].concat()),
            Value::Integer(integer) => {
                out.extend_from_slice(format!(":{integer}\r\n").as_bytes());
            }
            Value::Nil => out.extend_from_slice(b"$-1\r\n"),
            Value::Array(elements) => {
                frame::array(elements.len(), out);
                elements.iter().for_each(|element| encode(element, out));
            }
        }
    }

    fn encoded(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out);
        out
    }

    #[test]
    fn each_kind_of_reply_is_the_same_in_any_pieces() {
        let stream = b"+OK\r\n-ERR no such stock\r\n:-5\r\n$-1\r\n*-1\r\n_\r\n$0\r\n\r\n\
            $4\r\nA\r\nB\r\n*0\r\n*2\r\n$1\r\n0\r\n*1\r\n+A\r\n";
        let expected = [
            text("OK"),
            Value::Error(b"ERR no such stock".to_vec()),
            Value::Integer(-5),
            Value::Nil,
            Value::Nil,
            Value::Nil,
            text(""),
            text("A\r\nB"),
            Value::Array(vec![]),
            Value::Array(vec![text("0"), Value::Array(vec![text("A")])]),
        ];
        let expected: Vec<_> = expected.into_iter().map(Ok).collect();
        for piece_bytes in 1..=stream.len() {
            assert_eq!(values(stream, piece_bytes), expected, "in pieces of {piece_bytes}");
        }
        for end in 0..stream.len() {
            let taken = values(&stream[..end], 99);
            assert_eq!(taken, expected[..taken.len()], "cut at {end}");
        }
    }

    #[test]
    fn what_is_no_reply_stays_in_the_input() {
        let mut decoder = ValueDecoder::new();
        let mut input = b"+OK\r\nHTTP/1.1\r\n".as_slice();
        assert_eq!(decoder.decode(&mut input), Ok(Some(text("OK"))));
        assert_eq!(decoder.decode(&mut input), Err(ValueError::NotAReply(NotAReply)));
        assert_eq!(input, b"HTTP/1.1\r\n");
    }

    #[test]
    fn bounds_hold_one_below_at_and_above() {
        let bulk = |len: usize| encoded(&Value::Text(vec![b'x'; len]));
        let piece_bytes = RESP_REPLY_BYTES_MAX / 4;
        let framed_max = RESP_REPLY_BYTES_MAX - b"$8388608\r\n\r\n".len();
        for len in [RESP_BULK_BYTES_MAX + 1, framed_max] {
            assert_eq!(values(&bulk(len), piece_bytes), [Ok(Value::Text(vec![b'x'; len]))]);
        }
        for len in [framed_max + 1, RESP_REPLY_BYTES_MAX + 1] {
            assert!(value_is_error(&values(&bulk(len), piece_bytes)));
        }

        assert_eq!(values(format!("*{RESP_ARRAY_PARTS_MAX}\r\n").as_bytes(), 99), []);
        let too_many = format!("*{}\r\n", RESP_ARRAY_PARTS_MAX + 1);
        assert!(value_is_error(&values(too_many.as_bytes(), 99)));

        let nested = |depth: usize| format!("{}:1\r\n", "*1\r\n".repeat(depth));
        assert!(values(nested(RESP_REPLY_NESTING_MAX).as_bytes(), 99)[0].is_ok());
        let too_deep = nested(RESP_REPLY_NESTING_MAX + 1);
        assert_eq!(values(too_deep.as_bytes(), 99), [Err(ValueError::TooDeep)]);

        let parts = RESP_REPLY_BYTES_MAX / RESP_BULK_BYTES_MAX;
        let too_long =
            [format!("*{parts}\r\n").into_bytes(), bulk(RESP_BULK_BYTES_MAX).repeat(parts)];
        assert_eq!(values(&too_long.concat(), 16 * 1024), [Err(ValueError::TooLong)]);

        let line = |len: usize| format!("+{}\r\n", "x".repeat(len)).into_bytes();
        assert!(values(&line(REPLY_LINE_BYTES_MAX - 1), 7)[0].is_ok());
        assert!(value_is_error(&values(&line(REPLY_LINE_BYTES_MAX + 1), 7)));
    }

    #[test]
    fn what_errors_show_of_a_value_is_short_and_on_one_line() {
        assert_eq!(text("A\r\n\u{1b}").to_string(), r"A\r\n\u{1b}");
        assert_eq!(Value::Text(vec![b'x'; 9999]).to_string().len(), EXCERPT_BYTES_MAX);
        assert_eq!(Value::Array(vec![Value::Nil; 3]).to_string(), "an array of 3");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..50).prop_map(Value::Text),
            "[ -~]{0,50}".prop_map(|text| Value::Error(text.into_bytes())),
            any::<i64>().prop_map(Value::Integer),
            Just(Value::Nil),
        ];
        let array = |element| proptest::collection::vec(element, 0..6).prop_map(Value::Array);
        leaf.prop_recursive(4, 40, 6, array)
    }

    proptest! {
        #[test]
        fn values_are_the_same_however_they_arrive(
            expected in proptest::collection::vec(any_value(), 0..20), piece_bytes in 1..300_usize,
        ) {
            let stream: Vec<u8> = expected.iter().flat_map(encoded).collect();
            let expected: Vec<_> = expected.into_iter().map(Ok).collect();
            prop_assert_eq!(values(&stream, piece_bytes), expected);
        }

        #[test]
        fn rubbish_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece_bytes in 1..2000_usize,
        ) {
            values(&bytes, piece_bytes);
        }

        #[test]
        fn what_looks_like_replies_never_panics(
            bytes in "([-+:$*]|[0-9]{1,3}|\r\n|x){0,200}", piece_bytes in 1..200_usize,
        ) {
            values(bytes.as_bytes(), piece_bytes);
        }
    }
}
