//! What a running server tells of itself: the parts that count, gathered in one place for whoever
//! asks, over whatever protocol.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use stockd_engine::Engine;

use crate::Metrics;
use crate::client_list::ClientList;
use crate::memory::Memory;

/// The parts of a running server that tell something of it.
pub(crate) struct ServerState {
    pub(crate) clients: ClientList,
    pub(crate) engine: Arc<Engine>,
    /// What all connections hold.
    pub(crate) memory: Memory,
    metrics: Box<dyn Fn() -> Metrics + Send + Sync>,
    pub(crate) started: Instant,
}

impl ServerState {
    pub(crate) fn new(
        engine: Arc<Engine>,
        memory_max: usize,
        metrics: impl Fn() -> Metrics + Send + Sync + 'static,
    ) -> Arc<ServerState> {
        let started = Instant::now();
        let (clients, memory) = (ClientList::default(), Memory::new(memory_max));
        Arc::new(ServerState { clients, engine, memory, metrics: Box::new(metrics), started })
    }

    pub(crate) fn metrics(&self) -> Metrics {
        Metrics {
            memory: self.memory.held() as u64,
            memory_max: self.memory.max() as u64,
            snapshot_bytes: self.engine.snapshot_bytes() as u64,
            ..(self.metrics)()
        }
    }

    /// The settings that tools which measure Redis ask for.
    pub(crate) fn with_settings(&self, tell: impl FnOnce(&[(&str, &str)])) {
        let connections_max = self.metrics().connections_max.to_string();
        let appendonly = if self.engine.commit_report().is_some() { "yes" } else { "no" };
        tell(&[("save", ""), ("appendonly", appendonly), ("maxclients", &connections_max)]);
    }
}

impl fmt::Debug for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerState").field("started", &self.started).finish_non_exhaustive()
    }
}
