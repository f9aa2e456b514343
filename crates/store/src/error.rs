//! Why something could not be kept or read.
//!
//! The one error of the crate, and the one place that knows the errors of redb.

use std::io;
use std::path::{Path, PathBuf};

/// Why something could not be kept or read. Messages name the path, the problem and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is nothing to check.
    #[error("the {what} '{}' does not exist; name the directory that a server was given as --data-dir", path.display())]
    Missing {
        /// `data directory` or `data file`.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The directory cannot be made because its parent does not exist.
    #[error(
        "cannot create the data directory '{}': '{}' does not exist; create it first, or give another --data-dir",
        path.display(),
        parent.display()
    )]
    NoParent {
        /// The data directory.
        path: PathBuf,
        /// Its parent.
        parent: PathBuf,
    },
    /// Something else has the name of the data directory.
    #[error("'{}' is not a directory; give another --data-dir", path.display())]
    NotADirectory {
        /// What was given as the data directory.
        path: PathBuf,
    },
    /// Another process owns it.
    #[error(
        "the data directory '{}' is in use by {}; stop it or give another --data-dir",
        path.display(),
        match owner {
            Some(pid) => format!("process {pid}"),
            None => "another process".to_owned(),
        }
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// The process that owns it, where it is known.
        owner: Option<u32>,
    },
    /// The file has the right name but is not a data file of stockd.
    #[error(
        "'{}' is not a data file of stockd: {what}; move it away or give another --data-dir",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Why it is not.
        what: &'static str,
    },
    /// A later stockd has written it.
    #[error(
        "the data file '{}' has format {found}, and this stockd reads formats up to {supported}; use a newer stockd",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: u64,
        /// The newest format that can be read.
        supported: u64,
    },
    /// The file is not as it was written.
    #[error(
        "the data file '{}' is damaged: {what}; restore it from a backup, or give an empty --data-dir and import an export",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage.
        what: String,
    },
    /// The system refused something.
    #[error("cannot {doing} '{}': {source}; {}", path.display(), remedy(source))]
    Io {
        /// What was attempted: `read`, `create`…
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is written reaches the disk, but not under the name of the data directory.
    #[error(
        "the data directory '{}' {what}, so writes would be lost; export the catalog, put the directory back, then send the server SIGHUP",
        path.display()
    )]
    Displaced {
        /// The data directory.
        path: PathBuf,
        /// What became of it.
        what: String,
    },
    /// A commit did not reach the disk.
    #[error("cannot write to '{}': {source}; {}, then send the server SIGHUP", path.display(), remedy(source))]
    Commit {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// An error of redb on opening or reading this file.
    pub(crate) fn reading(path: &Path, error: redb::Error) -> StoreError {
        let path = path.to_owned();
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                StoreError::InUse { path, owner: None }
            }
            redb::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
                StoreError::Damaged { path, what: source.to_string() }
            }
            redb::Error::Io(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                StoreError::Damaged { path, what: "its end is missing".to_owned() }
            }
            redb::Error::Io(source) => {
                // Opening writes too, where there is something to undo.
                let doing = if is_full(&source) { "write to" } else { "read" };
                StoreError::Io { doing, path, source }
            }
            redb::Error::UpgradeRequired(_) => StoreError::Foreign {
                path,
                what: "it has a format of redb that stockd never wrote",
            },
            redb::Error::TableTypeMismatch { .. } | redb::Error::TypeDefinitionChanged { .. } => {
                StoreError::Foreign { path, what: "its tables hold something else" }
            }
            redb::Error::Corrupted(what) => StoreError::Damaged { path, what },
            other => StoreError::Damaged { path, what: other.to_string() },
        }
    }

    /// An error on reading this file of the log.
    pub(crate) fn reading_log(path: PathBuf, source: io::Error) -> StoreError {
        let doing = if is_full(&source) { "write to" } else { "read" };
        StoreError::Io { doing, path, source }
    }

    /// An error on writing this file.
    pub(crate) fn writing(path: PathBuf, source: io::Error) -> StoreError {
        StoreError::Commit { path, source }
    }

    /// An error of redb on a commit to this file.
    pub(crate) fn committing(path: &Path, error: redb::Error) -> StoreError {
        let source = match error {
            redb::Error::Io(error) => error,
            other => io::Error::other(other.to_string()),
        };
        StoreError::Commit { path: path.to_owned(), source }
    }
}

/// What to do about an error of the system.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "let the user of the server write there",
        io::ErrorKind::ReadOnlyFilesystem => "mount the file system for writing",
        _ if is_full(error) => "free some space",
        _ => "see to the disk",
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
