//! The whole server at a glance: what `INFO` says, from what every part of it counts.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use stockd_engine::{Access, Engine};
use stockd_wire::resp::Arguments;

use crate::roster::Roster;
use crate::{IoEngine, Metrics};

/// The parts of a running server that tell something of it.
pub(crate) struct Overview {
    pub(crate) roster: Roster,
    pub(crate) engine: Arc<Engine>,
    pub(crate) io_engine: IoEngine,
    metrics: Box<dyn Fn() -> Metrics + Send + Sync>,
    started: Instant,
}

impl Overview {
    pub(crate) fn new(
        engine: Arc<Engine>,
        io_engine: IoEngine,
        metrics: impl Fn() -> Metrics + Send + Sync + 'static,
    ) -> Arc<Overview> {
        let started = Instant::now();
        Arc::new(Overview {
            roster: Roster::default(),
            engine,
            io_engine,
            metrics: Box::new(metrics),
            started,
        })
    }

    pub(crate) fn metrics(&self) -> Metrics {
        (self.metrics)()
    }

    /// The sections of these names, in any case, or all of them where none is named.
    pub(crate) fn info(&self, asked: Arguments<'_>, now: Instant) -> String {
        let all = asked.into_iter().all(|name| {
            let whole = [b"all".as_slice(), b"default", b"everything"];
            whole.iter().any(|whole| whole.eq_ignore_ascii_case(name))
        });
        let mut text = String::new();
        for (name, lines) in self.sections(now) {
            if all || asked.into_iter().any(|asked| asked.eq_ignore_ascii_case(name.as_bytes())) {
                let separator = if text.is_empty() { "" } else { "\r\n" };
                let written = write!(text, "{separator}# {name}\r\n{lines}");
                debug_assert!(written.is_ok(), "a string takes everything");
            }
        }
        text
    }

    fn sections(&self, now: Instant) -> [(&'static str, Lines); 6] {
        let metrics = self.metrics();
        let totals = self.engine.totals();
        let uptime = now.saturating_duration_since(self.started).as_secs();

        let mut server = Lines::default();
        server.add("stockd_version", env!("CARGO_PKG_VERSION"));
        // What clients of Redis look for to know which commands they may use.
        server.add("redis_version", "7.0.0");
        server.add("redis_mode", "standalone");
        server.add("process_id", std::process::id());
        server.add("uptime_in_seconds", uptime);
        server.add("engine", self.io_engine);
        server.add("workers", metrics.open_per_worker.len());

        let mut clients = Lines::default();
        clients.add("connected_clients", metrics.open);
        clients.add("maxclients", metrics.connections_max);
        clients.add("queued_clients", metrics.queued);
        clients.add("queued_clients_peak", metrics.queued_peak);
        clients.add("slow_clients", self.roster.behind());
        clients.add("unsent_bytes", metrics.bytes_unsent);
        clients.add("subscribers", metrics.subscribers);
        clients.add("subscriptions", metrics.subscriptions);

        let mut memory = Lines::default();
        if let Some(resident) = resident_bytes() {
            memory.add("used_memory_rss", resident);
        }
        memory.add("catalog_bytes", self.engine.memory_bytes());

        let mut stats = Lines::default();
        stats.add("total_connections_received", metrics.accepted);
        let refused = metrics.refused_at_limit + metrics.refused_queue_full;
        stats.add("rejected_connections", refused);
        stats.add("total_net_input_bytes", metrics.bytes_in);
        stats.add("total_net_output_bytes", metrics.bytes_out);
        stats.add("lookups", totals.lookups());
        stats.add("keyspace_hits", totals.hits);
        stats.add("keyspace_misses", totals.misses);
        stats.add("listings", totals.listings);
        stats.add("updates", totals.updates);
        stats.add("trades", totals.trades);
        stats.add("delistings", totals.delistings);
        stats.add("refused_writes", totals.refusals);
        stats.add("messages", metrics.messages);
        stats.add("conflated_messages", metrics.conflated);
        stats.add("closed_stalled_clients", metrics.closed_stalled);
        stats.add("closed_idle_clients", metrics.closed_idle);

        let mut persistence = Lines::default();
        persistence.add("loading", 0);
        persistence.add("aof_enabled", u8::from(self.engine.commit_report().is_some()));
        if let Some(commits) = self.engine.commit_report() {
            let state = if commits.failed.is_some() { "err" } else { "ok" };
            persistence.add("aof_last_write_status", state);
            persistence.add("read_only", u8::from(commits.failed.is_some()));
            persistence.add("read_only_cause", commits.failed.unwrap_or_default());
            persistence.add("commits", commits.commits);
            persistence.add("stocks_written", commits.stocks_written);
            persistence.add("last_commit_us", commits.last_commit_ns / 1000);
            persistence.add("longest_commit_us", commits.longest_commit_ns / 1000);
        }

        let mut keyspace = Lines::default();
        keyspace.add(
            "db0",
            format_args!("keys={},expires=0,avg_ttl=0", self.engine.count(&Access::All)),
        );

        [
            ("Server", server),
            ("Clients", clients),
            ("Memory", memory),
            ("Persistence", persistence),
            ("Stats", stats),
            ("Keyspace", keyspace),
        ]
    }
}

impl fmt::Debug for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overview").field("started", &self.started).finish_non_exhaustive()
    }
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
