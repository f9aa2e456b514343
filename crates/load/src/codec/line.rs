//! Replies of stockd's line protocol: a price, `-1`, or a line that begins with `ERR`.

use stockd_model::limits::REPLY_LINE_BYTES_MAX;

use super::{Foreign, Item};

pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Item<'_>, usize)>, Foreign> {
    let Some(end) = end_of_line(bytes)? else {
        return Ok(None);
    };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let item = match line {
        b"-1" => Item::Missing,
        [b'0'..=b'9', rest @ ..] if rest.iter().all(is_of_a_price) => Item::Value(line),
        [b'E', b'R', b'R', ..] => Item::Error(line),
        _ => return Err(Foreign::new(line)),
    };
    Ok(Some((item, end + 1)))
}

/// Where the line feed is that ends the first line of a reply.
pub(super) fn end_of_line(bytes: &[u8]) -> Result<Option<usize>, Foreign> {
    // Replies are a few bytes: to look at each is quicker than to call a search.
    match bytes.iter().take(REPLY_LINE_BYTES_MAX).position(|&byte| byte == b'\n') {
        None if bytes.len() >= REPLY_LINE_BYTES_MAX => Err(Foreign::new(bytes)),
        found => Ok(found),
    }
}

fn is_of_a_price(byte: &u8) -> bool {
    byte.is_ascii_digit() || *byte == b'.'
}
