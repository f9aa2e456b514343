//! Who may use what lies in a data directory, by the mode bits of Unix.
//!
//! What is made here is for its owner alone: a user who may open the lock can hold it and so keep the
//! server from starting, and one who may open the data can read every quote. What others made with
//! wider rights is left as it is, and named. Elsewhere than on Unix nothing is known of rights.

use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::path::{Path, PathBuf};

/// A file or directory that others than its owner may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// What they may use.
    pub path: PathBuf,
    /// Its mode bits.
    pub mode: u32,
    /// Whether they may change it too, or only read it.
    pub writable: bool,
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exposed { path, mode, writable } = self;
        let may = if *writable { "write to" } else { "read" };
        write!(f, "other users may {may} '{}' (mode {mode:04o})", path.display())
    }
}

/// Makes a directory that its owner alone may use.
pub(crate) fn directory_builder() -> DirBuilder {
    #[cfg_attr(not(unix), expect(unused_mut))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Opens files for reading and writing, and makes those that are missing for their owner alone.
pub(crate) fn open_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// What others may use of a directory and these files in it. They reach files through a directory
/// that lets them in; its list of names alone is no secret.
#[cfg(unix)]
pub(crate) fn exposed(directory: &Path, files: &[String]) -> Vec<Exposed> {
    use std::os::unix::fs::PermissionsExt;
    const OTHERS_WRITE: u32 = 0o022;
    const OTHERS_READ: u32 = 0o044;
    const OTHERS_ENTER: u32 = 0o011;

    let mode_of = |path: &Path| Some(path.metadata().ok()?.permissions().mode() & 0o7777);
    let mut found = Vec::new();
    let mut look_at = |path: PathBuf, mode: u32, bits: u32| {
        if mode & bits != 0 {
            found.push(Exposed { path, mode, writable: mode & OTHERS_WRITE != 0 });
        }
    };
    let Some(mode) = mode_of(directory) else { return found };
    look_at(directory.to_owned(), mode, OTHERS_WRITE);
    if mode & OTHERS_ENTER != 0 {
        for path in files.iter().map(|file| directory.join(file)) {
            if let Some(mode) = mode_of(&path) {
                look_at(path, mode, OTHERS_READ | OTHERS_WRITE);
            }
        }
    }
    found
}

/// What others may use: not known here.
#[cfg(not(unix))]
pub(crate) fn exposed(_: &Path, _: &[String]) -> Vec<Exposed> {
    Vec::new()
}
