//! How fast the time of a file passes.

use std::str::FromStr;
use std::time::Duration;

/// How fast the time of a file passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    /// This many times as fast as the times of the file.
    Times(f64),
    Max,
}

impl Speed {
    /// How long after the beginning something is due that happened this long after it.
    pub(crate) fn due(self, after_ns: u64) -> Duration {
        match self {
            Speed::Max => Duration::ZERO,
            // Nanoseconds of days are beyond the exact integers of a float, by less than 1 ns
            // in 100 days: less than any timer's error.
            Speed::Times(speed) => {
                let seconds = after_ns as f64 / 1e9 / speed;
                Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
            }
        }
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Speed, String> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        let times = text.strip_suffix('x').and_then(|times| times.parse().ok());
        let is_speed = |times: &f64| times.is_finite() && *times > 0.0;
        times
            .filter(is_speed)
            .map(Speed::Times)
            .ok_or_else(|| "write a number above 0 and x, as in 10x or 0.5x, or max".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_factor_or_max() {
        assert_eq!("10x".parse(), Ok(Speed::Times(10.0)));
        assert_eq!("0.5x".parse(), Ok(Speed::Times(0.5)));
        assert_eq!("max".parse(), Ok(Speed::Max));
        for text in ["", "x", "10", "0x", "-1x", "infx", "nanx", "MAX"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }
}
