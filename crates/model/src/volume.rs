use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::decimal::{Decimal, DecimalText, Fault, Scale, write_whole};
use crate::escaped;
use crate::limits::{DECIMAL_PLACES_MAX, EXCERPT_BYTES_MAX};

/// Shares that remain of a stock, exact: a *coefficient* of up to 64 bits, of which up to 18 digits
/// stand behind the point. Zero means exhausted: nothing is left to trade.
///
/// A stock whose shares are not counted has no volume, which is not a volume of zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Volume {
    coefficient: u64,
    scale: Scale,
}

/// Why a text is not a volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VolumeError {
    /// Not a decimal, or one below zero.
    #[error(
        "'{text}' is not a volume: write a decimal of 0 or more like 1000 or 0.25, or none where shares are not counted"
    )]
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
        "'{text}' has too many digits: without its point a volume is at most {}; round it first",
        u64::MAX
    )]
    TooLarge {
        /// The text, escaped and shortened.
        text: String,
    },
}

impl Volume {
    /// No shares left.
    pub const EXHAUSTED: Volume = Volume::new(0);

    /// A volume of this number of whole shares.
    #[inline]
    pub const fn new(shares: u64) -> Volume {
        Volume { coefficient: shares, scale: Scale::S0 }
    }

    /// The volume of these digits, the last `places` of which stand behind the point. `None` where
    /// more than [`DECIMAL_PLACES_MAX`] places are needed.
    pub const fn with_places(coefficient: u64, places: u8) -> Option<Volume> {
        match Decimal::new(false, coefficient, places) {
            Some(Decimal { magnitude, scale, .. }) => {
                Some(Volume { coefficient: magnitude, scale })
            }
            None => None,
        }
    }

    /// The volume that has these parts: a [`coefficient`](Volume::coefficient) and
    /// [`places`](Volume::places) of one. Parts that no volume has give one that equals no other.
    #[inline(always)]
    pub fn from_parts(coefficient: u64, places: u8) -> Volume {
        let volume = Volume { coefficient, scale: Scale::from_bits(places) };
        debug_assert!(places == 0 || !coefficient.is_multiple_of(10), "parts of a volume");
        volume
    }

    pub(crate) fn decimal(self) -> Decimal {
        Decimal { negative: false, magnitude: self.coefficient, scale: self.scale }
    }

    /// The digits of the volume without its point.
    #[inline]
    pub const fn coefficient(self) -> u64 {
        self.coefficient
    }

    /// How many of the digits stand behind the point, at most [`DECIMAL_PLACES_MAX`].
    #[inline]
    pub const fn places(self) -> u8 {
        self.scale.places()
    }

    /// The number of shares, if it is a whole one.
    #[inline]
    pub const fn whole(self) -> Option<u64> {
        if self.places() == 0 { Some(self.coefficient) } else { None }
    }

    /// Whether no shares are left.
    #[inline]
    pub const fn is_exhausted(self) -> bool {
        self.coefficient == 0
    }

    /// Reads a decimal of 0 or more, written as [`Price::parse`](crate::Price::parse) reads it.
    ///
    /// # Errors
    ///
    /// [`VolumeError`] when the text is not such a decimal, or cannot be kept exactly.
    pub fn parse(text: &[u8]) -> Result<Volume, VolumeError> {
        let volume = match Decimal::parse(text) {
            Ok(Decimal { negative: true, .. }) => Err(Fault::NotADecimal),
            Ok(Decimal { magnitude, scale, .. }) => Ok(Volume { coefficient: magnitude, scale }),
            Err(fault) => Err(fault),
        };
        volume.map_err(|fault| {
            let text = escaped(text).at_most(EXCERPT_BYTES_MAX).to_string();
            match fault {
                Fault::NotADecimal => VolumeError::NotADecimal { text },
                Fault::TooManyPlaces => VolumeError::TooManyPlaces { text },
                Fault::TooLarge => VolumeError::TooLarge { text },
            }
        })
    }

    /// The shortest exact decimal, on the stack.
    pub fn text(self) -> DecimalText {
        DecimalText::written(|room| match self.whole() {
            Some(shares) => write_whole(shares, room),
            None => self.decimal().write(room),
        })
    }
}

impl Default for Volume {
    fn default() -> Volume {
        Volume::EXHAUSTED
    }
}

impl Ord for Volume {
    fn cmp(&self, other: &Volume) -> Ordering {
        if self.scale == other.scale {
            return self.coefficient.cmp(&other.coefficient);
        }
        self.decimal().units().cmp(&other.decimal().units())
    }
}

impl PartialOrd for Volume {
    fn partial_cmp(&self, other: &Volume) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Volume {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Volume, VolumeError> {
        Volume::parse(text.as_bytes())
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Volume({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::tests::number_text;
    use crate::shares::Shares;
    use bigdecimal::BigDecimal;
    use proptest::prelude::*;

    fn volume(text: &str) -> Volume {
        text.parse().unwrap()
    }

    #[test]
    fn trades_stop_at_both_ends() {
        let after = |left: &str, shares: &str| {
            volume(left).after_trade(shares.parse().unwrap()).map(|it| it.to_string())
        };
        for (left, shares, then) in [
            ("5", "-5", Some("0")),
            ("5", "-6", None),
            ("5", "-5.000000000000000001", None),
            ("18446744073709551615", "1", None),
            ("18446744073709551615", "-9223372036854775808", Some("9223372036854775807")),
            ("1.5", "-1", Some("0.5")),
            ("1.5", "-2", None),
            ("1.5", "-0.25", Some("1.25")),
            ("1.5", "0.5", Some("2")),
            ("5", "-0.25", Some("4.75")),
            ("18.446744073709551615", "1", None),
            ("0.5", "-9223372036854775808", None),
        ] {
            assert_eq!(after(left, shares).as_deref(), then, "{left} {shares}");
        }
    }

    #[test]
    fn text_is_any_decimal_from_zero() {
        for (text, shortest) in [
            ("18446744073709551615", "18446744073709551615"),
            ("18.446744073709551615", "18.446744073709551615"),
            ("0", "0"),
            ("-0", "0"),
            ("1000.0", "1000"),
            (" 92621.807321 ", "92621.807321"),
            ("1e3", "1000"),
            ("1e-18", "0.000000000000000001"),
        ] {
            assert_eq!(volume(text).to_string(), shortest);
        }
        assert_eq!(volume("1000.0").whole(), Some(1000));
        assert_eq!(volume("0.5").whole(), None);
        let why = |text: &str| text.parse::<Volume>().unwrap_err().to_string();
        for text in ["", "-1", "x", "1,000", "NaN"] {
            assert!(why(text).starts_with(&format!("'{text}' is not a volume: write a decimal")));
        }
        assert!(why("1e-19").contains("has more than 18 decimal places, the limit; round it"));
        assert!(why("18446744073709551616").contains("is at most 18446744073709551615; round it"));
    }

    proptest! {
        #[test]
        fn volumes_are_those_of_big_decimals(
            a: u64, b: u64, shift in 0..64_u32, p in 0..=18_u8, q in 0..=18_u8, delta: i64, e in 0..=18_u8,
        ) {
            let (a, b) = (Volume::with_places(a >> shift, p).unwrap(), Volume::with_places(b, q).unwrap());
            let big = |volume: Volume| BigDecimal::new(volume.coefficient().into(), volume.places().into());
            prop_assert_eq!(a.to_string(), big(a).to_plain_string());
            prop_assert_eq!(Volume::parse(a.text().as_bytes()), Ok(a));
            prop_assert_eq!(Volume::from_parts(a.coefficient(), a.places()), a);
            prop_assert_eq!(a.cmp(&b), big(a).cmp(&big(b)));
            for (delta, places) in [(delta, 0), (delta >> 40, 0), (delta, e), (delta >> 40, e)] {
                let delta = BigDecimal::new(delta.into(), places.into());
                let shares = Shares::parse(delta.to_plain_string().as_bytes()).unwrap();
                let after = (big(a) + delta).to_plain_string();
                prop_assert_eq!(a.after_trade(shares), Volume::parse(after.as_bytes()).ok());
            }
        }

        #[test]
        fn text_is_read_whatever_it_is(text in number_text()) {
            let _ = Volume::parse(text.as_bytes());
        }
    }
}
