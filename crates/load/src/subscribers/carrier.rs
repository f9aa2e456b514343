//! What carries the messages of subscribers: how it is asked for them, and how they are recognised.
//!
//! It knows no socket. Invariant: a message is recognised once it is whole, however the bytes before were cut.

use std::io;

use crate::codec::{Caller, Foreign, Protocol};
use crate::stocks::Texts;
#[cfg(feature = "web")]
use crate::subscribers::browsers::{self, Events, Messages};
use crate::subscribers::channels::{self, Channels};
use crate::subscribers::event::Event;
#[cfg(feature = "web")]
use crate::subscribers::watch::{Call, Watch};

/// What carries the messages of subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// `SUBSCRIBE` of RESP.
    #[default]
    Resp,
    /// Server-Sent Events over HTTP/1.1.
    Sse,
    /// WebSocket.
    Websocket,
    /// `Watch` of gRPC.
    Grpc,
}

/// What every subscriber asks for.
#[derive(Debug)]
pub(super) struct Subscription {
    /// What all of them send.
    pub(super) request: Vec<u8>,
    /// Names in it: all, or as many as one request holds.
    names: usize,
    carrier: Carrier,
    /// Of gRPC, where each connection makes its own bytes of it.
    #[cfg(feature = "web")]
    call: Option<Call>,
}

/// The conversation of one subscriber.
#[derive(Debug)]
pub(super) enum Reader {
    Channels(Channels),
    #[cfg(feature = "web")]
    Events(Events),
    #[cfg(feature = "web")]
    Messages(Messages),
    #[cfg(feature = "web")]
    Watch(Box<Watch>),
}

impl Carrier {
    /// What is spoken on its connections when they are opened.
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Carrier::Resp => Protocol::Resp,
            Carrier::Sse => Protocol::Http,
            Carrier::Websocket => Protocol::Websocket,
            Carrier::Grpc => Protocol::Grpc,
        }
    }

    /// What helps where it cannot be connected to.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Carrier::Resp => "subscribers need the RESP listener of stockd; name it with --resp",
            _ => "subscribers need the HTTP listener of stockd; name it with --http",
        }
    }
}

impl Subscription {
    pub(super) fn new(carrier: Carrier, names: &Texts, caller: &Caller) -> Subscription {
        #[cfg(feature = "web")]
        if carrier == Carrier::Grpc {
            let (call, names) = Call::new(names, caller);
            return Subscription { request: Vec::new(), names, carrier, call: Some(call) };
        }
        let (request, names) = match carrier {
            #[cfg(feature = "web")]
            Carrier::Sse => browsers::events(names, caller),
            #[cfg(feature = "web")]
            Carrier::Websocket => browsers::messages(names),
            _ => channels::subscribe(names),
        };
        Subscription {
            request,
            names,
            carrier,
            #[cfg(feature = "web")]
            call: None,
        }
    }
}

impl Reader {
    /// The conversation of a new subscriber.
    pub(super) fn new(subscription: &Subscription) -> io::Result<Reader> {
        #[cfg(feature = "web")]
        if let Some(call) = &subscription.call {
            return Ok(Reader::Watch(Box::new(call.begin()?)));
        }
        Ok(match subscription.carrier {
            #[cfg(feature = "web")]
            Carrier::Sse => Reader::Events(Events::default()),
            #[cfg(feature = "web")]
            Carrier::Websocket => Reader::Messages(Messages),
            _ => Reader::Channels(Channels::new(subscription.names)),
        })
    }

    /// Appends what this subscriber alone sends at first.
    pub(super) fn opening(&self, output: &mut Vec<u8>) {
        #[cfg(feature = "web")]
        if let Reader::Watch(it) = self {
            it.opening(output);
        }
    }

    /// Tells what these bytes say. Returns how many were understood; the others are to come again.
    ///
    /// # Errors
    ///
    /// When they are no answer to the subscription.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, Foreign> {
        match self {
            Reader::Channels(it) => it.read(bytes, tell),
            #[cfg(feature = "web")]
            Reader::Events(it) => it.read(bytes, tell),
            #[cfg(feature = "web")]
            Reader::Messages(it) => it.read(bytes, tell),
            #[cfg(feature = "web")]
            Reader::Watch(it) => it.read(bytes, tell),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is heard of a stream that is cut at one place.
    fn heard(carrier: Carrier, stream: &[u8], cut: usize) -> Vec<String> {
        let subscription = Subscription::new(carrier, &Texts::generated(2), &Caller::default());
        let mut reader = Reader::new(&subscription).unwrap();
        let (mut heard, mut begin) = (Vec::new(), 0);
        for end in [cut, stream.len()] {
            let read = reader.read(&stream[begin..end], &mut |event| {
                heard.push(match event {
                    Event::Subscribed => "subscribed".to_owned(),
                    Event::Message(message) => String::from_utf8_lossy(message).into_owned(),
                    Event::Change(updated_ns) => format!("{updated_ns:?}"),
                    Event::Answer(bytes) => format!("answer of {}", bytes.len()),
                });
            });
            begin += read.unwrap();
        }
        assert_eq!(begin, stream.len());
        heard
    }

    #[test]
    fn channels_are_heard_wherever_they_are_cut() {
        let stream = "*3\r\n$9\r\nsubscribe\r\n$1\r\nA\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nA\r\n$2\r\n{}\r\n\
            *3\r\n$9\r\nsubscribe\r\n$7\r\nmessage\r\n:2\r\n*3\r\n$7\r\nmessage\r\n$7\r\nmessage\r\n$3\r\n{1}\r\n";
        for cut in 0..=stream.len() {
            let heard = heard(Carrier::Resp, stream.as_bytes(), cut);
            assert_eq!(heard, ["{}", "subscribed", "{1}"], "cut at {cut}");
        }
    }

    #[cfg(feature = "web")]
    #[test]
    fn events_and_messages_are_heard_wherever_they_are_cut() {
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let stream = [
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
            &chunk(
                "event: hello\ndata: {\"server\":\"stockd\"}\n\ndata: {1}\nid: 0-1\n\nevent: syn",
            ),
            &chunk("ced\ndata: {}\n\n"),
            &chunk("event: heartbeat\ndata: {}\n\ndata: {2}\n\n"),
        ];
        let stream = stream.concat();
        for cut in 0..=stream.len() {
            let heard = heard(Carrier::Sse, stream.as_bytes(), cut);
            assert_eq!(heard, ["{1}", "subscribed", "{2}"], "cut at {cut}");
        }
        let frame =
            |kind: u8, text: &str| [&[0x80 | kind, text.len() as u8], text.as_bytes()].concat();
        let stream = [
            frame(1, r#"{"type":"hello"}"#),
            frame(1, r#"[{"a":1},{"b":"2"}]"#),
            frame(9, ""),
            frame(1, r#"{"type":"synced"}"#),
        ];
        let stream = stream.concat();
        for cut in 0..=stream.len() {
            let heard = heard(Carrier::Websocket, &stream, cut);
            let expected = [r#"{"a":1}"#, r#"{"b":"2"}"#, "answer of 6", "subscribed"];
            assert_eq!(heard, expected, "cut at {cut}");
        }
    }

    #[cfg(feature = "web")]
    #[test]
    fn a_refusal_is_no_stream() {
        let subscription =
            Subscription::new(Carrier::Sse, &Texts::generated(1), &Caller::default());
        let mut reader = Reader::new(&subscription).unwrap();
        let refusal = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        let foreign = reader.read(refusal, &mut |_| {}).unwrap_err();
        assert_eq!(foreign.excerpt, "HTTP/1.1 503 Service Unavailable");
    }

    #[cfg(feature = "web")]
    #[test]
    fn an_event_without_an_end_is_not_waited_for() {
        use stockd_model::limits::{HTTP_HEAD_BYTES_MAX, RESP_REPLY_BYTES_MAX};
        let subscription =
            Subscription::new(Carrier::Sse, &Texts::generated(1), &Caller::default());
        let begin = || {
            let mut reader = Reader::new(&subscription).unwrap();
            reader.read(b"HTTP/1.1 200 OK\r\n\r\n", &mut |_| {}).unwrap();
            reader
        };
        let line = "x".repeat(RESP_REPLY_BYTES_MAX);
        let chunk = format!("{:x}\r\n{line}", line.len() + 1);
        let mut reader = begin();
        assert!(reader.read(chunk.as_bytes(), &mut |_| {}).is_ok());
        assert_eq!(reader.read(b"x", &mut |_| {}).unwrap_err().excerpt, "an event without an end");
        let extension = format!("1;{}", "x".repeat(HTTP_HEAD_BYTES_MAX));
        assert!(begin().read(extension.as_bytes(), &mut |_| {}).is_err());
    }

    #[cfg(feature = "web")]
    #[test]
    fn a_request_holds_as_many_names_as_fit() {
        use stockd_model::limits::{HTTP_URI_BYTES_MAX, WEBSOCKET_MESSAGE_BYTES_MAX};
        let (few, many) = (Texts::generated(3), Texts::generated(100_000));
        let caller = Caller { host: "localhost".to_owned(), ..Caller::default() };
        let of = |carrier, names: &Texts| Subscription::new(carrier, names, &caller);
        let request = of(Carrier::Sse, &few).request;
        let first =
            "GET /v1/stream?symbols=S0000000,S0000001,S0000002 HTTP/1.1\r\nHost: localhost\r\n";
        assert!(request.starts_with(first.as_bytes()));
        let line = of(Carrier::Sse, &many);
        let end = line.request.iter().position(|byte| *byte == b'\r').unwrap();
        assert!(end < HTTP_URI_BYTES_MAX && end > HTTP_URI_BYTES_MAX - 100, "{end}");
        assert_eq!(line.names, (HTTP_URI_BYTES_MAX - 64) / 9);
        let message = of(Carrier::Websocket, &many);
        assert!(message.request.len() <= WEBSOCKET_MESSAGE_BYTES_MAX);
        assert!(message.names > 5_000);
        assert_eq!(of(Carrier::Websocket, &few).names, 3);
        let call = of(Carrier::Grpc, &many);
        assert_eq!((call.names, call.request.len()), ((64 * 1024 - 64) / 10, 0));
    }
}
