//! The two shapes of which RESP commands are made: a count of parts, `*2\r\n`, and a part,
//! `$4\r\nAAPL\r\n`.
//!
//! Invariant: what is wrong is found at the first wrong byte, and no input that goes on without a
//! line end is waited for beyond [`DIGITS_MAX`] digits.

use stockd_model::limits::{RESP_ARRAY_PARTS_MAX, RESP_BULK_BYTES_MAX};
use stockd_model::{Symbol, SymbolError};

use super::protocol_error::ProtocolError;

/// Digits of a length, at most: enough for the limits and some leading zeros.
const DIGITS_MAX: usize = 10;

/// Something at the front of the input, and how many bytes of it that takes.
pub(super) type Front<T> = Result<Option<(T, usize)>, ProtocolError>;

/// The number of parts of the command that begins here. A negative one counts as none, as in
/// Redis: there is nothing to execute and nothing to answer.
#[inline]
pub(super) fn count(input: &[u8]) -> Front<usize> {
    let Some((b'*', digits)) = input.split_first() else { return Ok(None) };
    let (negative, sign_bytes) = match digits.strip_prefix(b"-") {
        Some(_) => (true, 1),
        None => (false, 0),
    };
    let digits = digits.get(sign_bytes..).unwrap_or_default();
    match number(digits, ProtocolError::ArrayLength)? {
        None => Ok(None),
        Some((_, line)) if negative => Ok(Some((0, 2 + line))),
        Some((parts, line)) if parts <= RESP_ARRAY_PARTS_MAX => Ok(Some((parts, 1 + line))),
        Some(_) => Err(ProtocolError::ArrayLength),
    }
}

/// The bytes of the part that begins here, once all of them and their line end are there.
#[inline]
pub(super) fn part(input: &[u8]) -> Front<&[u8]> {
    let Some((bytes, start)) = length(input)? else { return Ok(None) };
    part_of(input, bytes, start)
}

/// As [`part`], where its length is known, and where its bytes begin.
#[inline]
pub(super) fn part_of(input: &[u8], bytes: usize, start: usize) -> Front<&[u8]> {
    let end = start + bytes;
    match input.get(end..end + 2) {
        Some(b"\r\n") => Ok(input.get(start..end).map(|bytes| (bytes, end + 2))),
        Some(_) => Err(ProtocolError::ExpectedLineEnd),
        None => Ok(None),
    }
}

/// Takes the part that begins here off the input and reads it as a symbol, if all of it is there
/// and its length has one or two digits.
#[inline(always)]
pub(super) fn symbol(input: &mut &[u8]) -> Option<Result<Symbol, SymbolError>> {
    let (bytes, start) = match digit(input) {
        Some(digit) => (digit, 4),
        None => match *input.first_chunk()? {
            [b'$', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n'] => {
                (usize::from(tens - b'0') * 10 + usize::from(ones - b'0'), 5)
            }
            _ => return None,
        },
    };
    let end = start + bytes;
    if input.get(end..end + 2)? != b"\r\n" {
        return None;
    }
    let symbol = Symbol::parse_front(input.get(start..)?, bytes);
    *input = input.get(end + 2..)?;
    Some(symbol)
}

/// The length of a part that has one digit, in which case the bytes of the part are behind the first four.
#[inline(always)]
fn digit(input: &[u8]) -> Option<usize> {
    // What is left of the head of a part without its frame: the digit, and zeros above it.
    let head = u32::from_le_bytes(*input.first_chunk()?);
    let digit = (head ^ u32::from_le_bytes(*b"$0\r\n")).rotate_right(8);
    (digit <= 9).then_some(digit as usize)
}

/// The length of the part that begins here, and where its bytes begin.
#[inline]
pub(super) fn length(input: &[u8]) -> Front<usize> {
    if let Some(digit) = digit(input) {
        return Ok(Some((digit, 4)));
    }
    let digits = match input.split_first() {
        None => return Ok(None),
        Some((b'$', digits)) => digits,
        Some((&got, _)) => return Err(ProtocolError::ExpectedBulk { got }),
    };
    match number(digits, ProtocolError::BulkLength)? {
        None => Ok(None),
        Some((bytes, line)) if bytes <= RESP_BULK_BYTES_MAX => Ok(Some((bytes, 1 + line))),
        Some(_) => Err(ProtocolError::BulkLength),
    }
}

/// A number and its line end. By hand, since it is most of the work of a part.
#[inline]
fn number(digits: &[u8], wrong: ProtocolError) -> Front<usize> {
    let mut number = 0;
    for (index, &byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' if index < DIGITS_MAX => number = number * 10 + u64::from(byte - b'0'),
            b'\r' if index > 0 => {
                return match digits.get(index + 1) {
                    None => Ok(None),
                    Some(b'\n') => {
                        let number = usize::try_from(number).map_err(|_| wrong)?;
                        Ok(Some((number, index + 2)))
                    }
                    Some(_) => Err(wrong),
                };
            }
            _ => return Err(wrong),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_there_when_its_last_byte_is() {
        let input = b"$4\r\nAAPL\r\n$3";
        for end in 0..10 {
            assert_eq!(part(&input[..end]), Ok(None), "{end}");
        }
        assert_eq!(part(input), Ok(Some((b"AAPL".as_slice(), 10))));
        assert_eq!(part(b"$0\r\n\r\n"), Ok(Some((b"".as_slice(), 6))));
        assert_eq!(part(b"$004\r\nAAPL\r\n"), Ok(Some((b"AAPL".as_slice(), 12))));
    }

    #[test]
    fn what_is_no_part_is_wrong_at_its_first_wrong_byte() {
        for (input, error) in [
            (b"x".as_slice(), ProtocolError::ExpectedBulk { got: b'x' }),
            (b"$x", ProtocolError::BulkLength),
            (b"$-", ProtocolError::BulkLength),
            (b"$\r", ProtocolError::BulkLength),
            (b"$4\rx", ProtocolError::BulkLength),
            (b"$65537\r\n", ProtocolError::BulkLength),
            (b"$00000000000", ProtocolError::BulkLength),
            (b"$1\r\nAA\n", ProtocolError::ExpectedLineEnd),
        ] {
            assert_eq!(part(input), Err(error), "{input:?}");
            assert_eq!(part(&input[..input.len() - 1]).unwrap_or(None), None, "{input:?}");
        }
        assert_eq!(part(b"$65536\r\n"), Ok(None));
    }

    #[test]
    fn a_count_goes_up_to_the_limit_and_a_negative_one_is_none() {
        assert_eq!(count(b"*1048576\r\n"), Ok(Some((1_048_576, 10))));
        assert_eq!(count(b"*1048577\r\n"), Err(ProtocolError::ArrayLength));
        assert_eq!(count(b"*0\r\n"), Ok(Some((0, 4))));
        assert_eq!(count(b"*-1\r\n"), Ok(Some((0, 5))));
        assert_eq!(count(b"*-"), Ok(None));
        assert_eq!(count(b"*-\r\n"), Err(ProtocolError::ArrayLength));
        assert_eq!(count(b"*1x"), Err(ProtocolError::ArrayLength));
        assert_eq!(count(b"*1\r"), Ok(None));
    }
}
