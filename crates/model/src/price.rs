use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::decimal::{DECIMAL_ROOM_BYTES, Decimal, DecimalText, Fault, Scale, digits, each_byte};
use crate::escaped;
use crate::limits::{DECIMAL_PLACES_MAX, EXCERPT_BYTES_MAX};

/// A price, exact: a *coefficient* of up to 64 bits with its sign, of which up to 18 digits stand
/// behind the point. Any sign and zero: oil was sold below zero. It never passes through a float.
///
/// Prices print in the shortest exact form, `172.5`, and [`parse`](Price::parse) reads that form
/// back to the same price. Equal prices have equal parts: the coefficient ends in a zero only where
/// nothing stands behind the point.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Price {
    /// From `-i64::MAX` to `i64::MAX`.
    coefficient: i64,
    scale: Scale,
}

/// Why a text is not a price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Not a decimal, with an exponent or without.
    #[error(
        "'{text}' is not a price: write a decimal like 172.5, -37.63 or 1e-5, without $ and thousands separators"
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
        "'{text}' has too many digits: without its point a price is at most {}; round it first",
        i64::MAX
    )]
    TooLarge {
        /// The text, escaped and shortened.
        text: String,
    },
}

impl Price {
    /// Nothing.
    pub const ZERO: Price = Price { coefficient: 0, scale: Scale::S0 };
    /// The highest price, 9223372036854775807.
    pub const MAX: Price = Price { coefficient: i64::MAX, scale: Scale::S0 };
    /// The lowest price, -9223372036854775807.
    pub const MIN: Price = Price { coefficient: -i64::MAX, scale: Scale::S0 };

    /// The price of these digits, the last `places` of which stand behind the point. `None` where
    /// that is [`i64::MIN`], or more than [`DECIMAL_PLACES_MAX`] places are needed.
    pub const fn new(coefficient: i64, places: u8) -> Option<Price> {
        match Decimal::new(coefficient < 0, coefficient.unsigned_abs(), places) {
            Some(decimal) => Price::from_decimal(decimal),
            None => None,
        }
    }

    /// The price that has these parts: a [`coefficient`](Price::coefficient) and
    /// [`places`](Price::places) of one. Parts that no price has give one that equals no other.
    #[inline(always)]
    pub fn from_parts(coefficient: i64, places: u8) -> Price {
        let price = Price { coefficient, scale: Scale::from_bits(places) };
        debug_assert!(places == 0 || coefficient % 10 != 0, "parts of a price");
        price
    }

    const fn from_decimal(decimal: Decimal) -> Option<Price> {
        let Decimal { negative, magnitude, scale } = decimal;
        if magnitude > i64::MAX as u64 {
            return None;
        }
        let coefficient = if negative { -(magnitude as i64) } else { magnitude as i64 };
        Some(Price { coefficient, scale })
    }

    fn decimal(self) -> Decimal {
        let Price { coefficient, scale } = self;
        Decimal { negative: coefficient < 0, magnitude: coefficient.unsigned_abs(), scale }
    }

    /// The digits of the price without its point, and its sign.
    #[inline]
    pub const fn coefficient(self) -> i64 {
        self.coefficient
    }

    /// How many of the digits stand behind the point, at most [`DECIMAL_PLACES_MAX`].
    #[inline]
    pub const fn places(self) -> u8 {
        self.scale.places()
    }

    /// Reads a decimal such as `172.50`, `-37.63`, `.5`, `+3` or `1.2E+7`, with ASCII white space
    /// around it or not. Zeros beyond the last place are accepted, since they lose nothing;
    /// currency signs and thousands separators are not.
    ///
    /// # Errors
    ///
    /// [`PriceError`] when the text is not a decimal, or cannot be kept exactly.
    pub fn parse(text: &[u8]) -> Result<Price, PriceError> {
        let decimal = Decimal::parse(text);
        let price = decimal.and_then(|it| Price::from_decimal(it).ok_or(Fault::TooLarge));
        price.map_err(|fault| {
            let text = escaped(text).at_most(EXCERPT_BYTES_MAX).to_string();
            match fault {
                Fault::NotADecimal => PriceError::NotADecimal { text },
                Fault::TooManyPlaces => PriceError::TooManyPlaces { text },
                Fault::TooLarge => PriceError::TooLarge { text },
            }
        })
    }

    /// The sum of two prices; `None` if it cannot be kept exactly.
    pub fn checked_add(self, other: Price) -> Option<Price> {
        let units = self.decimal().units() + other.decimal().units();
        Decimal::from_units(units).and_then(Price::from_decimal)
    }

    /// This price less the other; `None` if it cannot be kept exactly.
    pub fn checked_sub(self, other: Price) -> Option<Price> {
        self.checked_add(Price { coefficient: -other.coefficient, ..other })
    }

    /// The shortest exact decimal, on the stack.
    pub fn text(self) -> DecimalText {
        DecimalText::written(|room| self.write(room))
    }

    /// Writes the shortest exact decimal to the front of `room`, and perhaps anything behind it.
    /// Returns its length, at most 21.
    #[inline(always)]
    pub fn write(self, room: &mut [u8; DECIMAL_ROOM_BYTES]) -> usize {
        match self.ten_thousandths() {
            Some(short) => write_short(short, room),
            None => self.decimal().write(room),
        }
    }

    /// As [`write`](Price::write), but where a bare price is the answer to a lookup: zero is `0.0`
    /// and minus one is `-1.0`, since `0` and `-1` say that there is no price.
    #[inline(always)]
    pub fn write_answer(self, room: &mut [u8; DECIMAL_ROOM_BYTES]) -> usize {
        match self.ten_thousandths() {
            Some(short) => write_short(short, room),
            None => self.write_long_answer(room),
        }
    }

    #[inline(never)]
    fn write_long_answer(self, room: &mut [u8; DECIMAL_ROOM_BYTES]) -> usize {
        let len = self.decimal().write(room);
        if self != Price::ZERO && self != MINUS_ONE {
            return len;
        }
        room[len..len + 2].copy_from_slice(b".0");
        len + 2
    }

    /// A price above zero and below ten thousand, of four places at most, in units of 10⁻⁴. Nearly
    /// every price is one.
    #[inline(always)]
    fn ten_thousandths(self) -> Option<u32> {
        const END: u64 = 10_000 * 10_000;
        /// What a coefficient is times, by its places; nothing where there are too many.
        const FACTORS: [u64; 32] = {
            let mut factors = [0; 32];
            factors[0] = 10_000;
            factors[1] = 1_000;
            factors[2] = 100;
            factors[3] = 10;
            factors[4] = 1;
            factors
        };
        // Below zero it is above everything.
        let coefficient = self.coefficient as u64;
        let product = coefficient.wrapping_mul(FACTORS[usize::from(self.places())]);
        (coefficient < END && product.wrapping_sub(1) < END - 1).then_some(product as u32)
    }
}

const MINUS_ONE: Price = Price { coefficient: -1, scale: Scale::S0 };

impl Ord for Price {
    fn cmp(&self, other: &Price) -> Ordering {
        if self.scale == other.scale {
            return self.coefficient.cmp(&other.coefficient);
        }
        self.decimal().units().cmp(&other.decimal().units())
    }
}

impl PartialOrd for Price {
    fn partial_cmp(&self, other: &Price) -> Option<Ordering> {
        Some(self.cmp(other))
    }
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

/// Writes a price below ten thousand with four decimal places, as nearly every one is. All digits
/// are made at once in a register; those of the whole part that are not shown are shifted out,
/// and the decimals are written over what is behind the others.
#[inline(always)]
fn write_short(ten_thousandths: u32, room: &mut [u8; DECIMAL_ROOM_BYTES]) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::tests::number_text;
    use bigdecimal::BigDecimal;
    use proptest::prelude::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    #[test]
    fn prices_print_in_the_shortest_exact_form() {
        for (text, shortest) in [
            ("172.50", "172.5"),
            ("159.00", "159"),
            ("1000.0", "1000"),
            (" 172.50 ", "172.5"),
            ("+3", "3"),
            ("1e-5", "0.00001"),
            ("1.234e-05", "0.00001234"),
            ("1.2E+7", "12000000"),
            ("-37.63", "-37.63"),
            ("0", "0"),
            ("-0.00", "0"),
            ("-1", "-1"),
            ("0.0005", "0.0005"),
            ("743500.00", "743500"),
            (".5", "0.5"),
            ("5.", "5"),
            ("007", "7"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("0.000000000072377", "0.000000000072377"),
            ("19000000000", "19000000000"),
            ("743500.000000001", "743500.000000001"),
            ("1e-18", "0.000000000000000001"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9.223372036854775807", "-9.223372036854775807"),
            ("9999.9999", "9999.9999"),
            ("10000", "10000"),
            ("99999999", "99999999"),
            ("0.0001", "0.0001"),
            ("0.00001", "0.00001"),
        ] {
            assert_eq!(price(text).to_string(), shortest);
            assert_eq!(price(shortest), price(text));
        }
    }

    #[test]
    fn no_price_is_mistaken_for_an_answer_without_one() {
        for (text, answer) in [
            ("0", "0.0"),
            ("-1", "-1.0"),
            ("1", "1"),
            ("-10", "-10"),
            ("-0.1", "-0.1"),
            ("172.5", "172.5"),
            ("-1.5", "-1.5"),
        ] {
            let written = DecimalText::written(|room| price(text).write_answer(room));
            assert_eq!(written.as_str(), answer);
            assert_eq!(price(answer), price(text));
        }
    }

    #[test]
    fn parts_are_normal() {
        let parts = |price: Price| (price.coefficient(), price.places());
        assert_eq!(parts(price("172.50")), (1725, 1));
        assert_eq!(Price::new(17250, 2), Some(price("172.5")));
        assert_eq!(Price::new(0, 18), Some(Price::ZERO));
        assert_eq!(Price::new(10, 19), Some(price("1e-18")));
        assert_eq!(Price::new(1, 19), None);
        assert_eq!(Price::new(i64::MIN, 0), None);
        assert_eq!(size_of::<Option<Price>>(), 16);
    }

    #[test]
    fn sums_across_scales_are_exact_or_refused() {
        assert_eq!(price("0.1").checked_add(price("0.2")), Some(price("0.3")));
        assert_eq!(price("1").checked_sub(price("1e-18")), Some(price("0.999999999999999999")));
        assert_eq!(price("10").checked_add(price("1e-18")), None);
        assert_eq!(Price::MAX.checked_add(price("1")), None);
        assert_eq!(Price::MIN.checked_sub(Price::MIN), Some(Price::ZERO));
    }

    #[test]
    fn what_is_not_a_price_says_why() {
        let why = |text: &str| text.parse::<Price>().unwrap_err().to_string();
        for text in ["", ".", "-", "abc", "1.2.3", "1e", "$5", "1,000", "0x10", "NaN", "inf", "--1"]
        {
            assert!(why(text).starts_with(&format!("'{text}' is not a price: write a decimal")));
        }
        assert_eq!(
            why("1e-19"),
            "'1e-19' has more than 18 decimal places, the limit; round it first"
        );
        for text in ["9223372036854775808", "12345678901234567890", "1.2345678901234567891e19"] {
            assert_eq!(
                why(text),
                format!(
                    "'{text}' has too many digits: without its point a price is at most 9223372036854775807; round it first"
                )
            );
        }
        assert!(why(&"9".repeat(5000)).len() < 300);
    }

    /// The text of a price by way of a library.
    fn naive(price: Price) -> String {
        BigDecimal::new(price.coefficient().into(), price.places().into()).to_plain_string()
    }

    #[test]
    fn prices_about_where_they_become_long_print_as_the_library_does() {
        let edges = (0..=18).flat_map(|zeros| {
            let edge = 10_i64.pow(zeros);
            [0, 1, 9, 10, 9_999, 99_999, 100_000].map(|near| [edge - near, edge, edge + near])
        });
        for coefficient in edges.flatten() {
            for places in 0..=18 {
                let price = Price::new(coefficient, places).unwrap();
                assert_eq!(price.to_string(), naive(price));
            }
        }
    }

    fn any_price() -> impl Strategy<Value = Price> {
        let parts = (any::<i64>(), 0..64_u32, 0..=18_u8);
        parts.prop_filter_map("no price", |(coefficient, shift, places)| {
            Price::new(coefficient >> shift, places)
        })
    }

    proptest! {
        #[test]
        fn print_then_parse_is_the_identity(price in any_price()) {
            prop_assert_eq!(price.to_string(), naive(price));
            prop_assert_eq!(Price::parse(price.text().as_bytes()), Ok(price));
            prop_assert_eq!(Price::from_parts(price.coefficient(), price.places()), price);
        }

        /// Prices as they are quoted, with few decimals, take the short way through printing.
        #[test]
        fn print_then_parse_is_the_identity_for_usual_prices(
            coefficient in -10..1_000_000_i64, places in 0..6_u8,
        ) {
            let price = Price::new(coefficient, places).unwrap();
            prop_assert_eq!(price.to_string(), naive(price));
            prop_assert_eq!(price.to_string().parse::<Price>(), Ok(price));
        }

        #[test]
        fn order_sum_and_difference_are_those_of_big_decimals(a in any_price(), b in any_price()) {
            let big = |price: Price| BigDecimal::new(price.coefficient().into(), price.places().into());
            prop_assert_eq!(a.cmp(&b), big(a).cmp(&big(b)));
            let exact = |value: BigDecimal| Price::parse(value.to_plain_string().as_bytes()).ok();
            prop_assert_eq!(a.checked_add(b), exact(big(a) + big(b)));
            prop_assert_eq!(a.checked_sub(b), exact(big(a) - big(b)));
        }

        #[test]
        fn text_is_read_whatever_it_is(text in number_text()) {
            let _ = Price::parse(text.as_bytes());
        }
    }
}
