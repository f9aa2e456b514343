//! The access file of a server: read at the start, and looked at again while it runs.
//!
//! Invariant: a file is taken whole or not at all; with a mistake in it the rights stay as they were. What
//! happens to them is in the log, and no token is.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use stockd_access::{AccessFile, Authority};
use stockd_model::limits::ACCESS_FILE_BYTES_MAX;
use tracing::{info, warn};

use crate::usage_error::UsageError;

/// The access file that a server was given.
#[derive(Debug)]
pub(crate) struct WatchedAccess {
    path: PathBuf,
    authority: Arc<Authority>,
    /// The state of the file that was read last, or was tried.
    seen: Option<Seen>,
}

/// By which a change of a file shows.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Seen {
    fn from(metadata: &Metadata) -> Seen {
        Seen {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl WatchedAccess {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, others may write it, or there is a mistake in it.
    pub(crate) fn open(path: &Path) -> Result<WatchedAccess, UsageError> {
        let seen = path.metadata().ok().map(|metadata| Seen::from(&metadata));
        let file = read(path).map_err(|error| UsageError(format!("{error:#}")))?;
        let authority = Arc::new(Authority::new(file));
        Ok(WatchedAccess { path: path.to_owned(), authority, seen })
    }

    pub(crate) fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Takes what is in the file, if it has changed or if it is `forced`. Returns whether another one is in
    /// force now.
    pub(crate) fn look(&mut self, forced: bool) -> bool {
        let seen = self.path.metadata().ok().map(|metadata| Seen::from(&metadata));
        if seen == self.seen && !forced {
            return false;
        }
        self.seen = seen;
        match read(&self.path) {
            Ok(file) => {
                let changes = self.authority.file().map(|before| before.differences(&file));
                let changes = changes.unwrap_or_default();
                let is_changed = !changes.is_empty();
                if is_changed {
                    info!(users = file.users().len(), "the access file was exchanged: {changes}");
                    self.authority.replace(file);
                }
                is_changed
            }
            Err(error) => {
                self.authority.note_failed_load();
                warn!("the rights stay as they were: {error:#}");
                false
            }
        }
    }
}

/// Reads an access file.
///
/// # Errors
///
/// When it cannot be read, others may write it, or there is a mistake in it, which has its line.
pub(crate) fn read(path: &Path) -> anyhow::Result<AccessFile> {
    let name = path.display();
    let mut file = File::open(path).with_context(|| format!("access file {name}"))?;
    let metadata = file.metadata().with_context(|| format!("access file {name}"))?;
    ensure!(metadata.is_file(), "access file {name}: this is no file");
    check_owner(&metadata).with_context(|| format!("access file {name}"))?;
    let mut text = String::new();
    let most = ACCESS_FILE_BYTES_MAX as u64 + 1;
    file.by_ref()
        .take(most)
        .read_to_string(&mut text)
        .with_context(|| format!("access file {name}"))?;
    AccessFile::parse(&text).map_err(|error| match error.line {
        0 => anyhow::anyhow!("{name}: {}", error.why),
        line => anyhow::anyhow!("{name}:{line}: {}", error.why),
    })
}

/// Who may write the file may do everything.
fn check_owner(metadata: &Metadata) -> anyhow::Result<()> {
    let mode = metadata.mode();
    if mode & 0o022 != 0 {
        bail!(
            "others than its owner may write it (mode {:04o}); take that right away: chmod go-w",
            mode & 0o7777
        );
    }
    let owner = metadata.uid();
    let own = rustix::process::geteuid().as_raw();
    if owner != 0 && owner != own {
        bail!(
            "it belongs to another user ({owner}), who may write it; give it to root or to the user of the server ({own})"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, text: &str) {
        // As editors do it, so that it is another file.
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
        fs::rename(&new, path).unwrap();
    }

    #[test]
    fn what_is_written_into_the_file_comes_into_force_and_mistakes_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.toml");
        write(&path, "[[user]]\nname = \"a\"\n");
        let mut watched = WatchedAccess::open(&path).unwrap();
        let names = |watched: &WatchedAccess| {
            let file = watched.authority().file().unwrap();
            file.users().iter().map(|user| user.name().to_owned()).collect::<Vec<_>>()
        };
        assert!(!watched.look(false) && !watched.look(true), "nothing has changed");
        write(&path, "[[user]]\nname = \"b\"\n");
        assert!(watched.look(false) && names(&watched) == ["b"]);
        write(&path, "[[user]]\nname = \"c\"\nread = 7\n");
        assert!(!watched.look(false) && names(&watched) == ["b"]);
        assert!(!watched.look(false));
        assert_eq!(watched.authority().failed_loads(), 1, "told once");
        fs::remove_file(&path).unwrap();
        assert!(!watched.look(false) && names(&watched) == ["b"]);
        assert_eq!(watched.authority().failed_loads(), 2);
        write(&path, "[[user]]\nname = \"c\"\n");
        assert!(watched.look(false) && names(&watched) == ["c"]);
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.toml");
        write(&path, "");
        for mode in [0o620, 0o602, 0o666] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let UsageError(why) = WatchedAccess::open(&path).unwrap_err();
            assert!(
                why.contains("others than its owner may write it") && why.contains("chmod go-w"),
                "{why}"
            );
        }
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(WatchedAccess::open(&path).is_ok());
        write(&path, "[[user]]\n");
        let UsageError(why) = WatchedAccess::open(&path).unwrap_err();
        assert_eq!(why, format!("{}:1: this user has no name; write name = \"…\"", path.display()));
        let UsageError(why) = WatchedAccess::open(directory.path()).unwrap_err();
        assert!(why.ends_with("this is no file"), "{why}");
    }
}
