//! Replies of a RESP server as they arrive.
//!
//! The codec is that of `stockd_wire`; this module keeps what has come for it and says in errors
//! what was no reply. It moves no bytes and knows no clock. What a reply means is for the requests
//! to say.
//!
//! Invariant: a reply is taken whole, and no more is held than the buffer and what the codec's
//! bounds allow, whatever the server announces.

use memchr::memchr;
use stockd_model::limits::RESP_REPLY_BYTES_MAX;
use stockd_wire::resp::{Value, ValueDecoder, ValueError};

use crate::buffer::ReplyBuffer;
use crate::error::excerpt;
use crate::protocol::{self, NoAnswer};

/// Replies as they arrive.
#[derive(Debug)]
pub(crate) struct Replies {
    buffer: ReplyBuffer,
    decoder: ValueDecoder,
}

/// Bytes of replies that one read may bring: those of many quotes.
const BUFFER_BYTES: usize = 64 * 1024;

/// Enough for a reply that is one text, with its header and line end.
const BUFFER_BYTES_MAX: usize = RESP_REPLY_BYTES_MAX + 1024;

impl Default for Replies {
    fn default() -> Replies {
        let buffer = ReplyBuffer::new(BUFFER_BYTES, BUFFER_BYTES_MAX);
        Replies { buffer, decoder: ValueDecoder::new() }
    }
}

impl protocol::Replies for Replies {
    const PROTOCOL: &'static str = "resp";

    type Reply = Value;

    fn next(&mut self) -> Option<Result<Value, NoAnswer>> {
        let waiting = self.buffer.waiting();
        let mut rest = waiting;
        let decoded = self.decoder.decode(&mut rest).map_err(|error| match error {
            ValueError::NotAReply(_) => {
                let line = memchr(b'\n', rest).map_or(rest, |end| &rest[..end]);
                NoAnswer::Rubbish(excerpt(line.trim_ascii_end()))
            }
            error => NoAnswer::rubbish(&error),
        });
        let taken = waiting.len() - rest.len();
        self.buffer.take(taken);
        decoded.transpose()
    }

    fn buffer(&mut self) -> &mut ReplyBuffer {
        &mut self.buffer
    }
}

#[cfg(test)]
mod tests {
    use stockd_model::limits::EXCERPT_BYTES_MAX;

    use super::*;
    use crate::protocol::Replies as _;

    /// Every reply in `bytes`, which arrive in pieces of at most `piece` bytes; stops at the
    /// first that is none.
    fn replies(bytes: &[u8], piece: usize) -> Vec<Result<Value, NoAnswer>> {
        protocol::tests::replies(&mut Replies::default(), bytes, piece)
    }

    #[test]
    fn replies_are_taken_from_the_buffer_as_they_become_whole() {
        // Longer than the buffer is at first, as what CLIENT LIST says of many connections.
        const LENGTH: usize = 300_000;
        let longest = [&b"$300000\r\n"[..], &[b'x'; LENGTH], b"\r\n"].concat();
        let stream = [b"+OK\r\n*2\r\n:1\r\n", &longest[..], b"$-1\r\n"].concat();
        let array = Value::Array(vec![Value::Integer(1), Value::Text(vec![b'x'; LENGTH])]);
        let expected = [Value::Text(b"OK".to_vec()), array, Value::Nil].map(Ok);
        for piece in [7, 5000, 100_000] {
            assert_eq!(replies(&stream, piece), expected, "in pieces of {piece}");
        }
        let mut replies = Replies::default();
        assert!(replies.next().is_none() && replies.buffer().waiting().is_empty());
    }

    #[test]
    fn what_is_no_reply_is_named() {
        let rubbish = |bytes: &[u8]| match &replies(bytes, 99)[..] {
            [Err(NoAnswer::Rubbish(text))] => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(rubbish(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "HTTP/1.1 400 Bad Request");
        assert_eq!(rubbish(b"172.5\n"), "172.5");
        assert_eq!(rubbish(b"\x1b[2J\n"), "\\u{1b}[2J");
        let endless = format!("+{}", "x".repeat(2000));
        assert_eq!(rubbish(endless.as_bytes()).len(), EXCERPT_BYTES_MAX);
        let deep = "*1\r\n".repeat(99);
        assert_eq!(rubbish(deep.as_bytes()), "arrays more than 8 deep");
    }
}
