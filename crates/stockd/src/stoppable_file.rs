//! A file, or standard input, that is read until the command is to stop.
//!
//! Knows nothing of what is in it. Invariant: the command can be ended while a pipe is silent, and before a writer has opened
//! it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::interruption::Stopping;

/// Once the command is to stop, reading from it is an error. Clones read on where the others are.
#[derive(Clone, Debug)]
pub(crate) struct StoppableFile {
    file: Arc<File>,
    stopping: Stopping,
}

/// How often it is looked whether the command is to stop, while nothing comes.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

impl StoppableFile {
    /// Opens a file; `None` is standard input.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or is a directory.
    pub(crate) fn open(path: Option<&Path>, stopping: &Stopping) -> io::Result<StoppableFile> {
        let file = match path {
            // Without the buffer of the library, which may hold what is not seen by who waits for more.
            None => File::from(io::stdin().as_fd().try_clone_to_owned()?),
            Some(path) => {
                // Opening a pipe would wait for who writes to it.
                let without_waiting = OFlags::NONBLOCK.bits() as i32;
                let file = File::options().read(true).custom_flags(without_waiting).open(path)?;
                if file.metadata()?.is_dir() {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                file
            }
        };
        Ok(StoppableFile { file: Arc::new(file), stopping: stopping.clone() })
    }

    /// How many bytes the file has; `None` for a pipe.
    pub(crate) fn size(&self) -> io::Result<Option<u64>> {
        let metadata = self.file.metadata()?;
        Ok(metadata.is_file().then_some(metadata.len()))
    }

    /// Whether nothing can be read for a moment. At the end of a file it is not quiet: a read says so at once.
    pub(crate) fn is_quiet(&self) -> io::Result<bool> {
        match poll(&mut [PollFd::new(&*self.file, PollFlags::IN)], Some(&LOOK)) {
            Ok(ready) => Ok(ready == 0),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read for StoppableFile {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stopping.has_come() {
                return Err(io::Error::other("interrupted"));
            }
            if self.is_quiet()? {
                continue;
            }
            match self.file.as_ref().read(room) {
                // Another process has read what had come.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}
