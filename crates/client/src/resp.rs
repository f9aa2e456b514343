//! The client's half of RESP: commands to bytes, bytes to replies.
//!
//! It speaks the second version of the protocol, which every server of it understands, moves no
//! bytes and knows no clock. What a reply means is for the requests to say.
//!
//! Invariant: a reply is taken whole or not at all, and no more of it is held than
//! [`RESP_REPLY_BYTES_MAX`] bytes in [`RESP_ARRAY_PARTS_MAX`] parts an array,
//! [`RESP_REPLY_NESTING_MAX`] deep, whatever the server announces.

use std::fmt;

use memchr::memchr;
use stockd_model::limits::{
    REPLY_LINE_BYTES_MAX, RESP_ARRAY_PARTS_MAX, RESP_BULK_BYTES_MAX, RESP_REPLY_BYTES_MAX,
    RESP_REPLY_NESTING_MAX,
};

use crate::buffer::ReplyBuffer;
use crate::error::{Refused, shown_bytes};
use crate::protocol::{self, NoAnswer};

/// Appends one command with its arguments.
pub(crate) fn encode_command(parts: &[&[u8]], chunk: &mut Vec<u8>) {
    chunk.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        chunk.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        chunk.extend_from_slice(part);
        chunk.extend_from_slice(b"\r\n");
    }
}

/// What a server replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A simple or a bulk string.
    Text(Vec<u8>),
    /// A refusal.
    Error(Refused),
    Integer(i64),
    Nil,
    Array(Vec<Reply>),
}

impl Reply {
    /// What errors show of a reply that answers nothing.
    pub(crate) fn rubbish(&self) -> NoAnswer {
        NoAnswer::Rubbish(self.to_string())
    }
}

/// The beginning, for errors.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Text(text) => f.write_str(&shown_bytes(text)),
            Reply::Error(refused) => f.write_str(&shown_bytes(refused.text.as_bytes())),
            Reply::Integer(integer) => integer.fmt(f),
            Reply::Nil => f.write_str("nil"),
            Reply::Array(parts) => write!(f, "an array of {}", parts.len()),
        }
    }
}

/// Replies as they arrive.
pub(crate) struct Replies {
    buffer: ReplyBuffer,
    /// Arrays that are not complete, each a part of the one before it.
    open: Vec<OpenArray>,
    /// Bytes taken so far of the reply that is not complete.
    bytes: usize,
}

struct OpenArray {
    parts: Vec<Reply>,
    /// Parts it will have.
    len: usize,
}

/// Enough for the longest bulk string with its header and line end, and a read beyond it.
const BUFFER_BYTES: usize = RESP_BULK_BYTES_MAX + 16 * 1024;

impl Default for Replies {
    fn default() -> Replies {
        Replies { buffer: ReplyBuffer::new(BUFFER_BYTES), open: Vec::new(), bytes: 0 }
    }
}

impl protocol::Replies for Replies {
    const PROTOCOL: &'static str = "resp";

    type Reply = Reply;

    fn next(&mut self) -> Option<Result<Reply, NoAnswer>> {
        loop {
            let element = match parse(self.buffer.waiting()) {
                Ok(Some(element)) => element,
                Ok(None) => return None,
                Err(Rubbish) => return Some(Err(self.rubbish())),
            };
            self.buffer.take(element.bytes);
            self.bytes += element.bytes;
            if self.bytes > RESP_REPLY_BYTES_MAX {
                return Some(Err(NoAnswer::Rubbish("an endless reply".into())));
            }
            match element.kind {
                Kind::Reply(reply) => {
                    if let Some(whole) = self.complete(reply) {
                        return Some(Ok(whole));
                    }
                }
                Kind::ArrayOf(_) if self.open.len() == RESP_REPLY_NESTING_MAX => {
                    return Some(Err(NoAnswer::Rubbish("arrays too deep".into())));
                }
                // Not allocated at once: only what has come is sure to come.
                Kind::ArrayOf(len) => self.open.push(OpenArray { parts: Vec::new(), len }),
            }
        }
    }

    fn buffer(&mut self) -> &mut ReplyBuffer {
        &mut self.buffer
    }
}

impl Replies {
    /// Puts the reply where it belongs; returns it, or what it was the last part of, if that is
    /// no part of anything.
    fn complete(&mut self, mut reply: Reply) -> Option<Reply> {
        while let Some(mut array) = self.open.pop() {
            array.parts.push(reply);
            if array.parts.len() < array.len {
                self.open.push(array);
                return None;
            }
            reply = Reply::Array(array.parts);
        }
        self.bytes = 0;
        Some(reply)
    }

    fn rubbish(&self) -> NoAnswer {
        let waiting = self.buffer.waiting();
        let line = memchr(b'\n', waiting).map_or(waiting, |end| &waiting[..end]);
        NoAnswer::Rubbish(shown_bytes(line.trim_ascii_end()))
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = shown_bytes(self.buffer.waiting());
        f.debug_struct("Replies").field("waiting", &waiting).finish_non_exhaustive()
    }
}

/// A whole reply or the header of an array, and the bytes it takes.
struct Element {
    kind: Kind,
    bytes: usize,
}

enum Kind {
    Reply(Reply),
    /// So many replies follow as its parts; at least one.
    ArrayOf(usize),
}

/// What came is no RESP.
#[derive(Debug)]
struct Rubbish;

/// Reads the element at the front; `None` while more bytes are needed.
fn parse(bytes: &[u8]) -> Result<Option<Element>, Rubbish> {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if !b"+-:$*".contains(&kind) {
        return Err(Rubbish);
    }
    let Some(end) = memchr(b'\n', rest) else {
        return if rest.len() > REPLY_LINE_BYTES_MAX { Err(Rubbish) } else { Ok(None) };
    };
    let (line, rest) = (&rest[..end], &rest[end + 1..]);
    let line = line.strip_suffix(b"\r").ok_or(Rubbish)?;
    if line.len() > REPLY_LINE_BYTES_MAX {
        return Err(Rubbish);
    }
    let header_bytes = bytes.len() - rest.len();
    let whole = |reply| Ok(Some(Element { kind: Kind::Reply(reply), bytes: header_bytes }));
    match kind {
        b'+' => whole(Reply::Text(line.to_vec())),
        b'-' => whole(Reply::Error(refused(line))),
        b':' => whole(Reply::Integer(integer(line)?)),
        b'$' | b'*' if line == b"-1" => whole(Reply::Nil),
        b'$' => {
            let len = length(line, RESP_BULK_BYTES_MAX)?;
            let Some((text, after)) = rest.split_at_checked(len) else {
                return Ok(None);
            };
            match after {
                [b'\r', b'\n', ..] => {
                    let kind = Kind::Reply(Reply::Text(text.to_vec()));
                    Ok(Some(Element { kind, bytes: header_bytes + len + 2 }))
                }
                [] | [b'\r'] => Ok(None),
                _ => Err(Rubbish),
            }
        }
        _ => match length(line, RESP_ARRAY_PARTS_MAX)? {
            0 => whole(Reply::Array(Vec::new())),
            len => Ok(Some(Element { kind: Kind::ArrayOf(len), bytes: header_bytes })),
        },
    }
}

fn integer(line: &[u8]) -> Result<i64, Rubbish> {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or(Rubbish)
}

fn length(line: &[u8], max: usize) -> Result<usize, Rubbish> {
    let length = usize::try_from(integer(line)?).map_err(|_| Rubbish)?;
    if length <= max { Ok(length) } else { Err(Rubbish) }
}

/// An error in the words of the server. `ERR` says no more than that it is one.
fn refused(line: &[u8]) -> Refused {
    let text = String::from_utf8_lossy(line.strip_prefix(b"ERR ").unwrap_or(line));
    Refused { text: text.chars().filter(|character| !character.is_control()).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::Replies as _;

    /// Every reply in `bytes`, which arrive in pieces of at most `piece` bytes; stops at the
    /// first that is none.
    fn replies(bytes: &[u8], piece: usize) -> Vec<Result<Reply, NoAnswer>> {
        let mut replies = Replies::default();
        let mut taken = Vec::new();
        let mut rest = bytes;
        loop {
            while let Some(reply) = replies.next() {
                let stop = reply.is_err();
                taken.push(reply);
                if stop {
                    return taken;
                }
            }
            if rest.is_empty() {
                return taken;
            }
            let room = replies.buffer().room();
            let count = rest.len().min(piece).min(room.len());
            assert!(count > 0, "no room although more bytes are needed");
            room[..count].copy_from_slice(&rest[..count]);
            replies.buffer().received(count);
            rest = &rest[count..];
        }
    }

    fn text(text: &str) -> Reply {
        Reply::Text(text.as_bytes().to_vec())
    }

    /// The same in bytes, written from the definition of the protocol.
    fn encode(reply: &Reply) -> Vec<u8> {
        match reply {
            Reply::Text(text) => {
                [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
            }
            Reply::Error(refused) => format!("-ERR {}\r\n", refused.text).into_bytes(),
            Reply::Integer(integer) => format!(":{integer}\r\n").into_bytes(),
            Reply::Nil => b"$-1\r\n".to_vec(),
            Reply::Array(parts) => {
                let header = format!("*{}\r\n", parts.len()).into_bytes();
                std::iter::once(header).chain(parts.iter().map(encode)).collect::<Vec<_>>().concat()
            }
        }
    }

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let mut chunk = Vec::new();
        encode_command(&[b"HGETALL", "牛来USDT".as_bytes()], &mut chunk);
        encode_command(&[b"ECHO", b""], &mut chunk);
        let expected = "*2\r\n$7\r\nHGETALL\r\n$10\r\n牛来USDT\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n";
        assert_eq!(chunk, expected.as_bytes());
    }

    #[test]
    fn each_kind_of_reply_is_understood() {
        let bytes = b"+OK\r\n-ERR no such\x1b stock\r\n-WRONGTYPE no\r\n:9223372036854775807\r\n\
            :-5\r\n$-1\r\n*-1\r\n$0\r\n\r\n$4\r\nA\r\nB\r\n*0\r\n*2\r\n$1\r\n0\r\n*1\r\n+A\r\n";
        let refused = |text: &str| Reply::Error(Refused { text: text.into() });
        let expected = [
            text("OK"),
            refused("no such stock"),
            refused("WRONGTYPE no"),
            Reply::Integer(i64::MAX),
            Reply::Integer(-5),
            Reply::Nil,
            Reply::Nil,
            text(""),
            text("A\r\nB"),
            Reply::Array(vec![]),
            Reply::Array(vec![text("0"), Reply::Array(vec![text("A")])]),
        ];
        for piece in 1..bytes.len() {
            let expected: Vec<_> = expected.iter().cloned().map(Ok).collect();
            assert_eq!(replies(bytes, piece), expected, "in pieces of {piece}");
        }
        // Cut anywhere, nothing is taken that is not whole.
        for end in 0..bytes.len() {
            let taken = replies(&bytes[..end], 99);
            let whole: usize = taken.iter().flatten().map(|reply| encode(reply).len()).sum();
            assert!(taken.iter().all(Result::is_ok) && taken.len() < expected.len(), "{whole}");
        }
    }

    #[test]
    fn what_is_no_reply_is_named() {
        let rubbish = |bytes: &[u8]| match &replies(bytes, 99)[..] {
            [Err(NoAnswer::Rubbish(text))] => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(rubbish(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "HTTP/1.1 400 Bad Request");
        assert_eq!(rubbish(b"-1\n-1\n"), "-1");
        assert_eq!(rubbish(b"172.5\n"), "172.5");
        for bytes in [
            "$x\r\n",
            ":1.5\r\n",
            ":9223372036854775808\r\n",
            ":\r\n",
            "$-2\r\n",
            "*-2\r\n",
            "$1\r\nABC\r\n",
            "_\r\n",
        ] {
            rubbish(bytes.as_bytes());
        }
        assert_eq!(
            rubbish(format!("+{}", "x".repeat(2000)).as_bytes()),
            format!("+{}", "x".repeat(39))
        );
    }

    #[test]
    fn bounds_hold_one_below_at_and_above() {
        let bulk = |len: usize| encode(&Reply::Text(vec![b'x'; len]));
        for len in [RESP_BULK_BYTES_MAX - 1, RESP_BULK_BYTES_MAX] {
            assert_eq!(replies(&bulk(len), 1000), [Ok(Reply::Text(vec![b'x'; len]))]);
        }
        assert!(replies(&bulk(RESP_BULK_BYTES_MAX + 1), 1000)[0].is_err());

        assert_eq!(replies(format!("*{RESP_ARRAY_PARTS_MAX}\r\n").as_bytes(), 99), []);
        assert!(replies(format!("*{}\r\n", RESP_ARRAY_PARTS_MAX + 1).as_bytes(), 99)[0].is_err());

        let nested = |depth: usize| format!("{}:1\r\n", "*1\r\n".repeat(depth));
        assert!(replies(nested(RESP_REPLY_NESTING_MAX).as_bytes(), 99)[0].is_ok());
        assert!(replies(nested(RESP_REPLY_NESTING_MAX + 1).as_bytes(), 99)[0].is_err());

        let parts = RESP_REPLY_BYTES_MAX / RESP_BULK_BYTES_MAX;
        let endless =
            [format!("*{parts}\r\n").into_bytes(), bulk(RESP_BULK_BYTES_MAX).repeat(parts)];
        assert_eq!(
            replies(&endless.concat(), 16 * 1024),
            [Err(NoAnswer::Rubbish("an endless reply".into()))]
        );
        let line = |len: usize| format!("+{}\r\n", "x".repeat(len)).into_bytes();
        assert!(replies(&line(REPLY_LINE_BYTES_MAX), 7)[0].is_ok());
        assert!(replies(&line(REPLY_LINE_BYTES_MAX + 1), 7)[0].is_err());
    }

    fn any_reply() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..50).prop_map(Reply::Text),
            "[ -~]{0,50}".prop_map(|text| Reply::Error(Refused { text })),
            any::<i64>().prop_map(Reply::Integer),
            Just(Reply::Nil),
        ];
        let array = |part| proptest::collection::vec(part, 0..6).prop_map(Reply::Array);
        leaf.prop_recursive(4, 40, 6, array)
    }

    proptest! {
        #[test]
        fn replies_are_the_same_however_they_arrive(
            expected in proptest::collection::vec(any_reply(), 0..20), piece in 1..300_usize,
        ) {
            let bytes: Vec<u8> = expected.iter().flat_map(encode).collect();
            let expected: Vec<_> = expected.into_iter().map(Ok).collect();
            prop_assert_eq!(replies(&bytes, piece), expected);
        }

        #[test]
        fn rubbish_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1..2000_usize,
        ) {
            replies(&bytes, piece);
        }

        #[test]
        fn what_looks_like_replies_never_panics(
            bytes in "([-+:$*]|[0-9]{1,3}|\r\n|x){0,200}", piece in 1..200_usize,
        ) {
            replies(bytes.as_bytes(), piece);
        }
    }
}
