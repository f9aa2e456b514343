//! What the replies of all protocols of lines have in common, on the side of the client: the line
//! that a reply is or begins with, and the numbers in it.
//!
//! Invariant: no more than [`REPLY_LINE_BYTES_MAX`] bytes are waited for without a line end.

use stockd_model::limits::REPLY_LINE_BYTES_MAX;

/// The bytes cannot be the beginning of a reply. What follows them has no meaning either: the
/// connection is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no reply of this protocol")]
pub struct NotAReply;

/// The first line of `bytes` without its line feed, and how many bytes it takes with it. `None`
/// asks for more bytes. A carriage return at its end is left to the protocol.
///
/// # Errors
///
/// [`NotAReply`] when the line is longer than [`REPLY_LINE_BYTES_MAX`].
#[inline]
pub fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, NotAReply> {
    // Most lines have a few bytes: a loop over them is quicker than a call of memchr.
    let mut front = bytes.iter().take(REPLY_LINE_BYTES_MAX + 1);
    match front.position(|&byte| byte == b'\n') {
        Some(end) => Ok(bytes.get(..end).map(|line| (line, end + 1))),
        None if bytes.len() > REPLY_LINE_BYTES_MAX => Err(NotAReply),
        None => Ok(None),
    }
}

/// A number of decimal digits alone, up to a bound; `None` for anything else.
#[inline]
pub fn number(digits: &[u8], max: usize) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        let number = number.checked_mul(10)?.checked_add(usize::from(digit))?;
        (number <= max).then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_limit_is_taken_and_a_longer_one_is_not_waited_for() {
        assert_eq!(line(b""), Ok(None));
        assert_eq!(line(b"\nA"), Ok(Some((b"".as_slice(), 1))));
        assert_eq!(line(b"A\r\nB\n"), Ok(Some((b"A\r".as_slice(), 3))));
        let longest = [&b"9".repeat(REPLY_LINE_BYTES_MAX)[..], b"\n"].concat();
        assert_eq!(line(&longest[..REPLY_LINE_BYTES_MAX]), Ok(None));
        assert_eq!(line(&longest).unwrap().unwrap().1, longest.len());
        assert_eq!(line(&b"9".repeat(REPLY_LINE_BYTES_MAX + 1)), Err(NotAReply));
        assert_eq!(line(&[b"9", &longest[..]].concat()), Err(NotAReply));
    }

    #[test]
    fn a_number_is_digits_up_to_its_bound() {
        assert_eq!(number(b"0", 0), Some(0));
        assert_eq!(number(b"065", 65), Some(65));
        assert_eq!(number(b"18446744073709551615", usize::MAX), Some(usize::MAX));
        for wrong in [b"".as_slice(), b"66", b"-1", b"+1", b" 1", b"1x", b"99999999999999999999"] {
            assert_eq!(number(wrong, 65), None);
        }
        assert_eq!(number(b"18446744073709551616", usize::MAX), None);
    }
}
