//! A data directory.
//!
//! It owns the names in it, and knows nothing of the bytes of its files:
//!
//! | file | is |
//! |---|---|
//! | `stockd.lock` | the lock of its owner, see [`Owner`] |
//! | `quotes.redb` | the quotes, see [`Database`] |
//! | `quotes.redb.new` | a database that is being made; of no use after a crash |
//!
//! Invariant: `quotes.redb` is a whole database whenever it is there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use stockd_model::Quote;

use crate::commit::{Store, Write};
use crate::database::Database;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::owner::Owner;

/// The file of the quotes.
pub(crate) const QUOTES_FILE: &str = "quotes.redb";
const NEW_FILE: &str = "quotes.redb.new";

/// A data directory that this process owns. Dropping it closes it and gives it up.
#[derive(Debug)]
pub struct DataDir {
    // Closed before the lock is released.
    database: Database,
    file: PathBuf,
    _owner: Owner,
}

impl DataDir {
    /// Opens a data directory, or makes it if its parent exists. Verifies all that is in it, so the
    /// time it takes grows with the number of stocks.
    ///
    /// With `sync` commits are forced to the disk. Without it they are handed to the system: they
    /// survive when this process is killed, but a power failure may damage the file as a whole.
    ///
    /// # Errors
    ///
    /// When it is missing and cannot be made, cannot be read or written, is in use by another
    /// process, is damaged, or is not stockd's.
    pub fn open(path: &Path, sync: bool) -> Result<DataDir, StoreError> {
        make_directory(path)?;
        let owner = Owner::claim(path)?;
        let file = path.join(QUOTES_FILE);
        let found = fs::exists(&file).map_err(|source| StoreError::Io {
            doing: "read",
            path: file.clone(),
            source,
        })?;
        if !found {
            make_database(path, &file, sync)?;
        }
        let database = Database::open(disk(&file, sync)?, &file)?;
        Ok(DataDir { database, file, _owner: owner })
    }

    /// Opens a data directory after it has made all missing directories above it.
    ///
    /// # Errors
    ///
    /// As [`open`](DataDir::open).
    pub fn open_or_create_all(path: &Path, sync: bool) -> Result<DataDir, StoreError> {
        make_way_to(path)?;
        DataDir::open(path, sync)
    }

    /// Stocks in it when it was opened.
    pub fn stocks(&self) -> u64 {
        self.database.stocks()
    }

    /// Whether its last owner closed it. If not, a commit that was cut in half has been undone.
    pub fn was_closed(&self) -> bool {
        self.database.was_closed()
    }

    /// The file of the quotes. Its size is what they take on the disk.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads all quotes, in the order of their symbols, until it is told to stop. Returns the
    /// version floor of the last [commit](Store::commit).
    ///
    /// # Errors
    ///
    /// When a record is not a quote, or cannot be read.
    pub fn load(&self, each: impl FnMut(Quote) -> ControlFlow<()>) -> Result<u64, StoreError> {
        self.database.load(each)
    }
}

impl Store for DataDir {
    fn commit(&mut self, writes: &[Write], version_floor: u64) -> Result<(), StoreError> {
        self.database.commit(writes, version_floor)
    }

    fn epoch(&self) -> u64 {
        self.database.epoch()
    }
}

fn make_directory(path: &Path) -> Result<(), StoreError> {
    match fs::create_dir(path) {
        Ok(()) => sync_directory_of(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if path.is_dir() {
                return Ok(());
            }
            Err(StoreError::NotADirectory { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = parent_of(path).to_owned();
            Err(StoreError::NoParent { path: path.to_owned(), parent })
        }
        Err(source) => Err(StoreError::Io {
            doing: "create the data directory",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Makes the missing directories above this one.
fn make_way_to(path: &Path) -> Result<(), StoreError> {
    let parent = parent_of(path);
    if parent.is_dir() {
        return Ok(());
    }
    make_way_to(parent)?;
    make_directory(parent)
}

/// Makes an empty database. It gets its name when it is whole, so that a crash never leaves half a
/// database under that name.
fn make_database(directory: &Path, file: &Path, sync: bool) -> Result<(), StoreError> {
    let new = directory.join(NEW_FILE);
    let failed = |source| StoreError::Io { doing: "create", path: new.clone(), source };
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    File::create_new(&new).map_err(failed)?;
    drop(Database::create(disk(&new, sync)?, &new)?);
    fs::rename(&new, file).map_err(failed)?;
    sync_directory_of(file)
}

fn disk(path: &Path, sync: bool) -> Result<Disk, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| StoreError::Io { doing: "open", path: path.to_owned(), source })?;
    Disk::new(file, sync).map_err(|error| StoreError::reading(path, error.into()))
}

/// Makes sure that this file or directory keeps its name through a power failure.
fn sync_directory_of(path: &Path) -> Result<(), StoreError> {
    // Elsewhere directories cannot be opened, and need not be.
    if cfg!(unix) {
        let parent = parent_of(path);
        File::open(parent).and_then(|directory| directory.sync_all()).map_err(|source| {
            StoreError::Io { doing: "sync the directory", path: parent.to_owned(), source }
        })?;
    }
    Ok(())
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
