//! The route of streams: Server-Sent Events, JSON lines or WebSocket, by what the request accepts.
//!
//! It owns the choice between them and their headers. Invariant: a stream that is refused has subscribed to nothing.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, UPGRADE};
use serde::Deserialize;
use stockd_model::Problem;
use stockd_model::limits::{
    HTTP_BODY_BYTES_MAX, STREAM_BYTES_MAX, WEBSOCKET_MESSAGE_BYTES_MAX, WEBSOCKET_READ_BYTES,
};

use crate::caller::Caller;
use crate::connection::ConnectionInfo;
use crate::plane::Plane;
use crate::query::Query;
use crate::refused::Refused;
use crate::stream::conversation::Talk;
use crate::stream::subscription::{
    EventId, Names, Resumable, Subscription, parse_interval, parse_name,
};
use crate::stream::teller::Teller;
use crate::stream::text::{Format, StreamBody};
use crate::stream::websocket::{Native, PROTOCOL};
use crate::{accept, body, schema};

const EVENTS: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";

/// A response that streams: it is sent as it comes, and not compressed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams;

/// Live quotes.
///
/// First the quote of each stock as it is, or that it is not listed, then `synced`, then later versions; a slow
/// reader gets fewer and newer ones. Server-Sent Events, JSON lines with `Accept: application/x-ndjson`, or
/// WebSocket with the subprotocol `stockd.v1`.
#[utoipa::path(get, path = "/v1/stream", tag = "streams",
    params(("symbols" = Option<String>, Query, description = "names with commas between"),
        ("symbol" = Option<Vec<String>>, Query, description = "one name; may be repeated", explode = true),
        ("patterns" = Option<String>, Query, description = "patterns such as `BRK*`, with commas between"),
        ("pattern" = Option<Vec<String>>, Query, description = "one pattern; may be repeated", explode = true),
        ("interval" = Option<u32>, Query, maximum = 3_600_000, description = "at most one quote a stock in this many milliseconds"),
        ("name" = Option<String>, Query, nullable = false, max_length = 64, description = "what the client calls itself, for those who look at who is connected"),
        ("Last-Event-ID" = Option<String>, Header, description = "the id from which to go on")),
    responses((status = 200, description = "events until the client or the server ends it", content((String = "text/event-stream"), (schema::Quote = "application/x-ndjson"))),
        (status = 101, description = "WebSocket"),
        (status = 400, description = "a parameter cannot be understood, or nothing is subscribed to", body = schema::Problem, content_type = "application/problem+json"),
        (status = 503, description = "as many streams are open as may be", body = schema::Problem, content_type = "application/problem+json")))]
pub(crate) async fn stream(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refused> {
    let known = ["symbols", "symbol", "patterns", "pattern", "interval", "name"];
    let subscription = subscription(&query.only(&known)?, &headers)?;
    if !is_websocket(&headers) {
        return text(&plane, &caller, &request, &subscription);
    }
    let info = connection_of(&request)?;
    let upgrade = upgrade(request).await?.protocols([PROTOCOL]);
    let mut teller = begin(&plane, &caller, &info, "websocket", &subscription)?;
    teller.awaits_token = !caller.identity.is_known();
    let talk = Talk { plane: Arc::clone(&plane), teller, info };
    Ok(upgrade.on_upgrade(|socket| talk.run(socket, Native::default())))
}

/// Live quotes of more stocks than an address has room for.
///
/// As `GET`, but for WebSocket, with what is subscribed to in the body.
#[utoipa::path(post, path = "/v1/stream", tag = "streams", request_body = schema::Subscription,
    params(("Last-Event-ID" = Option<String>, Header, description = "the id from which to go on")),
    responses((status = 200, description = "events until the client or the server ends it", content((String = "text/event-stream"), (schema::Quote = "application/x-ndjson"))),
        (status = 400, description = "the body cannot be understood, or nothing is subscribed to", body = schema::Problem, content_type = "application/problem+json"),
        (status = 503, description = "as many streams are open as may be", body = schema::Problem, content_type = "application/problem+json")))]
pub(crate) async fn stream_of_many(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    mut request: Request,
) -> Result<Response, Refused> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        #[serde(default)]
        symbols: Vec<String>,
        #[serde(default)]
        patterns: Vec<String>,
        #[serde(default)]
        interval: u64,
        #[serde(default)]
        name: String,
    }
    query.only(&[])?;
    let body = std::mem::take(request.body_mut());
    let size = (HTTP_BODY_BYTES_MAX, "subscription");
    let (asked, _room) =
        body::json::<Asked>(&plane, &headers, &["application/json"], body, size).await?;
    let subscription = Subscription {
        names: Names::parse(asked.symbols.iter().map(String::as_str), !asked.patterns.is_empty())?,
        patterns: asked.patterns.into_iter().map(String::into_bytes).collect(),
        interval: parse_interval(&asked.interval.to_string())?,
        name: parse_name(&asked.name)?,
        resumes: resumes(&headers),
    };
    text(&plane, &caller, &request, &subscription)
}

/// A stream of text, by what the request accepts.
fn text(
    plane: &Plane,
    caller: &Caller,
    request: &Request,
    subscription: &Subscription,
) -> Result<Response, Refused> {
    let info = connection_of(request)?;
    let begin = |kind| begin(plane, caller, &info, kind, subscription);
    if subscription.is_empty() {
        let detail = "nothing is subscribed to; give symbols or patterns";
        return Err(Refused::new(Problem::InvalidRequest, detail));
    }
    let kind = accept::best(request.headers(), &[EVENTS, LINES])?;
    let (format, name) = match kind {
        EVENTS => (Format::ServerSentEvents, "sse"),
        _ => (Format::JsonLines, "json-lines"),
    };
    let body = Body::new(StreamBody::new(begin(name)?, format));
    // So that a proxy passes events on as they come.
    let headers = [(CACHE_CONTROL, "no-store, no-transform"), (CONTENT_TYPE, kind)];
    let mut response = (headers, [("x-accel-buffering", "no")], body).into_response();
    response.extensions_mut().insert(Streams);
    Ok(response)
}

/// The connection that a request came by.
pub(crate) fn connection_of(request: &Request) -> Result<Arc<ConnectionInfo>, Refused> {
    let missing = || Refused::new(Problem::InvalidRequest, "the connection is not known");
    request.extensions().get::<Arc<ConnectionInfo>>().cloned().ok_or_else(missing)
}

pub(crate) fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Makes a WebSocket of a request, with bounds on all that its client can have held.
pub(crate) async fn upgrade(request: Request) -> Result<WebSocketUpgrade, Refused> {
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade =
        upgrade.map_err(|error| Refused::new(Problem::InvalidRequest, error.to_string()))?;
    Ok(upgrade
        .read_buffer_size(WEBSOCKET_READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * STREAM_BYTES_MAX + WEBSOCKET_MESSAGE_BYTES_MAX)
        .max_message_size(WEBSOCKET_MESSAGE_BYTES_MAX)
        .max_frame_size(WEBSOCKET_MESSAGE_BYTES_MAX))
}

fn subscription(query: &Query, headers: &HeaderMap) -> Result<Subscription, Refused> {
    let names = query.list("symbols", "symbol");
    let patterns = query.list("patterns", "pattern");
    let interval = query.one("interval")?.map_or(Ok(None), parse_interval)?;
    Ok(Subscription {
        names: Names::parse(names.iter().map(String::as_str), !patterns.is_empty())?,
        patterns: patterns.into_iter().map(String::into_bytes).collect(),
        interval,
        name: query.one("name")?.map_or(Ok(String::new()), parse_name)?,
        resumes: resumes(headers),
    })
}

/// From where a stream is to go on.
fn resumes(headers: &HeaderMap) -> Option<EventId> {
    EventId::parse(headers.get("last-event-id")?.to_str().ok()?)
}

/// Begins a stream that has these subscriptions.
pub(crate) fn begin(
    plane: &Plane,
    caller: &Caller,
    info: &ConnectionInfo,
    kind: &'static str,
    subscription: &Subscription,
) -> Result<Teller, Refused> {
    let stream = plane.hub.open(kind, info, &subscription.name, &caller.identity)?;
    subscription.apply(&stream)?;
    let clock = &plane.hub.clock;
    clock.look();
    let from = subscription.resumed_from(&Resumable {
        epoch: stream.epoch(),
        keeps_all: plane.config.keeps_all,
        is_node: plane.engine().cluster_report().is_some(),
        clock,
    });
    let mut teller = Teller::new(stream, subscription.interval, subscription.resumes.zip(from));
    teller.tell_unlisted(&subscription.names.impossible);
    Ok(teller)
}
