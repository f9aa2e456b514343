//! Points in time as files write them.

use stockd_model::escaped;
use stockd_model::limits::EXCERPT_BYTES_MAX;

/// A point in time: nanoseconds since the beginning of 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(i64);

/// The text is not a point in time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not a time: write 2026-08-11, 2026-08-11T14:30:00.5Z, or Unix seconds or nanoseconds"
)]
pub(crate) struct MomentError {
    /// The text, escaped and shortened.
    text: String,
}

const NS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// Numbers below are seconds: until the year 33658.
const SECONDS_END: i64 = 1_000_000_000_000;

/// Numbers from here on are nanoseconds: since March 1973. Numbers in between are refused.
const NANOSECONDS_BEGIN: i64 = 100_000_000_000_000_000;

impl Moment {
    /// Nanoseconds since the beginning of 1970.
    pub(crate) fn ns(self) -> i64 {
        self.0
    }

    /// Reads a date or a date and time as RFC 3339 writes them, or a Unix time in whole seconds
    /// or nanoseconds. A date alone is its midnight in UTC.
    pub(crate) fn parse(text: &[u8]) -> Result<Moment, MomentError> {
        let error = || MomentError { text: escaped(text).at_most(EXCERPT_BYTES_MAX).to_string() };
        let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let ns = if is_number { unix(text) } else { rfc_3339(text) };
        ns.map(Moment).ok_or_else(error)
    }
}

fn unix(digits: &[u8]) -> Option<i64> {
    match std::str::from_utf8(digits).ok()?.parse().ok()? {
        seconds @ ..SECONDS_END => i64::checked_mul(seconds, NS_PER_SECOND),
        nanoseconds @ NANOSECONDS_BEGIN.. => Some(nanoseconds),
        _ => None,
    }
}

fn rfc_3339(text: &[u8]) -> Option<i64> {
    let (date, time) = text.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else {
        return None;
    };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let midnight = days(year, month, day)?.checked_mul(SECONDS_PER_DAY)?;
    let (seconds, fraction_ns) = match time {
        [] => (0, 0),
        [b'T' | b't' | b' ', time @ ..] => time_of_day(time)?,
        _ => return None,
    };
    midnight.checked_add(seconds)?.checked_mul(NS_PER_SECOND)?.checked_add(fraction_ns)
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
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months_before = usize::try_from(month - 1).ok()?;
    let length = *lengths.get(months_before)?;
    if !(1..=length).contains(&day) {
        return None;
    }
    let leap_days = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let new_year = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    Some(new_year + lengths[..months_before].iter().sum::<i64>() + day - 1)
}

/// Digits as a number; `None` for anything else, and for nothing.
fn number(digits: &[u8]) -> Option<i64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(text: &str) -> i64 {
        Moment::parse(text.as_bytes()).unwrap().ns()
    }

    #[test]
    fn dates_times_and_numbers_are_the_same_moments() {
        // As GNU date prints them with +%s.
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("1969-12-31", -86_400),
            ("2000-02-29", 951_782_400),
            ("2000-03-01", 951_868_800),
            ("1900-03-01", -2_203_891_200),
            ("2026-08-11", 1_786_406_400),
            ("2026-08-11T14:30:00Z", 1_786_458_600),
            ("2026-08-11t14:30:00z", 1_786_458_600),
            ("2026-08-11 16:30:00+02:00", 1_786_458_600),
            ("2026-08-11T10:00:00-04:30", 1_786_458_600),
            ("2016-12-31T23:59:60Z", 1_483_228_800),
            ("1786458600", 1_786_458_600),
            ("0", 0),
        ] {
            assert_eq!(ns(text), seconds * NS_PER_SECOND, "{text}");
        }
        assert_eq!(ns("2026-08-11T14:30:00.25Z"), 1_786_458_600_250_000_000);
        assert_eq!(ns("2026-08-11T14:30:00.1234567891Z"), 1_786_458_600_123_456_789);
        assert_eq!(ns("1786458600250000000"), 1_786_458_600_250_000_000);
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in [
            "",
            "today",
            "2026-8-11",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-08-11T14:30:00",
            "2026-08-11T24:00:00Z",
            "2026-08-11T14:30:00.Z",
            "2026-08-11T14:30:00+2",
            "2026-08-11x",
            "1786458600250",
            "99999999999999999999",
            "-5",
            "9999-01-01",
        ] {
            let error = Moment::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("'{text}' is not a time: write 2026-08-11")),
                "{error}"
            );
        }
    }
}
