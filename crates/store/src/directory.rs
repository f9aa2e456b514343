//! A data directory.
//!
//! It owns the names in it, and knows nothing of the bytes of its files:
//!
//! | file | is |
//! |---|---|
//! | `stockd.lock` | the lock of its owner, see [`Owner`] |
//! | `quotes.redb` | the checkpoint, see [`Database`](crate::Database) |
//! | `quotes.redb.new` | a checkpoint of nothing that is being made; of no use after a crash |
//! | `quotes.00000001.log` and so on | the log behind the checkpoint, see [`segment`] |
//! | `quotes.spare.log` | a segment that is done with, to be used again |
//!
//! What it makes is for its owner alone, see [`rights`](crate::rights).
//!
//! Invariant: `quotes.redb` is a whole database whenever it is there, and a commit to other files
//! than those of these names fails.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use stockd_model::Quote;

use crate::checkpoint::{Checkpoint, WrittenCheckpoint};
use crate::database::Durability;
use crate::disk::{self, DiskFolder};
use crate::error::StoreError;
use crate::folder::Folder;
use crate::log::LogSizes;
use crate::logged::{self, LoggedStore, NEW_QUOTES_FILE, QUOTES_FILE};
use crate::owner::{LOCK_FILE, Owner};
use crate::rights::{self, Exposed};
use crate::segment;
use crate::store::{LogReport, Store};
use crate::write::Write;

/// A data directory that this process owns. Dropping it closes it and gives it up.
#[derive(Debug)]
pub struct DataDir {
    // Closed before the lock is released.
    store: LoggedStore,
    folder: Arc<DiskFolder>,
    /// What became of the directory, once what is written will not be found.
    displaced: Option<String>,
    path: PathBuf,
    file: PathBuf,
    found: Found,
    _owner: Owner,
}

/// What was in a data directory before it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The data of an earlier owner.
    Data,
    /// Nothing of stockd: the directory is new to it.
    Nothing,
    /// The lock of an earlier owner without its data, which somebody has taken away.
    LockAlone,
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
        let was_owned = exists(&path.join(LOCK_FILE))?;
        let owner = Owner::claim(path)?;
        let file = path.join(QUOTES_FILE);
        let found = if exists(&file)? {
            Found::Data
        } else if was_owned && !exists(&path.join(NEW_QUOTES_FILE))? {
            Found::LockAlone
        } else {
            Found::Nothing
        };
        let folder = DiskFolder::new(path, sync).map_err(|source| StoreError::Io {
            doing: "look at",
            path: path.to_owned(),
            source,
        })?;
        if found != Found::Data {
            logged::make(&folder)?;
        }
        let folder = Arc::new(folder);
        let in_folder = Arc::clone(&folder) as Arc<dyn Folder>;
        let store = LoggedStore::open(in_folder, LogSizes::default())?;
        let (path, displaced) = (path.to_owned(), None);
        let mut data = DataDir { store, folder, displaced, path, file, found, _owner: owner };
        data.verify_place()?;
        Ok(data)
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

    /// Opens a data directory that has data. Where there is none it makes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`], and as [`open`](DataDir::open).
    pub fn open_existing(path: &Path, sync: bool) -> Result<DataDir, StoreError> {
        let missing = |what, path: PathBuf| StoreError::Missing { what, path };
        if !exists(path)? {
            return Err(missing("data directory", path.to_owned()));
        }
        let file = path.join(QUOTES_FILE);
        if path.is_dir() && !exists(&file)? {
            return Err(missing("data file", file));
        }
        DataDir::open(path, sync)
    }

    /// See [`LoggedStore::stocks`].
    pub fn stocks(&self) -> u64 {
        self.store.stocks()
    }

    /// See [`LoggedStore::stocks_at_least`].
    pub fn stocks_at_least(&self) -> u64 {
        self.store.stocks_at_least()
    }

    /// Whether its last owner closed it. If not, a commit that was cut in half has been undone.
    pub fn was_closed(&self) -> bool {
        self.store.was_closed()
    }

    /// What was there before it was opened.
    pub fn found(&self) -> Found {
        self.found
    }

    /// What other users may read or write of it: nothing, where stockd has made all of it.
    pub fn exposed(&self) -> Vec<Exposed> {
        let mut files = vec![LOCK_FILE.to_owned(), QUOTES_FILE.to_owned()];
        let names = disk::names_in(&self.path).unwrap_or_default();
        files.extend(names.into_iter().filter(|name| segment::number_of(name).is_some()));
        rights::exposed(&self.path, &files)
    }

    /// The file of the checkpoint.
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
        self.store.load(each)
    }

    /// Keeps all of these writes and a position together, or none of them, without a log: see
    /// [`LoggedStore::commit_at`].
    ///
    /// # Errors
    ///
    /// As of a [commit](Store::commit), and when it has a log of its own.
    pub fn commit_at(
        &mut self,
        writes: &[Write],
        version_floor: u64,
        position: &[u8],
        durability: Durability,
    ) -> Result<(), StoreError> {
        if self.displaced.is_none() {
            self.store.commit_at(writes, version_floor, position, durability)?;
        }
        self.verify_place()
    }

    /// Whether nothing was ever kept in it, so that a log that is kept elsewhere may claim it.
    pub fn is_unclaimed(&self) -> bool {
        self.store.is_unclaimed()
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The position that was kept [with it](DataDir::commit_at), if there is one.
    pub fn position(&self) -> Option<&[u8]> {
        self.store.position()
    }
}

impl Store for DataDir {
    fn commit(&mut self, writes: &[Write], version_floor: u64) -> Result<(), StoreError> {
        if self.displaced.is_none() {
            self.store.commit(writes, version_floor)?;
        }
        // After the sync: what was found under its name then has these writes.
        self.verify_place()
    }

    fn begin_checkpoint(&mut self, is_late: bool) -> Option<Checkpoint> {
        if self.displaced.is_none() { self.store.begin_checkpoint(is_late) } else { None }
    }

    fn end_checkpoint(&mut self, written: WrittenCheckpoint) -> Result<(), StoreError> {
        // Before the log is let go: the next start will look under these names.
        if let Err(displaced) = self.verify_place() {
            self.store.leave_log(written);
            return Err(displaced);
        }
        self.store.end_checkpoint(written)
    }

    fn log(&self) -> LogReport {
        self.store.log()
    }

    fn close(&mut self) -> Result<(), StoreError> {
        if self.verify_place().is_err() {
            return Ok(());
        }
        match self.store.last_checkpoint()? {
            Some(checkpoint) => self.end_checkpoint(checkpoint.write()),
            None => Ok(()),
        }
    }

    fn verify_place(&mut self) -> Result<(), StoreError> {
        // Once displaced is displaced: what was written meanwhile is lost.
        if self.displaced.is_none() {
            self.displaced = self.folder.verify_place().err();
            if self.displaced.is_some() {
                self.store.leave_as_it_is();
            }
        }
        match &self.displaced {
            None => Ok(()),
            Some(what) => {
                Err(StoreError::Displaced { path: self.path.clone(), what: what.clone() })
            }
        }
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        // It is this directory or none: another one holds something else.
        self.displaced = None;
        self.verify_place()?;
        self.store.reopen()?;
        self.verify_place()
    }

    fn load(&self, each: &mut dyn FnMut(Quote) -> ControlFlow<()>) -> Result<u64, StoreError> {
        self.store.load(each)
    }

    fn epoch(&self) -> u64 {
        self.store.epoch()
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What it would have written is in the log.
            let _ = self.close();
        }
    }
}

/// When a data directory was last written to, as far as its files say.
pub fn last_written(path: &Path) -> Option<SystemTime> {
    let names = disk::names_in(path).ok()?;
    let holds_quotes = |name: &&String| *name == QUOTES_FILE || segment::number_of(name).is_some();
    let changed = |name: &String| fs::metadata(path.join(name)).ok()?.modified().ok();
    names.iter().filter(holds_quotes).filter_map(changed).max()
}

fn make_directory(path: &Path) -> Result<(), StoreError> {
    match rights::directory_builder().create(path) {
        Ok(()) => {
            let parent = parent_of(path);
            disk::sync_directory(parent).map_err(|source| StoreError::Io {
                doing: "sync the directory",
                path: parent.to_owned(),
                source,
            })
        }
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

fn exists(path: &Path) -> Result<bool, StoreError> {
    fs::exists(path).map_err(|source| StoreError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    })
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
