//! Whether a data directory is still where it was opened, and who else may use it.
//!
//! A file that is deleted, moved or hidden by another can be written on without an error, and
//! it would not be found there. So a [`Place`] remembers which directory and which files were opened,
//! and looks whether their names still lead to them. It knows nothing of what is in the files.
//!
//! Invariant: the directory is held open here, and the files by those who use them, so that the system
//! gives their numbers to no others.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A directory and files in it, as they were opened.
#[derive(Debug)]
pub(crate) struct Place {
    directory: Named,
    /// In the order in which they were opened.
    files: Mutex<Vec<Named>>,
    held: File,
}

/// A name, and what it led to.
#[derive(Debug)]
struct Named {
    path: PathBuf,
    identity: Identity,
}

impl Place {
    /// Remembers a directory.
    pub(crate) fn of(directory: &Path) -> io::Result<Place> {
        let held = File::open(directory)?;
        let directory = Named::of(directory, &held)?;
        Ok(Place { directory, files: Mutex::default(), held })
    }

    /// Remembers a file in it, which somebody else has to keep open. One that had the name before is not
    /// forgotten for it: only [`forget`](Place::forget) does that.
    pub(crate) fn add(&self, name: &str, file: &File) -> io::Result<()> {
        let named = Named::of(&self.directory.path.join(name), file)?;
        let mut files = self.files();
        if files.iter().all(|known| known.path != named.path) {
            files.push(named);
        }
        Ok(())
    }

    /// A file in it has another name, which another may have had.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        self.forget(to);
        let [from, to] = [from, to].map(|name| self.directory.path.join(name));
        let mut files = self.files();
        if let Some(named) = files.iter_mut().find(|known| known.path == from) {
            named.path = to;
        }
    }

    /// Looks no more whether a file is there.
    pub(crate) fn forget(&self, name: &str) {
        let path = self.directory.path.join(name);
        self.files().retain(|known| known.path != path);
    }

    /// Whether all names still lead to what was opened; if not, or if that cannot be found out,
    /// what became of the directory.
    pub(crate) fn verify(&self) -> Result<(), String> {
        self.verify_directory()?;
        self.files().iter().try_for_each(|file| {
            let name = || file.path.file_name().unwrap_or_default().display();
            match file.leads_to_it_in(&self.held) {
                Ok(true) => Ok(()),
                Ok(false) => Err(format!("has another {} than the open one", name())),
                Err(error) if is_missing(&error) => Err(format!("has lost its {}", name())),
                Err(error) => Err(format!("has a {} that cannot be looked at ({error})", name())),
            }
        })
    }

    /// The same of the directory alone.
    pub(crate) fn verify_directory(&self) -> Result<(), String> {
        match self.directory.leads_to_it() {
            Ok(true) => Ok(()),
            Ok(false) => Err("was replaced by another".to_owned()),
            Err(error) if is_missing(&error) => Err("was moved or deleted".to_owned()),
            Err(error) => Err(format!("cannot be looked at ({error})")),
        }
    }

    fn files(&self) -> MutexGuard<'_, Vec<Named>> {
        // A file is in the list or not, so a poisoned lock holds a good one.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Named {
    fn of(path: &Path, opened: &File) -> io::Result<Named> {
        let identity = Identity::of(&opened.metadata()?);
        Ok(Named { path: path.to_owned(), identity })
    }

    /// The same where it is known that its directory is this one: the way there need not be walked again.
    #[cfg(target_os = "linux")]
    fn leads_to_it_in(&self, directory: &File) -> io::Result<bool> {
        let name = self.path.file_name().unwrap_or_default();
        let found = rustix::fs::statat(directory, name, rustix::fs::AtFlags::empty())?;
        Ok(Identity { device: found.st_dev, inode: found.st_ino } == self.identity)
    }

    #[cfg(not(target_os = "linux"))]
    fn leads_to_it_in(&self, _: &File) -> io::Result<bool> {
        self.leads_to_it()
    }

    fn leads_to_it(&self) -> io::Result<bool> {
        Ok(Identity::of(&self.path.metadata()?) == self.identity)
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What tells a file or directory from all others: its device and its inode. Elsewhere than on
/// Unix any two that exist pass for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Identity {
        use std::os::unix::fs::MetadataExt;
        Identity { device: metadata.dev(), inode: metadata.ino() }
    }

    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Identity {
        Identity { device: 0, inode: 0 }
    }
}
