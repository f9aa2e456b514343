//! Keeps on the disk what a node holds, and where in the log it is, while the node goes on.
//!
//! A thread of its own has the data directory. Now and then the node hands it what has changed with the place in the
//! log, which become one commit. Nothing waits for that: the log has all of it, and after a crash the node
//! reads from there on where it was kept last. What has changed since is bounded; at the bound the log waits.
//!
//! Invariant: the directory has the quotes of one place in the log, and that place; or it says that it has none.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stockd_model::Symbol;
use stockd_model::limits::{FILL_STOCKS, KEEP_INTERVAL, KEEP_PAUSE};
use stockd_store::{DataDir, Durability, StoreError, Write};

use crate::options::ClusterError;
use crate::snapshot::Snapshot;

/// What has changed since the last one, up to a place.
#[derive(Debug)]
pub(crate) struct Keep {
    pub(crate) writes: Vec<Write>,
    pub(crate) version_floor: u64,
    pub(crate) sequence: u64,
    /// The place, encoded.
    pub(crate) place: Vec<u8>,
}

/// What the directory has to hold in place of what it holds: a snapshot, or nothing where there is none.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) sequence: u64,
}

/// What the thread is asked.
#[derive(Debug)]
enum Job {
    Keep(Keep),
    Fill(Fill),
}

/// What a directory has for its place while it is being filled.
pub(crate) const FILLING: &[u8] = b"filling";

/// The handle of the thread.
#[derive(Debug)]
pub(crate) struct Keeper {
    jobs: Option<SyncSender<Job>>,
    record: Arc<Mutex<Record>>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Record {
    is_busy: bool,
    has_failed: bool,
    /// The last message that is kept.
    kept: u64,
    /// When more may be kept.
    next_at: Instant,
}

/// Between two looks whether the thread is done.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

impl Keeper {
    /// Begins with a directory that has what the node holds at this message.
    pub(crate) fn start(data: DataDir, kept: u64) -> Result<Keeper, ClusterError> {
        let next_at = Instant::now() + KEEP_INTERVAL;
        let record = Record { is_busy: false, has_failed: false, kept, next_at };
        let record = Arc::new(Mutex::new(record));
        let (jobs, asked) = mpsc::sync_channel::<Job>(1);
        let of_thread = Arc::clone(&record);
        let mut data = data;
        let thread = thread::Builder::new().name("stockd-keeper".to_owned()).spawn(move || {
            while let Ok(job) = asked.recv() {
                let began = Instant::now();
                let (sequence, done) = match job {
                    Job::Keep(job) => (job.sequence, keep(&mut data, &job)),
                    Job::Fill(job) => (job.sequence, fill(&mut data, &job)),
                };
                if !lock(&of_thread).note(sequence, began, done) {
                    break;
                }
            }
        });
        let thread = thread.map_err(|error| ClusterError::Refused(error.to_string()))?;
        Ok(Keeper { jobs: Some(jobs), record, thread })
    }

    /// The last message that is kept.
    pub(crate) fn kept(&self) -> u64 {
        lock(&self.record).kept
    }

    /// Whether it is time to keep more, and nothing is being kept.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let record = lock(&self.record);
        !record.is_busy && !record.has_failed && record.next_at <= now
    }

    /// Whether something is being kept.
    pub(crate) fn is_busy(&self) -> bool {
        lock(&self.record).is_busy
    }

    /// Whether nothing is kept any more.
    pub(crate) fn has_failed(&self) -> bool {
        lock(&self.record).has_failed
    }

    /// Has something kept; it must not be busy.
    pub(crate) fn keep(&self, keep: Keep) {
        self.ask(Job::Keep(keep));
    }

    /// Has the directory filled; nothing may have been kept before.
    pub(crate) fn fill(&self, fill: Fill) {
        self.ask(Job::Fill(fill));
    }

    fn ask(&self, job: Job) {
        lock(&self.record).is_busy = true;
        if let Some(jobs) = &self.jobs
            && jobs.try_send(job).is_err()
        {
            lock(&self.record).has_failed = true;
        }
    }

    /// Waits until nothing is being kept, at most until then. Whether that is so.
    pub(crate) fn wait(&self, until: Instant) -> bool {
        while self.is_busy() && !self.thread.is_finished() {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(LOOK_INTERVAL);
        }
        true
    }

    /// Closes the directory, unless the disk takes longer.
    pub(crate) fn end(mut self, until: Instant) {
        self.jobs = None;
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(LOOK_INTERVAL);
        }
    }
}

impl Record {
    /// Something was kept, or not. Whether it goes on.
    fn note(&mut self, sequence: u64, began: Instant, done: Result<(), StoreError>) -> bool {
        self.is_busy = false;
        let now = Instant::now();
        self.next_at = now + KEEP_INTERVAL.max((now - began) * KEEP_PAUSE);
        match done {
            Ok(()) => self.kept = sequence,
            Err(error) => {
                tracing::error!(
                    "{error}; this node goes on and keeps nothing any more; when it is started again it reads from \
                     the log what came since message {}",
                    self.kept
                );
                self.has_failed = true;
            }
        }
        !self.has_failed
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    // Each field is changed whole.
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(data: &mut DataDir, keep: &Keep) -> Result<(), StoreError> {
    let Keep { writes, version_floor, place, .. } = keep;
    data.commit_at(writes, *version_floor, place, Durability::Synced)
}

/// Has the directory hold what the snapshot holds. A crash before the end leaves what was there before, or a
/// directory that says that it has no place.
fn fill(data: &mut DataDir, fill: &Fill) -> Result<(), StoreError> {
    let mut gone: HashSet<Symbol> = HashSet::new();
    data.load(|quote| {
        gone.insert(quote.symbol);
        ControlFlow::Continue(())
    })?;
    let mut writes = Vec::new();
    if let Some(snapshot) = &fill.snapshot {
        for quote in snapshot.quotes() {
            gone.remove(&quote.symbol);
            writes.push(Write::Put(quote));
            flush(data, &mut writes)?;
        }
    }
    for symbol in gone {
        writes.push(Write::Remove(symbol));
        flush(data, &mut writes)?;
    }
    let (mut place, mut version_floor) = (FILLING.to_vec(), 0);
    if let Some(snapshot) = &fill.snapshot {
        place.clear();
        snapshot.place.encode(&mut place);
        version_floor = snapshot.place.holdings.version_floor;
    }
    data.commit_at(&writes, version_floor, &place, Durability::Synced)
}

/// Puts what is to be written into the directory when it is much.
fn flush(data: &mut DataDir, writes: &mut Vec<Write>) -> Result<(), StoreError> {
    if writes.len() >= FILL_STOCKS {
        data.commit_at(writes, 0, FILLING, Durability::Unsynced)?;
        writes.clear();
    }
    Ok(())
}
