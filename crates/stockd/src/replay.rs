//! `stockd replay`: the timed updates of a file, on a running server.
//!
//! This file owns when each update is due and how updates are sent; `update_file` reads them.
//!
//! Invariant: updates are done in the order of the file, none before it is due, and those that
//! are due together are sent together. None that is due waits for what a pipe has not brought yet.

mod lateness;
mod moment;
mod update_file;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use stockd_client::{QuoteClient, Write};
use stockd_model::limits::PIPELINE_NAMES_MAX;

use crate::bad_rows::BadRows;
use crate::catalog_file::Form;
use crate::interruption::Interruption;
use crate::output;
use crate::progress;
use crate::quote_server::QuoteServer;
use crate::speed::Speed;
use crate::usage_error::UsageError;
use crate::write_tally::WriteTally;
use lateness::Lateness;
use moment::Moment;
use update_file::UpdateFile;

/// Replay timed updates from a file on a running server.
///
/// The file is CSV with the columns time (or date, timestamp), symbol and price, and optionally op
/// (set, add or del; set by default) and volume. A time is a date, a date and time as RFC 3339
/// writes them, or Unix seconds or nanoseconds; times never go back. The whole file is checked
/// before the first update is sent, unless it comes through a pipe. Ends after the last update, or with Ctrl-C, and prints what
/// was done; exits with 1 if the server refused any. Says so when updates are sent later than they are due.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// How fast the time of the file passes: 10x is ten times as fast as it did, 86400x a day a
    /// second, max does not wait at all.
    #[arg(long, value_name = "SPEED", default_value = "1x", conflicts_with = "rate")]
    speed: Speed,

    /// Send this number of updates a second instead, whatever their times.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// Begin again after the last update, until Ctrl-C.
    #[arg(long = "loop")]
    again: bool,

    /// Skip bad rows. Without it nothing is sent if there is one.
    #[arg(long)]
    lenient: bool,

    #[command(flatten)]
    form: Form,

    /// File of updates: CSV, also compressed with gzip. '-' is standard input.
    file: String,
}

/// When updates are due.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// By their times, counted from the first, which is not known before it was read.
    Times { first: Option<Moment>, speed: f64 },
    /// This many a second.
    Rate(u32),
    /// At once.
    Max,
}

/// Updates sent together, at most: some chunks, so that requests are sent ahead.
const BATCH: usize = 8 * PIPELINE_NAMES_MAX;

/// Replays the file and prints what was done.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let interruption = Interruption::watch().context("cannot watch for signals")?;
    let stopping = interruption.stopping().clone();
    let file = UpdateFile::new(&args.file, args.form.clone(), stopping)?;
    let is_pipe = !file.can_be_read_twice();
    if is_pipe && args.again {
        let why = "a pipe cannot be read again; give --loop a file";
        return Err(UsageError(why.to_owned()).into());
    }
    let extent = if is_pipe { None } else { Some(file.extent()?) };
    if let Some(extent) = &extent {
        extent.bad_rows.report(args.lenient, "nothing is replayed")?;
        anyhow::ensure!(extent.updates > 0, "{} has no updates", args.file);
    }
    let mut replay = Replay {
        client: args.server.connect()?,
        interruption,
        pace: args.pace(),
        lenient: args.lenient,
        checked: extent.is_some(),
        bad_rows: BadRows::default(),
        due: Vec::new(),
        lateness: Lateness::default(),
        tally: WriteTally::default(),
        progress: progress::bar(
            extent.map_or(0, |extent| extent.updates),
            "{bar:40} {human_pos} of {human_len} updates, {per_sec}",
        ),
    };
    let begun = Instant::now();
    let finished = replay.play(&file, args.again);
    let Replay { tally, progress, bad_rows, lateness, .. } = replay;
    drop(progress);
    let elapsed = begun.elapsed();
    let seconds = elapsed.as_secs_f64();
    let end = if matches!(finished, Ok(false)) { ", interrupted" } else { "" };
    output::line(format_args!("{} updates in {seconds:.1} s{end}: {tally}", tally.writes()))?;
    if let Some(told) = lateness.told(tally.writes(), elapsed, args.rate) {
        output::problem(format_args!("{told}"));
    }
    for refused in tally.first_refused() {
        output::problem(format_args!("{refused}"));
    }
    finished?;
    bad_rows.report(true, "")?;
    match tally.refused() {
        0 => Ok(ExitCode::SUCCESS),
        refused => bail!("the server refused {refused} of {} updates", tally.writes()),
    }
}

impl ReplayArgs {
    fn pace(&self) -> Pace {
        match (self.rate, self.speed) {
            (Some(rate), _) => Pace::Rate(rate),
            (None, Speed::Times(speed)) => Pace::Times { first: None, speed },
            (None, Speed::Max) => Pace::Max,
        }
    }
}

/// A replay under way.
struct Replay {
    client: QuoteClient,
    interruption: Interruption,
    pace: Pace,
    lenient: bool,
    /// Whether the file was read before, and its bad rows were reported.
    checked: bool,
    /// Those that were skipped, where it was not.
    bad_rows: BadRows,
    /// Updates that are due and not sent yet, at most [`BATCH`].
    due: Vec<Write>,
    lateness: Lateness,
    tally: WriteTally,
    progress: ProgressBar,
}

impl Replay {
    /// Plays the file once, or again and again. Returns false if it was interrupted.
    fn play(&mut self, file: &UpdateFile, again: bool) -> anyhow::Result<bool> {
        loop {
            self.progress.reset();
            if !self.play_once(file)? {
                return Ok(false);
            }
            if !again {
                return Ok(true);
            }
        }
    }

    fn play_once(&mut self, file: &UpdateFile) -> anyhow::Result<bool> {
        let (mut updates, reading) = match file.updates() {
            Err(_) if self.is_to_stop() => return Ok(false),
            opened => opened?,
        };
        reading.finish_and_clear();
        let begun = Instant::now();
        let mut position = 0;
        let mut last_due = Duration::ZERO;
        loop {
            if !self.checked && updates.may_wait() {
                self.send()?;
            }
            let update = match updates.next() {
                Err(_) if self.is_to_stop() => return Ok(false),
                update => update?,
            };
            let update = match update {
                None => break,
                Some(Ok(update)) => update,
                Some(Err(_)) if self.checked => continue,
                Some(Err(bad)) if self.lenient => {
                    self.bad_rows.add(bad);
                    continue;
                }
                Some(Err(bad)) => {
                    self.send()?;
                    bail!("{bad}; what came before is done; skip bad rows with --lenient");
                }
            };
            let due = self.pace.due(position, update.at);
            position += 1;
            let wait = due.saturating_sub(begun.elapsed());
            if !wait.is_zero() || self.due.len() == BATCH {
                self.send()?;
                // Sending took a part of the wait.
                let now = begun.elapsed();
                if self.interruption.within(due.saturating_sub(now)) {
                    return Ok(false);
                }
                self.says_late(now.saturating_sub(due));
            }
            last_due = due;
            self.due.push(update.write);
        }
        self.send()?;
        if !matches!(self.pace, Pace::Max) {
            self.lateness.ends(begun.elapsed().saturating_sub(last_due));
        }
        Ok(!self.interruption.within(Duration::ZERO))
    }

    /// Whether the command is to stop, which is why a read fails then.
    fn is_to_stop(&self) -> bool {
        self.interruption.stopping().has_come()
    }

    fn says_late(&mut self, late: Duration) {
        if matches!(self.pace, Pace::Max) {
            return;
        }
        if let Some(said) = self.lateness.sends(late) {
            self.progress.suspend(|| output::problem(format_args!("{said}")));
        }
    }

    fn send(&mut self) -> anyhow::Result<()> {
        if self.due.is_empty() {
            return Ok(());
        }
        let writes = std::mem::take(&mut self.due);
        let outcomes = self
            .client
            .write_all(writes.iter().copied())
            .with_context(|| format!("after {} updates", self.tally.writes()))?;
        writes.iter().zip(outcomes).for_each(|(write, outcome)| self.tally.record(write, outcome));
        self.progress.inc(writes.len() as u64);
        Ok(())
    }
}

impl Pace {
    /// When the update at this position (from 0) and time is due, since the beginning.
    fn due(&mut self, position: u64, at: Moment) -> Duration {
        match self {
            Pace::Times { first, speed } => {
                let first = first.get_or_insert(at);
                let ns = at.ns().saturating_sub(first.ns());
                Speed::Times(*speed).due(ns.unsigned_abs())
            }
            Pace::Rate(rate) => {
                let rate = *rate;
                let (seconds, updates) = (position / u64::from(rate), position % u64::from(rate));
                Duration::from_secs(seconds) + Duration::from_secs(updates) / rate
            }
            Pace::Max => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_due_by_their_time_or_their_number() {
        let moment = |text: &str| Moment::parse(text.as_bytes()).unwrap();
        let (first, next_day) = (moment("2026-08-11"), moment("2026-08-12"));
        let mut day_a_second = Pace::Times { first: Some(first), speed: 86_400.0 };
        assert_eq!(day_a_second.due(7, first), Duration::ZERO);
        assert_eq!(day_a_second.due(7, next_day), Duration::from_secs(1));
        let mut crawl = Pace::Times { first: Some(first), speed: f64::MIN_POSITIVE };
        assert_eq!(crawl.due(0, next_day), Duration::MAX);
        assert_eq!(Pace::Rate(4).due(6, next_day), Duration::from_millis(1500));
        assert_eq!(Pace::Rate(u32::MAX).due(u64::MAX, first).as_secs(), 4_294_967_297);
        assert_eq!(Pace::Max.due(u64::MAX, next_day), Duration::ZERO);
    }
}
