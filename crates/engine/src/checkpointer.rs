//! Writes checkpoints while commits go on.
//!
//! A checkpoint takes as long as the disk does with all that has changed, so a thread of its own writes it,
//! and ends with it. The committer begins it, and takes back what comes of it. It knows no rows and no
//! requests.
//!
//! Invariant: one checkpoint is written at a time.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stockd_store::{Checkpoint, WrittenCheckpoint};

/// The checkpoint that is being written, if one is.
#[derive(Debug, Default)]
pub(crate) struct Checkpointer {
    under_way: Option<JoinHandle<Written>>,
}

/// A checkpoint that was written, or has failed.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) checkpoint: WrittenCheckpoint,
    pub(crate) took: Duration,
}

impl Checkpointer {
    /// Whether one is being written.
    pub(crate) fn is_at_work(&self) -> bool {
        self.under_way.is_some()
    }

    /// Begins to write one.
    ///
    /// # Panics
    ///
    /// When one is being written, or the system cannot start a thread.
    pub(crate) fn begin(&mut self, checkpoint: Checkpoint) {
        assert!(self.under_way.is_none(), "one is being written");
        let write = move || {
            let began = Instant::now();
            let checkpoint = checkpoint.write();
            Written { checkpoint, took: began.elapsed() }
        };
        let builder = thread::Builder::new().name("stockd-checkpoint".to_owned());
        self.under_way = Some(builder.spawn(write).expect("a thread for the checkpoint"));
    }

    /// What has come of it, if it is written by now.
    pub(crate) fn take(&mut self) -> Option<Written> {
        match &self.under_way {
            Some(thread) if thread.is_finished() => self.wait(),
            _ => None,
        }
    }

    /// Waits until it is written, if one is.
    ///
    /// # Panics
    ///
    /// When its thread has.
    pub(crate) fn wait(&mut self) -> Option<Written> {
        let thread = self.under_way.take()?;
        Some(thread.join().expect("the thread of the checkpoint has panicked"))
    }
}
