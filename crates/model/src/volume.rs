use std::fmt;
use std::str::FromStr;

use crate::escaped;
use crate::limits::EXCERPT_BYTES_MAX;

/// Shares that remain of a stock. Zero means exhausted: nothing is left to trade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Volume(u64);

/// A text is not a whole number from 0 to 18446744073709551615.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a volume: write a whole number from 0 to {}", u64::MAX)]
pub struct VolumeError {
    /// The text, escaped and shortened.
    text: String,
}

impl Volume {
    /// No shares left.
    pub const EXHAUSTED: Volume = Volume(0);

    /// A volume of so many shares.
    #[inline]
    pub const fn new(shares: u64) -> Volume {
        Volume(shares)
    }

    /// The number of shares.
    #[inline]
    pub const fn shares(self) -> u64 {
        self.0
    }

    /// Whether no shares are left.
    #[inline]
    pub const fn is_exhausted(self) -> bool {
        self.0 == 0
    }

    /// The volume after a trade that adds `delta` shares, or takes them where it is negative.
    /// `None` when that would be below zero or above [`u64::MAX`].
    #[inline]
    pub const fn after_trade(self, delta: i64) -> Option<Volume> {
        match self.0.checked_add_signed(delta) {
            Some(shares) => Some(Volume(shares)),
            None => None,
        }
    }
}

impl FromStr for Volume {
    type Err = VolumeError;

    /// Reads decimal digits alone: no sign, no white space.
    fn from_str(text: &str) -> Result<Volume, VolumeError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().map(Volume).ok_or_else(|| VolumeError {
            text: escaped(text).at_most(EXCERPT_BYTES_MAX).to_string(),
        })
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trades_stop_at_both_ends() {
        assert_eq!(Volume::new(5).after_trade(-5), Some(Volume::EXHAUSTED));
        assert_eq!(Volume::new(5).after_trade(-6), None);
        assert_eq!(Volume::new(u64::MAX).after_trade(1), None);
        assert_eq!(Volume::new(u64::MAX).after_trade(i64::MIN).unwrap().shares(), u64::MAX / 2);
    }

    #[test]
    fn text_is_digits_alone() {
        assert_eq!("18446744073709551615".parse(), Ok(Volume::new(u64::MAX)));
        assert_eq!("0".parse(), Ok(Volume::EXHAUSTED));
        for text in ["", "-1", "+1", " 1", "1.0", "18446744073709551616", "x"] {
            let error = text.parse::<Volume>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("'{text}' is not a volume")), "{error}");
        }
    }
}
