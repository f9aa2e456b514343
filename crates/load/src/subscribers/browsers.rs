//! Subscribers as browsers are: Server-Sent Events over HTTP/1.1, and messages of WebSocket.

use serde::Deserialize;
use serde_json::value::RawValue;
use stockd_model::limits::{
    HTTP_HEAD_BYTES_MAX, HTTP_URI_BYTES_MAX, RESP_REPLY_BYTES_MAX, WEBSOCKET_MESSAGE_BYTES_MAX,
};
use stockd_wire::reply::NotAReply;

use crate::codec::{Caller, Foreign, http, websocket};
use crate::stocks::Texts;
use crate::subscribers::event::Event;

/// Bytes of a request beside its names, at most.
const FRAME_BYTES: usize = 64;

/// The request for events of these names, as many as an address holds. Returns how many those are.
pub(super) fn events(names: &Texts, caller: &Caller) -> (Vec<u8>, usize) {
    let mut list = Vec::new();
    let room = HTTP_URI_BYTES_MAX - FRAME_BYTES;
    let count = fill(names, room, &mut list, |name, out| {
        http::encode(name, out);
        out.push(b',');
    });
    // The last comma.
    list.pop();
    let mut out = b"GET /v1/stream?symbols=".to_vec();
    out.extend_from_slice(&list);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    caller.headers(&mut out);
    out.extend_from_slice(b"Accept: text/event-stream\r\n\r\n");
    (out, count)
}

/// The message that subscribes to these names, as many as it may hold. Returns how many those are.
pub(super) fn messages(names: &Texts) -> (Vec<u8>, usize) {
    let mut list = Vec::new();
    let room = WEBSOCKET_MESSAGE_BYTES_MAX - FRAME_BYTES;
    let count = fill(names, room, &mut list, |name, out| {
        let name = serde_json::Value::from(String::from_utf8_lossy(name));
        out.extend_from_slice(format!("{name},").as_bytes());
    });
    list.pop();
    let text = [br#"{"action":"subscribe","symbols":["#, &list[..], b"]}"].concat();
    let mut out = Vec::new();
    websocket::text(&text, &mut out);
    (out, count)
}

/// Appends names one by one as long as they have room.
fn fill(
    names: &Texts,
    room: usize,
    out: &mut Vec<u8>,
    append: impl Fn(&[u8], &mut Vec<u8>),
) -> usize {
    for (count, name) in names.iter().enumerate() {
        let before = out.len();
        append(name, out);
        if out.len() > room {
            out.truncate(before);
            return count;
        }
    }
    names.len()
}

/// A stream of events, in chunks.
#[derive(Debug, Default)]
pub(super) struct Events {
    stage: Stage,
    /// What came in chunks and is no whole line yet.
    text: Vec<u8>,
    name: Name,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    /// The length of a chunk comes.
    Length,
    /// This number of bytes, and a line end.
    Chunk(usize),
}

/// What the lines before have called the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Name {
    /// None: it is a quote.
    #[default]
    None,
    Synced,
    Other,
}

impl Events {
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, Foreign> {
        let mut at = 0;
        while let Some(length) =
            self.step(&bytes[at..]).map_err(|_not_a_reply| Foreign::new(&bytes[at..]))?
        {
            at += length;
        }
        let text = std::mem::take(&mut self.text);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => self.line(line, tell),
                None => self.text = line.to_vec(),
            }
        }
        match self.text.len() <= RESP_REPLY_BYTES_MAX {
            true => Ok(at),
            false => Err(Foreign::new(b"an event without an end")),
        }
    }

    /// Takes the next piece of the response; `None` while that is not whole.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotAReply> {
        match self.stage {
            Stage::Head => match http::head(bytes)? {
                None => Ok(None),
                Some(head) if head.status == 200 => {
                    self.stage = Stage::Length;
                    Ok(Some(head.bytes))
                }
                Some(_) => Err(NotAReply),
            },
            Stage::Length => match httparse::parse_chunk_size(bytes) {
                Ok(httparse::Status::Partial) if bytes.len() < HTTP_HEAD_BYTES_MAX => Ok(None),
                // The last one is empty.
                Ok(httparse::Status::Partial | httparse::Status::Complete((_, 0))) | Err(_) => {
                    Err(NotAReply)
                }
                Ok(httparse::Status::Complete((length, chunk))) => {
                    self.stage = Stage::Chunk(usize::try_from(chunk).map_err(|_| NotAReply)?);
                    Ok(Some(length))
                }
            },
            Stage::Chunk(0) => match bytes {
                [b'\r', b'\n', ..] => {
                    self.stage = Stage::Length;
                    Ok(Some(2))
                }
                [] | [b'\r'] => Ok(None),
                _ => Err(NotAReply),
            },
            Stage::Chunk(left) => {
                let length = left.min(bytes.len());
                self.text.extend_from_slice(&bytes[..length]);
                self.stage = Stage::Chunk(left - length);
                Ok((length > 0).then_some(length))
            }
        }
    }

    fn line(&mut self, line: &[u8], tell: &mut dyn FnMut(Event<'_>)) {
        if line.is_empty() {
            self.name = Name::None;
        } else if let Some(name) = line.strip_prefix(b"event: ") {
            self.name = if name == b"synced" { Name::Synced } else { Name::Other };
        } else if let Some(data) = line.strip_prefix(b"data: ") {
            match self.name {
                Name::None => tell(Event::Message(data)),
                Name::Synced => tell(Event::Subscribed),
                Name::Other => {}
            }
        }
    }
}

/// Messages of the subprotocol `stockd.v1`.
#[derive(Debug)]
pub(super) struct Messages;

impl Messages {
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, Foreign> {
        let mut at = 0;
        let foreign = |_not_a_reply| Foreign::new(bytes);
        while let Some((frame, length)) = websocket::server_frame(&bytes[at..]).map_err(foreign)? {
            at += length;
            match frame {
                websocket::Frame::Text(text) => message(text, tell).map_err(foreign)?,
                websocket::Frame::Ping(payload) => {
                    let mut answer = Vec::new();
                    websocket::pong(payload, &mut answer);
                    tell(Event::Answer(&answer));
                }
                websocket::Frame::Close(reason) => return Err(Foreign::new(reason)),
                websocket::Frame::Pong => {}
            }
        }
        Ok(at)
    }
}

fn message(text: &[u8], tell: &mut dyn FnMut(Event<'_>)) -> Result<(), NotAReply> {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
    }
    if text.starts_with(b"[") {
        let quotes: Vec<&RawValue> = serde_json::from_slice(text).map_err(|_| NotAReply)?;
        quotes.iter().for_each(|quote| tell(Event::Message(quote.get().as_bytes())));
        return Ok(());
    }
    let said: Said<'_> = serde_json::from_slice(text).map_err(|_| NotAReply)?;
    match said.kind {
        "synced" => tell(Event::Subscribed),
        "error" => return Err(NotAReply),
        _ => {}
    }
    Ok(())
}
