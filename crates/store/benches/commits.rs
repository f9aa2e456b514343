//! Group commits, the size on the disk and the time to load: in the store with its log, in redb alone as a
//! commit to the checkpoint is, in fjall, and, as the floor of all, in a bare file that is appended to and synced.
//!
//! ```console
//! $ cargo bench -p stockd-store --bench commits
//! ```
//!
//! Every commit puts a number of stocks, chosen at random, and is synced. The candidates take
//! turns, a second each, so that what else the machine does meets all of them. Bytes written are what
//! the process has handed to the system, and the processor time is that of all its threads.

use std::fs::{self, File};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fjall::{KeyspaceCreateOptions, PersistMode};
use stockd_model::{Price, Quote, Volume};
use stockd_store::{DataDir, Durability, Store, Write, WrittenCheckpoint};

const ROUNDS: usize = 3;
const TURN: Duration = Duration::from_secs(1);
const UPDATES: usize = 10_000_000;

/// What is measured.
trait Candidate {
    const NAME: &'static str;
    fn open(directory: &Path) -> Self;
    fn commit(&mut self, quotes: &[Quote]);
    fn load(&self) -> usize;
}

/// The store, its checkpoints written beside commits as the engine has them written.
struct Logged {
    data: DataDir,
    checkpoint: Option<JoinHandle<WrittenCheckpoint>>,
    /// Whether the log grows without checkpoints.
    grows: bool,
}

impl Logged {
    fn end_checkpoint(&mut self) {
        if let Some(written) = self.checkpoint.take() {
            let written = written.join().expect("it does not panic");
            self.data.end_checkpoint(written).expect("a checkpoint");
        }
    }
}

impl Candidate for Logged {
    const NAME: &'static str = "store";

    fn open(directory: &Path) -> Logged {
        let data = DataDir::open(directory, true).expect("a data directory");
        Logged { data, checkpoint: None, grows: false }
    }

    fn commit(&mut self, quotes: &[Quote]) {
        if self.data.log().is_full || self.checkpoint.as_ref().is_some_and(JoinHandle::is_finished)
        {
            self.end_checkpoint();
        }
        if self.checkpoint.is_none() && !self.grows {
            let begun = self.data.begin_checkpoint(false);
            self.checkpoint = begun.map(|begun| thread::spawn(|| begun.write()));
        }
        let writes: Vec<Write> = quotes.iter().copied().map(Write::Put).collect();
        self.data.commit(&writes, 0).expect("a commit");
    }

    fn load(&self) -> usize {
        load(&self.data)
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.end_checkpoint();
    }
}

/// Commits to the checkpoint alone.
struct Redb(DataDir);

impl Candidate for Redb {
    const NAME: &'static str = "redb";

    fn open(directory: &Path) -> Redb {
        Redb(DataDir::open(directory, true).expect("a data directory"))
    }

    fn commit(&mut self, quotes: &[Quote]) {
        let writes: Vec<Write> = quotes.iter().copied().map(Write::Put).collect();
        self.0.commit_at(&writes, 0, b"", Durability::Synced).expect("a commit");
    }

    fn load(&self) -> usize {
        load(&self.0)
    }
}

fn load(data: &DataDir) -> usize {
    let mut volumes = 0_u64;
    let mut stocks = 0;
    let each = |quote: Quote| {
        volumes = volumes.wrapping_add(quote.volume.unwrap().coefficient());
        stocks += 1;
        ControlFlow::Continue(())
    };
    data.load(each).expect("quotes");
    std::hint::black_box(volumes);
    stocks
}

struct Fjall {
    database: fjall::Database,
    quotes: fjall::Keyspace,
}

impl Candidate for Fjall {
    const NAME: &'static str = "fjall";

    fn open(directory: &Path) -> Fjall {
        let database =
            fjall::Database::builder(directory).cache_size(32 << 20).open().expect("a database");
        let quotes = database.keyspace("quotes", KeyspaceCreateOptions::default).expect("quotes");
        Fjall { database, quotes }
    }

    fn commit(&mut self, quotes: &[Quote]) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for quote in quotes {
            batch.insert(&self.quotes, quote.symbol.as_bytes(), record(quote));
        }
        batch.commit().expect("a commit");
    }

    fn load(&self) -> usize {
        let mut volumes = 0_u64;
        let mut stocks = 0;
        for entry in self.quotes.iter() {
            let (_, value) = entry.into_inner().expect("a record");
            let volume = value[10..18].try_into().expect("8 bytes");
            volumes = volumes.wrapping_add(u64::from_le_bytes(volume));
            stocks += 1;
        }
        std::hint::black_box(volumes);
        stocks
    }
}

/// Not a store: what no store can be faster than.
struct Append(File);

impl Candidate for Append {
    const NAME: &'static str = "append";

    fn open(directory: &Path) -> Append {
        fs::create_dir_all(directory).expect("a directory");
        let file = File::options().append(true).create(true).open(directory.join("log"));
        Append(file.expect("a file"))
    }

    fn commit(&mut self, quotes: &[Quote]) {
        let mut bytes = Vec::new();
        for quote in quotes {
            bytes.extend_from_slice(quote.symbol.as_bytes());
            bytes.extend_from_slice(&record(quote));
        }
        self.0.write_all(&bytes).expect("a write");
        self.0.sync_data().expect("a sync");
    }

    fn load(&self) -> usize {
        0
    }
}

/// As many bytes as a record of the store has.
fn record(quote: &Quote) -> [u8; 34] {
    let mut bytes = [1; 34];
    let numbers = [
        quote.price.expect("a price").coefficient() as u64,
        quote.volume.unwrap().coefficient(),
        quote.version,
        quote.updated_ns,
    ];
    for (place, number) in bytes[2..].chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

fn quote(number: usize, version: u64) -> Quote {
    Quote {
        price: Price::new(1 + (number as i64 + 1) * version as i64, 9),
        volume: Some(Volume::new(version.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
        version,
        updated_ns: 1_790_000_000_000_000_000 + version,
        ..Quote::new(format!("STK{number:07}").parse().expect("a symbol"))
    }
}

/// A candidate at work, and what was measured of it.
struct Course<C> {
    candidate: Option<C>,
    directory: PathBuf,
    stocks: usize,
    version: u64,
    random: u64,
}

#[derive(Default)]
struct Measured {
    latencies: Vec<Duration>,
    bytes: u64,
    time: Duration,
    processor: Duration,
}

impl<C: Candidate> Course<C> {
    fn new(home: &Path, stocks: usize) -> Course<C> {
        let directory = home.join(C::NAME);
        let mut course = Course {
            candidate: Some(C::open(&directory)),
            directory,
            stocks,
            version: 1,
            random: 1,
        };
        for from in (0..stocks).step_by(10_000) {
            let quotes: Vec<Quote> =
                (from..(from + 10_000).min(stocks)).map(|number| quote(number, 1)).collect();
            course.candidate().commit(&quotes);
        }
        course
    }

    fn candidate(&mut self) -> &mut C {
        self.candidate.as_mut().expect("it is open")
    }

    /// Stocks at random, each once.
    fn choose(&mut self, group: usize) -> Vec<Quote> {
        self.version += 1;
        let mut chosen = std::collections::BTreeSet::new();
        while chosen.len() < group {
            self.random = self
                .random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            chosen.insert((self.random >> 33) as usize % self.stocks);
        }
        chosen.into_iter().map(|number| quote(number, self.version)).collect()
    }

    fn turn(&mut self, group: usize, measured: &mut Measured) {
        let began = Instant::now();
        while began.elapsed() < TURN {
            let quotes = self.choose(group);
            let bytes = bytes_written();
            let (commit, processor) = (Instant::now(), processor_time());
            self.candidate().commit(&quotes);
            let took = commit.elapsed();
            measured.processor += processor_time() - processor;
            measured.bytes += bytes_written() - bytes;
            measured.time += took;
            measured.latencies.push(took);
        }
    }

    /// Updates in commits of 1000; prints the size of the files meanwhile and afterwards.
    fn endure(&mut self) {
        let (began, mut largest) = (Instant::now(), 0);
        let processor = processor_time();
        let bytes = bytes_written();
        for commit in 0..UPDATES / 1000 {
            let quotes = self.choose(1000);
            self.candidate().commit(&quotes);
            if commit % 100 == 0 {
                largest = largest.max(bytes_under(&self.directory));
            }
        }
        let (took, written) = (began.elapsed(), bytes_written() - bytes);
        let processor_took = processor_time() - processor;
        let open = bytes_under(&self.directory);
        self.candidate = None;
        let closed = bytes_under(&self.directory);
        println!(
            "{:6}  {:>8} stocks  {UPDATES} updates in {:.1} s, {:.1} s of processor time, {} MiB written; on the disk: at most {}, at the end {}, closed {} KiB",
            C::NAME,
            self.stocks,
            took.as_secs_f64(),
            processor_took.as_secs_f64(),
            written >> 20,
            largest >> 10,
            open >> 10,
            closed >> 10,
        );
    }

    fn reload(&mut self) {
        let crashed = self.directory.with_extension("crashed");
        for (how, directory) in [("crashed", &crashed), ("closed", &self.directory)] {
            if how == "crashed" {
                // As it is while it is open.
                copy(&self.directory, directory);
            } else {
                self.candidate = None;
            }
            self.reload_from(directory, how);
        }
        fs::remove_dir_all(&crashed).expect("it was made");
        self.candidate = Some(C::open(&self.directory));
    }

    fn reload_from(&self, directory: &Path, how: &str) {
        let before = bytes_under(directory) >> 10;
        let began = Instant::now();
        let candidate = C::open(directory);
        let opened = began.elapsed();
        let loaded = candidate.load();
        assert_eq!(loaded, self.stocks);
        println!(
            "{:6}  {:>8} stocks  opened in {:7.1} ms, loaded in {:7.1} ms; {} KiB on the disk, {how}",
            C::NAME,
            self.stocks,
            opened.as_secs_f64() * 1e3,
            (began.elapsed() - opened).as_secs_f64() * 1e3,
            before,
        );
    }
}

fn print(name: &str, stocks: usize, group: usize, mut measured: Measured) {
    measured.latencies.sort_unstable();
    let at = |part: usize| measured.latencies[measured.latencies.len() * part / 100].as_micros();
    let commits = measured.latencies.len();
    println!(
        "{name:6}  {stocks:>8} stocks  {group:>5} a commit  {:8.0} commits/s  p50 {:>7} µs  p99 {:>7} µs  processor {:>6} µs  {:>9} bytes/commit",
        commits as f64 / measured.time.as_secs_f64(),
        at(50),
        at(99),
        measured.processor.as_micros() / commits as u128,
        measured.bytes / commits as u64,
    );
}

/// What all threads of this process have used.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What this process has handed to the system to write.
fn bytes_written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

/// What files take on the disk, which may be less than they are long.
fn bytes_under(directory: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += bytes_under(&entry.path()),
            Ok(metadata) => {
                #[cfg(unix)]
                let held = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
                #[cfg(not(unix))]
                let held = metadata.len();
                bytes += held;
            }
            Err(_) => {}
        }
    }
    bytes
}

fn main() {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    for stocks in [10_000, 1_000_000] {
        let home = home.path().join(stocks.to_string());
        fs::create_dir(&home).expect("a directory");
        let mut store = Course::<Logged>::new(&home, stocks);
        let mut redb = Course::<Redb>::new(&home, stocks);
        let mut fjall = Course::<Fjall>::new(&home, stocks);
        let mut append = Course::<Append>::new(&home, stocks);
        for group in [1, 16, 256, 4096] {
            let mut measured: [Measured; 4] = Default::default();
            let [by_store, by_redb, by_fjall, by_append] = &mut measured;
            for _ in 0..ROUNDS {
                store.turn(group, by_store);
                redb.turn(group, by_redb);
                fjall.turn(group, by_fjall);
                append.turn(group, by_append);
            }
            let names = [Logged::NAME, Redb::NAME, Fjall::NAME, Append::NAME];
            for (name, measured) in names.into_iter().zip(measured) {
                print(name, stocks, group, measured);
            }
        }
        for _ in 0..ROUNDS {
            store.reload();
            redb.reload();
        }
        // As long as it may be.
        store.candidate().grows = true;
        while !store.candidate().data.log().is_full {
            let quotes = store.choose(4096);
            store.candidate().commit(&quotes);
        }
        println!(
            "store   {stocks:>8} stocks  {} MiB of log",
            store.candidate().data.log().bytes >> 20
        );
        store.reload();
        store.candidate().grows = false;
        store.endure();
        if stocks == 10_000 {
            redb.endure();
        }
    }
}
