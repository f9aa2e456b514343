//! Makes the stream of a cluster, and says how it is.

use stockd_model::limits::CLUSTER_STOCKS_MAX;

use crate::cluster::{random, runtime};
use crate::nats::api::{LogInfo, StreamConfig, StreamInfo};
use crate::nats::client::{ask, ask_at, connect, stream};
use crate::nats::objects::Objects;
use crate::options::{ClusterError, ClusterOptions};

/// How the stream of a cluster is made.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// Servers that keep it.
    pub replicas: usize,
    /// Bytes that it may have. With more, writes are refused.
    pub bytes_max: u64,
    /// Stocks that may be listed at once, at most [`CLUSTER_STOCKS_MAX`].
    pub stocks_max: usize,
}

/// A stream at one moment.
#[derive(Clone, Debug)]
pub struct StreamReport {
    /// Its name.
    pub stream: String,
    /// What the cluster is.
    pub log: LogInfo,
    /// Its first and its last message.
    pub messages: (u64, u64),
    /// Bytes of it, and how many it may have.
    pub bytes: (u64, u64),
    /// The server that leads; empty where there is one alone.
    pub leader: String,
    /// The others that keep it, and what is wrong with each.
    pub others: Vec<(String, String)>,
}

/// The lines that a configuration of NATS must have for a cluster of stockd.
pub const NATS_CONFIGURATION: &str = "\
# Every server of the cluster, beside its addresses and routes:
jetstream {
  store_dir: \"/var/lib/nats\"   # a disk of its own
  sync_interval: always         # without it a failure of power loses what was acknowledged
  max_file_store: 100GB
}
max_payload: 1MB
ping_interval: \"5s\"
ping_max: 2
http: \"127.0.0.1:8222\"         # says whether it syncs always
";

/// Makes the stream of a cluster. One that is there already stays as it is.
///
/// # Errors
///
/// When NATS refuses, or there is a stream of that name for something else.
pub fn make_stream(
    options: &ClusterOptions,
    stream_options: StreamOptions,
) -> Result<StreamReport, ClusterError> {
    let StreamOptions { replicas, bytes_max, stocks_max } = stream_options;
    runtime()?.block_on(async {
        let (client, _) = connect(options).await?;
        if let Err(ClusterError::NoStream { stream: name }) = stream(&client, &options.name).await {
            let log = LogInfo { epoch: random()?, stocks_max: stocks_max.min(CLUSTER_STOCKS_MAX) };
            let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
            let config = StreamConfig::of(&options.name, replicas, bytes_max, log);
            let config = serde_json::to_value(config)
                .map_err(|error| ClusterError::Refused(error.to_string()))?;
            let _: StreamInfo = ask(&client, &format!("STREAM.CREATE.{name}"), &config).await?;
        }
        let (log, info) = stream(&client, &options.name).await?;
        Objects::new(client, &options.name).make(info.config.num_replicas).await?;
        Ok(report(options, log, &info))
    })
}

/// Makes a copy of the stream of a cluster, out of the JetStream of another domain. One that is there already stays as
/// it is.
///
/// # Errors
///
/// When that domain has no such stream, or NATS refuses.
pub fn mirror_stream(
    options: &ClusterOptions,
    domain: &str,
    replicas: usize,
) -> Result<StreamReport, ClusterError> {
    runtime()?.block_on(async {
        let (client, _) = connect(options).await?;
        if let Err(ClusterError::NoStream { stream: name }) = stream(&client, &options.name).await {
            let (api, what) = (format!("$JS.{domain}.API"), format!("STREAM.INFO.{name}"));
            let origin: StreamInfo = ask_at(&client, &api, &what, &serde_json::Value::Null).await?;
            origin.config.check(&options.name)?;
            let config = serde_json::to_value(origin.config.mirror_of(domain, replicas))
                .map_err(|error| ClusterError::Refused(error.to_string()))?;
            let _: StreamInfo = ask(&client, &format!("STREAM.CREATE.{name}"), &config).await?;
        }
        let (log, info) = stream(&client, &options.name).await?;
        Ok(report(options, log, &info))
    })
}

/// How the stream of a cluster is.
///
/// # Errors
///
/// When there is none, or NATS does not answer.
pub fn look_at_stream(options: &ClusterOptions) -> Result<StreamReport, ClusterError> {
    runtime()?.block_on(async {
        let (client, _) = connect(options).await?;
        let (log, info) = stream(&client, &options.name).await?;
        Ok(report(options, log, &info))
    })
}

pub(crate) fn report(options: &ClusterOptions, log: LogInfo, info: &StreamInfo) -> StreamReport {
    let placement = info.cluster.clone().unwrap_or_default();
    let others = placement.replicas.into_iter().map(|replica| {
        let state = match (replica.offline, replica.current) {
            (true, _) => "offline".to_owned(),
            (false, true) => "current".to_owned(),
            (false, false) => format!("behind by {} messages", replica.lag),
        };
        (replica.name, state)
    });
    StreamReport {
        stream: options.name.stream(),
        log,
        messages: (info.state.first_seq, info.state.last_seq),
        bytes: (info.state.bytes, u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX)),
        leader: placement.leader,
        others: others.collect(),
    }
}
