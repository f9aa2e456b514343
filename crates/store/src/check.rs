//! Verifies a data directory that is not in use, and changes nothing in it.
//!
//! It knows no tables and no pages: the database verifies those when it is opened.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use stockd_model::limits::CHECK_DAMAGED_RECORDS_SHOWN_MAX;

use crate::database::Database;
use crate::directory::QUOTES_FILE;
use crate::disk;
use crate::error::StoreError;
use crate::owner::Owner;
use crate::record;
use crate::scratch::ScratchFile;

/// What was found in a data directory. Prints as a few lines for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The file of the quotes.
    pub file: PathBuf,
    /// Its size.
    pub file_bytes: u64,
    /// The version of its format.
    pub format: u64,
    /// Whether it was closed by its last user. If not, the next start undoes a commit that was cut
    /// in half; what is counted here is as it will be then.
    pub was_closed: bool,
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

/// Verifies a whole data directory: the checksum of every page, and every record. No other process may
/// use the directory meanwhile. Changes nothing in it.
///
/// # Errors
///
/// When it cannot be read, is in use by a server, is not stockd's, or is so damaged that its
/// records cannot be told apart. Damage within records is no error; the report has it.
pub fn check(path: &Path) -> Result<CheckReport, StoreError> {
    let failed = |what| {
        move |path: &Path, source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { what, path: path.to_owned() },
            _ => StoreError::Io { doing: "read", path: path.to_owned(), source },
        }
    };
    let metadata = fs::metadata(path).map_err(|source| failed("data directory")(path, source))?;
    if !metadata.is_dir() {
        return Err(StoreError::NotADirectory { path: path.to_owned() });
    }
    let _owner = Owner::keep_out(path)?;
    let file = path.join(QUOTES_FILE);
    let opened = File::open(&file).map_err(|source| failed("data file")(&file, source))?;
    let metadata = opened.metadata().map_err(|source| failed("data file")(&file, source))?;
    let file_bytes = metadata.len();
    // As far as the system can: a copy may lie where nothing can be synced.
    let _ = disk::forget_cached(&opened);
    let scratch =
        ScratchFile::new(opened).map_err(|error| StoreError::reading(&file, error.into()))?;
    let database = Database::open(scratch, &file)?;

    let mut report = CheckReport {
        file_bytes,
        format: database.format(),
        was_closed: database.was_closed(),
        stocks: 0,
        version_max: 0,
        version_floor: database.version_floor(),
        damaged: 0,
        damaged_records: Vec::new(),
        file,
    };
    database.records(|key, quote| {
        match quote {
            Ok(quote) => {
                report.stocks += 1;
                report.version_max = report.version_max.max(quote.version);
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
