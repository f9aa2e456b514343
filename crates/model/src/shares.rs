use std::fmt;
use std::str::FromStr;

use crate::decimal::{Decimal, Fault};
use crate::escaped;
use crate::limits::{DECIMAL_PLACES_MAX, EXCERPT_BYTES_MAX};
use crate::volume::Volume;

/// What a trade does to the volume of a stock: adds shares, or takes them. Exact, as a [`Volume`] is.
///
/// ```
/// use stockd_model::Shares;
///
/// assert_eq!(Shares::from(-5), "-5.0".parse()?);
/// assert_eq!("-0.25".parse::<Shares>()?.to_string(), "-0.25");
/// # Ok::<(), stockd_model::SharesError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shares {
    /// Adds this many.
    Add(Volume),
    /// Takes this many.
    Take(Volume),
}

/// Why a text is not a number of shares.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharesError {
    /// Not a decimal.
    #[error("'{text}' is not a number of shares: write a decimal like 5, -5 or -0.25")]
    NotADecimal {
        /// The text, escaped and shortened.
        text: String,
    },
    /// More places than can be kept exactly.
    #[error(
        "'{text}' has more than {DECIMAL_PLACES_MAX} decimal places, the limit; round it first"
    )]
    TooManyPlaces {
        /// The text, escaped and shortened.
        text: String,
    },
    /// More digits than can be kept exactly.
    #[error(
        "'{text}' has too many digits: without its point a number of shares is at most {}; round it first",
        u64::MAX
    )]
    TooLarge {
        /// The text, escaped and shortened.
        text: String,
    },
}

impl Shares {
    /// Reads a decimal of any sign, written as [`Price::parse`](crate::Price::parse) reads it.
    ///
    /// # Errors
    ///
    /// [`SharesError`] when the text is no decimal, or cannot be kept exactly.
    pub fn parse(text: &[u8]) -> Result<Shares, SharesError> {
        match Decimal::parse(text) {
            Ok(decimal) => {
                let volume = Volume::from_parts(decimal.magnitude, decimal.scale.places());
                Ok(if decimal.negative { Shares::Take(volume) } else { Shares::Add(volume) })
            }
            Err(fault) => {
                let text = escaped(text).at_most(EXCERPT_BYTES_MAX).to_string();
                Err(match fault {
                    Fault::NotADecimal => SharesError::NotADecimal { text },
                    Fault::TooManyPlaces => SharesError::TooManyPlaces { text },
                    Fault::TooLarge => SharesError::TooLarge { text },
                })
            }
        }
    }

    /// How many are added, or taken where it is negative, if that is a whole number of 64 bits.
    pub fn whole(self) -> Option<i64> {
        match self {
            Shares::Add(volume) => i64::try_from(volume.whole()?).ok(),
            Shares::Take(volume) => 0_i64.checked_sub_unsigned(volume.whole()?),
        }
    }
}

impl Volume {
    /// The volume after a trade. `None` when that would be below zero, or cannot be kept exactly.
    #[inline]
    pub fn after_trade(self, shares: Shares) -> Option<Volume> {
        let (Shares::Add(change) | Shares::Take(change)) = shares;
        if let (Some(left), Some(change)) = (self.whole(), change.whole()) {
            let left = match shares {
                Shares::Add(_) => left.checked_add(change),
                Shares::Take(_) => left.checked_sub(change),
            };
            return left.map(Volume::new);
        }
        let change = match shares {
            Shares::Add(_) => change.decimal().units(),
            Shares::Take(_) => -change.decimal().units(),
        };
        match Decimal::from_units(self.decimal().units() + change)? {
            Decimal { negative: true, .. } => None,
            Decimal { magnitude, scale, .. } => Some(Volume::from_parts(magnitude, scale.places())),
        }
    }
}

impl From<i64> for Shares {
    #[inline]
    fn from(delta: i64) -> Shares {
        let shares = Volume::new(delta.unsigned_abs());
        if delta < 0 { Shares::Take(shares) } else { Shares::Add(shares) }
    }
}

impl FromStr for Shares {
    type Err = SharesError;

    fn from_str(text: &str) -> Result<Shares, SharesError> {
        Shares::parse(text.as_bytes())
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shares::Add(volume) => write!(f, "{volume}"),
            Shares::Take(volume) => write!(f, "-{volume}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_any_decimal() {
        for (text, shortest) in [
            ("5", "5"),
            ("-5.0", "-5"),
            ("+0.25", "0.25"),
            ("-1e-18", "-0.000000000000000001"),
            ("-0", "0"),
            ("-18446744073709551615", "-18446744073709551615"),
        ] {
            assert_eq!(text.parse::<Shares>().unwrap().to_string(), shortest);
        }
        let why = |text: &str| text.parse::<Shares>().unwrap_err().to_string();
        assert_eq!(why("x"), "'x' is not a number of shares: write a decimal like 5, -5 or -0.25");
        assert!(why("1e-19").contains("more than 18 decimal places, the limit; round it first"));
        assert!(why("18446744073709551616").contains("is at most 18446744073709551615; round it"));
    }

    #[test]
    fn whole_numbers_are_those_of_64_bits() {
        for delta in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(Shares::from(delta).whole(), Some(delta));
        }
        for text in ["0.5", "-0.5", "9223372036854775808", "-9223372036854775809"] {
            assert_eq!(text.parse::<Shares>().unwrap().whole(), None, "{text}");
        }
    }
}
