//! `/metrics`: what is counted, as OpenMetrics text, from one table.
//!
//! A row has a name, what it is, its unit, its help and where its numbers are. The table of the documents is made of
//! it, and a test compares. It knows no client library: text of a few hundred lines needs none.
//!
//! Invariant: the number of series does not depend on stocks, clients or symbols, and is at most
//! [`METRIC_SERIES_MAX`](stockd_model::limits::METRIC_SERIES_MAX).

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use stockd_engine::{Access, COMMIT_TIMES_US, ClusterReport, CommitReport, FeedReport, Totals};
use stockd_model::limits::FEED_SERIES_MAX;
use stockd_model::{FeedState, Problem, Right};
use stockd_server::Metrics;

use crate::accept;
use crate::caller::Caller;
use crate::connection::Closed;
use crate::latencies::{BOUNDS_US, Counted};
use crate::orders::ledger::LedgerReport;
use crate::plane::Plane;
use crate::query::Query;
use crate::refused::Refused;

/// What was read once, of which every row takes its part.
pub(crate) struct Reading<'a> {
    plane: &'a Plane,
    server: Metrics,
    totals: Totals,
    commits: Option<CommitReport>,
    cluster: Option<ClusterReport>,
    feeds: Vec<FeedReport>,
    streams: (usize, usize),
    orders: LedgerReport,
}

/// Whether a number only rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// `seconds`, `bytes`, or nothing.
    pub(crate) unit: &'static str,
    pub(crate) help: &'static str,
    read: fn(&Reading<'_>, &mut Samples<'_>),
}

/// Where a row writes its numbers.
pub(crate) struct Samples<'a> {
    row: &'a Row,
    out: &'a mut String,
}

/// Declares rows: name, kind, unit, help, and what they read.
macro_rules! rows {
    ($($name:literal, $kind:ident, $unit:literal, $help:literal, $read:expr;)+) => {
        /// All metrics.
        pub(crate) const TABLE: &[Row] =
            &[$(Row { name: $name, kind: Kind::$kind, unit: $unit, help: $help, read: $read },)+];
    };
}

rows! {
    "stockd_build", Gauge, "", "1, with the version of the server.",
        |_, it| it.labelled("version", env!("CARGO_PKG_VERSION"), 1);
    "stockd_uptime_seconds", Gauge, "seconds", "How long the server has run.",
        |r, it| it.one(r.plane.observer.started().elapsed().as_secs_f64());
    "stockd_stocks", Gauge, "", "Stocks that are listed.",
        |r, it| it.one(r.plane.engine().count(&Access::All).unwrap_or_default());
    "stockd_catalog_bytes", Gauge, "bytes", "Memory of the catalog, its unused rows included.",
        |r, it| it.one(r.plane.engine().memory_bytes());
    "stockd_resident_bytes", Gauge, "bytes", "Memory of the process that is in use.",
        |r, it| if let Some(bytes) = r.plane.observer.resident_bytes() { it.one(bytes) };
    "stockd_cpu_seconds", Counter, "seconds", "Processor time of the process.",
        |r, it| if let Some(seconds) = r.plane.observer.cpu_seconds() { it.one(seconds) };
    "stockd_lookups", Counter, "", "Lookups over all protocols, by what they found.",
        |r, it| {
            it.labelled("result", "found", r.totals.hits);
            it.labelled("result", "missing", r.totals.misses);
        };
    "stockd_writes", Counter, "", "Writes that took effect, by kind.",
        |r, it| {
            it.labelled("kind", "listing", r.totals.listings);
            it.labelled("kind", "update", r.totals.updates);
            it.labelled("kind", "trade", r.totals.trades);
            it.labelled("kind", "delisting", r.totals.delistings);
        };
    "stockd_refused_writes", Counter, "", "Writes that were refused, by reason; reads too, where they are not permitted.",
        |r, it| {
            it.labelled("reason", "late", r.totals.refused_late);
            it.labelled("reason", "condition", r.totals.refused_condition);
            it.labelled("reason", "not_listed", r.totals.refused_not_listed);
            it.labelled("reason", "halted", r.totals.refused_halted);
            it.labelled("reason", "volume", r.totals.refused_volume);
            it.labelled("reason", "full", r.totals.refused_full);
            it.labelled("reason", "storage", r.totals.refused_storage);
            it.labelled("reason", "invalid", r.server.refused_invalid);
            it.labelled("reason", "not_permitted", r.totals.not_permitted);
        };
    "stockd_transactions", Counter, "", "Transactions, by what became of them.",
        |r, it| {
            it.labelled("result", "executed", r.totals.transactions);
            it.labelled("result", "conflict", r.totals.conflicts);
        };
    "stockd_feeds", Gauge, "", "Feeds that were opened, or that stocks come from, by state.",
        |r, it| for state in FeedState::ALL {
            let feeds = r.feeds.iter().filter(|report| report.feed.state == state);
            it.labelled("state", state.as_str(), feeds.count());
        };
    "stockd_feed_age_seconds", Gauge, "seconds", "How long ago each of the first feeds was heard of; FEED LIST has all.",
        |r, it| for report in r.feeds.iter().take(FEED_SERIES_MAX) {
            if let Some(age) = report.age {
                it.labelled("feed", report.feed.name.as_str(), age.as_secs_f64());
            }
        };
    "stockd_feed_stocks", Gauge, "", "Stocks whose quote is from each of the first feeds.",
        |r, it| for report in r.feeds.iter().take(FEED_SERIES_MAX) {
            it.labelled("feed", report.feed.name.as_str(), report.stocks);
        };
    "stockd_snapshot_bytes", Gauge, "bytes", "What writes have saved for snapshots that are being read.",
        |r, it| it.one(r.server.snapshot_bytes);
    "stockd_read_only", Gauge, "", "1 when writes are refused because the disk has failed.",
        |r, it| it.one(u8::from(r.commits.is_some_and(|commits| commits.failed.is_some())));
    "stockd_commits", Counter, "", "Commits to the disk.",
        |r, it| it.one(r.commits.map_or(0, |commits| commits.commits));
    "stockd_committed_stocks", Counter, "", "Stocks that commits have written.",
        |r, it| it.one(r.commits.map_or(0, |commits| commits.stocks_written));
    "stockd_last_commit_seconds", Gauge, "seconds", "How long the last commit took.",
        |r, it| it.one(r.commits.map_or(0.0, |commits| commits.last_commit_ns as f64 / 1e9));
    "stockd_longest_commit_seconds", Gauge, "seconds", "How long the longest commit took.",
        |r, it| it.one(r.commits.map_or(0.0, |commits| commits.longest_commit_ns as f64 / 1e9));
    "stockd_commit_seconds", Histogram, "seconds", "How long commits took, their sync included.",
        |r, it| {
            let commits = r.commits.unwrap_or_default();
            let mut sum = 0;
            let add = |commits: u64| {
                sum += commits;
                sum
            };
            let cumulative = commits.commits_by_time.into_iter().map(add).collect();
            let sum_seconds = commits.commits_ns as f64 / 1e9;
            it.histogram(None, &COMMIT_TIMES_US, &Counted { cumulative, sum_seconds });
        };
    "stockd_log_bytes", Gauge, "bytes", "What the log of durable writes has behind the last checkpoint.",
        |r, it| it.one(r.commits.map_or(0, |commits| commits.log_bytes));
    "stockd_log_segments", Gauge, "", "Segments of that log.",
        |r, it| it.one(r.commits.map_or(0, |commits| commits.log_segments));
    "stockd_checkpoints", Counter, "", "Checkpoints written.",
        |r, it| it.one(r.commits.map_or(0, |commits| commits.checkpoints));
    "stockd_checkpoint_stocks", Counter, "", "Stocks that checkpoints have written.",
        |r, it| it.one(r.commits.map_or(0, |commits| commits.checkpoint_stocks));
    "stockd_last_checkpoint_seconds", Gauge, "seconds", "How long the last checkpoint took.",
        |r, it| it.one(r.commits.map_or(0.0, |commits| commits.last_checkpoint_ns as f64 / 1e9));
    "stockd_checkpoint_age_seconds", Gauge, "seconds", "How long ago the last checkpoint was written, or the start where there was none.",
        |r, it| it.one(r.commits.map_or(0.0, |commits| commits.checkpoint_age.as_secs_f64()));
    "stockd_cluster_ready", Gauge, "", "1 when a node of a cluster is not behind; no number where there is no cluster.",
        |r, it| if let Some(node) = &r.cluster { it.one(u8::from(node.is_ready)) };
    "stockd_cluster_writes", Gauge, "", "1 when the node takes writes.",
        |r, it| if let Some(node) = &r.cluster { it.one(u8::from(node.state == "ok")) };
    "stockd_cluster_applied", Counter, "", "Messages of the log that the node has applied.",
        |r, it| if let Some(node) = &r.cluster { it.one(node.applied) };
    "stockd_cluster_staleness_seconds", Gauge, "seconds", "How old what the node shows may be, at most.",
        |r, it| if let Some(age) = r.cluster.as_ref().and_then(|node| node.staleness) { it.one(age.as_secs_f64()) };
    "stockd_cluster_uncertain", Gauge, "", "Messages of the node that may or may not take effect.",
        |r, it| if let Some(node) = &r.cluster { it.one(node.uncertain) };
    "stockd_cluster_followed", Counter, "", "How often the node has followed the log again.",
        |r, it| if let Some(node) = &r.cluster { it.one(node.followed) };
    "stockd_cluster_kept", Counter, "", "Messages of the log that the data directory of the node has.",
        |r, it| if let Some(kept) = r.cluster.as_ref().and_then(|node| node.kept) { it.one(kept) };
    "stockd_cluster_snapshot", Counter, "", "Messages of the log that are in the latest snapshot.",
        |r, it| if let Some(node) = &r.cluster { it.one(node.snapshot) };
    "stockd_connections_open", Gauge, "", "Connections that are open, by plane: those of the line protocol and RESP, and those of HTTP and gRPC.",
        |r, it| {
            it.labelled("plane", "data", r.server.open);
            it.labelled("plane", "web", r.plane.open());
        };
    "stockd_connections_max", Gauge, "", "Connections that may be open, by plane.",
        |r, it| {
            it.labelled("plane", "data", r.server.connections_max);
            it.labelled("plane", "web", r.plane.config.connections_max);
        };
    "stockd_connections_accepted", Counter, "", "Connections accepted, by plane.",
        |r, it| {
            it.labelled("plane", "data", r.server.accepted);
            it.labelled("plane", "web", count(&r.plane.counts.accepted));
        };
    "stockd_connections_refused", Counter, "", "Connections refused, by reason.",
        |r, it| {
            it.labelled("reason", "at_limit", r.server.refused_at_limit);
            it.labelled("reason", "queue_full", r.server.refused_queue_full);
            it.labelled("reason", "web_at_limit", count(&r.plane.counts.refused_connections));
        };
    "stockd_connections_closed", Counter, "", "Connections closed by the server, by reason.",
        |r, it| {
            it.labelled("reason", "stalled", r.server.closed_stalled);
            it.labelled("reason", "idle", r.server.closed_idle);
            it.labelled("reason", "request_timeout", r.server.closed_request_timeout);
            it.labelled("reason", "memory", r.server.closed_memory);
            it.labelled("reason", "line_too_long", r.server.closed_line_too_long);
            it.labelled("reason", "protocol_error", r.server.closed_protocol_error);
            it.labelled("reason", "failed", r.server.closed_failed);
            for why in Closed::ALL {
                it.labelled("reason", why.name(), r.plane.traffic.closed(why));
            }
        };
    "stockd_access_refused", Counter, "", "Requests of the data plane refused by rights, by protocol and reason.",
        |r, it| {
            it.two(("protocol", "line"), ("reason", "read"), r.server.refused_line_read);
            it.two(("protocol", "resp"), ("reason", "read"), r.server.refused_resp_read);
            it.two(("protocol", "resp"), ("reason", "write"), r.server.refused_resp_write);
            it.two(("protocol", "resp"), ("reason", "trade"), r.server.refused_resp_trade);
            it.two(("protocol", "resp"), ("reason", "admin"), r.server.refused_resp_admin);
            it.two(("protocol", "resp"), ("reason", "metrics"), r.server.refused_resp_metrics);
            it.two(("protocol", "resp"), ("reason", "unauthenticated"), r.server.refused_resp_unauthenticated);
            it.two(("protocol", "resp"), ("reason", "credentials"), r.server.refused_resp_credentials);
        };
    "stockd_access_loads", Counter, "", "Access files that came into force, and those that did not for a mistake in them.",
        |r, it| {
            it.labelled("result", "taken", r.plane.observer.authority().generation());
            it.labelled("result", "refused", r.server.access_failed_loads);
        };
    "stockd_insecure_listeners", Gauge, "", "Listeners that others can reach and that protect nothing.",
        |r, it| it.one(r.server.insecure_listeners);
    "stockd_accept_pauses", Counter, "", "Times that accepting paused for want of files or memory.",
        |r, it| it.one(r.server.accept_pauses);
    "stockd_queued_connections", Gauge, "", "Accepted connections that wait for a worker.",
        |r, it| it.one(r.server.queued);
    "stockd_queued_connections_peak", Gauge, "", "The most that ever waited for a worker.",
        |r, it| it.one(r.server.queued_peak);
    "stockd_slow_clients", Gauge, "", "Connections of the data plane that have not taken all that was sent to them.",
        |r, it| it.one(r.server.slow);
    "stockd_unsent_bytes", Gauge, "bytes", "Replies of the data plane that wait for clients to take them.",
        |r, it| it.one(r.server.bytes_unsent);
    "stockd_received_bytes", Counter, "bytes", "Bytes received, by plane.",
        |r, it| {
            it.labelled("plane", "data", r.server.bytes_in);
            it.labelled("plane", "web", count(&r.plane.traffic.bytes_in));
        };
    "stockd_sent_bytes", Counter, "bytes", "Bytes sent, by plane.",
        |r, it| {
            it.labelled("plane", "data", r.server.bytes_out);
            it.labelled("plane", "web", count(&r.plane.traffic.bytes_out));
        };
    "stockd_memory_bytes", Gauge, "bytes", "Memory that all connections hold, against memory_max.",
        |r, it| it.one(r.server.memory);
    "stockd_memory_max_bytes", Gauge, "bytes", "Memory that all connections may hold.",
        |r, it| it.one(r.server.memory_max);
    "stockd_memory_refused", Counter, "", "Commands of RESP refused for want of memory.",
        |r, it| it.one(r.server.refused_memory);
    "stockd_requests", Counter, "", "Requests of the data plane, by protocol.",
        |r, it| {
            it.labelled("protocol", "line", r.server.lines);
            it.labelled("protocol", "resp", r.server.calls.iter().sum::<u64>());
        };
    "stockd_error_replies", Counter, "", "Error replies of RESP.",
        |r, it| it.one(r.server.errors.iter().sum::<u64>());
    "stockd_http_responses", Counter, "", "Responses of HTTP and gRPC, by the class of their status.",
        |r, it| {
            for (class, responses) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(&r.plane.counts.by_class) {
                it.labelled("status", class, count(responses));
            }
        };
    "stockd_grpc_requests", Counter, "", "Requests of gRPC among them.",
        |r, it| it.one(count(&r.plane.counts.grpc));
    "stockd_http_refused", Counter, "", "Requests of HTTP and gRPC refused before they were looked at, by reason.",
        |r, it| {
            it.labelled("reason", "foreign", count(&r.plane.counts.foreign));
            it.labelled("reason", "busy", count(&r.plane.counts.busy));
            it.labelled("reason", "too_slow", count(&r.plane.counts.too_slow));
            it.labelled("reason", "too_large", count(&r.plane.counts.too_large));
        };
    "stockd_http_problems", Counter, "", "Responses of HTTP that say a problem, by its name; a problem that was never said is left out.",
        |r, it| for problem in Problem::ALL {
            let said = r.plane.counts.problems.noted(*problem);
            if said > 0 {
                it.labelled("problem", problem.name(), said);
            }
        };
    "stockd_unauthenticated", Counter, "", "Requests of HTTP and gRPC without a right token, by what they showed.",
        |r, it| {
            it.labelled("showed", "nothing", count(&r.plane.counts.unauthenticated));
            it.labelled("showed", "wrong_token", count(&r.plane.counts.wrong_tokens));
        };
    "stockd_tls_handshakes", Counter, "", "Handshakes of TLS that ended well, of the data plane.",
        |r, it| it.one(r.server.tls_handshakes);
    "stockd_tls_failed", Counter, "", "Connections that ended because of TLS, by plane: no handshake in time, or a broken protocol.",
        |r, it| {
            it.labelled("plane", "data", r.server.closed_handshake + r.server.closed_tls_error);
            it.labelled("plane", "web", count(&r.plane.counts.failed_handshakes));
        };
    "stockd_certificate_left_seconds", Gauge, "seconds", "How long the certificate in use is valid.",
        |r, it| if let Some(tls) = &r.plane.config.tls {
            it.one(tls.validity().left(std::time::SystemTime::now()).as_secs());
        };
    "stockd_certificates", Counter, "", "Changed certificates that were looked at, by what became of them.",
        |r, it| if let Some(tls) = &r.plane.config.tls {
            it.labelled("result", "exchanged", tls.exchanged());
            it.labelled("result", "refused", tls.refused());
        };
    "stockd_http_request_seconds", Histogram, "seconds", "Time until the response of a request of HTTP or gRPC begins, streams apart.",
        |r, it| for (protocol, counted) in r.plane.latencies.counted() { it.histogram(Some(("protocol", protocol)), &BOUNDS_US, &counted) };
    "stockd_resp_command_seconds", Histogram, "seconds", "How long commands of RESP that read and that write took; few are measured, each for many.",
        |r, it| for (kind, rights) in [("read", &[Right::Read][..]), ("write", &[Right::Write, Right::Trade])] {
            let (buckets, sum_ns) = r.server.command_latencies_of(rights);
            it.histogram(Some(("kind", kind)), &BOUNDS_US, &Counted::of_fine(&buckets, sum_ns));
        };
    "stockd_subscribers", Gauge, "", "Connections of RESP that are subscribed to something.",
        |r, it| it.one(r.server.subscribers);
    "stockd_subscriptions", Gauge, "", "Symbols and patterns that are subscribed to, by plane.",
        |r, it| {
            it.labelled("plane", "data", r.server.subscriptions);
            it.labelled("plane", "web", r.streams.1);
        };
    "stockd_tracking_clients", Gauge, "", "Connections of RESP that have their reads tracked.",
        |r, it| it.one(r.server.trackers);
    "stockd_messages", Counter, "", "Messages made for subscribers, by plane.",
        |r, it| {
            it.labelled("plane", "data", r.server.messages);
            it.labelled("plane", "web", count(&r.plane.hub.counts.messages));
        };
    "stockd_conflated_messages", Counter, "", "Messages that subscribers were spared because a newer quote took their place, by plane.",
        |r, it| {
            it.labelled("plane", "data", r.server.conflated);
            it.labelled("plane", "web", count(&r.plane.hub.counts.conflated));
        };
    "stockd_streams_open", Gauge, "", "Streams of HTTP and gRPC that are open.",
        |r, it| it.one(r.streams.0);
    "stockd_streams_max", Gauge, "", "Streams that may be open.",
        |r, it| it.one(r.plane.config.streams_max);
    "stockd_streams_opened", Counter, "", "Streams that were opened.",
        |r, it| it.one(count(&r.plane.hub.counts.opened));
    "stockd_streams_refused", Counter, "", "Streams that were refused, for want of room or memory.",
        |r, it| it.one(count(&r.plane.hub.counts.refused));
    "stockd_orders", Counter, "", "Orders of the facade of CS677 that were executed.",
        |r, it| it.one(r.orders.executed);
    "stockd_orders_refused", Counter, "", "Orders that were refused because as many waited as may.",
        |r, it| it.one(r.orders.refused);
    "stockd_orders_waiting", Gauge, "", "Orders that wait to be executed.",
        |r, it| it.one(r.orders.waiting);
    "stockd_orders_kept", Gauge, "", "Orders that can be asked for.",
        |r, it| it.one(r.orders.kept);
    "stockd_orders_kept_max", Gauge, "", "Orders that are kept at most: beyond it the oldest goes.",
        |r, it| it.one(r.orders.kept_max);
    "stockd_log_lines_lost", Counter, "", "Lines of the log that were lost.",
        |r, it| it.one(r.server.log_lines_lost);
}

fn count(cell: &AtomicU64) -> u64 {
    cell.load(Ordering::Relaxed)
}

/// What the server counts, as OpenMetrics.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "metrics", content((String = "application/openmetrics-text"), (String = "text/plain")))))]
pub(crate) async fn metrics(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    caller.check(Right::Metrics)?;
    // Scrapers may add parameters of their own.
    drop(query);
    let offered = ["application/openmetrics-text", "text/plain"];
    let (format, kind) = match accept::best(&headers, &offered)? {
        "text/plain" => (Format::Classic, "text/plain; version=0.0.4; charset=utf-8"),
        _ => (Format::Open, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    };
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store"), (VARY, "Accept")];
    Ok((headers, text(&plane, format)).into_response())
}

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// OpenMetrics.
    Open,
    /// As Prometheus had it before: the name of a counter has its suffix everywhere, and there are no units.
    Classic,
}

/// All metrics as they are now.
fn text(plane: &Plane, format: Format) -> String {
    let reading = Reading {
        plane,
        server: plane.observer.metrics(),
        totals: plane.engine().totals(),
        commits: plane.engine().commit_report(),
        cluster: plane.engine().cluster_report(),
        feeds: plane.engine().feed_reports(Instant::now()),
        streams: plane.hub.open_streams(),
        orders: plane.ledger.report(),
    };
    let mut out = String::new();
    for row in TABLE {
        let Row { name, kind, unit, help, read } = row;
        let mut samples = Samples { row, out: &mut out };
        let suffix = if format == Format::Open { "" } else { samples.suffix() };
        samples.write(format_args!("# TYPE {name}{suffix} {kind}\n"));
        if !unit.is_empty() && format == Format::Open {
            samples.write(format_args!("# UNIT {name} {unit}\n"));
        }
        samples.write(format_args!("# HELP {name}{suffix} {help}\n"));
        read(&reading, &mut samples);
    }
    if format == Format::Open {
        out.push_str("# EOF\n");
    }
    out
}

impl Samples<'_> {
    fn write(&mut self, line: fmt::Arguments<'_>) {
        let written = self.out.write_fmt(line);
        debug_assert!(written.is_ok(), "a string takes everything");
    }

    fn suffix(&self) -> &'static str {
        if self.row.kind == Kind::Counter { "_total" } else { "" }
    }

    fn one(&mut self, value: impl fmt::Display) {
        let (name, suffix) = (self.row.name, self.suffix());
        self.write(format_args!("{name}{suffix} {value}\n"));
    }

    fn labelled(&mut self, label: &str, is: &str, value: impl fmt::Display) {
        let (name, suffix) = (self.row.name, self.suffix());
        self.write(format_args!("{name}{suffix}{{{label}=\"{is}\"}} {value}\n"));
    }

    fn two(&mut self, one: (&str, &str), other: (&str, &str), value: impl fmt::Display) {
        let (name, suffix) = (self.row.name, self.suffix());
        let ((one, is), (other, also)) = (one, other);
        self.write(format_args!("{name}{suffix}{{{one}=\"{is}\",{other}=\"{also}\"}} {value}\n"));
    }

    fn histogram(
        &mut self,
        label: Option<(&str, &str)>,
        bounds_us: &[u64],
        Counted { cumulative, sum_seconds }: &Counted,
    ) {
        let name = self.row.name;
        let label = label.map(|(label, is)| format!("{label}=\"{is}\""));
        let all_labels = label.as_ref().map(|label| format!("{{{label}}}")).unwrap_or_default();
        let label = label.map(|label| label + ",").unwrap_or_default();
        for (bound, count) in bounds_us.iter().zip(cumulative) {
            let bound = *bound as f64 / 1e6;
            self.write(format_args!("{name}_bucket{{{label}le=\"{bound:?}\"}} {count}\n"));
        }
        let all = cumulative.last().copied().unwrap_or_default();
        self.write(format_args!("{name}_bucket{{{label}le=\"+Inf\"}} {all}\n"));
        self.write(format_args!("{name}_count{all_labels} {all}\n"));
        self.write(format_args!("{name}_sum{all_labels} {sum_seconds}\n"));
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        })
    }
}
