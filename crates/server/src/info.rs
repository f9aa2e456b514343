//! What `INFO` says, from what every part of the server counts.
//!
//! Sections and lines have the names that Redis gives them where they mean the same, so that monitors
//! find what they divide by, and names of ours where Redis has no such thing.
//!
//! Invariant: every number is measured or counted. What is 0 because there is no such thing here
//! (replicas, evicted keys) is 0; what is not known is left out.

use std::fmt::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use stockd_engine::{Access, FeedReport};
use stockd_model::Right;
use stockd_wire::resp::{Arguments, REDIS_VERSION, command_name, error_codes};

use crate::Metrics;
use crate::command_times::TimesSum;
use crate::process::{self, CpuSeconds};
use crate::server_state::ServerState;
use crate::system_memory;

/// What is said where no section is named.
const DEFAULT: &[Section] = &[
    ("Server", about_server),
    ("Clients", about_clients),
    ("Memory", about_memory),
    ("Persistence", about_persistence),
    ("Stats", about_work),
    ("Replication", about_replication),
    ("CPU", about_cpu),
    ("Modules", about_nothing),
    ("Errorstats", about_errors),
    ("Cluster", about_cluster),
    ("Keyspace", about_stocks),
    ("Feeds", about_feeds),
    ("Access", about_access),
];

/// What is said to those who have no right to what the server counts.
const FOR_EVERYBODY: [&str; 6] =
    ["Server", "Persistence", "Replication", "Modules", "Cluster", "Keyspace"];

/// What is said on top of that where all is asked for.
const FURTHER: &[Section] = &[("Commandstats", about_commands), ("Latencystats", about_latencies)];

/// A title, and what stands below it.
type Section = (&'static str, fn(&Known<'_>) -> Lines);

/// What is known of the server at one moment.
struct Known<'a> {
    server: &'a ServerState,
    access: &'a Access,
    metrics: Metrics,
    now: Instant,
}

/// The sections of these names, in any case; those that are told by default where none is named. Of those
/// that count what the server does, none is told without the right `metrics` or `admin`.
pub(crate) fn text(
    server: &ServerState,
    access: &Access,
    asked: Arguments<'_>,
    now: Instant,
) -> String {
    let asks = |name: &str| asked.into_iter().any(|it| it.eq_ignore_ascii_case(name.as_bytes()));
    let all = asks("all") || asks("everything");
    let default = all || asks("default") || asked.len() == 0;
    let known = Known { server, access, metrics: server.metrics(), now };
    let may_see_all = access.has(Right::Metrics) || access.has(Right::Admin);
    let may_see = |title: &&str| may_see_all || FOR_EVERYBODY.contains(title);
    let wanted = |sections: &'static [Section], whole: bool| {
        sections.iter().filter(move |(title, _)| (whole || asks(title)) && may_see(title))
    };
    let mut text = String::new();
    for (title, tell) in wanted(DEFAULT, default).chain(wanted(FURTHER, all)) {
        let separator = if text.is_empty() { "" } else { "\r\n" };
        let written = write!(text, "{separator}# {title}\r\n{}", tell(&known));
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    text
}

fn about_server(Known { server, metrics, now, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    lines.add("server_name", "stockd");
    lines.add("stockd_version", env!("CARGO_PKG_VERSION"));
    // What clients of Redis look for to know which commands they may use.
    lines.add("redis_version", REDIS_VERSION);
    lines.add("redis_mode", "standalone");
    lines.add("os", format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
    lines.add("arch_bits", usize::BITS);
    lines.add("process_id", std::process::id());
    if let Some(port) = server.port.get() {
        lines.add("tcp_port", port);
    }
    lines.add("server_time_usec", stockd_engine::now_ns() / 1000);
    let uptime = now.saturating_duration_since(server.started).as_secs();
    lines.add("uptime_in_seconds", uptime);
    lines.add("uptime_in_days", uptime / (24 * 60 * 60));
    // Text, since many readers keep numbers in floats.
    lines.add("epoch", format_args!("{:016x}", server.engine.epoch()));
    lines.add("workers", metrics.open_per_worker.len());
    lines.add("log_lines_lost", metrics.log_lines_lost);
    if let Some(tls) = server.tls.get() {
        let days = tls.validity().left(SystemTime::now()).as_secs() / (24 * 60 * 60);
        lines.add("tls_certificate_days_left", days);
        lines.add("tls_certificates_exchanged", tls.exchanged());
        lines.add("tls_certificates_refused", tls.refused());
    }
    lines
}

fn about_clients(Known { metrics, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    lines.add("connected_clients", metrics.open);
    lines.add("maxclients", metrics.connections_max);
    // No command waits for anything but the disk.
    lines.add("blocked_clients", 0);
    lines.add("cluster_connections", 0);
    lines.add("queued_clients", metrics.queued);
    lines.add("queued_clients_peak", metrics.queued_peak);
    lines.add("slow_clients", metrics.slow);
    lines.add("unsent_bytes", metrics.bytes_unsent);
    lines.add("pubsub_clients", metrics.subscribers);
    lines.add("subscribers", metrics.subscribers);
    lines.add("subscriptions", metrics.subscriptions);
    lines.add("tracking_clients", metrics.trackers);
    lines
}

fn about_memory(Known { server, metrics, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    let catalog = server.engine.memory_bytes();
    let counted = catalog + metrics.memory as usize;
    let resident = process::resident_bytes();
    lines.add_bytes("used_memory", resident.map_or(counted, |resident| resident.now));
    if let Some(resident) = resident {
        lines.add_bytes("used_memory_rss", resident.now);
        lines.add_bytes("used_memory_peak", resident.peak);
    }
    lines.add("used_memory_dataset", catalog);
    if let Some(bytes) = system_memory::total_system_memory() {
        lines.add_bytes("total_system_memory", bytes);
    }
    // Nothing limits the catalog and the connections together.
    lines.add_bytes("maxmemory", 0);
    lines.add("maxmemory_policy", "noeviction");
    // No scripts, no replicas; memory is given back at once.
    for name in ["used_memory_lua", "used_memory_scripts", "number_of_cached_scripts"] {
        lines.add(name, 0);
    }
    for name in ["mem_clients_slaves", "active_defrag_running", "lazyfree_pending_objects"] {
        lines.add(name, 0);
    }
    lines.add("mem_clients_normal", metrics.memory);
    lines.add("catalog_bytes", catalog);
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

fn about_persistence(Known { server, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    for name in ["loading", "async_loading", "rdb_bgsave_in_progress", "aof_rewrite_in_progress"] {
        lines.add(name, 0);
    }
    lines.add("aof_rewrite_scheduled", 0);
    lines.add("module_fork_in_progress", 0);
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
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            lines.add(&format!("commit_{name}_us"), commits.commit_time_us(share));
        }
        lines.add("log_bytes", commits.log_bytes);
        lines.add("log_segments", commits.log_segments);
        lines.add("checkpoints", commits.checkpoints);
        lines.add("checkpoint_stocks", commits.checkpoint_stocks);
        lines.add("last_checkpoint_us", commits.last_checkpoint_ns / 1000);
        lines.add("checkpoint_age_seconds", commits.checkpoint_age.as_secs());
    }
    lines
}

fn about_work(Known { server, metrics, now, .. }: &Known<'_>) -> Lines {
    let totals = server.engine.totals();
    let rate = server.rates.per_second(*now, metrics.into());
    let kilobytes = |bytes: u64| bytes as f64 / 1024.0;
    let mut lines = Lines::default();
    lines.add("total_connections_received", metrics.accepted);
    lines.add("total_commands_processed", metrics.requests());
    lines.add("instantaneous_ops_per_sec", rate.requests);
    lines.add("total_net_input_bytes", metrics.bytes_in);
    lines.add("total_net_output_bytes", metrics.bytes_out);
    lines.add("instantaneous_input_kbps", format_args!("{:.2}", kilobytes(rate.bytes_in)));
    lines.add("instantaneous_output_kbps", format_args!("{:.2}", kilobytes(rate.bytes_out)));
    let refused = metrics.refused_at_limit + metrics.refused_queue_full;
    lines.add("rejected_connections", refused);
    for name in ["sync_full", "sync_partial_ok", "sync_partial_err", "expired_keys", "evicted_keys"]
    {
        lines.add(name, 0);
    }
    lines.add("evicted_clients", metrics.closed_memory);
    lines.add("keyspace_hits", totals.hits);
    lines.add("keyspace_misses", totals.misses);
    lines.add("pubsub_channels", server.engine.directory().symbols());
    lines.add("pubsub_patterns", server.engine.directory().patterns());
    for name in ["latest_fork_usec", "migrate_cached_sockets", "slave_expires_tracked_keys"] {
        lines.add(name, 0);
    }
    lines.add("total_reads_processed", metrics.reads);
    lines.add("total_writes_processed", metrics.writes);
    lines.add("tracking_total_keys", metrics.tracked);
    lines.add("total_error_replies", metrics.errors.iter().sum::<u64>());
    lines.add("lookups", totals.lookups());
    lines.add("line_requests", metrics.lines);
    lines.add("listings", totals.listings);
    lines.add("updates", totals.updates);
    lines.add("trades", totals.trades);
    lines.add("delistings", totals.delistings);
    lines.add("refused_writes", totals.refusals + metrics.refused_invalid);
    for (kind, writes) in [
        ("late", totals.refused_late),
        ("condition", totals.refused_condition),
        ("not_listed", totals.refused_not_listed),
        ("halted", totals.refused_halted),
        ("volume", totals.refused_volume),
        ("full", totals.refused_full),
        ("storage", totals.refused_storage),
        ("invalid", metrics.refused_invalid),
    ] {
        lines.add(&format!("refused_writes_{kind}"), writes);
    }
    lines.add("transactions", totals.transactions);
    lines.add("conflicts", totals.conflicts);
    lines.add("messages", metrics.messages);
    lines.add("conflated_messages", metrics.conflated);
    lines.add("closed_stalled_clients", metrics.closed_stalled);
    lines.add("closed_idle_clients", metrics.closed_idle);
    lines.add("closed_request_timeout_clients", metrics.closed_request_timeout);
    lines.add("closed_handshake_clients", metrics.closed_handshake);
    lines.add("closed_tls_error_clients", metrics.closed_tls_error);
    lines.add("tls_handshakes", metrics.tls_handshakes);
    lines.add("closed_memory_clients", metrics.closed_memory);
    lines.add("closed_killed_clients", metrics.closed_killed);
    lines.add("refused_memory_commands", metrics.refused_memory);
    lines
}

fn about_replication(Known { server, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    lines.add("role", "master");
    lines.add("connected_slaves", 0);
    lines.add("master_failover_state", "no-failover");
    // As long as that of Redis. It names the history of versions, as that names one of writes.
    lines.add("master_replid", format_args!("{:040x}", server.engine.epoch()));
    lines.add("master_replid2", format_args!("{:040x}", 0));
    lines.add("master_repl_offset", 0);
    lines.add("second_repl_offset", -1);
    for name in ["repl_backlog_active", "repl_backlog_size", "repl_backlog_histlen"] {
        lines.add(name, 0);
    }
    lines
}

fn about_cpu(_: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    if let Some(CpuSeconds { user, system, user_children, system_children }) =
        process::cpu_seconds()
    {
        lines.add("used_cpu_sys", format_args!("{system:.6}"));
        lines.add("used_cpu_user", format_args!("{user:.6}"));
        lines.add("used_cpu_sys_children", format_args!("{system_children:.6}"));
        lines.add("used_cpu_user_children", format_args!("{user_children:.6}"));
    }
    lines
}

fn about_commands(Known { metrics, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    for (index, calls) in metrics.calls.iter().enumerate().filter(|(_, calls)| **calls > 0) {
        let Some(name) = command_name(index) else { continue };
        let key = format!("cmdstat_{name}");
        match metrics.times.get(index).and_then(TimesSum::sum_and_mean_ns) {
            Some((sum_ns, mean_ns)) => {
                let (usec, each) = (sum_ns / 1000, mean_ns / 1000.0);
                lines.add(&key, format_args!("calls={calls},usec={usec},usec_per_call={each:.2}"));
            }
            None => lines.add(&key, format_args!("calls={calls}")),
        }
    }
    lines
}

fn about_latencies(Known { metrics, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    for (index, times) in metrics.times.iter().enumerate() {
        let usec = |per_mille| Some(times.per_mille_ns(per_mille)? as f64 / 1000.0);
        if let Some(name) = command_name(index)
            && let (Some(p50), Some(p99), Some(p999)) = (usec(500), usec(990), usec(999))
        {
            let key = format!("latency_percentiles_usec_{name}");
            lines.add(&key, format_args!("p50={p50:.3},p99={p99:.3},p99.9={p999:.3}"));
        }
    }
    lines
}

fn about_errors(Known { metrics, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    for (code, count) in error_codes().iter().zip(&metrics.errors).filter(|(_, it)| **it > 0) {
        lines.add(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
    lines
}

fn about_nothing(_: &Known<'_>) -> Lines {
    Lines::default()
}

fn about_cluster(Known { server, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    // Of Redis: here every node has all stocks, and no client has to know where they are.
    lines.add("cluster_enabled", 0);
    if let Some(cluster) = server.engine.cluster_report() {
        lines.add("cluster_name", &cluster.name);
        lines.add("cluster_state", cluster.state);
        lines.add("cluster_ready", u8::from(cluster.is_ready));
        lines.add("cluster_applied", cluster.applied);
        if let Some(staleness) = cluster.staleness {
            lines.add("cluster_fresh_ms", staleness.as_millis());
        }
        lines.add("cluster_uncertain", cluster.uncertain);
        lines.add("cluster_passed_over", cluster.passed_over);
        lines.add("cluster_followed", cluster.followed);
        lines.add("cluster_sessions", cluster.sessions);
        if let Some((sequence, digest)) = cluster.digest {
            lines.add("cluster_digest", format_args!("{sequence}:{digest:016x}"));
        }
        if let Some(kept) = cluster.kept {
            lines.add("cluster_kept", kept);
        }
        lines.add("cluster_snapshot", cluster.snapshot);
    }
    lines
}

fn about_stocks(Known { server, access, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    // To those who may not read all of them it is not said how many there are.
    if let Some(stocks @ 1..) = server.engine.count(access) {
        lines.add("db0", format_args!("keys={stocks},expires=0,avg_ttl=0"));
    }
    lines
}

fn about_feeds(Known { server, now, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    let feeds = server.engine.feed_reports(*now);
    lines.add("feeds", feeds.len());
    for FeedReport { feed, ttl, age, stocks, connections, gaps, .. } in feeds {
        let ms = |time: Option<Duration>| time.map_or(-1, |time| time.as_millis() as i64);
        lines.add(
            &format!("feed_{}", feed.name.as_str().replace(':', ".")),
            format_args!(
                "state={},age_ms={},ttl_ms={},stocks={stocks},connections={connections},gaps={gaps}",
                feed.state,
                ms(age),
                ms(ttl)
            ),
        );
    }
    lines
}

fn about_access(Known { server, metrics, .. }: &Known<'_>) -> Lines {
    let mut lines = Lines::default();
    let file = server.authority.file();
    lines.add("access_file", u8::from(file.is_some()));
    lines.add("access_users", file.map_or(0, |file| file.users().len()));
    lines.add("access_loads", server.authority.generation());
    lines.add("access_failed_loads", metrics.access_failed_loads);
    lines.add("insecure_listeners", metrics.insecure_listeners);
    for (listener, reason, count) in [
        ("line", "read", metrics.refused_line_read),
        ("resp", "read", metrics.refused_resp_read),
        ("resp", "write", metrics.refused_resp_write),
        ("resp", "trade", metrics.refused_resp_trade),
        ("resp", "admin", metrics.refused_resp_admin),
        ("resp", "metrics", metrics.refused_resp_metrics),
        ("resp", "unauthenticated", metrics.refused_resp_unauthenticated),
        ("resp", "credentials", metrics.refused_resp_credentials),
    ] {
        lines.add(&format!("refused_{listener}_{reason}"), count);
    }
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

    /// A number of bytes, and the same as people read it.
    fn add_bytes(&mut self, name: &str, bytes: usize) {
        self.add(name, bytes);
        self.add(&format!("{name}_human"), Human(bytes));
    }
}

/// Bytes in the largest unit of which there is one, as Redis writes them: `1.50M`.
struct Human(usize);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M'), (1 << 10, 'K')];
        match units.into_iter().find(|(unit, _)| self.0 >= *unit) {
            Some((unit, letter)) => write!(f, "{:.2}{letter}", self.0 as f64 / unit as f64),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
