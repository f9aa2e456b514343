//! The file that the database lives in, forced to the disk at each commit or not.
//!
//! Without syncing, a commit hands its bytes to the system and goes on. They survive the end of
//! this process, but not a power failure. (redb's own commits without durability stay in the memory
//! of the process and would be lost when it is killed.)
//!
//! With syncing, a file is read from the disk itself when it is opened. After a failed sync Linux
//! takes what it could not write for written, and shows it to readers until it needs the memory. A
//! server that starts again on top of that would build on pages that are not on the disk.
//!
//! Invariant: with syncing, what is read after an open is on the disk.

use std::fs::File;
use std::io;
use std::ops::Bound;

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

/// One file.
#[derive(Debug)]
pub(crate) struct Disk {
    file: FileBackend,
    sync: bool,
}

impl Disk {
    pub(crate) fn new(file: File, sync: bool) -> Result<Disk, DatabaseError> {
        if sync {
            forget_cached(&file).map_err(redb::StorageError::Io)?;
        }
        Ok(Disk { file: FileBackend::new(file)?, sync })
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.sync { self.file.sync_data() } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    // Keeps other programs that use redb out; our own have the owner's lock.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }
}

/// Drops a file from the page cache, so that it is read from the disk.
pub(crate) fn forget_cached(file: &File) -> io::Result<()> {
    // Pages that are not on the disk yet cannot be dropped.
    file.sync_data()?;
    // Advice, which some file systems do not know.
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    Ok(())
}
