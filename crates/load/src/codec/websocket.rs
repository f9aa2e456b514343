//! The subprotocol `stockd.v1` over WebSocket, as a client speaks it: the opening handshake, a lookup, and
//! the frames of a server. Frame headers and keys are those of `tungstenite`.
//!
//! Messages of a client are masked with a key of zeros, so that they can be written beforehand: masks protect what
//! stands between client and server, and between these two nothing does.

use std::collections::BTreeMap;
use std::io::Cursor;

use serde::Deserialize;
use serde_json::value::RawValue;
use stockd_model::limits::RESP_REPLY_BYTES_MAX;
use stockd_wire::reply::NotAReply;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::caller::Caller;
use super::http;
use super::item::{Decoded, Item, excerpt};
use super::json;

/// What a server sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    /// The server ends the conversation, and why.
    Close(&'a [u8]),
    Pong,
}

/// The request that opens a conversation.
pub(crate) fn opening(caller: &Caller, key: &str) -> Vec<u8> {
    let mut out = b"GET /v1/stream HTTP/1.1\r\n".to_vec();
    caller.headers(&mut out);
    let fixed = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: stockd.v1\r\nSec-WebSocket-Key: ";
    out.extend_from_slice(format!("{fixed}{key}\r\n\r\n").as_bytes());
    out
}

/// Whether these bytes begin with the response that opens the conversation: how long it is, or `None` while it is
/// not whole.
///
/// # Errors
///
/// What the server said instead.
pub(crate) fn opened(bytes: &[u8], key: &str) -> Result<Option<usize>, String> {
    let Ok(head) = http::head(bytes) else {
        return Err(excerpt(bytes));
    };
    let Some(head) = head else { return Ok(None) };
    let accepted = derive_accept_key(key.as_bytes());
    let is_accepted = String::from_utf8_lossy(&bytes[..head.bytes]).contains(&accepted);
    match head.status {
        101 if is_accepted => Ok(Some(head.bytes)),
        _ => Err(excerpt(bytes.split(|byte| *byte == b'\r').next().unwrap_or_default())),
    }
}

/// Appends the lookup of a name as one frame.
pub(super) fn lookup(name: &[u8], out: &mut Vec<u8>) {
    let name = serde_json::Value::from(String::from_utf8_lossy(name));
    let text = format!(r#"{{"action":"lookup","symbols":[{name}]}}"#);
    frame(OpCode::Data(Data::Text), text.as_bytes(), out);
}

/// Appends the text of a message.
pub(crate) fn text(text: &[u8], out: &mut Vec<u8>) {
    frame(OpCode::Data(Data::Text), text, out);
}

/// Appends the answer to a ping.
pub(crate) fn pong(payload: &[u8], out: &mut Vec<u8>) {
    frame(OpCode::Control(Control::Pong), payload, out);
}

fn frame(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, mask: Some([0; 4]), ..FrameHeader::default() };
    // A vector takes everything.
    let _ = header.format(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// The first frame of a server among these bytes, and how long it is.
///
/// # Errors
///
/// When it is none that a server sends whole.
pub(crate) fn server_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, NotAReply> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| NotAReply)? else {
        return Ok(None);
    };
    let length = usize::try_from(length).ok().filter(|it| *it <= RESP_REPLY_BYTES_MAX);
    let begin = cursor.position() as usize;
    let end = begin + length.ok_or(NotAReply)?;
    if header.mask.is_some() || !header.is_final {
        return Err(NotAReply);
    }
    let Some(payload) = bytes.get(begin..end) else {
        return Ok(None);
    };
    let frame = match header.opcode {
        OpCode::Data(Data::Text) => Frame::Text(payload),
        OpCode::Control(Control::Ping) => Frame::Ping(payload),
        OpCode::Control(Control::Pong) => Frame::Pong,
        // A number stands before the reason.
        OpCode::Control(Control::Close) => Frame::Close(payload.get(2..).unwrap_or_default()),
        _ => return Err(NotAReply),
    };
    Ok(Some((frame, end)))
}

pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let Some((frame, length)) = server_frame(bytes)? else {
        return Ok(None);
    };
    let item = match frame {
        // Live quotes, which were not asked for here.
        Frame::Text([b'[', ..]) | Frame::Pong => Item::Aside,
        Frame::Text(text) => answer(text)?,
        Frame::Ping(payload) => Item::Ping(payload),
        Frame::Close(reason) => Item::Error(reason),
    };
    Ok(Some((item, length)))
}

/// What a message says to the lookup of one name.
fn answer(text: &[u8]) -> Result<Item<'_>, NotAReply> {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        #[serde(borrow, default)]
        quotes: BTreeMap<String, &'a RawValue>,
    }
    let said: Said<'_> = serde_json::from_slice(text).map_err(|_| NotAReply)?;
    Ok(match (said.kind, said.quotes.values().next()) {
        ("lookup", Some(quote)) => Item::Value(json::price(quote.get().as_bytes())?),
        ("lookup", None) => Item::Missing,
        ("error", _) => Item::Error(text),
        _ => Item::Aside,
    })
}
