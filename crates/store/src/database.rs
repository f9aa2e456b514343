//! The tables, over whatever keeps their bytes.
//!
//! It owns what is in the file: a table of quotes, one record a stock, a table of what holds for all
//! of them together, and a position: bytes that say how far its owner had come with what it kept,
//! which mean something to that owner alone. It knows where the file is for its messages alone.
//!
//! Opening verifies the checksum of everything in the file, so that later reads find no damage: a
//! file that is not as it was written is refused, and a commit that a crash has cut in half is
//! undone.
//!
//! Invariant: what is in the tables is a whole number of commits, and the position is that of the
//! last of them. After a commit has failed there are no further ones.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use redb::{
    ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend, TableDefinition,
};
use stockd_model::Quote;
use stockd_model::limits::{STORE_CACHE_BYTES, STORE_POSITION_BYTES_MAX, VERSION_MAX};

use crate::changes::Changes;
use crate::epoch::random_epoch;
use crate::error::StoreError;
use crate::record::{self, Record};
use crate::write::Write;

/// From symbol to [`record`].
const QUOTES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("stockd.quotes");

type Quotes<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

/// What holds for all quotes together.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("stockd.meta");
const META_FORMAT: &str = "format";
const META_VERSION_FLOOR: &str = "version_floor";
const META_EPOCH: &str = "epoch";

/// One entry: the position of the last commit that had one.
const POSITION: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("stockd.position");
const POSITION_LATEST: &str = "latest";

/// The format that is written, and the newest that can be read. A file of an older one has the
/// number of this one from its next commit on; its records change when their stocks do. Up to 2 there
/// was no position.
pub(crate) const FORMAT: u64 = 3;

/// What every file of redb begins with.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";
/// The flag in the byte after it that is set while the file is open for writing.
const IN_USE: u8 = 1 << 1;

/// Quotes in tables: what a [`LoggedStore`](crate::LoggedStore) has in a file, behind a log.
#[derive(Debug)]
pub struct Database {
    tables: redb::Database,
    path: PathBuf,
    format: u64,
    stocks: u64,
    version_floor: u64,
    epoch: u64,
    position: Option<Vec<u8>>,
    was_closed: bool,
    /// Why a commit failed; every later one fails for it.
    failed: Option<(io::ErrorKind, String)>,
}

/// When a commit to a [`Database`] is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it returns.
    Synced,
    /// With the next commit that is synced, or with a close. A crash before that undoes it, and all
    /// that is there then is what the last synced commit had, its position among it. For who has
    /// elsewhere what came since.
    Unsynced,
}

impl Database {
    /// Makes a database where nothing is yet. The path is for messages.
    pub(crate) fn create(bytes: impl StorageBackend, path: &Path) -> Result<Database, StoreError> {
        let database = Database::over(bytes, path, true)?;
        database.begin().map_err(|error| StoreError::committing(path, error))?;
        Ok(database)
    }

    /// Opens the database in these bytes. The path is for messages.
    pub(crate) fn open(bytes: impl StorageBackend, path: &Path) -> Result<Database, StoreError> {
        let was_closed = was_closed(&bytes, path)?;
        let mut database = Database::over(bytes, path, was_closed)?;
        if !database.read_meta()? {
            database.keep_epoch().map_err(|error| StoreError::committing(path, error))?;
        }
        Ok(database)
    }

    fn over(
        bytes: impl StorageBackend,
        path: &Path,
        was_closed: bool,
    ) -> Result<Database, StoreError> {
        let mut builder = redb::Database::builder();
        builder.set_cache_size(STORE_CACHE_BYTES).set_check_integrity_on_open(true);
        let tables = builder
            .create_with_backend(bytes)
            .map_err(|error| StoreError::reading(path, error.into()))?;
        let path = path.to_owned();
        Ok(Database {
            tables,
            path,
            format: FORMAT,
            stocks: 0,
            version_floor: 0,
            epoch: random_epoch(),
            position: None,
            was_closed,
            failed: None,
        })
    }

    /// Stocks in it when it was opened.
    pub fn stocks(&self) -> u64 {
        self.stocks
    }

    /// The format of the file.
    pub(crate) fn format(&self) -> u64 {
        self.format
    }

    /// The epoch of what is kept.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The version floor of the last commit.
    pub fn version_floor(&self) -> u64 {
        self.version_floor
    }

    /// The position of the last commit that had one.
    pub fn position(&self) -> Option<&[u8]> {
        self.position.as_deref()
    }

    /// Keeps all of these writes and the position together, or none of them. See
    /// [`Store::commit`](crate::Store::commit) for the writes and the floor. The position takes the place of the last one.
    ///
    /// # Errors
    ///
    /// When they may not have been kept. Every further commit fails then.
    ///
    /// # Panics
    ///
    /// When the position has more than [`STORE_POSITION_BYTES_MAX`] bytes.
    pub fn commit_at(
        &mut self,
        writes: &[Write],
        version_floor: u64,
        position: &[u8],
        durability: Durability,
    ) -> Result<(), StoreError> {
        // In the order of the tree, so that records of one page are written together.
        let mut sorted: Vec<&Write> = writes.iter().collect();
        sorted.sort_unstable_by_key(|write| write.symbol().as_bytes());
        let change = |quotes: &mut Quotes<'_>| {
            for write in sorted {
                let key = write.symbol().as_bytes();
                match write {
                    Write::Put(quote) => {
                        drop(quotes.insert(key, Record::encode(quote).as_bytes())?);
                    }
                    Write::Remove(_) => drop(quotes.remove(key)?),
                }
            }
            Ok(())
        };
        self.keep(change, version_floor, position, durability)
    }

    /// Keeps what a log has done, and the position behind that, together and synced.
    pub(crate) fn commit_changes(
        &mut self,
        changes: &Changes,
        version_floor: u64,
        position: &[u8],
    ) -> Result<(), StoreError> {
        let change = |quotes: &mut Quotes<'_>| {
            for change in changes.iter() {
                match change.value {
                    Some(value) => drop(quotes.insert(change.symbol, value)?),
                    None => drop(quotes.remove(change.symbol)?),
                }
            }
            Ok(())
        };
        self.keep(change, version_floor, position, Durability::Synced)
    }

    /// Whether it was closed by its last user. If not, a commit that was cut in half has been
    /// undone.
    pub fn was_closed(&self) -> bool {
        self.was_closed
    }

    /// Reads all quotes, in the order of their symbols, until it is told to stop. Returns the
    /// version floor of the last commit.
    ///
    /// # Errors
    ///
    /// When a record is not a quote, or cannot be read.
    pub fn load(&self, mut each: impl FnMut(Quote) -> ControlFlow<()>) -> Result<u64, StoreError> {
        let _ = self.records(|key, value| match record::decode(key, value) {
            Ok(quote) => Ok(each(quote)),
            Err(why) => {
                let what = format!("the record of '{}': {why}", record::shown(key));
                Err(StoreError::Damaged { path: self.path.clone(), what })
            }
        })?;
        Ok(self.version_floor)
    }

    /// Reads all records as they are kept, in the order of their keys. Whether it was told to stop.
    pub(crate) fn records(
        &self,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let reading = |error| StoreError::reading(&self.path, error);
        let tables = self.tables.begin_read().map_err(|error| reading(error.into()))?;
        let quotes = tables.open_table(QUOTES).map_err(|error| reading(error.into()))?;
        for entry in quotes.iter().map_err(|error| reading(error.into()))? {
            let (key, value) = entry.map_err(|error| reading(error.into()))?;
            if each(key.value(), value.value())?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn begin(&self) -> Result<(), redb::Error> {
        let commit = self.tables.begin_write()?;
        commit.open_table(QUOTES)?;
        let mut meta = commit.open_table(META)?;
        meta.insert(META_FORMAT, FORMAT)?;
        meta.insert(META_VERSION_FLOOR, 0)?;
        meta.insert(META_EPOCH, self.epoch)?;
        drop(meta);
        Ok(commit.commit()?)
    }

    /// Gives an epoch to a file that an earlier stockd made without one.
    fn keep_epoch(&self) -> Result<(), redb::Error> {
        let commit = self.tables.begin_write()?;
        commit.open_table(META)?.insert(META_EPOCH, self.epoch)?;
        Ok(commit.commit()?)
    }

    /// Reads what holds for all quotes together. Whether there is an epoch, too.
    fn read_meta(&mut self) -> Result<bool, StoreError> {
        let path = || self.path.clone();
        let reading = |error| StoreError::reading(&self.path, error);
        let tables = self.tables.begin_read().map_err(|error| reading(error.into()))?;
        let meta = match tables.open_table(META) {
            Err(redb::TableError::TableDoesNotExist(_)) => {
                let what = "it is a database of something else";
                return Err(StoreError::Foreign { path: path(), what });
            }
            meta => meta.map_err(|error| reading(error.into()))?,
        };
        let number = |name, max| {
            let number = meta.get(name).map_err(|error| reading(error.into()))?;
            match number.map(|number| number.value()) {
                Some(number) if number <= max => Ok(number),
                number => {
                    let what = match number {
                        Some(number) => format!("its {name} is {number}, above {max}"),
                        None => format!("it has no {name}"),
                    };
                    Err(StoreError::Damaged { path: path(), what })
                }
            }
        };
        let found = number(META_FORMAT, u64::MAX)?;
        if found > FORMAT {
            return Err(StoreError::NewerFormat { path: path(), found, supported: FORMAT });
        }
        let version_floor = number(META_VERSION_FLOOR, VERSION_MAX)?;
        let quotes = tables.open_table(QUOTES).map_err(|error| reading(error.into()))?;
        self.stocks = quotes.len().map_err(|error| reading(error.into()))?;
        let epoch = meta.get(META_EPOCH).map_err(|error| reading(error.into()))?;
        let epoch = epoch.map(|epoch| epoch.value());
        (self.format, self.version_floor) = (found, version_floor);
        self.epoch = epoch.unwrap_or(self.epoch);
        self.position = match tables.open_table(POSITION) {
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            positions => {
                let positions = positions.map_err(|error| reading(error.into()))?;
                let latest =
                    positions.get(POSITION_LATEST).map_err(|error| reading(error.into()))?;
                latest.map(|latest| latest.value().to_vec())
            }
        };
        Ok(epoch.is_some())
    }

    /// Does something to the quotes, and keeps it with the floor and the position.
    fn write(
        &self,
        change: impl FnOnce(&mut Quotes<'_>) -> Result<(), redb::StorageError>,
        version_floor: u64,
        position: &[u8],
        durability: Durability,
    ) -> Result<(), redb::Error> {
        let mut commit = self.tables.begin_write()?;
        if durability == Durability::Unsynced {
            commit.set_durability(redb::Durability::None).expect("there are no savepoints");
        }
        change(&mut commit.open_table(QUOTES)?)?;
        if self.format < FORMAT {
            commit.open_table(META)?.insert(META_FORMAT, FORMAT)?;
        }
        if version_floor > self.version_floor {
            commit.open_table(META)?.insert(META_VERSION_FLOOR, version_floor)?;
        }
        commit.open_table(POSITION)?.insert(POSITION_LATEST, position)?;
        Ok(commit.commit()?)
    }

    fn keep(
        &mut self,
        change: impl FnOnce(&mut Quotes<'_>) -> Result<(), redb::StorageError>,
        version_floor: u64,
        position: &[u8],
        durability: Durability,
    ) -> Result<(), StoreError> {
        assert!(position.len() <= STORE_POSITION_BYTES_MAX, "{} bytes", position.len());
        if self.failed.is_none() {
            match self.write(change, version_floor, position, durability) {
                Ok(()) => {
                    self.format = FORMAT;
                    self.version_floor = self.version_floor.max(version_floor);
                    self.position = Some(position.to_owned());
                }
                Err(redb::Error::Io(error)) => {
                    self.failed = Some((error.kind(), error.to_string()));
                }
                Err(error) => self.failed = Some((io::ErrorKind::Other, error.to_string())),
            }
        }
        match &self.failed {
            None => Ok(()),
            Some((kind, why)) => {
                let source = io::Error::new(*kind, why.clone());
                Err(StoreError::Commit { path: self.path.clone(), source })
            }
        }
    }
}

/// Looks at the first bytes before redb does: are they of redb, and was the file closed?
fn was_closed(bytes: &impl StorageBackend, path: &Path) -> Result<bool, StoreError> {
    let path = path.to_owned();
    let mut begin = [0; MAGIC.len() + 1];
    let len = match bytes.len() {
        Ok(len) if len >= begin.len() as u64 => bytes.read(0, &mut begin).map(|()| len),
        len => len,
    };
    match (len, begin.strip_prefix(MAGIC)) {
        (Err(source), _) => Err(StoreError::Io { doing: "read", path, source }),
        // It got its name when it was whole, so it was never empty.
        (Ok(0), _) => Err(StoreError::Damaged { path, what: "it is empty".to_owned() }),
        (Ok(_), Some(&[flags])) => Ok(flags & IN_USE == 0),
        (Ok(_), _) => Err(StoreError::Foreign { path, what: "it does not begin like one" }),
    }
}
