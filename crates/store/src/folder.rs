//! Where the files of a store lie: a directory of a disk, one that is read alone, or a simulated one.
//!
//! It knows names and bytes, and not what they mean. Bytes of a file survive a failure of the power once
//! the file was synced; its name does once the folder was.
//!
//! Invariant: a name leads to one file, and a file that is open stays what it was whatever becomes of its
//! name.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use redb::{BackendError, StorageBackend};

/// Files by name.
pub(crate) trait Folder: fmt::Debug + Send + Sync {
    /// Opens a file to read and write it. What is read of it is on the disk.
    fn open(&self, name: &str) -> io::Result<FolderFile>;

    /// Makes an empty file, in place of the one of that name if there is one.
    fn create(&self, name: &str) -> io::Result<FolderFile>;

    /// Gives a file another name, and takes that from the file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a file away. It is no error when there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of all files, in no order.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes sure that files keep their names through a failure of the power.
    fn sync(&self) -> io::Result<()>;

    /// How a file is called in messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// What can be done with a file.
pub(crate) trait Content: StorageBackend {
    /// Writes, and syncs what was written. What else was written before may be synced too or not.
    fn write_synced(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write(offset, data)?;
        self.sync_data()
    }
}

/// An open file. Clones are the same file.
#[derive(Clone, Debug)]
pub(crate) struct FolderFile(Arc<dyn Content>);

impl FolderFile {
    pub(crate) fn new(file: impl Content) -> FolderFile {
        FolderFile(Arc::new(file))
    }

    /// See [`Content::write_synced`].
    pub(crate) fn write_synced(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_synced(offset, data)
    }

    /// All that is in it.
    pub(crate) fn content(&self) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.0.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut content = vec![0; len];
        self.0.read(0, &mut content)?;
        Ok(content)
    }
}

impl StorageBackend for FolderFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }
}
