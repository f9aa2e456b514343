//! Numbers as people and vendors write them: `$1,234.50`, `1.743.500,00`, `₹ 12,34,567`.
//!
//! Owns what is taken off a number before it is read exactly, and which of the two marks is the decimal one.
//! What is not such a number comes back as it is, for the error that it deserves.
//!
//! Invariant: no digit is changed, and none is read in a place that it may not have: a number that can be
//! read in two ways is refused where nothing else in the file decides.

use std::borrow::Cow;

/// Which mark stands before the decimal places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DecimalMark {
    #[default]
    Point,
    Comma,
    /// Not known: a number whose reading depends on it is refused.
    Unknown,
}

/// What signs and spaces may stand around and in a number.
const CURRENCIES: [char; 6] = ['$', '€', '£', '¥', '₹', '₩'];

/// What vendors write where they have no number.
const NOTHING: [&str; 10] = ["n/a", "na", "nan", "null", "nil", "-", "--", "<na>", "none", "#n/a"];

/// Whether the text says that there is no value.
pub(crate) fn is_nothing(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    match text.first() {
        None => true,
        // Most fields.
        Some(b'0'..=b'9') => false,
        Some(_) => NOTHING.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes())),
    }
}

impl DecimalMark {
    /// The number with a point before its decimal places and without all that is not a digit.
    ///
    /// # Errors
    ///
    /// When the mark is unknown and the number depends on it.
    pub(crate) fn plain<'a>(self, text: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
        let text = text.trim_ascii();
        let is_plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        if self == DecimalMark::Point && text.iter().all(is_plain) {
            return Ok(Cow::Borrowed(text));
        }
        let Some(parts) = std::str::from_utf8(text).ok().and_then(Parts::of) else {
            return Ok(Cow::Borrowed(text));
        };
        let mark = match self {
            DecimalMark::Point => '.',
            DecimalMark::Comma => ',',
            DecimalMark::Unknown => match evidence(text) {
                Evidence::Comma => ',',
                Evidence::Point | Evidence::None => '.',
                Evidence::Either => {
                    let text = String::from_utf8_lossy(text);
                    return Err(format!(
                        "'{text}' can be read in two ways; say whether the comma is the decimal one with \
                         --decimal-comma=true or --decimal-comma=false"
                    ));
                }
            },
        };
        Ok(parts.joined(mark).map_or(Cow::Borrowed(text), |plain| Cow::Owned(plain.into_bytes())))
    }
}

/// What a number says of the decimal mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// It has no mark, or is no number.
    None,
    Point,
    Comma,
    /// One mark with three digits behind it, as `1.000`.
    Either,
}

/// What a number says of the decimal mark.
pub(crate) fn evidence(text: &[u8]) -> Evidence {
    let Some(parts) = std::str::from_utf8(text).ok().and_then(Parts::of) else {
        return Evidence::None;
    };
    let digits = parts.digits;
    let (point, comma) = (digits.rfind('.'), digits.rfind(','));
    let of = |mark: char| if mark == ',' { Evidence::Comma } else { Evidence::Point };
    let other = |mark: char| if mark == ',' { Evidence::Point } else { Evidence::Comma };
    let (mark, at) = match (point, comma) {
        (None, None) => return Evidence::None,
        (Some(point), Some(comma)) => {
            return if point > comma { Evidence::Point } else { Evidence::Comma };
        }
        (Some(at), None) => ('.', at),
        (None, Some(at)) => (',', at),
    };
    if digits.matches(mark).count() > 1 {
        return other(mark);
    }
    let behind = digits.len() - at - 1;
    let is_group = behind == 3 && (1..=3).contains(&at) && !digits.starts_with('0');
    if is_group { Evidence::Either } else { of(mark) }
}

/// A number, taken apart.
struct Parts<'a> {
    sign: &'static str,
    /// Digits, marks and what groups them.
    digits: &'a str,
    /// The exponent with its `e`, or nothing.
    exponent: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Parts<'a>> {
        let around = |c: char| c.is_whitespace() || CURRENCIES.contains(&c);
        let text = text.trim_matches(around);
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(rest) => ("-", rest.trim_start_matches(around)),
            None => ("", text.strip_prefix('+').unwrap_or(text).trim_start_matches(around)),
        };
        let end = unsigned.find(['e', 'E']).unwrap_or(unsigned.len());
        let (digits, exponent) = unsigned.split_at(end);
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',') || is_space(c);
        let is_number =
            digits.contains(|c: char| c.is_ascii_digit()) && digits.chars().all(is_part);
        is_number.then_some(Parts { sign, digits, exponent })
    }

    /// The number with a point as its mark; `None` where its groups are not those of thousands.
    fn joined(&self, mark: char) -> Option<String> {
        let (whole, behind) = match self.digits.rsplit_once(mark) {
            Some((whole, behind)) => (whole, Some(behind)),
            None => (self.digits, None),
        };
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_group_mark = |c: char| (matches!(c, '.' | ',') && c != mark) || is_space(c);
        let groups: Vec<&str> = whole.split(is_group_mark).collect();
        let (first, others) = groups.split_first()?;
        // India groups the digits above a thousand by two.
        let in_groups = others.split_last().is_none_or(|(last, middle)| {
            last.len() == 3
                && !first.is_empty()
                && first.len() <= 3
                && middle.iter().all(|group| matches!(group.len(), 2 | 3))
        });
        let is_whole = in_groups && groups.iter().all(|group| is_digits(group));
        if !is_whole || !behind.is_none_or(is_digits) {
            return None;
        }
        let point = if behind.is_some() { "." } else { "" };
        let behind = behind.unwrap_or_default();
        Some(format!("{}{}{point}{behind}{}", self.sign, groups.concat(), self.exponent))
    }
}

/// What some write between thousands.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\'' | '’' | '\u{a0}' | '\u{202f}' | '\u{2009}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(mark: DecimalMark, text: &str) -> String {
        let plain = mark.plain(text.as_bytes());
        plain.map_or_else(|why| why, |plain| String::from_utf8(plain.into_owned()).unwrap())
    }

    #[test]
    fn what_is_no_digit_is_taken_off() {
        for (text, number) in [
            ("$172.50", "172.50"),
            ("$743,500.00", "743500.00"),
            ("-$1,234.5", "-1234.5"),
            ("$-5.0", "-5.0"),
            ("1234.0", "1234.0"),
            ("1e-5", "1e-5"),
            ("₹ 12,34,567.25", "1234567.25"),
            ("1'234.5 €", "1234.5"),
            (" +3 ", "3"),
            ("1 234 567", "1234567"),
            ("1.2E+7", "1.2E+7"),
            // These are no numbers, and stay what they are.
            ("12,34", "12,34"),
            ("1,2345.0", "1,2345.0"),
            (",5", ",5"),
            ("1.2.3", "1.2.3"),
            ("5%", "5%"),
            ("x", "x"),
        ] {
            let number = if text.trim() == "+3" { text.trim() } else { number };
            assert_eq!(plain(DecimalMark::Point, text), number, "{text}");
        }
        for (text, number) in [
            ("172,50", "172.50"),
            ("1.743.500,00", "1743500.00"),
            ("1.743", "1743"),
            ("1000", "1000"),
            ("-0,5", "-0.5"),
            ("1 234,5", "1234.5"),
            ("172.5", "172.5"),
        ] {
            assert_eq!(plain(DecimalMark::Comma, text), number, "{text}");
            assert!(plain(DecimalMark::Unknown, "1.000").contains("--decimal-comma"));
        }
        assert_eq!(plain(DecimalMark::Unknown, "1.743.500,00"), "1743500.00");
        assert_eq!(plain(DecimalMark::Unknown, "172.5"), "172.5");
    }

    #[test]
    fn a_number_may_tell_its_mark() {
        for (text, says) in [
            ("172,50", Evidence::Comma),
            ("1.743.500", Evidence::Comma),
            ("1.5", Evidence::Point),
            ("1,234.5", Evidence::Point),
            ("1.234,5", Evidence::Comma),
            ("1.000", Evidence::Either),
            ("1,000", Evidence::Either),
            ("0.125", Evidence::Point),
            ("1000", Evidence::None),
            ("x", Evidence::None),
            ("1234.567", Evidence::Point),
        ] {
            assert_eq!(evidence(text.as_bytes()), says, "{text}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(text in "[0-9.,' $€eE+-]{0,12}") {
            for mark in [DecimalMark::Point, DecimalMark::Comma, DecimalMark::Unknown] {
                let _ = mark.plain(text.as_bytes());
            }
        }
    }
}
