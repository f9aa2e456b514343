//! What the server tells of itself and of who is connected, as JSON.
//!
//! It knows where the numbers are and not what they mean to their readers. Invariant: every number is measured
//! or counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Value, json};
use stockd_model::limits::HTTP_CLIENTS_PAGE;
use stockd_model::{Problem, Right};
use stockd_server::Client;

use crate::caller::Caller;
use crate::plane::Plane;
use crate::query::Query;
use crate::refused::Refused;
use crate::schema;
use crate::stream::hub::StreamState;

/// What the server is, has done and holds.
#[utoipa::path(get, path = "/v1/server", tag = "operation",
    responses((status = 200, description = "the state of the server", body = Object)))]
pub(crate) async fn server(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
) -> Result<Response, Refused> {
    query.only(&[])?;
    caller.check(Right::Metrics)?;
    let (engine, observer) = (plane.engine(), &plane.observer);
    let (metrics, totals) = (observer.metrics(), engine.totals());
    let (streams, subscriptions) = plane.hub.open_streams();
    let count = |cell: &std::sync::atomic::AtomicU64| cell.load(Ordering::Relaxed);
    let commits = engine.commit_report().map(|report| {
        json!({
            "commits": report.commits,
            "stocks_written": report.stocks_written,
            "last_commit_us": report.last_commit_ns / 1000,
            "longest_commit_us": report.longest_commit_ns / 1000,
            "commit_p50_us": report.commit_time_us(0.5),
            "commit_p99_us": report.commit_time_us(0.99),
            "log_bytes": report.log_bytes,
            "checkpoints": report.checkpoints,
            "checkpoint_age_seconds": report.checkpoint_age.as_secs(),
            "read_only": report.failed.is_some(),
            "read_only_cause": report.failed,
        })
    });
    Ok(answer(&json!({
        "server": format!("stockd {}", env!("CARGO_PKG_VERSION")),
        "epoch": format!("{:016x}", engine.epoch()),
        "uptime_seconds": observer.started().elapsed().as_secs(),
        "stocks": engine.count(&caller.access),
        "catalog_bytes": engine.memory_bytes(),
        "resident_bytes": observer.resident_bytes(),
        "durable": commits,
        "lookups": totals.lookups(),
        "lookups_found": totals.hits,
        "listings": totals.listings,
        "updates": totals.updates,
        "trades": totals.trades,
        "delistings": totals.delistings,
        "refused_writes": totals.refusals + metrics.refused_invalid,
        "connections": {
            "open": metrics.open,
            "max": metrics.connections_max,
            "by_worker": metrics.open_per_worker,
            "refused": metrics.refused_at_limit + metrics.refused_queue_full,
            "requests_per_second": observer.requests_per_second(Instant::now()),
        },
        "http": {
            "open": plane.open(),
            "max": plane.config.connections_max,
            "refused": count(&plane.counts.refused_connections),
            "streams": streams,
            "streams_max": plane.config.streams_max,
            "subscriptions": subscriptions,
        },
        "memory": { "held_bytes": metrics.memory, "max_bytes": metrics.memory_max },
    })))
}

/// Who is connected: connections of the other protocols, and streams of this one, a page at a time.
#[utoipa::path(get, path = "/v1/clients", tag = "operation",
    params(("cursor" = Option<String>, Query, nullable = false, pattern = "^[cs][0-9]{1,9}$", description = "the `next` of the page before")),
    responses((status = 200, description = "a page of connections", body = Object),
        (status = 400, description = "the cursor is none that a page has given", body = schema::Problem, content_type = "application/problem+json")))]
pub(crate) async fn clients(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
) -> Result<Response, Refused> {
    let query = query.only(&["cursor"])?;
    caller.check(Right::Admin)?;
    let from = match query.one("cursor")? {
        None => (Part::Connections, 1),
        Some(cursor) => parse_cursor(cursor)?,
    };
    let mut clients = Vec::new();
    let mut next = None;
    if from.0 == Part::Connections {
        let connections = plane.observer.clients(from.1, HTTP_CLIENTS_PAGE, Instant::now());
        if connections.len() == HTTP_CLIENTS_PAGE {
            next = connections.last().map(|last| format!("c{}", last.id + 1));
        }
        clients.extend(connections.iter().map(connection));
    }
    if next.is_none() {
        let from = if from.0 == Part::Streams { from.1 } else { 1 };
        let streams = plane.hub.states(from, HTTP_CLIENTS_PAGE);
        if streams.len() == HTTP_CLIENTS_PAGE {
            next = streams.last().map(|last| format!("s{}", last.info.id + 1));
        }
        clients.extend(streams.iter().map(stream));
    }
    let mut page = json!({ "clients": clients });
    if let Some(next) = next {
        page["next"] = next.into();
    }
    Ok(answer(&page))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Connections,
    Streams,
}

fn parse_cursor(text: &str) -> Result<(Part, u64), Refused> {
    let number =
        |text: &str| text.parse().ok().filter(|_| text.bytes().all(|it| it.is_ascii_digit()));
    let connections = || Some((Part::Connections, text.strip_prefix('c').and_then(number)?));
    let streams = || Some((Part::Streams, text.strip_prefix('s').and_then(number)?));
    connections().or_else(streams).ok_or_else(|| {
        let shown = stockd_model::escaped(text.as_bytes()).at_most(100);
        Refused::new(
            Problem::InvalidCursor,
            format!("'{shown}' is no cursor that a page has given"),
        )
    })
}

fn connection(client: &Client) -> Value {
    json!({
        "id": format!("c{}", client.id),
        "peer": client.peer.to_string(),
        "protocol": client.protocol.as_str(),
        "name": client.name,
        "age_seconds": client.age.as_secs(),
        "idle_seconds": client.idle.as_secs(),
        "symbols": client.symbols,
        "patterns": client.patterns,
        "marks": client.marks,
        "unsent_bytes": client.unsent_bytes,
        "memory_bytes": client.memory_bytes,
    })
}

fn stream(state: &StreamState) -> Value {
    let messages = state.info.messages.load(Ordering::Relaxed);
    let all = messages + state.conflated;
    json!({
        "id": format!("s{}", state.info.id),
        "peer": state.info.peer.to_string(),
        "protocol": state.info.kind,
        "age_seconds": state.info.since.elapsed().as_secs(),
        "symbols": state.symbols,
        "patterns": state.patterns,
        "marks": state.marks,
        "messages": messages,
        "conflated": state.conflated,
        "conflated_share": if all == 0 { 0.0 } else { state.conflated as f64 / all as f64 },
        "waiting_ms": state.waiting.as_millis() as u64,
        "memory_bytes": state.memory_bytes,
    })
}

fn answer(document: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (headers, document.to_string()).into_response()
}
