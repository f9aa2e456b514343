//! The client's half of the line protocol: what a reply line says.
//!
//! Invariant: a reply is taken whole or not at all, whatever bytes come before the next line feed.

use crate::reply::{self, NotAReply};

/// One reply of the line protocol, as it lies in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineReply<'a> {
    /// The text of a price, or `0` for a stock that cannot be traded now: a minus or none, a digit,
    /// then digits and points.
    Price(&'a [u8]),
    /// The stock is not listed.
    NotFound,
    /// The stock may not be read, listed or not. Later requests are answered.
    NotPermitted,
    /// The server does not serve this connection, and why.
    TurnedAway(&'a [u8]),
}

/// The first reply of `bytes`, and how many bytes it takes. `None` asks for more bytes.
///
/// # Errors
///
/// [`NotAReply`] when the bytes cannot be the beginning of a reply.
#[inline]
pub fn decode_reply(bytes: &[u8]) -> Result<Option<(LineReply<'_>, usize)>, NotAReply> {
    let Some((line, taken)) = reply::line(bytes)? else { return Ok(None) };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let reply = match line {
        b"-1" => LineReply::NotFound,
        b"ERR not permitted" => LineReply::NotPermitted,
        [b'0'..=b'9', rest @ ..] | [b'-', b'0'..=b'9', rest @ ..]
            if rest.iter().all(is_of_a_price) =>
        {
            LineReply::Price(line)
        }
        [b'E', b'R', b'R', b' ', why @ ..] => LineReply::TurnedAway(why),
        _ => return Err(NotAReply),
    };
    Ok(Some((reply, taken)))
}

fn is_of_a_price(byte: &u8) -> bool {
    byte.is_ascii_digit() || *byte == b'.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_reply_is_recognised_when_its_line_feed_has_come() {
        for (line, reply) in [
            (b"172.5\n".as_slice(), LineReply::Price(b"172.5")),
            (b"0\r\n", LineReply::Price(b"0")),
            (b"0.0\n", LineReply::Price(b"0.0")),
            (b"-1.0\n", LineReply::Price(b"-1.0")),
            (b"-37.63\n", LineReply::Price(b"-37.63")),
            (b"ERR not permitted\n", LineReply::NotPermitted),
            (b"-1\n", LineReply::NotFound),
            (b"ERR 10 connections are open\n", LineReply::TurnedAway(b"10 connections are open")),
        ] {
            for end in 0..line.len() {
                assert_eq!(decode_reply(&line[..end]), Ok(None));
            }
            let stream = [line, b"1\n"].concat();
            assert_eq!(decode_reply(&stream), Ok(Some((reply, line.len()))));
        }
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for line in
            ["", "-", "--2", "-.5", "HTTP/1.1 400 Bad Request", "ERR", "+OK", "1 2", "\u{e9}"]
        {
            assert_eq!(decode_reply(format!("{line}\n").as_bytes()), Err(NotAReply), "{line}");
        }
    }
}
