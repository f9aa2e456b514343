//! gRPC: the message of a lookup, and what a quote and a status say. It knows HTTP/2 by their names alone.

use prost::Message;
use stockd_wire::reply::NotAReply;

/// The method.
pub(crate) const LOOKUP_PATH: &str = "/stockd.v1.Stocks/Lookup";

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

/// Appends the lookup of a name, as it is sent.
pub(super) fn lookup(name: &[u8], out: &mut Vec<u8>) {
    let request = LookupRequest { symbol: String::from_utf8_lossy(name).into_owned() };
    out.push(0);
    out.extend_from_slice(&(request.encoded_len() as u32).to_be_bytes());
    out.extend_from_slice(&request.encode_to_vec());
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
