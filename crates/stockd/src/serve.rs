//! `stockd serve`: from settings to a running server, and to its clean end.
//!
//! This file owns the order of things: settings are checked whole, then the catalog is loaded
//! whole, then the addresses are bound, and only then are they printed, which is the sign that
//! the server is ready. Standard output carries the addresses alone; the log goes to standard
//! error.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use stockd_engine::Engine;
use stockd_server::{Config, Listener, Protocol, Server};
use tracing::{info, warn};
use tracing_subscriber::filter::LevelFilter;

use crate::cli::UsageError;
use crate::interruption::Interruption;
use crate::settings::{SettingFlags, Settings};

/// Serve lookups until SIGTERM or Ctrl-C.
///
/// Prints every address that it listens on, one a line, as `line 127.0.0.1:7878`; from then on it
/// is ready. Settings come from a file, then the environment, then flags; later ones win.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    flags: SettingFlags,
}

/// Runs a server until it is told to stop.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&args.flags, std::env::vars_os())?;
    let listeners = listeners(&settings)?;
    log_to_stderr(settings.log);
    let engine = Arc::new(Engine::default());
    list_stocks(&settings, &engine)?;

    let interruption = Interruption::watch()?;
    let file_limit = stockd_server::raise_file_limit();
    let config = Config {
        listeners,
        workers: settings.workers,
        engine: settings.engine,
        connections_max: settings.connections_max,
        idle_timeout: settings.idle_timeout,
        stalled_timeout: settings.stalled_timeout,
    };
    // The error says the cause itself; its source would say it again.
    let server =
        Server::start(config, Arc::clone(&engine)).map_err(|error| anyhow::anyhow!("{error}"))?;
    info!(
        stocks = engine.catalog().len(),
        memory_bytes = engine.catalog().memory_bytes(),
        workers = settings.workers,
        engine = %server.io_engine(),
        connections_max = server.metrics().connections_max,
        file_limit,
        ephemeral = settings.ephemeral,
        "serving"
    );
    print_addresses(&server).context("cannot print the addresses on standard output")?;

    let signal = interruption.wait();
    info!(signal, "stopping: answering what was asked");
    let report = server.shutdown();
    if report.unflushed > 0 {
        let clients = report.unflushed;
        warn!(clients, "some clients did not take all their replies in time");
    }
    let totals = engine.totals();
    info!(
        connections = report.connections,
        lookups = totals.lookups(),
        hits = totals.hits,
        misses = totals.misses,
        "stopped"
    );
    Ok(ExitCode::SUCCESS)
}

/// What to listen on: at least one address.
fn listeners(settings: &Settings) -> Result<Vec<Listener>, UsageError> {
    let addresses = [(Protocol::Line, settings.line), (Protocol::Resp, settings.resp)];
    let listeners: Vec<Listener> = addresses
        .into_iter()
        .filter_map(|(protocol, address)| Some(Listener { protocol, address: address? }))
        .collect();
    if listeners.is_empty() {
        let why =
            "every listener is off, so nobody could be served; give --line ADDR or --resp ADDR";
        return Err(UsageError(why.to_owned()));
    }
    Ok(listeners)
}

fn log_to_stderr(level: LevelFilter) {
    let is_colourful = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(is_colourful)
        .with_target(false)
        // A log that can no longer be written must not stop the server.
        .log_internal_errors(false)
        .init();
}

/// Lists the stocks of the catalog file. Bad rows are an error, unless they are to be skipped.
fn list_stocks(settings: &Settings, engine: &Arc<Engine>) -> anyhow::Result<()> {
    let Some(source) = &settings.catalog else {
        warn!("no stocks are listed: every lookup answers -1; list some with --catalog FILE");
        return Ok(());
    };
    let loaded = source.load(engine)?;
    if loaded.bad_rows == 0 {
        info!(stocks = loaded.listed, "listed the stocks of {source}");
    } else if settings.lenient {
        for row in &loaded.first_bad_rows {
            warn!("skipped {row}");
        }
        warn!(
            stocks = loaded.listed,
            bad_rows = loaded.bad_rows,
            "listed the stocks of {source} and skipped its bad rows"
        );
    } else {
        let mut stderr = io::stderr().lock();
        for row in &loaded.first_bad_rows {
            let _ = writeln!(stderr, "stockd: {row}");
        }
        let rows = if loaded.bad_rows == 1 { "row" } else { "rows" };
        anyhow::bail!(
            "{} bad {rows} in all, nothing is served; correct them, or skip them with --lenient",
            loaded.bad_rows
        );
    }
    Ok(())
}

fn print_addresses(server: &Server) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for (protocol, address) in server.addresses() {
        writeln!(stdout, "{protocol} {address}")?;
    }
    stdout.flush()
}
