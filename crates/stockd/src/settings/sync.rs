//! When writes are on the disk: the values of the setting `sync`.

use std::time::Duration;

/// When writes are on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before they are answered.
    Always,
    /// At most this long after they were answered.
    Interval(Duration),
    /// When the system decides. They survive a crash of the process, but not of the system.
    Never,
}
