//! From a data directory and the addresses of a cluster to a node that runs.
//!
//! It owns the order of the steps: what the directory has, then what the log is, then whether both go together, and only
//! then the quotes. It does not decide anything once the node runs.
//!
//! Invariant: a node begins with the quotes of one place in the log of its own cluster, or does not begin.

use std::ops::ControlFlow;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use stockd_engine::{Catalog, Engine, Holdings, Replicated, now_ns};
use stockd_store::DataDir;
use tokio::sync::oneshot;

use crate::cluster::{Cluster, Parts, now, random, runtime};
use crate::keeper::{self, Fill, Keeper};
use crate::log_state::LogState;
use crate::nats::Wiring;
use crate::nats::api::LogInfo;
use crate::nats::join::{Joined, Kept, join};
use crate::node::{Node, NodeOptions};
use crate::options::{ClusterError, ClusterName, ClusterOptions};
use crate::place::Place;
use crate::snapshot::Snapshot;

/// A connection to a cluster whose log is known, and no node yet.
#[derive(Debug)]
pub struct Joining {
    options: ClusterOptions,
    log: LogInfo,
    /// The last message of the log.
    last: u64,
    kept: Option<(DataDir, Option<Place>)>,
    /// What the node begins with in place of that.
    snapshot: Option<Snapshot>,
    wire: oneshot::Sender<Wiring>,
    network: JoinHandle<()>,
}

/// Between two looks whether joining was given up.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

impl Joining {
    /// Connects to the log, and finds out what the cluster is, and whether it goes on from what the directory has. It
    /// tries until it is given up.
    ///
    /// # Errors
    ///
    /// What time does not heal: the stream, the servers or the directory are not as they must be.
    pub fn begin(
        options: ClusterOptions,
        directory: Option<DataDir>,
        is_given_up: impl Fn() -> bool,
    ) -> Result<Joining, ClusterError> {
        let kept = match directory {
            None => None,
            Some(directory) => {
                let place = place_of(&directory, &options.name)?;
                Some((directory, place))
            }
        };
        let place = kept.as_ref().and_then(|(_, place)| place.as_ref());
        let seen = place.map(Kept::at);
        let runtime = runtime()?;
        let (tell, told) = mpsc::sync_channel(1);
        let (wire, wired) = oneshot::channel();
        let of_thread = options.clone();
        let network = thread::Builder::new().name("stockd-nats".to_owned()).spawn(move || {
            runtime.block_on(async {
                let joined = join(&of_thread, seen).await;
                let connection = joined.map(|Joined { connection, log, last, snapshot }| {
                    let _ = tell.send(Ok((log, last, snapshot)));
                    connection
                });
                match connection {
                    Err(error) => _ = tell.send(Err(error)),
                    Ok(connection) => {
                        if let Ok(wiring) = wired.await {
                            connection.serve(wiring).await;
                        }
                    }
                }
            });
        });
        let network = network.map_err(|error| ClusterError::Refused(error.to_string()))?;
        let (log, last, snapshot): (LogInfo, _, _) = loop {
            match told.recv_timeout(LOOK_INTERVAL) {
                Ok(found) => break found?,
                Err(RecvTimeoutError::Timeout) if is_given_up() => {
                    return Err(ClusterError::Stopped);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(ClusterError::Silent),
            }
        };
        if let Some((directory, Some(place))) = &kept
            && place.epoch != log.epoch
        {
            let why = format!(
                "is of another log of cluster '{}', epoch {:016x}, and the log now has epoch {:016x}; move the directory \
                 away, or give this node another one with --data-dir",
                options.name.as_str(),
                place.epoch,
                log.epoch
            );
            return Err(of_directory(directory, why));
        }
        Ok(Joining { options, log, last, kept, snapshot, wire, network })
    }

    /// The last message that the log had.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Has a node follow the log and write to it. The engine shows what the directory has until more of the log has come.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read, or the system has no memory or no thread.
    pub fn start(self) -> Result<(Engine, Cluster), ClusterError> {
        let Joining { options, log, last, kept, snapshot, wire, network } = self;
        let LogInfo { epoch, stocks_max } = log;
        let catalog = Catalog::new();
        let (mut state, mut holdings) = (LogState::new(), Holdings::default());
        match (&snapshot, &kept) {
            (Some(snapshot), _) => {
                fill(snapshot, &catalog)?;
                (state, holdings) = (snapshot.place.log.clone(), snapshot.place.holdings);
                let (sequence, stocks) = (state.seen().sequence, holdings.stocks);
                tracing::info!(sequence, stocks, "begins with a snapshot of the cluster");
            }
            (None, Some((directory, Some(place)))) => {
                load(directory, &catalog)?;
                (state, holdings) = (place.log.clone(), place.holdings);
            }
            (None, _) => {}
        }
        let version_floor = holdings.version_floor;
        let hash = crate::hash;
        let (engine, mut replica) =
            Engine::replicated(Replicated { catalog, version_floor, stocks_max, epoch, hash });
        let mut keeper = None;
        if let Some((directory, place)) = kept {
            if snapshot.is_none() && replica.holdings() != holdings {
                let why = "holds other quotes than the node kept there: something has changed it; move it away, and the \
                           node begins without";
                return Err(of_directory(&directory, why.to_owned()));
            }
            replica.note_changes();
            let kept = place.map_or(0, |place| place.log.seen().sequence);
            let is_filled = snapshot.is_none() && (kept > 0 || directory.is_unclaimed());
            let started = Keeper::start(directory, kept)?;
            if !is_filled {
                started.fill(Fill { snapshot, sequence: state.seen().sequence });
            }
            keeper = Some(started);
        }
        let node_options = NodeOptions {
            name: options.name.clone(),
            epoch,
            write_timeout: options.write_timeout,
            writes: !options.only_follows,
            joins_at: last,
            // The system has had random numbers before.
            draw_session: Box::new(|| random().unwrap_or_else(|_| now_ns())),
        };
        let node = Node::after(state, replica, node_options, now());
        let parts = Parts { options, node, keeper, wire, network };
        let cluster = Cluster::start(parts)?;
        engine.report_cluster_with(cluster.reporter());
        Ok((engine, cluster))
    }
}

/// Where in the log of a cluster a directory is; `None` where nothing was kept in it.
///
/// # Errors
///
/// When it is that of something else.
pub(crate) fn place_of(
    directory: &DataDir,
    cluster: &ClusterName,
) -> Result<Option<Place>, ClusterError> {
    let another = "move it away, or give this node another one with --data-dir";
    let Some(mut position) = directory.position() else {
        return match directory.is_unclaimed() {
            true => Ok(None),
            false => {
                let why = format!("is that of a server of its own; {another}");
                Err(of_directory(directory, why))
            }
        };
    };
    if position == keeper::FILLING {
        return Ok(None);
    }
    let place = Place::decode(&mut position).map_err(|error| {
        of_directory(directory, format!("does not say where in the log it is: {error}; {another}"))
    })?;
    if place.cluster != *cluster {
        let (held, name) = (place.cluster.as_str(), cluster.as_str());
        let why = format!("is of cluster '{held}', and this node is one of '{name}'; {another}");
        return Err(of_directory(directory, why));
    }
    Ok(Some(place))
}

/// Puts the quotes of a snapshot into the catalog.
fn fill(snapshot: &Snapshot, catalog: &Catalog) -> Result<(), ClusterError> {
    let stocks = snapshot.place.holdings.stocks;
    let no_room = |why: &dyn std::fmt::Display| {
        ClusterError::Refused(format!("the cluster holds {stocks} stocks: {why}"))
    };
    catalog
        .reserve(usize::try_from(stocks).unwrap_or(usize::MAX))
        .map_err(|full| no_room(&full))?;
    snapshot.quotes().try_for_each(|quote| catalog.restore(&quote)).map_err(|full| no_room(&full))
}

/// Reads the quotes of the directory into the catalog.
fn load(directory: &DataDir, catalog: &Catalog) -> Result<(), ClusterError> {
    let stocks = directory.stocks();
    let no_room = |why: &dyn std::fmt::Display| {
        of_directory(directory, format!("holds {stocks} stocks: {why}"))
    };
    catalog
        .reserve(usize::try_from(stocks).unwrap_or(usize::MAX))
        .map_err(|full| no_room(&full))?;
    let mut full = None;
    let read = directory.load(|quote| match catalog.restore(&quote) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            full = Some(error);
            ControlFlow::Break(())
        }
    });
    match (read, full) {
        (Err(error), _) => Err(of_directory(directory, format!("cannot be read: {error}"))),
        (_, Some(full)) => Err(no_room(&full)),
        (Ok(_), None) => Ok(()),
    }
}

fn of_directory(directory: &DataDir, why: String) -> ClusterError {
    ClusterError::Directory { path: directory.path().display().to_string(), why }
}
