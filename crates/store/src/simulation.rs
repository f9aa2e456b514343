//! A disk in memory that fails when it is told to, for tests of what is kept.
//!
//! It knows three states of a file: what a process reads, what it has written since it last synced,
//! and what is on the disk for certain. Faults are chosen in advance by the number of an operation,
//! and a seed chooses what a power failure leaves. So every run can be repeated.
//!
//! Of all that was not synced, a power failure takes nothing; or everything; or all after some
//! moment, with the write of that moment torn between two sectors; or it leaves each sector with
//! any of the contents it had since the last sync, so that writes arrive in any order and in part.
//! A sector of [`SECTOR`] bytes may even be torn within.
//!
//! A failed sync does the worst that Linux does: some of what it should have written is on the
//! disk, the rest never will be, and the next sync reports success.
//!
//! Invariant: what was synced well is never lost.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use crate::database::Database;
use crate::error::StoreError;

/// What a disk writes whole or not at all, unless it is torn within.
pub const SECTOR: usize = 512;

/// A disk with one file. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    state: Arc<Mutex<State>>,
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
    /// Syncs.
    pub syncs: u64,
}

#[derive(Debug, Default)]
struct State {
    /// What a process reads.
    current: Vec<u8>,
    /// What every power failure leaves.
    synced: Vec<u8>,
    /// What lies between the two.
    unsynced: Vec<Change>,
    done: Operations,
    /// With the count of operations at which it was ordered.
    fault: Option<(Fault, Operations)>,
    happened: bool,
    random: Random,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Len(usize),
}

impl Disk {
    /// Opens the database on it, or makes one on an empty disk.
    ///
    /// # Errors
    ///
    /// What a data directory would say of such a file.
    pub fn open(&self) -> Result<Database, StoreError> {
        let open = if self.content().is_empty() { Database::create } else { Database::open };
        open(self.clone(), Path::new("a simulated disk"))
    }

    /// Opens the database on it alone, for who keeps what comes behind it elsewhere; or makes one on an
    /// empty disk.
    ///
    /// # Errors
    ///
    /// What a data directory would say of such a file.
    pub fn open_database(&self) -> Result<Database, StoreError> {
        self.open()
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
        let left = state.left_by_power_loss(&mut random);
        Disk::with(left, random)
    }

    /// The disk as the next process finds it after this one has ended without a power failure. What
    /// a failed sync has lost is gone; all else is there.
    pub fn after_restart(&self) -> Disk {
        let state = self.state();
        let mut left = state.synced.clone();
        state.unsynced.iter().for_each(|change| change.apply(&mut left));
        Disk::with(left, Random(state.random.0))
    }

    /// A disk with this content, all of it synced.
    pub fn holding(content: Vec<u8>) -> Disk {
        Disk::with(content, Random::default())
    }

    /// What a process reads there.
    pub fn content(&self) -> Vec<u8> {
        self.state().current.clone()
    }

    fn with(content: Vec<u8>, random: Random) -> Disk {
        let state = State { current: content.clone(), synced: content, random, ..State::default() };
        Disk { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        state.done.reads += 1;
        state.fail_if(|fault, since| match fault {
            Fault::Read { at } => (at == since.reads).then(|| input_output("reading")),
            _ => None,
        })?;
        let end = offset.checked_add(out.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        let held = state.current.get(offset as usize..end as usize);
        out.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.done.writes += 1;
        let grows = len as usize > state.current.len();
        state.fail_if(|fault, since| match fault {
            Fault::NoSpace { at } | Fault::ShortWrite { at } => {
                (grows && since.writes >= at).then(no_space)
            }
            _ => None,
        })?;
        state.change(Change::Len(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.done.syncs += 1;
        let synced = state.fail_if(|fault, since| match fault {
            Fault::Sync { at } => (at == since.syncs).then(|| input_output("syncing")),
            _ => None,
        });
        if state.is_off() {
            return synced;
        }
        if synced.is_err() {
            // What has reached the disk by then, and is lost from now on.
            let mut random = state.random.fork();
            state.synced = state.left_by_power_loss(&mut random);
        } else {
            let State { synced, unsynced, .. } = &mut *state;
            unsynced.iter().for_each(|change| change.apply(synced));
        }
        state.unsynced.clear();
        synced
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
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
        state.change(Change::Write { offset: offset as usize, data: written.to_vec() });
        failed
    }
}

impl State {
    /// Fails when the power is off, or the fault has its time.
    fn fail_if(
        &mut self,
        is_due: impl FnOnce(Fault, Operations) -> Option<io::Error>,
    ) -> io::Result<()> {
        let Some((fault, ordered)) = self.fault else { return Ok(()) };
        let since = Operations {
            reads: self.done.reads - ordered.reads,
            writes: self.done.writes - ordered.writes,
            syncs: self.done.syncs - ordered.syncs,
        };
        let error = match fault {
            Fault::Power { at } => {
                let all = since.reads + since.writes + since.syncs;
                (all >= at).then(|| input_output("the power is off"))
            }
            _ => is_due(fault, since),
        };
        self.happened |= error.is_some();
        error.map_or(Ok(()), Err)
    }

    fn is_off(&self) -> bool {
        self.happened && matches!(self.fault, Some((Fault::Power { .. }, _)))
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }

    fn left_by_power_loss(&self, random: &mut Random) -> Vec<u8> {
        let mut left = self.synced.clone();
        match random.below(4) {
            0 => {}
            1 => self.unsynced.iter().for_each(|change| change.apply(&mut left)),
            2 => {
                let kept = random.below(self.unsynced.len() as u64 + 1) as usize;
                self.unsynced[..kept].iter().for_each(|change| change.apply(&mut left));
                if let Some(Change::Write { offset, data }) = self.unsynced.get(kept) {
                    let sectors = random.below(data.len().div_ceil(SECTOR) as u64) as usize;
                    let data = data[..sectors * SECTOR].to_vec();
                    Change::Write { offset: *offset, data }.apply(&mut left);
                }
            }
            _ => self.scatter(&mut left, random),
        }
        left
    }

    /// Gives each sector any of the contents it had since the last sync, and the file any of its
    /// lengths.
    fn scatter(&self, left: &mut Vec<u8>, random: &mut Random) {
        let mut lens = vec![left.len()];
        let mut contents = BTreeMap::<usize, Vec<[u8; SECTOR]>>::new();
        let mut file = left.clone();
        for change in &self.unsynced {
            let before = file.len();
            change.apply(&mut file);
            lens.push(file.len());
            let (from, to) = match change {
                Change::Write { offset, data } => (*offset, offset + data.len()),
                Change::Len(len) => (*len.min(&before), *len.max(&before)),
            };
            for sector in from / SECTOR..to.div_ceil(SECTOR) {
                contents.entry(sector).or_default().push(sector_of(&file, sector));
            }
        }
        // A seeded share of the sectors does not have its latest content.
        let one_in = [2, 4, 16, 64][random.below(4) as usize];
        let len = match random.below(2) {
            0 => file.len(),
            _ => lens[random.below(lens.len() as u64) as usize],
        };
        left.resize(len.max(file.len()), 0);
        for (sector, mut versions) in contents {
            versions.insert(0, sector_of(&self.synced, sector));
            let latest = versions[versions.len() - 1];
            let mut content = latest;
            if random.below(one_in) == 0 {
                content = versions[random.below(versions.len() as u64) as usize];
                if random.below(8) == 0 {
                    let torn = random.below(SECTOR as u64) as usize;
                    content[..torn].copy_from_slice(&latest[..torn]);
                }
            }
            let from = (sector * SECTOR).min(left.len());
            let to = ((sector + 1) * SECTOR).min(left.len());
            left[from..to].copy_from_slice(&content[..to - from]);
        }
        left.truncate(len);
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Change::Write { offset, data } => {
                let end = offset + data.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[*offset..end].copy_from_slice(data);
            }
            Change::Len(len) => file.resize(*len, 0),
        }
    }
}

/// A sector as it is, zeros beyond the end.
fn sector_of(file: &[u8], sector: usize) -> [u8; SECTOR] {
    let mut content = [0; SECTOR];
    let held = file.get(sector * SECTOR..).unwrap_or_default();
    let held = &held[..held.len().min(SECTOR)];
    content[..held.len()].copy_from_slice(held);
    content
}

fn no_space() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on the simulated disk")
}

fn input_output(what: &str) -> io::Error {
    io::Error::other(format!("input/output error of the simulated disk: {what}"))
}

/// Numbers that a seed determines: SplitMix64.
#[derive(Clone, Debug, Default)]
pub struct Random(pub u64);

impl Random {
    /// A number below this one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fork(&mut self) -> Random {
        Random(self.number())
    }
}

/// Runs a simulation for each of `runs` seeds, or as many as `STOCKD_SIMULATIONS` says, or for the
/// one seed of `STOCKD_SEED`. A run that panics says how to repeat it.
///
/// # Panics
///
/// When a run does, or one of the variables is no number.
pub fn for_each_seed(runs: u64, run: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let seeds = match number("STOCKD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("STOCKD_SIMULATIONS").unwrap_or(runs),
    };
    for seed in seeds {
        let told = ToldAtPanic(seed);
        run(seed);
        std::mem::forget(told);
    }
}

/// Says which run it was when it ends in a panic.
struct ToldAtPanic(u64);

impl Drop for ToldAtPanic {
    fn drop(&mut self) {
        eprintln!("this was run {0}; repeat it with STOCKD_SEED={0}", self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_stays_and_the_rest_may_be_torn_between_sectors() {
        let disk = Disk::default();
        disk.set_len(4096).unwrap();
        disk.write(0, &[1; 4096]).unwrap();
        disk.sync_data().unwrap();
        disk.write(1024, &[2; 2048]).unwrap();
        disk.set_len(8192).unwrap();
        disk.write(4096, &[3; 4096]).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..500 {
            let left = disk.after_power_loss(seed).content();
            assert_eq!(left[..1024], [1; 1024]);
            assert_eq!(left[3072..4096], [1; 1024]);
            assert!(left[1024..3072].iter().all(|&byte| byte == 1 || byte == 2));
            assert!(left[4096..].iter().all(|&byte| byte == 0 || byte == 3));
            seen.insert(left);
        }
        assert!(seen.contains([1; 4096].as_slice()), "nothing kept was never left");
        assert!(seen.contains(&disk.content()), "everything kept was never left");
        assert!(seen.len() > 50, "{} kinds of loss", seen.len());
        assert_eq!(disk.after_restart().content(), disk.content());
        let repeated = |_| disk.after_power_loss(77).content();
        assert_eq!(repeated(1), repeated(2));
    }

    #[test]
    fn a_failed_sync_loses_what_it_should_have_written_and_the_next_one_succeeds() {
        let disk = Disk::default();
        disk.write(0, &[1; 100 * SECTOR]).unwrap();
        disk.sync_data().unwrap();
        disk.write(0, &[2; 100 * SECTOR]).unwrap();
        disk.order(Fault::Sync { at: 1 });
        disk.sync_data().unwrap_err();
        assert!(disk.has_failed());
        assert_eq!(disk.content(), [2; 100 * SECTOR], "the process still reads it");
        disk.write(0, &[3; SECTOR]).unwrap();
        disk.sync_data().unwrap();
        let left = disk.after_restart().content();
        assert_eq!(left[..SECTOR], [3; SECTOR]);
        assert_eq!(left, disk.after_power_loss(1).content());
    }

    #[test]
    fn faults_happen_at_their_operation() {
        let disk = Disk::default();
        disk.order(Fault::ShortWrite { at: 2 });
        disk.write(0, &[1; 8]).unwrap();
        disk.write(0, &[2; 8]).unwrap_err();
        assert_eq!(disk.content(), [2, 2, 2, 2, 1, 1, 1, 1]);
        disk.write(0, &[3; 8]).unwrap_err();
        disk.set_len(100).unwrap_err();
        disk.set_len(4).unwrap();
        assert_eq!(disk.content(), [2; 4]);

        disk.order(Fault::Read { at: 2 });
        disk.read(0, &mut [0; 4]).unwrap();
        disk.read(0, &mut [0; 4]).unwrap_err();
        disk.read(0, &mut [0; 4]).unwrap();

        disk.order(Fault::Power { at: 2 });
        disk.write(0, &[4; 4]).unwrap();
        disk.sync_data().unwrap_err();
        disk.write(0, &[5; 4]).unwrap_err();
        assert_eq!(disk.after_restart().content(), [4; 4]);
    }
}
