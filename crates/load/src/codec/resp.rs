//! RESP, the protocol of Redis: requests as arrays of bulk strings, and the replies to lookups and
//! writes.

use stockd_model::limits::{RESP_ARRAY_PARTS_MAX, RESP_REPLY_BYTES_MAX};

use super::line::end_of_line;
use super::{Foreign, Frame, Item, WriteWith};

pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Item<'_>, usize)>, Foreign> {
    let Some((&kind, _)) = bytes.split_first() else {
        return Ok(None);
    };
    if !matches!(kind, b'$' | b'+' | b':' | b'-' | b'*' | b'_') {
        return Err(Foreign::new(bytes));
    }
    let Some(end) = end_of_line(bytes)? else {
        return Ok(None);
    };
    let foreign = || Foreign::new(bytes);
    let line = bytes[1..end].strip_suffix(b"\r").ok_or_else(foreign)?;
    let after = end + 1;
    let item = match (kind, line) {
        (b'+' | b':', _) => Item::Done,
        (b'-', why) => Item::Error(why),
        (b'_', _) | (b'$' | b'*', b"-1") => Item::Missing,
        (b'*', count) => Item::Array(number(count, RESP_ARRAY_PARTS_MAX).ok_or_else(foreign)?),
        (_, length) => {
            let length = number(length, RESP_REPLY_BYTES_MAX).ok_or_else(foreign)?;
            let Some(value) = bytes.get(after..after + length + 2) else {
                return Ok(None);
            };
            let value = value.strip_suffix(b"\r\n").ok_or_else(foreign)?;
            return Ok(Some((Item::Value(value), after + length + 2)));
        }
    };
    Ok(Some((item, after)))
}

/// A decimal number up to a bound.
pub(super) fn number(digits: &[u8], max: usize) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0_usize, |value, digit| {
        let value = value * 10 + usize::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        (value <= max).then_some(value)
    })?;
    Some(value)
}

/// Appends a bulk string.
pub(super) fn part(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'$');
    out.extend_from_slice(text.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// What stands around the name in a write; the price follows.
pub(super) fn update_frame(write_with: WriteWith) -> Frame {
    let (head, tail) = match write_with {
        WriteWith::Hset => ("*4\r\n$4\r\nHSET\r\n", "$5\r\nprice\r\n"),
        WriteWith::Set => ("*3\r\n$3\r\nSET\r\n", ""),
    };
    Frame { head: head.into(), tail: tail.into() }
}

/// Appends an HSET that gives a stock volume, too: one without answers `0`.
pub(super) fn list(name: &[u8], price: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"*6\r\n$4\r\nHSET\r\n");
    out.extend_from_slice(name);
    out.extend_from_slice(b"$5\r\nprice\r\n");
    part(price, out);
    out.extend_from_slice(b"$6\r\nvolume\r\n$7\r\n1000000\r\n");
}
