//! Streams as text: Server-Sent Events and JSON lines, as the body of a response.
//!
//! It owns the bytes of both and when they are made: a frame when the transport asks for one. Invariant: a frame
//! has whole events, and at most [`STREAM_BYTES_MAX`] bytes and one event more.

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use stockd_engine::Message;
use stockd_model::limits::STREAM_BYTES_MAX;

use crate::stream::hub::Counters;
use crate::stream::subscription::EventId;
use crate::stream::teller::{Notice, Sink, Teller};
use crate::unsent::held;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `text/event-stream`
    ServerSentEvents,
    /// One object a line.
    JsonLines,
}

/// The body of a response that streams.
#[derive(Debug)]
pub(crate) struct StreamBody {
    teller: Teller,
    format: Format,
}

/// Events that are written and not sent.
#[derive(Debug)]
struct Text {
    format: Format,
    bytes: Vec<u8>,
}

impl StreamBody {
    pub(crate) fn new(teller: Teller, format: Format) -> StreamBody {
        StreamBody { teller, format }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut text = Text { format: self.format, bytes: Vec::new() };
        match ready!(self.teller.poll(cx, &mut text)) {
            true => Poll::Ready(Some(Ok(Frame::data(held(text.bytes, &self.teller.stream.info))))),
            false => Poll::Ready(None),
        }
    }
}

impl Sink for Text {
    fn quote(&mut self, message: &Message<'_>, id: Option<EventId>) {
        self.event(None, message.payload, id);
    }

    fn unlisted(&mut self, name: &str, id: Option<EventId>) {
        self.event(None, unlisted(name).as_bytes(), id);
    }

    fn notice(&mut self, notice: Notice, id: Option<EventId>) {
        let mut data = Vec::new();
        let with_type = self.format == Format::JsonLines;
        let name = encode_notice(notice, with_type, &mut data);
        if let (Notice::Goodbye { retry }, Format::ServerSentEvents) = (notice, self.format) {
            // A vector takes everything.
            let _ = writeln!(self.bytes, "retry: {}", retry.as_millis());
        }
        self.event(Some(name), &data, id);
    }

    fn has_room(&self) -> bool {
        self.bytes.len() < STREAM_BYTES_MAX
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Text {
    /// Writes one event. Neither a quote nor a notice has a line end in it.
    fn event(&mut self, name: Option<&str>, data: &[u8], id: Option<EventId>) {
        let out = &mut self.bytes;
        match self.format {
            Format::ServerSentEvents => {
                if let Some(name) = name {
                    out.extend_from_slice(b"event: ");
                    out.extend_from_slice(name.as_bytes());
                    out.push(b'\n');
                }
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(data);
                if let Some(id) = id {
                    let _ = write!(out, "\nid: {id}");
                }
                out.extend_from_slice(b"\n\n");
            }
            Format::JsonLines => {
                out.extend_from_slice(data);
                out.push(b'\n');
            }
        }
    }
}

/// Writes a notice as JSON, with its name as `type` where nothing else has it. Returns the name.
pub(crate) fn encode_notice(notice: Notice, with_type: bool, out: &mut Vec<u8>) -> &'static str {
    let (name, members) = match notice {
        Notice::Hello { epoch, resumed } => (
            "hello",
            format!(
                r#""server":"stockd {}","epoch":"{epoch:016x}","resumed":{resumed}"#,
                env!("CARGO_PKG_VERSION")
            ),
        ),
        Notice::Synced => ("synced", String::new()),
        Notice::Heartbeat { counters, staleness } => {
            let Counters { messages, conflated, marks } = counters;
            let fresh = staleness.map(|age| format!(r#","fresh_ms":{}"#, age.as_millis()));
            let fresh = fresh.unwrap_or_default();
            (
                "heartbeat",
                format!(r#""messages":{messages},"conflated":{conflated},"marks":{marks}{fresh}"#),
            )
        }
        Notice::Forbidden(None) => ("forbidden", String::new()),
        Notice::Forbidden(Some(symbol)) => {
            let symbol = serde_json::Value::from(symbol.as_str());
            ("forbidden", format!(r#""symbol":{symbol}"#))
        }
        Notice::Unauthenticated => ("unauthenticated", String::new()),
        Notice::Goodbye { retry } => ("goodbye", format!(r#""retry_ms":{}"#, retry.as_millis())),
    };
    let separator = if members.is_empty() || !with_type { "" } else { "," };
    let kind = if with_type { format!(r#""type":"{name}""#) } else { String::new() };
    // A vector takes everything.
    let _ = write!(out, "{{{kind}{separator}{members}}}");
    name
}

/// That nothing can be listed under this name, as the feed says it of a symbol.
pub(crate) fn unlisted(name: &str) -> String {
    format!(r#"{{"symbol":{},"status":"unlisted"}}"#, serde_json::Value::from(name))
}
