//! A store of a log and a checkpoint.
//!
//! A commit is appended to the [log](crate::log) and synced. The [database](Database) is the checkpoint:
//! it has what the log did up to a position, which is kept in the same commit of the database, and the log
//! before that is let go. An open reads the database, and the log behind its position over it. It knows no
//! threads and no clock: when a checkpoint is late, and who writes it, others say.
//!
//! Where nothing was committed yet, or after a close, there is no log. The first commit begins one, and the
//! database has that before the commit is made: from then on a log that is missing is missed.
//!
//! Invariant: what the database has and what the log did behind its position is a whole number of commits,
//! at any moment, and each of them is in one of the two.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use redb::StorageBackend;
use stockd_model::Quote;

use crate::changes::Changes;
use crate::checkpoint::{Checkpoint, WrittenCheckpoint};
use crate::database::{Database, Durability};
use crate::error::StoreError;
use crate::folder::{Folder, FolderFile};
use crate::log::{Log, LogSizes};
use crate::position::Position;
use crate::record::{self, RecordError};
use crate::segment;
use crate::store::{LogReport, Store};
use crate::write::Write;

/// The file of the checkpoint.
pub const QUOTES_FILE: &str = "quotes.redb";
/// A checkpoint of nothing that is being made; of no use after a crash.
pub(crate) const NEW_QUOTES_FILE: &str = "quotes.redb.new";

/// Quotes in a log and a checkpoint: what a [`DataDir`](crate::DataDir) has in its files.
#[derive(Debug)]
pub struct LoggedStore {
    folder: Arc<dyn Folder>,
    sizes: LogSizes,
    /// None while a checkpoint has it, and after it could not be opened again.
    database: Option<Database>,
    /// The file of the database.
    quotes: FolderFile,
    log: Option<Log>,
    /// What the database has of the log.
    position: PositionOf,
    /// What the log had done when it was opened, until something is committed.
    recovered: Option<Changes>,
    version_floor: u64,
    /// In it when it was opened, at least.
    stocks: u64,
    epoch: u64,
    format: u64,
    was_closed: bool,
    failed: Option<Failure>,
    /// Whether no last checkpoint is to be written.
    is_left: bool,
}

/// Whose position the database has.
#[derive(Clone, Copy, Debug)]
enum PositionOf {
    /// It has none yet. The first commit, or the first position, says whose it is.
    Unclaimed,
    OurLog(Position),
    /// Of a log that somebody keeps elsewhere.
    Elsewhere,
}

/// Why a commit or a checkpoint failed; every later commit fails for it.
#[derive(Clone, Debug)]
struct Failure {
    path: PathBuf,
    kind: io::ErrorKind,
    why: String,
}

/// Makes a store with nothing in it. It gets its name when it is whole, so that a crash never leaves half a
/// database under that name.
pub(crate) fn make(folder: &dyn Folder) -> Result<(), StoreError> {
    let path = folder.path(NEW_QUOTES_FILE);
    let failed = |source| StoreError::Io { doing: "create", path: path.clone(), source };
    folder.remove(NEW_QUOTES_FILE).map_err(failed)?;
    let file = folder.create(NEW_QUOTES_FILE).map_err(failed)?;
    drop(Database::create(file, &path)?);
    folder.rename(NEW_QUOTES_FILE, QUOTES_FILE).map_err(failed)?;
    folder.sync().map_err(failed)
}

impl LoggedStore {
    /// Opens the store in this folder. Verifies all that is in it.
    pub(crate) fn open(
        folder: Arc<dyn Folder>,
        sizes: LogSizes,
    ) -> Result<LoggedStore, StoreError> {
        let path = folder.path(QUOTES_FILE);
        let quotes = folder.open(QUOTES_FILE).map_err(|source| StoreError::Io {
            doing: "open",
            path: path.clone(),
            source,
        })?;
        let database = Database::open(quotes.clone(), &path)?;
        let (epoch, mut version_floor) = (database.epoch(), database.version_floor());
        let position = PositionOf::found(&database);
        let (mut log, mut changes) = (None, Changes::default());
        if let Some(position) = position.in_log() {
            let cleared = remove_before(&*folder, position.segment);
            cleared.map_err(|error| StoreError::reading_log(path, error))?;
            (log, changes) = Log::open(&folder, epoch, sizes, (position, version_floor))?;
            version_floor = version_floor.max(changes.version_floor());
        }
        let mut store = LoggedStore {
            folder,
            sizes,
            quotes,
            log,
            position,
            version_floor,
            stocks: database.stocks(),
            epoch,
            format: database.format(),
            was_closed: database.was_closed(),
            database: Some(database),
            recovered: None,
            failed: None,
            is_left: false,
        };
        if !changes.is_empty() {
            store.stocks = store.stocks.max(changes.puts() as u64);
            store.recovered = Some(changes);
        }
        Ok(store)
    }

    /// Opens the store in this folder to be read alone: nothing is written to it.
    pub(crate) fn open_to_read(folder: Arc<dyn Folder>) -> Result<LoggedStore, StoreError> {
        let mut store = LoggedStore::open(folder, LogSizes::default())?;
        store.leave_as_it_is();
        Ok(store)
    }

    /// Stocks in it when it was opened, as long as nothing was committed. Behind a log it takes a look at all
    /// of them.
    pub fn stocks(&self) -> u64 {
        match &self.recovered {
            Some(_) => self.count().unwrap_or(self.stocks),
            None => self.stocks,
        }
    }

    /// Stocks in it when it was opened, at least: what is known without a look at them.
    pub fn stocks_at_least(&self) -> u64 {
        self.stocks
    }

    /// Whether its last user closed it. If not, a commit that was cut in half has been undone.
    pub fn was_closed(&self) -> bool {
        self.was_closed
    }

    /// The format of the file of the database.
    pub(crate) fn format(&self) -> u64 {
        self.format
    }

    /// The version floor of the last commit.
    pub(crate) fn version_floor(&self) -> u64 {
        self.version_floor
    }

    /// Reads all quotes, in the order of their symbols, until it is told to stop. Returns the
    /// version floor of the last [commit](Store::commit).
    ///
    /// # Errors
    ///
    /// When a record is not a quote, or cannot be read, or while a checkpoint is written.
    pub fn load(&self, mut each: impl FnMut(Quote) -> ControlFlow<()>) -> Result<u64, StoreError> {
        self.records(|key, quote| match quote {
            Ok(quote) => Ok(each(quote)),
            Err(why) => {
                let what = format!("the record of '{}': {why}", record::shown(key));
                Err(StoreError::Damaged { path: self.folder.path(QUOTES_FILE), what })
            }
        })?;
        Ok(self.version_floor)
    }

    /// Reads all records with their keys, also those that are not quotes.
    pub(crate) fn records(
        &self,
        mut each: impl FnMut(&[u8], Result<Quote, RecordError>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        self.values(&mut |key, value| each(key, record::decode(key, value)))
    }

    /// Keeps all of these writes and a position together, or none of them, in the database and without a
    /// log: for who has a log elsewhere. See [`Database::commit_at`].
    ///
    /// # Errors
    ///
    /// When they may not have been kept, or this store has a log of its own. Every further commit fails
    /// then.
    pub fn commit_at(
        &mut self,
        writes: &[Write],
        version_floor: u64,
        position: &[u8],
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.guard(|store| {
            if matches!(store.position, PositionOf::OurLog(_)) {
                return Err(store.refused("it has a log of its own"));
            }
            if Position::decode(position).is_some() {
                return Err(store.refused("the position is one of its own log"));
            }
            store.recovered = None;
            let database = store.database.as_mut().expect("only our log has checkpoints");
            database.commit_at(writes, version_floor, position, durability)?;
            store.position = PositionOf::Elsewhere;
            store.version_floor = store.version_floor.max(version_floor);
            Ok(())
        })
    }

    /// Whether nothing was ever kept in it.
    pub(crate) fn is_unclaimed(&self) -> bool {
        matches!(self.position, PositionOf::Unclaimed) && self.log.is_none() && self.stocks == 0
    }

    /// The position that was kept [with it](LoggedStore::commit_at), if there is one.
    pub fn position(&self) -> Option<&[u8]> {
        match self.position {
            PositionOf::Elsewhere => self.database.as_ref().and_then(Database::position),
            PositionOf::Unclaimed | PositionOf::OurLog(_) => None,
        }
    }

    /// Reads all records as they are kept.
    fn values(
        &self,
        each: &mut impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let database = self.database.as_ref().ok_or_else(|| self.is_away())?;
        let read;
        let changes = match &self.recovered {
            Some(changes) => changes,
            None => {
                read = self.changes()?;
                &read
            }
        };
        let mut over = changes.over();
        let ended = database.records(|key, value| over.record(key, value, each))?;
        match ended {
            ControlFlow::Continue(()) => over.rest(each),
            ControlFlow::Break(()) => Ok(()),
        }
    }

    /// What the log did since the checkpoint.
    fn changes(&self) -> Result<Changes, StoreError> {
        let mut changes = Changes::default();
        if let (Some(log), Some(mut at)) = (&self.log, self.position.in_log()) {
            for segment in log.segments() {
                at = segment.read(at, &mut changes)?;
            }
        }
        Ok(changes)
    }

    fn count(&self) -> Result<u64, StoreError> {
        let mut stocks = 0;
        self.values(&mut |_, _| {
            stocks += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(stocks)
    }

    fn append(&mut self, writes: &[Write], version_floor: u64) -> Result<(), StoreError> {
        self.recovered = None;
        if self.log.is_none() {
            self.begin_log()?;
        } else if self.log().is_full {
            let checkpoint = self.checkpoint(None).ok_or_else(|| self.is_away())?;
            self.take_back(checkpoint.write())?;
        }
        let log = self.log.as_mut().expect("it was begun");
        log.append(writes, version_floor)?;
        self.version_floor = self.version_floor.max(version_floor);
        Ok(())
    }

    fn begin_log(&mut self) -> Result<(), StoreError> {
        let position = match self.position {
            PositionOf::Unclaimed => Position::default(),
            PositionOf::OurLog(position) => position,
            PositionOf::Elsewhere => {
                return Err(self.refused("it follows a log that is kept elsewhere"));
            }
        };
        let place = (position, self.version_floor);
        let log = Log::begin(&self.folder, self.epoch, self.sizes, place)?;
        let (position, version_floor) = log.end();
        let Some(database) = &mut self.database else { return Err(self.is_away()) };
        database.commit_at(&[], version_floor, &position.encode(), Durability::Synced)?;
        self.position = PositionOf::OurLog(position);
        self.log = Some(log);
        Ok(())
    }

    /// A checkpoint of all there is, after which the log goes on, or `next` is the position of another one.
    /// `None` while one is written, or where there is no log.
    fn checkpoint(&mut self, next: Option<Position>) -> Option<Checkpoint> {
        let (log, from) = (self.log.as_ref()?, self.position.in_log()?);
        let (to, version_floor) = log.end();
        let (segments, position) = (log.segments(), next.unwrap_or(to));
        let database = self.database.take()?;
        Some(Checkpoint { database, segments, from, to, position, version_floor })
    }

    /// The checkpoint after which there is no log; `None` where there is none, or where nothing more is to
    /// be written.
    ///
    /// # Errors
    ///
    /// While another one is written.
    pub(crate) fn last_checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        let (None, Some(log), false) = (&self.failed, &self.log, self.is_left) else {
            return Ok(None);
        };
        let (end, _) = log.end();
        let next = Position::before(end.segment + 1, end.sequence);
        let checkpoint = self.checkpoint(Some(next)).ok_or_else(|| self.is_away())?;
        Ok(Some(checkpoint))
    }

    /// Takes the database back, and lets go of nothing.
    pub(crate) fn leave_log(&mut self, written: WrittenCheckpoint) {
        self.database = Some(written.database);
    }

    /// Writes no last checkpoint, whatever there is of a log.
    pub(crate) fn leave_as_it_is(&mut self) {
        self.is_left = true;
    }

    fn take_back(&mut self, written: WrittenCheckpoint) -> Result<(), StoreError> {
        let WrittenCheckpoint { database, position, stocks } = written;
        self.database = Some(database);
        stocks?;
        self.position = PositionOf::OurLog(position);
        let forgotten = match &mut self.log {
            Some(log) if position.is_begun => log.forget_before(position),
            _ => {
                self.log = None;
                remove_before(&*self.folder, position.segment)
            }
        };
        let path = || self.folder.path(QUOTES_FILE);
        forgotten.map_err(|error| StoreError::writing(path(), error))
    }

    /// Does something that no later commit may follow when it fails.
    fn guard(
        &mut self,
        change: impl FnOnce(&mut LoggedStore) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.failed.is_none() {
            let Err(error) = change(self) else { return Ok(()) };
            self.failed = Some(Failure::of(error, || self.folder.path(QUOTES_FILE)));
        }
        self.failed.as_ref().map_or(Ok(()), |failure| Err(failure.error()))
    }

    fn is_away(&self) -> StoreError {
        let why = match self.log {
            Some(_) => "a checkpoint is being written",
            None => "it could not be opened again",
        };
        let path = self.folder.path(QUOTES_FILE);
        StoreError::Io { doing: "read", path, source: io::Error::other(why) }
    }

    fn refused(&self, why: &str) -> StoreError {
        StoreError::writing(self.folder.path(QUOTES_FILE), io::Error::other(why))
    }
}

impl Store for LoggedStore {
    fn commit(&mut self, writes: &[Write], version_floor: u64) -> Result<(), StoreError> {
        self.guard(|store| store.append(writes, version_floor))
    }

    fn begin_checkpoint(&mut self, is_late: bool) -> Option<Checkpoint> {
        self.recovered = None;
        let (log, from) = (self.log.as_ref()?, self.position.in_log()?);
        let is_large = || log.bytes_behind(from) >= self.quotes.len().unwrap_or(u64::MAX);
        let is_due = log.end().0.segment > from.segment || is_late && is_large();
        if is_due && self.failed.is_none() { self.checkpoint(None) } else { None }
    }

    fn end_checkpoint(&mut self, written: WrittenCheckpoint) -> Result<(), StoreError> {
        let mut written = Some(written);
        match self.failed {
            None => self.guard(|store| written.take().map_or(Ok(()), |it| store.take_back(it))),
            Some(_) => {
                if let Some(written) = written {
                    self.leave_log(written);
                }
                Ok(())
            }
        }
    }

    fn log(&self) -> LogReport {
        let (Some(log), Some(position)) = (&self.log, self.position.in_log()) else {
            return LogReport::default();
        };
        LogReport { bytes: log.bytes_behind(position), segments: log.len(), is_full: log.is_full() }
    }

    fn close(&mut self) -> Result<(), StoreError> {
        match self.last_checkpoint()? {
            Some(checkpoint) => self.end_checkpoint(checkpoint.write()),
            None => Ok(()),
        }
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        // Before it is opened: the files have one user at a time.
        (self.database, self.log, self.recovered) = (None, None, None);
        match LoggedStore::open(Arc::clone(&self.folder), self.sizes) {
            Ok(opened) => {
                *self = opened;
                Ok(())
            }
            Err(error) => {
                let (path, why) = (self.folder.path(QUOTES_FILE), error.to_string());
                self.failed.get_or_insert(Failure { path, kind: io::ErrorKind::Other, why });
                Err(error)
            }
        }
    }

    fn load(&self, each: &mut dyn FnMut(Quote) -> ControlFlow<()>) -> Result<u64, StoreError> {
        LoggedStore::load(self, each)
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl Drop for LoggedStore {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What it would have written is in the log.
            let _ = self.close();
        }
    }
}

impl PositionOf {
    fn found(database: &Database) -> PositionOf {
        match database.position() {
            None => PositionOf::Unclaimed,
            Some(bytes) => {
                Position::decode(bytes).map_or(PositionOf::Elsewhere, PositionOf::OurLog)
            }
        }
    }

    /// Where our log goes on behind the checkpoint, if there may be one.
    fn in_log(self) -> Option<Position> {
        match self {
            PositionOf::Unclaimed => Some(Position::default()),
            PositionOf::OurLog(position) => Some(position),
            PositionOf::Elsewhere => None,
        }
    }
}

impl Failure {
    fn of(error: StoreError, path: impl FnOnce() -> PathBuf) -> Failure {
        match error {
            StoreError::Commit { path, source } => {
                Failure { path, kind: source.kind(), why: source.to_string() }
            }
            other => Failure { path: path(), kind: io::ErrorKind::Other, why: other.to_string() },
        }
    }

    fn error(&self) -> StoreError {
        StoreError::writing(self.path.clone(), io::Error::new(self.kind, self.why.clone()))
    }
}

/// Removes the segments before this one: the checkpoint has them.
fn remove_before(folder: &dyn Folder, number: u64) -> io::Result<()> {
    for name in folder.names()? {
        if segment::number_of(&name).is_some_and(|older| older < number) {
            folder.remove(&name)?;
        }
    }
    Ok(())
}
