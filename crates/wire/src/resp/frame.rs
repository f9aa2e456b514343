//! How RESP frames what it carries, in either direction: a sign and a number or a short text on a
//! line, and bytes with their length before them.
//!
//! Commands are arrays of bulk strings, so this is all that a client needs to write one.
//!
//! Invariant: one call appends whole frames. Only a bulk string may carry a text of others: its
//! length says where it ends.

/// Appends a command with its arguments, as a client sends it.
///
/// ```
/// let mut out = Vec::new();
/// stockd_wire::resp::frame::command(&[b"GET", b"AAPL"], &mut out);
/// assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$4\r\nAAPL\r\n");
/// ```
pub fn command(parts: &[&[u8]], out: &mut Vec<u8>) {
    array(parts.len(), out);
    for part in parts {
        bulk(part, out);
    }
}

/// Appends the head of an array. As many frames as it has elements follow.
#[inline]
pub fn array(elements: usize, out: &mut Vec<u8>) {
    head(b'*', elements, out);
}

/// Appends a bulk string: any bytes with their length before them.
#[inline]
pub fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    head(b'$', bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends a text on a line of its own. Only for texts of ours, which have no line ends.
pub(super) fn simple(text: &'static str, out: &mut Vec<u8>) {
    out.push(b'+');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a sign and a number on a line of their own.
#[inline(always)]
pub(super) fn head(sign: u8, number: usize, out: &mut Vec<u8>) {
    match number {
        0..=9 => out.extend_from_slice(&[sign, b'0' + number as u8, b'\r', b'\n']),
        _ => long_head(sign, number, out),
    }
}

#[inline(never)]
fn long_head(sign: u8, number: usize, out: &mut Vec<u8>) {
    out.push(sign);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let mut out = Vec::new();
        command(&[b"HGETALL", "牛来USDT".as_bytes()], &mut out);
        command(&[b"ECHO", b""], &mut out);
        let expected = "*2\r\n$7\r\nHGETALL\r\n$10\r\n牛来USDT\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n";
        assert_eq!(out, expected.as_bytes());
    }
}
