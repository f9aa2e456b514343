//! Decimals, exact: digits without a point, and how many of them stand behind it.
//!
//! This module owns how decimals are read, printed, compared and added, for prices and volumes alike.
//! It knows neither of the two: sign and range are theirs.
//!
//! Invariant: no digit is ever lost. What cannot be kept exactly is refused. Each number has one
//! form, the *normal* one: the digits end in a zero only where none stands behind the point.

use crate::limits::DECIMAL_PLACES_MAX;

/// Bytes of room for the text of any price or volume, of which the longest has 21, and for what is
/// written behind it by the way.
pub const DECIMAL_ROOM_BYTES: usize = 24;

/// How many digits stand behind the point. An enum of all of them, so that an optional price takes
/// no more room than a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[rustfmt::skip]
pub(crate) enum Scale {
    S0, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12, S13, S14, S15, S16, S17, S18,
}

/// A decimal in normal form. Zero is not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) negative: bool,
    /// The digits without the point.
    pub(crate) magnitude: u64,
    pub(crate) scale: Scale,
}

/// Why a text is no decimal that can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not written as one.
    NotADecimal,
    /// It has more places than [`DECIMAL_PLACES_MAX`] that are not zero.
    TooManyPlaces,
    /// Its digits without the point are more than 64 bits hold.
    TooLarge,
}

/// Bytes of the longest text whose digits 64 bits surely hold, its point included.
const PLAIN_BYTES_MAX: usize = 19;

/// 10⁰ to 10¹⁹, which is the last power of ten that 64 bits hold.
pub(crate) const POWERS_OF_TEN: [u64; 20] = {
    let mut powers = [1; 20];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

impl Scale {
    /// Every scale at its own number, and the last where there is none: five bits always name one.
    const BY_BITS: [Scale; 32] = {
        use Scale::*;
        let all =
            [S0, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12, S13, S14, S15, S16, S17, S18];
        let mut by_bits = [S18; 32];
        let mut at = 0;
        while at < all.len() {
            by_bits[at] = all[at];
            at += 1;
        }
        by_bits
    };

    /// This many places, if not too many.
    pub(crate) const fn new(places: u8) -> Option<Scale> {
        if places > DECIMAL_PLACES_MAX {
            return None;
        }
        Some(Scale::BY_BITS[places as usize])
    }

    /// The scale of which these are the five bits.
    #[inline(always)]
    pub(crate) const fn from_bits(places: u8) -> Scale {
        Scale::BY_BITS[(places & 31) as usize]
    }

    #[inline(always)]
    pub(crate) const fn places(self) -> u8 {
        self as u8
    }
}

impl Decimal {
    pub(crate) const ZERO: Decimal = Decimal { negative: false, magnitude: 0, scale: Scale::S0 };

    /// The number of these digits, of which the last `places` stand behind the point, in normal form; `None` for
    /// more places than there can be.
    pub(crate) const fn new(negative: bool, mut magnitude: u64, mut places: u8) -> Option<Decimal> {
        while places > 0 && magnitude.is_multiple_of(10) {
            magnitude /= 10;
            places -= 1;
        }
        match Scale::new(places) {
            Some(_) if magnitude == 0 => Some(Decimal::ZERO),
            Some(scale) => Some(Decimal { negative, magnitude, scale }),
            None => None,
        }
    }

    /// Reads a decimal as people and programs write it: `172.50`, `1000.0`, `.5`, `5.`, `+3`, `1e-5`,
    /// `1.2E+7`, with ASCII white space around it or not.
    #[inline]
    pub(crate) fn parse(text: &[u8]) -> Result<Decimal, Fault> {
        match Decimal::parse_plain(text) {
            Some(decimal) => Ok(decimal),
            None => Decimal::parse_any(text),
        }
    }

    /// Reads digits with or without a point, as nearly every number comes; `None` where there is
    /// anything else, or more than 64 bits surely hold.
    #[inline]
    fn parse_plain(text: &[u8]) -> Option<Decimal> {
        let (mut magnitude, mut point) = (0, None);
        if text.len() > PLAIN_BYTES_MAX {
            return None;
        }
        for (at, &byte) in text.iter().enumerate() {
            match byte.wrapping_sub(b'0') {
                digit @ 0..=9 => magnitude = magnitude * 10 + u64::from(digit),
                _ if byte == b'.' && point.is_none() => point = Some(at),
                _ => return None,
            }
        }
        let places = point.map_or(0, |at| text.len() - at - 1);
        if text.len() == usize::from(point.is_some()) {
            return None;
        }
        Decimal::new(false, magnitude, places as u8)
    }

    #[inline(never)]
    fn parse_any(text: &[u8]) -> Result<Decimal, Fault> {
        let text = text.trim_ascii();
        let (negative, unsigned) = match text {
            [b'-', unsigned @ ..] => (true, unsigned),
            [b'+', unsigned @ ..] => (false, unsigned),
            unsigned => (false, unsigned),
        };
        let mut digits = Digits::default();
        let mut bytes = unsigned.iter();
        let mut exponent = 0;
        while let Some(&byte) = bytes.next() {
            match byte {
                b'0'..=b'9' => digits.push(byte - b'0'),
                b'.' if !digits.behind_point => digits.behind_point = true,
                b'e' | b'E' => {
                    exponent = parse_exponent(bytes.as_slice()).ok_or(Fault::NotADecimal)?;
                    break;
                }
                _ => return Err(Fault::NotADecimal),
            }
        }
        if !digits.any {
            return Err(Fault::NotADecimal);
        }
        digits.times_ten_to(exponent, negative)
    }

    /// Writes the shortest plain text to the front of `room`. Returns its length, at most 21.
    #[inline(never)]
    pub(crate) fn write(self, room: &mut [u8; DECIMAL_ROOM_BYTES]) -> usize {
        let mut number = itoa::Buffer::new();
        let digits = number.format(self.magnitude).as_bytes();
        let places = usize::from(self.scale.places());
        let mut len = 0;
        let mut append = |text: &[u8]| {
            room[len..len + text.len()].copy_from_slice(text);
            len += text.len();
        };
        if self.negative {
            append(b"-");
        }
        let (whole, behind) = digits.split_at(digits.len().saturating_sub(places));
        append(if whole.is_empty() { b"0" } else { whole });
        if places > 0 {
            append(b".");
            append(&[b'0'; DECIMAL_PLACES_MAX as usize][behind.len()..places]);
            append(behind);
        }
        len
    }

    /// How many times 10⁻¹⁸ it is: at most 1.8 · 10³⁷, so that two of them are added and compared
    /// without overflow.
    pub(crate) fn units(self) -> i128 {
        let places_left = usize::from(DECIMAL_PLACES_MAX - self.scale.places());
        let units = i128::from(self.magnitude) * i128::from(POWERS_OF_TEN[places_left]);
        if self.negative { -units } else { units }
    }

    /// The number that is this multiple of 10⁻¹⁸, if 64 bits hold its digits.
    pub(crate) fn from_units(units: i128) -> Option<Decimal> {
        let mut magnitude = units.unsigned_abs();
        let mut places = DECIMAL_PLACES_MAX;
        while places > 0 && magnitude.is_multiple_of(10) {
            magnitude /= 10;
            places -= 1;
        }
        Decimal::new(units < 0, u64::try_from(magnitude).ok()?, places)
    }
}

/// The digits of a text, as far as they were read.
#[derive(Default)]
struct Digits {
    any: bool,
    behind_point: bool,
    /// The digits up to the last that is not zero.
    magnitude: u64,
    /// Whether they are more than 64 bits hold.
    overflowed: bool,
    /// Zeros since the last digit that is not.
    zeros: usize,
    /// Digits behind the point.
    places: usize,
}

impl Digits {
    #[inline]
    fn push(&mut self, digit: u8) {
        self.any = true;
        self.places += usize::from(self.behind_point);
        if digit == 0 {
            // Zeros at the front say nothing.
            self.zeros += usize::from(self.magnitude != 0 || self.overflowed);
            return;
        }
        let power = POWERS_OF_TEN.get(self.zeros + 1);
        let shifted = power.and_then(|power| self.magnitude.checked_mul(*power));
        match shifted.and_then(|shifted| shifted.checked_add(u64::from(digit))) {
            Some(magnitude) => self.magnitude = magnitude,
            None => self.overflowed = true,
        }
        self.zeros = 0;
    }

    fn times_ten_to(self, exponent: i64, negative: bool) -> Result<Decimal, Fault> {
        let Digits { magnitude, overflowed, zeros, places, .. } = self;
        if magnitude == 0 && !overflowed {
            return Ok(Decimal::ZERO);
        }
        let exponent = exponent.saturating_add(zeros as i64).saturating_sub(places as i64);
        if exponent < -i64::from(DECIMAL_PLACES_MAX) {
            return Err(Fault::TooManyPlaces);
        }
        if overflowed {
            return Err(Fault::TooLarge);
        }
        let (magnitude, places) = match usize::try_from(exponent) {
            Ok(exponent) => {
                let power = POWERS_OF_TEN.get(exponent);
                (power.and_then(|power| magnitude.checked_mul(*power)).ok_or(Fault::TooLarge)?, 0)
            }
            Err(_) => (magnitude, exponent.unsigned_abs() as u8),
        };
        Ok(Decimal { negative, magnitude, scale: Scale::from_bits(places) })
    }
}

/// The number behind an `e`; one beyond 64 bits is as far as they go.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let exponent = digits.iter().fold(0_i64, |exponent, digit| {
        exponent.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    Some(if negative { -exponent } else { exponent })
}

/// Writes a whole number to the front of `room`, and perhaps anything behind it. Returns its length, at most 20.
#[inline]
pub(crate) fn write_whole(number: u64, room: &mut [u8; DECIMAL_ROOM_BYTES]) -> usize {
    const EIGHT_DIGITS: u64 = 100_000_000;
    if number < EIGHT_DIGITS {
        return write_first(number as u32, room);
    }
    let (high, last) = (number / EIGHT_DIGITS, (number % EIGHT_DIGITS) as u32);
    if high < EIGHT_DIGITS {
        let len = write_first(high as u32, room);
        return write_eight(last, len, room);
    }
    let len = write_first((high / EIGHT_DIGITS) as u32, room);
    let len = write_eight((high % EIGHT_DIGITS) as u32, len, room);
    write_eight(last, len, room)
}

/// Writes a number of at most eight digits, without zeros at its front but for the last.
#[inline(always)]
fn write_first(number: u32, room: &mut [u8; DECIMAL_ROOM_BYTES]) -> usize {
    let digits = digits(number);
    let hidden = (digits | 1 << 56).trailing_zeros() / 8;
    let text = (digits | each_byte(b'0')) >> (8 * hidden);
    room[..8].copy_from_slice(&text.to_le_bytes());
    8 - hidden as usize
}

/// Writes all eight digits of a number behind what is there. Returns where they end.
#[inline(always)]
fn write_eight(number: u32, start: usize, room: &mut [u8; DECIMAL_ROOM_BYTES]) -> usize {
    let text = digits(number) | each_byte(b'0');
    room[start..start + 8].copy_from_slice(&text.to_le_bytes());
    start + 8
}

/// A word of eight times this byte.
pub(crate) const fn each_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The eight decimal digits of a number below 10⁸ as numbers of a byte each, the first one lowest.
/// Four, two and then one digit at a time are parted from those before them in all lanes of a word
/// at once: the quotient stays low in its lane, and the rest goes high. The divisions are
/// multiplications with a rounded reciprocal, exact for so few digits.
#[inline(always)]
pub(crate) fn digits(number: u32) -> u64 {
    let fours = (u64::from(number) << 32) - u64::from(number / 10_000) * ((10_000 << 32) - 1);
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = (fours << 16) - hundreds * ((100 << 16) - 1);
    let tens = ((pairs * 103) >> 10) & 0xf_000f_000f_000f;
    (pairs << 8) - tens * ((10 << 8) - 1)
}

/// The decimal text of a [`Price`](crate::Price) or [`Volume`](crate::Volume), on the stack.
#[derive(Clone, Copy, Debug)]
pub struct DecimalText {
    /// The text, and behind it anything. The longest has 21 bytes.
    bytes: [u8; DECIMAL_ROOM_BYTES],
    len: usize,
}

impl DecimalText {
    /// What `write` leaves in the room that it is given; it returns the length.
    #[inline(always)]
    pub(crate) fn written(
        write: impl FnOnce(&mut [u8; DECIMAL_ROOM_BYTES]) -> usize,
    ) -> DecimalText {
        let mut bytes = [0; DECIMAL_ROOM_BYTES];
        let len = write(&mut bytes);
        DecimalText { bytes, len }
    }

    /// The text of a whole number.
    #[inline]
    pub(crate) fn whole(number: u64) -> DecimalText {
        DecimalText::written(|room| write_whole(number, room))
    }

    /// The text as ASCII bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a decimal prints as ASCII")
    }

    /// The text, and behind it anything: what is copied as a whole is copied at once.
    #[inline(always)]
    pub fn room(&self) -> &[u8; DECIMAL_ROOM_BYTES] {
        &self.bytes
    }

    /// How many bytes the text has, at most 21.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "no decimal prints as nothing")]
    pub fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::str::FromStr;

    use bigdecimal::BigDecimal;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whole_numbers_print_as_the_library_prints_them(number in any::<u64>(), shift in 0..64_u32) {
            let number = number >> shift;
            let text = DecimalText::whole(number);
            prop_assert_eq!(text.as_str(), number.to_string());
        }
    }

    #[test]
    fn whole_numbers_print_at_every_length() {
        for power in POWERS_OF_TEN {
            for number in [power - 1, power, power + 1, u64::MAX] {
                assert_eq!(DecimalText::whole(number).as_str(), number.to_string());
            }
        }
    }

    /// Texts of numbers as programs write them, and such as are not quite.
    pub(crate) fn number_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[+-]?[0-9]{0,22}(\\.[0-9]{0,24})?([eE][+-]?[0-9]{1,2})?",
            "[+-]?0{0,30}[1-9]{0,3}0{0,30}(\\.0{0,30}[1-9]{0,3}0{0,30})?(e[+-]?[0-9]{1,2})?",
            "[ +-]{0,2}[0-9.]{0,5}[eE]?[ +-]?[0-9_,$]{0,3} ?",
        ]
    }

    /// What the library makes of the text, where it is written as we accept it.
    fn oracle(text: &str) -> Option<BigDecimal> {
        let text = text.trim_ascii();
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        // The library takes a sign behind the point, and underscores.
        let mantissa = unsigned.split(['e', 'E']).next()?;
        let is_plain = mantissa.chars().all(|c| c.is_ascii_digit() || c == '.')
            && mantissa.contains(|c: char| c.is_ascii_digit())
            && !text.contains('_');
        is_plain.then(|| BigDecimal::from_str(text).ok()).flatten()
    }

    fn value(decimal: Decimal) -> BigDecimal {
        let magnitude = BigDecimal::new(decimal.magnitude.into(), decimal.scale.places().into());
        if decimal.negative { -magnitude } else { magnitude }
    }

    fn text(decimal: Decimal) -> String {
        DecimalText::written(|room| decimal.write(room)).as_str().to_owned()
    }

    #[test]
    fn each_fault_is_told_from_the_others() {
        for text in
            ["", " ", ".", "+", "-.", "e5", "1e", "1e+", "1e1.5", "1..2", "--1", "1_0", ".-0"]
        {
            assert_eq!(Decimal::parse(text.as_bytes()), Err(Fault::NotADecimal), "{text}");
        }
        for text in
            ["1e-19", "0.0000000000000000001", "12345678901234567890123.1234567890123456789"]
        {
            assert_eq!(Decimal::parse(text.as_bytes()), Err(Fault::TooManyPlaces), "{text}");
        }
        assert_eq!(Decimal::parse(b"1e-99999999999999999999"), Err(Fault::TooManyPlaces));
        assert_eq!(Decimal::parse(b"1e99999999999999999999"), Err(Fault::TooLarge));
        assert_eq!(Decimal::parse(b"0e99999999999999999999"), Ok(Decimal::ZERO));
        assert_eq!(Decimal::parse(b"18446744073709551616"), Err(Fault::TooLarge));
    }

    #[test]
    fn zeros_at_both_ends_cost_nothing() {
        let long = format!("{0}12.5{0}", "0".repeat(500));
        let number = Decimal { negative: false, magnitude: 125, scale: Scale::S1 };
        assert_eq!(Decimal::parse(long.as_bytes()), Ok(number));
        let small = format!("125{}e-501", "0".repeat(500));
        assert_eq!(Decimal::parse(small.as_bytes()), Ok(number));
    }

    proptest! {
        /// Against a library of big decimals: the same value, or refused for a reason.
        #[test]
        fn what_is_read_is_what_a_big_decimal_reads(written in number_text()) {
            match (Decimal::parse(written.as_bytes()), oracle(&written)) {
                (Ok(decimal), Some(expected)) => prop_assert_eq!(value(decimal), expected),
                (Err(Fault::NotADecimal), None) => {}
                (Err(Fault::TooManyPlaces), Some(expected)) => {
                    prop_assert!(expected.normalized().as_bigint_and_exponent().1 > 18);
                }
                (Err(Fault::TooLarge), Some(expected)) => {
                    let scale = expected.normalized().as_bigint_and_exponent().1.max(0);
                    let digits = expected.with_scale(scale).as_bigint_and_exponent().0;
                    prop_assert!(digits.magnitude() > &u64::MAX.into());
                }
                (ours, theirs) => prop_assert!(false, "{:?}, and not {:?}", ours, theirs),
            }
        }

        /// The text is plain, the shortest, and read back by us and by the library.
        #[test]
        fn print_then_parse_is_the_identity(
            negative: bool, magnitude: u64, shift in 0..64_u32, places in 0..=18_u8,
        ) {
            let decimal = Decimal::new(negative, magnitude >> shift, places).unwrap();
            let text = text(decimal);
            prop_assert_eq!(Decimal::parse(text.as_bytes()), Ok(decimal));
            prop_assert_eq!(&text, &value(decimal).to_plain_string());
            prop_assert!(text.len() <= 22 && (!text.contains('.') || !text.ends_with('0')));
            prop_assert_eq!(Decimal::from_units(decimal.units()), Some(decimal));
        }

        #[test]
        fn rubbish_never_panics(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Decimal::parse(&text);
        }
    }
}
