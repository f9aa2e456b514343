//! Lookups over the line protocol: names to request lines, reply lines to answers.
//!
//! What is a reply line is known to `stockd_wire`; this module keeps what has come and makes answers
//! of it. It moves no bytes and knows no clock.
//!
//! Invariant: at most one buffer of replies is held.

use std::borrow::Cow;

use memchr::memchr;
use stockd_model::limits::LINE_BYTES_MAX;
use stockd_model::{Price, escaped};
use stockd_wire::line::{LineReply, decode_reply};

use crate::buffer::ReplyBuffer;
use crate::error::{NameError, excerpt};
use crate::protocol::{self, NoAnswer, Question, Request};
use crate::{Answer, ClientError};

/// Checks that a name can travel as one line. Which symbols are possible is the server's to say.
pub(crate) fn check_name(name: &str) -> Result<(), ClientError> {
    let cause = if name.len() > LINE_BYTES_MAX {
        NameError::TooLong { bytes: name.len() }
    } else if let Some(at) = memchr(b'\n', name.as_bytes()) {
        NameError::LineFeed { at }
    } else {
        return Ok(());
    };
    Err(ClientError::NameNotSendable { name: excerpt(name), cause })
}

/// A lookup of one name, which was checked.
pub(crate) struct Lookup<N>(pub(crate) N);

impl<N: AsRef<str>> Request for Lookup<N> {
    fn encode(&self, chunk: &mut Vec<u8>) {
        chunk.extend_from_slice(self.0.as_ref().as_bytes());
        chunk.push(b'\n');
    }

    fn name(&self) -> Cow<'_, str> {
        self.0.as_ref().into()
    }
}

impl<N: AsRef<str>> Question<Replies> for Lookup<N> {
    type Answer = Answer;

    fn answer(&self, reply: Answer) -> Result<Answer, NoAnswer> {
        Ok(reply)
    }
}

/// Reply lines as they arrive.
#[derive(Debug)]
pub(crate) struct Replies {
    buffer: ReplyBuffer,
}

/// Bytes of replies that one read may bring.
const BUFFER_BYTES: usize = 16 * 1024;

impl Default for Replies {
    fn default() -> Replies {
        Replies { buffer: ReplyBuffer::new(BUFFER_BYTES, BUFFER_BYTES) }
    }
}

impl protocol::Replies for Replies {
    const PROTOCOL: &'static str = "line";

    type Reply = Answer;

    #[inline]
    fn next(&mut self) -> Option<Result<Answer, NoAnswer>> {
        let waiting = self.buffer.waiting();
        let (answer, taken) = match decode_reply(waiting) {
            Ok(Some((LineReply::Price(text), taken))) => (price(text), taken),
            Ok(Some((LineReply::NotFound, taken))) => (Ok(Answer::NotFound), taken),
            Ok(Some((LineReply::NotPermitted, taken))) => (Ok(Answer::NotPermitted), taken),
            Ok(Some((LineReply::TurnedAway(why), _))) => {
                return Some(Err(NoAnswer::TurnedAway(escaped(why).to_string())));
            }
            Ok(None) => return None,
            Err(_) => {
                let line = memchr(b'\n', waiting).map_or(waiting, |end| &waiting[..end]);
                return Some(Err(NoAnswer::Rubbish(excerpt(line.trim_ascii_end()))));
            }
        };
        self.buffer.take(taken);
        Some(answer)
    }

    fn buffer(&mut self) -> &mut ReplyBuffer {
        &mut self.buffer
    }
}

/// What the text of a price answers.
#[inline]
fn price(text: &[u8]) -> Result<Answer, NoAnswer> {
    match text {
        b"0" => Ok(Answer::NotTradable),
        _ => match Price::parse(text) {
            Ok(price) => Ok(Answer::Price(price)),
            Err(_) => Err(NoAnswer::Rubbish(excerpt(text))),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stockd_model::limits::{
        EXCERPT_BYTES_MAX, PIPELINE_BYTES_MAX, PIPELINE_NAMES_MAX, REPLY_LINE_BYTES_MAX,
    };

    use super::*;

    /// Every reply in `bytes`, which arrive in pieces of at most `piece` bytes; stops at the
    /// first that is no answer.
    fn replies(bytes: &[u8], piece: usize) -> Vec<Result<Answer, NoAnswer>> {
        protocol::tests::replies(&mut Replies::default(), bytes, piece)
    }

    #[test]
    fn each_kind_of_reply_is_understood() {
        let price = "743500".parse().unwrap();
        assert_eq!(
            replies(b"743500\n0\n-1\n0.0\n-1.0\nERR not permitted\nERR 10 connections are open, the limit\r\n", 99),
            [
                Ok(Answer::Price(price)),
                Ok(Answer::NotTradable),
                Ok(Answer::NotFound),
                Ok(Answer::Price(Price::ZERO)),
                Ok(Answer::Price("-1".parse().unwrap())),
                Ok(Answer::NotPermitted),
                Err(NoAnswer::TurnedAway("10 connections are open, the limit".into())),
            ]
        );
    }

    #[test]
    fn what_is_no_reply_is_named() {
        for rubbish in ["", "-", "1..2", "HTTP/1.1 400 Bad Request", "ERR", "+OK", "1 2"] {
            let reply = replies(format!("{rubbish}\n").as_bytes(), 99);
            assert_eq!(reply, [Err(NoAnswer::Rubbish(rubbish.into()))]);
        }
        let escaped = replies(b"\xff\x00\n", 99);
        assert_eq!(escaped, [Err(NoAnswer::Rubbish(r"\xff\u{0}".into()))]);
    }

    #[test]
    fn an_endless_reply_line_is_not_waited_for() {
        let longest = [&b"9".repeat(REPLY_LINE_BYTES_MAX)[..], b"\n"].concat();
        assert!(matches!(&replies(&longest, 7)[..], [Err(NoAnswer::Rubbish(_))]));
        assert_eq!(replies(&longest[..REPLY_LINE_BYTES_MAX], 7), []);
        let endless = b"9".repeat(REPLY_LINE_BYTES_MAX + 1);
        let shown = "9".repeat(EXCERPT_BYTES_MAX - "…".len()) + "…";
        assert_eq!(replies(&endless, 7), [Err(NoAnswer::Rubbish(shown))]);
    }

    #[test]
    fn a_name_that_is_not_one_line_is_not_sent() {
        assert!(check_name(&"A".repeat(LINE_BYTES_MAX)).is_ok());
        assert!(check_name("").is_ok());
        assert_eq!(
            check_name(&"A".repeat(LINE_BYTES_MAX + 1)).unwrap_err().to_string(),
            format!(
                "the name '{}' cannot be sent: it is 65537 bytes long, the limit of a line is 65536; no symbol is that long",
                "A".repeat(EXCERPT_BYTES_MAX - "…".len()) + "…"
            )
        );
        assert_eq!(
            check_name("AA\nPL").unwrap_err().to_string(),
            "the name 'AA\\nPL' cannot be sent: it has a line feed at byte 2; a request is one line, so look up each line by itself"
        );
    }

    #[test]
    fn a_chunk_is_bounded_in_names_and_bytes() {
        fn encode_chunk(names: &[&str], chunk: &mut Vec<u8>) -> usize {
            let lookups: Vec<_> = names.iter().map(Lookup).collect();
            protocol::encode_chunk(&lookups, chunk)
        }
        let mut chunk = Vec::new();
        assert_eq!(encode_chunk(&["AAPL", "", "牛来USDT"], &mut chunk), 3);
        assert_eq!(chunk, "AAPL\n\n牛来USDT\n".as_bytes());

        assert_eq!(encode_chunk(&["A"; 5000], &mut chunk), PIPELINE_NAMES_MAX);
        assert_eq!(encode_chunk(&[], &mut chunk), 0);
        assert!(chunk.is_empty());

        let long = "A".repeat(PIPELINE_BYTES_MAX);
        assert_eq!(encode_chunk(&["A", &long], &mut chunk), 1);
        assert_eq!(encode_chunk(&[&long, "A"], &mut chunk), 1);
        let half = "A".repeat(PIPELINE_BYTES_MAX / 2 - 1);
        assert_eq!(encode_chunk(&[&half, &half, "A"], &mut chunk), 2);
        assert_eq!(chunk.len(), PIPELINE_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn replies_are_the_same_however_they_arrive(
            coefficients in proptest::collection::vec(-3..=i64::MAX, 0..2000),
            places in 0..=20_u8, piece in 1..5000_usize,
        ) {
            let answer = |&coefficient: &i64| match Price::new(coefficient, places) {
                Some(price) => Answer::Price(price),
                None if coefficient < 0 => Answer::NotFound,
                None => Answer::NotTradable,
            };
            let answers: Vec<_> = coefficients.iter().map(answer).collect();
            let bytes: String = answers.iter().map(|answer| format!("{answer}\n")).collect();
            let expected: Vec<_> = answers.into_iter().map(Ok).collect();
            prop_assert_eq!(replies(bytes.as_bytes(), piece), expected);
        }

        #[test]
        fn rubbish_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..4000), piece in 1..4000_usize,
        ) {
            replies(&bytes, piece);
        }
    }
}
