//! The history as live updates: a thread that applies one bar after the other to the engine.
//!
//! The thread is the only writer of the stocks of the history. It counts each bar twice, before and
//! after it is applied. A client that reads these counts before and after a lookup knows which prices
//! the server may have answered.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stockd_engine::{Access, Engine, Executor};
use stockd_model::{Edit, Fields, Request, Symbol};

use super::history::{Bar, History};

/// The history while it plays. Dropping it stops the thread.
#[derive(Debug)]
pub(crate) struct Playback {
    progress: Arc<Progress>,
    /// Taken when it begins to play.
    player: Option<Player>,
    /// Dropping it tells the thread to stop; nothing is ever sent.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How many bars of the history stand in the catalog.
#[derive(Debug, Default)]
struct Progress {
    begun: AtomicUsize,
    applied: AtomicUsize,
}

impl Playback {
    /// Applies the first day. [`play_once`](Playback::play_once) and
    /// [`repeat`](Playback::repeat) apply the others.
    pub(crate) fn open(engine: &Arc<Engine>, history: &Arc<History>) -> Playback {
        let progress = Arc::<Progress>::default();
        let mut player = Player {
            executor: engine.executor(),
            late: history.late_symbols(),
            history: Arc::clone(history),
            progress: Arc::clone(&progress),
        };
        player.first_day();
        Playback { progress, player: Some(player), stop: None, thread: None }
    }

    /// Applies the other days once in a thread, unless it plays already. `day` is the time from one
    /// day to the next.
    ///
    /// # Errors
    ///
    /// When the system has no thread for it.
    pub(crate) fn play_once(&mut self, day: Duration) -> io::Result<()> {
        self.play(move |player, stopped| {
            player.play(day, stopped);
        })
    }

    /// Applies the history again and again in a thread, unless it plays already.
    ///
    /// # Errors
    ///
    /// When the system has no thread for it.
    pub(crate) fn repeat(&mut self, day: Duration) -> io::Result<()> {
        self.play(move |player, stopped| {
            while player.play(day, stopped) {
                player.first_day();
            }
        })
    }

    fn play(
        &mut self,
        play: impl FnOnce(&mut Player, &Receiver<()>) + Send + 'static,
    ) -> io::Result<()> {
        let Some(mut player) = self.player.take() else {
            return Ok(());
        };
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("stockd-playback".to_owned())
            .spawn(move || play(&mut player, &stopped))?;
        (self.stop, self.thread) = (Some(stop), Some(thread));
        Ok(())
    }

    /// Bars that a lookup sees if it begins after this call.
    pub(crate) fn applied(&self) -> usize {
        self.progress.applied.load(Ordering::Acquire)
    }

    /// Bars that a lookup may have seen if it ended before this call.
    pub(crate) fn begun(&self) -> usize {
        self.progress.begun.load(Ordering::Acquire)
    }

    /// Waits until the whole history is applied. Never returns if it repeats.
    pub(crate) fn finish(&mut self) {
        if let Some(thread) = self.thread.take() {
            // It can only panic because of a bug; its own message says so.
            let _ = thread.join();
        }
    }
}

impl Drop for Playback {
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

    /// Applies all days after the first. Returns false if it was stopped.
    fn play(&mut self, day: Duration, stopped: &Receiver<()>) -> bool {
        let history = Arc::clone(&self.history);
        // Each day has its time, so that a late one does not delay all the others.
        let mut due = Instant::now();
        for bars in history.days().skip(1) {
            due += day;
            let patience = due.saturating_duration_since(Instant::now());
            if stopped.recv_timeout(patience) != Err(RecvTimeoutError::Timeout) {
                return false;
            }
            self.apply(bars);
        }
        true
    }

    fn apply(&mut self, day: &[Bar]) {
        let mut batch = self.executor.batch(&Access::All);
        for bar in day {
            let fields = Fields {
                price: Edit::Set(bar.price),
                volume: Edit::Set(bar.volume),
                ..Fields::default()
            };
            self.progress.begun.fetch_add(1, Ordering::Release);
            batch.execute(&Request::Set(bar.symbol, fields));
            self.progress.applied.fetch_add(1, Ordering::Release);
        }
    }
}
