//! What the server tells of itself and of who is connected, as JSON.
//!
//! It knows where the numbers are and not what they mean to their readers. Invariant: every number is measured
//! or counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Value, json};
use stockd_engine::Totals;
use stockd_model::limits::HTTP_CLIENTS_PAGE;
use stockd_model::{Problem, Right};
use stockd_server::{Client, Metrics, longest_ns};

use crate::caller::Caller;
use crate::connection::Closed;
use crate::plane::Plane;
use crate::query::Query;
use crate::refused::Refused;
use crate::schema;
use crate::stream::hub::StreamState;
use crate::unsent::Queues;

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
    let mut state = json!({
        "server": format!("stockd {}", env!("CARGO_PKG_VERSION")),
        "epoch": format!("{:016x}", engine.epoch()),
        "uptime_seconds": observer.started().elapsed().as_secs(),
        "stocks": engine.count(caller.access()),
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
        "requests": requests(&plane, &metrics),
        "latency": latency(&plane, &metrics),
        "limits_hit": limits_hit(&plane, &metrics, &totals),
    });
    if let Some(tls) = &plane.config.tls {
        state["certificate"] = json!({
            "left_seconds": tls.validity().left(SystemTime::now()).as_secs(),
            "exchanged": tls.exchanged(),
            "refused": tls.refused(),
        });
    }
    if let Some(cluster) = engine.cluster_report() {
        state["cluster"] = json!({
            "name": cluster.name,
            "state": cluster.state,
            "ready": cluster.is_ready,
            "staleness_seconds": cluster.staleness.map(|staleness| staleness.as_secs_f64()),
            "applied": cluster.applied,
        });
    }
    Ok(answer(&state))
}

/// Requests so far, by protocol.
fn requests(plane: &Plane, metrics: &Metrics) -> Value {
    let counts = &plane.counts;
    let grpc = count(&counts.grpc);
    let all: u64 = counts.by_class.iter().map(count).sum();
    json!({
        "line": metrics.lines,
        "resp": metrics.calls.iter().sum::<u64>(),
        "http": all.saturating_sub(grpc),
        "grpc": grpc,
    })
}

/// How long requests took so far, where that is measured: pairs of the longest time in a bucket, in microseconds, and
/// the requests in it.
fn latency(plane: &Plane, metrics: &Metrics) -> Value {
    let pairs = |counted: &[u64]| {
        let counted = counted.iter().enumerate().filter(|(_, count)| **count > 0);
        let pair = |(bucket, count): (usize, &u64)| json!([longest_ns(bucket) as f64 / 1e3, count]);
        counted.map(pair).collect::<Vec<_>>()
    };
    let [(http_name, http), (grpc_name, grpc)] = plane.latencies.fine();
    json!({
        "resp": pairs(&metrics.command_latencies()),
        http_name: pairs(&http),
        grpc_name: pairs(&grpc),
    })
}

/// A limit as it is named and told, and how often it was reached.
type Limit = (&'static str, &'static str, u64);

/// Limits of this plane whose clients are closed.
const CLOSING: [(Closed, &str, &str); 5] = [
    (Closed::HeadTooLong, "http_head_bytes", "HTTP connections closed: the head is too long"),
    (Closed::Resets, "http2_resets", "HTTP/2 connections closed: too many requests given up"),
    (Closed::Silent, "websocket_silence", "WebSocket clients closed: silent for too long"),
    (Closed::NoToken, "websocket_token", "WebSocket clients closed: they showed no token in time"),
    (Closed::MessageTooLong, "websocket_bytes", "WebSocket clients closed: a message is too long"),
];

/// Limits of this plane whose requests are refused.
const REFUSING: [(Problem, &str, &str); 3] = [
    (Problem::UriTooLong, "http_uri_bytes", "HTTP requests refused: the address is too long"),
    (Problem::TooManyNames, "http_names", "HTTP requests refused: they name too many stocks"),
    (Problem::TooManySnapshots, "snapshots", "snapshots refused: as many are read as may be"),
];

/// The limits that were reached so far, and how often.
fn limits_hit(plane: &Plane, metrics: &Metrics, totals: &Totals) -> Value {
    let closing = CLOSING.map(|(why, name, about)| (name, about, plane.traffic.closed(why)));
    let problems = &plane.counts.problems;
    let refusing = REFUSING.map(|(problem, name, about)| (name, about, problems.noted(problem)));
    let limits = shared_limits(plane, metrics, totals).into_iter();
    let limits = limits.chain(web_limits(plane)).chain(closing).chain(refusing);
    let reached = limits.filter(|(_, _, hits)| *hits > 0);
    let shown = |(name, about, hits)| json!({ "name": name, "about": about, "hits": hits });
    reached.map(shown).collect()
}

/// Limits of the data plane, and of both.
fn shared_limits(plane: &Plane, metrics: &Metrics, totals: &Totals) -> [Limit; 10] {
    let closed = |why| plane.traffic.closed(why);
    [
        (
            "connections",
            "connections refused: as many are open as may be",
            metrics.refused_at_limit,
        ),
        ("work_queue", "connections refused: the work queue is full", metrics.refused_queue_full),
        ("files", "accepting paused: no file or memory is left", metrics.accept_pauses),
        (
            "stalled",
            "connections closed: the client took nothing for too long",
            metrics.closed_stalled + closed(Closed::Stalled),
        ),
        (
            "idle",
            "connections closed: idle for too long",
            metrics.closed_idle + closed(Closed::Idle),
        ),
        (
            "request_timeout",
            "connections closed: a request did not come whole in time",
            metrics.closed_request_timeout,
        ),
        (
            "memory",
            "connections closed and commands refused: memory_max",
            metrics.closed_memory + metrics.refused_memory,
        ),
        ("line_bytes", "connections closed: a line is too long", metrics.closed_line_too_long),
        ("stocks", "listings refused: as many stocks as may be", totals.refused_full),
        ("log_lines", "lines of the log lost", metrics.log_lines_lost),
    ]
}

/// Limits of this plane that have a counter of their own.
fn web_limits(plane: &Plane) -> [Limit; 6] {
    let counts = &plane.counts;
    [
        (
            "http_connections",
            "HTTP connections refused: as many are open as may be",
            count(&counts.refused_connections),
        ),
        (
            "http_requests",
            "HTTP requests refused: as many are being answered as may be",
            count(&counts.busy),
        ),
        (
            "http_body_bytes",
            "HTTP requests refused: the body is too large",
            count(&counts.too_large),
        ),
        (
            "http_time",
            "HTTP requests ended: they did not come whole in time",
            count(&counts.too_slow),
        ),
        (
            "streams",
            "streams refused: as many are open as may be",
            count(&plane.hub.counts.refused),
        ),
        (
            "orders",
            "orders refused: as many wait to be executed as may",
            plane.ledger.report().refused,
        ),
    ]
}

fn count(cell: &AtomicU64) -> u64 {
    cell.load(Ordering::Relaxed)
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
        let queues = Queues::open();
        clients.extend(streams.iter().map(|state| stream(state, &queues)));
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
        "user": client.user,
        "age_seconds": client.age.as_secs(),
        "idle_seconds": client.idle.as_secs(),
        "symbols": client.symbols,
        "patterns": client.patterns,
        "marks": client.marks,
        "messages": client.messages,
        "conflated": client.conflated,
        "conflated_share": share(client.conflated, client.messages),
        "unsent_bytes": client.unsent_bytes,
        "memory_bytes": client.memory_bytes,
    })
}

fn stream(state: &StreamState, queues: &Queues) -> Value {
    let messages = count(&state.info.messages);
    let ends = state.info.local.zip(state.info.peer.tcp());
    let queued = ends.and_then(|(local, peer)| queues.unsent(local, peer)).unwrap_or_default();
    json!({
        "id": format!("s{}", state.info.id),
        "peer": state.info.peer.to_string(),
        "protocol": state.info.kind,
        "name": state.info.name,
        "user": state.info.user,
        "age_seconds": state.info.since.elapsed().as_secs(),
        "symbols": state.symbols,
        "patterns": state.patterns,
        "marks": state.marks,
        "messages": messages,
        "conflated": state.conflated,
        "conflated_share": share(state.conflated, messages),
        "unsent_bytes": count(&state.info.unsent) + u64::from(queued),
        "waiting_ms": state.waiting.as_millis() as u64,
        "memory_bytes": state.memory_bytes,
    })
}

/// The part of all messages that a subscriber was spared.
fn share(conflated: u64, messages: u64) -> f64 {
    match conflated + messages {
        0 => 0.0,
        all => conflated as f64 / all as f64,
    }
}

fn answer(document: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (headers, document.to_string()).into_response()
}
