//! `stockd cluster`: makes the log of a cluster, looks at it and at its nodes, and makes a new one of what is left.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use stockd_cluster::{
    ClusterName, ClusterOptions, Joining, NATS_CONFIGURATION, StreamOptions, StreamReport, Syncing,
    Verification, look_at_stream, make_stream, mirror_stream, recover, verify,
};
use stockd_engine::Access;
use stockd_model::limits::{CLUSTER_STOCKS_MAX, SHUTDOWN_TIMEOUT, SNAPSHOT_TURN};
use stockd_store::DataDir;
use tracing_subscriber::filter::LevelFilter;

use crate::log::{Log, LogFormat};
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
    /// Compare what all nodes hold, and look at the stream and the servers. Ends with 1 where something is wrong.
    Verify(Reached),
    /// Have a snapshot of the catalog kept now, which shortens the log up to the one before. Needs no node; for a moment it
    /// takes the memory of one.
    Snapshot(Reached),
    /// Make a new log of what a node has kept, where the old one has lost messages or is gone.
    ///
    /// Stop all nodes first. The most advanced of the data directories becomes the first snapshot of the new log; none of
    /// them is changed. Then move them away and start the nodes: they begin with that snapshot.
    Recover(RecoverArgs),
}

#[derive(Debug, clap::Args)]
struct RecoverArgs {
    #[command(flatten)]
    reached: Reached,

    /// Data directory of a node, as often as there are some here; the most advanced one is taken.
    #[arg(long, value_name = "DIR", required = true)]
    data_dir: Vec<PathBuf>,

    /// Remove the old log. Without it a stream that is there stays.
    #[arg(long)]
    discard_log: bool,

    #[command(flatten)]
    stream: StreamArgs,
}

#[derive(Debug, clap::Args)]
struct InitArgs {
    #[command(flatten)]
    reached: Reached,

    #[command(flatten)]
    stream: StreamArgs,
}

#[derive(Debug, clap::Args)]
struct StreamArgs {
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

    /// Monitoring addresses of the NATS servers: http://HOST:PORT, several of them with commas between.
    #[arg(
        long,
        value_name = "URLS",
        value_delimiter = ',',
        env = "STOCKD_CLUSTER_MONITOR",
        hide_env = true
    )]
    cluster_monitor: Vec<String>,
}

/// How long this command waits for NATS, or a write of it for the log, and how old what it has may be.
const PATIENCE: Duration = Duration::from_secs(10);

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
            show(&make_stream(&init.reached.options()?, init.stream.options()?)?)?;
        }
        Action::Verify(reached) => return show_verification(&verify(&reached.options()?)?),
        Action::Snapshot(reached) => {
            let options = reached.options()?;
            let log = Log::to_stderr(LevelFilter::WARN, LogFormat::Text)?;
            return Ok(log.end(take_snapshot(options).map(|()| ExitCode::SUCCESS)));
        }
        Action::Recover(args) => recover_from(args)?,
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

fn show_verification(found: &Verification) -> anyhow::Result<ExitCode> {
    show(&found.stream)?;
    let mut text = String::new();
    for (monitor, syncing) in &found.syncing {
        let said = match syncing {
            Syncing::Always => "always",
            Syncing::Later => "NOT ALWAYS: a failure of the power loses what was acknowledged",
            Syncing::Unknown(why) => why,
        };
        text.push_str(&format!("syncs       {monitor}, {said}\n"));
    }
    if found.syncing.is_empty() {
        text.push_str(
            "syncs       not verified; name monitoring addresses with --cluster-monitor\n",
        );
    }
    for (session, digest) in &found.nodes {
        let said = digest.map_or_else(|| "says nothing".to_owned(), |it| format!("{it:016x}"));
        text.push_str(&format!("node        {session:016x}, {said}\n"));
    }
    let is_wrong = |(_, syncing): &(String, Syncing)| *syncing != Syncing::Always;
    let (verdict, is_well) = match (found.is_same(), found.is_complete(), found.nodes.len()) {
        (false, ..) => ("the nodes hold DIFFERENT quotes", false),
        (true, false, _) => ("some nodes do not say what they hold", false),
        (true, true, 0) => ("no node is there that writes", true),
        (true, true, _) => ("all nodes hold the same", true),
    };
    text.push_str(&format!("after {:<5} {verdict}\n", found.sequence));
    output::lines(&text)?;
    let is_well = is_well && !found.syncing.iter().any(is_wrong);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Between two looks whether the snapshot is kept.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Joins the cluster for as long as it takes.
fn take_snapshot(options: ClusterOptions) -> anyhow::Result<()> {
    let name = options.name.as_str().to_owned();
    let joining = Joining::begin(options, None, || false)?;
    let last = joining.last();
    let (engine, cluster) = joining.start()?;
    let report = cluster.reporter();
    let progress = Cell::new((0, Instant::now()));
    // A long log may take its time, as long as it comes. Behind its end only the own messages count, not those of others.
    let is_held_up = || {
        let ((before, since), applied) = (progress.get(), report().applied.min(last));
        if applied > before {
            progress.set((applied, Instant::now()));
        }
        applied <= before && since.elapsed() > PATIENCE
    };
    if !cluster.wait_until_ready(is_held_up) {
        let why = cluster.fault().unwrap_or_else(|| {
            let (seconds, state) = (PATIENCE.as_secs(), report().state);
            format!(
                "nothing has come back through it for {seconds} s, and this command is {state}; see 'stockd cluster status', \
                 and whether the credentials may publish to it"
            )
        });
        anyhow::bail!("cannot follow the log of the cluster: {why}");
    }
    let from = report().applied;
    cluster.ask_for_snapshot();
    let began = Instant::now();
    let kept = loop {
        let snapshot = report().snapshot;
        if snapshot >= from {
            break snapshot;
        }
        if let Some(why) = cluster.fault() {
            anyhow::bail!("the log of the cluster cannot be followed any more: {why}");
        }
        if began.elapsed() > SNAPSHOT_TURN {
            let seconds = SNAPSHOT_TURN.as_secs();
            anyhow::bail!("no snapshot was kept in {seconds} s; the lines before say why");
        }
        thread::sleep(LOOK_INTERVAL);
    };
    let stocks = engine.count(&Access::All).unwrap_or_default();
    engine.close(SHUTDOWN_TIMEOUT)?;
    cluster.end();
    output::line(format_args!(
        "a snapshot of cluster {name} up to message {kept}, {stocks} stocks, is kept"
    ))
}

fn recover_from(args: &RecoverArgs) -> anyhow::Result<()> {
    let directories = args.data_dir.iter().map(|path| DataDir::open_existing(path, true));
    let directories = directories.collect::<Result<Vec<_>, _>>()?;
    let (options, stream) = (args.reached.options()?, args.stream.options()?);
    let recovery = recover(&options, &directories, stream, args.discard_log)?;
    show(&recovery.stream)?;
    output::line(format_args!(
        "{} stocks of {}, up to message {} of the old log, are in the new one; move the data directories of all nodes \
         away and start them",
        recovery.stocks, recovery.directory, recovery.applied
    ))
}

impl StreamArgs {
    fn options(&self) -> anyhow::Result<StreamOptions> {
        check_replicas(self.replicas)?;
        if !(1..=CLUSTER_STOCKS_MAX).contains(&self.stocks_max) {
            let why = format!("--stocks-max is 1 to {CLUSTER_STOCKS_MAX}");
            return Err(UsageError(why).into());
        }
        Ok(StreamOptions {
            replicas: usize::from(self.replicas),
            bytes_max: self.size << 30,
            stocks_max: self.stocks_max,
        })
    }
}

impl Reached {
    fn options(&self) -> anyhow::Result<ClusterOptions> {
        Ok(ClusterOptions {
            servers: self.cluster.clone(),
            name: ClusterName::new(&self.cluster_name).map_err(|it| UsageError(it.to_string()))?,
            credentials: self.cluster_creds.clone(),
            authorities: self.cluster_ca.clone(),
            only_follows: false,
            monitors: self.cluster_monitor.clone(),
            write_timeout: PATIENCE,
            stale_after: PATIENCE,
            join_patience: Some(PATIENCE),
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
