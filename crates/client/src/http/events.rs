//! Server-Sent Events, as bytes come in: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
//!
//! It knows no meaning of events and no sockets. Invariant: however the bytes are cut, the events are the same; and it
//! holds at most [`HTTP_CLIENT_LINE_BYTES_MAX`] bytes and what was pushed last.

use bytes::{Buf, BytesMut};
use memchr::memchr;
use stockd_model::limits::HTTP_CLIENT_LINE_BYTES_MAX;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Its name; empty unless it has one.
    pub(super) name: String,
    pub(super) data: Vec<u8>,
    /// The id of the stream as of this event, if it changes with it.
    pub(super) id: Option<String>,
}

/// It holds more than an event can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Bytes that have come and are no events yet.
#[derive(Debug, Default)]
pub(super) struct Messages {
    bytes: BytesMut,
    /// The event that is not whole yet.
    begun: Message,
    has_data: bool,
}

impl Messages {
    /// These bytes have come.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event, if it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Message>, TooLong> {
        while let Some(end) = memchr(b'\n', &self.bytes) {
            let line = self.bytes.split_to(end);
            self.bytes.advance(1);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if !line.is_empty() {
                self.field(line);
                if self.begun.data.len() > HTTP_CLIENT_LINE_BYTES_MAX {
                    return Err(TooLong);
                }
                continue;
            }
            let message = std::mem::take(&mut self.begun);
            if std::mem::take(&mut self.has_data) {
                return Ok(Some(message));
            }
        }
        if self.bytes.len() > HTTP_CLIENT_LINE_BYTES_MAX { Err(TooLong) } else { Ok(None) }
    }

    fn field(&mut self, line: &[u8]) {
        let (name, value) = match memchr(b':', line) {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b"event" => self.begun.name = text(),
            b"id" if !value.contains(&0) => self.begun.id = Some(text()),
            b"data" => {
                if self.has_data {
                    self.begun.data.push(b'\n');
                }
                self.has_data = true;
                self.begun.data.extend_from_slice(value);
            }
            // A comment, the pause that goodbye says as well, or what is not known.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(name: &str, data: &str, id: Option<&str>) -> Message {
        Message { name: name.into(), data: data.into(), id: id.map(Into::into) }
    }

    fn read(pieces: &[&[u8]]) -> Vec<Message> {
        let mut messages = Messages::default();
        let mut read = Vec::new();
        for piece in pieces {
            messages.push(piece);
            while let Some(message) = messages.next().unwrap() {
                read.push(message);
            }
        }
        read
    }

    const STREAM: &[u8] =
        b"event: hello\ndata: {}\n\n: a comment\nretry: 500\n\ndata: 1\nid: a-1\n\ndata:a\r\n\
        data: b\r\ndata\r\n\r\nid: \nevent\ndata: \n\nevent: unfinished\ndata: x\n";

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let expected = [
            message("hello", "{}", None),
            message("", "1", Some("a-1")),
            message("", "a\nb\n", None),
            message("", "", Some("")),
        ];
        assert_eq!(read(&[STREAM]), expected);
        for at in 0..STREAM.len() {
            assert_eq!(read(&[&STREAM[..at], &STREAM[at..]]), expected, "{at}");
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn an_event_without_end_is_an_error() {
        for line in [
            "x".repeat(HTTP_CLIENT_LINE_BYTES_MAX + 1),
            "data: y\n".repeat(HTTP_CLIENT_LINE_BYTES_MAX),
        ] {
            let mut messages = Messages::default();
            messages.push(line.as_bytes());
            assert_eq!(messages.next(), Err(TooLong));
        }
    }

    proptest! {
        #[test]
        fn rubbish_is_read_without_a_panic(bytes: Vec<u8>) {
            let mut messages = Messages::default();
            messages.push(&bytes);
            while messages.next().unwrap().is_some() {}
        }
    }
}
