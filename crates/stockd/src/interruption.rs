//! Ctrl-C and SIGTERM, for the server and for commands that run until then and end cleanly.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// The first signal to stop. A second one ends the process at once, with 128 and its number as
/// exit code.
#[derive(Debug)]
pub(crate) struct Interruption {
    /// The number of the signal; then the channel closes.
    signal: Receiver<i32>,
}

impl Interruption {
    /// Watches for signals from now on.
    ///
    /// # Errors
    ///
    /// When the system has no handler or no thread for it.
    pub(crate) fn watch() -> io::Result<Interruption> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and raises it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
        }
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let (sender, signal) = mpsc::channel();
        thread::Builder::new().name("stockd-signals".to_owned()).spawn(move || {
            // There is no receiver any more if the command has ended.
            let _ = signals.forever().next().map(|signal| sender.send(signal));
        })?;
        Ok(Interruption { signal })
    }

    /// Waits for the signal, for `patience` at most. True at once if it has come before.
    pub(crate) fn within(&self, patience: Duration) -> bool {
        self.signal.recv_timeout(patience) != Err(RecvTimeoutError::Timeout)
    }

    /// Waits for the signal and names it.
    pub(crate) fn wait(&self) -> &'static str {
        let signal = self.signal.recv().ok();
        signal.and_then(signal_hook::low_level::signal_name).unwrap_or("signal")
    }
}
