//! One quote as bytes: the value of a record, whose key is the symbol.
//!
//! ```text
//!   0        1        2                 10                18                26              34
//!   ┌────────┬────────┬─────────────────┬─────────────────┬─────────────────┬───────────────┐
//!   │ format │ status │      price      │     volume      │     version     │    updated    │
//!   └────────┴────────┴─────────────────┴─────────────────┴─────────────────┴───────────────┘
//! ```
//!
//! Integers are little-endian. It knows no file.
//!
//! Invariant: what is decoded is a valid quote, and encoding it gives the same bytes.

use stockd_model::limits::VERSION_MAX;
use stockd_model::{Price, Quote, Status, Symbol, Volume};

/// Bytes of a record's value.
pub(crate) const BYTES: usize = 34;

/// The first byte of a record's value.
const FORMAT: u8 = 1;

/// Why bytes are not a quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("its key is not a symbol in its canonical form")]
    Key,
    #[error("it has {0} bytes, not {BYTES}")]
    Length(usize),
    #[error("its format is {0}, not {FORMAT}")]
    Format(u8),
    #[error("its status is {0}, neither 0 (trading) nor 1 (halted)")]
    Status(u8),
    #[error("its price is {0} units of 1e-9, not above 0")]
    Price(i64),
    #[error("its version is {0}, not between 1 and {VERSION_MAX}")]
    Version(u64),
}

pub(crate) fn encode(quote: &Quote) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[0] = FORMAT;
    bytes[1] = match quote.status {
        Status::Trading => 0,
        Status::Halted => 1,
    };
    bytes[2..10].copy_from_slice(&quote.price.units().to_le_bytes());
    bytes[10..18].copy_from_slice(&quote.volume.shares().to_le_bytes());
    bytes[18..26].copy_from_slice(&quote.version.to_le_bytes());
    bytes[26..34].copy_from_slice(&quote.updated_ns.to_le_bytes());
    bytes
}

pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Quote, RecordError> {
    let symbol = Symbol::parse(key).map_err(|_| RecordError::Key)?;
    if symbol.as_bytes() != key {
        return Err(RecordError::Key);
    }
    let Some((&[format, status], numbers)) = value.split_first_chunk::<2>() else {
        return Err(RecordError::Length(value.len()));
    };
    if format != FORMAT {
        return Err(RecordError::Format(format));
    }
    let (&[price, volume, version, updated], []) = numbers.as_chunks::<8>() else {
        return Err(RecordError::Length(value.len()));
    };
    let status = match status {
        0 => Status::Trading,
        1 => Status::Halted,
        other => return Err(RecordError::Status(other)),
    };
    let units = i64::from_le_bytes(price);
    let version = u64::from_le_bytes(version);
    if !(1..=VERSION_MAX).contains(&version) {
        return Err(RecordError::Version(version));
    }
    Ok(Quote {
        symbol,
        price: Price::from_units(units).ok_or(RecordError::Price(units))?,
        volume: Volume::new(u64::from_le_bytes(volume)),
        status,
        version,
        updated_ns: u64::from_le_bytes(updated),
    })
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
            volume: Volume::new(0x1112_1314_1516_1718),
            status: Status::Halted,
            version: 0x2122_2324_2526_2728,
            updated_ns: 0x3132_3334_3536_3738,
        }
    }

    /// The bytes that docs/durability.md shows. A change of them needs a new format number.
    #[test]
    fn the_format_does_not_drift() {
        let bytes = encode(&quote());
        let hex =
            |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
        let lines = [
            "01 ",
            "01 ",
            "01 f8 63 95 35 a4 02 00 ",
            "18 17 16 15 14 13 12 11 ",
            "28 27 26 25 24 23 22 21 ",
            "38 37 36 35 34 33 32 31 ",
        ];
        assert_eq!(hex(&bytes), lines.concat());
        let docs = include_str!("../../../docs/durability.md");
        for line in lines {
            assert!(docs.contains(&format!("`{}`", line.trim_end())), "{line} is not in the docs");
        }
        assert_eq!(decode(b"BRK/A", &bytes), Ok(quote()));
    }

    #[test]
    fn the_extremes_come_back() {
        for symbol in
            ["A", "NA", "牛来USDT", "AAPL  260116C00200000", "123456789012345678901234567890"]
        {
            for price in [Price::MIN, Price::MAX] {
                for (volume, version, updated_ns) in [(0, 1, 0), (u64::MAX, VERSION_MAX, u64::MAX)]
                {
                    for status in [Status::Trading, Status::Halted] {
                        let symbol = symbol.parse().unwrap();
                        let volume = Volume::new(volume);
                        let quote = Quote { symbol, price, volume, status, version, updated_ns };
                        assert_eq!(decode(symbol.as_bytes(), &encode(&quote)), Ok(quote));
                    }
                }
            }
        }
    }

    #[test]
    fn whatever_is_not_a_quote_is_refused_with_its_reason() {
        let good = encode(&quote());
        let with = |at: usize, bytes: &[u8]| {
            let mut bad = good;
            bad[at..at + bytes.len()].copy_from_slice(bytes);
            decode(b"BRK/A", &bad)
        };
        assert_eq!(with(0, &[2]), Err(RecordError::Format(2)));
        assert_eq!(with(1, &[2]), Err(RecordError::Status(2)));
        assert_eq!(with(2, &[0; 8]), Err(RecordError::Price(0)));
        assert_eq!(with(2, &[0xff; 8]), Err(RecordError::Price(-1)));
        assert_eq!(with(18, &[0; 8]), Err(RecordError::Version(0)));
        assert_eq!(with(18, &[0xff; 8]), Err(RecordError::Version(u64::MAX)));
        for length in 0..BYTES {
            assert_eq!(decode(b"BRK/A", &good[..length]), Err(RecordError::Length(length)));
        }
        assert_eq!(decode(b"A", &[good.as_slice(), &[0]].concat()), Err(RecordError::Length(35)));
        for key in [b"".as_slice(), b" A", b"A ", b"\xff", b"A\n", &[b'A'; 31]] {
            assert_eq!(decode(key, &good), Err(RecordError::Key));
        }
    }

    #[test]
    fn what_is_decoded_is_encoded_the_same() {
        let good = encode(&quote());
        for at in 0..BYTES {
            for value in 0..=255 {
                let mut bytes = good;
                bytes[at] = value;
                if let Ok(quote) = decode(b"BRK/A", &bytes) {
                    assert_eq!(encode(&quote), bytes);
                }
            }
        }
    }
}
