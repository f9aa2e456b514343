//! One owner of a data directory at a time.
//!
//! The owner holds an exclusive lock on the file `stockd.lock`, which the system releases when the
//! process ends, however it ends. Its process id stands in the file for the error message of a
//! second owner. The text means nothing by itself, so what a crash leaves there does no harm.
//!
//! Invariant: there is at most one `Owner` of a directory.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use crate::error::StoreError;
use crate::rights;

/// The file of the lock.
pub(crate) const LOCK_FILE: &str = "stockd.lock";

/// The lock of a data directory. Dropping it releases it.
#[derive(Debug)]
pub(crate) struct Owner {
    file: File,
}

impl Owner {
    /// Becomes the owner of a directory, and writes its process id there.
    pub(crate) fn claim(directory: &Path) -> Result<Owner, StoreError> {
        let path = directory.join(LOCK_FILE);
        let failed =
            |doing| move |source| StoreError::Io { doing, path: directory.join(LOCK_FILE), source };
        let mut file = rights::open_options().create(true).open(&path).map_err(failed("open"))?;
        lock(&mut file, directory)?;
        file.set_len(0).map_err(failed("write to"))?;
        writeln!(file, "{}", std::process::id()).map_err(failed("write to"))?;
        Ok(Owner { file })
    }

    /// Becomes the owner and writes nothing. `None` where no owner has ever been: then there is
    /// nothing to lock.
    pub(crate) fn keep_out(directory: &Path) -> Result<Option<Owner>, StoreError> {
        let path = directory.join(LOCK_FILE);
        match File::open(&path) {
            Ok(mut file) => {
                lock(&mut file, directory)?;
                Ok(Some(Owner { file }))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { doing: "open", path, source }),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // The text is for people alone; it stays where the file cannot be written.
        let _ = self.file.set_len(0);
    }
}

fn lock(file: &mut File, directory: &Path) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // A process id has at most 10 digits.
            let read = file.take(16).read_to_string(&mut text);
            let owner = read.ok().and_then(|_| text.trim_end().parse().ok());
            Err(StoreError::InUse { path: directory.to_owned(), owner })
        }
        Err(TryLockError::Error(source)) => {
            Err(StoreError::Io { doing: "lock", path: directory.join(LOCK_FILE), source })
        }
    }
}
