//! `stockd serve`: from settings to a running server and its clean end.
//!
//! This file owns the order of the steps: all settings are checked, then the whole catalog is
//! loaded, then the addresses are bound, and only then printed, as the sign that the server is
//! ready. Standard output has the addresses alone; the log goes to standard error.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use stockd_engine::{Access, Engine};
use stockd_model::limits::{
    COMMIT_QUEUE_REQUESTS_MAX, FILES_LOOK_INTERVAL, LOG_FLUSH_TIMEOUT, SHUTDOWN_TIMEOUT,
};
use stockd_model::{Address, Condition, Conditional, Field, Quote, Refusal, Reply, Request};
use stockd_server::{Config, Endpoint, Protocol, Server, Transport};
use tracing::{info, warn};

use crate::access_file::WatchedAccess;
use crate::batches::batches;
use crate::catalog_file::{Loaded, Row, Rows};
use crate::certificates::Certificates;
use crate::data_dir;
use crate::exposure;
use crate::interruption::{Interruption, Told};
use crate::log::Log;
use crate::output;
use crate::settings::{SettingFlags, Settings};
use crate::usage_error::UsageError;
use crate::web::Web;

/// Serve lookups until SIGTERM or Ctrl-C.
///
/// Prints every address that it listens on, one a line, as `line 127.0.0.1:7878`; from then on it
/// is ready. Settings come from a file, then the environment, then flags; later ones win.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    flags: SettingFlags,
}

/// Runs a server until a signal stops it.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&args.flags, std::env::vars_os())?;
    let certificates = Certificates::load(&settings)?;
    let access = settings.access.as_deref().map(WatchedAccess::open).transpose()?;
    let endpoints = endpoints(&settings, certificates.as_ref())?;
    let warnings =
        exposure::check(&exposure::listeners(&settings), access.is_some(), &settings.insecure)?;
    let log = Log::to_stderr(settings.log, settings.log_format).context("cannot start the log")?;
    warnings.iter().for_each(|warning| warn!("{warning}"));
    let guarded = Guarded { endpoints, certificates, access, insecure_listeners: warnings.len() };
    Ok(log.end(serve(&settings, guarded, &args.flags, &log)))
}

/// How often a node looks whether what it shows is wrong.
#[cfg(feature = "cluster")]
const NODE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Where to listen, and what protects it.
struct Guarded {
    endpoints: Vec<Endpoint>,
    certificates: Option<Certificates>,
    access: Option<WatchedAccess>,
    insecure_listeners: usize,
}

fn serve(
    settings: &Settings,
    guarded: Guarded,
    flags: &SettingFlags,
    log: &Log,
) -> anyhow::Result<ExitCode> {
    let Guarded { endpoints, mut certificates, mut access, insecure_listeners } = guarded;
    // What is wrong with the catalog file shows before anything is written.
    let rows = read_catalog(settings)?;
    // Before the directory is opened, which changes it.
    let is_newer = data_dir::is_older_than(settings, settings.catalog_file().as_ref());
    let (engine, node) = open(settings)?;
    let engine = Arc::new(engine);
    list_stocks(&rows, &engine)?;
    tell_differences(settings, &rows, &engine, is_newer);
    drop(rows);

    let interruption = Interruption::watch_with_reload()?;
    let file_limit = stockd_server::raise_file_limit();
    let web_connections_max = Web::connections_max(settings, file_limit);
    // Where nothing listens there are no connections to keep files for.
    let files_reserved = if endpoints.is_empty() { 0 } else { web_connections_max };
    let config = Config {
        endpoints,
        workers: settings.workers,
        spin: settings.spin,
        connections_max: settings.connections_max,
        files_reserved,
        idle_timeout: settings.idle_timeout,
        stalled_timeout: settings.stalled_timeout,
        memory_max: settings.memory_max,
        unread_replies_max: settings.unread_replies_max,
        authority: access.as_ref().map(|it| Arc::clone(it.authority())).unwrap_or_default(),
        insecure_listeners: insecure_listeners as u64,
        log_lines_lost: log.lost(),
        ..Config::default()
    };
    // The error says the cause itself; its source would say it again.
    let server =
        Server::start(config, Arc::clone(&engine)).map_err(|error| anyhow::anyhow!("{error}"))?;
    let web = Web::start(
        settings,
        web_connections_max,
        &engine,
        &server,
        certificates.as_ref().map(Certificates::tls),
    )?;
    info!(
        stocks = engine.count(&Access::All).unwrap_or_default(),
        memory_bytes = engine.memory_bytes(),
        workers = settings.workers,
        connections_max = server.metrics().connections_max,
        memory_max = settings.memory_max,
        file_limit,
        durable = engine.commit_report().is_some(),
        "serving"
    );
    print_addresses(&server, &web)?;
    if let Some(page) = web.dashboard() {
        info!("the dashboard is at {page}");
    }

    let signal = loop {
        let told = interruption.next_within(node.look_interval());
        match told {
            Some(Told::Stop(signal)) => break signal,
            Some(Told::Reload) => {
                reload(settings, flags, log);
                engine.resume();
            }
            None => {}
        }
        if let Some(why) = node.must_end() {
            anyhow::bail!("the node has stopped: {why}");
        }
        if let Some(access) = &mut access
            && access.look(told.is_some())
        {
            server.access_changed();
            web.access_changed();
        }
        if let Some(certificates) = &mut certificates {
            certificates.look();
        }
    };
    let until = Instant::now() + (SHUTDOWN_TIMEOUT - LOG_FLUSH_TIMEOUT);
    info!(signal, "stopping: answering what was asked");
    web.stop();
    let report = server.shutdown();
    web.end(until);
    if report.unflushed > 0 {
        let clients = report.unflushed;
        warn!(clients, "some clients did not take all their replies in time");
    }
    let totals = engine.totals();
    info!(
        connections = report.connections,
        lookups = totals.lookups(),
        listed = totals.hits,
        not_listed = totals.misses,
        "stopped"
    );
    engine.close(until.saturating_duration_since(Instant::now()))?;
    node.end();
    Ok(ExitCode::SUCCESS)
}

/// What a server is beside its engine: a node of a cluster, or alone.
struct Membership {
    #[cfg(feature = "cluster")]
    cluster: Option<stockd_cluster::Cluster>,
}

/// The engine over what is kept: in the data directory, or by the log of a cluster.
fn open(settings: &Settings) -> anyhow::Result<(Engine, Membership)> {
    #[cfg(feature = "cluster")]
    {
        if !settings.cluster.is_empty() {
            let (engine, cluster) = crate::cluster_node::join(settings)?;
            return Ok((engine, Membership { cluster: Some(cluster) }));
        }
        anyhow::ensure!(
            !settings.follow,
            "follow: there is nothing to follow; name the servers of a cluster with --cluster"
        );
        Ok((data_dir::open_engine(settings)?, Membership { cluster: None }))
    }
    #[cfg(not(feature = "cluster"))]
    Ok((data_dir::open_engine(settings)?, Membership {}))
}

#[cfg(feature = "cluster")]
impl Membership {
    /// How often to look whether the node must end, and at files.
    fn look_interval(&self) -> Duration {
        if self.cluster.is_some() { NODE_LOOK_INTERVAL } else { FILES_LOOK_INTERVAL }
    }

    /// Why the server must not go on: what it shows may be wrong.
    fn must_end(&self) -> Option<String> {
        self.cluster.as_ref()?.wrong()
    }

    fn end(self) {
        if let Some(cluster) = self.cluster {
            cluster.end();
        }
    }
}

#[cfg(not(feature = "cluster"))]
impl Membership {
    fn look_interval(&self) -> Duration {
        FILES_LOOK_INTERVAL
    }

    fn must_end(&self) -> Option<String> {
        None
    }

    fn end(self) {}
}

/// Reads the settings again. What can change while the server runs is changed: the level of the log. Of
/// all else it is said that it takes a restart.
fn reload(settings: &Settings, flags: &SettingFlags, log: &Log) {
    match Settings::load(flags, std::env::vars_os()) {
        Ok(now) => {
            log.set_level(now.log);
            let changed = now.differences(settings);
            let waiting: Vec<_> = changed.into_iter().filter(|key| *key != "log").collect();
            match waiting.is_empty() {
                true => info!(log = %now.log, "settings were read again"),
                false => warn!(
                    log = %now.log,
                    "settings were read again; these take a restart: {}",
                    waiting.join(", ")
                ),
            }
        }
        Err(error) => warn!("the settings stay as they are: {error}"),
    }
}

/// What to listen on: at least one address.
fn endpoints(
    settings: &Settings,
    certificates: Option<&Certificates>,
) -> Result<Vec<Endpoint>, UsageError> {
    let of = |protocol, addresses: &[Address]| {
        let endpoint = |address: &Address| {
            let (address, with_tls) = address.clone().without_tls();
            let transport =
                if with_tls { tls_of(settings, certificates)? } else { Transport::Plain };
            let proxied = settings.proxy_protocol;
            Ok(Endpoint { transport, proxied, ..Endpoint::plain(protocol, address) })
        };
        addresses.iter().map(endpoint).collect::<Result<Vec<_>, _>>()
    };
    let endpoints =
        [of(Protocol::Line, &settings.line)?, of(Protocol::Resp, &settings.resp)?].concat();
    if endpoints.is_empty() && settings.http.is_empty() && settings.grpc.is_empty() {
        let why = "every listener is off, so nobody could be served; give --line ADDR, --resp ADDR or --http ADDR";
        return Err(UsageError(why.to_owned()));
    }
    Ok(endpoints)
}

/// The transport of an address with TLS.
fn tls_of(
    settings: &Settings,
    certificates: Option<&Certificates>,
) -> Result<Transport, UsageError> {
    let why = match certificates {
        Some(_) if settings.proxy_protocol => {
            "proxy_protocol does not go together with an address with tls:, since proxies send their \
             header in plain; let the proxy end TLS, or give tls: addresses to a server of their own"
        }
        Some(certificates) => return Ok(Transport::Tls(Arc::clone(certificates.tls()))),
        None => {
            "an address with tls: needs a certificate: name it with tls_cert and tls_key, or make one for \
             development with 'stockd certificate new --host localhost DIR'"
        }
    };
    Err(UsageError(why.to_owned()))
}

/// The stocks of the catalog file. Bad rows are an error, unless the settings say to skip them.
fn read_catalog(settings: &Settings) -> anyhow::Result<Rows> {
    let Some(source) = settings.catalog_file() else {
        return Ok(Rows::default());
    };
    let Loaded { rows, bad_rows } = source.read()?;
    if settings.lenient {
        for row in &bad_rows.first {
            warn!("skipped {row}");
        }
        if bad_rows.count > 0 {
            warn!(bad_rows = bad_rows.count, "skipped the bad rows of {source}");
        }
    } else {
        bad_rows.report(false, "nothing is served")?;
    }
    Ok(rows)
}

/// Lists the stocks that are not listed yet, and leaves the others as they are.
fn list_stocks(rows: &Rows, engine: &Arc<Engine>) -> anyhow::Result<()> {
    let mut listed = 0;
    for listings in batches(listings(rows, engine), COMMIT_QUEUE_REQUESTS_MAX) {
        listed += list(&listings, engine)?;
    }
    if !rows.is_empty() {
        let known = rows.len() - listed;
        info!(new = listed, known, "listed the stocks of the catalog file that were new");
    }
    if engine.count(&Access::All) == Some(0) {
        warn!("no stocks are listed: every lookup answers -1; list some with --catalog FILE");
    }
    Ok(())
}

/// What lists the stocks that are not listed now. Another node of a cluster may list them first, and its clients may trade
/// them by then, so each is listed only if it is not listed yet.
fn listings(rows: &Rows, engine: &Engine) -> impl Iterator<Item = Conditional> {
    let is_new = |row: &Row| engine.quote(&Access::All, &row.symbol).is_none();
    rows.iter().filter(is_new).map(|row| Conditional {
        condition: Condition::Unlisted,
        request: Request::Set(row.symbol, row.fields),
    })
}

/// Lists these. Returns how many were not listed.
fn list(listings: &[Conditional], engine: &Arc<Engine>) -> anyhow::Result<usize> {
    let mut listed = 0;
    for reply in engine.executor().batch(&Access::All).execute_all(listings) {
        match reply {
            Reply::Refused(Refusal::AlreadyListed { .. }) => {}
            Reply::Refused(refusal) => {
                anyhow::bail!("cannot list the stocks of the catalog file: {refusal}")
            }
            _ => listed += 1,
        }
    }
    Ok(listed)
}

/// Says which stocks are not as the catalog file has them, since the data directory knew them before: as a warning
/// where the file was changed after the directory.
fn tell_differences(settings: &Settings, rows: &Rows, engine: &Engine, is_newer: bool) {
    let different = |row: Row| {
        let quote = engine.quote(&Access::All, &row.symbol)?;
        let in_file = row.outcome(&quote);
        (in_file != quote).then_some((quote, in_file))
    };
    let mut differences = rows.iter().filter_map(different);
    let (Some((quote, in_file)), Some(file)) = (differences.next(), &settings.catalog) else {
        return;
    };
    let count = 1 + differences.count();
    let text = |quote: &Quote, field| {
        quote.text_of(field).map_or_else(|| "none".to_owned(), |text| text.as_str().to_owned())
    };
    let differs = |field: &Field| text(&quote, *field) != text(&in_file, *field);
    let field = Field::ALL.into_iter().find(differs).unwrap_or(Field::Price);
    let told = format!(
        "the data directory wins over {file}: {} of '{}' is {}, and {} in the file; to apply the file: stockd import {file}",
        field.name(),
        quote.symbol,
        text(&quote, field),
        text(&in_file, field)
    );
    match is_newer {
        true => warn!(differ = count, "{told}"),
        false => info!(differ = count, "{told}"),
    }
}

/// Prints where the server listens, all at once. A reader that has seen enough is no error.
fn print_addresses(server: &Server, web: &Web) -> anyhow::Result<()> {
    let endpoints = server.endpoints().iter().map(|endpoint| format!("{endpoint}\n"));
    let of_web = web.endpoints().map(|(protocol, address)| format!("{protocol} {address}\n"));
    output::all(endpoints.chain(of_web).collect::<String>().as_bytes())
}

#[cfg(test)]
mod tests {
    use stockd_model::{Shares, Symbol, Volume};

    use super::*;
    use crate::catalog_file::{Form, Source};

    /// Two nodes start with one file. The other lists a stock, and sells of it, after this one has looked.
    #[test]
    fn a_stock_that_another_node_lists_first_keeps_what_was_sold() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stocks.csv");
        std::fs::write(&path, "symbol,price,volume\nHOT,1.5,10\nCOLD,2.5,20\n").unwrap();
        let source = Source::new(path.to_str().unwrap(), Form::default());
        let rows = source.read().unwrap().rows;
        let engine = Arc::new(Engine::default());
        let of_this: Vec<_> = listings(&rows, &engine).collect();
        assert_eq!(of_this.len(), 2);
        let hot: Symbol = "HOT".parse().unwrap();
        let of_other: Vec<_> =
            of_this.iter().filter(|it| it.request.symbol() == Some(&hot)).copied().collect();
        assert_eq!(list(&of_other, &engine).unwrap(), 1);
        let sold = Request::Trade(hot, Shares::Take(Volume::new(4)));
        engine.executor().batch(&Access::All).execute(&sold);

        assert_eq!(list(&of_this, &engine).unwrap(), 1, "the other is known");
        let volume =
            |symbol: &str| engine.quote(&Access::All, &symbol.parse().unwrap()).unwrap().volume;
        assert_eq!(volume("HOT"), Some(Volume::new(6)));
        assert_eq!(volume("COLD"), Some(Volume::new(20)));
        assert_eq!(listings(&rows, &engine).count(), 0);
    }
}
