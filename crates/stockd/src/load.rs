//! `stockd load`: the load generator on the command line.
//!
//! This file owns the options, their defaults, and how often a load is run. The crate `stockd-load` makes
//! the load and measures it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use indicatif::ProgressBar;
use stockd_load::report::{Document, Parameters, Point, Repetition, Swept};
use stockd_load::{
    Arrivals, Audience, Carrier, Course, Expected, Extent, Load, LoadError, Mix, Protocol,
    ServerProcess, Target, Texts, Workload, WriteWith,
};
use stockd_model::limits::{
    LOAD_CONNECTIONS_MAX, LOAD_MGET_MAX, LOAD_PIPELINE_MAX, LOAD_RUNS_MAX, LOAD_STOCKS_MAX,
    LOAD_SUBSCRIBERS_MAX, LOAD_THREADS_MAX,
};

use crate::catalog_file::Form;
use crate::name_list;
use crate::progress;
use crate::tls_flags::TlsFlags;
use crate::token_flags::TokenFlags;
use crate::usage_error::UsageError;

#[cfg(feature = "plots")]
mod plot;
mod results;
mod values;

use results::ReportArgs;
use values::{Sweep, count, percent, rate, seconds, theta};

/// Put load on a server and measure its latency honestly.
///
/// Alone, it asks a local stockd over the line protocol, on 50 connections, for the stocks that it
/// lists. Each connection sends its next request when the last is answered (a closed loop): that
/// finds what the server can do. With --rate, requests come when they are due whatever the server
/// does (an open loop), and latency counts from then: that shows a stall as clients would feel it.
///
/// Works against Redis, Valkey and similar servers with --protocol resp, against memcached, and over HTTP/1.1, HTTP/2,
/// WebSocket and gRPC.
/// Says so when it was itself the bottleneck, and repeats runs that other processes disturbed. Exits with 1 when a
/// reply was an error or wrong, a connection was lost, or an --assert does not hold. docs/load.md explains how
/// to measure with it.
#[derive(Debug, clap::Args)]
#[cfg_attr(
    feature = "plots",
    command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)
)]
pub(crate) struct LoadArgs {
    #[cfg(feature = "plots")]
    #[command(subcommand)]
    command: Option<LoadCommand>,

    #[command(flatten)]
    run: RunArgs,
}

#[cfg(feature = "plots")]
#[derive(Debug, clap::Subcommand)]
enum LoadCommand {
    Plot(plot::PlotArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Address of the server: HOST:PORT, tls:HOST:PORT or unix:PATH [default: 127.0.0.1 and 7878 for line, 7879
    /// for resp, 11211 for memcached, 7880 for the others; STOCKD_SERVER, STOCKD_RESP_SERVER or STOCKD_HTTP_SERVER
    /// where they are set].
    #[arg(long, value_name = "ADDR", help_heading = "Server")]
    server: Option<String>,

    #[command(flatten)]
    tls: TlsFlags,

    #[command(flatten)]
    token: TokenFlags,

    /// The protocol.
    #[arg(long, value_enum, default_value = "line", help_heading = "Server")]
    protocol: ProtocolArg,

    /// Use the meta commands of memcached (mg, ms) instead of get and set.
    #[arg(long, help_heading = "Server")]
    memcached_meta: bool,

    /// Address of stockd's RESP listener, which lists and fills stocks and has subscribers when
    /// lookups go over another protocol.
    #[arg(
        long,
        value_name = "ADDR",
        env = "STOCKD_RESP_SERVER",
        hide_env_values = true,
        default_value = "127.0.0.1:7879",
        help_heading = "Server"
    )]
    resp: String,

    /// Address of stockd's HTTP listener, for subscribers by sse, websocket and grpc.
    #[cfg(feature = "web")]
    #[arg(
        long,
        value_name = "ADDR",
        env = "STOCKD_HTTP_SERVER",
        hide_env_values = true,
        default_value = "127.0.0.1:7880",
        help_heading = "Server"
    )]
    http: String,

    /// Process of the server on this machine: shows its CPU time per request and its memory.
    #[arg(long, value_name = "PID", help_heading = "Server")]
    pid: Option<u32>,

    /// Connections.
    #[arg(long, short = 'c', value_name = "N", default_value = "50", value_parser = count(LOAD_CONNECTIONS_MAX), help_heading = "Load")]
    connections: u64,

    /// Requests that each connection sends at once, the next when all are answered (closed loop).
    #[arg(long, short = 'p', value_name = "N", default_value = "1", value_parser = count(LOAD_PIPELINE_MAX), conflicts_with = "rate", help_heading = "Load")]
    pipeline: u64,

    /// Threads of the load generator, at most one for each connection.
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(LOAD_THREADS_MAX), help_heading = "Load")]
    threads: u64,

    /// Open loop: this number of requests a second over all connections, each when it is due.
    #[arg(long, short = 'r', value_name = "N", value_parser = rate, help_heading = "Load")]
    rate: Option<f64>,

    /// How an open loop spreads requests over time.
    #[arg(long, value_enum, default_value = "constant", help_heading = "Load")]
    arrivals: ArrivalsArg,

    /// Run for each value: connections=1,10,100, pipeline=…, threads=… or rate=….
    #[arg(long, value_name = "WHAT=N,N…", value_parser = values::sweep, help_heading = "Load")]
    sweep: Option<Sweep>,

    /// Poll instead of sleeping: sends on time to the microsecond, and takes a whole core for each
    /// thread.
    #[arg(long, help_heading = "Load")]
    spin: bool,

    /// Ask for the names of a list: one a line, or the first column of a CSV file that begins with
    /// 'symbol,'; '-' is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "stocks", help_heading = "Requests")]
    names: Option<PathBuf>,

    /// Ask for this number of generated names: S0000000, S0000001 and so on.
    #[arg(long, value_name = "N", value_parser = count(LOAD_STOCKS_MAX), help_heading = "Requests")]
    stocks: Option<u64>,

    /// Give every name a price first, over RESP or memcached's protocol (see --resp).
    #[arg(long, help_heading = "Requests")]
    fill: bool,

    /// How --fill writes over RESP: hset for stockd, set for Redis and its like.
    #[arg(long, value_enum, value_name = "HOW", default_value = "hset", help_heading = "Requests")]
    fill_with: WriteArg,

    /// Ask for some names more often than for others, by Zipf's law with this exponent; 0.99 is
    /// usual. The first name is asked for most.
    #[arg(long, value_name = "THETA", value_parser = theta, help_heading = "Requests")]
    zipf: Option<f64>,

    /// Share of lookups, in percent, for names that are not listed.
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent, help_heading = "Requests")]
    misses: f64,

    /// Ask for this number of names in one MGET (resp).
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(LOAD_MGET_MAX), help_heading = "Requests")]
    mget: u64,

    /// Share of requests, in percent, that write a price. It overwrites prices of the names asked
    /// for.
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent, help_heading = "Requests")]
    updates: f64,

    /// How --updates writes over RESP [default: as --fill-with].
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Requests")]
    update_with: Option<WriteArg>,

    /// Connections beside the load that subscribe to all names, count messages and tell how old they are.
    #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u64).range(..=LOAD_SUBSCRIBERS_MAX as u64), help_heading = "Requests")]
    subscribers: u64,

    /// What carries the messages of subscribers. Over sse they subscribe to as many names as one request holds, 8 KiB of
    /// them; over websocket and grpc to 64 KiB.
    #[arg(long, value_enum, value_name = "HOW", default_value = "resp", help_heading = "Requests")]
    subscribe_with: CarrierArg,

    /// Compare every reply: with the price of --fill, or else with what the server answered name
    /// by name before the run.
    #[arg(long, help_heading = "Requests")]
    verify: bool,

    /// Time before measuring begins.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = seconds, help_heading = "Runs")]
    warmup: Duration,

    /// Time to measure.
    #[arg(long, short = 'd', value_name = "TIME", default_value = "5s", value_parser = seconds, help_heading = "Runs")]
    duration: Duration,

    /// Measure this number of requests instead of a time.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "duration", help_heading = "Runs")]
    requests: Option<u64>,

    /// Run this number of times; the table shows medians.
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(LOAD_RUNS_MAX), help_heading = "Runs")]
    repetitions: u64,

    /// Seed of names and arrivals: the same one asks the same.
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Runs")]
    seed: u64,

    /// Runs that may be repeated because other processes disturbed them, at most [default: as many as
    /// --repetitions].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=LOAD_RUNS_MAX as u64), help_heading = "Runs")]
    repeats: Option<u64>,

    /// Label of the runs in plots [default: the protocol and the server, where that tells them apart].
    #[arg(long, value_name = "TEXT", help_heading = "Report")]
    label: Option<String>,

    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum ProtocolArg {
    /// A symbol a line, as stockd answers on port 7878.
    Line,
    /// That of Redis: GET, MGET.
    Resp,
    /// The text protocol of memcached: get.
    Memcached,
    /// HTTP/1.1 with connections that stay open: GET /v1/stocks/NAME, as JSON.
    #[cfg(feature = "web")]
    Http,
    /// The same over HTTP/2, each request on a stream of its own: --pipeline many at once.
    #[cfg(feature = "web")]
    Http2,
    /// The action lookup of the subprotocol stockd.v1.
    #[cfg(feature = "web")]
    Websocket,
    /// Lookup of stockd.v1.Stocks, each on a stream of its own.
    #[cfg(feature = "web")]
    Grpc,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum CarrierArg {
    /// SUBSCRIBE.
    Resp,
    /// Server-Sent Events over HTTP/1.1.
    #[cfg(feature = "web")]
    Sse,
    /// WebSocket, in the subprotocol stockd.v1.
    #[cfg(feature = "web")]
    Websocket,
    /// Watch of gRPC.
    #[cfg(feature = "web")]
    Grpc,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ArrivalsArg {
    /// Evenly spaced.
    Constant,
    /// As from many independent clients.
    Poisson,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum WriteArg {
    /// HSET symbol price p.
    Hset,
    /// SET symbol p.
    Set,
}

/// Runs what was asked for and reports.
pub(crate) fn run(args: &LoadArgs) -> anyhow::Result<ExitCode> {
    #[cfg(feature = "plots")]
    if let Some(LoadCommand::Plot(args)) = &args.command {
        return plot::run(args);
    }
    args.run.run().map_err(|error| match error.downcast_ref() {
        Some(LoadError::Usage(why)) => UsageError(why.clone()).into(),
        _ => error,
    })
}

impl RunArgs {
    fn run(&self) -> anyhow::Result<ExitCode> {
        if let (Some(sweep), Some(_)) = (&self.sweep, self.rate) {
            ensure!(
                sweep.parameter != values::Parameter::Pipeline,
                UsageError("a pipeline is for closed loops; leave --rate out".into())
            );
        }
        let protocol = self.protocol();
        let target = self.target()?;
        let resp = match protocol {
            Protocol::Resp => target.clone(),
            _ => self.address(&self.resp)?,
        };
        let names = self.names(&resp)?;
        let update_with = self.update_with.unwrap_or(self.fill_with).into();
        if self.fill {
            self.fill(protocol, &target, &resp, &names)?;
        }
        let expected = self.expected(protocol, &target, &names)?;
        let mix = Mix {
            protocol,
            mget: self.mget as usize,
            zipf: self.zipf,
            misses_percent: self.misses,
            updates_percent: self.updates,
            update_with,
            caller: target.caller(),
        };
        let workload = Arc::new(Workload::new(&mix, names.clone(), expected)?);
        let course = Course {
            target: target.clone(),
            warmup: self.warmup,
            extent: self.requests.map_or(Extent::Time(self.duration), Extent::Requests),
            seed: self.seed,
            spins: self.spin,
            process: self.pid.map(|pid| ServerProcess { pid }),
            subscribers: self.audience(resp)?,
        };
        let label = self.label.clone();
        let label = label.unwrap_or_else(|| Document::default_label(protocol, &target.to_string()));
        let words = std::env::args_os();
        let command = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let mut document = Document::new(label, command, self.parameters(&target, names.len()));
        let runs = Runs { args: self, workload: &workload, names: &names, course: &course };
        for (swept, load) in self.loads() {
            document.points.push(runs.of(swept, load)?);
        }
        self.report.write(&document)?;
        let holds = self.report.holds(&document);
        Ok(match holds && document.repetitions().all(Repetition::is_clean) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }

    fn protocol(&self) -> Protocol {
        match (self.protocol, self.memcached_meta) {
            (ProtocolArg::Line, _) => Protocol::Line,
            (ProtocolArg::Resp, _) => Protocol::Resp,
            (ProtocolArg::Memcached, false) => Protocol::Memcached,
            (ProtocolArg::Memcached, true) => Protocol::MemcachedMeta,
            #[cfg(feature = "web")]
            (ProtocolArg::Http, _) => Protocol::Http,
            #[cfg(feature = "web")]
            (ProtocolArg::Http2, _) => Protocol::Http2,
            #[cfg(feature = "web")]
            (ProtocolArg::Websocket, _) => Protocol::Websocket,
            #[cfg(feature = "web")]
            (ProtocolArg::Grpc, _) => Protocol::Grpc,
        }
    }

    fn target(&self) -> anyhow::Result<Target> {
        if let Some(server) = &self.server {
            return self.address(server);
        }
        let from = |variable| std::env::var(variable).ok();
        self.address(&match self.protocol {
            ProtocolArg::Line => from("STOCKD_SERVER").unwrap_or_else(|| "127.0.0.1:7878".into()),
            ProtocolArg::Resp => self.resp.clone(),
            ProtocolArg::Memcached => "127.0.0.1:11211".into(),
            #[cfg(feature = "web")]
            _ => self.http.clone(),
        })
    }

    /// A server, and what is shown to it where its protocol can.
    fn address(&self, text: &str) -> anyhow::Result<Target> {
        let target: Target = text.parse().map_err(UsageError)?;
        Ok(target.with_tls(self.tls.load()?).with_credentials(self.token.load()?))
    }

    /// The subscribers beside the load.
    fn audience(&self, resp: Target) -> anyhow::Result<Option<Audience>> {
        if self.subscribers == 0 {
            return Ok(None);
        }
        let carrier = self.subscribe_with.into();
        let target = match carrier {
            #[cfg(feature = "web")]
            Carrier::Sse | Carrier::Websocket | Carrier::Grpc => self.address(&self.http)?,
            _ => resp,
        };
        Ok(Some(Audience { count: self.subscribers as usize, target, carrier }))
    }

    fn names(&self, resp: &Target) -> anyhow::Result<Texts> {
        match (&self.names, self.stocks) {
            (Some(file), _) => {
                let mut names = Texts::default();
                name_list::read(&file.to_string_lossy(), &Form::default(), |name| names.push(name.as_bytes()))?;
                Ok(names)
            }
            (None, Some(stocks)) => Ok(Texts::generated(stocks as usize)),
            (None, None) if self.protocol == ProtocolArg::Memcached => {
                bail!(UsageError("memcached does not list its keys; give --names FILE, or --stocks N with --fill".into()))
            }
            (None, None) => stockd_load::names_of(resp).context(
                "cannot ask the server for its stocks (give --names FILE or --stocks N, or the RESP listener with --resp ADDR)",
            ),
        }
    }

    fn fill(
        &self,
        protocol: Protocol,
        target: &Target,
        resp: &Target,
        names: &Texts,
    ) -> anyhow::Result<()> {
        let (target, protocol) = match protocol.has_writes() {
            true => (target, protocol),
            false => (resp, Protocol::Resp),
        };
        let template = "{bar:40} {human_pos} of {human_len} stocks listed";
        let bar = progress::bar(names.len() as u64, template);
        stockd_load::fill(target, protocol, self.fill_with.into(), names, |done| {
            bar.set_position(done as u64);
        })?;
        Ok(())
    }

    fn expected(
        &self,
        protocol: Protocol,
        target: &Target,
        names: &Texts,
    ) -> anyhow::Result<Option<Expected>> {
        match (self.verify, self.fill) {
            (false, _) => Ok(None),
            (true, true) => Ok(Some(Expected::Filled)),
            (true, false) if self.updates > 0.0 => bail!(UsageError(
                "--verify with --updates needs --fill, so that every price is known".into()
            )),
            (true, false) => {
                Ok(Some(Expected::Recorded(stockd_load::record(target, protocol, names)?)))
            }
        }
    }

    fn parameters(&self, target: &Target, stocks: usize) -> Parameters {
        Parameters {
            server: target.to_string(),
            protocol: self.protocol(),
            stocks,
            zipf: self.zipf,
            misses_percent: self.misses,
            mget: self.mget as usize,
            updates_percent: self.updates,
            subscribers: self.subscribers as usize,
            subscribe_with: self.subscribe_with.into(),
            warmup_seconds: self.warmup.as_secs_f64(),
            duration_seconds: self.requests.is_none().then_some(self.duration.as_secs_f64()),
            requests: self.requests,
            seed: self.seed,
            verify: self.verify,
            spin: self.spin,
            pid: self.pid,
        }
    }

    /// The load of every point, and the value that is swept.
    fn loads(&self) -> Vec<(Option<Swept>, Load)> {
        let load = Load {
            connections: self.connections as usize,
            pipeline: self.pipeline as usize,
            threads: self.threads as usize,
            rate: self.rate,
            arrivals: match self.arrivals {
                ArrivalsArg::Constant => Arrivals::Constant,
                ArrivalsArg::Poisson => Arrivals::Poisson,
            },
        };
        let Some(sweep) = &self.sweep else {
            return vec![(None, load)];
        };
        let point = |&value: &f64| {
            let swept = Swept { parameter: sweep.parameter.name().to_owned(), value };
            (Some(swept), sweep.parameter.set(load, value))
        };
        sweep.values.iter().map(point).collect()
    }

    fn progress(&self, load: &Load, swept: Option<&Swept>, run: u64, runs: u64) -> ProgressBar {
        let length = match self.requests {
            None => self.warmup + self.duration,
            Some(_) => Duration::ZERO,
        };
        let swept = swept.map(|swept| format!("{} {}, ", swept.parameter, swept.value));
        let run = match runs {
            1 => String::new(),
            runs => format!("run {run} of {runs}, "),
        };
        let connections = load.connections;
        let prefix = format!("{}{run}{connections} connections", swept.unwrap_or_default());
        let template = match length.is_zero() {
            true => "{spinner} {prefix}: {msg}",
            false => "{bar:40} {prefix}: {msg}",
        };
        progress::bar(length.as_millis() as u64, template).with_prefix(prefix)
    }
}

/// What the runs of every load share.
struct Runs<'a> {
    args: &'a RunArgs,
    workload: &'a Arc<Workload>,
    names: &'a Texts,
    course: &'a Course,
}

impl Runs<'_> {
    /// Runs a load as often as it was asked for, and again where others disturbed a run, as long as that is
    /// allowed.
    fn of(&self, swept: Option<Swept>, load: Load) -> anyhow::Result<Point> {
        let args = self.args;
        let mut runs = args.repetitions;
        let most = runs + args.repeats.unwrap_or(runs);
        let mut repetitions = Vec::new();
        while (repetitions.len() as u64) < runs {
            let number = repetitions.len() as u64 + 1;
            let bar = args.progress(&load, swept.as_ref(), number, runs);
            let outcome =
                stockd_load::run(self.workload, self.names, &load, self.course, |progress| {
                    bar.set_position(progress.elapsed.as_millis() as u64);
                    bar.set_message(format!("{} requests", progress.answered));
                })?;
            drop(bar);
            let run = Repetition::new(outcome, &load, args.mget as usize);
            if run.disturbed && runs < most {
                runs += 1;
                results::say(&format!(
                    "run {number} was disturbed by other processes; it is repeated"
                ));
            }
            repetitions.push(run);
        }
        Ok(Point { swept, load, repetitions })
    }
}

impl From<CarrierArg> for Carrier {
    fn from(carrier: CarrierArg) -> Carrier {
        match carrier {
            CarrierArg::Resp => Carrier::Resp,
            #[cfg(feature = "web")]
            CarrierArg::Sse => Carrier::Sse,
            #[cfg(feature = "web")]
            CarrierArg::Websocket => Carrier::Websocket,
            #[cfg(feature = "web")]
            CarrierArg::Grpc => Carrier::Grpc,
        }
    }
}

impl From<WriteArg> for WriteWith {
    fn from(write: WriteArg) -> WriteWith {
        match write {
            WriteArg::Hset => WriteWith::Hset,
            WriteArg::Set => WriteWith::Set,
        }
    }
}
