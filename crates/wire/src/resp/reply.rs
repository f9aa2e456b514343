//! The client's half of RESP, piece by piece: the first piece of a reply, read where it lies.
//!
//! It reads RESP2, and the null of RESP3. A reply that is an array is its head and then its
//! elements; who needs them as one value has [`ValueDecoder`](super::ValueDecoder).
//!
//! Invariant: a piece is taken whole or not at all. What cannot become one is an error before more
//! bytes are waited for, and nothing is allocated.

use stockd_model::limits::RESP_ARRAY_PARTS_MAX;

use crate::reply::{self, NotAReply};

/// One piece of a reply, as it lies in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A simple string: `+OK`.
    Simple(&'a [u8]),
    /// A bulk string.
    Bulk(&'a [u8]),
    /// A refusal: its code and words.
    Error(&'a [u8]),
    /// A number.
    Integer(i64),
    /// Nothing, in place of a bulk string or an array.
    Nil,
    /// The head of an array of as many elements, at most [`RESP_ARRAY_PARTS_MAX`].
    Array(usize),
}

/// The first piece of `bytes`, and how many bytes it takes. `None` asks for more bytes.
///
/// # Errors
///
/// [`NotAReply`] when the bytes cannot be the beginning of a reply, or a bulk string is longer than
/// `bulk_bytes_max`.
#[inline]
pub fn decode_piece(
    bytes: &[u8],
    bulk_bytes_max: usize,
) -> Result<Option<(Piece<'_>, usize)>, NotAReply> {
    let Some((&sign, rest)) = bytes.split_first() else { return Ok(None) };
    if !matches!(sign, b'$' | b'+' | b':' | b'-' | b'*' | b'_') {
        return Err(NotAReply);
    }
    let Some((line, line_bytes)) = reply::line(rest)? else { return Ok(None) };
    let line = line.strip_suffix(b"\r").ok_or(NotAReply)?;
    let head_bytes = 1 + line_bytes;
    let piece = match (sign, line) {
        (b'+', text) => Piece::Simple(text),
        (b'-', why) => Piece::Error(why),
        (b':', digits) => Piece::Integer(integer(digits)?),
        (b'$' | b'*', b"-1") | (b'_', b"") => Piece::Nil,
        (b'*', digits) => {
            Piece::Array(reply::number(digits, RESP_ARRAY_PARTS_MAX).ok_or(NotAReply)?)
        }
        (b'$', digits) => {
            let length = reply::number(digits, bulk_bytes_max).ok_or(NotAReply)?;
            return bulk(bytes, head_bytes, length);
        }
        _ => return Err(NotAReply),
    };
    Ok(Some((piece, head_bytes)))
}

/// The bulk string whose bytes begin at `start`.
#[inline]
fn bulk(
    bytes: &[u8],
    start: usize,
    length: usize,
) -> Result<Option<(Piece<'_>, usize)>, NotAReply> {
    let Some((text, after)) = bytes.get(start..).unwrap_or_default().split_at_checked(length)
    else {
        return Ok(None);
    };
    match after {
        [b'\r', b'\n', ..] => Ok(Some((Piece::Bulk(text), start + length + 2))),
        [] | [b'\r'] => Ok(None),
        _ => Err(NotAReply),
    }
}

#[inline]
fn integer(digits: &[u8]) -> Result<i64, NotAReply> {
    str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(NotAReply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 64;

    #[test]
    fn each_kind_of_piece_is_there_when_its_last_byte_is() {
        for (bytes, piece) in [
            (b"+OK\r\n".as_slice(), Piece::Simple(b"OK")),
            (b"-ERR no\r\n", Piece::Error(b"ERR no")),
            (b":9223372036854775807\r\n", Piece::Integer(i64::MAX)),
            (b":-5\r\n", Piece::Integer(-5)),
            (b"$-1\r\n", Piece::Nil),
            (b"*-1\r\n", Piece::Nil),
            (b"_\r\n", Piece::Nil),
            (b"*0\r\n", Piece::Array(0)),
            (b"*1048576\r\n", Piece::Array(RESP_ARRAY_PARTS_MAX)),
            (b"$0\r\n\r\n", Piece::Bulk(b"")),
            (b"$6\r\nA\r\nB\r\n\r\n", Piece::Bulk(b"A\r\nB\r\n")),
        ] {
            for end in 0..bytes.len() {
                assert_eq!(decode_piece(&bytes[..end], MAX), Ok(None));
            }
            let stream = [bytes, b"+"].concat();
            assert_eq!(decode_piece(&stream, MAX), Ok(Some((piece, bytes.len()))));
        }
    }

    #[test]
    fn what_is_no_piece_is_an_error() {
        for bytes in [
            "HTTP/1.1 400 Bad Request\r\n",
            "172.5\n",
            "-1\n",
            "$x\r\n",
            "$65\r\n",
            ":1.5\r\n",
            ":9223372036854775808\r\n",
            ":\r\n",
            "$-2\r\n",
            "*-2\r\n",
            "*1048577\r\n",
            "$1\r\nABC\r\n",
            "$1\r\nA\rC\r\n",
            "_1\r\n",
        ] {
            assert_eq!(decode_piece(bytes.as_bytes(), MAX), Err(NotAReply), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes in "([-+:$*_]|[0-9]{1,3}|\r\n|x){0,50}") {
            let mut rest = bytes.as_bytes();
            while let Ok(Some((_, taken))) = decode_piece(rest, MAX) {
                prop_assert!(taken > 0 && taken <= rest.len());
                rest = &rest[taken..];
            }
        }
    }
}
