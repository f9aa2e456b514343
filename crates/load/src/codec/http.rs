//! HTTP/1.1: the request for a quote, and how responses are recognised. The heads are parsed by `httparse`.
//!
//! Responses say their length, as those to a request for one quote do; chunks are not understood.

use stockd_model::limits::{HTTP_HEAD_BYTES_MAX, RESP_REPLY_BYTES_MAX};
use stockd_wire::reply::{self, NotAReply};

use super::caller::Caller;
use super::item::{Decoded, Item};
use super::json;

/// Headers of a response, at most.
const HEADERS_MAX: usize = 64;

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes of the head.
    pub(crate) bytes: usize,
    /// Bytes of the body, where the response says them.
    pub(crate) length: Option<usize>,
}

/// The path of a quote up to its name.
pub(crate) const QUOTE_PATH: &str = "/v1/stocks/";

/// What stands before and behind the name in a request for a quote.
pub(super) fn lookup(caller: &Caller) -> (String, Vec<u8>) {
    let mut tail = b" HTTP/1.1\r\n".to_vec();
    caller.headers(&mut tail);
    tail.extend_from_slice(b"Accept: application/json\r\n\r\n");
    (format!("GET {QUOTE_PATH}"), tail)
}

/// Appends a text as one segment of a path, or one value of a query.
pub(crate) fn encode(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
            _ => out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
        }
    }
}

/// The head at the beginning of these bytes; `None` while it is not whole.
///
/// # Errors
///
/// When it is none, or longer than [`HTTP_HEAD_BYTES_MAX`].
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>, NotAReply> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let whole = match response.parse(bytes) {
        Ok(httparse::Status::Complete(whole)) => whole,
        Ok(httparse::Status::Partial) if bytes.len() < HTTP_HEAD_BYTES_MAX => return Ok(None),
        _ => return Err(NotAReply),
    };
    let value = |name: &str| {
        let named = response.headers.iter().find(|it| it.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value.trim_ascii())
    };
    let length = match value("content-length") {
        Some(text) => Some(reply::number(text, RESP_REPLY_BYTES_MAX).ok_or(NotAReply)?),
        None => None,
    };
    let status = response.code.ok_or(NotAReply)?;
    Ok(Some(Head { status, bytes: whole, length }))
}

pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let Some(head) = head(bytes)? else {
        return Ok(None);
    };
    let length = head.length.or((head.status == 204).then_some(0)).ok_or(NotAReply)?;
    let whole = head.bytes + length;
    let Some(body) = bytes.get(head.bytes..whole) else {
        return Ok(None);
    };
    let line = || bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(Some((answer(head.status, body)?.unwrap_or_else(|| Item::Error(line())), whole)))
}

/// What a response to a lookup says; `None` for an error that says nothing of itself.
pub(crate) fn answer(status: u16, body: &[u8]) -> Result<Option<Item<'_>>, NotAReply> {
    Ok(match status {
        200 => Some(Item::Value(json::price(body)?)),
        404 => Some(Item::Missing),
        _ if body.is_empty() => None,
        _ => Some(Item::Error(body)),
    })
}
