use std::fmt;
use std::num::NonZeroI64;
use std::str::FromStr;

use crate::escaped;
use crate::limits::{EXCERPT_BYTES_MAX, PRICE_DECIMALS};

/// Units of a price in one whole: 10⁹, the fixed-point scale of Databento's DBN.
const UNITS_PER_ONE: u64 = 10_u64.pow(PRICE_DECIMALS);

/// Times 5⁵ this is 1 modulo 2⁶⁴.
const INVERSE_OF_3125: u64 = 0x5d4e_8fb0_0bcb_e61d;

const _: () = assert!(INVERSE_OF_3125.wrapping_mul(3125) == 1);

/// Bytes of room for the text of any price, of which the longest has 20, and for what is written
/// behind it by the way.
pub const PRICE_ROOM_BYTES: usize = 24;

/// A price above zero, exact: a whole number of units of 10⁻⁹, at most
/// 9,223,372,036.854775807. It never passes through a float.
///
/// Prices print in the shortest exact form, `172.5`, and [`parse`](Price::parse) reads that form
/// back to the same price.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(NonZeroI64);

/// Why a text is not a price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Not digits with at most one decimal point between or before them.
    #[error("'{text}' is not a price: write a decimal like 172.5")]
    NotADecimal {
        /// The text, escaped and shortened.
        text: String,
    },
    /// Zero or less.
    #[error(
        "'{text}' is not a price: a price is above 0 (set the volume to 0, or halt the stock, to stop trading)"
    )]
    NotAboveZero {
        /// The text, escaped and shortened.
        text: String,
    },
    /// More places than can be kept exactly.
    #[error("'{text}' has more than {PRICE_DECIMALS} decimal places, the limit of an exact price")]
    TooManyDecimals {
        /// The text, escaped and shortened.
        text: String,
    },
    /// More than [`Price::MAX`].
    #[error("'{text}' is above {}, the highest price", Price::MAX)]
    TooHigh {
        /// The text, escaped and shortened.
        text: String,
    },
}

impl Price {
    /// The highest price, 9223372036.854775807.
    pub const MAX: Price = Price(NonZeroI64::MAX);
    /// The lowest price, 0.000000001.
    pub const MIN: Price = Price(match NonZeroI64::new(1) {
        Some(one) => one,
        None => unreachable!(),
    });

    /// The price of so many units of 10⁻⁹, if that is above zero.
    #[inline]
    pub const fn from_units(units: i64) -> Option<Price> {
        match NonZeroI64::new(units) {
            Some(nonzero) if units > 0 => Some(Price(nonzero)),
            _ => None,
        }
    }

    /// The price in units of 10⁻⁹, always above zero.
    #[inline]
    pub const fn units(self) -> i64 {
        self.0.get()
    }

    /// Reads a decimal such as `172.50`, `159`, `.5` or `0.0005`. Zeros beyond the ninth decimal
    /// place are accepted, since they lose nothing; signs, exponents, thousands separators and
    /// white space are not.
    ///
    /// # Errors
    ///
    /// [`PriceError`] when the text is not a decimal, is not above zero, or cannot be kept exactly.
    pub fn parse(text: &[u8]) -> Result<Price, PriceError> {
        let negative = text.first() == Some(&b'-');
        let digits = if negative { &text[1..] } else { text };
        let (whole, fraction) = match digits.iter().position(|&byte| byte == b'.') {
            Some(point) => (&digits[..point], &digits[point + 1..]),
            None => (digits, &digits[digits.len()..]),
        };
        if whole.len() + fraction.len() == 0
            || !whole.iter().chain(fraction).all(u8::is_ascii_digit)
        {
            return Err(PriceError::NotADecimal { text: shown(text) });
        }
        let places = PRICE_DECIMALS as usize;
        let (kept, beyond) = fraction.split_at(fraction.len().min(places));
        if beyond.iter().any(|&digit| digit != b'0') {
            return Err(PriceError::TooManyDecimals { text: shown(text) });
        }
        let zeros = std::iter::repeat_n(&b'0', places - kept.len());
        let units = whole.iter().chain(kept).chain(zeros).try_fold(0_i64, |units, digit| {
            units.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
        });
        match units {
            _ if negative => Err(PriceError::NotAboveZero { text: shown(text) }),
            None => Err(PriceError::TooHigh { text: shown(text) }),
            Some(units) => Price::from_units(units)
                .ok_or_else(|| PriceError::NotAboveZero { text: shown(text) }),
        }
    }

    /// The shortest exact decimal, on the stack.
    pub fn text(self) -> PriceText {
        let mut bytes = [0; PRICE_ROOM_BYTES];
        let len = self.write(&mut bytes);
        PriceText { bytes, len }
    }

    /// Writes the shortest exact decimal to the front of `room`, and perhaps anything behind it.
    /// Returns its length, at most 20.
    #[inline(always)]
    pub fn write(self, room: &mut [u8; PRICE_ROOM_BYTES]) -> usize {
        let units = self.units().unsigned_abs();
        // A multiple of 10⁵, which is 5⁵ · 2⁵, is divided by the inverse of 5⁵ modulo 2⁶⁴ and by
        // shifting out 5 zeros. Any other number gives more than a quotient can be, since no two
        // numbers give the same.
        let ten_thousandths = units.wrapping_mul(INVERSE_OF_3125).rotate_right(5);
        if ten_thousandths < 10_000 * 10_000 {
            write_short(ten_thousandths as u32, room)
        } else {
            write_long(units / UNITS_PER_ONE, (units % UNITS_PER_ONE) as u32, room)
        }
    }
}

/// A text shortened for an error message.
fn shown(text: &[u8]) -> String {
    escaped(text).at_most(EXCERPT_BYTES_MAX).to_string()
}

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Price, PriceError> {
        Price::parse(text.as_bytes())
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Price({self})")
    }
}

/// The decimal text of a [`Price`], on the stack.
#[derive(Clone, Copy, Debug)]
pub struct PriceText {
    /// The text, and behind it anything. The longest has 20 bytes.
    bytes: [u8; PRICE_ROOM_BYTES],
    len: usize,
}

impl PriceText {
    /// The text as ASCII bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a price prints as ASCII")
    }

    /// How many bytes the text has, at most 20.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "no price prints as nothing")]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// Writes a price below ten thousand with four decimal places, as nearly every one is. All digits
/// are made at once in a register; those of the whole part that are not shown are shifted out,
/// and the decimals are written over what is behind the others.
#[inline(always)]
fn write_short(ten_thousandths: u32, room: &mut [u8; PRICE_ROOM_BYTES]) -> usize {
    let digits = digits(ten_thousandths);
    let (whole, decimals) = (digits as u32, (digits >> 32) as u32);
    // The last digit of the whole part is shown, whatever it is.
    let hidden = (whole | 1 << 24).trailing_zeros() / 8;
    let point = 4 - hidden as usize;
    let places = 4 - decimals.leading_zeros() as usize / 8;
    let text = digits | each_byte(b'0');
    room[..4].copy_from_slice(&(text as u32 >> (8 * hidden)).to_le_bytes());
    let point_and_decimals = u64::from(b'.') | text >> 32 << 8;
    room[point..point + 8].copy_from_slice(&point_and_decimals.to_le_bytes());
    point + places + usize::from(places > 0)
}

/// Writes any price, given its fraction in billionths: all digits, of which those that are not
/// shown are cut off at both ends.
#[inline(never)]
fn write_long(whole: u64, fraction: u32, room: &mut [u8; PRICE_ROOM_BYTES]) -> usize {
    const POINT_AT: usize = 10;
    let all = each_byte(b'0');
    room.fill(b'0');
    let (high, low) = ((whole / 100_000_000) as u8, (whole % 100_000_000) as u32);
    room[0] += high / 10;
    room[1] += high % 10;
    room[2..POINT_AT].copy_from_slice(&(digits(low) | all).to_le_bytes());
    room[POINT_AT] = b'.';
    room[11..19].copy_from_slice(&(digits(fraction / 10) | all).to_le_bytes());
    room[19] += (fraction % 10) as u8;
    let is_shown = |digit: &u8| *digit != b'0';
    let start = room[..POINT_AT - 1].iter().position(is_shown).unwrap_or(POINT_AT - 1);
    let end = match room[POINT_AT + 1..].iter().rposition(is_shown) {
        Some(last) => POINT_AT + 2 + last,
        None => POINT_AT,
    };
    room.copy_within(start..end, 0);
    end - start
}

/// A word of eight times this byte.
const fn each_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The eight decimal digits of a number below 10⁸ as numbers of a byte each, the first one lowest.
/// Four, two and then one digit at a time are parted from those before them in all lanes of a word
/// at once: the quotient stays low in its lane, and the rest goes high. The divisions are
/// multiplications with a rounded reciprocal, exact for so few digits.
#[inline(always)]
fn digits(number: u32) -> u64 {
    let fours = (u64::from(number) << 32) - u64::from(number / 10_000) * ((10_000 << 32) - 1);
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = (fours << 16) - hundreds * ((100 << 16) - 1);
    let tens = ((pairs * 103) >> 10) & 0xf_000f_000f_000f;
    (pairs << 8) - tens * ((10 << 8) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    #[test]
    fn prices_print_in_the_shortest_exact_form() {
        for (text, shortest) in [
            ("172.50", "172.5"),
            ("159.00", "159"),
            ("0.0005", "0.0005"),
            ("743500.00", "743500"),
            (".5", "0.5"),
            ("5.", "5"),
            ("007", "7"),
            ("0.000000001", "0.000000001"),
            ("9223372036.854775807", "9223372036.854775807"),
            ("1.10000000000000", "1.1"),
            ("100000.00001", "100000.00001"),
            ("9999999.99999999", "9999999.99999999"),
            ("9999999.999999999", "9999999.999999999"),
            ("10000000.00000001", "10000000.00000001"),
            ("0.00000001", "0.00000001"),
            ("0.99", "0.99"),
            ("1000000", "1000000"),
        ] {
            assert_eq!(price(text).to_string(), shortest);
        }
    }

    #[test]
    fn a_price_is_kept_in_units_of_a_billionth() {
        assert_eq!(price("172.5").units(), 172_500_000_000);
        assert_eq!(Price::from_units(1), Some(Price::MIN));
        assert_eq!(Price::from_units(0), None);
        assert_eq!(Price::from_units(-1), None);
        assert_eq!(Price::MAX.units(), i64::MAX);
    }

    #[test]
    fn what_is_not_a_price_says_why() {
        let why = |text: &str| text.parse::<Price>().unwrap_err().to_string();
        for text in ["", ".", "-", "abc", "1.2.3", "1e3", "+1", " 1", "1,000", "0x10", "NaN", "--1"]
        {
            assert_eq!(why(text), format!("'{text}' is not a price: write a decimal like 172.5"));
        }
        for text in ["0", "0.000", "-1", "-0.5", "-99999999999999999999"] {
            assert!(why(text).contains("a price is above 0"), "{text}");
        }
        assert!(why("0.0000000001").contains("more than 9 decimal places"));
        for text in ["9223372036.854775808", "9223372037", "99999999999999999999999999"] {
            assert!(why(text).contains("is above 9223372036.854775807"), "{text}");
        }
        assert!(why(&"9".repeat(5000)).len() < 200);
    }

    /// The text of a price, the plain way.
    fn naive(price: Price) -> String {
        let (whole, fraction) = (price.units() / 1_000_000_000, price.units() % 1_000_000_000);
        format!("{whole}.{fraction:09}").trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    #[test]
    fn prices_about_where_they_become_long_print_as_the_plain_way_does() {
        let edges = (0..=18).flat_map(|zeros| {
            let edge = 10_i64.pow(zeros);
            [1, 9, 10, 9_999, 99_999, 100_000].map(|near| [edge - near, edge, edge + near])
        });
        for price in edges.flatten().filter_map(Price::from_units) {
            assert_eq!(price.to_string(), naive(price));
        }
    }

    proptest! {
        #[test]
        fn print_then_parse_is_the_identity(units in 1..=i64::MAX) {
            let price = Price::from_units(units).unwrap();
            prop_assert_eq!(price.to_string(), naive(price));
            prop_assert_eq!(Price::parse(price.text().as_bytes()), Ok(price));
        }

        /// Prices as they are quoted, with few decimals, take the short way through printing.
        #[test]
        fn print_then_parse_is_the_identity_for_round_prices(
            mantissa in 1..1_000_000_i64, zeros in 0..10_u32,
        ) {
            let price = Price::from_units(mantissa * 10_i64.pow(zeros)).unwrap();
            let text = price.to_string();
            prop_assert_eq!(text.parse::<Price>(), Ok(price));
            prop_assert_eq!(&text, &naive(price));
            prop_assert!(!text.contains('.') || !text.ends_with('0'));
        }

        #[test]
        fn order_of_prices_is_order_of_units(a in 1..=i64::MAX, b in 1..=i64::MAX) {
            let order = Price::from_units(a).cmp(&Price::from_units(b));
            prop_assert_eq!(order, a.cmp(&b));
        }

        #[test]
        fn rubbish_never_panics(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Price::parse(&text);
        }
    }
}
