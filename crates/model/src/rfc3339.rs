//! Moments as text, as RFC 3339 writes them: `2026-09-21T14:13:20.123500001Z`.
//!
//! This module owns the calendar. It knows no clock.
//!
//! Invariant: what is written has nine decimals, is in UTC, and is read back as the same moment.

/// Bytes of a moment that [`encode`] writes.
pub const BYTES: usize = b"2026-09-21T14:13:20.123500001Z".len();

const NS_PER_SECOND: i128 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// A moment as text, given its nanoseconds since the beginning of 1970: any moment until 2554.
pub fn encode(unix_ns: u64) -> [u8; BYTES] {
    let (seconds, fraction_ns) = (unix_ns / 1_000_000_000, unix_ns % 1_000_000_000);
    let (days, second) = ((seconds / 86_400) as i64, seconds % 86_400);
    // No year is longer than 366 days, so this is that year or one before it.
    let mut year = 1970 + days / 366;
    while new_year(year + 1) <= days {
        year += 1;
    }
    let mut day = days - new_year(year);
    let mut month = 1;
    for length in month_lengths(year) {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    put(&mut text[0..4], year.unsigned_abs());
    put(&mut text[5..7], month);
    put(&mut text[8..10], day.unsigned_abs() + 1);
    put(&mut text[11..13], second / 3_600);
    put(&mut text[14..16], second / 60 % 60);
    put(&mut text[17..19], second % 60);
    put(&mut text[20..29], fraction_ns);
    text
}

/// Fills these bytes with the last digits of a number.
fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Reads a date, or a date and time with its zone, as nanoseconds since the beginning of 1970 in UTC.
/// A date alone is its midnight in UTC. `None` for anything else.
pub fn parse(text: &[u8]) -> Option<i128> {
    let (date, time) = text.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else {
        return None;
    };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let midnight = days(year, month, day)? * SECONDS_PER_DAY;
    let (seconds, fraction_ns) = match time {
        [] => (0, 0),
        [b'T' | b't' | b' ', time @ ..] => time_of_day(time)?,
        _ => return None,
    };
    Some(i128::from(midnight + seconds) * NS_PER_SECOND + i128::from(fraction_ns))
}

/// Seconds since midnight in UTC and nanoseconds beyond, of `14:30:00.5+02:00`.
fn time_of_day(text: &[u8]) -> Option<(i64, i64)> {
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = text else {
        return None;
    };
    let hour = number(&[*h1, *h2]).filter(|hour| *hour < 24)?;
    let minute = number(&[*m1, *m2]).filter(|minute| *minute < 60)?;
    // 60 is a leap second, which Unix time counts as the next one.
    let second = number(&[*s1, *s2]).filter(|second| *second <= 60)?;
    let (fraction_ns, zone) = match rest {
        [b'.', rest @ ..] => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, zone) = rest.split_at(digits);
            // What is beyond the ninth place is below a nanosecond.
            let kept: i64 = number(&fraction[..digits.min(9)])?;
            (kept * 10_i64.pow(9 - digits.min(9) as u32), zone)
        }
        zone => (0, zone),
    };
    let offset = match zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = number(&[*h1, *h2]).filter(|hours| *hours < 24)?;
            let minutes = number(&[*m1, *m2]).filter(|minutes| *minutes < 60)?;
            let east = (hours * 60 + minutes) * 60;
            if *sign == b'+' { east } else { -east }
        }
        _ => return None,
    };
    Some(((hour * 60 + minute) * 60 + second - offset, fraction_ns))
}

/// Days from 1970-01-01 to this one.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let lengths = month_lengths(year);
    let months_before = usize::try_from(month - 1).ok()?;
    let length = *lengths.get(months_before)?;
    if !(1..=length).contains(&day) {
        return None;
    }
    Some(new_year(year) + lengths[..months_before].iter().sum::<i64>() + day - 1)
}

/// Digits as a number; `None` for anything else, and for nothing.
fn number(digits: &[u8]) -> Option<i64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// Days from 1970-01-01 to the first day of this year.
fn new_year(year: i64) -> i64 {
    let leap_days = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
}

fn month_lengths(year: i64) -> [i64; 12] {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    [31, 28 + i64::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_written_in_utc_with_nine_decimals() {
        // As GNU date prints them.
        for (unix_ns, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000000Z"),
            (1_790_000_000_123_500_001, "2026-09-21T14:13:20.123500001Z"),
            (4_102_444_799_999_999_999, "2099-12-31T23:59:59.999999999Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ] {
            assert_eq!(str::from_utf8(&encode(unix_ns)), Ok(text));
        }
    }

    proptest! {
        #[test]
        fn encode_then_parse_is_the_identity(unix_ns: u64) {
            prop_assert_eq!(parse(&encode(unix_ns)), Some(unix_ns.into()));
        }

        #[test]
        fn rubbish_never_panics(text in "[0-9]{1,4}-[0-9]{1,2}-[0-9]{1,2}[T ]?[0-9:.+Z-]{0,20}") {
            let _ = parse(text.as_bytes());
        }
    }
}
