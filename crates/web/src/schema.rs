//! What the bodies of requests and responses look like, for the description of the API. Nothing is encoded by these
//! types; a test compares them with what is answered.

#![allow(dead_code, reason = "they are descriptions")]

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// All that is known of one stock at one moment. Decimals are text, since JSON numbers lose digits in many
/// readers. What is absent is left out.
#[derive(ToSchema)]
#[schema(example = json!({"symbol": "AAPL", "price": "172.5", "volume": "1000", "bid": "172.49", "ask": "172.51", "bid_size": "300", "ask_size": "200", "status": "trading", "time": "2026-09-21T14:13:20.123456789Z", "version": 17, "updated": "2026-09-21T14:13:20.123500001Z"}))]
pub(crate) struct Quote {
    /// The name of the stock.
    pub(crate) symbol: String,
    /// The last price: an exact decimal of any sign.
    pub(crate) price: Option<String>,
    /// Shares that remain; absent where they are not counted.
    pub(crate) volume: Option<String>,
    /// The highest price that somebody would buy at.
    pub(crate) bid: Option<String>,
    /// The lowest price that somebody would sell at.
    pub(crate) ask: Option<String>,
    /// How much would be bought at the bid.
    pub(crate) bid_size: Option<String>,
    /// How much would be sold at the ask.
    pub(crate) ask_size: Option<String>,
    /// Whether it can be traded.
    pub(crate) status: Status,
    /// When it happened, as its source says.
    pub(crate) time: Option<String>,
    /// Counts the changes of this stock.
    #[schema(minimum = 1)]
    pub(crate) version: u64,
    /// When it last changed, by the clock of the server.
    pub(crate) updated: String,
    /// The feed that has written it.
    #[schema(max_length = 64)]
    pub(crate) feed: Option<String>,
    /// How that feed is now.
    pub(crate) feed_state: Option<FeedState>,
}

/// How a feed is: it writes; it lives and has nothing to write; nothing was heard of it for longer than it said that it
/// would be silent; it has missed something; it has come to its end.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum FeedState {
    Live,
    Quiet,
    Stale,
    Gap,
    Ended,
}

/// Whether a stock can be traded.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Status {
    Trading,
    Halted,
}

/// The fields of a quote that a write gives. A decimal is text, or a number whose digits are taken as they are
/// written; `null` takes a field away.
#[derive(ToSchema)]
#[schema(example = json!({"price": "172.50", "volume": "1000"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct Fields {
    pub(crate) price: Option<Price>,
    pub(crate) volume: Option<Volume>,
    pub(crate) bid: Option<Price>,
    pub(crate) ask: Option<Price>,
    pub(crate) bid_size: Option<Volume>,
    pub(crate) ask_size: Option<Volume>,
    #[schema(nullable = false)]
    pub(crate) status: Option<Status>,
    /// RFC 3339, or Unix nanoseconds.
    pub(crate) time: Option<String>,
}

/// What lists a stock, or replaces all that is known of it. Instead of the price a bid, an ask or a status will do.
#[derive(ToSchema)]
#[schema(example = json!({"price": "172.50", "volume": "1000"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    pub(crate) price: Price,
    pub(crate) volume: Option<Volume>,
    pub(crate) bid: Option<Price>,
    pub(crate) ask: Option<Price>,
    pub(crate) bid_size: Option<Volume>,
    pub(crate) ask_size: Option<Volume>,
    #[schema(nullable = false)]
    pub(crate) status: Option<Status>,
}

/// One update of many: it lists its stock, or updates the fields that are given.
#[derive(ToSchema)]
#[schema(example = json!({"symbol": "AAPL", "price": "172.50"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct Update {
    pub(crate) symbol: String,
    pub(crate) price: Price,
    pub(crate) volume: Option<Volume>,
}

/// An exact decimal of any sign.
pub(crate) struct Price;

/// An exact decimal from 0.
pub(crate) struct Volume;

impl ToSchema for Price {
    fn name() -> Cow<'static, str> {
        "Price".into()
    }
}

impl PartialSchema for Price {
    fn schema() -> RefOr<Schema> {
        decimal("an exact decimal of any sign, with at most 18 places")
    }
}

impl ToSchema for Volume {
    fn name() -> Cow<'static, str> {
        "Volume".into()
    }
}

impl PartialSchema for Volume {
    fn schema() -> RefOr<Schema> {
        decimal("an exact decimal from 0, with at most 18 places")
    }
}

/// Text or a number.
fn decimal(about: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).description(Some(about));
    let number = ObjectBuilder::new()
        .schema_type(Type::Number)
        .description(Some("a number, whose digits are taken as they are written"));
    OneOfBuilder::new().item(text).item(number).into()
}

/// Quotes by the name that was asked for, and the names that are not listed.
#[derive(ToSchema)]
#[schema(example = json!({"quotes": {"AAPL": {"symbol": "AAPL", "price": "172.5", "status": "trading", "version": 17, "updated": "2026-09-21T14:13:20.123500001Z"}}, "missing": ["XYZ"]}))]
pub(crate) struct Lookups {
    pub(crate) quotes: std::collections::BTreeMap<String, Quote>,
    pub(crate) missing: Vec<String>,
    /// Those that may not be read, whether they are listed or not.
    pub(crate) forbidden: Option<Vec<String>>,
}

/// A page of stocks, in no useful order.
#[derive(ToSchema)]
pub(crate) struct Page {
    pub(crate) quotes: Vec<Quote>,
    /// Where the next page begins; absent on the last one.
    pub(crate) next: Option<String>,
}

/// The names to look up.
#[derive(ToSchema)]
#[schema(example = json!({"symbols": ["AAPL", "XYZ"]}))]
#[serde(deny_unknown_fields)]
pub(crate) struct Names {
    #[schema(max_items = 100_000)]
    pub(crate) symbols: Vec<String>,
}

/// What a stream is asked for.
#[derive(ToSchema)]
#[schema(example = json!({"symbols": ["AAPL"], "patterns": ["BRK*"], "interval": 250, "name": "desk 7"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscription {
    pub(crate) symbols: Option<Vec<String>>,
    /// Such as `BRK*`.
    pub(crate) patterns: Option<Vec<String>>,
    /// At most one quote a stock in this many milliseconds.
    #[schema(maximum = 3_600_000)]
    pub(crate) interval: Option<u32>,
    /// What the client calls itself, for those who look at who is connected.
    #[schema(max_length = 64)]
    pub(crate) name: Option<String>,
}

/// A trade.
#[derive(ToSchema)]
#[schema(example = json!({"side": "buy", "quantity": "5"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct Trade {
    pub(crate) side: Side,
    /// Shares above 0: an exact decimal.
    pub(crate) quantity: String,
}

/// What a trade does: to buy takes shares from the volume, to sell gives them back.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Side {
    Buy,
    Sell,
}

/// What became of many updates.
#[derive(ToSchema)]
#[schema(example = json!({"done": 2, "refused": []}))]
pub(crate) struct Updates {
    /// Lines that took effect.
    pub(crate) done: u64,
    /// Lines that did not, the first 1,000 of them.
    pub(crate) refused: Vec<RefusedLine>,
    /// How many more there are.
    pub(crate) refused_more: Option<u64>,
}

/// A line that was refused.
#[derive(ToSchema)]
pub(crate) struct RefusedLine {
    /// Its number, from 1.
    pub(crate) line: u64,
    pub(crate) problem: Problem,
}

/// What is wrong with a request (RFC 9457). Other members have the values.
#[derive(ToSchema)]
#[schema(example = json!({"type": "/problems/volume-too-low", "title": "fewer shares are left than the trade takes", "status": 409, "detail": "volume of 'AAPL' is 3, cannot take 5", "symbol": "AAPL", "volume": "3", "take": "5"}))]
pub(crate) struct Problem {
    /// The kind of problem, a path where it is described.
    pub(crate) r#type: String,
    pub(crate) title: String,
    pub(crate) status: u16,
    /// This case, as one sentence.
    pub(crate) detail: String,
}
