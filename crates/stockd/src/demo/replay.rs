//! The history as live updates: a thread that applies one bar after the other to the engine.
//!
//! The thread is the only writer of the stocks of the history. It counts each bar twice, before
//! and after it is applied; whoever looks up between two readings of these counts knows which
//! prices the server may have answered.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stockd_engine::{Access, Engine, Executor};
use stockd_model::{Fields, Request, Symbol};

use super::history::{Bar, History};

/// A replay under way. Dropping it stops the thread.
#[derive(Debug)]
pub(crate) struct Replay {
    progress: Arc<Progress>,
    /// Until it plays.
    player: Option<Player>,
    /// Nothing is ever sent: its end is the sign to stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How a replay goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// From one day of the history to the next.
    pub(crate) day: Duration,
    /// Whether the history begins again when it is over.
    pub(crate) again: bool,
}

/// How many bars of the history stand in the catalog.
#[derive(Debug, Default)]
struct Progress {
    begun: AtomicUsize,
    applied: AtomicUsize,
}

impl Replay {
    /// Applies the first day. The others come when it is told to [play](Replay::play).
    pub(crate) fn open(engine: &Arc<Engine>, history: &Arc<History>) -> Replay {
        let progress = Arc::<Progress>::default();
        let mut player = Player {
            executor: engine.executor(),
            late: history.late_symbols(),
            history: Arc::clone(history),
            progress: Arc::clone(&progress),
        };
        player.first_day();
        Replay { progress, player: Some(player), stop: None, thread: None }
    }

    /// Applies one day after the other at the given pace, in a thread. Once is enough.
    ///
    /// # Errors
    ///
    /// When the system has no thread for it.
    pub(crate) fn play(&mut self, pace: Pace) -> io::Result<()> {
        let Some(mut player) = self.player.take() else {
            return Ok(());
        };
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("stockd-replay".to_owned())
            .spawn(move || player.play(pace, &stopped))?;
        (self.stop, self.thread) = (Some(stop), Some(thread));
        Ok(())
    }

    /// Bars that every lookup sees which begins after this call.
    pub(crate) fn applied(&self) -> usize {
        self.progress.applied.load(Ordering::Acquire)
    }

    /// Bars of which a lookup that ended before this call may have seen the last.
    pub(crate) fn begun(&self) -> usize {
        self.progress.begun.load(Ordering::Acquire)
    }

    /// Waits until the whole history is applied, which is never where it begins again.
    pub(crate) fn finish(&mut self) {
        if let Some(thread) = self.thread.take() {
            // It has no way to panic but a defect, which its own message tells.
            let _ = thread.join();
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.stop = None;
        self.finish();
    }
}

/// What the thread works with.
#[derive(Debug)]
struct Player {
    executor: Executor,
    /// Stocks that are not listed on the first day.
    late: BTreeSet<Symbol>,
    history: Arc<History>,
    progress: Arc<Progress>,
}

impl Player {
    fn first_day(&mut self) {
        let history = Arc::clone(&self.history);
        let mut batch = self.executor.batch(&Access::All);
        for &symbol in &self.late {
            batch.execute(&Request::Delist(symbol));
        }
        drop(batch);
        self.progress.begun.store(0, Ordering::Release);
        self.progress.applied.store(0, Ordering::Release);
        self.apply(history.days().next().unwrap_or_default());
    }

    fn play(&mut self, pace: Pace, stopped: &Receiver<()>) {
        let history = Arc::clone(&self.history);
        loop {
            // Each day has its time, so that a late one does not delay all the others.
            let mut due = Instant::now();
            for day in history.days().skip(1) {
                due += pace.day;
                let patience = due.saturating_duration_since(Instant::now());
                if stopped.recv_timeout(patience) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                self.apply(day);
            }
            if !pace.again {
                return;
            }
            self.first_day();
        }
    }

    fn apply(&mut self, day: &[Bar]) {
        let mut batch = self.executor.batch(&Access::All);
        for bar in day {
            let fields = Fields { price: Some(bar.price), volume: Some(bar.volume), status: None };
            self.progress.begun.fetch_add(1, Ordering::Release);
            batch.execute(&Request::Set(bar.symbol, fields));
            self.progress.applied.fetch_add(1, Ordering::Release);
        }
    }
}
