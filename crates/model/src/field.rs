//! The fields of a quote, by their names, and as text.
//!
//! This module owns what a field is called everywhere, in which order fields are written, and how
//! their values look as plain text. It knows no protocol and no file.
//!
//! Invariant: what [`Quote::text_of`] gives, [`Fields::set`](crate::Fields::set) takes, for the same
//! value.

use std::fmt;

use crate::limits::EXCERPT_BYTES_MAX;
use crate::{
    DecimalText, Price, PriceError, Quote, StatusError, Volume, VolumeError, escaped, rfc3339,
};

/// A field of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The name of the stock.
    Symbol,
    /// Its last price, traded or not.
    Price,
    /// Shares that remain, where they are counted.
    Volume,
    /// The highest price that somebody would buy at.
    Bid,
    /// The lowest price that somebody would sell at.
    Ask,
    /// How much would be bought at the bid.
    BidSize,
    /// How much would be sold at the ask.
    AskSize,
    /// `trading` or `halted`.
    Status,
    /// When it happened, as its source says: Unix time in nanoseconds.
    Time,
    /// Changes so far.
    Version,
    /// When it last changed: Unix time in nanoseconds.
    Updated,
    /// The name of the feed that has written it.
    Feed,
    /// How that feed is now.
    FeedState,
}

impl Field {
    /// Every field, in the order in which a quote is written.
    pub const ALL: [Field; 13] = [
        Field::Symbol,
        Field::Price,
        Field::Volume,
        Field::Bid,
        Field::Ask,
        Field::BidSize,
        Field::AskSize,
        Field::Status,
        Field::Time,
        Field::Version,
        Field::Updated,
        Field::Feed,
        Field::FeedState,
    ];

    /// Those that a writer gives, in this order.
    pub const WRITABLE: [Field; 8] = [
        Field::Price,
        Field::Volume,
        Field::Bid,
        Field::Ask,
        Field::BidSize,
        Field::AskSize,
        Field::Status,
        Field::Time,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Field::Symbol => "symbol",
            Field::Price => "price",
            Field::Volume => "volume",
            Field::Bid => "bid",
            Field::Ask => "ask",
            Field::BidSize => "bid_size",
            Field::AskSize => "ask_size",
            Field::Status => "status",
            Field::Time => "time",
            Field::Version => "version",
            Field::Updated => "updated",
            Field::Feed => "feed",
            Field::FeedState => "feed_state",
        }
    }

    /// The field of this name; like symbols, small letters are not capitals.
    pub fn find(name: &[u8]) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name().as_bytes() == name)
    }

    /// Whether a quote may be without it.
    pub const fn is_optional(self) -> bool {
        !matches!(self, Field::Symbol | Field::Status | Field::Version | Field::Updated)
    }
}

/// Why a text is not a value of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// No price, bid or ask.
    #[error("{}{error}", Named(.field))]
    Price {
        /// The field.
        field: &'static str,
        /// What is wrong.
        error: PriceError,
    },
    /// No volume or size.
    #[error("{}{error}", Named(.field))]
    Volume {
        /// The field.
        field: &'static str,
        /// What is wrong.
        error: VolumeError,
    },
    /// No status.
    #[error("{0}")]
    Status(#[from] StatusError),
    /// No time.
    #[error("'{text}' is not a time: write Unix time in ns or as 2026-09-21T14:13:20.123456789Z")]
    Time {
        /// The text, escaped and shortened.
        text: String,
    },
    /// A field that only the server sets.
    #[error(
        "field '{0}' is read-only: the fields to set are price, volume, bid, ask, bid_size, ask_size, status and time"
    )]
    ReadOnly(&'static str),
}

impl FieldError {
    pub(crate) fn price(field: Field, error: PriceError) -> FieldError {
        FieldError::Price { field: field.name(), error }
    }

    pub(crate) fn volume(field: Field, error: VolumeError) -> FieldError {
        FieldError::Volume { field: field.name(), error }
    }
}

/// A field before what is wrong with its value, where that does not say so itself.
struct Named<'a>(&'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "price" | "volume" => Ok(()),
            field => write!(f, "{field}: "),
        }
    }
}

/// Reads a moment as the source of a quote may write it: Unix time in nanoseconds, or as RFC 3339.
///
/// # Errors
///
/// [`FieldError::Time`] when it is neither, before 1970 or after 2554.
pub fn parse_time(text: &[u8]) -> Result<u64, FieldError> {
    let text = text.trim_ascii();
    let number = str::from_utf8(text).ok().filter(|text| !text.starts_with('+'));
    let unix_ns = number.and_then(|text| text.parse().ok());
    unix_ns.or_else(|| rfc3339::parse(text).and_then(|ns| ns.try_into().ok())).ok_or_else(|| {
        FieldError::Time { text: escaped(text).at_most(EXCERPT_BYTES_MAX).to_string() }
    })
}

/// The value of a field as plain text: a word that lies somewhere, or a number on the stack.
#[derive(Clone, Copy, Debug)]
pub struct FieldText<'a>(Text<'a>);

#[derive(Clone, Copy, Debug)]
enum Text<'a> {
    Word(&'a [u8]),
    Number(DecimalText),
}

impl<'a> FieldText<'a> {
    #[inline]
    fn word(word: &'a [u8]) -> FieldText<'a> {
        FieldText(Text::Word(word))
    }

    #[inline]
    fn number(number: u64) -> FieldText<'a> {
        FieldText(Text::Number(DecimalText::whole(number)))
    }

    /// The text of a number, where it is one.
    #[inline(always)]
    pub fn number_text(&self) -> Option<&DecimalText> {
        match &self.0 {
            Text::Word(_) => None,
            Text::Number(number) => Some(number),
        }
    }

    /// The text as UTF-8 bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Word(word) => word,
            Text::Number(number) => number.as_bytes(),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("symbols are UTF-8, and the rest is ASCII")
    }
}

impl Quote {
    /// Whether the quote is not without this field.
    pub fn has(&self, field: Field) -> bool {
        match field {
            Field::Price => self.price.is_some(),
            Field::Volume => self.volume.is_some(),
            Field::Bid => self.bid.is_some(),
            Field::Ask => self.ask.is_some(),
            Field::BidSize => self.bid_size.is_some(),
            Field::AskSize => self.ask_size.is_some(),
            Field::Time => self.time_ns.is_some(),
            Field::Feed | Field::FeedState => self.feed.is_some(),
            Field::Symbol | Field::Status | Field::Version | Field::Updated => true,
        }
    }

    /// The value of a field as plain text; `None` where the quote is without it.
    pub fn text_of(&self, field: Field) -> Option<FieldText<'_>> {
        let decimal = |text| FieldText(Text::Number(text));
        let price = |price: Option<Price>| price.map(|price| decimal(price.text()));
        let volume = |volume: Option<Volume>| volume.map(|volume| decimal(volume.text()));
        match field {
            Field::Symbol => Some(FieldText::word(self.symbol.as_bytes())),
            Field::Price => price(self.price),
            Field::Volume => volume(self.volume),
            Field::Bid => price(self.bid),
            Field::Ask => price(self.ask),
            Field::BidSize => volume(self.bid_size),
            Field::AskSize => volume(self.ask_size),
            Field::Status => Some(FieldText::word(self.status_now().as_str().as_bytes())),
            Field::Time => self.time_ns.map(FieldText::number),
            Field::Version => Some(FieldText::number(self.version)),
            Field::Updated => Some(FieldText::number(self.updated_ns)),
            Field::Feed => self.feed.map(|feed| FieldText::word(feed.name.as_str().as_bytes())),
            Field::FeedState => {
                self.feed.map(|feed| FieldText::word(feed.state.as_str().as_bytes()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edit, Fields, Status};

    #[test]
    fn every_field_reads_back_what_it_writes() {
        let quote = Quote {
            price: "-37.63".parse().ok(),
            volume: "0.25".parse().ok(),
            bid: "1e-18".parse().ok(),
            ask: Some(Price::MAX),
            bid_size: "18446744073709551615".parse().ok(),
            ask_size: "0".parse().ok(),
            status: Status::Halted,
            time_ns: Some(u64::MAX),
            ..Quote::new("BRK/A".parse().unwrap())
        };
        let mut fields = Fields::default();
        for field in Field::WRITABLE {
            assert_eq!(Field::find(field.name().as_bytes()), Some(field));
            fields.set(field, quote.text_of(field).unwrap().as_bytes()).unwrap();
        }
        assert_eq!((fields, fields.given()), (Fields::from(&quote), 8));
        assert_eq!(fields.outcome(&Quote::new(quote.symbol)), quote);

        for field in Field::WRITABLE.into_iter().filter(|field| field.is_optional()) {
            fields.set(field, b" none ").unwrap();
        }
        fields.clear(Field::Feed);
        let mut cleared = Fields { status: fields.status, ..Fields::default() };
        Field::ALL.into_iter().for_each(|field| cleared.clear(field));
        assert_eq!((fields, fields.given(), fields.can_list()), (cleared, 1, true));
        let nothing = Quote { status: Status::Halted, ..Quote::new(quote.symbol) };
        assert_eq!(fields.outcome(&quote), nothing);
        for field in Field::ALL {
            assert_eq!(nothing.text_of(field).is_some(), !field.is_optional());
            assert_eq!(nothing.has(field), !field.is_optional());
        }
    }

    #[test]
    fn what_is_no_value_of_a_field_says_why() {
        let why = |field, text: &str| {
            Fields::default().set(field, text.as_bytes()).unwrap_err().to_string()
        };
        assert!(why(Field::Price, "x").starts_with("'x' is not a price"));
        assert!(why(Field::Ask, "$1").starts_with("ask: '$1' is not a price"));
        assert!(why(Field::BidSize, "-1").starts_with("bid_size: '-1' is not a volume"));
        assert!(why(Field::Status, "none").starts_with("'none' is not a status"));
        assert!(why(Field::Time, "yesterday").starts_with("'yesterday' is not a time"));
        assert!(why(Field::Version, "1").starts_with("field 'version' is read-only"));
        assert!(why(Field::Feed, "x").starts_with("field 'feed' is read-only"));
    }

    #[test]
    fn a_moment_is_nanoseconds_or_a_date_and_time() {
        let time = |text: &str| parse_time(text.as_bytes()).ok();
        assert_eq!(time("1790000000123500001"), Some(1_790_000_000_123_500_001));
        assert_eq!(time("2026-09-21T14:13:20.123500001Z"), Some(1_790_000_000_123_500_001));
        assert_eq!(time(" 0 "), Some(0));
        for wrong in ["", "-1", "+1", "1.5", "18446744073709551616", "1969-12-31", "none"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
        let mut fields = Fields::default();
        fields.set(Field::Time, b"none").unwrap();
        assert_eq!(fields.time_ns, Edit::Clear);
    }
}
