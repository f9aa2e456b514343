//! gRPC: the messages of a lookup and of a watch, and what quotes and a status say. It knows no HTTP/2.

use prost::Message;
use stockd_model::limits::RESP_REPLY_BYTES_MAX;
use stockd_wire::reply::NotAReply;

/// The method of one quote.
pub(crate) const LOOKUP_PATH: &str = "/stockd.v1.Stocks/Lookup";

/// The method of live quotes.
pub(crate) const WATCH_PATH: &str = "/stockd.v1.Stocks/Watch";

/// What stands before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The status of what was done.
pub(crate) const OK: &str = "0";

/// The status of what is not there.
pub(crate) const NOT_FOUND: &str = "5";

/// `LookupRequest` of crates/web/proto/stockd/v1/stocks.proto.
#[derive(Clone, PartialEq, Message)]
struct LookupRequest {
    #[prost(string, tag = "1")]
    symbol: String,
}

/// What is read of a `Quote`.
#[derive(Clone, PartialEq, Message)]
struct Quote {
    #[prost(message, optional, tag = "2")]
    price: Option<Price>,
}

#[derive(Clone, PartialEq, Message)]
struct Price {
    #[prost(string, tag = "1")]
    text: String,
}

#[derive(Clone, PartialEq, Message)]
struct WatchRequest {
    #[prost(string, repeated, tag = "1")]
    symbols: Vec<String>,
}

/// What is read of a `WatchResponse`, which has one of these members.
#[derive(Clone, PartialEq, Message)]
struct WatchResponse {
    #[prost(message, optional, tag = "2")]
    quote: Option<Changed>,
    #[prost(string, optional, tag = "3")]
    unlisted: Option<String>,
    #[prost(string, optional, tag = "4")]
    delisted: Option<String>,
    #[prost(message, optional, tag = "5")]
    synced: Option<Nothing>,
}

/// When a quote changed.
#[derive(Clone, PartialEq, Message)]
struct Changed {
    #[prost(message, optional, tag = "11")]
    updated: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

/// What a watch tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// All that is watched has been told as it is.
    Synced,
    /// A quote, and when the server took its change in Unix nanoseconds; or that a stock is not listed.
    Quote(Option<u64>),
    /// Something else.
    Aside,
}

/// Appends the lookup of a name, as it is sent.
pub(super) fn lookup(name: &[u8], out: &mut Vec<u8>) {
    append(&LookupRequest { symbol: String::from_utf8_lossy(name).into_owned() }, out);
}

/// The watch of these names, as it is sent; of as many as have room. Returns how many those are.
pub(crate) fn watch<'a>(names: impl Iterator<Item = &'a [u8]>, room: usize) -> (Vec<u8>, usize) {
    let mut request = WatchRequest::default();
    let mut bytes = 0;
    for name in names {
        let name = String::from_utf8_lossy(name).into_owned();
        // Before each stand its tag and its length.
        bytes += 2 + name.len();
        if bytes > room {
            break;
        }
        request.symbols.push(name);
    }
    let mut out = Vec::new();
    append(&request, &mut out);
    (out, request.symbols.len())
}

fn append(message: &impl Message, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&(message.encoded_len() as u32).to_be_bytes());
    out.extend_from_slice(&message.encode_to_vec());
}

/// The first message of a watch, and how long it is; `None` while it is not whole.
///
/// # Errors
///
/// When it is none, or is longer than a reply may be.
pub(crate) fn told(bytes: &[u8]) -> Result<Option<(Told, usize)>, NotAReply> {
    let Some((&[is_compressed, a, b, c, d], rest)) = bytes.split_first_chunk::<PREFIX_BYTES>()
    else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if is_compressed != 0 || length > RESP_REPLY_BYTES_MAX {
        return Err(NotAReply);
    }
    let Some(message) = rest.get(..length) else { return Ok(None) };
    let response = WatchResponse::decode(message).map_err(|_| NotAReply)?;
    let told = match response {
        WatchResponse { synced: Some(_), .. } => Told::Synced,
        WatchResponse { quote: Some(quote), .. } => Told::Quote(quote.updated_ns()),
        WatchResponse { unlisted: None, delisted: None, .. } => Told::Aside,
        _ => Told::Quote(None),
    };
    Ok(Some((told, PREFIX_BYTES + length)))
}

impl Changed {
    fn updated_ns(&self) -> Option<u64> {
        let Timestamp { seconds, nanos } = self.updated.as_ref()?;
        let seconds = u64::try_from(*seconds).ok()?.checked_mul(1_000_000_000)?;
        seconds.checked_add(u64::try_from(*nanos).ok()?)
    }
}

/// The price in the body of a reply to a lookup; `0` where no price is known.
///
/// # Errors
///
/// When it is none.
pub(crate) fn price(body: &[u8]) -> Result<String, NotAReply> {
    let quote = body.get(PREFIX_BYTES..).ok_or(NotAReply)?;
    let quote = Quote::decode(quote).map_err(|_| NotAReply)?;
    Ok(quote.price.map_or_else(|| "0".to_owned(), |price| price.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(response: &WatchResponse) -> Vec<u8> {
        let mut out = Vec::new();
        append(response, &mut out);
        out
    }

    #[test]
    fn what_a_watch_tells_is_read_wherever_it_is_cut() {
        let updated = Some(Timestamp { seconds: 1, nanos: 2 });
        let quote = WatchResponse { quote: Some(Changed { updated }), ..Default::default() };
        let unlisted = WatchResponse { unlisted: Some("A".to_owned()), ..Default::default() };
        let synced = WatchResponse { synced: Some(Nothing {}), ..Default::default() };
        for (response, expected) in [
            (&quote, Told::Quote(Some(1_000_000_002))),
            (&unlisted, Told::Quote(None)),
            (&synced, Told::Synced),
            (&WatchResponse::default(), Told::Aside),
        ] {
            let bytes = message(response);
            for cut in 0..bytes.len() {
                assert_eq!(told(&bytes[..cut]).ok(), Some(None), "{expected:?} cut at {cut}");
            }
            assert_eq!(told(&bytes).ok(), Some(Some((expected, bytes.len()))));
        }
        assert!(told(b"\x01\0\0\0\0").is_err(), "compressed");
        assert!(told(b"\0\xff\xff\xff\xff").is_err(), "too long");
        assert!(told(b"\0\0\0\0\x01\xff").is_err(), "no message");
    }

    #[test]
    fn a_watch_has_as_many_names_as_fit() {
        let names = [&b"AAPL"[..], b"IBM", b"MSFT"];
        let (bytes, count) = watch(names.into_iter(), 11);
        assert_eq!((count, &bytes[..5]), (2, &b"\0\0\0\0\x0b"[..]));
        assert_eq!(watch(names.into_iter(), 100).1, 3);
    }
}
