//! Points in time as files write them.

use stockd_model::limits::EXCERPT_BYTES_MAX;
use stockd_model::{escaped, rfc3339};

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
        let ns = match is_number {
            true => unix(text),
            false => rfc3339::parse(text).and_then(|ns| ns.try_into().ok()),
        };
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
