//! The server as a node of a cluster: from settings to an engine that the log writes, and its end.
//!
//! It knows neither NATS nor what a log is: the cluster and the engine do.

use std::time::Instant;

use anyhow::Context;
use stockd_cluster::{
    Cluster, ClusterError, ClusterName, ClusterOptions, Joining, Syncing, look_at_syncing,
};
use stockd_engine::Engine;
use stockd_store::DataDir;
use tracing::{info, warn};

use crate::data_dir::tell_what_is_odd;
use crate::settings::{Settings, Sync};

/// A node that follows the log. Its catalog is what the cluster holds when this returns.
///
/// # Errors
///
/// When the log is not one of a cluster, or cannot be followed.
pub(crate) fn join(settings: &Settings) -> anyhow::Result<(Engine, Cluster)> {
    let began = Instant::now();
    let options = options(settings)?;
    see_to_syncing(&options)?;
    let directory = directory(settings)?;
    // No client is served yet, so a signal ends the process.
    let is_given_up = || false;
    let (engine, cluster) = Joining::begin(options, directory, is_given_up)?.start()?;
    if !cluster.wait_until_ready(is_given_up) {
        let why = cluster.fault().unwrap_or_else(|| "it has ended".to_owned());
        anyhow::bail!("cannot follow the log of the cluster: {why}");
    }
    let report = cluster.reporter()();
    info!(
        cluster = report.name,
        applied = report.applied,
        stocks = engine.count(&stockd_engine::Access::All).unwrap_or_default(),
        milliseconds = began.elapsed().as_millis(),
        "joined the cluster"
    );
    Ok((engine, cluster))
}

/// Where the node keeps what it holds; none where it reads all from the log when it starts.
fn directory(settings: &Settings) -> anyhow::Result<Option<DataDir>> {
    match &settings.data_dir {
        Some(unused) if settings.ephemeral => {
            warn!("ephemeral: {} is not used, nothing is kept", unused.display());
            Ok(None)
        }
        None => {
            info!("nothing is kept on the disk of this node; name a place for it with --data-dir");
            Ok(None)
        }
        Some(path) => {
            let directory = DataDir::open(path, settings.sync != Sync::Never)?;
            tell_what_is_odd(&directory, path);
            Ok(Some(directory))
        }
    }
}

/// Refuses servers that do not sync what they acknowledge, where that can be known.
fn see_to_syncing(options: &ClusterOptions) -> anyhow::Result<()> {
    if options.monitors.is_empty() {
        warn!(
            "whether NATS syncs what it acknowledges is not verified; name its monitoring addresses with --cluster-monitor"
        );
    }
    for (monitor, syncing) in look_at_syncing(options)? {
        match syncing {
            Syncing::Always => info!("{monitor} syncs what it acknowledges"),
            Syncing::Later => return Err(ClusterError::NotSynced { monitor }.into()),
            Syncing::Unknown(why) => {
                warn!("whether {monitor} syncs what it acknowledges is not verified: {why}");
            }
        }
    }
    Ok(())
}

fn options(settings: &Settings) -> anyhow::Result<ClusterOptions> {
    Ok(ClusterOptions {
        servers: settings.cluster.clone(),
        name: ClusterName::new(&settings.cluster_name).context("cluster_name")?,
        credentials: settings.cluster_creds.clone(),
        authorities: settings.cluster_ca.clone(),
        monitors: settings.cluster_monitor.clone(),
        write_timeout: settings.write_timeout,
        stale_after: settings.stale_after,
        join_patience: None,
        only_follows: settings.follow,
    })
}
