//! The latest market data in the shapes of Alpaca's API, version 2, for clients that were written for that.
//!
//! It owns the routes; [`record`] has the shapes and [`dialect`] the stream. What there is not, history and bars, is
//! not made up: such a path is answered with 404.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::Value;
use stockd_model::limits::HTTP_QUERY_NAMES_MAX;
use stockd_model::{Problem, Quote, Reply, Symbol};

use crate::caller::Caller;
use crate::lookup;
use crate::plane::Plane;
use crate::query::Query;
use crate::refused::Refused;
use crate::segments::Segments;
use crate::stream::conversation::Talk;
use crate::stream::subscription::Subscription;
use crate::streams;

mod dialect;
mod record;

use dialect::Alpaca;
use record::{Encoding, Record};

/// The parameters that clients send. A feed, a moment or a page changes nothing: there is one latest quote.
const PARAMETERS: &[&str] = &["symbols", "feed", "currency", "asof", "limit", "page_token", "sort"];

/// The routes of Alpaca.
pub(crate) fn routes() -> Router<Arc<Plane>> {
    Router::new()
        .route("/v2/stocks/trades/latest", get(latest_trades))
        .route("/v2/stocks/quotes/latest", get(latest_quotes))
        .route("/v2/stocks/snapshots", get(snapshots))
        .route("/v2/stocks/{symbol}/trades/latest", get(latest_trade))
        .route("/v2/stocks/{symbol}/quotes/latest", get(latest_quote))
        .route("/v2/stocks/{symbol}/snapshot", get(snapshot))
        .route("/v2/{feed}", get(stream))
}

async fn latest_trades(
    plane: State<Arc<Plane>>,
    caller: Caller,
    query: Query,
) -> Result<Response, Refused> {
    let trades = several(&plane, &caller, query, trade)?;
    Ok(answer(&format!(r#"{{"trades":{{{trades}}}}}"#)))
}

async fn latest_quotes(
    plane: State<Arc<Plane>>,
    caller: Caller,
    query: Query,
) -> Result<Response, Refused> {
    let quotes = several(&plane, &caller, query, sides)?;
    Ok(answer(&format!(r#"{{"quotes":{{{quotes}}}}}"#)))
}

async fn snapshots(
    plane: State<Arc<Plane>>,
    caller: Caller,
    query: Query,
) -> Result<Response, Refused> {
    let whole = |quote: &Quote| Some(format!("{{{}}}", of_snapshot(quote)));
    let snapshots = several(&plane, &caller, query, whole)?;
    Ok(answer(&format!("{{{snapshots}}}")))
}

async fn latest_trade(
    plane: State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    Segments(name): Segments<String>,
) -> Result<Response, Refused> {
    let trade = one(&plane, &caller, query, &name, ("trade", trade))?;
    Ok(answer(&format!(r#"{{"symbol":{},"trade":{trade}}}"#, Value::from(name))))
}

async fn latest_quote(
    plane: State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    Segments(name): Segments<String>,
) -> Result<Response, Refused> {
    let quote = one(&plane, &caller, query, &name, ("quote", sides))?;
    Ok(answer(&format!(r#"{{"symbol":{},"quote":{quote}}}"#, Value::from(name))))
}

async fn snapshot(
    plane: State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    Segments(name): Segments<String>,
) -> Result<Response, Refused> {
    let members = one(&plane, &caller, query, &name, ("data", |quote| Some(of_snapshot(quote))))?;
    let separator = if members.is_empty() { "" } else { "," };
    Ok(answer(&format!(r#"{{"symbol":{}{separator}{members}}}"#, Value::from(name))))
}

/// What is told of a quote, as JSON; `None` where nothing is known of it.
type Shape = fn(&Quote) -> Option<String>;

fn trade(quote: &Quote) -> Option<String> {
    Record::trade(quote).map(|record| json(&record))
}

fn sides(quote: &Quote) -> Option<String> {
    Record::quote(quote).map(|record| json(&record))
}

/// The members of a snapshot that are known. Bars are not.
fn of_snapshot(quote: &Quote) -> String {
    let trade = trade(quote).map(|trade| format!(r#""latestTrade":{trade}"#));
    let sides = sides(quote).map(|sides| format!(r#""latestQuote":{sides}"#));
    let members: Vec<String> = trade.into_iter().chain(sides).collect();
    members.join(",")
}

fn json(record: &Record) -> String {
    let mut out = Vec::new();
    record.encode(Encoding::Json, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// What is told of several stocks, as members of an object. Stocks of which nothing is known are left out.
fn several(plane: &Plane, caller: &Caller, query: Query, shape: Shape) -> Result<String, Refused> {
    let query = checked(query)?;
    let mut names = query.list("symbols", "symbol");
    if names.is_empty() {
        return Err(Refused::new(Problem::InvalidRequest, "parameter 'symbols' is missing"));
    }
    if names.len() > HTTP_QUERY_NAMES_MAX {
        return Err(lookup::too_many(names.len(), HTTP_QUERY_NAMES_MAX));
    }
    lookup::distinct(&mut names);
    let mut members = Vec::with_capacity(names.len());
    plane.door.batch(caller.access(), |batch| {
        for name in names {
            let lookup = stockd_model::Request::Lookup(Symbol::parse(name.as_bytes()));
            let Some(Reply::Found(quote)) = batch.execute_now(&lookup) else { continue };
            let Some(shown) = shape(&quote) else { continue };
            members.push(format!("{}:{shown}", Value::from(name)));
        }
    });
    Ok(members.join(","))
}

/// What is told of one stock.
fn one(
    plane: &Plane,
    caller: &Caller,
    query: Query,
    name: &str,
    (what, shape): (&str, Shape),
) -> Result<String, Refused> {
    checked(query)?;
    let lookup = stockd_model::Request::Lookup(Symbol::parse(name.as_bytes()));
    let found = plane.door.batch(caller.access(), |batch| batch.execute_now(&lookup));
    match found {
        Some(Reply::Refused(refusal)) => Err((&refusal).into()),
        Some(Reply::Found(quote)) => shape(&quote).ok_or_else(|| {
            let detail = format!("no {what} of '{}' is known", quote.symbol);
            Refused::new(Problem::NotListed, detail)
        }),
        _ => Err(Refused::not_listed(name)),
    }
}

/// Prices are in whatever currency they are in: another one cannot be asked for.
fn checked(query: Query) -> Result<Query, Refused> {
    let query = query.only(PARAMETERS)?;
    match query.one("currency")? {
        None | Some("" | "USD") => Ok(query),
        Some(_) => {
            let detail = "prices are not converted; leave the currency out";
            Err(Refused::new(Problem::InvalidRequest, detail))
        }
    }
}

/// A stream, whatever its feed is called.
async fn stream(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refused> {
    let info = streams::connection_of(&request)?;
    if !streams::is_websocket(&headers) {
        let detail = "this is a stream: connect to it over WebSocket";
        return Err(Refused::new(Problem::NoRoute, detail));
    }
    let upgrade = streams::upgrade(request).await?;
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], |it| it.as_bytes());
    let encoding = match kind.eq_ignore_ascii_case(b"application/msgpack") {
        true => Encoding::MessagePack,
        false => Encoding::Json,
    };
    let mut teller = streams::begin(&plane, &caller, &info, "alpaca", &Subscription::default())?;
    teller.awaits_token = !caller.identity.is_known();
    let talk = Talk { plane, teller, info };
    Ok(upgrade.on_upgrade(move |socket| talk.run(socket, Alpaca::new(encoding))))
}

fn answer(json: &str) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (headers, json.to_owned()).into_response()
}
