//! Routes that write: list or replace, update, delist, trade, and many updates at once.
//!
//! It knows HTTP; what is written is decided by the engine. Invariant: a write takes effect whole or is refused,
//! and is answered when it is kept.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stockd_model::limits::{
    HTTP_BODY_BYTES_MAX, HTTP_QUOTE_BYTES_MAX, HTTP_REFUSED_SHOWN_MAX, HTTP_UPDATES_MAX,
};
use stockd_model::{
    Conditional, Edit, Fields, Problem, Refusal, Reply, Request, Shares, Status, Symbol,
};

use crate::caller::Caller;
use crate::etag::{self, WriteCondition};
use crate::plane::Plane;
use crate::query::Query;
use crate::quotes::whole;
use crate::refused::Refused;
use crate::responses::{IfMatch, Late, NotListed, OfStock};
use crate::segments::Segments;
use crate::{body, fields, schema};

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const LINES: &[&str] = &["application/x-ndjson", "application/jsonl", JSON];

/// Lists a stock, or replaces all that is known of it.
#[utoipa::path(put, path = "/v1/stocks/{symbol}", tag = "quotes", request_body = schema::Listing,
    params(OfStock, IfMatch,
        ("If-None-Match" = Option<String>, Header, nullable = false, pattern = r"^\*$", description = "* if it is to be not listed")),
    responses((status = 201, description = "listed", body = schema::Quote),
        (status = 200, description = "replaced", body = schema::Quote),
        (status = 507, description = "there is no room for another stock", body = schema::Problem, content_type = "application/problem+json"),
        Late))]
pub(crate) async fn put(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    Segments(name): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    query.only(&[])?;
    let target = Target::new(&plane, caller, &name, &headers)?;
    let given = read_fields(&plane, &headers, &[JSON], body, target.symbol).await?;
    if !given.can_list() {
        let detail = "the body has no price, bid, ask or status, and a stock is listed with one";
        return Err(Refused::new(Problem::ListingIncomplete, detail));
    }
    match target.write(Request::Set(target.symbol, entire(given))).await? {
        // It would have been listed, but for the condition.
        Reply::Refused(Refusal::NotListed(symbol)) => {
            let detail =
                format!("stock '{symbol}' is not listed, and the condition names a version");
            Err(Refused::new(Problem::VersionDiffers, detail).with("symbol", symbol.as_str()))
        }
        reply => target.answer(reply),
    }
}

/// What replaces all: a field that is not given is taken away.
fn entire(given: Fields) -> Fields {
    fn or_clear<T>(edit: Edit<T>) -> Edit<T> {
        if let Edit::Keep = edit { Edit::Clear } else { edit }
    }
    Fields {
        price: or_clear(given.price),
        volume: or_clear(given.volume),
        bid: or_clear(given.bid),
        ask: or_clear(given.ask),
        bid_size: or_clear(given.bid_size),
        ask_size: or_clear(given.ask_size),
        status: given.status.or(Some(Status::Trading)),
        time_ns: or_clear(given.time_ns),
        feed: Edit::Clear,
    }
}

/// Updates the fields that are given (RFC 7396); `null` takes one away.
#[utoipa::path(patch, path = "/v1/stocks/{symbol}", tag = "quotes",
    request_body(content((schema::Fields = "application/merge-patch+json"), (schema::Fields = "application/json"))),
    params(OfStock, IfMatch),
    responses((status = 200, description = "updated", body = schema::Quote), Late, NotListed))]
pub(crate) async fn patch(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    Segments(name): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    query.only(&[])?;
    let target = Target::new(&plane, caller, &name, &headers)?;
    let given = read_fields(&plane, &headers, &[MERGE_PATCH, JSON], body, target.symbol).await?;
    let reply = target.write(Request::Update(target.symbol, given)).await?;
    target.answer(reply)
}

/// Removes a stock from the catalog.
#[utoipa::path(delete, path = "/v1/stocks/{symbol}", tag = "quotes",
    params(OfStock, IfMatch),
    responses((status = 204, description = "delisted"), NotListed))]
pub(crate) async fn delete(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    Segments(name): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    query.only(&[])?;
    let target = Target::new(&plane, caller, &name, &headers)?;
    match target.write(Request::Delist(target.symbol)).await? {
        Reply::NotFound => Err(Refused::not_listed(target.symbol.as_str())),
        Reply::Refused(refusal) => Err(target.condition.refused(&refusal)),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// Trades in a stock: to buy takes shares from its volume, to sell gives them back.
#[utoipa::path(post, path = "/v1/stocks/{symbol}/trades", tag = "quotes", request_body = schema::Trade,
    params(OfStock, IfMatch),
    responses((status = 200, description = "traded; the quote after it", body = schema::Quote),
        (status = 409, description = "halted, or too few shares are left", body = schema::Problem, content_type = "application/problem+json"), NotListed))]
pub(crate) async fn trade(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    Segments(name): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Side {
        Buy,
        Sell,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Trade {
        side: Side,
        quantity: Box<RawValue>,
    }
    query.only(&[])?;
    let target = Target::new(&plane, caller, &name, &headers)?;
    let (trade, _room) =
        body::json(&plane, &headers, &[JSON], body, (HTTP_QUOTE_BYTES_MAX, "trade")).await?;
    let Trade { side, quantity } = trade;
    let volume = fields::shares_of(&quantity)?;
    let shares = if let Side::Buy = side { Shares::Take(volume) } else { Shares::Add(volume) };
    let reply = target.write(Request::Trade(target.symbol, shares)).await?;
    target.answer(reply)
}

/// Many updates: one object of a symbol and its fields a line. Each lists its stock or updates the fields that are
/// given. They are executed in order, and one that is refused keeps no other from taking effect.
#[utoipa::path(post, path = "/v1/updates", tag = "quotes",
    request_body(description = "JSON lines, up to 100,000", content((String = "application/x-ndjson"), (schema::Update = "application/json"))),
    responses((status = 200, description = "what became of them", body = schema::Updates),
        (status = 400, description = "the body ends early", body = schema::Problem, content_type = "application/problem+json"),
        (status = 503, description = "they could not be kept", body = schema::Problem, content_type = "application/problem+json")))]
pub(crate) async fn updates(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    query.only(&[])?;
    let read = body::read(&plane, &headers, LINES, body, HTTP_BODY_BYTES_MAX).await?;
    let mut refused = RefusedLines::default();
    let (mut numbers, mut asked) = (Vec::new(), Vec::new());
    let lines = read.bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for (number, line) in (1_u64..).zip(lines).filter(|(_, line)| !line.is_empty()) {
        if asked.len() == HTTP_UPDATES_MAX {
            let detail = format!("the body has more than {HTTP_UPDATES_MAX} lines, the limit");
            return Err(Refused::new(Problem::TooManyNames, detail));
        }
        match update(line) {
            Ok(request) => {
                numbers.push(number);
                asked.push(Conditional::from(request));
            }
            Err(why) => refused.add(number, &why),
        }
        // Reading is work, too.
        if number % 1024 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let replies = plane.door.write_all(caller.access(), &asked).await?;
    let mut done = 0;
    for (number, reply) in numbers.into_iter().zip(replies) {
        match reply {
            Reply::Refused(refusal) => refused.add(number, &(&refusal).into()),
            _ => done += 1,
        }
    }
    Ok(([(CONTENT_TYPE, JSON)], refused.answer(done)).into_response())
}

fn update(line: &[u8]) -> Result<Request, Refused> {
    let given = fields::parse(line)?;
    let missing = || Refused::new(Problem::InvalidRequest, "the line has no symbol");
    Ok(Request::Set(given.symbol.ok_or_else(missing)?, given.fields))
}

/// Lines that were refused: the first of them, and how many there are.
#[derive(Default)]
struct RefusedLines {
    shown: Vec<(u64, Value)>,
    more: u64,
}

impl RefusedLines {
    fn add(&mut self, number: u64, why: &Refused) {
        match self.shown.len() < HTTP_REFUSED_SHOWN_MAX {
            true => self.shown.push((number, why.document())),
            false => self.more += 1,
        }
    }

    fn answer(mut self, done: u64) -> String {
        self.shown.sort_by_key(|(number, _)| *number);
        let line = |(number, problem): &(u64, Value)| json!({"line": number, "problem": problem});
        let lines: Vec<Value> = self.shown.iter().map(line).collect();
        let mut answer = json!({"done": done, "refused": lines});
        if self.more > 0 {
            answer["refused_more"] = self.more.into();
        }
        answer.to_string()
    }
}

/// The stock that a request is about, and under which condition.
struct Target<'a> {
    plane: &'a Plane,
    caller: Caller,
    symbol: Symbol,
    condition: WriteCondition,
}

impl<'a> Target<'a> {
    fn new(
        plane: &'a Plane,
        caller: Caller,
        name: &str,
        headers: &HeaderMap,
    ) -> Result<Target<'a>, Refused> {
        let symbol = Symbol::parse(name.as_bytes())?;
        let engine = plane.engine();
        let current = || engine.quote(caller.access(), &symbol).map(|quote| quote.version);
        let condition = etag::condition(headers, engine.epoch(), current)?;
        Ok(Target { plane, caller, symbol, condition })
    }

    async fn write(&self, request: Request) -> Result<Reply, Refused> {
        let asked = Conditional { condition: self.condition.for_engine(), request };
        self.plane.door.write(self.caller.access(), asked).await
    }

    fn answer(&self, reply: Reply) -> Result<Response, Refused> {
        let epoch = self.plane.engine().epoch();
        match reply {
            Reply::Listed(quote) => Ok(whole(StatusCode::CREATED, epoch, &quote).map(Body::from)),
            Reply::Updated(quote) | Reply::Found(quote) | Reply::Cleared(quote, _) => {
                Ok(whole(StatusCode::OK, epoch, &quote).map(Body::from))
            }
            Reply::Refused(refusal) => Err(self.condition.refused(&refusal)),
            Reply::NotFound | Reply::Delisted(_) => Err(Refused::not_listed(self.symbol.as_str())),
        }
    }
}

/// The fields of a body about one stock. It may name the stock once more, and no other.
async fn read_fields(
    plane: &Arc<Plane>,
    headers: &HeaderMap,
    types: &[&str],
    body: Body,
    symbol: Symbol,
) -> Result<Fields, Refused> {
    let read = body::read(plane, headers, types, body, HTTP_QUOTE_BYTES_MAX).await?;
    let given = fields::parse(&read.bytes)?;
    match given.symbol {
        Some(other) if other != symbol => {
            let detail = format!("the body is about '{other}', and the path about '{symbol}'");
            Err(Refused::new(Problem::InvalidRequest, detail))
        }
        _ => Ok(given.fields),
    }
}
