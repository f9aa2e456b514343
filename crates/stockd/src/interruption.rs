//! Ctrl-C and SIGTERM, for the server and for commands that run until then and end cleanly; and SIGHUP,
//! by which the server is told to read its settings again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TrySendError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// The first signal to stop. A second one ends the process at once, with 128 and its number as
/// exit code.
#[derive(Debug)]
pub(crate) struct Interruption {
    /// The number of the signal; then the channel closes. Only SIGHUP may come before.
    signal: Receiver<i32>,
    #[cfg(feature = "feed")]
    stopping: Stopping,
}

/// Whether the first signal to stop has come, for parts of a command that wait on their own.
#[cfg(feature = "feed")]
#[derive(Clone, Debug)]
pub(crate) struct Stopping(Arc<AtomicBool>);

#[cfg(feature = "feed")]
impl Stopping {
    pub(crate) fn has_come(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// What the server is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// To read its settings again.
    Reload,
    /// To stop, by the signal of this name.
    Stop(&'static str),
}

impl Interruption {
    /// Watches for signals from now on.
    ///
    /// # Errors
    ///
    /// When the system has no handler or no thread for it.
    pub(crate) fn watch() -> io::Result<Interruption> {
        Interruption::watch_for(&[SIGTERM, SIGINT])
    }

    /// As [`watch`](Interruption::watch), where SIGHUP does not end the process either.
    ///
    /// # Errors
    ///
    /// The same.
    pub(crate) fn watch_with_reload() -> io::Result<Interruption> {
        Interruption::watch_for(&[SIGTERM, SIGINT, SIGHUP])
    }

    fn watch_for(watched: &[i32]) -> io::Result<Interruption> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and raises it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
        }
        let mut signals = Signals::new(watched)?;
        let (sender, signal) = mpsc::sync_channel(1);
        thread::Builder::new().name("stockd-signals".to_owned()).spawn(move || {
            for signal in &mut signals {
                // One that waits stands for all that come meanwhile. There is no receiver any more if the
                // command has ended.
                let ended = match signal {
                    SIGHUP => {
                        matches!(sender.try_send(signal), Err(TrySendError::Disconnected(_)))
                    }
                    _ => {
                        let _ = sender.send(signal);
                        true
                    }
                };
                if ended {
                    break;
                }
            }
        })?;
        Ok(Interruption {
            signal,
            #[cfg(feature = "feed")]
            stopping: Stopping(stopping),
        })
    }

    /// Whether it has come, for others who wait.
    #[cfg(feature = "feed")]
    pub(crate) fn stopping(&self) -> &Stopping {
        &self.stopping
    }

    /// Waits for the signal, for `patience` at most. True at once if it has come before.
    pub(crate) fn within(&self, patience: Duration) -> bool {
        self.signal.recv_timeout(patience) != Err(RecvTimeoutError::Timeout)
    }

    /// Waits for the signal.
    #[cfg(feature = "demo")]
    pub(crate) fn wait(&self) {
        let _ = self.signal.recv();
    }

    /// Waits for the next signal, for `patience` at most. `None` if none comes.
    pub(crate) fn next_within(&self, patience: Duration) -> Option<Told> {
        let signal = match self.signal.recv_timeout(patience) {
            Ok(SIGHUP) => return Some(Told::Reload),
            Ok(signal) => signal_hook::low_level::signal_name(signal),
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => None,
        };
        Some(Told::Stop(signal.unwrap_or("signal")))
    }
}
