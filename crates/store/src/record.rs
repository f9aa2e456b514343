//! One quote as bytes: the value of a record, whose key is the symbol.
//!
//! ```text
//!   0        1        2        4            12           20       21              29
//!   ┌────────┬────────┬────────┬────────────┬────────────┬────────┬──────────────┬─ ─ ┬──────────────┐
//!   │ format │ status │ fields │  version   │  updated   │ places │    price     │    │     time     │
//!   └────────┴────────┴────────┴────────────┴────────────┴────────┴──────────────┴─ ─ ┴──────────────┘
//!                                                         for each bit of `fields`, in their order
//! ```
//!
//! Integers are little-endian. A bit of `fields` says that a field is there: bit 0 the price, bit 1
//! the volume, bits 2 to 5 bid, ask, bid size and ask size, bit 6 the time, bit 7 the feed. A decimal is its
//! digits without the point, and before them how many of them stand behind it; the time is 8 bytes; the feed is
//! a byte, 1 where its stocks are halted while it is stale, and its name behind the length of that. Records
//! of [format 1](decode_1) are read, and written in this format when their stock changes. It knows no
//! file.
//!
//! Invariant: what is decoded is a valid quote, and encoding it gives the same bytes, but for those of
//! format 1.

use stockd_model::limits::{FEED_NAME_BYTES_MAX, VERSION_MAX};
use stockd_model::{FeedName, Price, Quote, QuoteFeed, Status, Symbol, Volume};

/// The first byte of a record's value.
const FORMAT: u8 = 2;

const PRICE: u16 = 1;
const VOLUME: u16 = 1 << 1;
const BID: u16 = 1 << 2;
const ASK: u16 = 1 << 3;
const BID_SIZE: u16 = 1 << 4;
const ASK_SIZE: u16 = 1 << 5;
const TIME: u16 = 1 << 6;
const FEED: u16 = 1 << 7;
/// All bits that there are.
const FIELDS: u16 = 2 * FEED - 1;

/// What every record begins with, and a decimal behind it.
const HEAD_BYTES: usize = 20;
const DECIMAL_BYTES: usize = 9;
const RECORD_BYTES_MAX: usize = HEAD_BYTES + 6 * DECIMAL_BYTES + 8 + 2 + FEED_NAME_BYTES_MAX;

/// The value of a record: a whole quote but its symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    bytes: [u8; RECORD_BYTES_MAX],
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
    #[error("its fields are {0:b}, of which there are no more than {FIELDS:b}")]
    Fields(u16),
    #[error("its price is {digits} with {places} places, which is no price in normal form")]
    Price { digits: i64, places: u8 },
    #[error("its volume is {digits} with {places} places, which is no volume in normal form")]
    Volume { digits: u64, places: u8 },
    #[error("its feed has no name in its normal form, or is of another kind than 0 or 1")]
    Feed,
    #[error("its version is {0}, not between 1 and {VERSION_MAX}")]
    Version(u64),
}

impl Record {
    pub(crate) fn encode(quote: &Quote) -> Record {
        let mut record = Record { bytes: [0; RECORD_BYTES_MAX], len: HEAD_BYTES };
        record.bytes[0] = FORMAT;
        record.bytes[1] = match quote.status {
            Status::Trading => 0,
            Status::Halted => 1,
        };
        record.bytes[4..12].copy_from_slice(&quote.version.to_le_bytes());
        record.bytes[12..20].copy_from_slice(&quote.updated_ns.to_le_bytes());
        let mut fields = record.append_price(PRICE, quote.price);
        fields |= record.append_volume(VOLUME, quote.volume);
        fields |= record.append_price(BID, quote.bid);
        fields |= record.append_price(ASK, quote.ask);
        fields |= record.append_volume(BID_SIZE, quote.bid_size);
        fields |= record.append_volume(ASK_SIZE, quote.ask_size);
        if let Some(time_ns) = quote.time_ns {
            record.append(&time_ns.to_le_bytes());
            fields |= TIME;
        }
        if let Some(feed) = quote.feed {
            let name = feed.name.as_str().as_bytes();
            record.append(&[u8::from(feed.halts_when_stale), name.len() as u8]);
            record.append(name);
            fields |= FEED;
        }
        record.bytes[2..4].copy_from_slice(&fields.to_le_bytes());
        record
    }

    /// Appends a price, if there is one. Returns its bit then.
    fn append_price(&mut self, bit: u16, price: Option<Price>) -> u16 {
        let Some(price) = price else { return 0 };
        self.append(&[price.places()]);
        self.append(&price.coefficient().to_le_bytes());
        bit
    }

    /// Appends a volume, if there is one. Returns its bit then.
    fn append_volume(&mut self, bit: u16, volume: Option<Volume>) -> u16 {
        let Some(volume) = volume else { return 0 };
        self.append(&[volume.places()]);
        self.append(&volume.coefficient().to_le_bytes());
        bit
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
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
    let wrong_length = || RecordError::Length(value.len());
    let (&[_, status, low, high], rest) = value.split_first_chunk().ok_or_else(wrong_length)?;
    let (version, rest) = rest.split_first_chunk().ok_or_else(wrong_length)?;
    let (updated, rest) = rest.split_first_chunk().ok_or_else(wrong_length)?;
    let fields = u16::from_le_bytes([low, high]);
    if fields & !FIELDS != 0 {
        return Err(RecordError::Fields(fields));
    }
    let has = |bit: u16| fields & bit != 0;
    let decimals = DECIMAL_BYTES * (fields & !(TIME | FEED)).count_ones() as usize;
    let fixed = decimals + if has(TIME) { 8 } else { 0 };
    let (rest, feed) = rest.split_at_checked(fixed).ok_or_else(wrong_length)?;
    let feed = match (has(FEED), feed) {
        (false, []) => None,
        (true, [kind, length, name @ ..]) if name.len() == usize::from(*length) => {
            Some(decode_feed(*kind, name)?)
        }
        _ => return Err(wrong_length()),
    };
    let (mut decimals, mut rest) = (rest.as_chunks::<DECIMAL_BYTES>().0.iter(), &rest[decimals..]);
    let mut decimal = |bit: u16| if has(bit) { decimals.next() } else { None };
    Ok(Quote {
        price: decimal(PRICE).map(decode_price).transpose()?,
        volume: decimal(VOLUME).map(decode_volume).transpose()?,
        bid: decimal(BID).map(decode_price).transpose()?,
        ask: decimal(ASK).map(decode_price).transpose()?,
        bid_size: decimal(BID_SIZE).map(decode_volume).transpose()?,
        ask_size: decimal(ASK_SIZE).map(decode_volume).transpose()?,
        status: decode_status(status)?,
        time_ns: rest
            .split_off(..8)
            .and_then(|time| Some(u64::from_le_bytes(*time.first_chunk()?))),
        version: decode_version(*version)?,
        updated_ns: u64::from_le_bytes(*updated),
        feed,
        ..Quote::new(symbol)
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
        price: Some(price.ok_or(RecordError::Price { digits, places: PLACES })?),
        volume: Some(Volume::new(u64::from_le_bytes(volume))),
        status: decode_status(status)?,
        version: decode_version(version)?,
        updated_ns: u64::from_le_bytes(updated),
        ..Quote::new(symbol)
    })
}

/// The feed of a quote. One whose name cannot be kept is unknown.
fn decode_feed(kind: u8, name: &[u8]) -> Result<QuoteFeed, RecordError> {
    let is_unknown = name == FeedName::UNKNOWN.as_str().as_bytes();
    let name = match FeedName::check(name) {
        Ok(name) => FeedName::new(name).unwrap_or(FeedName::UNKNOWN),
        Err(_) if is_unknown => FeedName::UNKNOWN,
        Err(_) => return Err(RecordError::Feed),
    };
    if kind > 1 {
        return Err(RecordError::Feed);
    }
    Ok(QuoteFeed { halts_when_stale: kind == 1, ..QuoteFeed::of(name) })
}

fn decode_price(&[places, ref digits @ ..]: &[u8; DECIMAL_BYTES]) -> Result<Price, RecordError> {
    let digits = i64::from_le_bytes(*digits);
    let price = Price::new(digits, places).filter(|price| price.places() == places);
    price.ok_or(RecordError::Price { digits, places })
}

fn decode_volume(&[places, ref digits @ ..]: &[u8; DECIMAL_BYTES]) -> Result<Volume, RecordError> {
    let digits = u64::from_le_bytes(*digits);
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
            price: "743500.000000001".parse().ok(),
            volume: "123456789.012345678".parse().ok(),
            bid: "-37.63".parse().ok(),
            ask: "743500.25".parse().ok(),
            bid_size: "300".parse().ok(),
            ask_size: "0.5".parse().ok(),
            time_ns: Some(0x4142_4344_4546_4748),
            ..old_quote()
        }
    }

    fn fed_quote() -> Quote {
        let feed = QuoteFeed::of(FeedName::new("itch").unwrap());
        Quote { feed: Some(QuoteFeed { halts_when_stale: true, ..feed }), ..quote() }
    }

    /// What format 1 has room for.
    fn old_quote() -> Quote {
        Quote {
            price: "743500.000000001".parse().ok(),
            volume: Some(Volume::new(1000)),
            status: Status::Halted,
            version: 0x2122_2324_2526_2728,
            updated_ns: 0x3132_3334_3536_3738,
            ..Quote::new("BRK/A".parse().unwrap())
        }
    }

    /// The quote in the bytes of format 1.
    fn format_1() -> Vec<u8> {
        let quote = old_quote();
        let price = quote.price.unwrap().coefficient().to_le_bytes();
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
            "7f 00 ",
            "28 27 26 25 24 23 22 21 ",
            "38 37 36 35 34 33 32 31 ",
            "09 ",
            "01 f8 63 95 35 a4 02 00 ",
            "09 ",
            "4e f3 30 a6 4b 9b b6 01 ",
            "02 ",
            "4d f1 ff ff ff ff ff ff ",
            "02 ",
            "c9 7d 6e 04 00 00 00 00 ",
            "00 ",
            "2c 01 00 00 00 00 00 00 ",
            "01 ",
            "05 00 00 00 00 00 00 00 ",
            "48 47 46 45 44 43 42 41 ",
        ];
        assert_eq!(hex(&bytes), lines.concat());
        let docs = include_str!("../../../docs/durability.md");
        for line in lines {
            assert!(docs.contains(&format!("`{}`", line.trim_end())), "{line} is not in the docs");
        }
        assert_eq!(decode(b"BRK/A", &bytes), Ok(quote()));

        let fed = encoded(&fed_quote());
        assert_eq!(hex(&fed[..4]), "02 01 ff 00 ");
        assert_eq!(hex(&fed[bytes.len()..]), "01 04 69 74 63 68 ");
        assert!(docs.contains("`01 04 69 74 63 68`"));
        assert_eq!(decode(b"BRK/A", &fed), Ok(fed_quote()));
    }

    #[test]
    fn a_record_of_format_1_is_the_same_quote() {
        assert_eq!(decode(b"BRK/A", &format_1()), Ok(old_quote()));
    }

    #[test]
    fn the_extremes_come_back() {
        let long = "123456789012345678901234567890123456789012345678";
        let prices = [None, Some(Price::MIN), Some(Price::MAX), "-1e-18".parse().ok()];
        let volumes = [
            (None, 1, None),
            (Some(Volume::EXHAUSTED), 1, Some(0)),
            (Some(Volume::new(u64::MAX)), VERSION_MAX, Some(u64::MAX)),
            (Volume::with_places(u64::MAX, 18), 2, Some(1)),
        ];
        for symbol in ["A", "NA", "牛来USDT", "AAPL  260116C00200000", long] {
            for (price, (volume, version, time_ns)) in
                prices.into_iter().flat_map(|price| volumes.map(|volume| (price, volume)))
            {
                for status in [Status::Trading, Status::Halted] {
                    let quote = Quote {
                        price,
                        volume,
                        ask: price,
                        bid_size: volume,
                        status,
                        version,
                        time_ns,
                        updated_ns: u64::MAX,
                        ..Quote::new(symbol.parse().unwrap())
                    };
                    assert_eq!(decode(symbol.as_bytes(), &encoded(&quote)), Ok(quote));
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
        for fields in [0x100, 0x1ff, 0xffff] {
            assert_eq!(with(&good, 2, &u16::to_le_bytes(fields)), Err(RecordError::Fields(fields)));
        }
        assert_eq!(with(&good, 2, &[0xff, 0]), Err(RecordError::Length(82)));
        assert_eq!(with(&good, 2, &[0x3f, 0]), Err(RecordError::Length(82)));
        assert_eq!(with(&good, 2, &[0x7e, 0]), Err(RecordError::Length(82)));
        assert_eq!(with(&good, 4, &[0; 8]), Err(RecordError::Version(0)));
        assert_eq!(with(&good, 4, &[0xff; 8]), Err(RecordError::Version(u64::MAX)));
        let price = |places, digits| Err(RecordError::Price { places, digits });
        assert_eq!(with(&good, 20, &[19]), price(19, 743_500_000_000_001));
        assert_eq!(with(&good, 20, &[1, 10, 0, 0, 0, 0, 0, 0, 0]), price(1, 10));
        assert_eq!(with(&good, 21, &i64::MIN.to_le_bytes()), price(9, i64::MIN));
        let volume = RecordError::Volume { places: 1, digits: 0 };
        assert_eq!(with(&good, 29, &[1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(volume));

        let fed = encoded(&fed_quote());
        assert_eq!(with(&fed, 82, &[2]), Err(RecordError::Feed));
        assert_eq!(with(&fed, 83, &[5]), Err(RecordError::Length(88)));
        assert_eq!(with(&fed, 84, b" "), Err(RecordError::Feed));

        let old = format_1();
        assert_eq!(with(&old, 2, &[0; 8]), price(9, 0));
        assert_eq!(with(&old, 2, &[0xff; 8]), price(9, -1));
        assert_eq!(with(&old, 18, &[0; 8]), Err(RecordError::Version(0)));
        for good in [good, fed, old] {
            for length in 0..good.len() {
                let cut = decode(b"BRK/A", &good[..length]);
                assert_eq!(cut, Err(RecordError::Length(length)));
            }
            let longer = [good.as_slice(), &[0]].concat();
            assert_eq!(decode(b"A", &longer), Err(RecordError::Length(longer.len())));
            for key in [b"".as_slice(), b" A", b"A ", b"\xff", b"A\n", &[b'A'; 49]] {
                assert_eq!(decode(key, &good), Err(RecordError::Key));
            }
        }
    }

    #[test]
    fn what_is_decoded_is_encoded_the_same() {
        let bare = Quote { volume: None, time_ns: None, ..quote() };
        let feed = Some(QuoteFeed::of(FeedName::new("ab").unwrap()));
        for good in [encoded(&quote()), encoded(&bare), encoded(&Quote { feed, ..bare })] {
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
