//! Sources that are connections: connected to, read, lost, and connected to again.
//!
//! A [`Live`] source says how one connection is made and decoded. What is known of stocks outlives the connections;
//! so what a source sends again is passed over by its times. It knows neither gateways nor brokers.
//!
//! Invariant: a source that is silent for as long as the feed may be is taken for lost. The server hears of a sign of
//! life only where the source has given one.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use anyhow::bail;
use stockd_feeds::{Decode, Step};
use stockd_model::limits::{RECONNECT_PAUSE_MAX, RECONNECT_PAUSE_MIN};

use super::shared::{Ended, Shared};
use super::writer::jittered;
use crate::interruption::Interruption;
use crate::output;

/// How a source is connected to.
pub(super) trait Live {
    /// Makes a connection on which messages come next. `from_ns` is when the last known of them was received, where
    /// the source can go on from there.
    fn connect(&mut self, from_ns: Option<u64>) -> Result<Box<dyn Incoming>, NotConnected>;

    /// A decoder for the messages of one connection.
    fn decoder(&self) -> Box<dyn Decode>;

    /// Whether a connection can go on where the last one ended.
    fn resumes(&self) -> bool;
}

/// Bytes of one connection.
pub(super) trait Incoming {
    /// Reads what has come; 0 at the end. Waits for [`READ_TIMEOUT`] at most, and then fails with `WouldBlock` or
    /// `TimedOut`.
    fn read(&mut self, room: &mut Vec<u8>) -> io::Result<usize>;
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NotConnected {
    /// It will not help to try again.
    Refused(String),
    /// It may be there later.
    Unreachable(String),
}

impl From<io::Error> for NotConnected {
    fn from(error: io::Error) -> NotConnected {
        NotConnected::Unreachable(error.to_string())
    }
}

/// How long one read waits: signals are looked at in between.
pub(super) const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a source may take to let the feed in.
pub(super) const ENTRANCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Messages that are decoded before the writer may take what has changed.
const SLICE: usize = 256;

/// A live source until it is interrupted.
pub(super) struct LiveReader<'a> {
    pub(super) source: Box<dyn Live>,
    pub(super) interruption: Interruption,
    pub(super) name: &'a str,
    pub(super) stale_after: Duration,
    pub(super) ends_on_gap: bool,
}

/// How one connection ended.
enum End {
    Interrupted,
    Lost(String),
}

impl LiveReader<'_> {
    /// Reads until it is interrupted, or the source refuses the feed.
    pub(super) fn read(mut self, shared: &Shared) -> anyhow::Result<()> {
        let read = self.read_all(shared);
        shared.end(if read.is_ok() { Ended::Interrupted } else { Ended::Badly });
        read
    }

    fn read_all(&mut self, shared: &Shared) -> anyhow::Result<()> {
        let name = self.name;
        let (mut pause, mut from_ns, mut was_connected) = (RECONNECT_PAUSE_MIN, None, false);
        loop {
            let why = match self.source.connect(from_ns) {
                Err(NotConnected::Refused(why)) => bail!("{name}: {why}"),
                Err(NotConnected::Unreachable(why)) if !was_connected => bail!("{name}: {why}"),
                Err(NotConnected::Unreachable(why)) => why,
                Ok(mut connection) => {
                    was_connected = true;
                    let connected = Instant::now();
                    match self.follow(&mut *connection, &mut from_ns, shared)? {
                        End::Interrupted => return Ok(()),
                        End::Lost(why) => {
                            if connected.elapsed() > RECONNECT_PAUSE_MAX {
                                pause = RECONNECT_PAUSE_MIN;
                            }
                            self.note_lost(from_ns, shared);
                            why
                        }
                    }
                }
            };
            output::problem(format_args!("{name}: {why}; connecting again"));
            if shared.is_given_up() || self.interruption.within(jittered(pause)) {
                return Ok(());
            }
            pause = (2 * pause).min(RECONNECT_PAUSE_MAX);
        }
    }

    /// Where the source cannot go on from where the connection was lost, something was missed.
    fn note_lost(&self, from_ns: Option<u64>, shared: &Shared) {
        if !self.source.resumes() || from_ns.is_none() {
            shared.lock().missed();
        }
        shared.release();
    }

    fn follow(
        &self,
        connection: &mut dyn Incoming,
        from_ns: &mut Option<u64>,
        shared: &Shared,
    ) -> anyhow::Result<End> {
        let mut decoder = self.source.decoder();
        let mut room = Vec::new();
        let mut heard = Instant::now();
        loop {
            loop {
                match slice(&mut *decoder, from_ns, shared) {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(error) => return Ok(End::Lost(error.to_string())),
                }
            }
            if self.ends_on_gap && shared.gaps() > 0 {
                bail!("{}: the feed has missed messages; --on-gap mark goes on", self.name);
            }
            if shared.is_given_up() || self.interruption.within(Duration::ZERO) {
                return Ok(End::Interrupted);
            }
            room.clear();
            match connection.read(&mut room) {
                Ok(0) => {
                    let why = match decoder.end() {
                        Ok(()) => "the connection was closed".to_owned(),
                        Err(error) => error.to_string(),
                    };
                    return Ok(End::Lost(why));
                }
                Ok(_) => {
                    heard = Instant::now();
                    shared.heard();
                    decoder.fill(&room);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                        if heard.elapsed() >= self.stale_after {
                            let seconds = heard.elapsed().as_secs_f64();
                            return Ok(End::Lost(format!("silent for {seconds:.1} s")));
                        }
                    }
                    _ => return Ok(End::Lost(error.to_string())),
                },
            }
        }
    }
}

/// Decodes some messages. Returns whether more bytes are needed.
fn slice(
    decoder: &mut dyn Decode,
    from_ns: &mut Option<u64>,
    shared: &Shared,
) -> Result<bool, stockd_feeds::FeedError> {
    let mut decoded = Ok(false);
    let mut market = shared.lock();
    for _ in 0..SLICE {
        match decoder.step(&mut market) {
            Ok(Step::Took(time_ns)) => *from_ns = (*from_ns).max(time_ns),
            Ok(Step::NeedsMore) => {
                decoded = Ok(true);
                break;
            }
            Err(error) => {
                decoded = Err(error);
                break;
            }
        }
    }
    drop(market);
    shared.release();
    decoded
}
