//! `stockd cluster`: makes the log of a cluster, and looks at it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use stockd_cluster::{
    ClusterName, ClusterOptions, NATS_CONFIGURATION, StreamOptions, StreamReport, look_at_stream,
    make_stream, mirror_stream,
};
use stockd_model::limits::CLUSTER_STOCKS_MAX;

use crate::output;
use crate::usage_error::UsageError;

/// Make the log of a cluster, or look at it.
///
/// The nodes of a cluster are servers that were started with `stockd serve --cluster`.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make the stream of a cluster. One that is there already stays as it is.
    Init(InitArgs),
    /// Make a copy of the stream of a cluster in the JetStream of a leaf node, for nodes that follow it there.
    Mirror(MirrorArgs),
    /// Show who keeps the stream of a cluster, and how much it has.
    Status(Reached),
    /// Print the lines that the configuration of NATS must have.
    Config,
}

#[derive(Debug, clap::Args)]
struct InitArgs {
    #[command(flatten)]
    reached: Reached,

    /// Servers that keep the log: 3 or 5, so that one or two of them may fail; 1 to try it out.
    #[arg(long, value_name = "N", default_value_t = 3)]
    replicas: u8,

    /// Bytes that the log may have, in GB; with more, writes are refused.
    #[arg(long, value_name = "GB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    size: u64,

    /// Stocks that may be listed at once.
    #[arg(long, value_name = "N", default_value_t = CLUSTER_STOCKS_MAX)]
    stocks_max: usize,
}

#[derive(Debug, clap::Args)]
struct MirrorArgs {
    #[command(flatten)]
    reached: Reached,

    /// JetStream domain of the servers that have the log.
    #[arg(long, value_name = "NAME", default_value = "hub")]
    domain: String,

    /// Servers of the leaf node that keep the copy: 1, 3 or 5.
    #[arg(long, value_name = "N", default_value_t = 1)]
    replicas: u8,
}

#[derive(Debug, clap::Args)]
struct Reached {
    /// NATS servers: nats://HOST:PORT, several of them with commas between.
    #[arg(
        long,
        value_name = "URLS",
        value_delimiter = ',',
        required = true,
        env = "STOCKD_CLUSTER",
        hide_env = true
    )]
    cluster: Vec<String>,

    /// Name of the cluster.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "main",
        env = "STOCKD_CLUSTER_NAME",
        hide_env = true
    )]
    cluster_name: String,

    /// Credentials for NATS, as `nsc` writes them.
    #[arg(long, value_name = "FILE", env = "STOCKD_CLUSTER_CREDS", hide_env = true)]
    cluster_creds: Option<PathBuf>,

    /// Authorities of the certificates of the NATS servers, as PEM.
    #[arg(long, value_name = "FILE", env = "STOCKD_CLUSTER_CA", hide_env = true)]
    cluster_ca: Option<PathBuf>,
}

/// Does what is asked.
pub(crate) fn run(args: &ClusterArgs) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::Config => output::lines(NATS_CONFIGURATION)?,
        Action::Mirror(mirror) => {
            let MirrorArgs { reached, domain, replicas } = mirror;
            check_replicas(*replicas)?;
            show(&mirror_stream(&reached.options()?, domain, usize::from(*replicas))?)?;
        }
        Action::Status(reached) => show(&look_at_stream(&reached.options()?)?)?,
        Action::Init(init) => {
            check_replicas(init.replicas)?;
            if !(1..=CLUSTER_STOCKS_MAX).contains(&init.stocks_max) {
                let why = format!("--stocks-max is 1 to {CLUSTER_STOCKS_MAX}");
                return Err(UsageError(why).into());
            }
            let stream = StreamOptions {
                replicas: usize::from(init.replicas),
                bytes_max: init.size << 30,
                stocks_max: init.stocks_max,
            };
            show(&make_stream(&init.reached.options()?, stream)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check_replicas(replicas: u8) -> Result<(), UsageError> {
    match [1, 3, 5].contains(&replicas) {
        true => Ok(()),
        false => Err(UsageError(
            "--replicas is 1, 3 or 5: of an even number no more may fail".to_owned(),
        )),
    }
}

impl Reached {
    fn options(&self) -> anyhow::Result<ClusterOptions> {
        Ok(ClusterOptions {
            servers: self.cluster.clone(),
            name: ClusterName::new(&self.cluster_name).map_err(|it| UsageError(it.to_string()))?,
            credentials: self.cluster_creds.clone(),
            authorities: self.cluster_ca.clone(),
            // Of nodes alone.
            write_timeout: Duration::ZERO,
            stale_after: Duration::ZERO,
            only_follows: false,
        })
    }
}

fn show(report: &StreamReport) -> anyhow::Result<()> {
    let StreamReport { stream, log, messages: (first, last), bytes: (used, most), .. } = report;
    let leader = match report.leader.as_str() {
        "" => "one server alone",
        leader => leader,
    };
    let mut text = format!(
        "stream      {stream}\nepoch       {:016x}\nmessages    {first} to {last}\nbytes       {used} of {most}\nstocks max  {}\nleader      {leader}\n",
        log.epoch, log.stocks_max
    );
    for (name, state) in &report.others {
        text.push_str(&format!("replica     {name}, {state}\n"));
    }
    output::lines(&text)
}
