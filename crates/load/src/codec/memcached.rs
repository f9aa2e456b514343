//! The text protocol of memcached, classic and meta: keys, data, and the replies to lookups and
//! writes.

use stockd_model::limits::RESP_REPLY_BYTES_MAX;
use stockd_wire::reply::{self, NotAReply};

use super::item::{Decoded, Item};

/// Bytes of a key, at most (memcached's protocol.txt).
const KEY_BYTES_MAX: usize = 250;

pub(super) fn refuses(name: &[u8]) -> Option<&'static str> {
    if name.len() > KEY_BYTES_MAX {
        return Some("is longer than 250 bytes, the limit of memcached's keys");
    }
    let impossible = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    name.iter()
        .any(impossible)
        .then_some("has a space or control character, which memcached's keys cannot")
}

pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let Some((line, after)) = reply::line(bytes)? else {
        return Ok(None);
    };
    let line = line.strip_suffix(b"\r").ok_or(NotAReply)?;
    let mut words = line.split(|byte| *byte == b' ');
    let (length, tail): (_, &[u8]) = match words.next().unwrap_or_default() {
        b"END" | b"EN" => return Ok(Some((Item::Missing, after))),
        b"STORED" | b"HD" => return Ok(Some((Item::Done, after))),
        b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR" | b"NOT_STORED" | b"NS" => {
            return Ok(Some((Item::Error(line), after)));
        }
        // VALUE key flags length
        b"VALUE" => (words.nth(2), b"\r\nEND\r\n"),
        // VA length flags…
        b"VA" => (words.next(), b"\r\n"),
        _ => return Err(NotAReply),
    };
    let length = length.and_then(|length| reply::number(length, RESP_REPLY_BYTES_MAX));
    let length = length.ok_or(NotAReply)?;
    let Some(value) = bytes.get(after..after + length + tail.len()) else {
        return Ok(None);
    };
    let value = value.strip_suffix(tail).ok_or(NotAReply)?;
    Ok(Some((Item::Value(value), after + length + tail.len())))
}

/// Appends what follows the name in a write: how long the data is, and the data.
pub(super) fn data(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(text.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}
