//! The server as a node of a cluster: from settings to an engine that the log writes, and its end.
//!
//! It knows neither NATS nor what a log is: the cluster and the engine do.

use anyhow::Context;
use stockd_cluster::{Cluster, ClusterName, ClusterOptions, Joining, hash};
use stockd_engine::{Catalog, Engine, Replicated};
use tracing::{info, warn};

use crate::settings::Settings;

/// A node that follows the log. Its catalog is what the cluster holds when this returns.
///
/// # Errors
///
/// When the log is not one of a cluster, or cannot be followed.
pub(crate) fn join(settings: &Settings) -> anyhow::Result<(Engine, Cluster)> {
    if let Some(unused) = &settings.data_dir {
        warn!(
            "cluster: {} is not used, the log of the cluster keeps the catalog",
            unused.display()
        );
    }
    // No client is served yet, so a signal ends the process.
    let is_given_up = || false;
    let joining = Joining::begin(options(settings)?, is_given_up)?;
    let log = joining.log();
    let (engine, replica) = Engine::replicated(Replicated {
        catalog: Catalog::new(),
        version_floor: 0,
        stocks_max: log.stocks_max,
        epoch: log.epoch,
        hash,
    });
    let cluster = joining.start(replica)?;
    engine.report_cluster_with(cluster.reporter());
    if !cluster.wait_until_ready(is_given_up) {
        let why = cluster.fault().unwrap_or_else(|| "it has ended".to_owned());
        anyhow::bail!("cannot follow the log of the cluster: {why}");
    }
    let report = cluster.reporter()();
    info!(
        cluster = report.name,
        applied = report.applied,
        stocks = engine.count(&stockd_engine::Access::All).unwrap_or_default(),
        "joined the cluster"
    );
    Ok((engine, cluster))
}

fn options(settings: &Settings) -> anyhow::Result<ClusterOptions> {
    Ok(ClusterOptions {
        servers: settings.cluster.clone(),
        name: ClusterName::new(&settings.cluster_name).context("cluster_name")?,
        credentials: settings.cluster_creds.clone(),
        authorities: settings.cluster_ca.clone(),
        write_timeout: settings.write_timeout,
        stale_after: settings.stale_after,
        only_follows: settings.follow,
    })
}
