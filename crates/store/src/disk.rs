//! The files of a data directory, forced to the disk at each commit or not.
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

use std::fs::{self, File};
use std::io;
#[cfg(target_os = "linux")]
use std::io::IoSlice;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend, StorageError};
#[cfg(target_os = "linux")]
use rustix::io::{Errno, ReadWriteFlags};

use crate::folder::{Content, Folder, FolderFile};
use crate::place::Place;
use crate::rights;

/// The files of a data directory.
#[derive(Debug)]
pub(crate) struct DiskFolder {
    path: PathBuf,
    place: Place,
    sync: bool,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Disk {
    file: FileBackend,
    /// The same open file, for what redb does not need of it.
    #[cfg(target_os = "linux")]
    raw: File,
    sync: bool,
}

impl Disk {
    pub(crate) fn new(file: File, sync: bool) -> Result<Disk, DatabaseError> {
        if sync {
            forget_cached(&file).map_err(redb::StorageError::Io)?;
        }
        #[cfg(target_os = "linux")]
        let raw = file.try_clone().map_err(redb::StorageError::Io)?;
        Ok(Disk {
            file: FileBackend::new(file)?,
            #[cfg(target_os = "linux")]
            raw,
            sync,
        })
    }
}

impl DiskFolder {
    /// The files of this directory, which exists.
    pub(crate) fn new(path: &Path, sync: bool) -> io::Result<DiskFolder> {
        Ok(DiskFolder { path: path.to_owned(), place: Place::of(path)?, sync })
    }

    /// Whether the names of the directory and of all files that were opened still lead to them; if not, or
    /// if that cannot be found out, what became of the directory.
    pub(crate) fn verify_place(&self) -> Result<(), String> {
        self.place.verify()
    }

    /// Names are changed in the directory that was opened, and in no other that has taken its place.
    fn verify_directory(&self) -> io::Result<()> {
        self.place.verify_directory().map_err(|what| io::Error::other(format!("it {what}")))
    }

    fn opened(&self, name: &str, file: File) -> io::Result<FolderFile> {
        self.place.add(name, &file)?;
        let disk = Disk::new(file, self.sync).map_err(|error| match error {
            DatabaseError::Storage(StorageError::Io(error)) => error,
            other => io::Error::other(other.to_string()),
        })?;
        Ok(FolderFile::new(disk))
    }
}

impl Folder for DiskFolder {
    fn open(&self, name: &str) -> io::Result<FolderFile> {
        self.opened(name, rights::open_options().open(self.path(name))?)
    }

    fn create(&self, name: &str) -> io::Result<FolderFile> {
        self.remove(name)?;
        self.verify_directory()?;
        self.opened(name, rights::open_options().create_new(true).open(self.path(name))?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.verify_directory()?;
        fs::rename(self.path(from), self.path(to))?;
        self.place.rename(from, to);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.verify_directory()?;
        self.place.forget(name);
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        names_in(&self.path)
    }

    fn sync(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
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

impl Content for Disk {
    /// One call of the system in place of two.
    #[cfg(target_os = "linux")]
    fn write_synced(&self, mut offset: u64, mut data: &[u8]) -> io::Result<()> {
        let flags = if self.sync { ReadWriteFlags::DSYNC } else { ReadWriteFlags::empty() };
        while !data.is_empty() {
            match rustix::io::pwritev2(&self.raw, &[IoSlice::new(data)], offset, flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    data = &data[written..];
                }
                Err(Errno::INTR) => {}
                // A file system without it.
                Err(Errno::OPNOTSUPP) => {
                    self.file.write(offset, data)?;
                    return self.sync_data();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
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

/// Makes sure that what lies in a directory keeps its names through a power failure.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    // Elsewhere directories cannot be opened, and need not be.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// The names of all files in a directory. Those that are no UTF-8 are none of ours.
pub(crate) fn names_in(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}
