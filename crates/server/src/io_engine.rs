//! Which way of the system the workers use to reach their sockets, and how it is chosen.

use std::fmt;

/// How workers wait for their sockets, read and write. Clients notice nothing but speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoEngine {
    /// What was measured to serve ordinary clients best: readiness, so far. io_uring saves too
    /// little to be more than a choice (docs/decisions/007-io-uring.md).
    #[default]
    Auto,
    /// Readiness through mio: epoll on Linux. Works everywhere.
    Mio,
    /// io_uring where the system has it and allows it (Linux from 6.1 on), otherwise readiness.
    Uring,
}

impl IoEngine {
    /// The name of the engine, as in its setting.
    pub const fn as_str(self) -> &'static str {
        match self {
            IoEngine::Auto => "auto",
            IoEngine::Mio => "mio",
            IoEngine::Uring => "uring",
        }
    }

    /// The engine of this name.
    pub fn from_name(name: &str) -> Option<IoEngine> {
        [IoEngine::Auto, IoEngine::Mio, IoEngine::Uring].into_iter().find(|it| it.as_str() == name)
    }

    /// The engine that is used, by what `probe` says of io_uring.
    pub(crate) fn choose(self, probe: impl FnOnce() -> Result<(), String>) -> IoEngine {
        if self != IoEngine::Uring {
            return IoEngine::Mio;
        }
        match probe() {
            Ok(()) => IoEngine::Uring,
            Err(reason) => {
                tracing::warn!("io_uring is not available, using mio: {reason}");
                IoEngine::Mio
            }
        }
    }
}

/// Whether io_uring can be used here, and otherwise why not and what would help.
#[cfg(target_os = "linux")]
pub(crate) fn probe_uring() -> Result<(), String> {
    stockd_ring::probe().map_err(|unavailable| unavailable.to_string())
}

/// Whether io_uring can be used here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn probe_uring() -> Result<(), String> {
    Err("only Linux has it".to_owned())
}

impl fmt::Display for IoEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_uring_is_used_where_it_is_asked_for_and_there() {
        assert_eq!(IoEngine::Uring.choose(|| Ok(())), IoEngine::Uring);
        let forbidden = || Err("io_uring_setup: forbidden; allow it".to_owned());
        assert_eq!(IoEngine::Uring.choose(forbidden), IoEngine::Mio);
    }

    #[test]
    fn nobody_else_asks_for_it() {
        for engine in [IoEngine::Auto, IoEngine::Mio] {
            assert_eq!(engine.choose(|| panic!("nobody asked")), IoEngine::Mio);
        }
    }
}
