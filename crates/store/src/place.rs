//! Whether a data directory is still where it was opened, and who else may use it.
//!
//! A file that is deleted, moved or hidden by another can be written on without an error, and
//! it would not be found there. So a [`Place`] remembers which directory and which file were opened,
//! and looks whether their names still lead to them. It knows nothing of what is in the file.
//!
//! Invariant: the directory is held open here, and the file by the database, so that the system
//! gives their numbers to no others.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// A directory and a file in it, as they were opened.
#[derive(Debug)]
pub(crate) struct Place {
    directory: Named,
    file: Named,
    /// Not read.
    _held: File,
}

/// A name, and what it led to.
#[derive(Debug)]
struct Named {
    path: PathBuf,
    identity: Identity,
}

impl Place {
    /// Remembers a directory and a file in it, which somebody else has to keep open.
    pub(crate) fn of(directory: &Path, path: &Path, file: &File) -> io::Result<Place> {
        let held = File::open(directory)?;
        let directory = Named::of(directory, &held)?;
        Ok(Place { directory, file: Named::of(path, file)?, _held: held })
    }

    /// Whether both names still lead to what was opened; if not, or if that cannot be found out,
    /// what became of the directory.
    pub(crate) fn verify(&self) -> Result<(), String> {
        match self.directory.leads_to_it() {
            Ok(true) => {}
            Ok(false) => return Err("was replaced by another".to_owned()),
            Err(error) if is_missing(&error) => return Err("was moved or deleted".to_owned()),
            Err(error) => return Err(format!("cannot be looked at ({error})")),
        }
        let file = || self.file.path.file_name().unwrap_or_default().display();
        match self.file.leads_to_it() {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("has another {} than the open one", file())),
            Err(error) if is_missing(&error) => Err(format!("has lost its {}", file())),
            Err(error) => Err(format!("has a {} that cannot be looked at ({error})", file())),
        }
    }
}

impl Named {
    fn of(path: &Path, opened: &File) -> io::Result<Named> {
        let identity = Identity::of(&opened.metadata()?);
        Ok(Named { path: path.to_owned(), identity })
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
