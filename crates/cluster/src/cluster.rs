//! A node with its threads: one applies the log, one has the network.
//!
//! `stockd-apply` owns the [`Node`] and with it the replica: it is the only one that writes rows. `stockd-nats` has the
//! connection. What others may know of the node lies behind a lock that both hold for an instant.
//!
//! Invariant: while the thread that applies runs, what is asked is answered; after it has ended nothing is asked any more.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::TryRecvError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stockd_engine::{ClusterReport, now_ns};
use stockd_model::limits::{CLUSTER_END_TIMEOUT, EFFECTS_MAX, KEEP_STOCKS_MAX, SNAPSHOT_PAGE_ROWS};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc as asynchronous;
use tokio::sync::oneshot;

use crate::deliveries::{self, Delivered, Delivery};
use crate::event::{Effect, Event, Now, Taken};
use crate::keeper::Keeper;
use crate::log_state::Fault;
use crate::nats::{Want, Wiring};
use crate::node::Node;
use crate::options::{ClusterError, ClusterOptions};
use crate::snapshot::SnapshotWriter;
use crate::status::{Closed, NodeStatus};

/// A node that runs.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    apply: JoinHandle<()>,
    network: JoinHandle<()>,
}

/// What others may know of a node.
#[derive(Debug)]
struct Shared {
    options: ClusterOptions,
    /// What it said last.
    status: Mutex<Option<Said>>,
    /// Whether somebody wants a snapshot.
    wants_snapshot: AtomicBool,
}

/// What a node said of itself.
#[derive(Debug)]
struct Said {
    status: NodeStatus,
    at: Instant,
    /// The last message that its data directory has.
    kept: Option<u64>,
}

/// Deliveries that are taken before time is looked at.
const DELIVERIES_TOGETHER: usize = 1024;

/// Between two looks at what has changed, for those who wait.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What a node is made of before it runs.
pub(crate) struct Parts {
    pub(crate) options: ClusterOptions,
    pub(crate) node: Node,
    /// Where it keeps what it holds.
    pub(crate) keeper: Option<Keeper>,
    pub(crate) wire: oneshot::Sender<Wiring>,
    pub(crate) network: JoinHandle<()>,
}

impl Cluster {
    /// Has a node follow the log.
    pub(crate) fn start(parts: Parts) -> Result<Cluster, ClusterError> {
        let Parts { options, mut node, keeper, wire, network } = parts;
        let interrupter = node.replica().interrupter();
        let (deliveries, delivered) = deliveries::queue();
        let (effects, wanted) = asynchronous::channel(EFFECTS_MAX);
        let consumer = format!("node-{:016x}", random()?);
        let _ = wire.send(Wiring { deliveries, interrupter, effects: wanted, consumer });
        let wants_snapshot = AtomicBool::new(false);
        let shared = Arc::new(Shared { options, status: Mutex::default(), wants_snapshot });
        let applying = Applying { node, delivered, effects, keeper, shared: Arc::clone(&shared) };
        let apply = thread::Builder::new()
            .name("stockd-apply".to_owned())
            .spawn(move || applying.run())
            .map_err(|error| ClusterError::Refused(error.to_string()))?;
        Ok(Cluster { shared, apply, network })
    }

    /// Has a snapshot of the cluster taken now.
    pub fn ask_for_snapshot(&self) {
        self.shared.wants_snapshot.store(true, Relaxed);
    }

    /// Waits until all is applied that was acknowledged before, and writes are taken. `false` when it was given up, or
    /// the node has stopped.
    pub fn wait_until_ready(&self, is_given_up: impl Fn() -> bool) -> bool {
        while !is_given_up() && self.fault().is_none() {
            if self.shared.report().is_ready {
                return true;
            }
            thread::sleep(LOOK_INTERVAL);
        }
        false
    }

    /// Why the node has stopped, if it has.
    pub fn fault(&self) -> Option<String> {
        match self.shared.status().as_ref()?.status.closed.as_ref()? {
            Closed::Stopped(fault) => Some(fault.to_string()),
            _ => None,
        }
    }

    /// Why the node must not go on: others hold something else than it shows, or it has fallen too far behind them. One
    /// that has stopped for another cause shows what was right.
    pub fn wrong(&self) -> Option<String> {
        match self.shared.status().as_ref()?.status.closed.as_ref()? {
            Closed::Stopped(
                fault @ (Fault::Diverged { .. } | Fault::NoRoom(_) | Fault::Behind { .. }),
            ) => Some(fault.to_string()),
            _ => None,
        }
    }

    /// What the node says of itself, for [`Engine::report_cluster_with`](stockd_engine::Engine::report_cluster_with).
    pub fn reporter(&self) -> impl Fn() -> ClusterReport + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.report()
    }

    /// Waits for the threads, which end when the engine has been closed.
    pub fn end(self) {
        let _ = self.apply.join();
        let _ = self.network.join();
    }
}

impl Shared {
    fn status(&self) -> MutexGuard<'_, Option<Said>> {
        // It is exchanged as a whole.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> ClusterReport {
        let said = self.status();
        let said = said.as_ref();
        // What it said grows older even when the thread is held up.
        let staleness = said.and_then(|said| Some(said.status.staleness? + said.at.elapsed()));
        let closed = said.map(|said| said.status.closed.as_ref());
        let state = match closed {
            None | Some(Some(Closed::Joining)) => "joining",
            Some(None) => "ok",
            Some(Some(Closed::Disconnected)) => "disconnected",
            Some(Some(Closed::Uncertain)) => "uncertain",
            Some(Some(Closed::Disputed)) => "disputed",
            Some(Some(Closed::ReadOnly)) => "read-only",
            Some(Some(Closed::Stopped(_))) => "stopped",
        };
        let is_fresh = staleness.is_some_and(|it| it <= self.options.stale_after);
        let number = |of: fn(&NodeStatus) -> u64| said.map_or(0, |said| of(&said.status));
        ClusterReport {
            name: self.options.name.as_str().to_owned(),
            state,
            is_ready: is_fresh && !["joining", "stopped"].contains(&state),
            applied: number(|status| status.seen.sequence),
            staleness,
            uncertain: number(|status| status.uncertain as u64) as usize,
            passed_over: number(|status| status.passed_over),
            followed: number(|status| status.followed),
            sessions: number(|status| status.sessions as u64) as usize,
            digest: said.and_then(|said| said.status.digest),
            kept: said.and_then(|said| said.kept),
            snapshot: number(|status| status.snapshot),
        }
    }
}

/// What the thread that applies owns.
struct Applying {
    node: Node,
    delivered: Delivered,
    effects: asynchronous::Sender<Want>,
    /// Where it keeps what it holds.
    keeper: Option<Keeper>,
    shared: Arc<Shared>,
}

impl Applying {
    fn run(mut self) {
        loop {
            let is_more = self.turn();
            let now = now();
            let until = if is_more { now.instant } else { self.node.next_wake(now) };
            if !self.node.replica().wait(until) {
                break;
            }
        }
        // Nothing more is asked. What is in flight may come back yet.
        let until = Instant::now() + CLUSTER_END_TIMEOUT;
        while !self.node.is_idle() && self.node.fault().is_none() && Instant::now() < until {
            self.turn();
            thread::sleep(LOOK_INTERVAL / 20);
        }
        self.node.end();
        self.keep_the_last(Instant::now() + CLUSTER_END_TIMEOUT);
    }

    /// Has what has changed kept, when it is time; waits where it is too much.
    fn keep(&mut self, now: Instant) {
        let Some(keeper) = &self.keeper else { return };
        if keeper.has_failed() {
            self.node.replica().forget_changes();
            return;
        }
        let is_much = self.node.replica().changed() >= KEEP_STOCKS_MAX;
        if is_much {
            keeper.wait(now + CLUSTER_END_TIMEOUT);
        }
        if (keeper.is_due(now) || is_much) && !keeper.is_busy() {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        if self.node.seen() != keeper.kept()
            && let Some(keep) = self.node.keep()
        {
            keeper.keep(keep);
        }
    }

    /// Where there is no room it is as if the network had dropped it.
    fn want(&self, want: Want) {
        let _ = self.effects.try_send(want);
    }

    /// Reads what was taken, on a thread of its own, and has it kept.
    fn write_snapshot(&mut self, taken: Taken, now: Now) {
        let Taken { sequence, session, place, mut quotes } = taken;
        let effects = self.effects.clone();
        let write = move || {
            let mut writer = SnapshotWriter::new(&place);
            let chunks = loop {
                match quotes.page(SNAPSHOT_PAGE_ROWS, Instant::now()) {
                    Ok(Some(page)) => page.iter().for_each(|quote| writer.push(quote)),
                    Ok(None) => break Some(writer.finish()),
                    Err(ended) => {
                        tracing::warn!("no snapshot of the cluster: {ended}");
                        break None;
                    }
                }
            };
            let _ = effects.blocking_send(Want::Put { sequence, session, chunks });
        };
        let thread = thread::Builder::new().name("stockd-snapshot".to_owned()).spawn(write);
        if let Err(error) = thread {
            tracing::warn!("no snapshot of the cluster: {error}");
            self.node.handle(Event::Kept { sequence, is_kept: false }, now);
        }
    }

    /// Keeps the last of it and closes the directory, if the disk does that in time.
    fn keep_the_last(&mut self, until: Instant) {
        if self.keeper.as_ref().is_some_and(|keeper| keeper.wait(until)) {
            self.hand_over();
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.wait(until);
            keeper.end(until);
        }
    }

    /// Takes what has come, and does what is due. Whether there may be more to take.
    fn turn(&mut self) -> bool {
        let began = now();
        let mut taken = 0;
        while taken < DELIVERIES_TOGETHER {
            let event = match self.delivered.try_recv() {
                Ok(delivery) => delivery,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.node.fail("the connection to the log has ended".to_owned());
                    break;
                }
            };
            taken += 1;
            let event = match &event {
                Delivery::Message { sequence, message } => {
                    Event::Message { sequence: *sequence, message }
                }
                Delivery::Acked { session, number, sequence } => {
                    Event::Acked { session: *session, number: *number, sequence: *sequence }
                }
                Delivery::Connected => Event::Connected,
                Delivery::Disconnected => Event::Disconnected,
                Delivery::Kept { sequence, is_kept } => {
                    Event::Kept { sequence: *sequence, is_kept: *is_kept }
                }
                Delivery::Failed(ClusterError::Purged { first, .. }) => {
                    self.node.is_behind(*first);
                    continue;
                }
                Delivery::Failed(error) => {
                    self.node.fail(error.to_string());
                    continue;
                }
            };
            self.node.handle(event, began);
        }
        let now = now();
        if self.shared.wants_snapshot.swap(false, Relaxed) {
            self.node.ask_for_snapshot();
        }
        self.node.poll(now);
        for effect in self.node.effects() {
            match effect {
                Effect::Send(outgoing) => self.want(Want::Send(outgoing)),
                Effect::Follow { from, elsewhere } => self.want(Want::Follow { from, elsewhere }),
                Effect::Tidy => self.want(Want::Tidy),
                Effect::Keep(taken) => self.write_snapshot(*taken, now),
            }
        }
        self.keep(now.instant);
        let kept = self.keeper.as_ref().map(Keeper::kept);
        let said = Said { status: self.node.status(now.instant), at: now.instant, kept };
        *self.shared.status() = Some(said);
        taken == DELIVERIES_TOGETHER
    }
}

pub(crate) fn now() -> Now {
    Now { instant: Instant::now(), unix_ns: now_ns() }
}

/// A runtime on the thread that uses it.
pub(crate) fn runtime() -> Result<Runtime, ClusterError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| ClusterError::Refused(error.to_string()))
}

/// A random number of the system.
pub(crate) fn random() -> Result<u64, ClusterError> {
    getrandom::u64().map_err(|error| ClusterError::Refused(error.to_string()))
}
