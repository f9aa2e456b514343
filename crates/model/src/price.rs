use std::fmt;
use std::num::NonZeroI64;
use std::str::FromStr;

use crate::limits::PRICE_DECIMALS;

/// Units of a price in one whole: 10⁹, the fixed-point scale of Databento's DBN.
const UNITS_PER_ONE: u64 = 10_u64.pow(PRICE_DECIMALS);

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
        /// The text, shortened to 40 characters.
        text: String,
    },
    /// Zero or less.
    #[error(
        "'{text}' is not a price: a price is above 0 (set the volume to 0, or halt the stock, to stop trading)"
    )]
    NotAboveZero {
        /// The text, shortened to 40 characters.
        text: String,
    },
    /// More places than can be kept exactly.
    #[error("'{text}' has more than {PRICE_DECIMALS} decimal places, the limit of an exact price")]
    TooManyDecimals {
        /// The text, shortened to 40 characters.
        text: String,
    },
    /// More than [`Price::MAX`].
    #[error("'{text}' is above {}, the highest price", Price::MAX)]
    TooHigh {
        /// The text, shortened to 40 characters.
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
    #[inline]
    pub fn text(self) -> PriceText {
        let units = self.units().unsigned_abs();
        let (mut whole, fraction) = (units / UNITS_PER_ONE, (units % UNITS_PER_ONE) as u32);
        let mut text = PriceText { bytes: [b'.'; 32], start: POINT_AT, end: POINT_AT };
        if fraction != 0 {
            text.put_decimals(fraction);
        }
        while whole >= 100 {
            text.start -= 2;
            text.put_pair(text.start, (whole % 100) as u32);
            whole /= 100;
        }
        if whole >= 10 {
            text.start -= 2;
            text.put_pair(text.start, whole as u32);
        } else {
            text.start -= 1;
            text.bytes[text.start] = b'0' + whole as u8;
        }
        text
    }
}

/// A text shortened for an error message.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(40).collect()
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

/// Bytes of the longest price: ten digits, the point, nine digits.
const PRICE_TEXT_BYTES_MAX: usize = 20;

/// Where the decimal point stands in a [`PriceText`], with room for ten digits before it.
const POINT_AT: usize = 10;

/// `00` to `99`, one after another: two digits are written at a time.
const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut number = 0;
    while number < 100 {
        pairs[2 * number] = b'0' + (number / 10) as u8;
        pairs[2 * number + 1] = b'0' + (number % 10) as u8;
        number += 1;
    }
    pairs
};

/// The decimal text of a [`Price`], on the stack.
#[derive(Clone, Copy, Debug)]
pub struct PriceText {
    /// Digits around the point, which has a fixed place; points everywhere else.
    bytes: [u8; 32],
    start: usize,
    end: usize,
}

impl PriceText {
    /// The text as ASCII bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a price prints as ASCII")
    }

    /// How many bytes the text has, at most 20.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "no price prints as nothing")]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Appends the text. Quicker than appending [`as_bytes`](PriceText::as_bytes): as many bytes
    /// are copied each time, so that it takes no call.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.len();
        if let Some(bytes) = self.bytes[self.start..].first_chunk::<PRICE_TEXT_BYTES_MAX>() {
            out.extend_from_slice(bytes);
        }
        out.truncate(end);
    }

    /// Puts the decimals of a fraction in billionths, above zero, without the zeros at its end.
    #[inline]
    fn put_decimals(&mut self, fraction: u32) {
        let first = POINT_AT + 1;
        // Nearly every price has four places or fewer.
        if fraction.is_multiple_of(100_000) {
            let fraction = fraction / 100_000;
            self.put_pair(first, fraction / 100);
            self.put_pair(first + 2, fraction % 100);
            self.end = first + 4;
        } else {
            let (head, last) = (fraction / 10, fraction % 10);
            self.put_pair(first, head / 1_000_000);
            self.put_pair(first + 2, head / 10_000 % 100);
            self.put_pair(first + 4, head / 100 % 100);
            self.put_pair(first + 6, head % 100);
            self.bytes[first + 8] = b'0' + last as u8;
            self.end = first + 9;
        }
        while self.bytes[self.end - 1] == b'0' {
            self.end -= 1;
        }
    }

    /// Puts two digits.
    #[inline]
    fn put_pair(&mut self, at: usize, number: u32) {
        let number = 2 * number as usize;
        self.bytes[at] = PAIRS[number];
        self.bytes[at + 1] = PAIRS[number + 1];
    }
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

    proptest! {
        #[test]
        fn print_then_parse_is_the_identity(units in 1..=i64::MAX) {
            let price = Price::from_units(units).unwrap();
            prop_assert_eq!(Price::parse(price.text().as_bytes()), Ok(price));
            let mut out = b"=".to_vec();
            let text = price.text();
            text.append_to(&mut out);
            prop_assert_eq!(&out[1..], text.as_bytes());
        }

        /// Prices as they are quoted, with few decimals, take the short way through printing.
        #[test]
        fn print_then_parse_is_the_identity_for_round_prices(
            mantissa in 1..1_000_000_i64, zeros in 0..10_u32,
        ) {
            let price = Price::from_units(mantissa * 10_i64.pow(zeros)).unwrap();
            let text = price.to_string();
            prop_assert_eq!(text.parse::<Price>(), Ok(price));
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
