//! What all handlers of the service plane share.
//!
//! It owns the parts and their lifetimes, and knows no protocol. Invariant: nothing here is written while a
//! request is answered, but for counters, and what the locks of its parts keep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use stockd_engine::Engine;
use stockd_model::Problem;
use stockd_model::limits::{HTTP_BODIES_BYTES_MAX, HTTP_REQUESTS_MAX, STREAM_GOODBYE_TIMEOUT};
use stockd_server::Observer;
use tokio::sync::{Notify, Semaphore};

use crate::config::Config;
use crate::connection::Traffic;
use crate::door::Door;
use crate::facade::Facades;
use crate::latencies::Latencies;
use crate::orders::ledger::Ledger;
use crate::orders::records::Records;
use crate::stream::hub::Hub;

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) door: Door,
    pub(crate) hub: Arc<Hub>,
    /// The data plane beside it.
    pub(crate) observer: Observer,
    pub(crate) config: Config,
    pub(crate) facades: Facades,
    /// Orders, which have numbers.
    pub(crate) ledger: Ledger,
    pub(crate) counts: Counts,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) latencies: Latencies,
    /// Requests that may be begun.
    pub(crate) requests: Arc<Semaphore>,
    /// Bytes of bodies that may be read.
    pub(crate) bodies: Arc<Semaphore>,
    /// Connections that may be accepted.
    pub(crate) connections: Arc<Semaphore>,
    stopping: AtomicBool,
    stop: Notify,
}

/// What the plane counts of its requests and connections.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused_connections: AtomicU64,
    /// Requests by the first digit of their status: 1 to 5.
    pub(crate) by_class: [AtomicU64; 5],
    /// Requests of gRPC among them.
    pub(crate) grpc: AtomicU64,
    pub(crate) foreign: AtomicU64,
    /// Requests that showed nothing where something has to be shown.
    pub(crate) unauthenticated: AtomicU64,
    pub(crate) wrong_tokens: AtomicU64,
    pub(crate) failed_handshakes: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) too_slow: AtomicU64,
    pub(crate) too_large: AtomicU64,
    /// Responses of HTTP that say a problem.
    pub(crate) problems: Problems,
}

/// How often each problem was said.
#[derive(Debug)]
pub(crate) struct Problems(Vec<AtomicU64>);

impl Default for Problems {
    fn default() -> Problems {
        Problems(Problem::ALL.iter().map(|_| AtomicU64::default()).collect())
    }
}

impl Problems {
    pub(crate) fn note(&self, problem: Problem) {
        if let Some(count) = self.count(problem) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn noted(&self, problem: Problem) -> u64 {
        self.count(problem).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn count(&self, problem: Problem) -> Option<&AtomicU64> {
        Problem::ALL.iter().zip(&self.0).find_map(|(it, count)| (*it == problem).then_some(count))
    }
}

impl Plane {
    pub(crate) fn new(config: Config, engine: Arc<Engine>, observer: Observer) -> Arc<Plane> {
        let connections = Arc::new(Semaphore::new(config.connections_max));
        let records = match &config.orders {
            Some(directory) => Records::in_directory(directory, engine.epoch(), config.keeps_all),
            None => Records::in_memory(),
        };
        Arc::new(Plane {
            facades: Facades::from(&config),
            ledger: Ledger::new(&engine, records, config.patience.write),
            hub: Hub::new(&engine, &observer, config.streams_max),
            door: Door::new(engine, config.patience.write),
            observer,
            config,
            counts: Counts::default(),
            traffic: Arc::default(),
            latencies: Latencies::default(),
            requests: Arc::new(Semaphore::new(HTTP_REQUESTS_MAX)),
            bodies: Arc::new(Semaphore::new(HTTP_BODIES_BYTES_MAX)),
            connections,
            stopping: AtomicBool::new(false),
            stop: Notify::new(),
        })
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.door.engine
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.config.connections_max - self.connections.available_permits()
    }

    /// From now on no connection is accepted, streams say goodbye, and connections end when what was asked is
    /// answered.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.stop.notify_waiters();
        self.hub.stop();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Waits for [`stop`](Plane::stop).
    pub(crate) async fn stopped(&self) {
        let stop = self.stop.notified();
        tokio::pin!(stop);
        // First this, then the flag: a stop in between is not missed.
        stop.as_mut().enable();
        if !self.is_stopping() {
            stop.await;
        }
    }

    /// Waits until streams have had the time to say goodbye.
    pub(crate) async fn goodbyes_over(&self) {
        self.stopped().await;
        tokio::time::sleep(STREAM_GOODBYE_TIMEOUT).await;
    }
}
