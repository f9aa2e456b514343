//! What `INFO` says, from what every part of the server counts.

use std::fmt::{self, Write};
use std::time::Instant;

use stockd_engine::Access;
use stockd_wire::resp::Arguments;

use crate::Metrics;
use crate::server_state::ServerState;

/// The sections of these names, in any case, or all of them where none is named.
pub(crate) fn text(server: &ServerState, asked: Arguments<'_>, now: Instant) -> String {
    let all = asked.into_iter().all(|name| {
        let whole = [b"all".as_slice(), b"default", b"everything"];
        whole.iter().any(|whole| whole.eq_ignore_ascii_case(name))
    });
    let metrics = server.metrics();
    let sections = [
        ("Server", about_server(server, &metrics, now)),
        ("Clients", about_clients(&metrics)),
        ("Memory", about_memory(server, &metrics)),
        ("Persistence", about_persistence(server)),
        ("Stats", about_work(server, &metrics)),
        ("Keyspace", about_stocks(server)),
    ];
    let mut text = String::new();
    for (name, lines) in sections {
        if all || asked.into_iter().any(|asked| asked.eq_ignore_ascii_case(name.as_bytes())) {
            let separator = if text.is_empty() { "" } else { "\r\n" };
            let written = write!(text, "{separator}# {name}\r\n{lines}");
            debug_assert!(written.is_ok(), "a string takes everything");
        }
    }
    text
}

fn about_server(server: &ServerState, metrics: &Metrics, now: Instant) -> Lines {
    let mut lines = Lines::default();
    lines.add("stockd_version", env!("CARGO_PKG_VERSION"));
    // What clients of Redis look for to know which commands they may use.
    lines.add("redis_version", "7.0.0");
    lines.add("redis_mode", "standalone");
    lines.add("process_id", std::process::id());
    lines.add("uptime_in_seconds", now.saturating_duration_since(server.started).as_secs());
    // Text, since many readers keep numbers in floats.
    lines.add("epoch", format_args!("{:016x}", server.engine.epoch()));
    lines.add("workers", metrics.open_per_worker.len());
    lines.add("log_lines_lost", metrics.log_lines_lost);
    lines
}

fn about_clients(metrics: &Metrics) -> Lines {
    let mut lines = Lines::default();
    lines.add("connected_clients", metrics.open);
    lines.add("maxclients", metrics.connections_max);
    lines.add("queued_clients", metrics.queued);
    lines.add("queued_clients_peak", metrics.queued_peak);
    lines.add("slow_clients", metrics.slow);
    lines.add("unsent_bytes", metrics.bytes_unsent);
    lines.add("subscribers", metrics.subscribers);
    lines.add("subscriptions", metrics.subscriptions);
    lines
}

fn about_memory(server: &ServerState, metrics: &Metrics) -> Lines {
    let mut lines = Lines::default();
    if let Some(resident) = resident_bytes() {
        lines.add("used_memory_rss", resident);
    }
    lines.add("catalog_bytes", server.engine.memory_bytes());
    lines.add("snapshot_bytes", metrics.snapshot_bytes);
    lines.add("memory_max", metrics.memory_max);
    lines.add("clients_memory", metrics.memory);
    lines.add("clients_memory_replies", metrics.memory_replies);
    lines.add("clients_memory_requests", metrics.memory_requests);
    lines.add("clients_memory_walks", metrics.memory_walks);
    lines.add("clients_memory_parked", metrics.memory_parked);
    lines.add("clients_memory_subscriptions", metrics.memory_subscriptions);
    lines
}

fn about_persistence(server: &ServerState) -> Lines {
    let mut lines = Lines::default();
    lines.add("loading", 0);
    lines.add("aof_enabled", u8::from(server.engine.commit_report().is_some()));
    if let Some(commits) = server.engine.commit_report() {
        let state = if commits.failed.is_some() { "err" } else { "ok" };
        lines.add("aof_last_write_status", state);
        lines.add("read_only", u8::from(commits.failed.is_some()));
        lines.add("read_only_cause", commits.failed.unwrap_or_default());
        lines.add("commits", commits.commits);
        lines.add("stocks_written", commits.stocks_written);
        lines.add("last_commit_us", commits.last_commit_ns / 1000);
        lines.add("longest_commit_us", commits.longest_commit_ns / 1000);
    }
    lines
}

fn about_work(server: &ServerState, metrics: &Metrics) -> Lines {
    let totals = server.engine.totals();
    let mut lines = Lines::default();
    lines.add("total_connections_received", metrics.accepted);
    let refused = metrics.refused_at_limit + metrics.refused_queue_full;
    lines.add("rejected_connections", refused);
    lines.add("total_net_input_bytes", metrics.bytes_in);
    lines.add("total_net_output_bytes", metrics.bytes_out);
    lines.add("lookups", totals.lookups());
    lines.add("keyspace_hits", totals.hits);
    lines.add("keyspace_misses", totals.misses);
    lines.add("listings", totals.listings);
    lines.add("updates", totals.updates);
    lines.add("trades", totals.trades);
    lines.add("delistings", totals.delistings);
    lines.add("refused_writes", totals.refusals);
    lines.add("transactions", totals.transactions);
    lines.add("conflicts", totals.conflicts);
    lines.add("messages", metrics.messages);
    lines.add("conflated_messages", metrics.conflated);
    lines.add("closed_stalled_clients", metrics.closed_stalled);
    lines.add("closed_idle_clients", metrics.closed_idle);
    lines.add("closed_request_timeout_clients", metrics.closed_request_timeout);
    lines.add("closed_memory_clients", metrics.closed_memory);
    lines.add("refused_memory_commands", metrics.refused_memory);
    lines
}

fn about_stocks(server: &ServerState) -> Lines {
    let mut lines = Lines::default();
    let stocks = server.engine.count(&Access::All);
    lines.add("db0", format_args!("keys={stocks},expires=0,avg_ttl=0"));
    lines
}

/// Lines of a name and a value.
#[derive(Debug, Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl fmt::Display) {
        let written = write!(self.0, "{name}:{value}\r\n");
        debug_assert!(written.is_ok(), "a string takes everything");
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Memory of the process that is in use now, where the system tells (Linux: proc(5), `statm`).
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size())
}
