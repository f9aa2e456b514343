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
//! What it makes is for its owner alone, see [`rights`](crate::rights).
//!
//! Invariant: `quotes.redb` is a whole database whenever it is there, and a commit to another file
//! than the one of that name fails.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use stockd_model::Quote;

use crate::commit::{Store, Write};
use crate::database::{Database, Durability};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::owner::{LOCK_FILE, Owner};
use crate::place::Place;
use crate::rights::{self, Exposed};

/// The file of the quotes in a data directory.
pub const QUOTES_FILE: &str = "quotes.redb";
const NEW_FILE: &str = "quotes.redb.new";

/// A data directory that this process owns. Dropping it closes it and gives it up.
#[derive(Debug)]
pub struct DataDir {
    // Closed before the lock is released. There is none after it could not be opened again.
    database: Option<Database>,
    place: Place,
    /// What became of the directory, once what is written will not be found.
    displaced: Option<String>,
    path: PathBuf,
    file: PathBuf,
    sync: bool,
    found: Found,
    stocks: u64,
    epoch: u64,
    was_closed: bool,
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
        } else if was_owned && !exists(&path.join(NEW_FILE))? {
            Found::LockAlone
        } else {
            Found::Nothing
        };
        if found != Found::Data {
            make_database(path, &file, sync)?;
        }
        let opened = open(&file)?;
        let place = Place::of(path, &file, &opened).map_err(|source| StoreError::Io {
            doing: "look at",
            path: path.to_owned(),
            source,
        })?;
        let database = Database::open(disk(opened, &file, sync)?, &file)?;
        let mut data = DataDir {
            stocks: database.stocks(),
            epoch: database.epoch(),
            was_closed: database.was_closed(),
            database: Some(database),
            place,
            displaced: None,
            path: path.to_owned(),
            file,
            sync,
            found,
            _owner: owner,
        };
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

    /// Stocks in it when it was opened.
    pub fn stocks(&self) -> u64 {
        self.stocks
    }

    /// Whether its last owner closed it. If not, a commit that was cut in half has been undone.
    pub fn was_closed(&self) -> bool {
        self.was_closed
    }

    /// What was there before it was opened.
    pub fn found(&self) -> Found {
        self.found
    }

    /// What other users may read or write of it: nothing, where stockd has made all of it.
    pub fn exposed(&self) -> Vec<Exposed> {
        rights::exposed(&self.path, &[LOCK_FILE, QUOTES_FILE])
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
        match &self.database {
            Some(database) => database.load(each),
            None => Err(self.is_closed()),
        }
    }
}

impl DataDir {
    /// Keeps all of these writes and the position together, or none of them: see
    /// [`Database::commit_at`].
    ///
    /// # Errors
    ///
    /// As of a [commit](Store::commit).
    pub fn commit_at(
        &mut self,
        writes: &[Write],
        version_floor: u64,
        position: &[u8],
        durability: Durability,
    ) -> Result<(), StoreError> {
        match &mut self.database {
            Some(database) if self.displaced.is_none() => {
                database.commit_at(writes, version_floor, position, durability)?;
            }
            Some(_) => {}
            None => return Err(self.is_closed()),
        }
        self.verify_place()
    }

    /// The position of the last commit that had one.
    pub fn position(&self) -> Option<&[u8]> {
        self.database.as_ref().and_then(Database::position)
    }

    fn is_closed(&self) -> StoreError {
        let source = io::Error::other("it could not be opened again");
        StoreError::Io { doing: "read", path: self.file.clone(), source }
    }
}

impl Store for DataDir {
    fn commit(&mut self, writes: &[Write], version_floor: u64) -> Result<(), StoreError> {
        match &mut self.database {
            Some(database) if self.displaced.is_none() => database.commit(writes, version_floor)?,
            Some(_) => {}
            None => return Err(self.is_closed()),
        }
        // After the sync: what was found under its name then has these writes.
        self.verify_place()
    }

    fn verify_place(&mut self) -> Result<(), StoreError> {
        // Once displaced is displaced: what was written meanwhile is lost.
        if self.displaced.is_none() {
            self.displaced = self.place.verify().err();
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
        // Before it is opened: the file has one user at a time.
        self.database = None;
        let opened = open(&self.file)?;
        self.database = Some(Database::open(disk(opened, &self.file, self.sync)?, &self.file)?);
        self.verify_place()
    }

    fn load(&self, each: &mut dyn FnMut(Quote) -> ControlFlow<()>) -> Result<u64, StoreError> {
        DataDir::load(self, each)
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

fn make_directory(path: &Path) -> Result<(), StoreError> {
    match rights::directory_builder().create(path) {
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
    let made = rights::open_options().create_new(true).open(&new).map_err(failed)?;
    drop(Database::create(disk(made, &new, sync)?, &new)?);
    fs::rename(&new, file).map_err(failed)?;
    sync_directory_of(file)
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    fs::exists(path).map_err(|source| StoreError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    })
}

fn open(path: &Path) -> Result<File, StoreError> {
    let opened = rights::open_options().open(path);
    opened.map_err(|source| StoreError::Io { doing: "open", path: path.to_owned(), source })
}

fn disk(file: File, path: &Path, sync: bool) -> Result<Disk, StoreError> {
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
