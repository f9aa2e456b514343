//! Which way of the system the workers use to reach their sockets, and how it is chosen.

use std::fmt;

use crate::StartError;

/// How workers wait for their sockets, read and write. Clients notice nothing but speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoEngine {
    /// io_uring where the system has it and allows it, otherwise readiness.
    #[default]
    Auto,
    /// Readiness through mio: epoll on Linux. Works everywhere.
    Mio,
    /// io_uring: Linux from 6.1 on.
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

    /// The engine that is used: what was asked for, or what `probe` says of io_uring.
    ///
    /// # Errors
    ///
    /// When io_uring was asked for by name, and why it is not to be had.
    pub(crate) fn choose(
        self,
        probe: impl FnOnce() -> Result<(), String>,
    ) -> Result<IoEngine, StartError> {
        if self == IoEngine::Mio {
            return Ok(IoEngine::Mio);
        }
        match probe() {
            Ok(()) => Ok(IoEngine::Uring),
            Err(reason) if self == IoEngine::Uring => Err(StartError::NoUring { reason }),
            Err(reason) => {
                tracing::info!("engine mio, since io_uring is not available: {reason}");
                Ok(IoEngine::Mio)
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

    fn forbidden() -> Result<(), String> {
        Err("io_uring_setup: forbidden; allow it".to_owned())
    }

    #[test]
    fn auto_takes_what_there_is() {
        assert_eq!(IoEngine::Auto.choose(|| Ok(())).unwrap(), IoEngine::Uring);
        assert_eq!(IoEngine::Auto.choose(forbidden).unwrap(), IoEngine::Mio);
    }

    #[test]
    fn an_engine_that_is_named_is_taken_or_the_start_fails() {
        assert_eq!(IoEngine::Mio.choose(|| panic!("nobody asked")).unwrap(), IoEngine::Mio);
        assert_eq!(IoEngine::Uring.choose(|| Ok(())).unwrap(), IoEngine::Uring);
        let error = IoEngine::Uring.choose(forbidden).unwrap_err();
        assert_eq!(
            error.to_string(),
            "engine 'uring' cannot be used: io_uring_setup: forbidden; allow it, or choose \
             --engine mio"
        );
    }
}
