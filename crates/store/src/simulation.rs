//! A disk in memory that fails when it is told to, for tests of what is kept.
//!
//! It holds files by name. Of each it knows three states: what a process reads, what it has written since it
//! last synced, and what is on the disk for certain; and the same of the names. Faults are chosen in advance
//! by the number of an operation, and a seed chooses what a power failure leaves. So every run can be
//! repeated.
//!
//! Of all that was not synced of a file, a power failure takes nothing; or everything; or all after some
//! moment, with the write of that moment torn between two sectors; or it leaves each sector with
//! any of the contents it had since the last sync, so that writes arrive in any order and in part.
//! A sector of [`SECTOR`] bytes may even be torn within. Of names that were not synced it leaves all, or
//! none, or all before some moment, or any of them.
//!
//! A failed sync does the worst that Linux does: some of what it should have written is on the
//! disk, the rest never will be, and the next sync reports success.
//!
//! Invariant: what was synced well is never lost.

mod file;
mod gated;
mod names;
mod random;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use crate::database::Database;
use crate::error::StoreError;
use crate::folder::{Content, Folder, FolderFile};
use crate::log::LogSizes;
use crate::logged::{self, LoggedStore, QUOTES_FILE};

pub use self::file::SECTOR;
use self::file::{Change, FileState};
pub use self::gated::GatedStore;
use self::names::{NameChange, Names, NamesState};
pub use self::random::{Random, for_each_seed};

/// Bytes of a segment of a log on a simulated disk, unless it is told otherwise.
const SEGMENT_BYTES: u64 = 8 * 1024;

/// What a simulated disk is called in messages, and all that is on it.
const NAME: &str = "a simulated disk";

/// A disk with files. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    sizes: LogSizes,
}

/// What goes wrong. Operations are counted from 1, from the moment the fault is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This write or growth, and all after it, find no room.
    NoSpace {
        /// Which of the writes and growths.
        at: u64,
    },
    /// Half of this write is written, then there is no room.
    ShortWrite {
        /// Which of the writes and growths.
        at: u64,
    },
    /// This sync fails, and what it should have written never will be.
    Sync {
        /// Which of the syncs.
        at: u64,
    },
    /// This read fails.
    Read {
        /// Which of the reads.
        at: u64,
    },
    /// This change of a name fails: a file is not made, renamed or removed.
    Name {
        /// Which of the changes of names.
        at: u64,
    },
    /// The power fails: this operation and all after it do nothing.
    Power {
        /// Which of all operations.
        at: u64,
    },
}

/// How many operations there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// Reads.
    pub reads: u64,
    /// Writes, and changes of the length.
    pub writes: u64,
    /// Syncs of files and of names.
    pub syncs: u64,
    /// Files made, renamed and removed.
    pub names: u64,
}

impl Operations {
    /// What was done since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Operations) -> Operations {
        Operations {
            reads: self.reads - earlier.reads,
            writes: self.writes - earlier.writes,
            syncs: self.syncs - earlier.syncs,
            names: self.names - earlier.names,
        }
    }

    /// All of them.
    pub fn all(self) -> u64 {
        self.reads + self.writes + self.syncs + self.names
    }
}

#[derive(Debug, Default)]
struct State {
    /// By number: a file keeps its number when its name changes.
    files: BTreeMap<u64, FileState>,
    names: NamesState,
    next_file: u64,
    done: Operations,
    /// With the count of operations at which it was ordered.
    fault: Option<(Fault, Operations)>,
    happened: bool,
    random: Random,
}

/// One file of a disk.
#[derive(Debug)]
struct DiskFile {
    disk: Disk,
    number: u64,
}

impl Default for Disk {
    fn default() -> Disk {
        Disk::with(State::default())
    }
}

impl Disk {
    /// Opens the store on it, or makes one on an empty disk.
    ///
    /// # Errors
    ///
    /// What a data directory would say of such files.
    pub fn open(&self) -> Result<LoggedStore, StoreError> {
        self.make_if_missing()?;
        LoggedStore::open(Arc::new(self.clone()), self.sizes)
    }

    /// Opens the database on it alone, for who keeps what comes behind it elsewhere; or makes one on an
    /// empty disk.
    ///
    /// # Errors
    ///
    /// What a data directory would say of such a file.
    pub fn open_database(&self) -> Result<Database, StoreError> {
        self.make_if_missing()?;
        let opening = |source| StoreError::Io { doing: "open", path: NAME.into(), source };
        Database::open(Folder::open(self, QUOTES_FILE).map_err(opening)?, Path::new(NAME))
    }

    fn make_if_missing(&self) -> Result<(), StoreError> {
        let is_there = self.state().names.current.contains_key(QUOTES_FILE);
        if is_there { Ok(()) } else { logged::make(self) }
    }

    /// The disk, for a store whose log has segments of this size, and as many of them at most.
    #[must_use]
    pub fn with_segments(mut self, segment_bytes: u64, segments_max: usize) -> Disk {
        self.sizes = LogSizes { segment_bytes, segments_max };
        self
    }

    /// Orders a fault, which replaces any earlier one.
    pub fn order(&self, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((fault, state.done));
        state.happened = false;
    }

    /// Whether the fault that was ordered has happened.
    pub fn has_failed(&self) -> bool {
        self.state().happened
    }

    /// What was done so far.
    pub fn operations(&self) -> Operations {
        self.state().done
    }

    /// Seeds the choice of what failed syncs lose.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Disk {
        self.state().random = Random(seed);
        self
    }

    /// The disk after the power has failed and come back.
    pub fn after_power_loss(&self, seed: u64) -> Disk {
        let state = self.state();
        let mut random = Random(seed);
        let names = state.names.left_by_power_loss(&mut random);
        let files = state
            .files
            .iter()
            .map(|(number, file)| (*number, file.left_by_power_loss(&mut random)));
        self.left(names, files.collect(), random)
    }

    /// The disk as the next process finds it after this one has ended without a power failure. What
    /// a failed sync has lost is gone; all else is there.
    pub fn after_restart(&self) -> Disk {
        let state = self.state();
        let names = state.names.kept(state.names.unsynced.iter());
        let files = state.files.iter().map(|(number, file)| {
            let mut left = file.synced.clone();
            file.unsynced.iter().for_each(|change| change.apply(&mut left));
            (*number, left)
        });
        self.left(names, files.collect(), Random(state.random.0))
    }

    /// A disk with these files, all of it synced.
    pub fn holding(files: BTreeMap<String, Vec<u8>>) -> Disk {
        let names = files.keys().cloned().zip(1..).collect();
        let files = (1..).zip(files.into_values()).collect();
        Disk::default().left(names, files, Random::default())
    }

    /// What a process reads there.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let names = state.names.current.iter();
        names.map(|(name, file)| (name.clone(), state.files[file].current.clone())).collect()
    }

    fn left(&self, names: Names, mut contents: BTreeMap<u64, Vec<u8>>, random: Random) -> Disk {
        contents.retain(|number, _| names.values().any(|named| named == number));
        let next_file = 1 + contents.keys().max().copied().unwrap_or_default();
        let file = |content: Vec<u8>| FileState {
            current: content.clone(),
            synced: content,
            unsynced: Vec::new(),
        };
        let files = contents.into_iter().map(|(number, content)| (number, file(content)));
        let state = State {
            files: files.collect(),
            names: NamesState { current: names.clone(), synced: names, unsynced: Vec::new() },
            next_file,
            random,
            ..State::default()
        };
        Disk { sizes: self.sizes, ..Disk::with(state) }
    }

    fn with(state: State) -> Disk {
        let sizes = LogSizes { segment_bytes: SEGMENT_BYTES, ..LogSizes::default() };
        Disk { state: Arc::new(Mutex::new(state)), sizes }
    }

    fn file(&self, number: u64) -> FolderFile {
        FolderFile::new(DiskFile { disk: self.clone(), number })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Folder for Disk {
    fn open(&self, name: &str) -> io::Result<FolderFile> {
        let mut state = self.state();
        state.done.reads += 1;
        state.fail_if(|fault, since| match fault {
            Fault::Read { at } => (at == since.reads).then(|| input_output("opening")),
            _ => None,
        })?;
        let number = state.names.current.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        drop(state);
        Ok(self.file(number))
    }

    fn create(&self, name: &str) -> io::Result<FolderFile> {
        let mut state = self.state();
        let number = state.next_file;
        state.change_name(NameChange::Give(name.to_owned(), number))?;
        state.next_file += 1;
        state.files.insert(number, FileState::default());
        drop(state);
        Ok(self.file(number))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.current.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.current.contains_key(name) {
            return Ok(());
        }
        state.change_name(NameChange::Remove(name.to_owned()))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.done.reads += 1;
        state.fail_if(|fault, since| match fault {
            Fault::Read { at } => (at == since.reads).then(|| input_output("reading names")),
            _ => None,
        })?;
        Ok(state.names.current.keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        let synced = state.begin_sync();
        if state.is_off() {
            return synced;
        }
        let mut random = state.random.fork();
        let names = &mut state.names;
        names.synced = match synced {
            Ok(()) => names.current.clone(),
            Err(_) => names.left_by_power_loss(&mut random),
        };
        names.unsynced.clear();
        synced
    }

    fn path(&self, _: &str) -> PathBuf {
        NAME.into()
    }
}

impl Content for DiskFile {}

impl StorageBackend for DiskFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        Ok(state.file(self.number).current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.done.reads += 1;
        state.fail_if(|fault, since| match fault {
            Fault::Read { at } => (at == since.reads).then(|| input_output("reading")),
            _ => None,
        })?;
        let end = offset.checked_add(out.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        let held = state.file(self.number).current.get(offset as usize..end as usize);
        out.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.done.writes += 1;
        let grows = len as usize > state.file(self.number).current.len();
        state.fail_if(|fault, since| match fault {
            Fault::NoSpace { at } | Fault::ShortWrite { at } => {
                (grows && since.writes >= at).then(no_space)
            }
            _ => None,
        })?;
        state.file(self.number).change(Change::Len(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let synced = state.begin_sync();
        if state.is_off() {
            return synced;
        }
        let mut random = state.random.fork();
        let file = state.file(self.number);
        match synced {
            // What has reached the disk by then, and is lost from now on.
            Err(_) => file.synced = file.left_by_power_loss(&mut random),
            Ok(()) => {
                let FileState { synced, unsynced, .. } = file;
                unsynced.iter().for_each(|change| change.apply(synced));
            }
        }
        file.unsynced.clear();
        synced
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.done.writes += 1;
        let failed = state.fail_if(|fault, since| match fault {
            Fault::NoSpace { at } | Fault::ShortWrite { at } => (since.writes >= at).then(no_space),
            _ => None,
        });
        let written = match (&failed, state.fault) {
            (Ok(()), _) => data,
            (Err(_), Some((Fault::ShortWrite { at }, ordered)))
                if state.done.writes - ordered.writes == at =>
            {
                &data[..data.len() / 2]
            }
            (Err(_), _) => return failed,
        };
        let change = Change::Write { offset: offset as usize, data: written.to_vec() };
        state.file(self.number).change(change);
        failed
    }
}

impl State {
    fn file(&mut self, number: u64) -> &mut FileState {
        self.files.get_mut(&number).expect("files stay as long as the disk")
    }

    fn begin_sync(&mut self) -> io::Result<()> {
        self.done.syncs += 1;
        self.fail_if(|fault, since| match fault {
            Fault::Sync { at } => (at == since.syncs).then(|| input_output("syncing")),
            _ => None,
        })
    }

    fn change_name(&mut self, change: NameChange) -> io::Result<()> {
        self.done.names += 1;
        self.fail_if(|fault, since| match fault {
            Fault::Name { at } => (at == since.names).then(|| input_output("changing a name")),
            _ => None,
        })?;
        change.apply(&mut self.names.current);
        self.names.unsynced.push(change);
        Ok(())
    }

    /// Fails when the power is off, or the fault has its time.
    fn fail_if(
        &mut self,
        is_due: impl FnOnce(Fault, Operations) -> Option<io::Error>,
    ) -> io::Result<()> {
        let Some((fault, ordered)) = self.fault else { return Ok(()) };
        let since = self.done.since(ordered);
        let error = match fault {
            Fault::Power { at } => (since.all() >= at).then(|| input_output("the power is off")),
            _ => is_due(fault, since),
        };
        self.happened |= error.is_some();
        error.map_or(Ok(()), Err)
    }

    fn is_off(&self) -> bool {
        self.happened && matches!(self.fault, Some((Fault::Power { .. }, _)))
    }
}

fn no_space() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on the simulated disk")
}

fn input_output(what: &str) -> io::Error {
    io::Error::other(format!("input/output error of the simulated disk: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_stays_and_the_rest_may_be_torn_between_sectors() {
        let disk = Disk::default();
        let file = disk.create("a").unwrap();
        disk.sync().unwrap();
        let content = |disk: &Disk| disk.files()["a"].clone();
        file.set_len(4096).unwrap();
        file.write(0, &[1; 4096]).unwrap();
        file.sync_data().unwrap();
        file.write(1024, &[2; 2048]).unwrap();
        file.set_len(8192).unwrap();
        file.write(4096, &[3; 4096]).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..500 {
            let left = content(&disk.after_power_loss(seed));
            assert_eq!(left[..1024], [1; 1024]);
            assert_eq!(left[3072..4096], [1; 1024]);
            assert!(left[1024..3072].iter().all(|&byte| byte == 1 || byte == 2));
            assert!(left[4096..].iter().all(|&byte| byte == 0 || byte == 3));
            seen.insert(left);
        }
        assert!(seen.contains([1; 4096].as_slice()), "nothing kept was never left");
        assert!(seen.contains(&content(&disk)), "everything kept was never left");
        assert!(seen.len() > 50, "{} kinds of loss", seen.len());
        assert_eq!(content(&disk.after_restart()), content(&disk));
        let repeated = |_| content(&disk.after_power_loss(77));
        assert_eq!(repeated(1), repeated(2));
    }

    #[test]
    fn a_failed_sync_loses_what_it_should_have_written_and_the_next_one_succeeds() {
        let disk = Disk::default();
        let file = disk.create("a").unwrap();
        disk.sync().unwrap();
        let content = |disk: &Disk| disk.files()["a"].clone();
        file.write(0, &[1; 100 * SECTOR]).unwrap();
        file.sync_data().unwrap();
        file.write(0, &[2; 100 * SECTOR]).unwrap();
        disk.order(Fault::Sync { at: 1 });
        file.sync_data().unwrap_err();
        assert!(disk.has_failed());
        assert_eq!(content(&disk), [2; 100 * SECTOR], "the process still reads it");
        file.write(0, &[3; SECTOR]).unwrap();
        file.sync_data().unwrap();
        let left = content(&disk.after_restart());
        assert_eq!(left[..SECTOR], [3; SECTOR]);
        assert_eq!(left, content(&disk.after_power_loss(1)));
    }

    #[test]
    fn faults_happen_at_their_operation() {
        let disk = Disk::default();
        let file = disk.create("a").unwrap();
        disk.sync().unwrap();
        let content = |disk: &Disk| disk.files()["a"].clone();
        disk.order(Fault::ShortWrite { at: 2 });
        file.write(0, &[1; 8]).unwrap();
        file.write(0, &[2; 8]).unwrap_err();
        assert_eq!(content(&disk), [2, 2, 2, 2, 1, 1, 1, 1]);
        file.write(0, &[3; 8]).unwrap_err();
        file.set_len(100).unwrap_err();
        file.set_len(4).unwrap();
        assert_eq!(content(&disk), [2; 4]);

        disk.order(Fault::Read { at: 2 });
        file.read(0, &mut [0; 4]).unwrap();
        file.read(0, &mut [0; 4]).unwrap_err();
        file.read(0, &mut [0; 4]).unwrap();

        disk.order(Fault::Power { at: 2 });
        file.write(0, &[4; 4]).unwrap();
        file.sync_data().unwrap_err();
        file.write(0, &[5; 4]).unwrap_err();
        assert_eq!(content(&disk.after_restart()), [4; 4]);
    }
    #[test]
    fn names_that_were_not_synced_may_be_lost_one_by_one() {
        let disk = Disk::default();
        let file = disk.create("a").unwrap();
        file.write(0, b"first").unwrap();
        file.sync_data().unwrap();
        disk.sync().unwrap();
        disk.rename("a", "b").unwrap();
        drop(disk.create("c").unwrap());
        disk.remove("b").unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let names: Vec<String> = disk.after_power_loss(seed).files().into_keys().collect();
            seen.insert(names.concat());
        }
        let all = ["", "a", "ac", "b", "bc", "c"].map(str::to_owned);
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
        assert_eq!(disk.after_restart().files().into_keys().collect::<Vec<_>>(), ["c"]);
        // A file that is open stays.
        file.write(0, b"other").unwrap();

        let disk = Disk::default();
        disk.order(Fault::Name { at: 2 });
        drop(disk.create("a").unwrap());
        drop(disk.create("b").unwrap_err());
        assert_eq!(disk.files().into_keys().collect::<Vec<_>>(), ["a"]);
    }
}
