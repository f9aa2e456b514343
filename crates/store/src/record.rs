//! One quote as bytes: the value of a record, whose key is the symbol.
//!
//! ```text
//!   0        1        2        4            12           20       21              29       30
//!   ┌────────┬────────┬────────┬────────────┬────────────┬────────┬──────────────┬────────┬──────────────┐
//!   │ format │ status │ fields │  version   │  updated   │ places │    price     │ places │    volume    │
//!   └────────┴────────┴────────┴────────────┴────────────┴────────┴──────────────┴────────┴──────────────┘
//!                                                         for each bit of `fields`, in their order
//! ```
//!
//! Integers are little-endian. A bit of `fields` says that a field is there: bit 0 the price, bit 1
//! the volume. A decimal is its digits without the point, and before them how many of them stand
//! behind it. Records of [format 1](decode_1) are read, and written in this format when their stock
//! changes. It knows no file.
//!
//! Invariant: what is decoded is a valid quote, and encoding it gives the same bytes, but for those of
//! format 1.

use stockd_model::limits::VERSION_MAX;
use stockd_model::{Price, Quote, Status, Symbol, Volume};

/// The first byte of a record's value.
const FORMAT: u8 = 2;

const PRICE: u16 = 1;
const VOLUME: u16 = 1 << 1;

/// What every record begins with, and a decimal behind it.
const HEAD_BYTES: usize = 20;
const DECIMAL_BYTES: usize = 9;

/// The value of a record: a whole quote but its symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    bytes: [u8; HEAD_BYTES + 2 * DECIMAL_BYTES],
    len: usize,
}

/// Why bytes are not a quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("its key is not a symbol in its canonical form")]
    Key,
    #[error("it has {0} bytes, too few or too many for what is in it")]
    Length(usize),
    #[error("its format is {0}, neither 1 nor {FORMAT}")]
    Format(u8),
    #[error("its status is {0}, neither 0 (trading) nor 1 (halted)")]
    Status(u8),
    #[error("its fields are {0:b}, not a price (1) or a price and a volume (11)")]
    Fields(u16),
    #[error("its price is {digits} with {places} places, which is no price in normal form")]
    Price { digits: i64, places: u8 },
    #[error("its volume is {digits} with {places} places, which is no volume in normal form")]
    Volume { digits: u64, places: u8 },
    #[error("its version is {0}, not between 1 and {VERSION_MAX}")]
    Version(u64),
}

impl Record {
    pub(crate) fn encode(quote: &Quote) -> Record {
        let mut bytes = [0; HEAD_BYTES + 2 * DECIMAL_BYTES];
        let fields = if quote.volume.is_some() { PRICE | VOLUME } else { PRICE };
        bytes[0] = FORMAT;
        bytes[1] = match quote.status {
            Status::Trading => 0,
            Status::Halted => 1,
        };
        bytes[2..4].copy_from_slice(&fields.to_le_bytes());
        bytes[4..12].copy_from_slice(&quote.version.to_le_bytes());
        bytes[12..20].copy_from_slice(&quote.updated_ns.to_le_bytes());
        let mut len = HEAD_BYTES;
        let mut append = |places: u8, digits: [u8; 8]| {
            bytes[len] = places;
            bytes[len + 1..len + DECIMAL_BYTES].copy_from_slice(&digits);
            len += DECIMAL_BYTES;
        };
        append(quote.price.places(), quote.price.coefficient().to_le_bytes());
        if let Some(volume) = quote.volume {
            append(volume.places(), volume.coefficient().to_le_bytes());
        }
        Record { bytes, len }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Quote, RecordError> {
    let symbol = Symbol::parse(key).map_err(|_| RecordError::Key)?;
    if symbol.as_bytes() != key {
        return Err(RecordError::Key);
    }
    match value.first() {
        Some(&FORMAT) => decode_2(symbol, value),
        Some(1) => decode_1(symbol, value),
        Some(&other) => Err(RecordError::Format(other)),
        None => Err(RecordError::Length(0)),
    }
}

fn decode_2(symbol: Symbol, value: &[u8]) -> Result<Quote, RecordError> {
    let wrong_length = RecordError::Length(value.len());
    let Some((&[_, status, low, high], numbers)) = value.split_first_chunk() else {
        return Err(wrong_length);
    };
    let Some((version, numbers)) = numbers.split_first_chunk() else { return Err(wrong_length) };
    let Some((updated, decimals)) = numbers.split_first_chunk() else { return Err(wrong_length) };
    let fields = u16::from_le_bytes([low, high]);
    if fields != PRICE && fields != PRICE | VOLUME {
        return Err(RecordError::Fields(fields));
    }
    let (decimals, []) = decimals.as_chunks::<DECIMAL_BYTES>() else { return Err(wrong_length) };
    let (price, volume) = match *decimals {
        [price] if fields & VOLUME == 0 => (price, None),
        [price, volume] if fields & VOLUME != 0 => (price, Some(volume)),
        _ => return Err(wrong_length),
    };
    Ok(Quote {
        symbol,
        price: decode_price(price)?,
        volume: volume.map(decode_volume).transpose()?,
        status: decode_status(status)?,
        version: decode_version(*version)?,
        updated_ns: u64::from_le_bytes(*updated),
    })
}

/// A record of format 1, which stockd 0.1.0 wrote: 34 bytes, a price in units of 10⁻⁹ above zero, a
/// volume of whole shares.
///
/// ```text
///   0        1        2                 10                18                26              34
///   ┌────────┬────────┬─────────────────┬─────────────────┬─────────────────┬───────────────┐
///   │ format │ status │      price      │     volume      │     version     │    updated    │
///   └────────┴────────┴─────────────────┴─────────────────┴─────────────────┴───────────────┘
/// ```
fn decode_1(symbol: Symbol, value: &[u8]) -> Result<Quote, RecordError> {
    /// The places of every price.
    const PLACES: u8 = 9;
    let wrong_length = RecordError::Length(value.len());
    let Some((&[_, status], numbers)) = value.split_first_chunk() else { return Err(wrong_length) };
    let (&[price, volume, version, updated], []) = numbers.as_chunks::<8>() else {
        return Err(wrong_length);
    };
    let digits = i64::from_le_bytes(price);
    let price = Price::new(digits, PLACES).filter(|price| *price > Price::ZERO);
    Ok(Quote {
        symbol,
        price: price.ok_or(RecordError::Price { digits, places: PLACES })?,
        volume: Some(Volume::new(u64::from_le_bytes(volume))),
        status: decode_status(status)?,
        version: decode_version(version)?,
        updated_ns: u64::from_le_bytes(updated),
    })
}

fn decode_price([places, digits @ ..]: [u8; DECIMAL_BYTES]) -> Result<Price, RecordError> {
    let digits = i64::from_le_bytes(digits);
    let price = Price::new(digits, places).filter(|price| price.places() == places);
    price.ok_or(RecordError::Price { digits, places })
}

fn decode_volume([places, digits @ ..]: [u8; DECIMAL_BYTES]) -> Result<Volume, RecordError> {
    let digits = u64::from_le_bytes(digits);
    let volume = Volume::with_places(digits, places).filter(|volume| volume.places() == places);
    volume.ok_or(RecordError::Volume { digits, places })
}

fn decode_status(status: u8) -> Result<Status, RecordError> {
    match status {
        0 => Ok(Status::Trading),
        1 => Ok(Status::Halted),
        other => Err(RecordError::Status(other)),
    }
}

fn decode_version(version: [u8; 8]) -> Result<u64, RecordError> {
    let version = u64::from_le_bytes(version);
    match version {
        1..=VERSION_MAX => Ok(version),
        _ => Err(RecordError::Version(version)),
    }
}

/// A key for people to read: escaped, and shortened to 40 characters.
pub(crate) fn shown(key: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(key).chars().take(40).collect();
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote() -> Quote {
        Quote {
            symbol: "BRK/A".parse().unwrap(),
            price: "743500.000000001".parse().unwrap(),
            volume: Some("123456789.012345678".parse().unwrap()),
            status: Status::Halted,
            version: 0x2122_2324_2526_2728,
            updated_ns: 0x3132_3334_3536_3738,
        }
    }

    /// The quote in the bytes of format 1.
    fn format_1() -> Vec<u8> {
        let quote = quote();
        let price = quote.price.coefficient().to_le_bytes();
        let numbers = [1000, quote.version, quote.updated_ns].map(u64::to_le_bytes);
        [&[1, 1], &price[..], &numbers.concat()].concat()
    }

    fn encoded(quote: &Quote) -> Vec<u8> {
        Record::encode(quote).as_bytes().to_vec()
    }

    /// The bytes that docs/durability.md shows. A change of them needs a new format number.
    #[test]
    fn the_format_does_not_drift() {
        let bytes = encoded(&quote());
        let hex =
            |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
        let lines = [
            "02 ",
            "01 ",
            "03 00 ",
            "28 27 26 25 24 23 22 21 ",
            "38 37 36 35 34 33 32 31 ",
            "09 ",
            "01 f8 63 95 35 a4 02 00 ",
            "09 ",
            "4e f3 30 a6 4b 9b b6 01 ",
        ];
        assert_eq!(hex(&bytes), lines.concat());
        let docs = include_str!("../../../docs/durability.md");
        for line in lines {
            assert!(docs.contains(&format!("`{}`", line.trim_end())), "{line} is not in the docs");
        }
        assert_eq!(decode(b"BRK/A", &bytes), Ok(quote()));
    }

    #[test]
    fn a_record_of_format_1_is_the_same_quote() {
        let volume = Some(Volume::new(1000));
        assert_eq!(decode(b"BRK/A", &format_1()), Ok(Quote { volume, ..quote() }));
    }

    #[test]
    fn the_extremes_come_back() {
        for symbol in
            ["A", "NA", "牛来USDT", "AAPL  260116C00200000", "123456789012345678901234567890"]
        {
            for price in [Price::MIN, Price::MAX, Price::ZERO, "-1e-18".parse().unwrap()] {
                for (volume, version, updated_ns) in [
                    (None, 1, 0),
                    (Some(Volume::EXHAUSTED), 1, 0),
                    (Some(Volume::new(u64::MAX)), VERSION_MAX, u64::MAX),
                    (Volume::with_places(u64::MAX, 18), 2, 1),
                ] {
                    for status in [Status::Trading, Status::Halted] {
                        let symbol = symbol.parse().unwrap();
                        let quote = Quote { symbol, price, volume, status, version, updated_ns };
                        assert_eq!(decode(symbol.as_bytes(), &encoded(&quote)), Ok(quote));
                    }
                }
            }
        }
    }

    #[test]
    fn whatever_is_not_a_quote_is_refused_with_its_reason() {
        let with = |good: &[u8], at: usize, bytes: &[u8]| {
            let mut bad = good.to_vec();
            bad[at..at + bytes.len()].copy_from_slice(bytes);
            decode(b"BRK/A", &bad)
        };
        let good = encoded(&quote());
        assert_eq!(with(&good, 0, &[3]), Err(RecordError::Format(3)));
        assert_eq!(with(&good, 1, &[2]), Err(RecordError::Status(2)));
        for fields in [0, 2, 4, 7, 0xffff] {
            assert_eq!(with(&good, 2, &u16::to_le_bytes(fields)), Err(RecordError::Fields(fields)));
        }
        assert_eq!(with(&good, 2, &[1, 0]), Err(RecordError::Length(38)));
        assert_eq!(with(&good, 4, &[0; 8]), Err(RecordError::Version(0)));
        assert_eq!(with(&good, 4, &[0xff; 8]), Err(RecordError::Version(u64::MAX)));
        let price = |places, digits| Err(RecordError::Price { places, digits });
        assert_eq!(with(&good, 20, &[19]), price(19, 743_500_000_000_001));
        assert_eq!(with(&good, 20, &[1, 10, 0, 0, 0, 0, 0, 0, 0]), price(1, 10));
        assert_eq!(with(&good, 21, &i64::MIN.to_le_bytes()), price(9, i64::MIN));
        let volume = RecordError::Volume { places: 1, digits: 0 };
        assert_eq!(with(&good, 29, &[1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(volume));

        let old = format_1();
        assert_eq!(with(&old, 2, &[0; 8]), price(9, 0));
        assert_eq!(with(&old, 2, &[0xff; 8]), price(9, -1));
        assert_eq!(with(&old, 18, &[0; 8]), Err(RecordError::Version(0)));
        for good in [good, old] {
            for length in 0..good.len() {
                let cut = decode(b"BRK/A", &good[..length]);
                assert_eq!(cut, Err(RecordError::Length(length)));
            }
            let longer = [good.as_slice(), &[0]].concat();
            assert_eq!(decode(b"A", &longer), Err(RecordError::Length(longer.len())));
            for key in [b"".as_slice(), b" A", b"A ", b"\xff", b"A\n", &[b'A'; 31]] {
                assert_eq!(decode(key, &good), Err(RecordError::Key));
            }
        }
    }

    #[test]
    fn what_is_decoded_is_encoded_the_same() {
        for good in [encoded(&quote()), encoded(&Quote { volume: None, ..quote() })] {
            for at in 0..good.len() {
                for value in 0..=255 {
                    let mut bytes = good.clone();
                    bytes[at] = value;
                    if let Ok(quote) = decode(b"BRK/A", &bytes) {
                        assert_eq!(encoded(&quote), bytes);
                    }
                }
            }
        }
    }
}
