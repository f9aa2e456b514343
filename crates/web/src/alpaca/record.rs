//! Trades, quotes and statuses as Alpaca's market data has them, in JSON and in MessagePack.
//!
//! It owns these forms: one list of members each, and two encoders. It knows no routes and no streams.
//!
//! Invariant: nothing is made up. A price and a size have the digits of the stock; where a size is not known it is 0, as
//! there for one side of a quote that does not exist. In MessagePack numbers are doubles, as there.

use stockd_model::{Price, Quote, Status, Volume, rfc3339};

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    MessagePack,
}

/// One object: names and values.
#[derive(Debug)]
pub(crate) struct Record(Vec<(&'static str, Value)>);

#[derive(Debug)]
pub(crate) enum Value {
    Text(String),
    /// Digits, as a number.
    Decimal(String),
    Integer(u64),
    /// A moment, in Unix nanoseconds.
    Time(u64),
    Texts(Vec<String>),
}

impl Record {
    pub(crate) fn new(members: Vec<(&'static str, Value)>) -> Record {
        Record(members)
    }

    /// The last trade of a stock that has a price. Its size is not known.
    pub(crate) fn trade(quote: &Quote) -> Option<Record> {
        let price = quote.price?;
        Some(Record(vec![
            ("t", moment(quote)),
            ("p", Value::Decimal(price.to_string())),
            ("s", Value::Integer(0)),
            ("i", Value::Integer(quote.version)),
        ]))
    }

    /// The bid and the ask, where one of them is known.
    pub(crate) fn quote(quote: &Quote) -> Option<Record> {
        let is_known = quote.bid.is_some() || quote.ask.is_some();
        is_known.then(|| Record::sides(quote))
    }

    /// The bid and the ask. A side that is not known is 0.
    pub(crate) fn sides(quote: &Quote) -> Record {
        let price = |it: Option<Price>| Value::Decimal(it.unwrap_or(Price::ZERO).to_string());
        let size = |it: Option<Volume>| Value::Decimal(it.unwrap_or(Volume::new(0)).to_string());
        Record(vec![
            ("t", moment(quote)),
            ("ap", price(quote.ask)),
            ("as", size(quote.ask_size)),
            ("bp", price(quote.bid)),
            ("bs", size(quote.bid_size)),
        ])
    }

    /// That a stock is halted, or trades again. The reason is not known.
    pub(crate) fn status(quote: &Quote) -> Record {
        let (code, message) = match quote.status {
            Status::Trading => ("T", "Trading Resumption"),
            Status::Halted => ("H", "Trading Halt"),
        };
        let text = |text: &str| Value::Text(text.to_owned());
        Record(vec![
            ("sc", text(code)),
            ("sm", text(message)),
            ("rc", text("")),
            ("rm", text("")),
            ("t", moment(quote)),
            ("z", text("")),
        ])
    }

    /// The same as a message of a stream, with its type and its stock.
    pub(crate) fn of_stream(mut self, kind: &str, symbol: &str) -> Record {
        let first = [("T", Value::Text(kind.to_owned())), ("S", Value::Text(symbol.to_owned()))];
        self.0.splice(0..0, first);
        self
    }

    /// Appends it.
    pub(crate) fn encode(&self, encoding: Encoding, out: &mut Vec<u8>) {
        match encoding {
            Encoding::Json => {
                for (at, (name, value)) in self.0.iter().enumerate() {
                    out.extend_from_slice(if at == 0 { b"{\"" } else { b",\"" });
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b"\":");
                    value.encode_json(out);
                }
                out.push(b'}');
            }
            Encoding::MessagePack => {
                write_length(out, 0x80, 0xde, self.0.len());
                for (name, value) in &self.0 {
                    write_text(out, name);
                    value.encode_message_pack(out);
                }
            }
        }
    }
}

/// When it happened, as the source says, or else when the server took it.
fn moment(quote: &Quote) -> Value {
    Value::Time(quote.time_ns.unwrap_or(quote.updated_ns))
}

impl Value {
    fn encode_json(&self, out: &mut Vec<u8>) {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let json = match self {
            Value::Text(it) => text(it),
            Value::Decimal(digits) => digits.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Time(unix_ns) => text(&String::from_utf8_lossy(&rfc3339::encode(*unix_ns))),
            Value::Texts(texts) => serde_json::Value::from(texts.as_slice()).to_string(),
        };
        out.extend_from_slice(json.as_bytes());
    }

    fn encode_message_pack(&self, out: &mut Vec<u8>) {
        match self {
            Value::Text(text) => write_text(out, text),
            Value::Decimal(digits) => {
                // Digits are a number, so there is no other case.
                let number: f64 = digits.parse().unwrap_or_default();
                out.push(0xcb);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Value::Integer(number) => {
                out.push(0xcf);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Value::Time(unix_ns) => {
                // An extension of type -1 with 30 bits of nanoseconds and 34 of seconds.
                let (seconds, ns) = (unix_ns / 1_000_000_000, unix_ns % 1_000_000_000);
                out.extend_from_slice(&[0xd7, 0xff]);
                out.extend_from_slice(&(ns << 34 | (seconds & ((1 << 34) - 1))).to_be_bytes());
            }
            Value::Texts(texts) => {
                write_array(out, texts.len());
                texts.iter().for_each(|text| write_text(out, text));
            }
        }
    }
}

/// Begins an array of MessagePack.
pub(crate) fn write_array(out: &mut Vec<u8>, length: usize) {
    write_length(out, 0x90, 0xdc, length);
}

/// Begins an array or a map: in the byte itself, or in 16 or 32 bits behind it.
fn write_length(out: &mut Vec<u8>, fixed: u8, long: u8, length: usize) {
    match length {
        0..16 => out.push(fixed | length as u8),
        16..0x1_0000 => {
            out.push(long);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(long + 1);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let length = text.len();
    match length {
        0..32 => out.push(0xa0 | length as u8),
        32..0x100 => out.extend_from_slice(&[0xd9, length as u8]),
        _ => {
            out.push(0xdb);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock() -> Quote {
        Quote {
            price: "172.5".parse().ok(),
            bid: "172.49".parse().ok(),
            bid_size: "0.5".parse().ok(),
            time_ns: Some(1_790_000_000_123_456_789),
            version: 17,
            updated_ns: 1,
            ..Quote::new("AAPL".parse().unwrap())
        }
    }

    fn json(record: Option<Record>) -> String {
        let mut out = Vec::new();
        record.unwrap().encode(Encoding::Json, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_has_the_digits_of_the_stock() {
        let time = "2026-09-21T14:13:20.123456789Z";
        let trade = json(Record::trade(&stock()).map(|it| it.of_stream("t", "AAPL")));
        assert_eq!(trade, format!(r#"{{"T":"t","S":"AAPL","t":"{time}","p":172.5,"s":0,"i":17}}"#));
        let quote = json(Record::quote(&stock()));
        assert_eq!(quote, format!(r#"{{"t":"{time}","ap":0,"as":0,"bp":172.49,"bs":0.5}}"#));
        let empty = Quote::new("X".parse().unwrap());
        assert!(Record::trade(&empty).is_none() && Record::quote(&empty).is_none());
        let halted = json(Some(Record::status(&Quote { status: Status::Halted, ..empty })));
        assert!(halted.starts_with(r#"{"sc":"H","sm":"Trading Halt","rc":"","rm":"","t":""#));
    }

    #[test]
    fn message_pack_is_as_its_specification_has_it() {
        let mut out = Vec::new();
        let texts = Value::Texts(vec!["A".to_owned(), "x".repeat(40)]);
        let members = vec![
            ("T", Value::Text("t".to_owned())),
            ("t", Value::Time(1_790_000_000_123_456_789)),
            ("p", Value::Decimal("-0.5".to_owned())),
            ("i", Value::Integer(17)),
            ("x", texts),
        ];
        Record::new(members).encode(Encoding::MessagePack, &mut out);
        let time = 123_456_789_u64 << 34 | 1_790_000_000;
        let long_text = "x".repeat(40);
        let expected = [
            &b"\x85\xa1T\xa1t\xa1t\xd7\xff"[..],
            &time.to_be_bytes(),
            b"\xa1p\xcb\xbf\xe0\0\0\0\0\0\0\xa1i\xcf\0\0\0\0\0\0\0\x11\xa1x\x92\xa1A\xd9\x28",
            long_text.as_bytes(),
        ];
        assert_eq!(out, expected.concat());
        let mut long = Vec::new();
        write_array(&mut long, 300);
        write_array(&mut long, 70_000);
        assert_eq!(long, b"\xdc\x01\x2c\xdd\0\x01\x11\x70");
    }
}
