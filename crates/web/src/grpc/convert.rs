//! Quotes and fields between the model and the messages of gRPC.
//!
//! It knows no services. Invariant: what is converted to a message and back is the same quote, and a message that says
//! two different things of one decimal is refused.

use prost_types::Timestamp;
use stockd_model::{
    Edit, FeedState, Field, Fields, Price, Problem, Quote, QuoteFeed, Status, Volume,
};

use super::proto;
use crate::refused::Refused;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// The message of a quote.
pub(super) fn quote(quote: &Quote) -> proto::Quote {
    let status = match quote.status_now() {
        Status::Trading => proto::Status::Trading,
        Status::Halted => proto::Status::Halted,
    };
    proto::Quote {
        symbol: quote.symbol.to_string(),
        price: quote.price.map(price),
        volume: quote.volume.map(quantity),
        bid: quote.bid.map(price),
        ask: quote.ask.map(price),
        bid_size: quote.bid_size.map(quantity),
        ask_size: quote.ask_size.map(quantity),
        status: status.into(),
        time: quote.time_ns.map(timestamp),
        version: quote.version,
        updated: Some(timestamp(quote.updated_ns)),
        feed: quote.feed.map(|feed| feed.name.to_string()).unwrap_or_default(),
        feed_state: quote.feed.map_or(proto::FeedState::Unspecified, feed_state).into(),
    }
}

fn feed_state(feed: QuoteFeed) -> proto::FeedState {
    match feed.state {
        FeedState::Live => proto::FeedState::Live,
        FeedState::Quiet => proto::FeedState::Quiet,
        FeedState::Stale => proto::FeedState::Stale,
        FeedState::Gap => proto::FeedState::Gap,
        FeedState::Ended => proto::FeedState::Ended,
    }
}

fn price(price: Price) -> proto::Price {
    let (coefficient, scale) = (price.coefficient(), price.places().into());
    proto::Price { text: price.to_string(), coefficient, scale }
}

fn quantity(volume: Volume) -> proto::Quantity {
    let (coefficient, scale) = (volume.coefficient(), volume.places().into());
    proto::Quantity { text: volume.to_string(), coefficient, scale }
}

fn timestamp(unix_ns: u64) -> Timestamp {
    let seconds = i64::try_from(unix_ns / NS_PER_SECOND).unwrap_or(i64::MAX);
    Timestamp { seconds, nanos: (unix_ns % NS_PER_SECOND) as i32 }
}

/// The fields that a request gives and takes away.
pub(super) fn fields(given: Option<proto::Quote>, clear: &[String]) -> Result<Fields, Refused> {
    let given = given.unwrap_or_default();
    let mut fields = Fields {
        price: edit(Field::Price, given.price, read_price)?,
        volume: edit(Field::Volume, given.volume, read_quantity)?,
        bid: edit(Field::Bid, given.bid, read_price)?,
        ask: edit(Field::Ask, given.ask, read_price)?,
        bid_size: edit(Field::BidSize, given.bid_size, read_quantity)?,
        ask_size: edit(Field::AskSize, given.ask_size, read_quantity)?,
        status: read_status(given.status)?,
        time_ns: edit(Field::Time, given.time, read_time)?,
        feed: Edit::Keep,
    };
    for name in clear {
        let field = Field::find(name.as_bytes()).filter(|field| field.is_optional());
        let field = field.ok_or_else(|| {
            let shown = stockd_model::escaped(name.as_bytes()).at_most(100);
            invalid(format!("there is no field '{shown}' that could be taken away"))
        })?;
        if fields.gives(field) {
            return Err(invalid(format!("{} is given and taken away", field.name())));
        }
        fields.clear(field);
    }
    Ok(fields)
}

/// What is done with a field. What is wrong with it names it, where the words do not say so themselves.
fn edit<M, T>(
    field: Field,
    message: Option<M>,
    read: impl FnOnce(M) -> Result<T, Refused>,
) -> Result<Edit<T>, Refused> {
    let Some(message) = message else { return Ok(Edit::Keep) };
    read(message).map(Edit::Set).map_err(|mut refused| {
        if !matches!(field, Field::Price | Field::Volume | Field::Time) {
            refused.detail = format!("{}: {}", field.name(), refused.detail);
        }
        refused
    })
}

fn read_price(proto::Price { text, coefficient, scale }: proto::Price) -> Result<Price, Refused> {
    if !text.is_empty() {
        let price: Price = text.parse().map_err(|error| invalid(format!("{error}")))?;
        let is_both = coefficient != 0 || scale != 0;
        let agrees = Some(price) == Price::new(coefficient, scale.try_into().unwrap_or(u8::MAX));
        return if is_both && !agrees { Err(disagree(&text)) } else { Ok(price) };
    }
    let places = scale.try_into().ok();
    places.and_then(|places| Price::new(coefficient, places)).ok_or_else(|| {
        invalid(format!(
            "coefficient {coefficient} and scale {scale} are no price: a scale is at most 18"
        ))
    })
}

pub(super) fn read_quantity(
    proto::Quantity { text, coefficient, scale }: proto::Quantity,
) -> Result<Volume, Refused> {
    let places = scale.try_into().unwrap_or(u8::MAX);
    if !text.is_empty() {
        let volume: Volume = text.parse().map_err(|error| invalid(format!("{error}")))?;
        let is_both = coefficient != 0 || scale != 0;
        let agrees = Some(volume) == Volume::with_places(coefficient, places);
        return if is_both && !agrees { Err(disagree(&text)) } else { Ok(volume) };
    }
    Volume::with_places(coefficient, places).ok_or_else(|| {
        invalid(format!(
            "coefficient {coefficient} and scale {scale} are no volume: a scale is at most 18"
        ))
    })
}

fn disagree(text: &str) -> Refused {
    let shown = stockd_model::escaped(text.as_bytes()).at_most(100);
    invalid(format!("the text '{shown}' and the coefficient say different things; give one"))
}

fn read_status(status: i32) -> Result<Option<Status>, Refused> {
    match proto::Status::try_from(status) {
        Ok(proto::Status::Unspecified) => Ok(None),
        Ok(proto::Status::Trading) => Ok(Some(Status::Trading)),
        Ok(proto::Status::Halted) => Ok(Some(Status::Halted)),
        Err(_) => Err(invalid(format!("{status} is no status"))),
    }
}

fn read_time(Timestamp { seconds, nanos }: Timestamp) -> Result<u64, Refused> {
    let whole = u64::try_from(seconds).ok().and_then(|it| it.checked_mul(NS_PER_SECOND));
    let nanos = u64::try_from(nanos).ok().filter(|nanos| *nanos < NS_PER_SECOND);
    let time = whole.zip(nanos).and_then(|(whole, nanos)| whole.checked_add(nanos));
    time.ok_or_else(|| invalid(format!("{seconds} seconds are no time from 1970 to 2554")))
}

fn invalid(detail: String) -> Refused {
    Refused::new(Problem::InvalidValue, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_comes_back_as_it_was() {
        let whole = Quote {
            price: "-37.63".parse().ok(),
            volume: "0.25".parse().ok(),
            bid: "0".parse().ok(),
            ask_size: Some(Volume::new(u64::MAX)),
            status: Status::Halted,
            time_ns: Some(1_790_000_000_123_456_789),
            version: 17,
            updated_ns: 1,
            ..Quote::new("CL".parse().unwrap())
        };
        let message = quote(&whole);
        assert_eq!(message.price.clone().unwrap().text, "-37.63");
        assert_eq!(
            (message.price.clone().unwrap().coefficient, message.price.clone().unwrap().scale),
            (-3763, 2)
        );
        let back = fields(Some(message), &[]).unwrap();
        let other = Quote { version: 17, updated_ns: 1, ..Quote::new(whole.symbol) };
        assert_eq!(back.outcome(&other), whole);
    }

    #[test]
    fn what_is_no_value_or_two_is_refused() {
        let price = |text: &str, coefficient, scale| {
            let price = Some(proto::Price { text: text.to_owned(), coefficient, scale });
            fields(Some(proto::Quote { price, ..Default::default() }), &[])
        };
        assert_eq!(price("", 17_250, 2).unwrap().price, "172.5".parse().unwrap());
        assert_eq!(price("172.50", 1725, 1).unwrap().price, "172.5".parse().unwrap());
        for (text, coefficient, scale) in [("$1", 0, 0), ("1", 2, 0), ("", 1, 19), ("", 1, 999)] {
            assert!(price(text, coefficient, scale).is_err(), "{text} {coefficient} {scale}");
        }
        let clear = |name: &str| fields(None, &[name.to_owned()]);
        assert_eq!(clear("volume").unwrap().volume, Edit::Clear);
        for name in ["status", "symbol", "version", "none", ""] {
            assert!(clear(name).is_err(), "{name}");
        }
    }
}
