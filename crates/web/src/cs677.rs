//! Stocks and orders in the shapes of the course CS677: what its labs 2 and 3 have clients ask a front end.
//!
//! It owns these shapes; orders are executed by the [ledger](crate::orders). Invariant: a price and a quantity have the
//! digits of the quote; where several servers trade the same stocks nothing is an order.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use stockd_model::limits::HTTP_QUOTE_BYTES_MAX;
use stockd_model::{Problem, Reply, Request, Shares, Symbol};

use crate::body;
use crate::caller::Caller;
use crate::fields;
use crate::plane::Plane;
use crate::query::Query;
use crate::refused::Refused;
use crate::segments::Segments;

/// The media types of an order. Some clients say none, which no page of another site can leave out unnoticed: it
/// names where it comes from.
const TYPES: &[&str] = &["application/json", ""];

/// The routes of the course.
pub(crate) fn routes() -> Router<Arc<Plane>> {
    Router::new()
        .route("/stocks/{name}", get(stock))
        .route("/orders", post(place))
        .route("/orders/{number}", get(order))
}

/// The price and the quantity of a stock.
async fn stock(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    Segments(name): Segments<String>,
) -> Result<Response, Refused> {
    query.only(&[])?;
    let lookup = Request::Lookup(Symbol::parse(name.as_bytes()));
    match plane.door.batch(caller.access(), |batch| batch.execute_now(&lookup)) {
        Some(Reply::Found(quote)) => {
            let mut data = format!(r#""name":{}"#, Value::from(quote.symbol.as_str()));
            if let Some(price) = quote.price {
                data.push_str(&format!(r#","price":{price}"#));
            }
            if let Some(volume) = quote.volume {
                data.push_str(&format!(r#","quantity":{volume}"#));
            }
            Ok(answer(&data))
        }
        Some(Reply::Refused(refusal)) => Err((&refusal).into()),
        _ => Err(Refused::not_listed(&name)),
    }
}

/// What a client orders.
#[derive(Deserialize)]
struct Ordered {
    name: String,
    r#type: Side,
    quantity: Box<RawValue>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Buy,
    Sell,
}

/// Refuses orders at a node of a cluster: the ledger counts those of one server, and its records are there alone.
fn has_numbers(plane: &Plane) -> Result<(), Refused> {
    let detail = "orders have no numbers at a node of a cluster; trade with POST /v1/stocks/{symbol}/trades or by \
                  RESP, or order at a server of its own";
    match plane.engine().is_replicated() {
        true => Err(Refused::new(Problem::OrdersAlone, detail)),
        false => Ok(()),
    }
}

/// Trades, and answers the number of the order.
async fn place(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    query.only(&[])?;
    has_numbers(&plane)?;
    let (ordered, _room) =
        body::json::<Ordered>(&plane, &headers, TYPES, body, (HTTP_QUOTE_BYTES_MAX, "order"))
            .await?;
    let symbol = Symbol::parse(ordered.name.as_bytes())?;
    let quantity = fields::shares_of(&ordered.quantity)?;
    let shares = match ordered.r#type {
        Side::Buy => Shares::Take(quantity),
        Side::Sell => Shares::Add(quantity),
    };
    caller
        .access()
        .check(&Request::Trade(symbol, shares))
        .map_err(|refusal| Refused::from(&refusal))?;
    let number = plane.ledger.place(symbol, shares).await?;
    Ok(answer(&format!(r#""transaction_number":{number}"#)))
}

/// The order of a number.
async fn order(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    Segments(text): Segments<String>,
) -> Result<Response, Refused> {
    query.only(&[])?;
    has_numbers(&plane)?;
    let missing = || {
        let shown = stockd_model::escaped(text.as_bytes()).at_most(100);
        Refused::new(
            Problem::NoOrder,
            format!("there is no order '{shown}', or it is kept no more"),
        )
    };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number).ok_or_else(missing)?;
    let order = plane.ledger.find(number).await?.ok_or_else(missing)?;
    let lookup = Request::Lookup(Ok(order.symbol));
    caller.access().check(&lookup).map_err(|refusal| Refused::from(&refusal))?;
    let (side, quantity) = match order.shares {
        Shares::Take(quantity) => ("buy", quantity),
        Shares::Add(quantity) => ("sell", quantity),
    };
    let name = Value::from(order.symbol.as_str());
    Ok(answer(&format!(r#""number":{number},"name":{name},"type":"{side}","quantity":{quantity}"#)))
}

/// A response with these members as its data.
fn answer(members: &str) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (headers, format!(r#"{{"data":{{{members}}}}}"#)).into_response()
}
