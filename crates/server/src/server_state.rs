//! What a running server tells of itself: the parts that count, gathered in one place for clients that
//! ask, over whatever protocol.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use stockd_access::{Authority, FailedAttempts};
use stockd_engine::Engine;
use stockd_model::limits::RESP_BULK_BYTES_MAX;
use stockd_tls::ServerTls;

use crate::Metrics;
use crate::client_list::ClientList;
use crate::memory::Memory;
use crate::rates::{Counted, Rates};
use crate::unterminated_peers::UnterminatedPeers;

/// The parts of a running server that tell something of it.
pub(crate) struct ServerState {
    pub(crate) clients: ClientList,
    pub(crate) engine: Arc<Engine>,
    /// What all connections hold.
    pub(crate) memory: Memory,
    pub(crate) unterminated_peers: UnterminatedPeers,
    pub(crate) authority: Arc<Authority>,
    pub(crate) failed_attempts: FailedAttempts,
    metrics: Box<dyn Fn() -> Metrics + Send + Sync>,
    pub(crate) started: Instant,
    /// The first TCP port at which RESP is spoken.
    pub(crate) port: OnceLock<u16>,
    /// The certificate of the first listener that has one.
    pub(crate) tls: OnceLock<Arc<ServerTls>>,
    pub(crate) rates: Rates,
}

impl ServerState {
    pub(crate) fn new(
        engine: Arc<Engine>,
        memory: Memory,
        authority: Arc<Authority>,
        metrics: impl Fn() -> Metrics + Send + Sync + 'static,
    ) -> Arc<ServerState> {
        let started = Instant::now();
        let clients = ClientList::default();
        Arc::new(ServerState {
            clients,
            engine,
            memory,
            unterminated_peers: UnterminatedPeers::default(),
            authority,
            failed_attempts: FailedAttempts::new(started),
            metrics: Box::new(metrics),
            started,
            port: OnceLock::new(),
            tls: OnceLock::new(),
            rates: Rates::new(started),
        })
    }

    pub(crate) fn metrics(&self) -> Metrics {
        Metrics {
            memory: self.memory.held() as u64,
            memory_max: self.memory.max() as u64,
            access_failed_loads: self.authority.failed_loads(),
            snapshot_bytes: self.engine.snapshot_bytes() as u64,
            ..(self.metrics)()
        }
    }

    /// The settings that tools which measure Redis ask for.
    pub(crate) fn with_settings(&self, tell: impl FnOnce(&[(&str, &str)])) {
        let connections_max = self.metrics().connections_max.to_string();
        let appendonly = if self.engine.commit_report().is_some() { "yes" } else { "no" };
        let port = self.port.get().map_or_else(|| "0".to_owned(), u16::to_string);
        tell(&[
            ("save", ""),
            ("appendonly", appendonly),
            ("maxclients", &connections_max),
            ("databases", "1"),
            ("maxmemory", "0"),
            ("maxmemory-policy", "noeviction"),
            ("port", &port),
            ("cluster-enabled", "no"),
            ("slowlog-max-len", "0"),
            ("slowlog-log-slower-than", "-1"),
            ("latency-monitor-threshold", "0"),
            ("latency-tracking", "yes"),
            ("latency-tracking-info-percentiles", "50 99 99.9"),
            ("notify-keyspace-events", ""),
            ("proto-max-bulk-len", &RESP_BULK_BYTES_MAX.to_string()),
        ]);
    }

    /// Takes a sample for the rates of `INFO`, if one is due.
    #[inline]
    pub(crate) fn sample(&self, now: Instant) {
        self.rates.sample(now, || (&(self.metrics)()).into());
    }
}

impl From<&Metrics> for Counted {
    fn from(metrics: &Metrics) -> Counted {
        Counted {
            requests: metrics.requests(),
            bytes_in: metrics.bytes_in,
            bytes_out: metrics.bytes_out,
        }
    }
}

impl fmt::Debug for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerState").field("started", &self.started).finish_non_exhaustive()
    }
}
