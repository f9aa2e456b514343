//! When writes are on the disk: the values of the setting `sync`.

use std::time::Duration;

/// When writes are on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before they are answered.
    Always,
    /// At most this long after they were answered.
    Interval(Duration),
    /// When the system sees fit. They survive the end of the process, not that of the system.
    Never,
}
