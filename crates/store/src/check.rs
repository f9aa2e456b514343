//! Verifies a data directory that is not in use, and changes nothing in it.
//!
//! It knows no tables, pages and batches: the store verifies those when it is opened.

use std::fmt;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stockd_model::Quote;
use stockd_model::limits::CHECK_DAMAGED_RECORDS_SHOWN_MAX;

use crate::error::StoreError;
use crate::logged::{LoggedStore, QUOTES_FILE};
use crate::owner::Owner;
use crate::record;
use crate::scratch::ScratchFolder;
use crate::store::{LogReport, Store};

/// What was found in a data directory. Prints as a few lines for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The file of the checkpoint.
    pub file: PathBuf,
    /// Its size.
    pub file_bytes: u64,
    /// The epoch of the directory.
    pub epoch: u64,
    /// The version of its format.
    pub format: u64,
    /// Whether it was closed by its last user. If not, the next start undoes a commit that was cut
    /// in half; what is counted here is as it will be then.
    pub was_closed: bool,
    /// What there is of a log behind it. What is counted here is as it is with the log.
    pub log: LogReport,
    /// Records that are quotes.
    pub stocks: u64,
    /// The highest version of any of them.
    pub version_max: u64,
    /// The highest version that any stock had when it was delisted.
    pub version_floor: u64,
    /// Records that are not quotes.
    pub damaged: u64,
    /// The first of them, at most [`CHECK_DAMAGED_RECORDS_SHOWN_MAX`].
    pub damaged_records: Vec<DamagedRecord>,
}

/// A record that is not a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRecord {
    /// Its key, escaped, of at most 40 characters.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// A directory that is read and never written.
struct ReadAlone {
    // Before the lock is released.
    store: LoggedStore,
    file: PathBuf,
    file_bytes: u64,
    _owner: Option<Owner>,
}

impl ReadAlone {
    fn open(path: &Path) -> Result<ReadAlone, StoreError> {
        let failed = |what| {
            move |path: &Path, source: io::Error| match source.kind() {
                io::ErrorKind::NotFound => StoreError::Missing { what, path: path.to_owned() },
                _ => StoreError::Io { doing: "read", path: path.to_owned(), source },
            }
        };
        let metadata =
            fs::metadata(path).map_err(|source| failed("data directory")(path, source))?;
        if !metadata.is_dir() {
            return Err(StoreError::NotADirectory { path: path.to_owned() });
        }
        let owner = Owner::keep_out(path)?;
        let file = path.join(QUOTES_FILE);
        let metadata = fs::metadata(&file).map_err(|source| failed("data file")(&file, source))?;
        let folder = Arc::new(ScratchFolder::new(path));
        let store = LoggedStore::open_to_read(folder)?;
        Ok(ReadAlone { store, file, file_bytes: metadata.len(), _owner: owner })
    }
}

/// Reads all quotes of a data directory, in the order of their symbols, until it is told to stop. No other
/// process may use the directory meanwhile. Changes nothing in it.
///
/// # Errors
///
/// When it cannot be read, is in use by a server, is not stockd's, or is damaged.
pub fn read(path: &Path, each: impl FnMut(Quote) -> ControlFlow<()>) -> Result<(), StoreError> {
    ReadAlone::open(path)?.store.load(each).map(|_| ())
}

/// Verifies a whole data directory: the checksum of every page and of every batch of the log behind it, and
/// every record. No other process may use the directory meanwhile. Changes nothing in it.
///
/// # Errors
///
/// When it cannot be read, is in use by a server, is not stockd's, or is so damaged that its
/// records cannot be told apart. Damage within records is no error; the report has it.
pub fn check(path: &Path) -> Result<CheckReport, StoreError> {
    check_each(path, |_| {})
}

/// As [`check`], and gives out each quote.
///
/// # Errors
///
/// As [`check`].
pub fn check_each(path: &Path, mut each: impl FnMut(&Quote)) -> Result<CheckReport, StoreError> {
    let ReadAlone { store, file, file_bytes, _owner } = ReadAlone::open(path)?;
    let mut report = CheckReport {
        file_bytes,
        epoch: store.epoch(),
        format: store.format(),
        was_closed: store.was_closed(),
        log: store.log(),
        stocks: 0,
        version_max: 0,
        version_floor: store.version_floor(),
        damaged: 0,
        damaged_records: Vec::new(),
        file,
    };
    store.records(|key, quote| {
        match quote {
            Ok(quote) => {
                report.stocks += 1;
                report.version_max = report.version_max.max(quote.version);
                each(&quote);
            }
            Err(why) => {
                report.damaged += 1;
                if report.damaged_records.len() < CHECK_DAMAGED_RECORDS_SHOWN_MAX {
                    let (name, why) = (record::shown(key), why.to_string());
                    report.damaged_records.push(DamagedRecord { name, why });
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(report)
}

impl CheckReport {
    /// Whether no record is damaged.
    pub fn is_whole(&self) -> bool {
        self.damaged == 0
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "file      {}, {} bytes, format {}",
            self.file.display(),
            self.file_bytes,
            self.format
        )?;
        let closed = if self.was_closed { "yes" } else { "no: the next start recovers it" };
        writeln!(f, "closed    {closed}")?;
        match self.log {
            LogReport { segments: 0, .. } => writeln!(f, "log       none")?,
            LogReport { segments, bytes, .. } => {
                writeln!(f, "log       {bytes} bytes behind the checkpoint, segments: {segments}")?;
            }
        }
        writeln!(f, "stocks    {}", self.stocks)?;
        writeln!(
            f,
            "versions  up to {}, of delisted stocks up to {}",
            self.version_max, self.version_floor
        )?;
        write!(f, "damaged   {}", self.damaged)?;
        for DamagedRecord { name, why } in &self.damaged_records {
            write!(f, "\n  '{name}': {why}")?;
        }
        Ok(())
    }
}
