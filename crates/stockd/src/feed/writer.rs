//! Writes what has changed in a feed to the server.
//!
//! Owns the connection, and tells the server how the feed is: that it lives, has missed something, has ended. While
//! the connection is lost changes gather as marks, one a stock, and what was under way is written
//! again, since it is not known what became of it.
//!
//! Invariant: the last of each stock has been written when the thread ends without an error.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use stockd_client::{ClientError, FeedOptions, QuoteClient, Write};
use stockd_model::limits::{
    FEED_RECONNECT_TIMEOUT, PIPELINE_NAMES_MAX, RECONNECT_PAUSE_MAX, RECONNECT_PAUSE_MIN,
};

use super::progress::Progress;
use super::shared::{Shared, Waited};
use super::tally::Tally;
use super::writes::Writes;
use crate::output;

pub(super) struct Writer {
    client: QuoteClient,
    writes: Writes,
    shared: Arc<Shared>,
    /// How the feed is opened at the server.
    feed: FeedOptions,
    /// When the server last heard of the feed.
    told: Instant,
    /// Gaps that the server knows of.
    gaps: u64,
    progress: Progress,
    tally: Tally,
}

/// Stocks written together: what the client sends ahead.
const BATCH: usize = 2 * PIPELINE_NAMES_MAX;

/// Signs of life in the time in which one has to come.
const BEATS: u32 = 4;

impl Writer {
    /// Opens the feed at the server.
    pub(super) fn open(
        mut client: QuoteClient,
        writes: Writes,
        shared: Arc<Shared>,
        feed: FeedOptions,
    ) -> anyhow::Result<Writer> {
        client.open_feed(&feed).context("cannot open the feed")?;
        let (told, progress, tally) = (Instant::now(), Progress::begin(), Tally::default());
        Ok(Writer { client, writes, shared, feed, told, gaps: 0, progress, tally })
    }

    /// Writes until the feed has ended and all is written.
    pub(super) fn run(mut self) -> anyhow::Result<Tally> {
        let written = self.write_all();
        if written.is_err() {
            self.shared.give_up();
        }
        written.map(|()| self.tally)
    }

    fn write_all(&mut self) -> anyhow::Result<()> {
        let shared = Arc::clone(&self.shared);
        loop {
            self.progress.print(&shared, Some(&self.tally));
            let beat = self.feed.ttl / BEATS;
            let written = match shared.wait(self.progress.patience().unwrap_or(beat).min(beat)) {
                Waited::Ended => return self.end(),
                Waited::Nothing => self.beat(),
                Waited::Changes(mut market) => {
                    let mut batch = Vec::new();
                    market.take_changed(BATCH, |stock| batch.extend(self.writes.of(stock)));
                    drop(market);
                    self.write(&batch)
                }
            };
            if let Err(error) = written.and_then(|()| self.report_gaps()) {
                self.reconnect(&error)?;
            }
        }
    }

    fn write(&mut self, batch: &[Write]) -> Result<(), ClientError> {
        let outcomes = self.client.write_all(batch.iter().copied())?;
        self.told = Instant::now();
        let outcomes = batch.iter().zip(outcomes);
        outcomes.for_each(|(write, outcome)| self.tally.record(write, outcome));
        Ok(())
    }

    /// Passes signs of life on. Where the source gives none, the server hears of none.
    fn beat(&mut self) -> Result<(), ClientError> {
        if self.shared.last_heard() > self.told {
            self.client.beat()?;
            self.told = Instant::now();
        }
        Ok(())
    }

    fn report_gaps(&mut self) -> Result<(), ClientError> {
        let gaps = self.shared.gaps();
        if gaps > self.gaps {
            self.client.report_gap()?;
            self.gaps = gaps;
        }
        Ok(())
    }

    /// What has come to its end well says so; all else grows stale.
    fn end(&mut self) -> anyhow::Result<()> {
        if !self.shared.has_ended_well() {
            return Ok(());
        }
        if let Err(error) = self.client.end_feed() {
            self.reconnect(&error)?;
            self.client.end_feed()?;
        }
        Ok(())
    }

    fn open_again(&mut self) -> Result<(), ClientError> {
        self.client.reconnect()?;
        self.client.open_feed(&self.feed)?;
        // Opening it has made it whole at the server.
        if self.gaps > 0 {
            self.client.report_gap()?;
        }
        Ok(())
    }

    /// Connects again, with pauses that grow and differ from those of other clients.
    fn reconnect(&mut self, error: &ClientError) -> anyhow::Result<()> {
        output::problem(format_args!("{error}; connecting again"));
        let begun = Instant::now();
        let mut pause = RECONNECT_PAUSE_MIN;
        loop {
            if self.shared.is_interrupted_within(jittered(pause)) {
                bail!(
                    "interrupted while the server could not be reached; its last changes are not written"
                );
            }
            match self.open_again() {
                Ok(()) => {
                    self.tally.reconnects += 1;
                    self.shared.lock().all_changed();
                    return Ok(());
                }
                Err(error) if begun.elapsed() > FEED_RECONNECT_TIMEOUT => {
                    let seconds = FEED_RECONNECT_TIMEOUT.as_secs();
                    return Err(error).with_context(|| format!("gave up after {seconds} s"));
                }
                Err(_) => pause = (2 * pause).min(RECONNECT_PAUSE_MAX),
            }
        }
    }
}

/// Between half of the pause and all of it, at random.
pub(super) fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1024;
    pause / 2 + pause / 2 * random as u32 / 1024
}
