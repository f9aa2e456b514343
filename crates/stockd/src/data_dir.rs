//! The data directory of a server: where it is, and the engine over what it holds.
//!
//! It knows neither requests nor the format on the disk: the engine and the store do.
//!
//! Invariant: the catalog holds all quotes of the directory before the first client is served.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;
use std::{env, mem, thread};

use anyhow::Context;
use etcetera::BaseStrategy;
use stockd_engine::{Catalog, Engine};
use stockd_model::Quote;
use stockd_store::{DataDir, Found, StoreError};
use tracing::{info, warn};

use crate::settings::{Settings, Sync};
use crate::{catalog_file, progress};

/// Quotes that are read and listed at once.
const PART_QUOTES: usize = 1024;

/// Parts that are read before they are listed, at most.
const PARTS_AHEAD: usize = 8;

/// An engine that keeps its catalog as the settings say, filled with the quotes of the directory.
///
/// # Errors
///
/// When the data directory cannot be used, or holds more than the catalog may.
pub(crate) fn open_engine(settings: &Settings) -> anyhow::Result<Engine> {
    if settings.ephemeral {
        if let Some(unused) = &settings.data_dir {
            warn!("ephemeral: {} is not used, nothing is kept", unused.display());
        }
        return Ok(Engine::default());
    }
    let synced = settings.sync != Sync::Never;
    let (path, data) = match &settings.data_dir {
        Some(named) => (named.clone(), DataDir::open(named, synced)?),
        None => {
            let usual = usual_dir()?;
            let data = DataDir::open_or_create_all(&usual, synced)?;
            (usual, data)
        }
    };
    if data.position().is_some() {
        anyhow::bail!(
            "the data directory '{}' is that of a node of a cluster; start it with --cluster, or name another directory \
             with --data-dir",
            path.display()
        );
    }
    tell_what_is_odd(&data, &path);
    let began = Instant::now();
    let catalog = Catalog::new();
    let version_floor = load(&data, &catalog, &path)?;
    info!(
        directory = %path.display(),
        stocks = catalog.len(),
        milliseconds = began.elapsed().as_micros() as f64 / 1e3,
        "read the data directory"
    );
    let sync = match settings.sync {
        Sync::Always | Sync::Never => stockd_engine::Sync::Always,
        Sync::Interval(interval) => stockd_engine::Sync::Interval(interval),
    };
    Ok(Engine::durable(catalog, version_floor, Box::new(data), sync))
}

/// Where the data directory of a server of its own is; none where nothing is kept, and at a node of a cluster.
///
/// # Errors
///
/// When none is named and the platform has no place for one.
#[cfg(feature = "web")]
pub(crate) fn path(settings: &Settings) -> anyhow::Result<Option<PathBuf>> {
    match &settings.data_dir {
        _ if settings.ephemeral || !settings.cluster.is_empty() => Ok(None),
        Some(named) => Ok(Some(named.clone())),
        None => usual_dir().map(Some),
    }
}

/// Whether the data directory was last written before this file, or the file is standard input.
pub(crate) fn is_older_than(settings: &Settings, file: Option<&catalog_file::Source>) -> bool {
    let Some(file) = file else { return false };
    let Some(changed) = file.changed() else { return true };
    let directory = settings.data_dir.clone().or_else(|| usual_dir().ok());
    let written = directory.and_then(|directory| stockd_store::last_written(&directory));
    written.is_some_and(|written| written < changed)
}

/// What an operator has to know of the directory before it is used.
pub(crate) fn tell_what_is_odd(data: &DataDir, path: &Path) {
    let directory = path.display();
    match data.found() {
        Found::Data => {}
        Found::Nothing => info!("{directory} is a new data directory"),
        Found::LockAlone => warn!(
            "{directory} has a lock but no data: the data of an earlier server is gone; this one \
             begins with no stocks"
        ),
    }
    if !data.was_closed() {
        warn!("the last server did not end cleanly; what it was about to write is undone");
    }
    for exposed in data.exposed() {
        let path = exposed.path.display();
        warn!("{exposed}; take it from them with chmod go-rwx '{path}'");
    }
}

/// `stockd` in the directory that the platform has for the state of programs.
fn usual_dir() -> anyhow::Result<PathBuf> {
    // systemd sets it for a unit with a StateDirectory; it may list several.
    if let Some(directories) = env::var_os("STATE_DIRECTORY")
        && let Some(first) = env::split_paths(&directories).next()
        && first.is_absolute()
    {
        return Ok(first);
    }
    let strategy = etcetera::choose_base_strategy()
        .context("no home directory, so no usual data directory; name one with --data-dir, or keep nothing with --ephemeral")?;
    Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("stockd"))
}

/// Reads all quotes into the catalog. Returns the version above which new stocks begin.
///
/// One thread reads them and another one lists them, each of which takes about as long.
fn load(data: &DataDir, catalog: &Catalog, path: &Path) -> anyhow::Result<u64> {
    let stocks = data.stocks_at_least();
    let cannot_hold = || format!("cannot hold the {stocks} stocks of {}", path.display());
    catalog.reserve(usize::try_from(stocks).unwrap_or(usize::MAX)).with_context(cannot_hold)?;
    let progress =
        progress::bar_of_many(stocks, "reading {msg} {bar:40} {human_pos} of {human_len} stocks");
    progress.set_message(path.display().to_string());
    thread::scope(|scope| {
        let (ahead, read) = mpsc::sync_channel(PARTS_AHEAD);
        let reading = scope.spawn(move || read_all(data, &ahead));
        for part in read {
            for quote in &part {
                catalog.restore(quote).with_context(cannot_hold)?;
            }
            progress.inc(part.len() as u64);
        }
        Ok(reading.join().expect("it does not panic")?)
    })
}

/// Reads all quotes, in parts, until they are not wanted any more. Returns the version floor.
fn read_all(data: &DataDir, ahead: &mpsc::SyncSender<Vec<Quote>>) -> Result<u64, StoreError> {
    let mut part = Vec::with_capacity(PART_QUOTES);
    let version_floor = data.load(|quote| {
        part.push(quote);
        if part.len() < PART_QUOTES {
            return ControlFlow::Continue(());
        }
        let part = mem::replace(&mut part, Vec::with_capacity(PART_QUOTES));
        match ahead.send(part) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    // Where that is refused nothing is wanted any more.
    let _ = ahead.send(part);
    Ok(version_floor)
}
