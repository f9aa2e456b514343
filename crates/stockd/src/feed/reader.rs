//! Reads a feed, decodes it, and keeps to its times.
//!
//! Invariant: what a message says can be taken once the message is due. Bytes are read when all that came before
//! were decoded, so at most one read of them waits.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use stockd_feeds::{Decode, Step};

use super::progress::Progress;
use super::shared::{Ended, Shared};
use super::source::Source;
use crate::interruption::Interruption;
use crate::speed::Speed;

pub(super) struct Reader<'a> {
    pub(super) source: Source,
    pub(super) decoder: Box<dyn Decode>,
    pub(super) interruption: Interruption,
    pub(super) speed: Speed,
    pub(super) name: &'a str,
    /// Whether missing messages are an error.
    pub(super) ends_on_gap: bool,
    /// How long the feed may be silent.
    pub(super) stale_after: Duration,
    /// Where no writer prints it.
    pub(super) progress: Option<Progress>,
}

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// Messages that are decoded before the writer may take what has changed.
const SLICE: usize = 256;

/// How reading ended.
enum End {
    /// With the end of the feed.
    Its,
    /// Before that, as somebody asked for.
    Before,
}

/// What a slice of messages ended with.
enum Slice {
    /// There are more.
    Full,
    NeedsMore,
    /// A message of this time was applied that may not be due yet.
    At(u64),
}

impl Reader<'_> {
    /// Reads to the end, or until it is interrupted. What came before an error has been applied.
    pub(super) fn read(mut self, shared: &Shared) -> anyhow::Result<()> {
        let read = self.read_all(shared);
        shared.end(match read {
            Ok(End::Its) => Ended::Well,
            Ok(End::Before) => Ended::Interrupted,
            Err(_) => Ended::Badly,
        });
        read.map(|_| ())
    }

    fn read_all(&mut self, shared: &Shared) -> anyhow::Result<End> {
        let mut room = vec![0; READ_BYTES];
        let mut clock: Option<(Instant, u64)> = None;
        loop {
            let slice = self.slice(shared)?;
            if let Slice::At(time_ns) = slice {
                let (begun, first_ns) = *clock.get_or_insert((Instant::now(), time_ns));
                let due = self.speed.due(time_ns.saturating_sub(first_ns));
                if self.is_interrupted_until(begun, due, shared) {
                    return Ok(End::Before);
                }
            }
            shared.release();
            if shared.is_given_up() || self.interruption.within(Duration::ZERO) {
                return Ok(End::Before);
            }
            if self.ends_on_gap && shared.gaps() > 0 {
                bail!("{}: the feed has missed messages; --on-gap mark goes on", self.name);
            }
            if let Some(progress) = &mut self.progress {
                progress.print(shared, None);
            }
            if !matches!(slice, Slice::NeedsMore) {
                continue;
            }
            let name = self.name;
            let read = match self.source.read(&mut room) {
                Err(_) if self.interruption.stopping().has_come() => return Ok(End::Before),
                read => read.with_context(|| format!("cannot read {name}"))?,
            };
            if read == 0 {
                return self.decoder.end().map(|()| End::Its).with_context(|| name.to_owned());
            }
            shared.heard();
            self.decoder.fill(room.get(..read).unwrap_or_default());
        }
    }

    /// Waits until a message is due, which is no silence. Whether that was interrupted.
    fn is_interrupted_until(&self, begun: Instant, due: Duration, shared: &Shared) -> bool {
        loop {
            let wait = due.saturating_sub(begun.elapsed());
            shared.heard();
            if wait.is_zero() {
                return false;
            }
            // What is due is written before the writer could take this for silence.
            if self.interruption.within(wait.min(self.stale_after / 8)) {
                return true;
            }
        }
    }

    /// Decodes a slice of messages, or up to one that has a time where times matter.
    fn slice(&mut self, shared: &Shared) -> anyhow::Result<Slice> {
        let mut market = shared.lock();
        for _ in 0..SLICE {
            match self.decoder.step(&mut market).with_context(|| self.name.to_owned())? {
                Step::NeedsMore => return Ok(Slice::NeedsMore),
                Step::Took(Some(time_ns)) if self.speed != Speed::Max => {
                    return Ok(Slice::At(time_ns));
                }
                Step::Took(_) => {}
            }
        }
        Ok(Slice::Full)
    }
}
