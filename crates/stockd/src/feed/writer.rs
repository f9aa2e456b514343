//! Writes what has changed in a feed to the server.
//!
//! Owns the connection: while it is lost changes gather as marks, one a stock, and what was under way is written
//! again, since it is not known what became of it.
//!
//! Invariant: the last of each stock has been written when the thread ends without an error.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use stockd_client::{ClientError, QuoteClient, Refused, Write, Written};
use stockd_model::limits::{
    FEED_RECONNECT_TIMEOUT, FEED_SKIPPED_NAMED_MAX, PIPELINE_NAMES_MAX, RECONNECT_PAUSE_MAX,
    RECONNECT_PAUSE_MIN,
};

use super::shared::Shared;
use super::writes::Writes;
use crate::output;

pub(super) struct Writer {
    client: QuoteClient,
    writes: Writes,
    shared: Arc<Shared>,
    tally: Tally,
}

/// What became of the writes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) listed: u64,
    pub(super) updated: u64,
    /// Refused since the server knows something newer.
    pub(super) late: u64,
    pub(super) refused: u64,
    pub(super) first_refused: Vec<String>,
    pub(super) reconnects: u64,
}

/// Stocks written together: what the client sends ahead.
const BATCH: usize = 2 * PIPELINE_NAMES_MAX;

impl Writer {
    pub(super) fn new(client: QuoteClient, writes: Writes, shared: Arc<Shared>) -> Writer {
        Writer { client, writes, shared, tally: Tally::default() }
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
        while let Some(mut market) = shared.wait() {
            let mut batch = Vec::new();
            market.take_changed(BATCH, |stock| batch.extend(self.writes.of(stock)));
            drop(market);
            match self.client.write_all(batch.iter().copied()) {
                Ok(outcomes) => {
                    batch
                        .iter()
                        .zip(outcomes)
                        .for_each(|(write, outcome)| self.tally.record(write, outcome));
                }
                Err(error) => {
                    self.reconnect(&error)?;
                    shared.lock().all_changed();
                }
            }
        }
        Ok(())
    }

    /// Connects again, with pauses that grow and differ from those of other clients.
    fn reconnect(&mut self, error: &ClientError) -> anyhow::Result<()> {
        output::problem(format_args!("{error}; connecting again"));
        let begun = Instant::now();
        let mut pause = RECONNECT_PAUSE_MIN;
        loop {
            thread::sleep(jittered(pause));
            match self.client.reconnect() {
                Ok(()) => {
                    self.tally.reconnects += 1;
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
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1024;
    pause / 2 + pause / 2 * random as u32 / 1024
}

impl Tally {
    fn record(&mut self, write: &Write, outcome: Result<Written, Refused>) {
        match outcome {
            Ok(Written::Listed) => self.listed += 1,
            Ok(_) => self.updated += 1,
            Err(refused) if refused.text.starts_with("LATE") => self.late += 1,
            Err(refused) => {
                self.refused += 1;
                if self.first_refused.len() < FEED_SKIPPED_NAMED_MAX {
                    self.first_refused.push(format!("'{}' was refused: {refused}", write.symbol()));
                }
            }
        }
    }
}
