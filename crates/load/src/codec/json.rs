//! What a run reads of quotes in JSON: the price of a reply, the time of a message.

use serde::Deserialize;
use stockd_model::rfc3339;
#[cfg(feature = "web")]
use stockd_wire::reply::NotAReply;

/// The price of a quote; `0` where no price is known, as a lookup answers.
///
/// # Errors
///
/// When it is no quote.
#[cfg(feature = "web")]
pub(crate) fn price(quote: &[u8]) -> Result<&[u8], NotAReply> {
    #[derive(Deserialize)]
    struct Quote<'a> {
        #[serde(borrow)]
        price: Option<&'a str>,
    }
    let quote: Quote<'_> = serde_json::from_slice(quote).map_err(|_| NotAReply)?;
    Ok(quote.price.map_or(b"0", str::as_bytes))
}

/// When the server took the change of a quote, in Unix nanoseconds; `None` where the message does not say.
pub(crate) fn updated_ns(message: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        updated: Option<&'a str>,
    }
    let message: Message<'_> = serde_json::from_slice(message).ok()?;
    rfc3339::parse(message.updated?.as_bytes())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_and_time_are_read_and_nothing_else_has_to_be_there() {
        let quote = br#"{"symbol":"A","price":"172.5","version":3,"updated":"1970-01-01T00:00:01.000000002Z"}"#;
        #[cfg(feature = "web")]
        {
            assert_eq!(price(quote).ok(), Some(&b"172.5"[..]));
            assert_eq!(price(br#"{"symbol":"A","bid":"3"}"#).ok(), Some(&b"0"[..]));
            assert!(price(b"<html>").is_err() && price(b"").is_err());
        }
        assert_eq!(updated_ns(quote), Some(1_000_000_002));
        assert_eq!(updated_ns(br#"{"symbol":"A","status":"unlisted"}"#), None);
        assert_eq!(updated_ns(b"rubbish"), None);
    }
}
